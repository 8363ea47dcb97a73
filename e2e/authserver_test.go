package e2e_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// app is an OAuth client of an authorization server, without an SDK in between.
type app struct {
	t      *testing.T
	issuer string
	id     string
}

const appRedirect = "http://127.0.0.1:7/callback"

// register makes a client (RFC 7591).
func register(t *testing.T, issuer string) *app {
	t.Helper()
	got := request{
		url: issuer + "/oauth/register", header: http.Header{"Content-Type": {"application/json"}},
		body: `{"client_name":"app","redirect_uris":["` + appRedirect + `"],"token_endpoint_auth_method":"none","grant_types":["authorization_code","refresh_token"]}`,
	}.do(t)
	var answer struct {
		ID string `json:"client_id"`
	}
	if err := json.Unmarshal([]byte(got.Body), &answer); err != nil || got.Status != http.StatusCreated {
		t.Fatalf("register: %d %s", got.Status, got.Body)
	}
	return &app{t, issuer, answer.ID}
}

// tokens are what the token endpoint answered.
type tokens struct {
	Status  int
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Error   string `json:"error"`
}

// signIn has a person sign in, for one endpoint.
func (a *app) signIn(b *testkit.Browser, resource string) tokens {
	a.t.Helper()
	verifier := oauth.NewVerifier()
	page, err := b.SignIn(a.t.Context(), a.issuer+"/oauth/authorize?"+url.Values{
		"response_type": {"code"}, "client_id": {a.id}, "redirect_uri": {appRedirect}, "state": {"s"}, "resource": {resource},
		"code_challenge": {oauth.Challenge(verifier)}, "code_challenge_method": {"S256"},
	}.Encode(), appRedirect)
	if err != nil {
		a.t.Fatal(err)
	}
	if page.URL.Query().Get("code") == "" || page.URL.Query().Get("iss") != a.issuer {
		a.t.Fatalf("sign in: %v %d %s", page.URL, page.Status, page.Body)
	}
	return a.token(url.Values{
		"grant_type": {"authorization_code"}, "code": {page.URL.Query().Get("code")}, "redirect_uri": {appRedirect},
		"code_verifier": {verifier}, "resource": {resource},
	})
}

func (a *app) refresh(token string) tokens {
	a.t.Helper()
	return a.token(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}})
}

func (a *app) token(form url.Values) (answer tokens) {
	a.t.Helper()
	form.Set("client_id", a.id)
	got := request{
		url: a.issuer + "/oauth/token", header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, body: form.Encode(),
	}.do(a.t)
	if err := json.Unmarshal([]byte(got.Body), &answer); err != nil {
		a.t.Fatalf("token: %d %s", got.Status, got.Body)
	}
	answer.Status = got.Status
	return answer
}

// opens tells whether a token opens an endpoint's door.
func opens(t *testing.T, endpoint, token string) bool {
	t.Helper()
	got := legacy(endpoint, "initialize", `"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}`).with(bearer(token)...).do(t)
	if got.Status != http.StatusOK && got.Status != http.StatusUnauthorized {
		t.Errorf("%s: %d %s", endpoint, got.Status, got.Body)
	}
	return got.Status == http.StatusOK
}

// A restart of a gateway with a store file signs nobody out and forgets no client.
func TestSignInsOutliveARestart(t *testing.T) {
	t.Parallel()
	idp := testkit.StartIdP(t)
	backend := testkit.Record(t, sessionBackend("s"))
	address := testkit.FreeAddress(t)
	issuer := "http://" + address
	docs := authServer(t, issuer, map[string]*testkit.IdP{"default": idp}, []string{"default"}) +
		remote("docs", backend.URL, "authServerRef: {name: people}")
	file := filepath.Join(t.TempDir(), "s.db")
	flags := []string{"--listen", address, "--store", "file:" + file, "--log-level", "debug"}
	g := serve(t, docs, flags...)
	client := register(t, issuer)
	first := client.signIn(testkit.NewBrowser(t), at(g, "docs"))
	if !opens(t, at(g, "docs"), first.Access) {
		t.Fatal("the token does not open the door")
	}
	if err := g.Stop(); err != nil {
		t.Fatal(err)
	}
	kept, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	upstream := strings.TrimPrefix(backend.Requests()[0].Header.Get("Authorization"), "Bearer ")
	for what, secret := range map[string]string{"access token": first.Access, "refresh token": first.Refresh, "provider's token": upstream, "person": "alice"} {
		if secret == "" || strings.Contains(string(kept), secret) || what != "person" && strings.Contains(g.Stderr.String(), secret) {
			t.Errorf("the %s is in the store's file or in the log, or there was none", what)
		}
	}
	g = serve(t, docs, flags...)
	if !opens(t, at(g, "docs"), first.Access) {
		t.Error("after the restart the token does not open the door")
	}
	second := client.refresh(first.Refresh)
	if second.Status != http.StatusOK || !opens(t, at(g, "docs"), second.Access) {
		t.Errorf("after the restart the refresh token is not good: %+v", second)
	}
	if third := client.signIn(testkit.NewBrowser(t), at(g, "docs")); third.Status != http.StatusOK {
		t.Errorf("after the restart the client is not known: %+v", third)
	}
}

// REQ D-4, REQ D-5, REQ D-7: one sign-in visits every provider; each backend gets the
// token of its own.
func TestChainOfProviders(t *testing.T) {
	t.Parallel()
	providers := map[string]*testkit.IdP{"staff": testkit.StartIdP(t), "partner": testkit.StartIdP(t)}
	one, two := testkit.Record(t, sessionBackend("s")), testkit.Record(t, sessionBackend("s"))
	address := testkit.FreeAddress(t)
	issuer := "http://" + address
	g := serve(t, authServer(t, issuer, providers, []string{"staff", "partner"})+
		object("MCPExternalAuthConfig", "partners-token", "type: upstreamInject", "upstreamInject: {providerName: partner}")+
		remote("one", one.URL, "authServerRef: {name: people}")+
		remote("two", two.URL, "authServerRef: {name: people}", "externalAuthConfigRef: {name: partners-token}"), "--listen", address)
	client, browser := register(t, issuer), testkit.NewBrowser(t)
	forOne := client.signIn(browser, at(g, "one"))
	forms := browser.Forms
	forTwo := client.signIn(browser, at(g, "two"))
	if forms != 1 || browser.Forms != 2 {
		t.Errorf("the browser sent %d forms for the first endpoint, %d for both; want one for each", forms, browser.Forms)
	}
	if !opens(t, at(g, "one"), forOne.Access) || !opens(t, at(g, "two"), forTwo.Access) {
		t.Fatal("a token does not open its own door")
	}
	if opens(t, at(g, "two"), forOne.Access) || opens(t, at(g, "one"), forTwo.Access) {
		t.Error("a token opens another endpoint's door")
	}
	shown := func(r *testkit.Recorder) string {
		for _, got := range r.Requests() {
			if v := got.Header.Get("Authorization"); v != "" {
				return strings.TrimPrefix(v, "Bearer ")
			}
		}
		return ""
	}
	a, b := shown(one), shown(two)
	if a == "" || b == "" || a == b || a == forOne.Access || b == forTwo.Access {
		t.Errorf("the backends were shown %q and %q", a, b)
	}
	for name, want := range map[string][2]bool{a: {true, false}, b: {false, true}} {
		for i, provider := range []string{"staff", "partner"} {
			if got := providers[provider].Knows(t, name); got != want[i] {
				t.Errorf("provider %s knows the token: %t, want %t", provider, got, want[i])
			}
		}
	}
}

// Servers of one process share nothing.
func TestAuthServersShareNothing(t *testing.T) {
	t.Parallel()
	idp := testkit.StartIdP(t)
	backend := testkit.Record(t, sessionBackend("s"))
	address := testkit.FreeAddress(t)
	a, b := "http://"+address, "http://"+address+"/partners"
	providers, names := map[string]*testkit.IdP{"default": idp}, []string{"default"}
	g := serve(t, namedAuthServer(t, "a", a, providers, names)+namedAuthServer(t, "b", b, providers, names)+
		remote("one", backend.URL, "authServerRef: {name: a}")+remote("two", backend.URL, "authServerRef: {name: b}"), "--listen", address)
	clientA, clientB, browser := register(t, a), register(t, b), testkit.NewBrowser(t)
	ofA := clientA.signIn(browser, at(g, "one"))
	if browser.Forms != 1 || !opens(t, at(g, "one"), ofA.Access) || opens(t, at(g, "two"), ofA.Access) {
		t.Errorf("%d forms; the token opens its own door, and no other: %t, %t", browser.Forms, opens(t, at(g, "one"), ofA.Access), opens(t, at(g, "two"), ofA.Access))
	}
	clientB.signIn(browser, at(g, "two"))
	if browser.Forms != 2 {
		t.Error("consent at one server counted at the other")
	}
	if r := clientB.refresh(ofA.Refresh); r.Error != "invalid_grant" {
		t.Errorf("a refresh token at the other server: %+v", r)
	}
	if r := (&app{t, b, clientA.id}).refresh(ofA.Refresh); r.Error != "invalid_client" {
		t.Errorf("a client at the other server: %+v", r)
	}
	if r := clientA.refresh(ofA.Refresh); r.Status != http.StatusOK {
		t.Errorf("at its own: %+v", r)
	}
	for issuer, places := range map[string][]string{
		a: {a + "/.well-known/oauth-authorization-server", a + "/.well-known/openid-configuration"},
		b: {a + "/.well-known/oauth-authorization-server/partners", a + "/.well-known/openid-configuration/partners", b + "/.well-known/openid-configuration"},
	} {
		for _, place := range places {
			got := request{method: http.MethodGet, url: place}.do(t)
			if !strings.Contains(got.Body, `"issuer":"`+issuer+`"`) || got.Status != http.StatusOK {
				t.Errorf("%s: %d %s", place, got.Status, got.Body)
			}
		}
	}
}

// Behind a proxy that takes a prefix off, or leaves it: the server is found, and says
// its issuer's addresses whatever a request claims about them.
func TestAuthServerBehindAPrefix(t *testing.T) {
	t.Parallel()
	idp := testkit.StartIdP(t)
	backend := testkit.Record(t, sessionBackend("s"))
	const issuer = "https://mcp.example.com/gw/login"
	g := serve(t, authServer(t, issuer, map[string]*testkit.IdP{"default": idp}, []string{"default"})+
		remote("docs", backend.URL, "authServerRef: {name: people}", "trustProxyHeaders: true"), "--public-url", "https://mcp.example.com/gw")
	for _, path := range []string{
		"/.well-known/oauth-authorization-server/gw/login", "/.well-known/openid-configuration/gw/login",
		"/gw/login/.well-known/openid-configuration", "/login/.well-known/openid-configuration", "/.well-known/oauth-authorization-server",
	} {
		got := request{method: http.MethodGet, url: g.URL + path}.with("X-Forwarded-Host", "evil.example", "X-Forwarded-Prefix", "/evil").do(t)
		if got.Status != http.StatusOK || !strings.Contains(got.Body, `"issuer":"`+issuer+`"`) || strings.Contains(got.Body, "evil") || got.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: %d %s", path, got.Status, got.Body)
		}
	}
	const resource = "https://mcp.example.com/gw/servers/docs/mcp"
	about := request{method: http.MethodGet, url: g.URL + "/.well-known/oauth-protected-resource/servers/docs/mcp"}.do(t)
	if !strings.Contains(about.Body, `"resource":"`+resource+`"`) || !strings.Contains(about.Body, `"authorization_servers":["`+issuer+`"]`) {
		t.Errorf("metadata of the endpoint: %d %s", about.Status, about.Body)
	}
	client := register(t, g.URL+"/login") // the proxy took /gw off
	ask := url.Values{
		"response_type": {"code"}, "client_id": {client.id}, "redirect_uri": {appRedirect}, "resource": {resource},
		"code_challenge": {oauth.Challenge(oauth.NewVerifier())}, "code_challenge_method": {"S256"},
	}
	got := request{method: http.MethodGet, url: g.URL + "/login/oauth/authorize?" + ask.Encode()}.do(t)
	cookie := got.Header.Get("Set-Cookie")
	if got.Status != http.StatusOK || !strings.HasPrefix(cookie, "__Host-") || !strings.Contains(cookie, "; Secure") || !strings.Contains(cookie, "SameSite=Lax") || !strings.Contains(cookie, "HttpOnly") {
		t.Errorf("consent: %d, cookie %q\n%s", got.Status, cookie, got.Body)
	}
	if !strings.Contains(got.Body, `action="`+issuer+`/oauth/consent"`) {
		t.Errorf("the form goes elsewhere: %s", got.Body)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.URL+"/login/oauth/connections", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "evil.example"
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("under a rebound name: %d", resp.StatusCode)
	}
}

// FINDING S16: revoking a sign-in ends its open streams, not only its next calls.
func TestRevokedStreams(t *testing.T) {
	t.Parallel()
	idp := testkit.StartIdP(t)
	address := testkit.FreeAddress(t)
	issuer := "http://" + address
	g := serve(t, authServer(t, issuer, map[string]*testkit.IdP{"default": idp}, []string{"default"})+
		remote("docs", testkit.StartBackend(t, testkit.Dual).URL, "authServerRef: {name: people}"), "--listen", address)
	client := register(t, issuer)
	issued := client.signIn(testkit.NewBrowser(t), issuer+"/servers/docs/mcp")
	stream := request{method: http.MethodGet, url: g.URL + "/servers/docs/sse"}.with("Authorization", "Bearer "+issued.Access, "Accept", "text/event-stream").open(t.Context(), t)
	if stream.StatusCode != http.StatusOK {
		t.Fatalf("the stream: %d", stream.StatusCode)
	}
	if got := (request{url: issuer + "/oauth/revoke", body: url.Values{"token": {issued.Refresh}, "client_id": {client.id}}.Encode()}).with("Content-Type", "application/x-www-form-urlencoded").do(t); got.Status != http.StatusOK {
		t.Fatalf("revoke: %d %s", got.Status, got.Body)
	}
	if _, err := io.Copy(io.Discard, stream.Body); err != nil { // until it ends
		t.Errorf("the stream of a sign-in that was revoked: %v", err)
	}
}

// FINDING S10: each of several servers on one host answers at its own path, the root's
// too, and none at the end of another's path unless a proxy takes the front off.
func TestAuthServersOnOneHost(t *testing.T) {
	t.Parallel()
	idp := testkit.StartIdP(t)
	address := testkit.FreeAddress(t)
	docs := ""
	for name, path := range map[string]string{"root": "", "a": "/team-a", "b": "/team-b", "deep": "/team/as"} {
		docs += namedAuthServer(t, name, "http://"+address+path, map[string]*testkit.IdP{"default": idp}, []string{"default"}) +
			remote("docs-"+name, testkit.StartBackend(t, testkit.Dual).URL, "authServerRef: {name: "+name+"}")
	}
	g := serve(t, docs, "--listen", address)
	for path, issuer := range map[string]string{
		"/.well-known/oauth-authorization-server": "", "/.well-known/openid-configuration": "",
		"/.well-known/oauth-authorization-server/team-a": "/team-a", "/team-b/.well-known/openid-configuration": "/team-b",
		"/.well-known/oauth-authorization-server/team/as": "/team/as",
		"/as/.well-known/openid-configuration":            "none", "/.well-known/oauth-authorization-server/as": "none",
	} {
		got := request{method: http.MethodGet, url: g.URL + path}.do(t)
		if issuer == "none" {
			if got.Status != http.StatusNotFound {
				t.Errorf("%s: %d %s", path, got.Status, got.Body)
			}
			continue
		}
		if got.Status != http.StatusOK || !strings.Contains(got.Body, `"issuer":"http://`+address+issuer+`"`) {
			t.Errorf("%s: %d %s", path, got.Status, got.Body)
		}
	}
}

// What docs/how-to/identity-providers.md promises to be in the log at start is there.
func TestLogAtStart(t *testing.T) {
	t.Parallel()
	g := serve(t, object("MCPExternalAuthConfig", "people", "type: embeddedAuthServer", "embeddedAuthServer:", "  issuer: http://127.0.0.1:8080", "  upstreamProviders:",
		"  - name: chat", "    type: oauth2", "    oauth2Config:", "      authorizationEndpoint: https://chat.example.com/authorize", "      tokenEndpoint: https://chat.example.com/token", "      clientId: gateway")+
		remote("docs", testkit.StartBackend(t, testkit.Dual).URL, "authServerRef: {name: people}"))
	if !strings.Contains(read(t, filepath.Join(root, "docs", "how-to", "identity-providers.md")), "That is said in the log at start.") {
		t.Error("the page does not promise it any more; this test can go")
	}
	if len(lines(g.Stderr.String(), "level=WARN", "everybody is somebody new at each sign-in", "provider=chat")) != 1 {
		t.Errorf("the log does not say that nothing says who signs in:\n%s", g.Stderr)
	}
}
