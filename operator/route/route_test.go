package route

import (
	"context"
	"errors"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/operator/render"
)

func routedBy(parents ...v1alpha1.RouteParent) *Outside {
	return &Outside{Spec: &v1alpha1.GatewayRoute{ParentRefs: parents, Hostnames: []v1alpha1.RouteHost{"mcp.example.com"}, Scheme: "https"}}
}

// What Gateways say of a route, as its condition.
func TestAcceptance(t *testing.T) {
	t.Parallel()
	said := func(name string, conditions ...any) any {
		return map[string]any{"parentRef": map[string]any{"name": name, "namespace": "infra"}, "conditions": conditions}
	}
	cond := func(kind, status, reason string, generation int64) any {
		return map[string]any{"type": kind, "status": status, "reason": reason, "message": "so it is", "observedGeneration": generation}
	}
	both := []v1alpha1.RouteParent{{Name: "a", Namespace: "infra"}, {Name: "b", Namespace: "infra"}}
	for name, c := range map[string]struct {
		parents        []v1alpha1.RouteParent
		status         []any
		want, contains string
		accepted       bool
	}{
		"nobody":                {both[:1], nil, "Unknown NotTold", "Gateway infra/a has not said", false},
		"accepted":              {both[:1], []any{said("a", cond("Accepted", "True", "Accepted", 2))}, "True Accepted", "Gateway infra/a takes the route", true},
		"without a generation":  {both[:1], []any{said("a", cond("Accepted", "True", "Accepted", 0))}, "True Accepted", "takes", true},
		"of the one before":     {both[:1], []any{said("a", cond("Accepted", "True", "Accepted", 1))}, "Unknown NotTold", "not said", false},
		"refused":               {both[:1], []any{said("a", cond("Accepted", "False", "NotAllowedByListeners", 2))}, "False NotAllowedByListeners", "so it is", false},
		"to nothing":            {both[:1], []any{said("a", cond("Accepted", "True", "Accepted", 2), cond("ResolvedRefs", "False", "BackendNotFound", 2))}, "False BackendNotFound", "so it is", false},
		"another Gateway":       {both[:1], []any{said("b", cond("Accepted", "True", "Accepted", 2))}, "Unknown NotTold", "infra/a", false},
		"one of two":            {both, []any{said("b", cond("Accepted", "True", "Accepted", 2))}, "Unknown NotTold", "Gateway infra/b takes", true},
		"one takes, one won't":  {both, []any{said("a", cond("Accepted", "False", "NoMatchingParent", 2)), said("b", cond("Accepted", "True", "Accepted", 2))}, "False NoMatchingParent", "Gateway infra/b takes", true},
		"refused beats nothing": {both, []any{said("b", cond("Accepted", "False", "NoMatchingParent", 2))}, "False NoMatchingParent", "infra/a has not said", false},
	} {
		live := New()
		live.SetNamespace("team")
		live.SetGeneration(2)
		live.Object["status"] = map[string]any{"parents": c.status}
		status, reason, message, accepted := Acceptance(routedBy(c.parents...), live)
		if got := string(status) + " " + reason; got != c.want || accepted != c.accepted || !strings.Contains(message, c.contains) {
			t.Errorf("%s: %s, accepted %t: %s", name, got, accepted, message)
		}
	}
}

// The address that clients are told has the scheme and port of the Gateway's listener, as far as it can be read.
func TestListener(t *testing.T) {
	t.Parallel()
	listeners := func(list ...any) client.Object {
		u := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"listeners": list}}}
		u.SetGroupVersionKind(render.HTTPRoute.GroupVersion().WithKind("Gateway"))
		u.SetNamespace("infra")
		u.SetName("public")
		return u
	}
	one := func(name, protocol string, port int64, host string) any {
		return map[string]any{"name": name, "protocol": protocol, "port": port, "hostname": host}
	}
	forbidden := apierrors.NewForbidden(schema.GroupResource{Group: render.HTTPRoute.Group, Resource: "gateways"}, "public", errors.New("no right"))
	for name, c := range map[string]struct {
		gateway client.Object
		fails   error
		parent  v1alpha1.RouteParent
		scheme  string // of the resource
		want    string
	}{
		"https":                     {listeners(one("web", "HTTP", 80, ""), one("tls", "HTTPS", 443, "")), nil, v1alpha1.RouteParent{}, "", "https://mcp.example.com/x"},
		"another port":              {listeners(one("tls", "HTTPS", 8443, "*.example.com")), nil, v1alpha1.RouteParent{}, "", "https://mcp.example.com:8443/x"},
		"http":                      {listeners(one("web", "HTTP", 80, "mcp.example.com")), nil, v1alpha1.RouteParent{}, "", "http://mcp.example.com/x"},
		"the listener that it says": {listeners(one("web", "HTTP", 8080, ""), one("tls", "HTTPS", 443, "")), nil, v1alpha1.RouteParent{SectionName: "web"}, "", "http://mcp.example.com:8080/x"},
		"the port that it says":     {listeners(one("web", "HTTP", 8080, ""), one("tls", "HTTPS", 443, "")), nil, v1alpha1.RouteParent{Port: 8080}, "", "http://mcp.example.com:8080/x"},
		"of another host":           {listeners(one("web", "HTTP", 80, "*.example.org")), nil, v1alpha1.RouteParent{}, "", "https://mcp.example.com/x"},
		"the manifest's scheme":     {listeners(one("web", "HTTP", 80, "")), nil, v1alpha1.RouteParent{}, "http", "http://mcp.example.com/x"},
		"no such Gateway":           {nil, nil, v1alpha1.RouteParent{}, "", "https://mcp.example.com/x"},
		"no right":                  {nil, forbidden, v1alpha1.RouteParent{}, "", "https://mcp.example.com/x"},
		"no Gateway API":            {nil, &meta.NoKindMatchError{}, v1alpha1.RouteParent{}, "", "https://mcp.example.com/x"},
	} {
		var objects []client.Object
		if c.gateway != nil {
			objects = append(objects, c.gateway)
		}
		direct := reader(objects...)
		if c.fails != nil {
			direct = failing{direct, c.fails}
		}
		c.parent.Name, c.parent.Namespace = "public", "infra"
		spec := routedBy(c.parent).Spec
		spec.Scheme = c.scheme
		out, err := Read(t.Context(), direct, "team", spec)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := out.Address("/x"); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	direct := failing{reader(), apierrors.NewTimeoutError("slow", 1)}
	if _, err := Read(t.Context(), direct, "team", routedBy(v1alpha1.RouteParent{Name: "public"}).Spec); err == nil {
		t.Error("a Gateway that could not be read this once makes the pods say something else")
	}
}

// reader is of a cluster with these objects.
func reader(objects ...client.Object) client.Reader {
	return fake.NewClientBuilder().WithScheme(runtime.NewScheme()).WithObjects(objects...).Build()
}

// failing reads nothing.
type failing struct {
	client.Reader
	err error
}

func (f failing) Get(context.Context, client.ObjectKey, client.Object, ...client.GetOption) error {
	return f.err
}

func (f failing) List(context.Context, client.ObjectList, ...client.ListOption) error { return f.err }

// Whether there are HTTPRoutes is known from the answer of who would have to give them.
func TestRoutesAreAskedFor(t *testing.T) {
	t.Parallel()
	resource := schema.GroupResource{Group: render.HTTPRoute.Group, Resource: "httproutes"}
	for name, c := range map[string]struct {
		err   error
		want  State
		fails bool
	}{
		"no such group":  {&meta.NoKindMatchError{}, Absent, false},
		"no such kind":   {apierrors.NewNotFound(resource, ""), Absent, false},
		"no right":       {apierrors.NewForbidden(resource, "", errors.New("no right")), Forbidden, false},
		"no answer":      {apierrors.NewTimeoutError("slow", 1), Unknown, true},
		"there are some": {nil, There, false},
	} {
		r := &Watch{Config: Config{Direct: reader()}}
		if c.err != nil {
			r.Direct = failing{r.Direct, c.err}
		}
		state, why, err := r.ask(t.Context())
		if state != c.want || (err != nil) != c.fails || (why != "") != (c.want == Forbidden) {
			t.Errorf("%s: %s, %q, %v", name, state, why, err)
		}
	}
}
