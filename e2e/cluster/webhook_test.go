//go:build cluster

package cluster_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"net"
	"net/http"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sallyport-dev/sallyport/internal/testkit"
	"github.com/sallyport-dev/sallyport/internal/testkit/kube"
)

// hook is the chart's webhook, whose operator listens on this machine: there is nobody who would bring a Service there.
type hook struct {
	configuration kube.Ref
	secret        kube.Ref
	flags         []string
	address       string
}

// hooked applies the chart's objects for a webhook in a namespace.
func hooked(t *testing.T, namespace, more string) *hook {
	t.Helper()
	h := &hook{address: testkit.FreeAddress(t)}
	for _, o := range kube.Documents(t, render(t, namespace, "--values", values(t, "{watchNamespaces: ["+namespace+"], webhook: {enabled: true"+more+"}}"), "--show-only", "templates/webhook.yaml")) {
		if o.GetKind() == "ValidatingWebhookConfiguration" {
			h.configuration = kube.RefOf(o)
			at(t, o, h.address)
		}
		if _, err := plane.TryApply(t, "", o); err != nil {
			t.Fatal(err)
		}
		if o.GetNamespace() == "" {
			plane.DeleteAfter(t, kube.RefOf(o))
		}
	}
	h.secret = kube.Ref{APIVersion: "v1", Kind: "Secret", Namespace: namespace, Name: "sallyport-operator-webhook"}
	h.flags = []string{"--webhook-listen", h.address, "--webhook-configuration", h.configuration.Name, "--webhook-secret", namespace + "/" + h.secret.Name}
	return h
}

// at has the API server ask at an address.
func at(t *testing.T, o *kube.Object, address string) {
	t.Helper()
	hooks, _, _ := unstructured.NestedSlice(o.Object, "webhooks")
	for _, w := range hooks {
		c := w.(map[string]any)["clientConfig"].(map[string]any)
		delete(c, "service")
		c["url"] = "https://" + address + "/review"
	}
	if err := unstructured.SetNestedSlice(o.Object, hooks, "webhooks"); err != nil {
		t.Fatal(err)
	}
}

// awaitRefusals waits until the API server asks, and believes who answers.
func awaitRefusals(t *testing.T, namespace string) {
	t.Helper()
	fresh := strings.Replace(wrongPolicy, "name: wrong", "name: fresh", 1) // one that is there already may stay as it is
	testkit.Eventually(t, "a policy that is none is refused", func() bool {
		_, err := plane.TryApply(t, namespace, kube.Documents(t, fresh)[0], "dryRun=All")
		return err != nil && strings.Contains(err.Error(), "denied the request")
	})
}

const wrongPolicy = `
apiVersion: sallyport.dev/v1alpha1
kind: MCPAuthzConfig
metadata: {name: wrong}
spec: {type: cedarv1, config: {policies: ["permit(principal"]}}
`

// The API server refuses what is plainly wrong, and warns of what waits for something, in the words of conditions.
//
// REQ B-12
func TestWebhook(t *testing.T) {
	t.Parallel()
	namespace := plane.Namespace(t)
	h := hooked(t, namespace, "")
	k := keep(t, namespace, h.flags...)
	awaitRefusals(t, namespace)

	// Whatever the order, everything is let through; what is missing is told, and told again by a condition.
	warned := func(document, want string) {
		t.Helper()
		for _, o := range kube.Documents(t, document) {
			warnings, err := plane.Warnings(t, namespace, o)
			if got := strings.Join(warnings, "\n"); err != nil || !strings.Contains(got, want) || (got == "") != (want == "") {
				t.Errorf("%s %s: %v, warnings %q, want %q", o.GetKind(), o.GetName(), err, got, want)
			}
		}
	}
	const missing = `MCPRemoteProxy/docs: spec.externalAuthConfigRef.name: there is no MCPExternalAuthConfig "key"`
	warned(`{apiVersion: sallyport.dev/v1alpha1, kind: MCPRemoteProxy, metadata: {name: docs}, spec: {remoteUrl: "https://mcp.example.com/mcp", externalAuthConfigRef: {name: key}, groupRef: {name: team}}}`, missing)
	if _, message := await(t, resource("MCPRemoteProxy", namespace, "docs"), "AuthConfigured", "False MCPExternalAuthConfigNotFound"); !strings.Contains(message, missing) {
		t.Errorf("the condition says something else: %s", message)
	}
	warned(`{apiVersion: sallyport.dev/v1alpha1, kind: MCPExternalAuthConfig, metadata: {name: key}, spec: {type: headerInjection, headerInjection: {headerName: X-Api-Key, valueSecretRef: {name: api, key: token}}}}`, `there is no Secret "api"`)
	warned(`{apiVersion: v1, kind: Secret, metadata: {name: api}, stringData: {token: secret-value}}`, "")
	warned(`{apiVersion: sallyport.dev/v1alpha1, kind: VirtualMCPServer, metadata: {name: all}, spec: {groupRef: {name: team}}}`, `there is no MCPGroup "team"`)
	warned(`{apiVersion: sallyport.dev/v1alpha1, kind: MCPGroup, metadata: {name: team}, spec: {}}`, "")
	warned(`{apiVersion: sallyport.dev/v1alpha1, kind: MCPOIDCConfig, metadata: {name: staff}, spec: {type: inline, inline: {issuer: "https://idp.example.com"}}}`, "")
	await(t, resource("MCPRemoteProxy", namespace, "docs"), "AuthConfigured", "True Configured")

	plane.Apply(t, namespace, `{apiVersion: v1, kind: Service, metadata: {name: taken-proxy}, spec: {ports: [{port: 80}]}}`)
	for name, c := range map[string]struct{ document, want string }{
		"policy":       {wrongPolicy, "MCPAuthzConfig/wrong: spec.config.policies[0]: "},
		"template":     {`{apiVersion: sallyport.dev/v1alpha1, kind: MCPRemoteProxy, metadata: {name: new}, spec: {remoteUrl: "https://mcp.example.com/mcp", podTemplateSpec: {spec: {nodeSelectr: {}}}}}`, "nodeSelectr"},
		"name":         {`{apiVersion: sallyport.dev/v1alpha1, kind: MCPRemoteProxy, metadata: {name: taken}, spec: {remoteUrl: "https://mcp.example.com/mcp"}}`, "there is a Service taken-proxy already"},
		"type":         {`{apiVersion: sallyport.dev/v1alpha1, kind: MCPRemoteProxy, metadata: {name: docs}, spec: {remoteUrl: "https://mcp.example.com/mcp", authServerRef: {name: key}}}`, `MCPExternalAuthConfig "key" is not of type embeddedAuthServer`},
		"member":       {`{apiVersion: sallyport.dev/v1alpha1, kind: MCPServerEntry, metadata: {name: docs}, spec: {remoteUrl: "https://mcp.example.com/mcp", transport: streamable-http, groupRef: {name: team}}}`, "this would break VirtualMCPServer all: "},
		"user":         {`{apiVersion: sallyport.dev/v1alpha1, kind: MCPExternalAuthConfig, metadata: {name: key}, spec: {type: embeddedAuthServer, embeddedAuthServer: {issuer: "https://mcp.example.com", upstreamProviders: [{name: corp, type: oidc, oidcConfig: {issuerUrl: "https://idp.example.com", clientId: gateway}}]}}}`, "this would break MCPRemoteProxy docs: "},
		"no container": {`{apiVersion: sallyport.dev/v1alpha1, kind: MCPServer, metadata: {name: files}, spec: {command: [files]}}`, "set image"},
	} {
		_, err := plane.TryApply(t, namespace, kube.Documents(t, c.document)[0])
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "denied the request") {
			t.Errorf("%s: want it refused with %q, got %v", name, c.want, err)
		}
	}
	if !strings.Contains(k.log.String(), "a change is refused") || strings.Contains(k.log.String(), "secret-value") {
		t.Error("the log does not say what is refused, or says what nobody may know")
	}
	if _, text := fetch(t, k.admin+"/metrics"); !strings.Contains(text, `controller_runtime_webhook_requests_total{code="200",webhook="/review"}`) {
		t.Error("there are no metrics of the webhook")
	}

	// What is in use is not deleted but with its namespace.
	key := resource("MCPExternalAuthConfig", namespace, "key")
	if err := plane.Delete(t, key); err == nil || !strings.Contains(err.Error(), "MCPExternalAuthConfig/key: used by MCPRemoteProxy docs") {
		t.Errorf("deletion of what is used: %v", err)
	}
	if err := plane.Delete(t, resource("MCPOIDCConfig", namespace, "staff")); err != nil {
		t.Error(err)
	}
	if err := plane.Delete(t, kube.Ref{APIVersion: "v1", Kind: "Namespace", Name: namespace}); err != nil {
		t.Fatal(err)
	}
	plane.Eventually(t, "the namespace is gone", kube.Ref{APIVersion: "v1", Kind: "Namespace", Name: namespace}, func(o *kube.Object) bool { return o == nil })
}

// Without an operator everything is let through, and what is broken already can be edited.
func TestWebhookWithoutOperator(t *testing.T) {
	t.Parallel()
	namespace := plane.Namespace(t)
	h := hooked(t, namespace, "")
	k := keep(t, namespace, h.flags...)
	awaitRefusals(t, namespace)
	k.stop(t)
	plane.Apply(t, namespace, wrongPolicy)
	keep(t, namespace, h.flags...)
	awaitRefusals(t, namespace)
	wrong := resource("MCPAuthzConfig", namespace, "wrong")
	if _, err := plane.Patch(t, wrong, map[string]any{"metadata": map[string]any{"labels": map[string]any{"a": "b"}}}); err != nil {
		t.Errorf("a label: %v", err)
	}
	if _, err := plane.Patch(t, wrong, map[string]any{"spec": map[string]any{"mode": "shadow"}}); err != nil {
		t.Errorf("an edit that leaves it as it is: %v", err)
	}
	if err := plane.Delete(t, wrong); err != nil {
		t.Error(err)
	}
}

// Each of several replicas answers, whichever works; and all are believed while the authority of their certificates
// changes.
func TestWebhookReplicas(t *testing.T) {
	t.Parallel()
	namespace := plane.Namespace(t)
	h := hooked(t, namespace, "")
	second := testkit.FreeAddress(t)
	keep(t, namespace, append(h.flags, "--leader-elect")...)
	keep(t, namespace, append(h.flags, "--leader-elect", "--webhook-listen", second)...)
	bundle := func() []byte {
		o, err := plane.Get(t, h.configuration)
		if err != nil {
			t.Fatal(err)
		}
		hooks, _, _ := unstructured.NestedSlice(o.Object, "webhooks")
		text, _, _ := unstructured.NestedString(hooks[0].(map[string]any), "clientConfig", "caBundle")
		pem, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		return pem
	}
	// shown is what a replica shows, if it is believed: whatever it shows is believed already.
	shown := func(address string) string {
		conn, err := tls.DialWithDialer(&net.Dialer{Timeout: testkit.Patience}, "tcp", address, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // it is verified below
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		leaf, pool := conn.ConnectionState().PeerCertificates[0], x509.NewCertPool()
		pool.AppendCertsFromPEM(bundle())
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: "127.0.0.1"}); err != nil {
			t.Fatalf("the replica at %s is not believed: %v", address, err)
		}
		return leaf.SerialNumber.String()
	}
	awaitRefusals(t, namespace)
	before := map[string]string{}
	for _, a := range []string{h.address, second} {
		before[a] = shown(a)
	}
	// The authority's Secret goes: there is another, and nobody is not believed meanwhile.
	if err := plane.Delete(t, h.secret); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "both replicas have certificates of the new authority", func() bool {
		changed := 0
		for _, a := range []string{h.address, second} {
			if shown(a) != before[a] {
				changed++
			}
		}
		return changed == 2
	})
	awaitRefusals(t, namespace)
	o, err := plane.Get(t, h.configuration)
	if err != nil {
		t.Fatal(err)
	}
	at(t, o, second)
	if _, err := plane.Patch(t, h.configuration, map[string]any{"webhooks": o.Object["webhooks"]}); err != nil {
		t.Fatal(err)
	}
	awaitRefusals(t, namespace)
}

// REQ B-14: the rights of the chart are enough for the webhook: to make, renew and tell of its certificate, and to judge.
func TestChartGivesWhatTheWebhookNeeds(t *testing.T) {
	t.Parallel()
	namespace, address := plane.Namespace(t), testkit.FreeAddress(t)
	rendered := render(t, namespace, "--values", values(t, "{crds: {install: false}, aggregateRoles: false, watchNamespaces: ["+namespace+"], webhook: {enabled: true}}"))
	var configuration kube.Ref
	args, account := installed(t, namespace, rendered, func(o *kube.Object) {
		if o.GetKind() == "ValidatingWebhookConfiguration" {
			at(t, o, address)
			configuration = kube.RefOf(o)
		}
		if o.GetNamespace() == "" {
			plane.DeleteAfter(t, kube.RefOf(o))
		}
	})
	begin := plane.Mark(t)
	runOperator(t, append(args, "--kubeconfig="+plane.Account(t, namespace, account), "--admin-listen="+testkit.FreeAddress(t), "--resync=1s", "--webhook-listen="+address))
	awaitRefusals(t, namespace)
	o, err := plane.Get(t, configuration)
	if err != nil {
		t.Fatal(err)
	}
	// What the chart says stays beside what the operator says.
	if _, err := plane.TryApply(t, "", configured(t, rendered, address)); err != nil {
		t.Fatal(err)
	}
	again, err := plane.Get(t, configuration)
	if err != nil || again.GetGeneration() != o.GetGeneration() {
		t.Errorf("an upgrade takes the authority away: generation %d, then %d (%v)", o.GetGeneration(), again.GetGeneration(), err)
	}
	plane.Apply(t, namespace, everyKind)
	key := resource("MCPExternalAuthConfig", namespace, "key")
	if err := plane.Delete(t, key); err == nil || !strings.Contains(err.Error(), "used by MCPRemoteProxy docs") {
		t.Errorf("deletion of what is used: %v", err)
	}
	secret := kube.Ref{APIVersion: "v1", Kind: "Secret", Namespace: namespace, Name: "sallyport-operator-webhook"}
	spoilt, err := plane.Patch(t, secret, map[string]any{"data": map[string]any{"ca.crt": "eA=="}})
	if err != nil {
		t.Fatal(err)
	}
	plane.Eventually(t, "the authority is made anew", secret, func(o *kube.Object) bool {
		return o.GetResourceVersion() != spoilt.GetResourceVersion()
	})
	awaitRefusals(t, namespace)
	for _, r := range plane.Since(t, begin) {
		if r.User.Username == "system:serviceaccount:"+namespace+":"+account && r.ResponseStatus.Code == http.StatusForbidden && r.ObjectRef.APIGroup != "sallyport.dev" {
			t.Errorf("the chart gives no right to this: %s", r)
		}
	}
}

// configured is the chart's ValidatingWebhookConfiguration.
func configured(t *testing.T, rendered, address string) *kube.Object {
	t.Helper()
	for _, o := range kube.Documents(t, rendered) {
		if o.GetKind() == "ValidatingWebhookConfiguration" {
			at(t, o, address)
			return o
		}
	}
	t.Fatal("the chart renders no webhook")
	return nil
}
