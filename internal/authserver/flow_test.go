package authserver_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/authserver/clients"
	"github.com/sallyport-dev/sallyport/internal/oauth"
)

func TestSignIn(t *testing.T) {
	t.Parallel()
	g := newRig(t, setup{})
	code := g.signIn()
	a := g.redeem(code)
	if a.Status != http.StatusOK || a.Refresh == "" || a.CacheControl != "no-store" || a.Scope != "profile docs:read" {
		t.Fatalf("answer %+v", a)
	}
	claims, err := g.claims(a.Access)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"sub": "alice", "client_id": "app", "scope": "profile docs:read", "name": "ALICE", "email": "alice@example.com",
		"aud": g.origin() + resource, "groups": []any{"staff"},
	} {
		if diff := cmp.Diff(want, claims[name]); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	next := g.refresh(a.Refresh)
	if next.Status != http.StatusOK || next.Refresh == a.Refresh || next.Scope != a.Scope {
		t.Errorf("refreshed: %+v", next)
	}
	if accounts, _ := g.accounts.List(t.Context(), "alice"); len(accounts) != 1 {
		t.Errorf("accounts %+v", accounts)
	}
}

// TestScopes: a client gets of what it asks for what it may have, whether it named
// scopes when it registered or not; and never what the manifest gives others.
func TestScopes(t *testing.T) {
	t.Parallel()
	g := newRig(t, setup{})
	for name, c := range map[string]struct{ registered, asked, want string }{
		"none named":          {"", "openid docs:read", "openid docs:read"},
		"none named or asked": {"", "", "openid profile email docs:read"},
		"some named":          {"docs:read profile", "openid docs:read", "docs:read"},
		"another's":           {"", "admin docs:read", "docs:read"},
		"another's, named":    {"admin docs:read", "admin docs:read", "docs:read"},
	} {
		id := g.register(c.registered)
		a := g.redeem(g.signIn("client_id", id, "scope", c.asked), "client_id", id)
		if a.Status != http.StatusOK || a.Scope != c.want || (a.ID != "") != strings.Contains(c.want, "openid") {
			t.Errorf("%s: %d, scope %q, OpenID token %v; want %q", name, a.Status, a.Scope, a.ID != "", c.want)
		}
	}
}

// TestUnverifiedAddress: an address that the provider knows to be unverified is
// nobody's, since policies go by addresses.
func TestUnverifiedAddress(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	for name, c := range map[string]struct {
		says        *bool
		email, mark any
	}{
		"says nothing": {nil, "alice@example.com", nil},
		"verified":     {&yes, "alice@example.com", true},
		"unverified":   {&no, nil, nil},
	} {
		g := newRig(t, setup{upstreams: []string{"a"}})
		g.providers["a"].verified = c.says
		claims, err := g.claims(g.redeem(g.signIn()).Access)
		if err != nil || claims["email"] != c.email || claims["email_verified"] != c.mark {
			t.Errorf("%s: %v, %v, %v", name, claims["email"], claims["email_verified"], err)
		}
	}
}

// TestChain: every provider in turn, in one sign-in; the next one visits none (REQ D-4).
func TestChain(t *testing.T) {
	t.Parallel()
	g := newRig(t, setup{upstreams: []string{"a", "b", "c"}, onDemand: []string{"c"}})
	b := g.browser()
	b.open(g.authorization())
	g.codeOf(b.press("decision", "allow"))
	if g.providers["a"].visits != 1 || g.providers["b"].visits != 1 || g.providers["c"].visits != 0 {
		t.Errorf("visits: %d, %d, %d", g.providers["a"].visits, g.providers["b"].visits, g.providers["c"].visits)
	}
	g.codeOf(b.open(g.authorization())) // the same browser, the same request: nothing is asked
	if g.providers["a"].visits != 1 || g.providers["b"].visits != 1 {
		t.Error("linked providers were visited again")
	}
	other := g.browser()
	other.open(g.authorization())
	g.codeOf(other.press("decision", "allow")) // another browser: who is it? The rest is known.
	if g.providers["a"].visits != 2 || g.providers["b"].visits != 1 {
		t.Error("another browser should visit the first provider alone")
	}
	b.open(g.authorization("scope", "profile docs:read email")) // more than was allowed
	if !strings.Contains(b.body, "<form") {
		t.Errorf("more scopes did not lead to the question: %s", b.body)
	}
	// An aborted chain leaves nothing behind.
	g.providers["a"].user, g.providers["b"].refuse = "bob", "access_denied"
	third := g.browser()
	third.open(g.authorization())
	back := third.press("decision", "allow")
	if back == nil || back.Query().Get("error") != "access_denied" || back.Query().Has("code") {
		t.Errorf("aborted: %v", back)
	}
	if accounts, _ := g.accounts.List(t.Context(), "bob"); len(accounts) != 0 {
		t.Errorf("an aborted chain linked %+v", accounts)
	}
}

// TestConnect: an on-demand provider is linked by the person it was meant for, and by
// nobody else.
func TestConnect(t *testing.T) {
	t.Parallel()
	g := newRig(t, setup{upstreams: []string{"a", "b"}, onDemand: []string{"b"}})
	link := g.server.ConnectURL("alice", "b")
	b := g.browser()
	b.open(link)
	b.press("decision", "allow")
	if accounts, _ := g.accounts.List(t.Context(), "alice"); len(accounts) != 2 || g.providers["a"].visits != 1 {
		t.Errorf("accounts %+v", accounts)
	}
	if !strings.Contains(b.body, "Your connections") || !strings.Contains(b.body, "Disconnect b") {
		t.Errorf("page: %s", b.body)
	}
	g.providers["a"].user = "mallory"
	other := g.browser()
	other.open(link)
	other.press("decision", "allow")
	if other.last.StatusCode != http.StatusForbidden {
		t.Errorf("somebody else's link: %d", other.last.StatusCode)
	}
	if accounts, _ := g.accounts.List(t.Context(), "mallory"); len(accounts) != 0 {
		t.Errorf("accounts of somebody else: %+v", accounts)
	}
	b.pressIn("Disconnect b")
	if accounts, _ := g.accounts.List(t.Context(), "alice"); len(accounts) != 1 {
		t.Errorf("not disconnected: %+v", accounts)
	}
	// FINDING N4: the account that people sign in with goes when they have been asked.
	b.pressIn("Disconnect a")
	if accounts, _ := g.accounts.List(t.Context(), "alice"); len(accounts) != 1 || !strings.Contains(b.body, "You sign in with it") {
		t.Errorf("nothing was asked: %+v %s", accounts, b.body)
	}
	b.pressIn("Keep it")
	b.pressIn("Disconnect a")
	b.pressIn("Disconnect a")
	if accounts, _ := g.accounts.List(t.Context(), "alice"); len(accounts) != 0 {
		t.Errorf("not disconnected: %+v", accounts)
	}
	var unlinked int
	for _, e := range g.events.take() {
		if strings.HasPrefix(e, "account/unlink success alice") {
			unlinked++
		}
	}
	if unlinked != 2 {
		t.Errorf("%d events of accounts that were unlinked", unlinked)
	}
	b.open(g.issuer + "/oauth/logout")
	b.press("action", "logout")
	b.open(g.issuer + "/oauth/connections")
	if !strings.Contains(b.body, "Sign in with a") {
		t.Errorf("not signed out: %s", b.body)
	}
}

// TestWant: a client that cannot send its person to a page signs them in again, and
// that links the account which its call lacked. Until then it cannot refresh, or it
// would never sign in again (REQ D-8).
func TestWant(t *testing.T) {
	t.Parallel()
	g := newRig(t, setup{upstreams: []string{"a", "b", "c"}, onDemand: []string{"b", "c"}})
	b := g.browser()
	b.open(g.authorization())
	first := g.redeem(g.codeOf(b.press("decision", "allow")))
	g.server.Want(t.Context(), "alice", "app", "b")
	g.server.Want(t.Context(), "alice", "app", "nobody")
	g.server.Want(t.Context(), "bob", "app", "c")
	if r := g.refresh(first.Refresh); r.Status != http.StatusBadRequest || r.Error != "invalid_grant" {
		t.Errorf("refreshed without the account: %+v", r)
	}
	again := g.redeem(g.codeOf(b.open(g.authorization())))
	if g.providers["b"].visits != 1 || g.providers["c"].visits != 0 {
		t.Errorf("visits: %d, %d; want the first alone", g.providers["b"].visits, g.providers["c"].visits)
	}
	for _, token := range []string{first.Refresh, again.Refresh} {
		if r := g.refresh(token); r.Status != http.StatusOK {
			t.Errorf("not refreshed with the account: %+v", r)
		}
	}
	g.codeOf(b.open(g.authorization()))
	if g.providers["b"].visits != 1 {
		t.Error("the provider was visited again")
	}
}

// TestMetadata: every form of the address, for issuers with and without a path (RFC 8414 §3.1).
func TestMetadata(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"", "/auth/team-a"} {
		g := newRig(t, setup{path: path})
		places, err := oauth.ServerMetadataURLs(g.issuer, false)
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range append(places, g.issuer+"/.well-known/oauth-authorization-server") {
			b := g.browser()
			b.open(at)
			resp := b.last
			var m oauth.ServerMetadata
			err := json.Unmarshal([]byte(b.body), &m)
			if err != nil || m.Issuer != g.issuer || resp.Header.Get("Content-Type") != "application/json" || resp.Header.Get("Access-Control-Allow-Origin") != "*" {
				t.Errorf("%s: %v, %+v", at, err, m)
			}
			if diff := cmp.Diff([]string{"S256"}, []string(m.CodeChallengeMethods)); diff != "" || !m.IssParameterSupported || m.TokenEndpoint != g.issuer+"/oauth/token" {
				t.Errorf("%s: %+v", at, m)
			}
		}
	}
}

func TestRefusedRequests(t *testing.T) {
	t.Parallel()
	g := newRig(t, setup{})
	for name, c := range map[string]struct {
		change []string
		want   string // the error that goes back; "" for a page
	}{
		"unknown client":      {[]string{"client_id", "other"}, ""},
		"no document":         {[]string{"client_id", "http://127.0.0.1:1/client.json"}, ""}, // nobody listens there
		"other redirect":      {[]string{"redirect_uri", "http://127.0.0.1:9/callback/x"}, ""},
		"redirect with query": {[]string{"redirect_uri", redirectURI + "?x=1"}, ""},
		"token":               {[]string{"response_type", "token"}, "unsupported_response_type"},
		"fragment":            {[]string{"response_mode", "fragment"}, "invalid_request"},
		"form post":           {[]string{"response_mode", "form_post"}, "invalid_request"},
		"no PKCE":             {[]string{"code_challenge", ""}, "invalid_request"},
		"plain PKCE":          {[]string{"code_challenge_method", "plain"}, "invalid_request"},
		"PKCE by default":     {[]string{"code_challenge_method", ""}, "invalid_request"},
		"other resource":      {[]string{"resource", "https://elsewhere.example/mcp"}, "invalid_target"},
		"nobody asked":        {[]string{"prompt", "none"}, "login_required"},
		"request object":      {[]string{"request", "x.y.z"}, "request_not_supported"},
		"long state":          {[]string{"state", strings.Repeat("x", 5000)}, "invalid_request"},
	} {
		b := g.browser()
		back := b.open(g.authorization(c.change...))
		if c.want == "" {
			if back != nil || b.last.StatusCode < 400 || b.last.StatusCode >= 500 {
				t.Errorf("%s: %v, %d", name, back, b.last.StatusCode)
			}
			continue
		}
		if back == nil || back.Query().Get("error") != c.want || back.Query().Get("iss") != g.issuer || name != "long state" && back.Query().Get("state") != "client-state" {
			t.Errorf("%s: %v", name, back)
		}
	}
	b := g.browser()
	if back := b.open(g.authorization() + "&" + url.Values{"state": {"two"}}.Encode()); back == nil || back.Query().Get("error") != "invalid_request" {
		t.Errorf("two states: %v", back)
	}
}

// A client that registered for no refresh tokens, and asked for offline_access, can use
// what it was given.
func TestOfflineAccess(t *testing.T) {
	t.Parallel()
	g := newRig(t, setup{clients: []clients.Static{{ID: "desk", RedirectURIs: []string{redirectURI}, Grants: []string{"authorization_code"}}}})
	g.client.ID = "desk"
	a := g.redeem(g.signIn("scope", "profile offline_access"))
	if a.Refresh == "" {
		t.Fatalf("no refresh token: %+v", a)
	}
	if next := g.refresh(a.Refresh); next.Status != http.StatusOK {
		t.Errorf("refreshed: %+v", next)
	}
	if b := g.redeem(g.signIn()); b.Refresh != "" {
		t.Error("a refresh token that nobody asked for")
	}
}

// FINDING S12: nobody who registered is led anywhere before the person has decided; the
// person's own machine, clients of the manifest and clients that were allowed are.
func TestNoOpenRedirector(t *testing.T) {
	t.Parallel()
	const foreign = "https://elsewhere.example.net/cb"
	g := newRig(t, setup{clients: []clients.Static{{ID: "web", RedirectURIs: []string{foreign}, Grants: []string{"authorization_code"}}}})
	registered := g.register("", foreign, redirectURI)
	for name, c := range map[string]struct {
		client, redirect string
		sent             bool
	}{
		"registered": {registered, foreign, false}, "on loopback": {registered, redirectURI, true}, "of the manifest": {"web", foreign, true},
	} {
		for _, change := range [][]string{
			{"response_type", "bogus"}, {"prompt", "none"}, {"code_challenge", ""}, {"resource", "https://other.example/mcp"}, {"scope", strings.Repeat("x", 3000)},
		} {
			b := g.browser()
			to := b.step(http.MethodGet, g.authorization(append(change, "client_id", c.client, "redirect_uri", c.redirect)...), nil)
			if strings.HasPrefix(to, c.redirect) != c.sent || !c.sent && (to != "" || b.last.StatusCode != http.StatusBadRequest) {
				t.Errorf("%s, %s: %d, sent to %q", name, change[0], b.last.StatusCode, to)
			}
		}
	}
	b := g.browser()
	b.open(g.authorization("client_id", registered, "redirect_uri", foreign))
	action, fields := b.form()
	fields.Set("decision", "deny")
	if to := b.step(http.MethodPost, action, fields); !strings.HasPrefix(to, foreign+"?error=access_denied") {
		t.Errorf("a person who said no was sent to %q", to)
	}
}

// REQ G-10, FINDING 2.14: a client that comes with an id that is gone is told how to get
// another.
func TestUnknownClient(t *testing.T) {
	t.Parallel()
	g := newRig(t, setup{})
	b := g.browser()
	if to := b.step(http.MethodGet, g.authorization("client_id", "gone"), nil); to != "" || b.last.StatusCode != http.StatusBadRequest {
		t.Errorf("%d, sent to %q", b.last.StatusCode, to)
	}
	for _, word := range []string{"Claude Code", "Clear authentication", "VS Code", "Cursor", "Inspector", ".mcp-auth"} {
		if !strings.Contains(b.body, word) {
			t.Errorf("the page does not say %q", word)
		}
	}
}
