package e2e_test

import (
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// authServer is an authorization server with providers; lines are further lines of
// its block.
func authServer(t *testing.T, issuer string, providers map[string]*testkit.IdP, names []string, lines ...string) string {
	t.Helper()
	return namedAuthServer(t, "people", issuer, providers, names, lines...)
}

func namedAuthServer(t *testing.T, called, issuer string, providers map[string]*testkit.IdP, names []string, lines ...string) string {
	t.Helper()
	block, secrets := authServerBlock(t, called, issuer, providers, names, lines...)
	return secrets + object("MCPExternalAuthConfig", called, append([]string{"type: embeddedAuthServer", "embeddedAuthServer:"}, block...)...)
}

// authServerBlock is what stands in the field of an authorization server, and the secrets that it names.
func authServerBlock(t *testing.T, called, issuer string, providers map[string]*testkit.IdP, names []string, lines ...string) (spec []string, secrets string) {
	t.Helper()
	spec = []string{"  issuer: " + issuer, "  upstreamProviders:"}
	for _, name := range names {
		id, secret := providers[name].Register(t, issuer+"/oauth/callback")
		spec = append(spec,
			"  - name: "+name, "    type: oidc", "    oidcConfig:", "      issuerUrl: "+providers[name].Issuer, "      clientId: "+id,
			"      clientSecretRef: {name: "+called+"-"+name+", key: secret}", "      allowPrivateIPs: true",
			"      additionalAuthorizationParams: {prompt: consent}", // without it this provider gives no refresh token
		)
		secrets += secretObject(called+"-"+name, "secret", secret)
	}
	for _, line := range lines {
		spec = append(spec, "  "+line)
	}
	return spec, secrets
}

// signsIn connects the Go SDK's client, which finds out everything by itself; a
// browser stands in for the person.
func signsIn(t *testing.T, b *testkit.Browser, endpoint string) *mcp.ClientSession {
	t.Helper()
	session, err := mcp.NewClient(&mcp.Implementation{Name: "e2e", Version: "1"}, nil).
		Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: endpoint, HTTPClient: client, OAuthHandler: testkit.Authorizing(t, b, client)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close() })
	return session
}

// REQ A-2, REQ A-8: a real client signs in by discovery alone, policy sees who it is,
// the backend is reached through a redirect, and gets the provider's token only where
// that is wanted.
func TestSignInByDiscovery(t *testing.T) {
	t.Parallel()
	idp := testkit.StartIdP(t)
	target, err := url.Parse(testkit.StartBackend(t, testkit.Dual).URL)
	if err != nil {
		t.Fatal(err)
	}
	behind := &httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: target.Scheme, Host: target.Host})
	}}
	for name, disabled := range map[string]bool{"injected": false, "not injected": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			backend := testkit.Record(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/old" {
					w.Header().Set("Location", "/mcp")
					w.WriteHeader(http.StatusTemporaryRedirect)
					return
				}
				behind.ServeHTTP(w, r)
			}))
			address := testkit.FreeAddress(t)
			lines := []string{fmt.Sprintf("disableUpstreamTokenInjection: %t", disabled)}
			g := serve(t, authServer(t, "http://"+address, map[string]*testkit.IdP{"default": idp}, []string{"default"}, lines...)+
				remote("docs", backend.URL+"/old", "authServerRef: {kind: MCPExternalAuthConfig, name: people}",
					`authzConfig: {type: inline, inline: {policies: ['permit(principal, action, resource) when { context has claim_sub && context.claim_sub == "alice" };']}}`),
				"--listen", address)
			session := signsIn(t, testkit.NewBrowser(t), at(g, "docs"))
			tools, err := session.ListTools(t.Context(), nil)
			if err != nil || len(tools.Tools) == 0 {
				t.Fatalf("tools/list: %v", err)
			}
			if _, err := session.ListPrompts(t.Context(), nil); err != nil {
				t.Errorf("prompts/list: %v", err)
			}
			if _, err := session.ListResources(t.Context(), nil); err != nil {
				t.Errorf("resources/list: %v", err)
			}
			issuer := "http://" + address
			bob := register(t, issuer)
			try := bob.attempt(at(g, "docs"))
			code := goes(t, testkit.NewBrowser(t), try.address+"&login_hint=bob", appRedirect).URL.Query().Get("code")
			token := bob.token(try.form(code)).Access
			if got := call(at(g, "docs"), "echo", "").with(bearer(token)...).do(t); token == "" || got.Status != http.StatusForbidden {
				t.Errorf("somebody whom no policy permits: %d %s", got.Status, got.Body)
			}
			redirected := 0
			for _, r := range backend.Requests() {
				if r.Target == "/old" {
					redirected++
				}
				got := r.Header.Get("Authorization")
				if disabled && got != "" {
					t.Errorf("%s %s was sent a credential", r.Method, r.Target)
				}
				if !disabled && (!strings.HasPrefix(got, "Bearer ") || strings.Count(got, ".") == 2) {
					t.Errorf("%s %s: Authorization is %q, want the provider's opaque token", r.Method, r.Target, got)
				}
			}
			if redirected == 0 {
				t.Error("no request went by the backend's redirect")
			}
		})
	}
}
