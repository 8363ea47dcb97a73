package operator

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/operator/render"
	"github.com/sallyport-dev/sallyport/operator/route"
	"github.com/sallyport-dev/sallyport/operator/sharing"
)

// A route that cannot be made costs its resource nothing else.
func TestResourceWithoutRoute(t *testing.T) {
	t.Parallel()
	c := newCluster(t, proxy("docs", func(s *v1alpha1.MCPRemoteProxySpec) {
		s.Gateway = &v1alpha1.GatewayRoute{ParentRefs: []v1alpha1.RouteParent{{Name: "public"}}, Hostnames: []v1alpha1.RouteHost{"mcp.example.com"}}
	}))
	for _, step := range []struct {
		routes route.Known
		want   string
	}{
		{route.Known{}, ""},
		{route.Known{State: route.Absent}, "False GatewayAPIMissing"},
		{route.Known{State: route.Forbidden, Why: "no right"}, "False Forbidden"},
		{route.Known{State: route.There, Reader: c.store()}, "Unknown NotTold"},
	} {
		c.routes = route.Fixed(step.routes)
		c.mustLook("MCPRemoteProxy", "docs")
		if got, message := c.condition("docs", route.Condition); got != step.want {
			t.Errorf("the condition is %s, want %s: %s", got, step.want, message)
		}
		if got, _ := c.condition("docs", conditionAuth); got != "True Configured" {
			t.Errorf("the rest is %s", got)
		}
	}
	if err := c.store().Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "docs-proxy"}, route.New()); err != nil {
		t.Error(err)
	}
	p := read(c, "docs", &v1alpha1.MCPRemoteProxy{})
	p.Spec.Gateway = nil
	if err := c.store().Update(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	c.mustLook("MCPRemoteProxy", "docs")
	if got, _ := c.condition("docs", route.Condition); got != "" {
		t.Errorf("without gateway: %s", got)
	}
	if err := c.store().Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "docs-proxy"}, route.New()); !apierrors.IsNotFound(err) {
		t.Errorf("the route is left: %v", err)
	}
}

// toThem is the route to a resource's pods; nil for none.
func (c *cluster) toThem(name string) *unstructured.Unstructured {
	c.Helper()
	live := route.New()
	err := c.store().Get(c.Context(), client.ObjectKey{Namespace: namespace, Name: name}, live)
	if client.IgnoreNotFound(err) != nil {
		c.Fatal(err)
	}
	if err != nil {
		return nil
	}
	return live
}

// taken has the Gateway take a route.
func (c *cluster) taken(name string) {
	c.Helper()
	live := c.toThem(name)
	live.Object["status"] = map[string]any{"parents": []any{map[string]any{
		"parentRef":  map[string]any{"name": "public"},
		"conditions": []any{map[string]any{"type": "Accepted", "status": "True", "reason": "Accepted", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}},
	}}}
	if err := c.store().Update(c.Context(), live); err != nil {
		c.Fatal(err)
	}
}

func publicly(hosts ...v1alpha1.RouteHost) *v1alpha1.GatewayRoute {
	return &v1alpha1.GatewayRoute{ParentRefs: []v1alpha1.RouteParent{{Name: "public"}}, Hostnames: hosts}
}

// One route leads to all that an MCPGateway serves; each says its address there, and its pods know the host.
func TestSharedRoute(t *testing.T) {
	t.Parallel()
	all := gateway("all")
	all.Spec.Gateway = publicly("mcp.example.com")
	all.Spec.Gateway.PathPrefix = "/team"
	people := signIn("people")
	c := newCluster(t, all, proxy("docs", at("all")), proxy("search", at("all"), func(s *v1alpha1.MCPRemoteProxySpec) { s.AuthServerRef = &v1alpha1.AuthServerRef{Name: "people"} }), people)
	c.routes = route.Fixed(route.Known{State: route.There, Reader: c.store()})
	look := func() {
		t.Helper()
		c.mustLook("MCPRemoteProxy", "docs")
		c.mustLook("MCPRemoteProxy", "search")
		c.quiet()
		c.mustLook("MCPGateway", "all")
		c.mustLook("MCPRemoteProxy", "docs")
		c.mustLook("MCPRemoteProxy", "search")
	}
	look()
	if text := read(c, "all-shared-0", &corev1.ConfigMap{}).Data["mcpremoteproxy.docs.yaml"]; !strings.Contains(text, "mcp.example.com") {
		t.Errorf("the pods do not know the host: %s", text)
	}
	if got, message := c.condition("docs", route.Condition); got != "Unknown NotYetServed" {
		t.Errorf("before it is served: %s: %s", got, message)
	}
	to := c.toThem("all-shared")
	if to == nil || c.toThem("docs-proxy") != nil {
		t.Fatal("there is no route to all, or there is one for each")
	}
	text := fmt.Sprint(to.Object["spec"])
	for _, want := range []string{"all-shared", "value:/team/servers]", "replacePrefixMatch:/servers ", "value:/.well-known/oauth-protected-resource/team/servers]", "value:/oauth]", "value:/.well-known/oauth-authorization-server]"} {
		if !strings.Contains(text+" ", want) {
			t.Errorf("the route has no %s: %s", want, text)
		}
	}
	c.ready("all-shared")
	c.serves("all")
	look()
	if got, message := c.condition("docs", route.Condition); got != "Unknown NotTold" || !strings.HasPrefix(message, "by the route of MCPGateway all: ") {
		t.Errorf("before a Gateway takes it: %s: %s", got, message)
	}
	c.taken("all-shared")
	look()
	if got := read(c, "all", &v1alpha1.MCPGateway{}).Status.ExternalURL; got != "https://mcp.example.com/team" {
		t.Errorf("the gateway's address is %s", got)
	}
	for _, name := range []string{"docs", "search"} {
		if got := read(c, name, &v1alpha1.MCPRemoteProxy{}).Status.ExternalURL; got != "https://mcp.example.com/team/servers/"+name+"/mcp" {
			t.Errorf("the address of %s is %s", name, got)
		}
	}
	before := c.writes.Load()
	c.sharing = sharing.Sharing{Now: c.sharing.Now} // a new operator
	c.mustLook("MCPGateway", "all")
	look()
	if n := c.writes.Load() - before; n != 0 {
		t.Errorf("%d writes though nothing changed", n)
	}

	c.routes = route.Fixed(route.Known{State: route.Absent})
	look()
	if got, _ := c.condition("docs", route.Condition); got != "False GatewayAPIMissing" || read(c, "docs", &v1alpha1.MCPRemoteProxy{}).Status.ExternalURL != "" {
		t.Errorf("without the Gateway API: %s", got)
	}
	c.routes = route.Fixed(route.Known{State: route.There, Reader: c.store()})
	all = read(c, "all", all)
	all.Spec.Gateway = nil
	if err := c.store().Update(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	look()
	if got, _ := c.condition("docs", route.Condition); got != "" || c.toThem("all-shared") != nil {
		t.Errorf("without gateway: %s, the route %v", got, c.toThem("all-shared"))
	}
}

// A resource that moves to an MCPGateway keeps its own route until that serves it. Where TLS is spoken there, it says what
// becomes of its old Service, and the route says what the Gateway needs.
func TestRouteMovesToASharedGateway(t *testing.T) {
	t.Parallel()
	all := gateway("all")
	all.Spec.Gateway, all.Spec.TLS = publicly("mcp.example.com"), &v1alpha1.GatewayTLS{SecretName: "tls"}
	c := newCluster(t, all, proxy("docs", func(s *v1alpha1.MCPRemoteProxySpec) { s.Gateway = publicly("docs.example.com") }),
		&corev1.Secret{ObjectMeta: objectMeta("tls"), Data: map[string][]byte{"tls.crt": []byte("x"), "tls.key": []byte("x")}})
	c.routes = route.Fixed(route.Known{State: route.There, Reader: c.store()})
	look := func() {
		t.Helper()
		c.mustLook("MCPRemoteProxy", "docs")
		c.quiet()
		c.mustLook("MCPGateway", "all")
		c.mustLook("MCPRemoteProxy", "docs")
	}
	look()
	c.ready("docs-proxy")
	p := read(c, "docs", &v1alpha1.MCPRemoteProxy{})
	p.Spec.Gateway = nil
	at("all")(&p.Spec)
	if err := c.store().Update(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	look()
	if c.toThem("docs-proxy") == nil {
		t.Error("its route is gone before the gateway serves it")
	}
	c.ready("all-shared")
	c.serves("all")
	look()
	if c.toThem("docs-proxy") != nil {
		t.Error("its own route is left")
	}
	if got, message := c.condition("docs", conditionGateway); got != "True Served" || !strings.Contains(message, "its old Service docs-proxy leads there too, where TLS is spoken") {
		t.Errorf("%s: %s", got, message)
	}
	if protocol := read(c, "docs-proxy", &corev1.Service{}).Spec.Ports[0].AppProtocol; protocol == nil || *protocol != "https" {
		t.Errorf("its Service leads to TLS, and says %v", protocol)
	}
	g := read(c, "all", &v1alpha1.MCPGateway{})
	if cond := meta.FindStatusCondition(g.Status.Conditions, route.Condition); cond == nil || !strings.Contains(cond.Message, "BackendTLSPolicy for Service all-shared") {
		t.Errorf("the route says nothing of TLS: %v", cond)
	}
}

// However many issuers there are, no rule of a route has more matches than the Gateway API takes.
func TestRouteToManyIssuers(t *testing.T) {
	t.Parallel()
	gw := &render.Gateway{Kind: "MCPGateway", Namespace: namespace, Name: "all", Port: 8080, Shared: &render.Shared{}}
	for i := range 20 {
		gw.Issuers = append(gw.Issuers, fmt.Sprintf("https://mcp.example.com/login/%d", i), "https://elsewhere.example.com")
		gw.Keys = append(gw.Keys, "/.well-known/sallyport/a/jwks.json")
	}
	u := gw.Route(publicly("mcp.example.com")).Object().(*unstructured.Unstructured)
	rules, _, _ := unstructured.NestedSlice(u.Object, "spec", "rules")
	n := 0
	for _, r := range rules {
		matches := r.(map[string]any)["matches"].([]any)
		if n += len(matches); len(matches) > 64 || len(matches) == 0 {
			t.Errorf("a rule has %d matches", len(matches))
		}
	}
	if n != 2+20*6+1 {
		t.Errorf("%d matches in %d rules", n, len(rules))
	}
}
