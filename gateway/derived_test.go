package gateway_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/gateway"
	"github.com/sallyport-dev/sallyport/internal/testkit"
	"github.com/sallyport-dev/sallyport/internal/testkit/hub"
)

// tokens asks the gateway's token endpoint, as the person's client.
func (p *person) tokens(t *testing.T, form url.Values) (status int, answer map[string]any) {
	t.Helper()
	form.Set("client_id", p.id)
	resp, err := p.PostForm(p.origin+"/oauth/token", form)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, answer
}

// FINDING 2.1
// REQ D-9: a person's token that a backend's token endpoint does not take leads back to
// the account: it is renewed once, the call is 401, a refresh of the sign-in is refused,
// and the next sign-in visits the provider, whose new token is taken.
func TestDerivedCredentialLeadsBackToTheProvider(t *testing.T) {
	t.Parallel()
	for name, refusal := range map[string]string{"as servers in the field": "invalid_grant", "as RFC 8693 has it": "invalid_request"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, b := hub.Start(t), newBackend(t, "docs")
			h.SetLife(24 * time.Hour)       // with refresh tokens
			var good atomic.Pointer[string] // the token of the person's that is taken; nil for any
			var exchanged atomic.Int64
			endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				exchanged.Add(1)
				w.Header().Set("Content-Type", "application/json")
				if shown := r.PostFormValue("subject_token"); good.Load() != nil && strings.HasPrefix(shown, *good.Load()) {
					w.WriteHeader(http.StatusBadRequest)
					_, _ = fmt.Fprintf(w, `{"error":%q}`, refusal)
					return
				}
				_, _ = io.WriteString(w, `{"access_token":"for-the-backend","issued_token_type":"urn:ietf:params:oauth:token-type:access_token","token_type":"Bearer","expires_in":1}`)
			}))
			t.Cleanup(endpoint.Close)
			origin := serveAt(t, func(origin string) string {
				return object("MCPExternalAuthConfig", "auth", "type: embeddedAuthServer",
					fmt.Sprintf("embeddedAuthServer: {issuer: %q, upstreamProviders: [%s]}", origin, hubProvider("code-host", h, "clientId: "+h.ID))) +
					object("MCPExternalAuthConfig", "exchange", "type: tokenExchange",
						fmt.Sprintf("tokenExchange: {tokenUrl: %q, clientId: gw, audience: backend, allowPrivateIPs: true}", endpoint.URL)) +
					proxy("docs", b.URL+"/mcp", "authServerRef: {kind: MCPExternalAuthConfig, name: auth}", "externalAuthConfigRef: {name: exchange}")
			}, func(o *gateway.Options) {
				o.LookupEnv = func(string) (string, bool) { return h.Secret, true }
			})
			p, resource := newPerson(t, origin), origin+"/servers/docs/mcp"
			access, refresh := p.signInFor(t, resource)
			if resp := p.knock(t, resource, access); resp.StatusCode != http.StatusOK {
				t.Fatalf("a call: %s", resp.Status)
			}
			visits := h.Asked("/login/oauth/authorize")
			every := "gho_"
			good.Store(&every) // none is taken any more
			var resp *http.Response
			testkit.Eventually(t, "what was made before has ended", func() bool {
				resp = p.knock(t, resource, access)
				return resp.StatusCode != http.StatusOK
			})
			if resp.StatusCode != http.StatusUnauthorized || !strings.Contains(resp.Header.Get("WWW-Authenticate"), "resource_metadata") {
				t.Fatalf("a refused credential: %s %v", resp.Status, resp.Header)
			}
			status, answer := p.tokens(t, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}})
			if status != http.StatusBadRequest || answer["error"] != "invalid_grant" {
				t.Errorf("a refresh: %d %v", status, answer["error"])
			}
			good.Store(nil)
			access, _ = p.signInFor(t, resource)
			if n := h.Asked("/login/oauth/authorize"); n <= visits {
				t.Errorf("the provider was visited %d times, as before", n)
			}
			if resp := p.knock(t, resource, access); resp.StatusCode != http.StatusOK {
				t.Errorf("a call after the sign-in: %s", resp.Status)
			}
		})
	}
}
