//go:build cluster

package cluster_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sallyport-dev/sallyport/internal/testkit"
	"github.com/sallyport-dev/sallyport/internal/testkit/kube"
)

// Each resource has a gauge that says whether it is ready, which follows it, and which goes with it.
func TestOperatorMetrics(t *testing.T) {
	t.Parallel()
	namespace := plane.Namespace(t)
	plane.StartNode(t, namespace, map[string]kube.Image{image: gatewayImage(t)})
	operator := keep(t, namespace)
	gauge := func(kind, name, want string) {
		t.Helper()
		series := fmt.Sprintf("\nsallyport_operator_resource_ready{kind=%q,name=%q,namespace=%q} ", kind, name, namespace)
		testkit.Eventually(t, fmt.Sprintf("the gauge of %s %s is %q", kind, name, want), func() bool {
			_, text := fetch(t, operator.admin+"/metrics")
			_, after, found := strings.Cut(text, series)
			return found == (want != "") && strings.HasPrefix(after, want)
		})
	}
	plane.Apply(t, namespace, strings.ReplaceAll(docs, "REMOTE", "http://127.0.0.1:1"))
	gauge("MCPRemoteProxy", "docs", "0")
	gauge("MCPExternalAuthConfig", "key", "0")
	plane.Apply(t, namespace, `{apiVersion: v1, kind: Secret, metadata: {name: api}, stringData: {token: x}}`)
	gauge("MCPRemoteProxy", "docs", "1")
	gauge("MCPExternalAuthConfig", "key", "1")
	if err := plane.Delete(t, resource("MCPRemoteProxy", namespace, "docs")); err != nil {
		t.Fatal(err)
	}
	gauge("MCPRemoteProxy", "docs", "")
	gauge("MCPExternalAuthConfig", "key", "1")
}

// The pods that ask the API server for the keys of its accounts have a token for that, by a volume that says so, and may
// connect to where API servers listen; no other pod has one.
//
// REQ B-10, B-14
func TestOperatorServiceAccountVolume(t *testing.T) {
	t.Parallel()
	namespace := plane.Namespace(t)
	// As an API server says that is not on loopback.
	for _, o := range plane.Apply(t, "default", `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: kubernetes, labels: {kubernetes.io/service-name: kubernetes}}
addressType: IPv4
endpoints: [{addresses: [192.0.2.1]}]
ports: [{name: https, port: 16443, protocol: TCP}]
`) {
		plane.DeleteAfter(t, kube.RefOf(o))
	}
	keep(t, namespace, "--namespace", "default")
	plane.Apply(t, namespace, `
apiVersion: sallyport.dev/v1alpha1
kind: MCPOIDCConfig
metadata: {name: cluster}
spec: {type: kubernetesServiceAccount, kubernetesServiceAccount: {}}
---
apiVersion: sallyport.dev/v1alpha1
kind: MCPOIDCConfig
metadata: {name: elsewhere}
spec: {type: inline, inline: {issuer: "https://idp.example.com"}}
---
apiVersion: sallyport.dev/v1alpha1
kind: MCPRemoteProxy
metadata: {name: asks}
spec: {remoteUrl: "https://mcp.example.com/mcp", oidcConfigRef: {name: cluster, audience: docs}, networkPolicy: {enabled: true}}
---
apiVersion: sallyport.dev/v1alpha1
kind: MCPRemoteProxy
metadata: {name: other}
spec: {remoteUrl: "https://10.1.2.3:8443/mcp", allowPrivateEndpoint: true, oidcConfigRef: {name: elsewhere, audience: docs}, networkPolicy: {enabled: true}}
---
apiVersion: sallyport.dev/v1alpha1
kind: MCPServer
metadata: {name: server}
spec: {image: example.com/server:1, transport: streamable-http, oidcConfigRef: {name: cluster, audience: docs}}
`)
	for _, c := range []struct {
		kind, name, container string
		token                 bool
	}{
		{"MCPRemoteProxy", "asks", "sallyport", true},
		{"MCPRemoteProxy", "other", "sallyport", false},
		{"MCPServer", "server", "sallyport", true},
		{"MCPServer", "server", "mcp", false},
	} {
		o, _ := await(t, resource(c.kind, namespace, c.name), "Ready", "False NoPodReady")
		pod, _, _ := unstructured.NestedMap(deploymentOf(t, namespace, o, c.container).Object, "spec", "template", "spec")
		if automounted, found, _ := unstructured.NestedBool(pod, "automountServiceAccountToken"); !found || automounted {
			t.Errorf("%s, container %s: a token is mounted into every container", c.name, c.container)
		}
		text, err := json.Marshal(pod)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{`"serviceAccountToken":{"expirationSeconds":3600,"path":"token"}`, `"name":"kube-root-ca.crt"`, `"mountPath":"/var/run/secrets/kubernetes.io/serviceaccount"`} {
			if strings.Contains(string(text), part) != c.token {
				t.Errorf("%s, container %s: has %s: %t", c.name, c.container, part, !c.token)
			}
		}
	}
	admits := func(name string) map[int64]bool {
		t.Helper()
		o, err := plane.Get(t, resource("MCPRemoteProxy", namespace, name))
		if err != nil {
			t.Fatal(err)
		}
		all := map[int64]bool{}
		rules, _, _ := unstructured.NestedSlice(owned(t, "networking.k8s.io/v1", "NetworkPolicy", namespace, o).Object, "spec", "egress")
		for _, r := range rules {
			list, _, _ := unstructured.NestedSlice(r.(map[string]any), "ports")
			for _, p := range list {
				all[p.(map[string]any)["port"].(int64)] = true
			}
		}
		return all
	}
	got := admits("asks")
	for _, p := range []int64{443, 16443} {
		if !got[p] {
			t.Errorf("the API server is at port %d, and the policy admits %v", p, got)
		}
	}
	if _, message := await(t, resource("MCPRemoteProxy", namespace, "asks"), "NetworkPolicyExact", "False AnyAddress"); !strings.Contains(message, "mcp.example.com:443") {
		t.Errorf("nothing says what the policy cannot say: %s", message)
	}
	if got := admits("other"); got[16443] || got[6443] {
		t.Errorf("the policy admits the API server for nothing: %v", got)
	}
	if _, message := await(t, resource("MCPRemoteProxy", namespace, "other"), "NetworkPolicyExact", "False AnyAddress"); strings.Contains(message, "10.1.2.3") || !strings.Contains(message, "idp.example.com:443") {
		t.Errorf("of an address, which a policy can say: %s", message)
	}
}

// An operator that is told to end says nothing of errors, and gives its lease back: the next one begins at once.
func TestOperatorEndsQuietly(t *testing.T) {
	t.Parallel()
	namespace := plane.Namespace(t)
	lease := kube.Ref{APIVersion: "coordination.k8s.io/v1", Kind: "Lease", Namespace: namespace, Name: "sallyport-operator"}
	holder := func(o *kube.Object) string {
		if o == nil {
			return ""
		}
		name, _, _ := unstructured.NestedString(o.Object, "spec", "holderIdentity")
		return name
	}
	for _, group := range []string{"first", "second"} {
		operator := keep(t, namespace, "--leader-elect")
		plane.Apply(t, namespace, `{apiVersion: sallyport.dev/v1alpha1, kind: MCPGroup, metadata: {name: `+group+`}, spec: {}}`)
		await(t, resource("MCPGroup", namespace, group), "Ready", "True Counted") // it works
		if o, err := plane.Get(t, lease); err != nil || holder(o) == "" {
			t.Errorf("it works, and has no lease (%v)", err)
		}
		operator.stop(t)
		if text := operator.log.String(); strings.Contains(text, "level=ERROR") || strings.Contains(text, " ERROR ") || strings.Contains(text, "leader election lost") {
			t.Errorf("at its end it says:\n%s", text)
		}
		if o, err := plane.Get(t, lease); err != nil || holder(o) != "" {
			t.Errorf("the lease is still %s's (%v)", holder(o), err)
		}
	}
}

// What changes is noticed by itself, without waiting until everything is looked at again: a missing reference, and that
// it is there; drift; a backend that is away. How long each takes is for people to read: a busy machine has its own time.
//
// REQ B-6, B-11, B-13
func TestOperatorNotices(t *testing.T) {
	t.Parallel()
	namespace := plane.Namespace(t)
	backend := newBackend(t)
	plane.StartNode(t, namespace, map[string]kube.Image{image: gatewayImage(t)})
	keep(t, namespace, "--resync", "10m", "--status-interval", "2s")
	since := time.Now()
	noticed := func(what string, wanted time.Duration) {
		t.Helper()
		t.Logf("%s: noticed within %s (wanted: %s)", what, time.Since(since).Round(10*time.Millisecond), wanted)
		since = time.Now()
	}
	plane.Apply(t, namespace, strings.ReplaceAll(docs, "REMOTE", backend.url))
	proxy := resource("MCPRemoteProxy", namespace, "docs")
	await(t, proxy, "AuthConfigured", "False SecretNotFound")
	noticed("a missing Secret", 8*time.Second)
	plane.Apply(t, namespace, `{apiVersion: v1, kind: Secret, metadata: {name: api}, stringData: {token: x}}`)
	await(t, proxy, "AuthConfigured", "True Configured")
	noticed("a Secret that has come", 8*time.Second)
	await(t, proxy, "Ready", "True PodsReady")
	o, _ := await(t, proxy, "RemoteAvailable", "True Reachable")

	service := owned(t, "v1", "Service", namespace, o)
	since = time.Now()
	if _, err := plane.Patch(t, kube.RefOf(service), map[string]any{"spec": map[string]any{"selector": map[string]any{"more": "x"}}}); err != nil {
		t.Fatal(err)
	}
	plane.Eventually(t, "the Service is mended", kube.RefOf(service), func(o *kube.Object) bool {
		_, found, _ := unstructured.NestedString(o.Object, "spec", "selector", "more")
		return !found
	})
	noticed("a changed Service", 10*time.Second)
	for _, kind := range []string{"apps/v1 Deployment", "v1 ConfigMap"} {
		version, kind, _ := strings.Cut(kind, " ")
		made := owned(t, version, kind, namespace, o)
		since = time.Now()
		if err := plane.Delete(t, kube.RefOf(made)); err != nil {
			t.Fatal(err)
		}
		plane.Eventually(t, "it is back", kube.RefOf(made), func(o *kube.Object) bool { return o != nil && o.GetUID() != made.GetUID() })
		noticed("a deleted "+kind, 10*time.Second)
	}
	await(t, proxy, "Ready", "True PodsReady")
	await(t, proxy, "RemoteAvailable", "True Reachable")
	since = time.Now()
	backend.close()
	await(t, proxy, "RemoteAvailable", "False Unreachable")
	noticed("a backend that is away", 16*time.Second)
}
