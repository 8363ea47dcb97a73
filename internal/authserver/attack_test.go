package authserver_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/authserver/clients"
	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/store"
	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// TestAttacks: each is a way in that was open somewhere once.
func TestAttacks(t *testing.T) {
	t.Parallel()
	for name, attack := range map[string]func(*testing.T, *rig){
		"confused deputy": confusedDeputy, "code injection": codeInjection, "PKCE downgrade": pkceDowngrade, "mix-up": mixUp,
		"redirect tricks": redirectTricks, "state fixation": stateFixation, "refresh reuse": refreshReuse, "code reuse": codeReuse,
		"consent CSRF": consentCSRF, "framing": framing, "other browser": otherBrowser, "provider names": providerNames,
		"script in a name": scriptInName, "two cookies": twoCookies, "sign-out by a link": signOutByLink,
		"form of another page": formOfAnotherPage,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			attack(t, newRig(t, setup{upstreams: []string{"a", "b"}, clients: []clients.Static{
				{ID: "evil", Name: `<script>alert(1)</script>"'`, RedirectURIs: []string{"http://127.0.0.1:9/evil"}, Grants: []string{"authorization_code", "refresh_token"}},
			}}))
		})
	}
}

// confusedDeputy: somebody who is signed in, at the gateway and at every provider,
// opens an attacker's link. Nothing is sent before they have seen who asks.
func confusedDeputy(t *testing.T, g *rig) {
	b := g.browser()
	b.open(g.authorization())
	g.codeOf(b.press("decision", "allow"))
	visits := g.providers["a"].visits
	back := b.open(g.authorization("client_id", "evil", "redirect_uri", "http://127.0.0.1:9/evil"))
	if back != nil || b.last.StatusCode != http.StatusOK || g.providers["a"].visits != visits {
		t.Errorf("an unknown client got %v without a question", back)
	}
	if !strings.Contains(b.body, "127.0.0.1:9, on your own computer") {
		t.Error("the page does not say where the answer goes")
	}
	back = b.press("decision", "deny")
	if back == nil || back.Query().Get("error") != "access_denied" || back.Query().Has("code") {
		t.Errorf("denied: %v", back)
	}
}

// codeInjection: a code that was stolen is worth nothing without the verifier, to
// another client, or at another address; and is used up by the attempt.
func codeInjection(t *testing.T, g *rig) {
	for name, change := range map[string][]string{
		"other verifier":  {"code_verifier", oauth.NewVerifier()},
		"no verifier":     {"code_verifier", ""},
		"other client":    {"client_id", "evil"},
		"other redirect":  {"redirect_uri", "http://127.0.0.1:9/evil"},
		"no redirect":     {"redirect_uri", ""},
		"other resource":  {"resource", "https://elsewhere.example/mcp"},
		"unknown code":    {"code", oauth.NewVerifier()},
		"unknown client":  {"client_id", "nobody"},
		"other grant":     {"grant_type", "password"},
		"code as refresh": {"grant_type", "refresh_token"},
	} {
		code := g.signIn()
		if a := g.redeem(code, change...); a.Status < 400 || a.Access != "" {
			t.Errorf("%s: %+v", name, a)
		}
		again := g.redeem(code)
		unused := name == "unknown client" || name == "other grant" || name == "code as refresh" || name == "unknown code" || name == "other resource"
		if (again.Status == http.StatusOK) != unused {
			t.Errorf("%s, and then rightly: %d", name, again.Status)
		}
	}
}

// pkceDowngrade: without S256 there is no code, and no code without a verifier.
func pkceDowngrade(t *testing.T, g *rig) {
	b := g.browser()
	for _, change := range [][]string{{"code_challenge", ""}, {"code_challenge_method", "plain"}, {"code_challenge_method", ""}, {"code_challenge", "short"}} {
		if back := b.open(g.authorization(change...)); back == nil || back.Query().Get("error") != "invalid_request" {
			t.Errorf("%v: %v", change, back)
		}
	}
	if a := g.redeem(g.signIn(), "code_verifier", oauth.Challenge(g.verifier)); a.Error != "invalid_grant" {
		t.Errorf("the challenge as verifier: %+v", a)
	}
}

// mixUp: what provider A answered is not redeemed at provider B.
func mixUp(t *testing.T, g *rig) {
	b := g.browser()
	b.open(g.authorization())
	action, form := b.form()
	form.Set("decision", "allow")
	toA := b.step(http.MethodPost, action, form)
	at, err := url.Parse(toA)
	if err != nil || at.Host != "a.example" {
		t.Fatalf("the first provider is %s", toA)
	}
	toB := b.step(http.MethodGet, g.providers["a"].answer(at), nil)
	next, err := url.Parse(toB)
	if err != nil || next.Host != "b.example" {
		t.Fatalf("the second provider is %s", toB)
	}
	// The browser comes back from B with a code that A would redeem.
	answer := g.issuer + "/oauth/callback?" + url.Values{"state": {next.Query().Get("state")}, "code": {"a-" + at.Query().Get("state")}}.Encode()
	back := b.open(answer)
	if back == nil || back.Query().Get("error") == "" || back.Query().Has("code") {
		t.Errorf("provider A's code at B: %v", back)
	}
	if linked, _ := g.accounts.List(t.Context(), "alice"); len(linked) != 0 {
		t.Errorf("accounts of the chain: %+v", linked)
	}
}

func redirectTricks(t *testing.T, g *rig) {
	for _, uri := range []string{
		"https://evil.example/callback", "http://127.0.0.1:9/callback/../evil", "http://127.0.0.1:9/callback?x=1", "http://127.0.0.1:9/callback#f",
		"http://127.0.0.1:9@evil.example/callback", "http://evil.example:9/callback", "javascript:alert(1)", "http://127.0.0.1:9/Callback",
		"http://127.0.0.1:9/callback%2f", "//127.0.0.1:9/callback", "http://127.0.0.1.evil.example:9/callback", "http:/127.0.0.1:9/callback", " " + redirectURI,
	} {
		b := g.browser()
		if back := b.step(http.MethodGet, g.authorization("redirect_uri", uri), nil); back != "" || b.last.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %d, sent to %q", uri, b.last.StatusCode, back)
		}
	}
	b := g.browser()
	if to := b.step(http.MethodGet, g.authorization()+"&redirect_uri=https://evil.example", nil); to != "" || b.last.StatusCode != http.StatusBadRequest {
		t.Errorf("two redirect URIs: %d, sent to %q", b.last.StatusCode, to)
	}
}

// stateFixation: a state is good once, for the browser that was sent out with it.
func stateFixation(t *testing.T, g *rig) {
	b := g.browser()
	b.open(g.authorization())
	action, form := b.form()
	form.Set("decision", "allow")
	at, err := url.Parse(b.step(http.MethodPost, action, form))
	if err != nil {
		t.Fatal(err)
	}
	answer := g.providers["a"].answer(at)
	b.step(http.MethodGet, answer, nil)
	if to := b.step(http.MethodGet, answer, nil); to != "" || b.last.StatusCode != http.StatusBadRequest {
		t.Errorf("a state was good twice: %d, %s", b.last.StatusCode, to)
	}
	if to := b.step(http.MethodGet, g.issuer+"/oauth/callback?code=x&state="+oauth.NewVerifier(), nil); to != "" || b.last.StatusCode != http.StatusBadRequest {
		t.Errorf("a made-up state: %d, %s", b.last.StatusCode, to)
	}
	if to := b.step(http.MethodGet, answer+"&state=other", nil); to != "" || b.last.StatusCode != http.StatusBadRequest {
		t.Errorf("two states: %d, %s", b.last.StatusCode, to)
	}
}

// refreshReuse: a refresh token that is two generations old shows that two have it,
// and ends the sign-in.
func refreshReuse(t *testing.T, g *rig) {
	first := g.redeem(g.signIn())
	second := g.refresh(first.Refresh)
	third := g.refresh(second.Refresh)
	if third.Status != http.StatusOK {
		t.Fatalf("refresh: %+v", third)
	}
	if again := g.refresh(first.Refresh); again.Error != "invalid_grant" {
		t.Errorf("reused: %+v", again)
	}
	if after := g.refresh(third.Refresh); after.Error != "invalid_grant" {
		t.Errorf("the newest token after a reuse: %+v", after)
	}
	if _, err := g.claims(third.Access); err == nil {
		t.Error("the access token is still good")
	}
	other := g.redeem(g.signIn())
	if a := g.token(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {other.Refresh}, "client_id": {"evil"}}); a.Error != "invalid_grant" {
		t.Errorf("by another client: %+v", a)
	}
}

// codeReuse: a code used twice ends the tokens made from it.
func codeReuse(t *testing.T, g *rig) {
	code := g.signIn()
	a := g.redeem(code)
	if _, err := g.claims(a.Access); err != nil {
		t.Fatal(err)
	}
	if again := g.redeem(code); again.Error != "invalid_grant" {
		t.Errorf("used twice: %+v", again)
	}
	if _, err := g.claims(a.Access); err == nil {
		t.Error("the access token is still good")
	}
	if r := g.refresh(a.Refresh); r.Error != "invalid_grant" {
		t.Errorf("the refresh token is still good: %+v", r)
	}
}

// consentCSRF: nobody else can press the button.
func consentCSRF(t *testing.T, g *rig) {
	victim, attacker := g.browser(), g.browser()
	victim.open(g.authorization())
	attacker.open(g.authorization("client_id", "evil", "redirect_uri", "http://127.0.0.1:9/evil"))
	action, theirs := attacker.form()
	_, own := victim.form()
	for name, form := range map[string]url.Values{
		"an attacker's form":  theirs,
		"without a token":     {"request": own["request"]},
		"another token":       {"request": own["request"], "csrf_token": theirs["csrf_token"]},
		"another request":     {"request": theirs["request"], "csrf_token": own["csrf_token"]},
		"a made-up request":   {"request": {"x"}, "csrf_token": own["csrf_token"]},
		"nothing but a press": {},
	} {
		form.Set("decision", "allow")
		if to := victim.step(http.MethodPost, action, form); to != "" || victim.last.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %d, %s", name, victim.last.StatusCode, to)
		}
	}
	if g.providers["a"].visits != 0 {
		t.Error("a provider was visited")
	}
}

func framing(t *testing.T, g *rig) {
	for _, path := range []string{"/oauth/authorize?client_id=x", "/oauth/connections", "/oauth/connect", "/oauth/logout", "/oauth/nothing", strings.TrimPrefix(g.authorization(), g.issuer)} {
		b := g.browser()
		b.step(http.MethodGet, g.issuer+path, nil)
		h := b.last.Header
		policy := h.Get("Content-Security-Policy")
		if h.Get("X-Frame-Options") != "DENY" || !strings.Contains(policy, "frame-ancestors 'none'") || !strings.Contains(policy, "default-src 'none'") ||
			strings.Contains(policy, "unsafe") || h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", path, h)
		}
		if strings.Contains(b.body, "<script") || strings.Contains(b.body, "style=") {
			t.Errorf("%s has script or style in it: %s", path, b.body)
		}
	}
}

// otherBrowser: a victim opens the callback of a sign-in that an attacker began.
func otherBrowser(t *testing.T, g *rig) {
	attacker, victim := g.browser(), g.browser()
	attacker.open(g.authorization())
	action, form := attacker.form()
	form.Set("decision", "allow")
	at, err := url.Parse(attacker.step(http.MethodPost, action, form))
	if err != nil {
		t.Fatal(err)
	}
	answer := g.providers["a"].answer(at)
	if to := victim.step(http.MethodGet, answer, nil); to != "" || victim.last.StatusCode != http.StatusBadRequest {
		t.Errorf("another browser at the callback: %d, %s", victim.last.StatusCode, to)
	}
	if back := attacker.open(answer); back == nil || !back.Query().Has("code") {
		t.Error("the victim used up what was not theirs")
	}
}

// providerNames: names that begin alike have keys of their own (REQ D-6).
func providerNames(t *testing.T, g *rig) {
	a := newRig(t, setup{upstreams: []string{"x", "x-y", "x-y-x"}, store: g.store})
	a.redeem(a.signIn())
	linked, err := a.accounts.List(t.Context(), "alice")
	if err != nil || len(linked) != 3 {
		t.Fatalf("%+v, %v", linked, err)
	}
	tokens, err := a.accounts.Token(t.Context(), "alice", "x-y")
	if err != nil || tokens.Access.Reveal() != "canary-x-y" {
		t.Errorf("another provider's token: %v", err)
	}
	if linked, _ := g.accounts.List(t.Context(), "alice"); len(linked) != 0 {
		t.Errorf("another server of the same store sees %+v", linked)
	}
}

func scriptInName(t *testing.T, g *rig) {
	b := g.browser()
	b.open(g.authorization("client_id", "evil", "redirect_uri", "http://127.0.0.1:9/evil"))
	if strings.Contains(b.body, "<script") || !strings.Contains(b.body, "&lt;script&gt;alert(1)") {
		t.Errorf("the client's name is markup: %s", b.body)
	}
}

// twoCookies: a second cookie of the same name was set by somebody else.
func twoCookies(t *testing.T, g *rig) {
	b := g.browser()
	b.open(g.authorization())
	action, form := b.form()
	form.Set("decision", "allow")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, action, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, c := range b.last.Cookies() {
		req.Header.Add("Cookie", c.Name+"="+c.Value+"; "+c.Name+"=other")
	}
	resp, err := (&http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("two cookies: %d", resp.StatusCode)
	}
}

func signOutByLink(t *testing.T, g *rig) {
	b := g.browser()
	b.open(g.authorization())
	b.press("decision", "allow")
	b.open(g.issuer + "/oauth/logout")
	b.do(http.MethodPost, g.issuer+"/oauth/logout", url.Values{"csrf_token": {"x"}})
	b.do(http.MethodPost, g.issuer+"/oauth/connections", url.Values{"csrf_token": {"x"}, "provider": {"a"}, "action": {"disconnect"}})
	if linked, _ := g.accounts.List(t.Context(), "alice"); len(linked) != 2 {
		t.Errorf("disconnected without the page: %+v", linked)
	}
	b.open(g.issuer + "/oauth/connections")
	if !strings.Contains(b.body, "You are signed in as") {
		t.Error("a link signed the person out")
	}
}

// formOfAnotherPage: what another origin's page posts is refused by its Origin alone.
func formOfAnotherPage(t *testing.T, g *rig) {
	b := g.browser()
	b.open(g.authorization())
	action, form := b.form()
	form.Set("decision", "allow")
	for name, value := range map[string]string{"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, action, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set(name, value)
		resp, err := b.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %s was let in: %d", name, value, resp.StatusCode)
		}
	}
}

// TestAtTheSameTime: of several that redeem one code none has tokens in the end, and
// several that refresh with one token all go on with the same successor.
func TestAtTheSameTime(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(t *testing.T) store.Store{
		"memory": func(*testing.T) store.Store { return store.NewMemory() },
		"file": func(t *testing.T) store.Store {
			s, err := store.OpenFile(filepath.Join(t.TempDir(), "store"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			return s
		},
		"redis": func(t *testing.T) store.Store {
			s, err := store.NewRedis(store.RedisConfig{
				Addresses: []string{testkit.StartRedis(t).Address}, Username: testkit.RedisUser, Password: secret.New(testkit.RedisPassword),
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			return s
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newRig(t, setup{store: open(t)})
			code := g.signIn()
			answers := together(8, func() answer { return g.redeem(code) })
			good := 0
			for _, a := range answers {
				if a.Status != http.StatusOK {
					continue
				}
				good++
				if _, err := g.claims(a.Access); err == nil {
					t.Error("tokens of a code that was used several times are good")
				}
				if r := g.refresh(a.Refresh); r.Error != "invalid_grant" {
					t.Errorf("the refresh token of such a code is good: %+v", r)
				}
			}
			if good > 1 {
				t.Errorf("%d of 8 got tokens for one code", good)
			}
			first := g.redeem(g.signIn())
			// Two replicas hold the answer back until both have been asked.
			won := 0
			var newest string
			for _, a := range together(2, func() answer { return g.refresh(first.Refresh) }) {
				if a.Status == http.StatusOK {
					won++
					newest = a.Refresh
				}
			}
			if won == 0 {
				t.Fatal("nobody got new tokens")
			}
			if won == 2 { // they overlapped: nobody is signed out
				if r := g.refresh(newest); r.Status != http.StatusOK {
					t.Errorf("after two refreshes at once: %+v", r)
				}
			}
		})
	}
}

// TestLostAnswer: an answer that never reached the client is given once more, and
// what came of it is one line of tokens still.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	g := newRig(t, setup{})
	first := g.redeem(g.signIn())
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {first.Refresh}, "client_id": {"app"}}
	gone, leave := context.WithCancel(t.Context())
	leave()
	req := httptest.NewRequestWithContext(gone, http.MethodPost, g.issuer+"/oauth/token", strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	g.server.Handler().ServeHTTP(httptest.NewRecorder(), req)
	again := g.refresh(first.Refresh)
	if again.Status != http.StatusOK {
		t.Fatalf("a retry after a lost answer: %+v", again)
	}
	if next := g.refresh(again.Refresh); next.Status != http.StatusOK {
		t.Errorf("the token after it: %+v", next)
	}
	if old := g.refresh(first.Refresh); old.Error != "invalid_grant" {
		t.Errorf("the old token, once the new one was used: %+v", old)
	}
}

func together(n int, do func() answer) []answer {
	var all sync.WaitGroup
	answers := make([]answer, n)
	for i := range n {
		all.Go(func() { answers[i] = do() })
	}
	all.Wait()
	return answers
}
