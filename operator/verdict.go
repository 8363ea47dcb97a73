package operator

import (
	"cmp"
	"maps"
	"net/url"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
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

// addresses are what the gateway may connect to for the resource, beside DNS.
func (g *gathered) addresses() []*url.URL {
	var all []*url.URL
	for _, o := range g.set.Objects {
		eachAddress("", o.Raw["spec"], func(text string) {
			u, err := url.Parse(text)
			if err == nil && u.Host != "" && u.Opaque == "" {
				all = append(all, u)
			}
		})
	}
	return all
}

// eachAddress calls found for every text that is an address: one of HTTP, or the host and
// port of a server of Redis. name is the field that v stands in.
func eachAddress(name string, v any, found func(string)) {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			eachAddress(k, v[k], found)
		}
	case []any:
		for _, item := range v {
			eachAddress(name, item, found)
		}
	case string:
		switch {
		case strings.HasPrefix(v, "http://") || strings.HasPrefix(v, "https://"):
			found(v)
		case name == "addr" || name == "sentinelAddrs":
			found("redis://" + v)
		}
	}
}

// setCondition sets a condition, with a message that is never empty.
func setCondition(list *[]metav1.Condition, generation int64, kind string, status metav1.ConditionStatus, reason, message string) {
	meta.SetStatusCondition(list, metav1.Condition{
		Type: kind, Status: status, Reason: cmp.Or(reason, "Unknown"), Message: cmp.Or(shorten(message), reason), ObservedGeneration: generation,
	})
}

// variables are those that hold client secrets of upstream providers, for the gateway's
// container (REQ D-5): by provider, whatever their order.
func (g *gathered) variables() map[string]v1alpha1.SecretKeyRef {
	all := map[string]v1alpha1.SecretKeyRef{}
	for _, cfg := range manifest.All[v1alpha1.MCPExternalAuthConfig](g.set) {
		addVariables(all, cfg.Value.Spec.EmbeddedAuthServer)
	}
	for _, v := range manifest.All[v1alpha1.VirtualMCPServer](g.set) {
		addVariables(all, v.Value.Spec.AuthServerConfig)
	}
	return all
}

func addVariables(all map[string]v1alpha1.SecretKeyRef, server *v1alpha1.EmbeddedAuthServer) {
	if server == nil {
		return
	}
	names, err := server.UpstreamProviders.Names()
	if err != nil {
		return // the plan says so
	}
	for i := range server.UpstreamProviders {
		switch p := &server.UpstreamProviders[i]; {
		case p.OIDCConfig != nil && p.OIDCConfig.ClientSecretRef != nil:
			all[v1alpha1.UpstreamSecretEnv(names[i])] = *p.OIDCConfig.ClientSecretRef
		case p.OAuth2Config != nil && p.OAuth2Config.ClientSecretRef != nil:
			all[v1alpha1.UpstreamSecretEnv(names[i])] = *p.OAuth2Config.ClientSecretRef
		}
	}
}
