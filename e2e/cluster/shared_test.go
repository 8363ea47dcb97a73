//go:build cluster

package cluster_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sallyport-dev/sallyport/internal/testkit"
	"github.com/sallyport-dev/sallyport/internal/testkit/kube"
)

const instance = "app.kubernetes.io/instance"

const oneForAll = `
apiVersion: sallyport.dev/v1alpha1
kind: MCPGateway
metadata: {name: all}
spec: {networkPolicy: {enabled: true}}
`

// guest is a proxy that shows a key from a Secret of its own.
func guest(name, remote, gateway string) string {
	return fmt.Sprintf(`
---
apiVersion: v1
kind: Secret
metadata: {name: %[1]s-key}
stringData: {token: %[1]s-1}
---
apiVersion: sallyport.dev/v1alpha1
kind: MCPExternalAuthConfig
metadata: {name: %[1]s-key}
spec: {type: headerInjection, headerInjection: {headerName: X-Api-Key, valueSecretRef: {name: %[1]s-key, key: token}}}
---
apiVersion: sallyport.dev/v1alpha1
kind: MCPRemoteProxy
metadata: {name: %[1]s}
spec:
  remoteUrl: %[2]s
  allowPrivateEndpoint: true
  externalAuthConfigRef: {name: %[1]s-key}
  %[3]s
`, name, remote, map[bool]string{true: "gatewayRef: {name: " + gateway + "}", false: ""}[gateway != ""])
}

// served waits until a gateway serves so many.
func served(t *testing.T, gateway kube.Ref, serving, failing int64) {
	t.Helper()
	plane.Eventually(t, fmt.Sprintf("%d are served and %d fail", serving, failing), gateway, func(o *kube.Object) bool {
		number := func(field string) int64 {
			n, _, _ := unstructured.NestedInt64(o.Object, "status", field)
			return n
		}
		return number("servingCount") == serving && number("failingCount") == failing
	})
}

// Two resources of a namespace share a gateway, and clients use both; a third that is broken costs itself; nothing is
// written where nothing changes; and a gateway in use stays.
//
// REQ B-13, B-14
func TestSharedGateway(t *testing.T) {
	t.Parallel()
	namespace := plane.Namespace(t)
	backend := testkit.StartBackend(t, testkit.Sessions)
	keyed := newBackend(t)
	node := plane.StartNode(t, namespace, map[string]kube.Image{image: gatewayImage(t)})
	operator := keep(t, namespace)
	plane.Apply(t, namespace, oneForAll+guest("docs", backend.URL, "all")+guest("search", keyed.url, "all")+guest("broken", keyed.url, "all"))
	gateway, docs, broken := resource("MCPGateway", namespace, "all"), resource("MCPRemoteProxy", namespace, "docs"), resource("MCPRemoteProxy", namespace, "broken")
	served(t, gateway, 3, 0)
	o, _ := await(t, docs, "Ready", "True PodsReady")
	await(t, docs, "GatewayRefValidated", "True Served")
	await(t, docs, "RemoteAvailable", "True Reachable")
	if at, _, _ := unstructured.NestedString(o.Object, "status", "url"); at != "http://all-shared."+namespace+".svc:8080/servers/docs/mcp" {
		t.Errorf("status.url is %s", at)
	}
	deployments := plane.List(t, kube.Ref{APIVersion: "apps/v1", Kind: "Deployment", Namespace: namespace})
	if len(deployments) != 1 || deployments[0].GetName() != "all-shared" {
		t.Fatalf("there are %d Deployments", len(deployments))
	}
	address := func() string {
		var all []string
		testkit.Eventually(t, "a pod is ready", func() bool { all = node.Addresses(instance, "all-shared", "mcp"); return len(all) > 0 })
		return "http://" + all[0]
	}
	session, err := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil).Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: address() + "/servers/docs/mcp"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "echo", Arguments: map[string]any{"text": "hello"}})
	if err != nil || !strings.Contains(fmt.Sprint(result.Content[0].(*mcp.TextContent).Text), "hello") {
		t.Errorf("the call: %v, %v", result, err)
	}
	list(t, address()+"/servers/search/mcp")
	if got := keyed.lastKey(); got != "search-1" {
		t.Errorf("the backend is shown %q", got)
	}

	// Something breaks: that goes on as it was, and others follow their changes.
	if err := plane.Delete(t, kube.Ref{APIVersion: "v1", Kind: "Secret", Namespace: namespace, Name: "broken-key"}); err != nil {
		t.Fatal(err)
	}
	await(t, broken, "AuthConfigured", "False SecretNotFound")
	served(t, gateway, 2, 1)
	_, message := await(t, gateway, "ServersServed", "False SomeFail")
	if !strings.Contains(message, "MCPRemoteProxy broken") || strings.Contains(message, "docs") {
		t.Errorf("the gateway says: %s", message)
	}
	plane.Apply(t, namespace, `{apiVersion: v1, kind: Secret, metadata: {name: search-key}, stringData: {token: search-2}}`)
	testkit.Eventually(t, "the others follow changes", func() bool {
		list(t, address()+"/servers/search/mcp")
		return keyed.lastKey() == "search-2"
	})
	list(t, address()+"/servers/broken/mcp")
	if got := keyed.lastKey(); got != "broken-1" {
		t.Errorf("of what is broken the backend is shown %q", got)
	}
	operator.stop(t)
	operator = keep(t, namespace)
	operator.looked(t, 12)
	if now, err := plane.Get(t, kube.RefOf(&deployments[0])); err != nil || now.GetGeneration() != deployments[0].GetGeneration() {
		t.Errorf("a new operator makes other pods: generation %d, then %d (%v)", deployments[0].GetGeneration(), now.GetGeneration(), err)
	}
	plane.Apply(t, namespace, `{apiVersion: v1, kind: Secret, metadata: {name: broken-key}, stringData: {token: broken-2}}`)
	served(t, gateway, 3, 0)
	operator.looked(t, 12)
	mark := plane.Mark(t)
	operator.looked(t, 12)
	for _, w := range writes(t, namespace, mark) {
		if !strings.Contains(w, "status") { // where the time of the last check is
			t.Errorf("written, though nothing changed: %s", w)
		}
	}

	if err := plane.Delete(t, gateway); err != nil {
		t.Fatal(err)
	}
	_, message = await(t, gateway, "DeletionBlocked", "True InUse")
	if !strings.Contains(message, "MCPRemoteProxy docs") {
		t.Errorf("the message names no user: %s", message)
	}
	list(t, address()+"/servers/search/mcp")
	for _, name := range []string{"docs", "search", "broken"} {
		if err := plane.Delete(t, resource("MCPRemoteProxy", namespace, name)); err != nil {
			t.Fatal(err)
		}
	}
	plane.Eventually(t, "the gateway is gone", gateway, func(o *kube.Object) bool { return o == nil })
}

// A resource moves to a gateway and back, while a client calls it all the time, wherever its status says, or at the
// Service that it has had from the beginning: no call is lost.
func TestMovingBetweenGateways(t *testing.T) {
	t.Parallel()
	namespace := plane.Namespace(t)
	backend := newBackend(t)
	node := plane.StartNode(t, namespace, map[string]kube.Image{image: gatewayImage(t)})
	keep(t, namespace)
	plane.Apply(t, namespace, oneForAll+guest("docs", backend.url, ""))
	docs := resource("MCPRemoteProxy", namespace, "docs")
	await(t, docs, "Ready", "True PodsReady")

	// call is one at a Service, as kube-proxy leads it.
	call := func(service string) error {
		s, err := plane.Get(t, kube.Ref{APIVersion: "v1", Kind: "Service", Namespace: namespace, Name: service})
		if err != nil {
			return err
		}
		selector, _, _ := unstructured.NestedStringMap(s.Object, "spec", "selector")
		pods := node.Addresses(instance, selector[instance], "mcp")
		if len(pods) == 0 {
			return fmt.Errorf("service %s has no pod that is ready: %v", service, selector)
		}
		const body = `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"test","version":"1"}}}}`
		req, err := http.NewRequest(http.MethodPost, "http://"+pods[0]+"/servers/docs/mcp", strings.NewReader(body))
		if err != nil {
			return err
		}
		for name, value := range map[string]string{
			"Content-Type": "application/json", "Accept": "application/json, text/event-stream", "Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/list",
		} {
			req.Header.Set(name, value)
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s answers %s", pods[0], resp.Status)
		}
		return nil
	}
	var calls atomic.Int64
	over := make(chan struct{})
	var calling sync.WaitGroup
	lasting := func(where func() (string, error)) {
		calling.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				service, err := where()
				if err == nil {
					err = call(service)
				}
				if err != nil {
					t.Errorf("a call at %s is lost: %v", service, err)
					return
				}
				calls.Add(1)
			}
		})
	}
	lasting(func() (string, error) { return "docs-proxy", nil })
	lasting(func() (string, error) {
		o, err := plane.Get(t, docs)
		if err != nil {
			return "", err
		}
		at, _, _ := unstructured.NestedString(o.Object, "status", "url")
		u, err := url.Parse(at)
		if err != nil {
			return "", err
		}
		service, _, _ := strings.Cut(u.Hostname(), ".")
		return service, nil
	})
	move := func(to any, gateway string) {
		t.Helper()
		if _, err := plane.Patch(t, docs, map[string]any{"spec": map[string]any{"gatewayRef": to}}); err != nil {
			t.Fatal(err)
		}
		plane.Eventually(t, "it is served by "+gateway, docs, func(o *kube.Object) bool {
			now, _, _ := unstructured.NestedString(o.Object, "status", "gateway")
			return now == gateway || t.Failed()
		})
	}
	own := kube.Ref{APIVersion: "apps/v1", Kind: "Deployment", Namespace: namespace, Name: "docs-proxy"}
	for range 2 {
		move(map[string]any{"name": "all"}, "all")
		plane.Eventually(t, "its own pods are gone", own, func(o *kube.Object) bool { return o == nil })
		await(t, docs, "Ready", "True PodsReady")
		move(nil, "")
		await(t, docs, "Ready", "True PodsReady")
	}
	close(over)
	calling.Wait()
	t.Logf("%d calls while it moved", calls.Load())
}

// A batch of new resources, each with a Secret of its own, does not change the pods of their gateway for each.
func TestSharedGatewayRollsOnceForABatch(t *testing.T) {
	t.Parallel()
	namespace := plane.Namespace(t)
	backend := newBackend(t)
	plane.StartNode(t, namespace, map[string]kube.Image{image: gatewayImage(t)})
	keep(t, namespace)
	plane.Apply(t, namespace, oneForAll+guest("first", backend.url, "all"))
	gateway := resource("MCPGateway", namespace, "all")
	served(t, gateway, 1, 0)
	deployment := kube.Ref{APIVersion: "apps/v1", Kind: "Deployment", Namespace: namespace, Name: "all-shared"}
	before, err := plane.Get(t, deployment)
	if err != nil {
		t.Fatal(err)
	}
	const more = 20
	batch := ""
	for i := range more {
		batch += guest(fmt.Sprintf("docs-%d", i), backend.url, "all")
	}
	plane.Apply(t, namespace, batch)
	served(t, gateway, 1+more, 0)
	now, err := plane.Get(t, deployment)
	if err != nil {
		t.Fatal(err)
	}
	if n := now.GetGeneration() - before.GetGeneration(); n > more/2 { // once, as a rule; where the machine is slow, a batch may pause
		t.Errorf("%d changes of the pods for a batch", n)
	}
	mark := plane.Mark(t)
	plane.Apply(t, namespace, `
apiVersion: sallyport.dev/v1alpha1
kind: MCPRemoteProxy
metadata: {name: plain}
spec: {remoteUrl: `+backend.url+`, allowPrivateEndpoint: true, gatewayRef: {name: all}}
`)
	served(t, gateway, 2+more, 0)
	if last, err := plane.Get(t, deployment); err != nil || last.GetGeneration() != now.GetGeneration() {
		t.Errorf("one without a Secret changes the pods: generation %d, then %d (%v)", now.GetGeneration(), last.GetGeneration(), err)
	}
	files := 0
	for _, w := range writes(t, namespace, mark) {
		if strings.Contains(w, "configmaps") {
			files++
		}
	}
	if files != 1 {
		t.Errorf("one more writes %d ConfigMaps", files)
	}
}
