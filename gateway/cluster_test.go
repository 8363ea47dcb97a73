package gateway_test

import (
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/gateway"
	"github.com/sallyport-dev/sallyport/internal/authn"
	"github.com/sallyport-dev/sallyport/internal/compile"
	"github.com/sallyport-dev/sallyport/internal/testkit"
	"github.com/sallyport-dev/sallyport/internal/token"
)

const (
	clusterIssuer = "https://kubernetes.default.svc"
	podToken      = "canary-pod-token"
)

// cluster is an API server that shows its keys to pods alone, and what a pod of it
// has.
func cluster(t *testing.T) (*testkit.Issuer, authn.Cluster) {
	t.Helper()
	i := testkit.NewTLSIssuer(t)
	i.Answer(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+podToken {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		i.Usual(w, r)
	})
	u, err := url.Parse(i.URL)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.Certificate().Raw})
	for name, text := range map[string]string{"ca.crt": string(ca), "token": podToken + "\n"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return i, authn.Cluster{Host: u.Hostname(), Port: u.Port(), Folder: folder}
}

// podClaims are those of a projected token.
func podClaims(i *testkit.Issuer, namespace, name string, changes map[string]any) map[string]any {
	claims := map[string]any{
		"iss": clusterIssuer, "sub": "system:serviceaccount:" + namespace + ":" + name, "jti": "1",
		"kubernetes.io": map[string]any{
			"namespace": namespace, "pod": map[string]any{"name": name + "-1"},
			"serviceaccount": map[string]any{"name": name, "uid": "2"},
		},
	}
	for k, v := range changes {
		claims[k] = v
	}
	return i.Claims("ours", claims)
}

// REQ B-7: service accounts of a cluster, in every way a manifest can name them.
func TestServiceAccounts(t *testing.T) {
	t.Parallel()
	i, pod := cluster(t)
	b := newBackend(t, "b")
	shared := func(lines ...string) string {
		spec := append([]string{"type: kubernetesServiceAccount", "kubernetesServiceAccount:"}, lines...)
		return object("MCPOIDCConfig", "cluster", spec...) + proxy("docs", b.URL, "oidcConfigRef: {name: cluster, audience: ours}")
	}
	sign := func(claims map[string]any) string { return i.Sign(map[string]any{"typ": nil}, claims) }
	alice, bob := sign(podClaims(i, "team-a", "alice", nil)), sign(podClaims(i, "team-b", "bob", nil))
	aliceOfB := sign(podClaims(i, "team-b", "alice", nil))
	for _, tt := range []struct {
		name string
		docs string
		want map[string]int // by token
	}{
		{"all of them", shared("  useClusterAuth: true"), map[string]int{alice: 200, bob: 200, aliceOfB: 200}},
		{"a namespace", shared("  namespace: team-a"), map[string]int{alice: 200, bob: 401, aliceOfB: 401}},
		{"an account", shared("  namespace: team-a", "  serviceAccount: alice"), map[string]int{alice: 200, bob: 401, aliceOfB: 401}},
		{"an account here", shared("  serviceAccount: alice"), map[string]int{alice: 401, bob: 401, aliceOfB: 401}}, // "here" is the default namespace
		{"in place", proxy("docs", b.URL, "oidcConfig: {type: kubernetes, kubernetes: {namespace: team-b, audience: ours}}"), map[string]int{alice: 401, bob: 200, aliceOfB: 200}},
		{"another issuer", shared("  issuer: https://oidc.example.com"), map[string]int{alice: 401}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			log := &lockedLog{}
			r := newRig(t, tt.docs, func(o *gateway.Options) { o.Cluster, o.Log = pod, log.logger() })
			for token, want := range tt.want {
				w := r.send(post("/mcp", toolCall, "Authorization", "Bearer "+token))
				if w.Code != want {
					t.Errorf("status %d, want %d: %s", w.Code, want, w.Body)
				}
				if w.Code == 401 && !strings.Contains(w.Header().Get("Www-Authenticate"), "resource_metadata=") {
					t.Errorf("challenge %q", w.Header().Get("Www-Authenticate"))
				}
			}
			for _, bad := range []map[string]any{{"sub": "alice"}, {"sub": "system:serviceaccount:team-a"}, {"sub": "system:serviceaccount:a:b:c"}, {"aud": clusterIssuer}} {
				if w := r.send(post("/mcp", toolCall, "Authorization", "Bearer "+sign(podClaims(i, "team-a", "alice", bad)))); w.Code != 401 {
					t.Errorf("%v: status %d", bad, w.Code)
				}
			}
			if log.count(podToken) > 0 {
				t.Error("the pod's token is in the log")
			}
			for _, h := range b.taken() {
				if strings.Contains(fmt.Sprint(h), podToken) {
					t.Error("the pod's token reached a backend")
				}
			}
		})
	}
}

// REQ B-8: an account has the groups that the API server gives it, for policies.
func TestServiceAccountGroups(t *testing.T) {
	t.Parallel()
	i, pod := cluster(t)
	b := newBackend(t, "b")
	docs := proxy("docs", b.URL, "oidcConfig: {type: kubernetes, kubernetes: {audience: ours}}",
		policies("enforce", `permit(principal in THVGroup::"system:serviceaccounts:team-a", action, resource);`))
	r := newRig(t, docs, func(o *gateway.Options) { o.Cluster = pod })
	for namespace, want := range map[string]string{"team-a": "success", "team-b": "denied"} {
		r.send(post("/mcp", toolCall, "Authorization", "Bearer "+i.Sign(nil, podClaims(i, namespace, "bot", nil))))
		events := r.events.take()
		if diff := cmp.Diff([]string{want, "system:serviceaccount:" + namespace + ":bot"}, []string{string(events[0].Outcome), events[0].Subject}); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		claims := token.Claims{"sub": "system:serviceaccount:" + namespace + ":bot"}
		said, err := compile.Explain(load(t, docs), compile.Question{Server: "docs", Claims: claims, Method: "tools/call", Name: "a"})
		if err != nil || said.Decision.Allow != (want == "success") {
			t.Errorf("explained as %+v, %v", said, err)
		}
	}
}

// The pod's token goes to the API server and nowhere else, whatever a manifest says.
func TestPodTokenStaysInside(t *testing.T) {
	t.Parallel()
	_, pod := cluster(t)
	outside := testkit.NewTLSIssuer(t)
	asked := make(chan string, 16)
	outside.Answer(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Header.Get("Authorization")
		outside.Usual(w, r)
	})
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: outside.Certificate().Raw}))
	bundle := "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: ca}\ndata:\n  ca.crt: |\n    " + strings.ReplaceAll(strings.TrimSpace(ca), "\n", "\n    ") + "\n"
	docs := func(more string) string {
		return bundle + proxy("docs", "http://127.0.0.1:1", "oidcConfig: {type: kubernetes, kubernetes: {audience: ours, jwksAllowPrivateIP: true, caBundleRef: {configMapRef: {name: ca}}, "+more+"}}")
	}
	for _, more := range []string{
		"jwksUrl: " + outside.URL + "/jwks",
		"jwksUrl: " + outside.URL + "/jwks, useClusterAuth: false",
		"issuer: " + outside.URL + ", useClusterAuth: false", // by discovery
	} {
		r := newRig(t, docs(more), func(o *gateway.Options) { o.Cluster = pod })
		r.send(post("/mcp", toolCall, "Authorization", "Bearer "+outside.Sign(nil, podClaims(outside, "a", "b", nil))))
		if got := <-asked; got != "" {
			t.Errorf("%s: sent %q", more, got)
		}
	}
}

// What is missing in a pod is said, with what to do.
func TestServiceAccountsOutside(t *testing.T) {
	t.Parallel()
	log := &lockedLog{}
	docs := proxy("docs", "http://127.0.0.1:1", "oidcConfig: {type: kubernetes, kubernetes: {audience: ours}}")
	r := newRig(t, docs, func(o *gateway.Options) {
		o.Log, o.Cluster = log.logger(), authn.Cluster{Folder: filepath.Join(t.TempDir(), "none")}
	})
	w := r.send(post("/mcp", toolCall, "Authorization", "Bearer eyJhbGciOiJFUzI1NiJ9.e30.AA"))
	if w.Code != http.StatusServiceUnavailable && w.Code != http.StatusUnauthorized {
		t.Errorf("status %d", w.Code)
	}
	testkit.Eventually(t, "the log says what to do", func() bool { return log.count("useClusterAuth: false") > 0 })
}

// An IPv6 address of the API server is one host.
func TestClusterAddress(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{
		"": "https://kubernetes.default.svc/openid/v1/jwks", "10.0.0.1": "https://10.0.0.1:443/openid/v1/jwks",
		"fd00::1": "https://" + net.JoinHostPort("fd00::1", "443") + "/openid/v1/jwks",
	} {
		if got := (authn.Cluster{Host: host, Port: "443"}).KeysURL(); got != want {
			t.Errorf("%q: %s, want %s", host, got, want)
		}
	}
}
