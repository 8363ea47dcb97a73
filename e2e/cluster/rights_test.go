//go:build cluster

package cluster_test

import (
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/testkit"
	"github.com/sallyport-dev/sallyport/internal/testkit/kube"
)

// everyKind is something of each kind that the operator makes other objects for, or holds.
const everyKind = `
apiVersion: v1
kind: Secret
metadata: {name: api}
stringData: {token: secret-value}
---
apiVersion: sallyport.dev/v1alpha1
kind: MCPExternalAuthConfig
metadata: {name: key}
spec: {type: headerInjection, headerInjection: {headerName: X-Api-Key, valueSecretRef: {name: api, key: token}}}
---
apiVersion: sallyport.dev/v1alpha1
kind: MCPToolConfig
metadata: {name: few}
spec: {toolsFilter: [search]}
---
apiVersion: sallyport.dev/v1alpha1
kind: MCPGroup
metadata: {name: team}
spec: {}
---
apiVersion: sallyport.dev/v1alpha1
kind: MCPRemoteProxy
metadata: {name: docs}
spec:
  remoteUrl: https://mcp.example.com/mcp
  externalAuthConfigRef: {name: key}
  toolConfigRef: {name: few}
  groupRef: {name: team}
  networkPolicy: {enabled: true}
---
apiVersion: sallyport.dev/v1alpha1
kind: MCPServerEntry
metadata: {name: tickets}
spec: {remoteUrl: "https://tickets.example.com/mcp", transport: streamable-http, groupRef: {name: team}}
---
apiVersion: sallyport.dev/v1alpha1
kind: MCPServer
metadata: {name: files}
spec: {image: "example.com/files:1", transport: streamable-http, mcpPort: 8080}
---
apiVersion: sallyport.dev/v1alpha1
kind: VirtualMCPServer
metadata: {name: all}
spec: {groupRef: {name: team}}
`

// REQ B-14: the rights, the account and the command line of the chart are enough for the operator, from the first
// object to the last: the API server refuses it nothing.
func TestChartGivesWhatTheOperatorNeeds(t *testing.T) {
	t.Parallel()
	namespace := plane.Namespace(t)
	rendered := render(t, namespace, "--values", values(t, "{crds: {install: false}, aggregateRoles: false, watchNamespaces: ["+namespace+"]}"))
	args, account := installed(t, namespace, rendered, func(*kube.Object) {})
	begin := plane.Mark(t)
	// Where it runs on this machine; a later flag wins over what the chart says.
	args = append(args, "--kubeconfig="+plane.Account(t, namespace, account), "--admin-listen="+testkit.FreeAddress(t), "--resync=1s", "--status-interval=1s")
	runOperator(t, args)

	plane.Apply(t, namespace, everyKind)
	at := func(kind, name string) kube.Ref {
		return kube.Ref{APIVersion: v1alpha1.APIVersion, Kind: kind, Namespace: namespace, Name: name}
	}
	told := func(kind, name, want string) {
		t.Helper()
		plane.Eventually(t, kind+" "+name+" says "+want, at(kind, name), func(o *kube.Object) bool {
			text, err := o.MarshalJSON()
			return err == nil && strings.Contains(string(text), want)
		})
	}
	for kind, name := range map[string]string{"MCPRemoteProxy": "docs", "MCPServer": "files", "VirtualMCPServer": "all"} {
		told(kind, name, `"url":`)
	}
	told("MCPGroup", "team", `"entryCount":1`)
	told("MCPServerEntry", "tickets", `"phase":"Valid"`)
	told("MCPToolConfig", "few", `"type":"Valid"`)
	for kind, n := range map[string]int{"apps/v1 Deployment": 3, "v1 Service": 3, "networking.k8s.io/v1 NetworkPolicy": 1, "policy/v1 PodDisruptionBudget": 3} {
		apiVersion, kind, _ := strings.Cut(kind, " ")
		testkit.Eventually(t, fmt.Sprintf("there are %d of the kind %s", n, kind), func() bool {
			return len(plane.List(t, kube.Ref{APIVersion: apiVersion, Kind: kind, Namespace: namespace})) >= n
		})
	}
	// What is needed no more is deleted, and a configuration waits for its user.
	if _, err := plane.Patch(t, at("MCPRemoteProxy", "docs"), map[string]any{"spec": map[string]any{"networkPolicy": nil, "serviceAccount": "default"}}); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "the NetworkPolicy is gone", func() bool {
		return len(plane.List(t, kube.Ref{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy", Namespace: namespace})) == 0
	})
	if err := plane.Delete(t, at("MCPExternalAuthConfig", "key")); err != nil {
		t.Fatal(err)
	}
	told("MCPExternalAuthConfig", "key", `"type":"DeletionBlocked"`)
	if err := plane.Delete(t, at("MCPRemoteProxy", "docs")); err != nil {
		t.Fatal(err)
	}
	plane.Eventually(t, "the configuration is gone", at("MCPExternalAuthConfig", "key"), func(o *kube.Object) bool { return o == nil })

	asked := 0
	for _, r := range plane.Since(t, begin) {
		if r.User.Username != "system:serviceaccount:"+namespace+":"+account {
			continue
		}
		asked++
		if r.ResponseStatus.Code == http.StatusForbidden {
			t.Errorf("the chart gives no right to this: %s", r)
		}
	}
	if asked < 50 {
		t.Errorf("the operator asked %d times: did it do anything?", asked)
	}
}

// installed applies what the chart renders, as a test changes it, and returns the command line of the operator and its
// account: nobody would run its pods here.
func installed(t *testing.T, namespace, rendered string, change func(*kube.Object)) (args []string, account string) {
	t.Helper()
	for _, o := range kube.Documents(t, rendered) {
		if o.GetKind() != "Deployment" {
			change(o)
			if _, err := plane.TryApply(t, namespace, o); err != nil {
				t.Fatal(err)
			}
			continue
		}
		pod, _, _ := unstructured.NestedMap(o.Object, "spec", "template", "spec")
		account = pod["serviceAccountName"].(string)
		container := pod["containers"].([]any)[0].(map[string]any)
		if command := fmt.Sprint(container["command"]); command != "[/sallyport]" {
			t.Fatalf("the container runs %s", command)
		}
		for _, arg := range container["args"].([]any) {
			args = append(args, arg.(string))
		}
	}
	return args, account
}

// runOperator runs it until the test ends, which must be a good end.
func runOperator(t *testing.T, args []string) {
	t.Helper()
	cmd, out, ended := exec.Command(testkit.Binary(t), args...), &testkit.Output{}, make(chan struct{})
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = cmd.Wait() // the state is looked at
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-ended
		if code := cmd.ProcessState.ExitCode(); code != 0 || t.Failed() {
			t.Errorf("the operator ended with %d:\n%s", code, out)
		}
	})
}
