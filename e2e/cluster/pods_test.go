//go:build cluster

package cluster_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sallyport-dev/sallyport/internal/testkit/kube"
)

// A server with several pods is reached at each by its own address; as many are made as the manifest says, and without
// the field it is as before.
func TestOperatorServerPods(t *testing.T) {
	t.Parallel()
	namespace := plane.Namespace(t)
	keep(t, namespace)
	const document = `
apiVersion: sallyport.dev/v1alpha1
kind: MCPServer
metadata: {name: search}
spec: {image: "example.com/search:1", transport: streamable-http, mcpPort: 3000, backendReplicas: 2}
`
	plane.Apply(t, namespace, document)
	at := func(version, kind, name string) kube.Ref {
		return kube.Ref{APIVersion: version, Kind: kind, Namespace: namespace, Name: name}
	}
	reached := func(want string) {
		t.Helper()
		plane.Eventually(t, "the gateway's pods read "+want, at("v1", "ConfigMap", "search-gateway"), func(o *kube.Object) bool {
			if o == nil {
				return false
			}
			text, _, _ := unstructured.NestedString(o.Object, "data", "mcpremoteproxy.search.yaml")
			return strings.Contains(text, "//"+want+"."+namespace+".svc:3000/mcp") && strings.Contains(text, "sessionsPerAddress: true") == (want == "search-pods")
		})
	}
	reached("search-pods")
	replicas := func(o *kube.Object) int64 {
		n, _, _ := unstructured.NestedInt64(o.Object, "spec", "replicas")
		return n
	}
	deployment := plane.Eventually(t, "there are two pods", at("apps/v1", "Deployment", "search-mcp"), func(o *kube.Object) bool { return o != nil && replicas(o) == 2 })
	service, err := plane.Get(t, at("v1", "Service", "search-pods"))
	if err != nil {
		t.Fatal(err)
	}
	address, _, _ := unstructured.NestedString(service.Object, "spec", "clusterIP")
	chosen, _, _ := unstructured.NestedStringMap(service.Object, "spec", "selector")
	labels, _, _ := unstructured.NestedStringMap(deployment.Object, "spec", "template", "metadata", "labels")
	if address != "None" {
		t.Errorf("the Service has an address of its own: %s", address)
	}
	for name, value := range chosen {
		if labels[name] != value {
			t.Errorf("the Service leads to no pod of the server: %v, and they have %v", chosen, labels)
		}
	}
	budget := at("policy/v1", "PodDisruptionBudget", "search-mcp")
	if _, err := plane.Get(t, budget); err != nil {
		t.Error(err)
	}

	server := resource("MCPServer", namespace, "search")
	if _, err := plane.Patch(t, server, map[string]any{"spec": map[string]any{"backendReplicas": nil}}); err != nil {
		t.Fatal(err)
	}
	reached("search-mcp")
	plane.Eventually(t, "there is one pod behind the Service", kube.RefOf(deployment), func(o *kube.Object) bool { return replicas(o) == 1 })
	plane.Eventually(t, "the disruption budget is gone", budget, func(o *kube.Object) bool { return o == nil })
	if _, err := plane.Patch(t, kube.RefOf(deployment), map[string]any{"spec": map[string]any{"replicas": 3}}); err != nil {
		t.Fatal(err)
	}
	if _, err := plane.Patch(t, server, map[string]any{"spec": map[string]any{"backendReplicas": 1}}); err != nil {
		t.Fatal(err)
	}
	plane.Eventually(t, "there is one pod", kube.RefOf(deployment), func(o *kube.Object) bool { return replicas(o) == 1 })

	for change, want := range map[string]string{
		"transport: stdio, command: [search], backendReplicas: 2":        "over stdio one pod has a process for each session",
		"transport: streamable-http, mcpPort: 3000, backendReplicas: -1": "greater than or equal to 0",
	} {
		wrong := kube.Documents(t, strings.Replace(document, "transport: streamable-http, mcpPort: 3000, backendReplicas: 2", change, 1))[0]
		if _, err := plane.TryApply(t, namespace, wrong, "dryRun=All"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: want it refused with %q, got %v", change, want, err)
		}
	}
}
