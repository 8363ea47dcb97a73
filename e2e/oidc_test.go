package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// docsAudience is what tokens for the resource "docs" are for. Issuers compare it
// as text, so it need not be where the gateway happens to listen.
const docsAudience = "https://gw.example.com/servers/docs/mcp"

// idpObject is the resource of an issuer; lines are further lines of its inline.
func idpObject(idp *testkit.IdP, lines ...string) string {
	spec := []string{"type: inline", "inline:", "  issuer: " + idp.Issuer, "  jwksAllowPrivateIP: true"}
	for _, line := range lines {
		spec = append(spec, "  "+line)
	}
	return object("MCPOIDCConfig", "idp", spec...)
}

// ofIDP protects an endpoint by that issuer.
func ofIDP(audience string, scopes ...string) string {
	return fmt.Sprintf("oidcConfigRef: {name: idp, audience: %q, scopes: [%s]}", audience, strings.Join(scopes, ", "))
}

func bearer(token string) []string { return []string{"Authorization", "Bearer " + token} }

var resourceMetadata = regexp.MustCompile(`resource_metadata="([^"]+)"`)

// wantChallenge fails the test unless the reply is a refusal whose challenge has
// the error, none for "", and leads to metadata; it returns the metadata.
func (r reply) wantChallenge(t *testing.T, status int, code string) (metadata struct {
	Resource             string   `json:"resource"`
	AuthorizationServers []string `json:"authorization_servers"`
	BearerMethods        []string `json:"bearer_methods_supported"`
	Scopes               []string `json:"scopes_supported"`
},
) {
	t.Helper()
	challenges := r.Header.Values("Www-Authenticate")
	if r.Status != status || len(challenges) != 1 || !strings.HasPrefix(challenges[0], "Bearer ") {
		t.Fatalf("status %d, want %d; WWW-Authenticate %q; %s", r.Status, status, challenges, r.Body)
	}
	if has := strings.Contains(challenges[0], `error="`); has != (code != "") || !strings.Contains(challenges[0], code) {
		t.Errorf("WWW-Authenticate %q, want the error %q", challenges, code)
	}
	m := resourceMetadata.FindStringSubmatch(challenges[0])
	if m == nil {
		t.Fatalf("WWW-Authenticate %q leads to no metadata", challenges)
	}
	got := request{method: http.MethodGet, url: m[1]}.do(t)
	if err := json.Unmarshal([]byte(got.Body), &metadata); err != nil || got.Status != http.StatusOK {
		t.Fatalf("GET %s: %d %s", m[1], got.Status, got.Body)
	}
	return metadata
}

// REQ B-7, REQ B-25, REQ C-10: every surface, with every state of a token.
func TestTokens(t *testing.T) {
	t.Parallel()
	idp := testkit.StartIdP(t)
	backend := testkit.Record(t, sessionBackend("backend-session"))
	g := serve(t, idpObject(idp)+remote("docs", backend.URL, ofIDP(docsAudience), "audit: {enabled: true}"))
	wish := testkit.TokenWish{Audience: docsAudience, Subject: "alice"}
	good := bearer(idp.Token(t, wish))
	wish.TTL = -time.Minute
	expired := idp.Token(t, wish)
	wish = testkit.TokenWish{Audience: docsAudience + "/more", Subject: "alice"}
	other := testkit.StartIdP(t)
	tests := []struct {
		name    string
		headers []string
		status  int    // 0: as the surface has it for who may in
		code    string // of the challenge
	}{
		{"no token", nil, 401, ""},
		{"garbage", bearer("garbage"), 401, "invalid_token"},
		{"garbage that looks like a JWT", bearer("eyJhbGciOiJub25lIn0.eyJzdWIiOiJyb290In0."), 401, "invalid_token"},
		{"empty", bearer(""), 401, ""},
		{"basic", []string{"Authorization", "Basic YWxpY2U6YWxpY2U="}, 401, ""},
		{"expired", bearer(expired), 401, "invalid_token"},
		{"for another resource", bearer(idp.Token(t, wish)), 401, "invalid_token"},
		{"of another issuer", bearer(other.Token(t, testkit.TokenWish{Audience: docsAudience, Subject: "alice"})), 401, "invalid_token"},
		{"opaque", bearer(idp.Token(t, testkit.TokenWish{Audience: docsAudience, Subject: "alice", Opaque: true})), 401, "invalid_token"},
		{"proxy header", []string{"X-Authenticated-User", "root"}, 401, ""},
		{"good", good, 0, ""},
		{"good, and a proxy header", append([]string{"X-Authenticated-User", "root"}, good...), 0, ""},
	}
	for _, s := range surfaces(g) {
		for _, tt := range tests {
			t.Run(s.name+"/"+tt.name, func(t *testing.T) {
				r := s.request(t, good...)
				backend.Reset()
				got := r.with(tt.headers...).try(t)
				if tt.status == 0 {
					if got.Status != s.ok {
						t.Errorf("status %d, want %d: %s", got.Status, s.ok, got.Body)
					}
					return
				}
				if got.Status == 401 && tt.name == "empty" && strings.Contains(got.Header.Get("Www-Authenticate"), "invalid_token") {
					tt.code = "invalid_token" // an empty token is one, or none
				}
				md := got.wantChallenge(t, tt.status, tt.code)
				if want := at(g, "docs"); md.Resource != want && md.Resource != g.MCP() && (s.name != "/sse" || md.Resource != strings.TrimSuffix(want, "/mcp")+"/sse") {
					t.Errorf("resource %q, want %q", md.Resource, want)
				}
				if diff := cmp.Diff([]string{idp.Issuer}, md.AuthorizationServers); diff != "" {
					t.Errorf("authorization servers (-want +got):\n%s", diff)
				}
				if n := len(backend.Requests()); n > 0 && s.name != "/messages" { // whose stream may still be listening
					t.Errorf("%d requests reached the backend", n)
				}
				if strings.Contains(got.Body+fmt.Sprint(got.Header), "signature") || strings.Contains(got.Body, "audience") {
					t.Errorf("the refusal says why: %s", got.Body)
				}
			})
		}
	}
	if strings.Contains(backend.Wire(), good[1][7:]) {
		t.Error("the token reached the backend")
	}
	if err := g.Stop(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"denied", "jwt alice success"}, who(t, g)); diff != "" {
		t.Errorf("callers in the audit (-want +got):\n%s", diff)
	}
}

// REQ B-25: two Authorization headers, and a token in the query, are no token.
func TestTokensElsewhere(t *testing.T) {
	t.Parallel()
	idp := testkit.StartIdP(t)
	backend := testkit.Record(t, ok)
	g := serve(t, idpObject(idp)+remote("docs", backend.URL, ofIDP(docsAudience)))
	token := idp.Token(t, testkit.TokenWish{Audience: docsAudience})
	for name, r := range map[string]request{
		"twice":        call(g.MCP(), "tool", "").with(bearer(token)...).with(bearer(token)...),
		"in the query": call(g.MCP()+"?access_token="+token, "tool", ""),
		"in a cookie":  call(g.MCP(), "tool", "").with("Cookie", "access_token="+token),
		"in the body":  message(g.MCP(), "access_token="+token).without("Content-Type").with("Content-Type", "application/x-www-form-urlencoded"),
		"as a basic password": call(g.MCP(), "tool", "").
			with("Authorization", "Basic "+token),
		"by comma": call(g.MCP(), "tool", "").with("Authorization", "Bearer "+token+", Bearer "+token),
	} {
		if got := r.do(t); got.Status < 400 || got.Status >= 500 {
			t.Errorf("%s: %d", name, got.Status)
		}
	}
	call(g.MCP(), "tool", "").with(bearer(token)...).do(t).wantResult(t, `{"ok":true}`)
	if n := len(backend.Requests()); n != 1 {
		t.Errorf("%d requests reached the backend, want 1", n)
	}
	if strings.Contains(g.Stderr.String(), token) {
		t.Error("the token is in the log")
	}
}

// REQ B-25: a token without the scopes is 403, and says which are wanted.
func TestScopes(t *testing.T) {
	t.Parallel()
	idp := testkit.StartIdP(t)
	backend := testkit.Record(t, ok)
	g := serve(t, idpObject(idp)+remote("docs", backend.URL, ofIDP(docsAudience, "mcp:read", "mcp:write")))
	token := func(scopes ...string) []string {
		return bearer(idp.Token(t, testkit.TokenWish{Audience: docsAudience, Scopes: scopes}))
	}
	call(g.MCP(), "tool", "").with(token("mcp:read", "mcp:write")...).do(t).wantResult(t, `{"ok":true}`)
	for _, scopes := range [][]string{nil, {"mcp:read"}} {
		got := call(g.MCP(), "tool", "").with(token(scopes...)...).do(t)
		md := got.wantChallenge(t, 403, "insufficient_scope")
		if !strings.Contains(got.Header.Get("Www-Authenticate"), `scope="mcp:read mcp:write"`) {
			t.Errorf("WWW-Authenticate %q", got.Header.Get("Www-Authenticate"))
		}
		if diff := cmp.Diff([]string{"mcp:read", "mcp:write"}, md.Scopes); diff != "" {
			t.Errorf("scopes_supported (-want +got):\n%s", diff)
		}
	}
}

// REQ B-7: opaque tokens, by introspection; with the issuer down it is 503, and never a way in.
func TestIntrospection(t *testing.T) {
	t.Parallel()
	idp := testkit.StartIdP(t)
	backend := testkit.Record(t, ok)
	g := serve(t, secretObject("idp", "secret", testkit.IdPGatewaySecret)+
		idpObject(idp, "introspectionUrl: "+idp.Issuer+"/token/introspection", "clientId: "+testkit.IdPGatewayID, "clientSecretRef: {name: idp, key: secret}")+
		remote("docs", backend.URL, ofIDP(docsAudience), "audit: {enabled: true}"))
	opaque := testkit.TokenWish{Audience: docsAudience, Subject: "alice", Opaque: true}
	token, revoked, unseen := idp.Token(t, opaque), idp.Token(t, opaque), idp.Token(t, opaque)
	opaque.Audience = "https://elsewhere.example.com"
	foreign := idp.Token(t, opaque)
	idp.Revoke(t, revoked)
	jwt := idp.Token(t, testkit.TokenWish{Audience: docsAudience, Subject: "bob"})
	ask := func(token string) reply { return call(g.MCP(), "tool", "").with(bearer(token)...).do(t) }
	ask(token).wantResult(t, `{"ok":true}`)
	ask(jwt).wantResult(t, `{"ok":true}`)
	for name, bad := range map[string]string{"revoked": revoked, "for another resource": foreign, "made up": "made-up"} {
		if got := ask(bad); got.Status != 401 {
			t.Errorf("%s: status %d", name, got.Status)
		}
	}
	idp.Stop()
	if got := ask(unseen); got.Status != 503 {
		t.Errorf("with the issuer down: status %d, want 503", got.Status)
	}
	ask(token).wantResult(t, `{"ok":true}`) // remembered
	ask(jwt).wantResult(t, `{"ok":true}`)   // by the last good keys
	for _, secret := range []string{testkit.IdPGatewaySecret, token, jwt, unseen} {
		if strings.Contains(g.Stderr.String(), secret) {
			t.Error("a secret is in the log")
		}
	}
	if err := g.Stop(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"denied", "error", "introspection alice success", "jwt bob success"}, who(t, g)); diff != "" {
		t.Errorf("callers in the audit (-want +got):\n%s", diff)
	}
}

// REQ B-7, REQ B-9: new keys are found at once, and the old ones are worth nothing.
func TestKeyRotation(t *testing.T) {
	t.Parallel()
	idp := testkit.StartIdP(t)
	backend := testkit.Record(t, ok)
	g := serve(t, idpObject(idp)+remote("docs", backend.URL, ofIDP(docsAudience)))
	wish := testkit.TokenWish{Audience: docsAudience}
	old := idp.Token(t, wish)
	call(g.MCP(), "tool", "").with(bearer(old)...).do(t).wantResult(t, `{"ok":true}`)
	idp.Restart(t)
	call(g.MCP(), "tool", "").with(bearer(idp.Token(t, wish))...).do(t).wantResult(t, `{"ok":true}`)
	if got := call(g.MCP(), "tool", "").with(bearer(old)...).do(t); got.Status != 401 {
		t.Errorf("a token of the old keys: status %d, want 401", got.Status)
	}
	g.Stderr.WaitFor(t, "the issuer's keys changed")
}

// An issuer that is not there yet keeps nothing from starting, and nobody in.
func TestIssuerComesLate(t *testing.T) {
	t.Parallel()
	idp := testkit.StartIdP(t)
	token := idp.Token(t, testkit.TokenWish{Audience: docsAudience})
	idp.Stop()
	backend := testkit.Record(t, ok)
	g := serve(t, idpObject(idp)+remote("docs", backend.URL, ofIDP(docsAudience)))
	if got := call(g.MCP(), "tool", "").with(bearer(token)...).do(t); got.Status != 503 {
		t.Errorf("status %d, want 503", got.Status)
	}
	idp.Restart(t)
	testkit.Eventually(t, "a new token is accepted", func() bool {
		return call(g.MCP(), "tool", "").with(bearer(idp.Token(t, testkit.TokenWish{Audience: docsAudience}))...).do(t).Status == 200
	})
}

// Of the settings in place the same holds; and of several endpoints each is for its own audience.
func TestOIDCInPlace(t *testing.T) {
	t.Parallel()
	idp := testkit.StartIdP(t)
	backend := testkit.Record(t, ok)
	inline := func(audience string) string {
		return fmt.Sprintf("oidcConfig: {type: inline, inline: {issuer: %q, jwksUrl: %q, jwksAllowPrivateIP: true, audience: %q, scopes: [\"mcp:read\"]}}", idp.Issuer, idp.Issuer+"/jwks", audience)
	}
	g := serve(t, remote("a", backend.URL, inline("https://gw/a"))+remote("b", backend.URL, inline("https://gw/b"))+remote("open", backend.URL))
	for _, token := range []string{"a", "b"} {
		headers := bearer(idp.Token(t, testkit.TokenWish{Audience: "https://gw/" + token, Scopes: []string{"mcp:read"}}))
		for _, server := range []string{"a", "b", "open"} {
			want := 401
			if server == token || server == "open" {
				want = 200
			}
			if got := call(at(g, server), "tool", "").with(headers...).do(t); got.Status != want {
				t.Errorf("a token for %s at %s: status %d, want %d", token, server, got.Status, want)
			}
		}
	}
	for server, want := range map[string]int{"a": 200, "b": 200, "open": 404, "none": 404} {
		md := request{method: http.MethodGet, url: g.URL + "/.well-known/oauth-protected-resource/servers/" + server + "/mcp"}.do(t)
		if md.Status != want {
			t.Errorf("metadata of %s: status %d, want %d", server, md.Status, want)
		}
		if want == 200 && !strings.Contains(md.Body, `"resource":"`+at(g, server)+`"`) {
			t.Errorf("metadata of %s: %s", server, md.Body)
		}
	}
}

// REQ B-25: a real client that knows only the address finds everything else out
// from the 401, straight and through a proxy that ends TLS and has a prefix.
func TestDiscoveryByTheGoSDK(t *testing.T) {
	t.Parallel()
	idp := testkit.StartIdP(t)
	backend := testkit.StartBackend(t, testkit.Dual)
	docs := func(audience string) string {
		return idpObject(idp) + remote("docs", backend.URL, ofIDP(audience, "mcp:read"), "trustProxyHeaders: true", "audit: {enabled: true}")
	}
	for _, proxied := range []bool{false, true} {
		t.Run(fmt.Sprintf("proxied %v", proxied), func(t *testing.T) {
			t.Parallel()
			folder := manifests(t, docs("https://not.yet.known"))
			g := testkit.Start(t, "serve", "-f", folder)
			base, browser := g.URL, httpClient(t)
			if proxied {
				base, browser = testkit.TLSProxy(t, g.URL, "/mcp-gateway")
			}
			endpoint := base + "/servers/docs/mcp"
			writeManifests(t, folder, docs(endpoint))
			g.Stderr.WaitFor(t, "configuration reloaded")

			for user, revision := range map[string]string{"alice": "", "bob": "2025-11-25"} {
				session := signedIn(t, idp, browser, endpoint, user, revision)
				tools, err := session.ListTools(t.Context(), nil)
				if err != nil || len(tools.Tools) == 0 {
					t.Errorf("%s: %v", user, err)
				}
				if err := session.Close(); err != nil {
					t.Error(err)
				}
			}
			if err := g.Stop(); err != nil {
				t.Fatal(err)
			}
			callers := strings.Join(who(t, g), "\n")
			if !strings.Contains(callers, "jwt alice success") || !strings.Contains(callers, "jwt bob success") {
				t.Errorf("callers in the audit:\n%s", callers)
			}
		})
	}
}

// signedIn is a session of the Go SDK, whose user signs in when the server asks.
func signedIn(t *testing.T, idp *testkit.IdP, client *http.Client, endpoint, user, revision string) *mcp.ClientSession {
	t.Helper()
	const redirect = "http://127.0.0.1:7/callback"
	handler, err := auth.NewAuthorizationCodeHandler(&auth.AuthorizationCodeHandlerConfig{
		DynamicClientRegistrationConfig: &auth.DynamicClientRegistrationConfig{Metadata: &oauthex.ClientRegistrationMetadata{
			ClientName: "e2e", RedirectURIs: []string{redirect}, TokenEndpointAuthMethod: "none",
		}},
		AuthorizationCodeFetcher: func(ctx context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
			end, err := idp.SignIn(ctx, args.URL, user)
			if err != nil {
				return nil, err
			}
			q := end.Query()
			return &auth.AuthorizationResult{Code: q.Get("code"), State: q.Get("state"), Iss: q.Get("iss")}, nil
		},
		Client: client,
	})
	if err != nil {
		t.Fatal(err)
	}
	transport := &mcp.StreamableClientTransport{Endpoint: endpoint, HTTPClient: client, OAuthHandler: handler}
	session, err := mcp.NewClient(&mcp.Implementation{Name: "e2e", Version: "1"}, nil).
		Connect(t.Context(), transport, &mcp.ClientSessionOptions{ProtocolVersion: revision})
	if err != nil {
		t.Fatalf("%s at %s: %v", user, endpoint, err)
	}
	return session
}
