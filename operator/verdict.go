package operator

import (
	"slices"

	"github.com/sallyport-dev/sallyport/internal/compile/plan"
	"github.com/sallyport-dev/sallyport/internal/manifest"
)

// verdict is what a gathered resource means, and what is wrong with it.
type verdict struct {
	plan     *plan.Plan
	problems manifest.Problems
}

// judge plans what was gathered, as `sallyport check` does.
func judge(g *gathered) verdict {
	p := plan.Of(g.set, plan.Process{Checking: true, Reach: plan.Network})
	return verdict{plan: p, problems: append(slices.Clone(g.problems), p.Problems...)}
}

// endpoint is the one that a resource is served at.
func (v *verdict) endpoint(name string) *plan.Endpoint {
	i := slices.IndexFunc(v.plan.Endpoints, func(e *plan.Endpoint) bool { return e.Name == name })
	if i < 0 {
		return nil
	}
	return v.plan.Endpoints[i]
}
