package operator

import (
	"cmp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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

// reason is the reason of a condition that tells of problems: what is missing, if
// anything is.
func reasonOf(problems manifest.Problems) string {
	for _, p := range problems {
		if p.Missing != "" {
			return p.Missing + "NotFound"
		}
	}
	return "Invalid"
}

// tell is problems as a condition's message.
func tell(problems manifest.Problems) string {
	var lines []string
	for _, p := range problems {
		lines = append(lines, p.String())
	}
	return shorten(strings.Join(lines, "\n"))
}

// longest is how long a message of a condition or an event may be; the API server takes
// 32,768 for the one, and 1,024 for the other.
const longest = 1024

func shorten(text string) string {
	if len(text) <= longest {
		return text
	}
	return strings.ToValidUTF8(text[:longest-len("…")], "") + "…"
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

// setCondition sets a condition, with a message that is never empty.
func setCondition(list *[]metav1.Condition, generation int64, kind string, status metav1.ConditionStatus, reason, message string) {
	meta.SetStatusCondition(list, metav1.Condition{
		Type: kind, Status: status, Reason: cmp.Or(reason, "Unknown"), Message: cmp.Or(shorten(message), reason), ObservedGeneration: generation,
	})
}
