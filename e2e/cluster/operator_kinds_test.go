//go:build cluster

package cluster_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sallyport-dev/sallyport/internal/testkit"
	"github.com/sallyport-dev/sallyport/internal/testkit/kube"
)

// A server over stdio runs in its own image: the gateway's program is put there, starts it, and serves it.
//
// REQ D-7
func TestOperatorStdioServer(t *testing.T) {
	t.Parallel()
	namespace := plane.Namespace(t)
	gateway := gatewayImage(t)
	node := plane.StartNode(t, namespace, map[string]kube.Image{image: gateway, "example.com/server:1": {}})
	keep(t, namespace)
	backend := testkit.StartBackend(t, testkit.Stateless)
	line, err := json.Marshal([]string{testkit.Binary(t), "connect", backend.URL}) // which speaks on stdio for it
	if err != nil {
		t.Fatal(err)
	}
	plane.Apply(t, namespace, fmt.Sprintf(`
apiVersion: v1
kind: Secret
metadata: {name: api}
stringData: {token: value}
---
apiVersion: sallyport.dev/v1alpha1
kind: MCPServer
metadata: {name: tools}
spec:
  image: example.com/server:1
  args: %s
  secrets: [{name: api, key: token, targetEnvName: API_TOKEN}]
`, line))
	server := resource("MCPServer", namespace, "tools")
	o, _ := await(t, server, "Ready", "True PodsReady")
	var addresses []string
	testkit.Eventually(t, "the server's pod is ready", func() bool {
		addresses = node.Addresses("app.kubernetes.io/name", "mcp-server", "mcp")
		return len(addresses) == 1
	})
	list(t, "http://"+addresses[0]+"/servers/tools/mcp")
	gatewayPods := node.Addresses("app.kubernetes.io/name", "sallyport", "mcp")
	if len(gatewayPods) != 1 {
		t.Errorf("there are %d pods of the gateway", len(gatewayPods))
	}

	// An environment cannot follow its Secret: that is told, and how to go on.
	plane.Apply(t, namespace, `{apiVersion: v1, kind: Secret, metadata: {name: api}, stringData: {token: another}}`)
	_, message := await(t, server, "SecretsCurrent", "False RestartNeeded")
	if !strings.Contains(message, "Secret api") || !strings.Contains(message, "kubectl -n "+namespace+" rollout restart deployment/") {
		t.Errorf("the message says not what to do: %s", message)
	}
	before := deploymentOf(t, namespace, o, "mcp")
	if _, err := plane.Patch(t, server, map[string]any{"spec": map[string]any{"restartOnSecretChange": true}}); err != nil {
		t.Fatal(err)
	}
	plane.Eventually(t, "the server's pods are restarted", kube.RefOf(before), func(o *kube.Object) bool { return o.GetGeneration() > before.GetGeneration() })
	plane.Eventually(t, "the pods have the Secret of now", server, func(o *kube.Object) bool {
		short, _ := condition(o, "SecretsCurrent")
		return short == ""
	})
}

// deploymentOf is the Deployment that a resource owns and that has a container of a name.
func deploymentOf(t *testing.T, namespace string, by *kube.Object, container string) *kube.Object {
	t.Helper()
	for _, o := range plane.List(t, kube.Ref{APIVersion: "apps/v1", Kind: "Deployment", Namespace: namespace}) {
		if !slices.ContainsFunc(containers(&o), func(c map[string]any) bool { return c["name"] == container }) {
			continue
		}
		for _, ref := range o.GetOwnerReferences() {
			if ref.UID == by.GetUID() {
				return &o
			}
		}
	}
	t.Fatalf("%s %s owns no Deployment with a container %s", by.GetKind(), by.GetName(), container)
	return nil
}

func containers(deployment *kube.Object) (all []map[string]any) {
	list, _, _ := unstructured.NestedSlice(deployment.Object, "spec", "template", "spec", "containers")
	for _, c := range list {
		all = append(all, c.(map[string]any))
	}
	return all
}

// A server with a port of its own runs beside the gateway, and a manifest of ToolHive's says what its pods are like.
func TestOperatorContainer(t *testing.T) {
	t.Parallel()
	namespace := plane.Namespace(t)
	keep(t, namespace)
	plane.Apply(t, namespace, `
apiVersion: v1
kind: Secret
metadata: {name: api}
stringData: {token: value}
---
apiVersion: sallyport.dev/v1alpha1
kind: MCPServer
metadata: {name: fetch}
spec:
  image: example.com/fetch:1
  transport: streamable-http
  mcpPort: 3000
  args: [--verbose]
  env: [{name: LEVEL, value: debug}]
  secrets: [{name: api, key: token, targetEnvName: API_TOKEN}]
  permissionProfile: {type: builtin, name: none}
  podTemplateSpec: {spec: {serviceAccountName: s, nodeSelector: {a: b}, containers: [{name: mcp, env: [{name: X, value: "1"}]}]}}
`)
	server := resource("MCPServer", namespace, "fetch")
	o, _ := await(t, server, "AuthConfigured", "True Configured")
	var deployment *kube.Object
	testkit.Eventually(t, "there are two Deployments", func() bool {
		return len(plane.List(t, kube.Ref{APIVersion: "apps/v1", Kind: "Deployment", Namespace: namespace})) == 2
	})
	deployment = deploymentOf(t, namespace, o, "mcp")
	account, _, _ := unstructured.NestedString(deployment.Object, "spec", "template", "spec", "serviceAccountName")
	selector, _, _ := unstructured.NestedStringMap(deployment.Object, "spec", "template", "spec", "nodeSelector")
	c := containers(deployment)[0]
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	if account != "s" || selector["a"] != "b" || c["image"] != "example.com/fetch:1" {
		t.Errorf("account %q, nodes %v, image %v", account, selector, c["image"])
	}
	for _, want := range []string{`{"name":"LEVEL","value":"debug"}`, `{"name":"X","value":"1"}`, `"args":["--verbose"]`, `"containerPort":3000`, `"secretKeyRef":{"key":"token","name":"api"`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the container has no %s: %s", want, text)
		}
	}
	gateway := deploymentOf(t, namespace, o, "sallyport")
	if account, _, _ := unstructured.NestedString(gateway.Object, "spec", "template", "spec", "serviceAccountName"); account == "s" {
		t.Error("the gateway's pods have the server's account")
	}
	if _, found, _ := unstructured.NestedFieldNoCopy(gateway.Object, "spec", "replicas"); !found {
		t.Error("the API server has set no replicas") // its default; the operator sends none
	}
	if ownsReplicas(gateway) {
		t.Error("the operator owns spec.replicas")
	}
}

// A virtual server serves the members that are whole, and tells of the one that is not; a group and an entry say how
// they are.
func TestOperatorVirtualServer(t *testing.T) {
	t.Parallel()
	namespace := plane.Namespace(t)
	plane.StartNode(t, namespace, map[string]kube.Image{image: gatewayImage(t)})
	backend := testkit.StartBackend(t, testkit.Stateless)
	keep(t, namespace)
	plane.Apply(t, namespace, strings.ReplaceAll(`
apiVersion: sallyport.dev/v1alpha1
kind: VirtualMCPServer
metadata: {name: all}
spec: {groupRef: {name: everything}, incomingAuth: {type: anonymous}}
---
apiVersion: sallyport.dev/v1alpha1
kind: MCPServerEntry
metadata: {name: whole}
spec: {remoteUrl: "REMOTE", transport: streamable-http, groupRef: {name: everything}, allowPrivateEndpoint: true}
---
apiVersion: sallyport.dev/v1alpha1
kind: MCPServerEntry
metadata: {name: broken}
spec: {remoteUrl: "REMOTE", transport: streamable-http, groupRef: {name: everything}, allowPrivateEndpoint: true, externalAuthConfigRef: {name: nobody}}
`, "REMOTE", backend.URL))
	virtual, group := resource("VirtualMCPServer", namespace, "all"), resource("MCPGroup", namespace, "everything")
	await(t, virtual, "AuthConfigured", "False MCPGroupNotFound")
	await(t, resource("MCPServerEntry", namespace, "whole"), "GroupRefValidated", "False MCPGroupNotFound")
	plane.Apply(t, namespace, `{apiVersion: sallyport.dev/v1alpha1, kind: MCPGroup, metadata: {name: everything}}`)
	o, _ := await(t, virtual, "Ready", "True PodsReady")
	if url, _, _ := unstructured.NestedString(o.Object, "status", "url"); !strings.HasSuffix(url, ".svc:4483/servers/all/mcp") {
		t.Errorf("status.url is %s", url)
	}
	_, message := await(t, virtual, "BackendsDiscovered", "False MCPExternalAuthConfigNotFound")
	if !strings.Contains(message, `MCPExternalAuthConfig "nobody"`) {
		t.Errorf("what is missing is not named: %s", message)
	}
	if _, said := condition(o, "AuthConfigured"); !strings.Contains(said, "anonymous") {
		t.Errorf("nothing says that the endpoint is open: %s", said)
	}
	plane.Eventually(t, "the members are told of", virtual, func(o *kube.Object) bool {
		list, _, _ := unstructured.NestedSlice(o.Object, "status", "discoveredBackends")
		states := map[string]any{}
		for _, b := range list {
			states[b.(map[string]any)["name"].(string)] = b.(map[string]any)["status"]
		}
		return len(states) == 2 && states["whole"] == "ready" && states["broken"] == "unavailable"
	})
	plane.Eventually(t, "the group knows its members", group, func(o *kube.Object) bool {
		phase, _, _ := unstructured.NestedString(o.Object, "status", "phase")
		n, _, _ := unstructured.NestedInt64(o.Object, "status", "entryCount")
		return phase == "Ready" && n == 2
	})
	for name, want := range map[string]string{"whole": "Valid", "broken": "Pending"} {
		plane.Eventually(t, name+" says how it is", resource("MCPServerEntry", namespace, name), func(o *kube.Object) bool {
			phase, _, _ := unstructured.NestedString(o.Object, "status", "phase")
			return phase == want
		})
	}
	// A member that joins changes the manifests, and no pod.
	deployment := deploymentOf(t, namespace, o, "sallyport")
	plane.Apply(t, namespace, strings.ReplaceAll(`
apiVersion: sallyport.dev/v1alpha1
kind: MCPServerEntry
metadata: {name: another}
spec: {remoteUrl: "REMOTE", transport: streamable-http, groupRef: {name: everything}, allowPrivateEndpoint: true}
`, "REMOTE", backend.URL))
	plane.Eventually(t, "the new member is served", virtual, func(o *kube.Object) bool {
		n, _, _ := unstructured.NestedInt64(o.Object, "status", "backendCount")
		short, _ := condition(o, "Ready")
		return n == 2 && short == "True PodsReady"
	})
	if now, err := plane.Get(t, kube.RefOf(deployment)); err != nil || now.GetGeneration() != deployment.GetGeneration() {
		t.Errorf("the Deployment has changed (%v)", err)
	}
}

// What is edited to be wrong is told with its field, and leaves everything as it was when it was good; a fix heals.
func TestOperatorEditedWrong(t *testing.T) {
	t.Parallel()
	namespace := plane.Namespace(t)
	keep(t, namespace)
	plane.Apply(t, namespace, `
apiVersion: sallyport.dev/v1alpha1
kind: MCPRemoteProxy
metadata: {name: docs}
spec: {remoteUrl: "https://mcp.example.com/mcp"}
`)
	proxy := resource("MCPRemoteProxy", namespace, "docs")
	o, _ := await(t, proxy, "AuthConfigured", "True Configured")
	testkit.Eventually(t, "the Deployment is there", func() bool {
		return len(plane.List(t, kube.Ref{APIVersion: "apps/v1", Kind: "Deployment", Namespace: namespace})) == 1
	})
	deployment, files := deploymentOf(t, namespace, o, "sallyport"), owned(t, "v1", "ConfigMap", namespace, o)
	for _, c := range []struct {
		spec          map[string]any
		kind, want    string
		words, remedy string
	}{
		{map[string]any{"externalAuthConfigRef": map[string]any{"name": "nobody"}}, "AuthConfigured", "False MCPExternalAuthConfigNotFound", `MCPExternalAuthConfig "nobody"`, ""},
		{map[string]any{"podTemplateSpec": map[string]any{"spec": map[string]any{"nodeSelectr": map[string]any{}}}}, "Ready", "False PodTemplateInvalid", "nodeSelectr", ""},
		{map[string]any{"podTemplateSpec": map[string]any{"spec": map[string]any{"containers": []any{map[string]any{"name": "sallyport", "resources": map[string]any{"limits": map[string]any{"cpu": "abc"}}}}}}}, "Ready", "False PodTemplateInvalid", "spec.containers[0].resources.limits.cpu", ""},
		{map[string]any{"podTemplateSpec": map[string]any{"spec": map[string]any{"containers": []any{map[string]any{"name": "second"}}}}}, "Ready", "False PodTemplateInvalid", "no image", ""},
	} {
		if _, err := plane.Patch(t, proxy, map[string]any{"spec": c.spec}); err != nil {
			t.Fatal(err)
		}
		if _, message := await(t, proxy, c.kind, c.want); !strings.Contains(message, c.words) {
			t.Errorf("%s: %s", c.want, message)
		}
		for _, o := range []*kube.Object{deployment, files} {
			if now, err := plane.Get(t, kube.RefOf(o)); err != nil || now.GetResourceVersion() != o.GetResourceVersion() && now.GetGeneration() != o.GetGeneration() {
				t.Errorf("%s: the %s has changed (%v)", c.want, o.GetKind(), err)
			}
		}
		if _, err := plane.Patch(t, proxy, map[string]any{"spec": map[string]any{"externalAuthConfigRef": nil, "podTemplateSpec": nil}}); err != nil {
			t.Fatal(err)
		}
		plane.Eventually(t, "the fix heals", proxy, func(o *kube.Object) bool {
			auth, _ := condition(o, "AuthConfigured")
			ready, _ := condition(o, "Ready")
			return auth == "True Configured" && ready == "False NoPodReady"
		})
	}
}

// Two kinds with one name, and a name that somebody else has.
func TestOperatorNames(t *testing.T) {
	t.Parallel()
	namespace := plane.Namespace(t)
	keep(t, namespace)
	long := strings.Repeat("a-very-long-name-", 4)[:63-1] + "z"
	plane.Apply(t, namespace, strings.ReplaceAll(`
apiVersion: sallyport.dev/v1alpha1
kind: MCPRemoteProxy
metadata: {name: docs}
spec: {remoteUrl: "https://mcp.example.com/mcp"}
---
apiVersion: sallyport.dev/v1alpha1
kind: MCPServer
metadata: {name: docs}
spec: {image: example.com/server, transport: sse}
---
apiVersion: sallyport.dev/v1alpha1
kind: MCPServer
metadata: {name: LONG}
spec: {image: example.com/server, transport: streamable-http}
---
apiVersion: sallyport.dev/v1alpha1
kind: MCPRemoteProxy
metadata: {name: 9lives}
spec: {remoteUrl: "https://mcp.example.com/mcp"}
---
apiVersion: v1
kind: Service
metadata: {name: taken-proxy}
spec: {ports: [{port: 80}], selector: {app: theirs}}
---
apiVersion: sallyport.dev/v1alpha1
kind: MCPRemoteProxy
metadata: {name: taken}
spec: {remoteUrl: "https://mcp.example.com/mcp"}
`, "LONG", long))
	for _, r := range []kube.Ref{
		resource("MCPRemoteProxy", namespace, "docs"), resource("MCPServer", namespace, "docs"), resource("MCPServer", namespace, long), resource("MCPRemoteProxy", namespace, "9lives"),
	} {
		await(t, r, "Ready", "False NoPodReady")
	}
	if _, message := await(t, resource("MCPRemoteProxy", namespace, "taken"), "Ready", "False NameTaken"); !strings.Contains(message, "Service taken-proxy") {
		t.Errorf("the message does not say what is taken: %s", message)
	}
	o, err := plane.Get(t, kube.Ref{APIVersion: "v1", Kind: "Service", Namespace: namespace, Name: "taken-proxy"})
	if err != nil {
		t.Fatal(err)
	}
	if app, _, _ := unstructured.NestedString(o.Object, "spec", "selector", "app"); app != "theirs" || len(o.GetOwnerReferences()) > 0 {
		t.Error("somebody else's Service was taken over")
	}
}

// With the rights that the documentation lists the operator works, in its namespaces alone; one that is missing is told
// where people look.
//
// REQ B-31
func TestOperatorRights(t *testing.T) {
	t.Parallel()
	namespace := plane.Namespace(t)
	const rules = `
- {apiGroups: [sallyport.dev], resources: ["*"], verbs: [get, list, watch, patch]}
- {apiGroups: [apps], resources: [deployments], verbs: [get, list, watch, create, patch, delete]}
- {apiGroups: [""], resources: [SERVICES serviceaccounts, configmaps], verbs: [get, list, watch, create, patch, delete]}
- {apiGroups: [networking.k8s.io], resources: [networkpolicies], verbs: [get, list, watch, create, patch, delete]}
- {apiGroups: [policy], resources: [poddisruptionbudgets], verbs: [get, list, watch, create, patch, delete]}
- {apiGroups: [""], resources: [secrets], verbs: [get, list, watch, create]}
- {apiGroups: [""], resources: [pods], verbs: [get, list, watch]}
- {apiGroups: ["", events.k8s.io], resources: [events], verbs: [create, patch]}
`
	grant := func(services string) {
		plane.Apply(t, namespace, `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: operator}
rules:`+strings.Replace(rules, "SERVICES", services, 1))
	}
	plane.Apply(t, namespace, strings.ReplaceAll(`
apiVersion: v1
kind: ServiceAccount
metadata: {name: operator}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: operator}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: operator}
subjects: [{kind: ServiceAccount, name: operator, namespace: NAMESPACE}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reads-services}
rules: [{apiGroups: [""], resources: [services], verbs: [get, list, watch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reads-services}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reads-services}
subjects: [{kind: ServiceAccount, name: operator, namespace: NAMESPACE}]
`, "NAMESPACE", namespace))
	grant("")
	keep(t, namespace, "--kubeconfig", plane.Account(t, namespace, "operator"))
	plane.Apply(t, namespace, strings.ReplaceAll(docs, "REMOTE", "http://127.0.0.1:1")+"---\n{apiVersion: v1, kind: Secret, metadata: {name: api}, stringData: {token: x}}\n")
	proxy := resource("MCPRemoteProxy", namespace, "docs")
	if _, message := await(t, proxy, "Ready", "False Forbidden"); !strings.Contains(message, "patch") || !strings.Contains(message, "services") || !strings.Contains(message, namespace) {
		t.Errorf("the message does not say which right: %s", message)
	}
	grant("services,")
	await(t, proxy, "Ready", "False NoPodReady")
	if err := plane.Delete(t, resource("MCPExternalAuthConfig", namespace, "key")); err != nil {
		t.Fatal(err)
	}
	await(t, resource("MCPExternalAuthConfig", namespace, "key"), "DeletionBlocked", "True InUse")
}

// The operator dials neither backends nor token endpoints: without pods nobody asks them, and their state is unknown.
func TestOperatorDialsNothing(t *testing.T) {
	t.Parallel()
	namespace := plane.Namespace(t)
	backend, issuer := newBackend(t), newBackend(t)
	operator := keep(t, namespace)
	plane.Apply(t, namespace, strings.NewReplacer("REMOTE", backend.url, "ISSUER", issuer.url).Replace(`
apiVersion: sallyport.dev/v1alpha1
kind: MCPRemoteProxy
metadata: {name: docs}
spec:
  remoteUrl: REMOTE
  allowPrivateEndpoint: true
  externalAuthConfigRef: {name: exchange}
  oidcConfig: {type: inline, inline: {issuer: "ISSUER", audience: docs, jwksUrl: "ISSUER/keys", jwksAllowPrivateIP: true}}
---
apiVersion: sallyport.dev/v1alpha1
kind: MCPExternalAuthConfig
metadata: {name: exchange}
spec: {type: tokenExchange, tokenExchange: {tokenUrl: "ISSUER/token", clientId: gateway, allowPrivateIPs: true}}
`))
	proxy := resource("MCPRemoteProxy", namespace, "docs")
	await(t, proxy, "Ready", "False NoPodReady")
	await(t, proxy, "RemoteAvailable", "Unknown NoPodReady")
	operator.looked(t, 4)
	if n := len(backend.recorder.Requests()) + len(issuer.recorder.Requests()); n > 0 {
		t.Errorf("the operator made %d requests", n)
	}
	o, err := plane.Get(t, proxy)
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"remoteReachable", "tokenExchangeReady", "lastHealthCheck"} {
		if _, found, _ := unstructured.NestedFieldNoCopy(o.Object, "status", field); found {
			t.Errorf("%s is set, and nobody has asked", field)
		}
	}
}

// Whoever takes replicas out of a manifest keeps the number of pods, which is others' from then on; put back, it is the
// manifest's again.
//
// REQ B-2, REQ B-31
func TestOperatorLeavesReplicas(t *testing.T) {
	t.Parallel()
	namespace := plane.Namespace(t)
	keep(t, namespace)
	plane.Apply(t, namespace, `
apiVersion: sallyport.dev/v1alpha1
kind: MCPRemoteProxy
metadata: {name: docs}
spec: {remoteUrl: "https://mcp.example.com/mcp", replicas: 3}
`)
	proxy := resource("MCPRemoteProxy", namespace, "docs")
	deployment := kube.Ref{APIVersion: "apps/v1", Kind: "Deployment", Namespace: namespace, Name: "docs-proxy"}
	step := func(what string, spec map[string]any, want int64, owned bool) {
		t.Helper()
		if _, err := plane.Patch(t, proxy, map[string]any{"spec": spec}); err != nil {
			t.Fatal(err)
		}
		plane.Eventually(t, what, deployment, func(o *kube.Object) bool {
			if o == nil {
				return false
			}
			n, _, _ := unstructured.NestedInt64(o.Object, "spec", "replicas")
			return n == want && ownsReplicas(o) == owned
		})
	}
	step("three pods, which the manifest says", map[string]any{"replicas": 3}, 3, true)
	step("three pods, which nobody says", map[string]any{"replicas": nil}, 3, false)
	if _, err := plane.Patch(t, deployment, map[string]any{"spec": map[string]any{"replicas": 5}}); err != nil {
		t.Fatal(err)
	}
	step("a change of something else leaves what was scaled", map[string]any{"podTemplateSpec": map[string]any{"metadata": map[string]any{"labels": map[string]any{"team": "a"}}}}, 5, false)
	step("two pods, which the manifest says", map[string]any{"replicas": 2}, 2, true)
}

// ownsReplicas tells whether the operator says how many pods there are.
func ownsReplicas(deployment *kube.Object) bool {
	for _, f := range deployment.GetManagedFields() {
		if f.Manager == "sallyport" && f.FieldsV1 != nil && strings.Contains(f.FieldsV1.GetRawString(), `"f:replicas"`) {
			return true
		}
	}
	return false
}
