//go:build cluster

package cluster_test

import (
	"os"
	"strings"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sallyport-dev/sallyport/internal/testkit/kube"
)

// gatewayAPI is held by tests that need the Gateway API to be there, and for writing by one that needs it to be away.
var gatewayAPI sync.RWMutex

// withGatewayAPI installs it for as long as the test runs, or longer.
func withGatewayAPI(t *testing.T) {
	t.Helper()
	gatewayAPI.RLock()
	t.Cleanup(gatewayAPI.RUnlock)
	for _, kind := range []string{"Gateway", "HTTPRoute"} {
		install(t, kind)
	}
}

// install installs a kind of the Gateway API, and waits until the API server serves it.
func install(t *testing.T, kind string) {
	t.Helper()
	text, err := os.ReadFile("testdata/gateway-api.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range kube.Documents(t, string(text)) {
		if name, _, _ := unstructured.NestedString(o.Object, "spec", "names", "kind"); name != kind {
			continue
		}
		if _, err := plane.TryApply(t, "", o); err != nil {
			t.Fatal(err)
		}
		plane.Eventually(t, "the kind is served", kube.RefOf(o), func(o *kube.Object) bool {
			short, _ := condition(o, "Established")
			return strings.HasPrefix(short, "True")
		})
	}
}

// uninstall removes a kind, with all its objects.
func uninstall(t *testing.T, plural string) {
	t.Helper()
	r := kube.Ref{APIVersion: "apiextensions.k8s.io/v1", Kind: "CustomResourceDefinition", Name: plural + ".gateway.networking.k8s.io"}
	if err := plane.Delete(t, r); err != nil && !kube.IsNotFound(err) {
		t.Fatal(err)
	}
	plane.Eventually(t, "the kind is gone", r, func(o *kube.Object) bool { return o == nil })
}

const routed = `
apiVersion: sallyport.dev/v1alpha1
kind: MCPRemoteProxy
metadata: {name: docs}
spec:
  remoteUrl: https://mcp.example.com/mcp
  gateway:
    parentRefs: [{name: public, sectionName: https}]
    hostnames: [docs.example.com]
    pathPrefix: /team-a
    annotations: {example.com/team: a}
`

// A resource with a route works where there is no Gateway API, and says what it lacks; the route is made as soon as the
// API is there, is told as the Gateway judges it, is mended, and goes with its field. What goes away is noticed too.
//
// REQ B-11, B-13
func TestOperatorRoute(t *testing.T) {
	t.Parallel()
	gatewayAPI.Lock()
	t.Cleanup(gatewayAPI.Unlock)
	uninstall(t, "httproutes")
	uninstall(t, "gateways")
	namespace := plane.Namespace(t)
	plane.StartNode(t, namespace, map[string]kube.Image{image: gatewayImage(t)})
	operator := keep(t, namespace)
	plane.Apply(t, namespace, routed)
	proxy := resource("MCPRemoteProxy", namespace, "docs")
	external := func(o *kube.Object) string {
		text, _, _ := unstructured.NestedString(o.Object, "status", "externalUrl")
		return text
	}

	if _, message := await(t, proxy, "RouteAccepted", "False GatewayAPIMissing"); !strings.Contains(message, "install the Gateway API") {
		t.Errorf("nothing says what to do: %s", message)
	}
	await(t, proxy, "Ready", "True PodsReady")
	install(t, "Gateway") // that alone is not enough
	operator.looked(t, 6)
	await(t, proxy, "RouteAccepted", "False GatewayAPIMissing")
	if n := strings.Count(operator.log.String(), "\n"); n > 100 {
		t.Errorf("the operator has written %d lines", n)
	}

	install(t, "HTTPRoute")
	o, _ := await(t, proxy, "RouteAccepted", "Unknown NotTold")
	route := owned(t, "gateway.networking.k8s.io/v1", "HTTPRoute", namespace, o)
	if route.GetAnnotations()["example.com/team"] != "a" {
		t.Errorf("annotations %v", route.GetAnnotations())
	}
	rules, _, _ := unstructured.NestedSlice(route.Object, "spec", "rules")
	for _, r := range rules {
		if timeout, _, _ := unstructured.NestedString(r.(map[string]any), "timeouts", "request"); timeout != "0s" {
			t.Errorf("a rule ends requests after %q", timeout)
		}
	}
	if len(rules) != 3 {
		t.Errorf("%d rules, want one for what is at the host, and one for each path that a prefix is taken off", len(rules))
	}

	plane.Apply(t, namespace, `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: public}
spec:
  gatewayClassName: tests
  listeners: [{name: http, port: 80, protocol: HTTP}, {name: https, port: 8443, protocol: HTTPS, hostname: "*.example.com"}]
`)
	says := func(status, reason string) {
		t.Helper()
		o, err := plane.Get(t, kube.RefOf(route))
		if err != nil {
			t.Fatal(err)
		}
		r := kube.RefOf(route)
		r.Subresource = "status"
		if _, err := plane.Patch(t, r, map[string]any{"status": map[string]any{"parents": []any{map[string]any{
			"parentRef": map[string]any{"name": "public", "sectionName": "https"}, "controllerName": "example.com/tests",
			"conditions": []any{map[string]any{
				"type": "Accepted", "status": status, "reason": reason, "message": "says the test", "observedGeneration": o.GetGeneration(), "lastTransitionTime": "2026-01-01T00:00:00Z",
			}},
		}}}}); err != nil {
			t.Fatal(err)
		}
	}
	says("True", "Accepted")
	o, _ = await(t, proxy, "RouteAccepted", "True Accepted")
	if got := external(o); got != "https://docs.example.com:8443/team-a/servers/docs/mcp" {
		t.Errorf("status.externalUrl is %s", got)
	}
	says("False", "NotAllowedByListeners")
	o, message := await(t, proxy, "RouteAccepted", "False NotAllowedByListeners")
	if external(o) != "" || !strings.Contains(message, "says the test") {
		t.Errorf("refused, status.externalUrl is %q, and the message %s", external(o), message)
	}
	says("True", "Accepted")
	await(t, proxy, "RouteAccepted", "True Accepted")
	await(t, proxy, "Ready", "True PodsReady")

	mark := plane.Mark(t)
	operator.looked(t, 6)
	if all := writes(t, namespace, mark); len(all) > 0 {
		t.Errorf("though nothing has changed, written:\n%s", strings.Join(all, "\n"))
	}
	if _, err := plane.Patch(t, kube.RefOf(route), map[string]any{"spec": map[string]any{"hostnames": []any{"other.example.com"}}}); err != nil {
		t.Fatal(err)
	}
	plane.Eventually(t, "the route is mended", kube.RefOf(route), func(o *kube.Object) bool {
		hosts, _, _ := unstructured.NestedStringSlice(o.Object, "spec", "hostnames")
		return len(hosts) == 1 && hosts[0] == "docs.example.com"
	})

	of := func(gateway any) {
		t.Helper()
		if _, err := plane.Patch(t, proxy, map[string]any{"spec": map[string]any{"gateway": gateway}}); err != nil {
			t.Fatal(err)
		}
	}
	of(nil)
	plane.Eventually(t, "the route is gone", kube.RefOf(route), func(o *kube.Object) bool { return o == nil })
	plane.Eventually(t, "nothing is said of a route", proxy, func(o *kube.Object) bool {
		short, _ := condition(o, "RouteAccepted")
		return short == "" && external(o) == ""
	})
	of(map[string]any{"parentRefs": []any{map[string]any{"name": "public"}}, "hostnames": []any{"docs.example.com"}})
	await(t, proxy, "RouteAccepted", "Unknown NotTold")
	uninstall(t, "httproutes")
	await(t, proxy, "RouteAccepted", "False GatewayAPIMissing")
	await(t, proxy, "Ready", "True PodsReady")
	install(t, "HTTPRoute")
	await(t, proxy, "RouteAccepted", "Unknown NotTold")
}

// One route leads to all that an MCPGateway serves: each says its address, and no member has a route of its own.
//
// REQ B-11, B-13
func TestOperatorSharedRoute(t *testing.T) {
	t.Parallel()
	withGatewayAPI(t)
	namespace := plane.Namespace(t)
	backend := newBackend(t)
	plane.StartNode(t, namespace, map[string]kube.Image{image: gatewayImage(t)})
	operator := keep(t, namespace)
	plane.Apply(t, namespace, `
apiVersion: sallyport.dev/v1alpha1
kind: MCPGateway
metadata: {name: all}
spec: {gateway: {parentRefs: [{name: public}], hostnames: [tools.example.com]}}
`+guest("docs", backend.url, "all")+guest("search", backend.url, "all"))
	gateway := resource("MCPGateway", namespace, "all")
	served(t, gateway, 2, 0)
	o, _ := await(t, gateway, "RouteAccepted", "Unknown NotTold")
	route := owned(t, "gateway.networking.k8s.io/v1", "HTTPRoute", namespace, o)
	await(t, resource("MCPRemoteProxy", namespace, "docs"), "RouteAccepted", "Unknown NotTold")
	if n := len(plane.List(t, kube.Ref{APIVersion: "gateway.networking.k8s.io/v1", Kind: "HTTPRoute", Namespace: namespace})); n != 1 {
		t.Errorf("there are %d routes", n)
	}
	accept(t, route, "public")
	for _, name := range []string{"docs", "search"} {
		want := "https://tools.example.com/servers/" + name + "/mcp"
		plane.Eventually(t, name+" says its address", resource("MCPRemoteProxy", namespace, name), func(o *kube.Object) bool {
			text, _, _ := unstructured.NestedString(o.Object, "status", "externalUrl")
			return text == want
		})
	}
	operator.stop(t)
	mark := plane.Mark(t)
	operator = keep(t, namespace)
	operator.looked(t, 12)
	for _, w := range writes(t, namespace, mark) {
		if strings.Contains(w, "httproutes") {
			t.Errorf("a new operator writes: %s", w)
		}
	}
	_, err := plane.TryApply(t, namespace, kube.Documents(t, `
apiVersion: sallyport.dev/v1alpha1
kind: MCPRemoteProxy
metadata: {name: docs}
spec: {remoteUrl: "https://mcp.example.com/mcp", gatewayRef: {name: all}, gateway: {parentRefs: [{name: public}], hostnames: [docs.example.com]}}
`)[0], "dryRun=All")
	if err == nil || !strings.Contains(err.Error(), "the MCPGateway has the field too") {
		t.Errorf("a route beside that of the MCPGateway: %v", err)
	}
	if _, err := plane.Patch(t, gateway, map[string]any{"spec": map[string]any{"gateway": nil}}); err != nil {
		t.Fatal(err)
	}
	plane.Eventually(t, "the route is gone", kube.RefOf(route), func(o *kube.Object) bool { return o == nil })
	plane.Eventually(t, "nothing is said of it", resource("MCPRemoteProxy", namespace, "docs"), func(o *kube.Object) bool {
		short, _ := condition(o, "RouteAccepted")
		return short == ""
	})
}

// accept has a Gateway take a route.
func accept(t *testing.T, route *kube.Object, gateway string) {
	t.Helper()
	o, err := plane.Get(t, kube.RefOf(route))
	if err != nil {
		t.Fatal(err)
	}
	r := kube.RefOf(route)
	r.Subresource = "status"
	if _, err := plane.Patch(t, r, map[string]any{"status": map[string]any{"parents": []any{map[string]any{
		"parentRef": map[string]any{"name": gateway}, "controllerName": "example.com/tests",
		"conditions": []any{map[string]any{
			"type": "Accepted", "status": "True", "reason": "Accepted", "message": "says the test", "observedGeneration": o.GetGeneration(), "lastTransitionTime": "2026-01-01T00:00:00Z",
		}},
	}}}}); err != nil {
		t.Fatal(err)
	}
}
