package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// tokenFrom signs the browser's person in at an embedded authorization server, as a
// client would, and returns the access token for an endpoint.
func tokenFrom(t *testing.T, b *testkit.Browser, issuer, resource string) string {
	t.Helper()
	const redirect = "http://127.0.0.1:7/callback"
	var client struct {
		ID string `json:"client_id"`
	}
	registration := fmt.Sprintf(`{"client_name":"e2e","redirect_uris":[%q],"token_endpoint_auth_method":"none"}`, redirect)
	readJSON(t, request{method: http.MethodPost, url: issuer + "/oauth/register", body: registration}.with("Content-Type", "application/json"), 201, &client)
	verifier := oauth.NewVerifier()
	page, err := b.SignIn(t.Context(), issuer+"/oauth/authorize?"+url.Values{
		"response_type": {"code"}, "client_id": {client.ID}, "redirect_uri": {redirect}, "resource": {resource}, "state": {"s"},
		"code_challenge": {oauth.Challenge(verifier)}, "code_challenge_method": {"S256"},
	}.Encode(), redirect)
	if err != nil || page.URL.Query().Get("code") == "" {
		t.Fatalf("sign in: %v %+v", err, page)
	}
	var tokens struct {
		Access string `json:"access_token"`
	}
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {page.URL.Query().Get("code")}, "redirect_uri": {redirect}, "client_id": {client.ID},
		"code_verifier": {verifier}, "resource": {resource},
	}
	readJSON(t, request{method: http.MethodPost, url: issuer + "/oauth/token", body: form.Encode()}.with("Content-Type", "application/x-www-form-urlencoded"), 200, &tokens)
	return tokens.Access
}

// readJSON sends a request and reads the JSON of its answer.
func readJSON(t *testing.T, r request, status int, into any) {
	t.Helper()
	got := r.do(t)
	if got.Status != status {
		t.Fatalf("%s: status %d, want %d: %s", r.url, got.Status, status, got.Body)
	}
	if err := json.Unmarshal([]byte(got.Body), into); err != nil {
		t.Fatalf("%s: %v in %s", r.url, err, got.Body)
	}
}

// issuedBy tells which of the providers issued a token, by asking them.
func issuedBy(t *testing.T, providers map[string]*testkit.IdP, token string) string {
	t.Helper()
	for name, p := range providers {
		var state struct{ Active bool }
		r := request{method: http.MethodPost, url: p.Issuer + "/token/introspection", body: "token=" + url.QueryEscape(token)}
		basic := http.Header{}
		(&http.Request{Header: basic}).SetBasicAuth(testkit.IdPGatewayID, testkit.IdPGatewaySecret)
		readJSON(t, r.with("Content-Type", "application/x-www-form-urlencoded", "Authorization", basic.Get("Authorization")), 200, &state)
		if state.Active {
			return name
		}
	}
	return "nobody"
}

const signsInHere = "authServerRef: {kind: MCPExternalAuthConfig, name: people}"

// REQ D-5: each backend gets the token of its own provider and of no other, by itself
// or as what another one is made of.
func TestUpstreamTokens(t *testing.T) {
	t.Parallel()
	providers := map[string]*testkit.IdP{"okta": testkit.StartIdP(t), "github": testkit.StartIdP(t)}
	backend, place := testkit.Record(t, ok), newExchanger(t)
	place.gives("exchanged", 300)
	address := testkit.FreeAddress(t)
	issuer := "http://" + address
	g := serve(t, authServer(t, issuer, providers, []string{"okta", "github"})+
		object("MCPExternalAuthConfig", "hub", "type: upstreamInject", "upstreamInject: {providerName: github}")+
		exchangeObject("first", place.URL+"/first")+exchangeObject("second", place.URL+"/second", "subjectProviderName: github")+
		exchangeObject("id", place.URL+"/id", "subjectTokenType: id_token")+
		remote("docs", backend.URL, signsInHere)+
		remote("hub", backend.URL, signsInHere, "externalAuthConfigRef: {name: hub}")+
		remote("first", backend.URL, signsInHere, "externalAuthConfigRef: {name: first}")+
		remote("second", backend.URL, signsInHere, "externalAuthConfigRef: {name: second}")+
		remote("id", backend.URL, signsInHere, "externalAuthConfigRef: {name: id}"),
		"--listen", address, "--log-level", "debug")
	browser := testkit.NewBrowser(t)
	got, secrets := map[string]string{}, []string{}
	for _, name := range []string{"docs", "hub", "first", "second", "id"} {
		backend.Reset()
		place.Reset()
		token := tokenFrom(t, browser, issuer, at(g, name))
		call(at(g, name), "tool", "").with(bearer(token)...).do(t).wantResult(t, `{"ok":true}`)
		shown := strings.TrimPrefix(backend.Requests()[0].Header.Get("Authorization"), "Bearer ")
		secrets = append(secrets, token, shown)
		switch {
		case strings.HasPrefix(shown, "exchanged-"):
			form, err := url.ParseQuery(string(place.Requests()[0].Body))
			if err != nil {
				t.Fatal(err)
			}
			subject := form.Get("subject_token")
			secrets = append(secrets, subject)
			if name == "id" {
				got[name] = fmt.Sprint("exchanged an ID token of okta: ", claimsOf(t, subject)["iss"] == providers["okta"].Issuer)
				break
			}
			got[name] = "exchanged " + issuedBy(t, providers, subject)
		default:
			got[name] = issuedBy(t, providers, shown)
		}
		if strings.Contains(backend.Wire()+place.Wire(), token) {
			t.Errorf("%s: the caller's own token left the gateway", name)
		}
	}
	want := map[string]string{"docs": "okta", "hub": "github", "first": "exchanged okta", "second": "exchanged github", "id": "exchanged an ID token of okta: true"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("whose tokens backends see (-want +got):\n%s", diff)
	}
	text := g.Stdout.String() + g.Stderr.String() + g.Metrics(t)
	for _, secret := range secrets {
		if strings.Contains(text, secret) {
			t.Error("a token came out")
		}
	}
}

// REQ D-8: whose account is not connected is asked to connect it, where the client can
// ask; then the same call goes through. The same person, and nobody else.
func TestUpstreamOnDemand(t *testing.T) {
	t.Parallel()
	providers := map[string]*testkit.IdP{"okta": testkit.StartIdP(t), "github": testkit.StartIdP(t)}
	var refuse atomic.Bool
	backend := testkit.Record(t, func(w http.ResponseWriter, r *http.Request) {
		if refuse.Load() {
			w.Header().Set("Www-Authenticate", `Bearer resource_metadata="https://elsewhere.example.com/"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		sessionBackend("backend-session")(w, r)
	})
	address := testkit.FreeAddress(t)
	issuer := "http://" + address
	people := strings.Replace(authServer(t, issuer, providers, []string{"okta", "github"}), "- name: github\n", "- name: github\n      login: onDemand\n", 1)
	g := serve(t, people+object("MCPExternalAuthConfig", "hub", "type: upstreamInject", "upstreamInject: {providerName: github}")+
		remote("docs", backend.URL, signsInHere, "externalAuthConfigRef: {name: hub}", "audit: {enabled: true}"), "--listen", address)
	browser := testkit.NewBrowser(t)
	alice := bearer(tokenFrom(t, browser, issuer, at(g, "docs")))

	// A client that cannot be asked signs its person in again.
	call(at(g, "docs"), "tool", "").with(alice...).do(t).wantChallenge(t, 401, "invalid_token")
	if n := len(backend.Requests()); n > 0 {
		t.Errorf("%d requests reached the backend without its credential", n)
	}

	able := call(at(g, "docs"), "tool", "").with(alice...)
	able.body = strings.Replace(able.body, `"io.modelcontextprotocol/clientCapabilities":{}`, `"io.modelcontextprotocol/clientCapabilities":{"elicitation":{"url":{}}}`, 1)
	var asked struct {
		Result struct {
			ResultType    string
			InputRequests map[string]struct {
				Method string
				Params struct{ Mode, URL, Message string }
			}
		}
	}
	readJSON(t, able, 200, &asked)
	connect := asked.Result.InputRequests["sallyport-connect-github"]
	if asked.Result.ResultType != "input_required" || connect.Method != "elicitation/create" || connect.Params.Mode != "url" || !strings.HasPrefix(connect.Params.URL, issuer+"/") {
		t.Fatalf("the client was asked %+v", asked)
	}
	// What the gateway answers by itself is no denial, and the audit says why it did.
	testkit.Eventually(t, "the answer is audited", func() bool {
		return len(lines(g.Stdout.String(), `"outcome":"success"`, `"status":200`, `"reason":"credential: `)) == 1
	})
	if strings.Contains(connect.Params.URL, "alice") {
		t.Errorf("the address tells who it is: %s", connect.Params.URL)
	}
	if page, err := browser.SignIn(t.Context(), connect.Params.URL, "nowhere:"); err != nil || page.Status != 200 {
		t.Fatalf("connect: %v %+v", err, page)
	}
	able.do(t).wantResult(t, `{"ok":true}`)
	shown := strings.TrimPrefix(backend.Requests()[0].Header.Get("Authorization"), "Bearer ")
	if by := issuedBy(t, providers, shown); by != "github" {
		t.Errorf("the backend saw a token of %s", by)
	}

	// The backend takes it no more, and it is too new to be renewed: back to the start,
	// and nothing of the backend's challenge gets out.
	begin := initialization(at(g, "docs")).with(alice...)
	begin.body = strings.Replace(begin.body, `"capabilities":{}`, `"capabilities":{"elicitation":{"url":{}}}`, 1)
	session := begin.do(t).Header.Get("Mcp-Session-Id")
	refuse.Store(true)
	old := legacy(at(g, "docs"), "tools/call", `"name":"tool"`).with(alice...).with("Mcp-Session-Id", session).do(t)
	old.wantError(t, 200, -32042, "7")
	testkit.Eventually(t, "that answer is audited as one, too", func() bool {
		return len(lines(g.Stdout.String(), `"outcome":"success"`, `"status":200`, `"reason":"credential: `)) == 2
	})
	got := call(at(g, "docs"), "tool", "").with(alice...).do(t)
	got.wantChallenge(t, 401, "invalid_token")
	if strings.Contains(fmt.Sprint(got.Header)+got.Body, "elsewhere") {
		t.Errorf("the backend's challenge reached the client: %v", got.Header)
	}
}

// REQ D-8: a client of an older revision, which needs the account before it can be
// asked for it, signs its person in again, and that connects the account.
func TestUpstreamOnDemandByOldClients(t *testing.T) {
	t.Parallel()
	providers := map[string]*testkit.IdP{"okta": testkit.StartIdP(t), "github": testkit.StartIdP(t)}
	backend := testkit.Record(t, sessionBackend("backend-session"))
	address := testkit.FreeAddress(t)
	issuer := "http://" + address
	people := strings.Replace(authServer(t, issuer, providers, []string{"okta", "github"}), "- name: github\n", "- name: github\n      login: onDemand\n", 1)
	g := serve(t, people+object("MCPExternalAuthConfig", "hub", "type: upstreamInject", "upstreamInject: {providerName: github}")+
		remote("docs", backend.URL, signsInHere, "externalAuthConfigRef: {name: hub}"), "--listen", address)
	browser := testkit.NewBrowser(t)
	alice := bearer(tokenFrom(t, browser, issuer, at(g, "docs")))
	begin := initialization(at(g, "docs"))
	begin.with(alice...).do(t).wantChallenge(t, 401, "invalid_token")
	alice = bearer(tokenFrom(t, browser, issuer, at(g, "docs")))
	if got := begin.with(alice...).do(t); got.Status != 200 {
		t.Fatalf("after signing in again: %+v", got)
	}
	shown := strings.TrimPrefix(backend.Requests()[0].Header.Get("Authorization"), "Bearer ")
	if by := issuedBy(t, providers, shown); by != "github" {
		t.Errorf("the backend saw a token of %s", by)
	}
}
