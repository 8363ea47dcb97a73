package render

import (
	"net/url"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
)

// HTTPRoute is the kind of the Gateway API that routes are of.
var HTTPRoute = schema.GroupVersionKind{Group: "gateway.networking.k8s.io", Version: "v1", Kind: "HTTPRoute"}

// Route leads clients outside a cluster from Gateways to a Service of gateway pods.
type Route struct {
	Meta    metav1.ObjectMeta
	Spec    *v1alpha1.GatewayRoute
	Service string
	Port    int32
	Served  string   // path that the endpoints stand below, like /servers/docs
	Issuers []string // of the authorization servers that the pods are, too
	Keys    []string // paths of key sets that others fetch
}

// The well-known addresses that clients begin with (RFC 9728, RFC 8414, OpenID Connect
// Discovery), and what the documents there lead to below the issuer's path.
const (
	resourceMetadata = "/.well-known/oauth-protected-resource"
	issuerKeys       = "/.well-known/jwks.json"
	issuerEndpoints  = "/oauth"
)

// mostMatches is how many a rule may have, and issuerPaths how many one issuer adds.
const (
	mostMatches = 64
	issuerPaths = 6
)

var issuerMetadata = []string{"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"}

// Object is the HTTPRoute. Of a host there are those paths alone that clients need, so
// that several resources can share one; and no request has a time limit, since event
// streams are requests.
func (r *Route) Object() Object {
	var rules []any
	var matches []any
	match := func(kind, path string) {
		matches = append(matches, map[string]any{"path": map[string]any{"type": kind, "value": path}})
	}
	rule := func(filters ...any) {
		one := map[string]any{
			"matches":     matches,
			"backendRefs": []any{map[string]any{"name": r.Service, "port": int64(r.Port)}},
			"timeouts":    map[string]any{"request": "0s"},
		}
		if len(filters) > 0 {
			one["filters"] = filters
		}
		rules, matches = append(rules, one), nil
	}
	prefix := string(r.Spec.PathPrefix)
	match("PathPrefix", resourceMetadata+prefix+r.Served)
	if prefix == "" {
		match("PathPrefix", r.Served)
	}
	for _, text := range once(r.Issuers) {
		u, err := url.Parse(text)
		if err != nil || !slices.Contains(r.Spec.Hostnames, v1alpha1.RouteHost(u.Hostname())) {
			continue
		}
		if len(matches)+issuerPaths > mostMatches {
			rule()
		}
		issuer(u, match)
	}
	for _, path := range once(r.Keys) {
		if len(matches) == mostMatches {
			rule()
		}
		match("Exact", path)
	}
	rule()
	if prefix != "" { // what is taken off is what was matched, so that each has a rule of its own
		for _, whole := range []string{r.Served, resourceMetadata + r.Served} {
			match("PathPrefix", prefix+whole)
			rule(map[string]any{"type": "URLRewrite", "urlRewrite": map[string]any{
				"path": map[string]any{"type": "ReplacePrefixMatch", "replacePrefixMatch": whole},
			}})
		}
	}
	u := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{
		"parentRefs": r.parents(), "hostnames": anys(r.Spec.Hostnames), "rules": rules,
	}}}
	u.SetGroupVersionKind(HTTPRoute)
	meta := r.Meta
	override(&meta, &r.Spec.Overrides)
	u.SetName(meta.Name)
	u.SetNamespace(meta.Namespace)
	u.SetLabels(meta.Labels)
	u.SetAnnotations(meta.Annotations)
	u.SetOwnerReferences(meta.OwnerReferences)
	return u
}

// once are texts in a fixed order, each once.
func once(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}

// issuer are the paths of an authorization server.
func issuer(u *url.URL, match func(kind, path string)) {
	match("PathPrefix", u.Path+issuerEndpoints)
	match("Exact", u.Path+issuerKeys)
	for _, document := range issuerMetadata {
		match("Exact", document+u.Path)
		if u.Path != "" {
			match("Exact", u.Path+document)
		}
	}
}

func (r *Route) parents() (all []any) {
	for _, p := range r.Spec.ParentRefs {
		one := map[string]any{"group": HTTPRoute.Group, "kind": "Gateway", "name": string(p.Name)}
		if p.Namespace != "" {
			one["namespace"] = p.Namespace
		}
		if p.SectionName != "" {
			one["sectionName"] = p.SectionName
		}
		if p.Port != 0 {
			one["port"] = int64(p.Port)
		}
		all = append(all, one)
	}
	return all
}

func anys[T ~string](list []T) (all []any) {
	for _, v := range list {
		all = append(all, string(v))
	}
	return all
}
