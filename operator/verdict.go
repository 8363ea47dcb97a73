package operator

import (
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/compile/plan"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/operator/render"
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

// files are the manifests of what was gathered, as the pods read them: Secrets apart,
// which the kubelet mounts.
func (g *gathered) files() (map[string]string, error) {
	files := map[string]string{}
	for _, o := range g.set.Objects {
		if o.Kind == "Secret" {
			continue
		}
		text, err := o.Text()
		if err != nil {
			return nil, err
		}
		files[render.Fit(strings.ToLower(o.Kind)+"."+o.Name, 200)+".yaml"] = string(text)
	}
	return files, nil
}
