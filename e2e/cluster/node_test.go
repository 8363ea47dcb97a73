//go:build cluster

package cluster_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sallyport-dev/sallyport/internal/testkit"
	"github.com/sallyport-dev/sallyport/internal/testkit/kube"
)

// gatewayImage is the gateway's own, with the programs of this tree.
func gatewayImage(t *testing.T) kube.Image {
	t.Helper()
	return kube.Image{
		Entrypoint: testkit.Daemon(t),
		Programs:   map[string]string{"/sallyportd": testkit.Daemon(t), "/sallyport": testkit.Binary(t)},
	}
}

// byHand is the gateway in a cluster without an operator.
const byHand = `
apiVersion: v1
kind: ConfigMap
metadata: {name: gateway}
data:
  docs.yaml: |
    apiVersion: sallyport.dev/v1alpha1
    kind: MCPRemoteProxy
    metadata: {name: docs}
    spec:
      remoteUrl: REMOTE
      allowPrivateEndpoint: true
      headerForward: {addHeadersFromSecret: [{headerName: X-Api-Key, valueSecretRef: {name: api, key: token}}]}
---
apiVersion: v1
kind: Secret
metadata: {name: api}
stringData: {token: first}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: gateway}
spec:
  replicas: 2
  strategy: {rollingUpdate: {maxUnavailable: 0, maxSurge: 1}}
  selector: {matchLabels: {app: gateway}}
  template:
    metadata: {labels: {app: gateway}}
    spec:
      automountServiceAccountToken: false
      terminationGracePeriodSeconds: 45
      containers:
      - name: sallyport
        image: example.com/sallyport:1
        args: [--file=/etc/sallyport/manifests, --secrets-folder=/etc/sallyport/secrets, --listen=:8080, --admin-listen=:9090, --shutdown-delay=0s]
        ports: [{name: mcp, containerPort: 8080}, {name: admin, containerPort: 9090}]
        readinessProbe: {httpGet: {path: /readyz, port: admin}}
        volumeMounts: [{name: manifests, mountPath: /etc/sallyport/manifests}, {name: secrets, mountPath: /etc/sallyport/secrets}]
      volumes:
      - {name: manifests, configMap: {name: gateway}}
      - {name: secrets, projected: {sources: [{secret: {name: api, optional: true, items: [{key: token, path: api/token}]}}]}}
`

// The gateway runs in pods: it serves what a ConfigMap says with what a Secret holds, follows both when they change, and
// is replaced pod by pod.
func TestGatewayInPods(t *testing.T) {
	t.Parallel()
	namespace := plane.Namespace(t)
	backend := testkit.Record(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","tools":[]}}`)
	})
	node := plane.StartNode(t, namespace, map[string]kube.Image{"example.com/sallyport:1": gatewayImage(t)})
	plane.Apply(t, namespace, strings.ReplaceAll(byHand, "REMOTE", backend.URL))
	deployment := kube.Ref{APIVersion: "apps/v1", Kind: "Deployment", Namespace: namespace, Name: "gateway"}
	settled := func(o *kube.Object) bool {
		of := func(field string) int64 {
			n, _, _ := unstructured.NestedInt64(o.Object, "status", field)
			return n
		}
		return of("observedGeneration") == o.GetGeneration() && of("updatedReplicas") == 2 && of("availableReplicas") == 2 && of("replicas") == 2
	}
	plane.Eventually(t, "two pods are ready", deployment, settled)
	key := func() string { // that reaches the backend
		backend.Reset()
		list(t, "http://"+node.Addresses("app", "gateway", "mcp")[0]+"/servers/docs/mcp")
		return backend.Requests()[0].Header.Get("X-Api-Key")
	}
	if got := key(); got != "first" {
		t.Errorf("the backend is shown %q, want what the Secret holds", got)
	}

	plane.Apply(t, namespace, `{apiVersion: v1, kind: Secret, metadata: {name: api}, stringData: {token: second}}`)
	testkit.Eventually(t, "the pods have the new secret", func() bool { return key() == "second" })

	before := plane.List(t, kube.Ref{APIVersion: "v1", Kind: "Pod", Namespace: namespace})
	if _, err := plane.Patch(t, deployment, map[string]any{"spec": map[string]any{"template": map[string]any{"metadata": map[string]any{
		"annotations": map[string]any{"kubectl.kubernetes.io/restartedAt": "now"},
	}}}}); err != nil {
		t.Fatal(err)
	}
	plane.Eventually(t, "the pods are replaced", deployment, settled)
	for _, old := range before {
		plane.Eventually(t, "an old pod is gone", kube.RefOf(&old), func(o *kube.Object) bool { return o == nil })
	}
	if got := key(); got != "second" {
		t.Errorf("the new pods show the backend %q", got)
	}
}

// client keeps no connection that would outlive its test.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// listing is a call that asks a server of 2026-07-28 for its tools.
func listing(t *testing.T, url string) *http.Request {
	t.Helper()
	const meta = `{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"test","version":"1"}}`
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url,
		strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":`+meta+`}}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Content-Type": "application/json", "Accept": "application/json, text/event-stream",
		"Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/list",
	} {
		req.Header.Set(name, value)
	}
	return req
}

// list makes that call, which must be answered.
func list(t *testing.T, url string) {
	t.Helper()
	resp, err := client.Do(listing(t, url))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		t.Fatalf("%s answers %d %s", url, resp.StatusCode, body)
	}
}
