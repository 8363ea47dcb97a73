package oauthclient_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/oauthclient"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// TestHostileMetadata proves that what a remote says about itself leads nobody to a
// wrong place: each is refused before a browser opens or a code is sent.
//
// REQ B-19
func TestHostileMetadata(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(w *world)
		says   string
	}{
		"another resource":   {func(w *world) { w.resource["resource"] = "https://bank.example.com/mcp" }, "is about the resource"},
		"another path":       {func(w *world) { w.resource["resource"] = w.URL + "/mcp2" }, "is about the resource"},
		"no resource":        {func(w *world) { delete(w.resource, "resource") }, "is about the resource"},
		"the whole host":     {func(w *world) { w.resource["resource"] = w.URL }, "is about the resource"}, // a tenant's word for all
		"another issuer":     {func(w *world) { w.server["issuer"] = "https://bank.example.com" }, "is about the issuer"},
		"a path more":        {func(w *world) { w.server["issuer"] = w.URL + "/x/" }, "is about the issuer"},
		"no PKCE":            {func(w *world) { delete(w.server, "code_challenge_methods_supported") }, "PKCE"},
		"plain PKCE":         {func(w *world) { w.server["code_challenge_methods_supported"] = []string{"plain"} }, "PKCE"},
		"javascript":         {func(w *world) { w.server["authorization_endpoint"] = "javascript:alert(1)//x" }, "not used"},
		"a file":             {func(w *world) { w.server["authorization_endpoint"] = "file:///etc/passwd" }, "not used"},
		"an option":          {func(w *world) { w.server["authorization_endpoint"] = "--help" }, "not used"},
		"plain http":         {func(w *world) { w.server["authorization_endpoint"] = "http://login.example.com/" }, "not https"},
		"user in the URL":    {func(w *world) { w.server["token_endpoint"] = "https://a@login.example.com/" }, "not used"},
		"no token endpoint":  {func(w *world) { delete(w.server, "token_endpoint") }, "not used"},
		"plain token issuer": {func(w *world) { w.server["token_endpoint"] = "http://8.8.8.8/token" }, "plain http is for loopback"},
		"cloud metadata":     {func(w *world) { w.resource["authorization_servers"] = []string{"http://169.254.169.254/"} }, "refused"},
		"an issuer's query":  {func(w *world) { w.resource["authorization_servers"] = []string{"https://x.example.com/?a"} }, "invalid URL"},
		"a huge document":    {func(w *world) { w.resource["x"] = strings.Repeat("x", 300<<10) }, "more than"},
		"no registration":    {func(w *world) { delete(w.server, "registration_endpoint") }, "--oauth-client-id"},
		"a token of a kind": {func(w *world) {
			w.token = func(url.Values, *http.Request) (int, map[string]any) {
				return 200, map[string]any{"access_token": "t", "token_type": "mac"}
			}
		}, "not known"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c.change(w)
			client := w.open(t, nil)
			mustFail(t, client.Renew(t.Context(), secret.Value{}, challenge()), c.says)
			if !current(t, client).Empty() {
				t.Error("there is a token")
			}
			if name != "a token of a kind" && name != "plain token issuer" && len(w.requests()) != 0 {
				t.Error("a browser was sent to sign in")
			}
		})
	}
}

// A challenge may name the place of the metadata; it is no way round the guard.
func TestHostileChallenge(t *testing.T) {
	t.Parallel()
	moved := httptest.NewServer(http.RedirectHandler("http://127.0.0.1/elsewhere", http.StatusFound))
	t.Cleanup(moved.Close)
	for name, c := range map[string]struct{ at, says string }{
		"a file":         {"file:///etc/passwd", "invalid URL"},
		"cloud metadata": {"http://169.254.169.254/latest", "refused"},
		"a redirect":     {moved.URL, "302"},
		"nobody there":   {"http://127.0.0.1:1/x", "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			mustFail(t, renew(t, w.open(t, nil), challenge("resource_metadata", c.at)), c.says)
		})
	}
}

// TestPrivateAddresses proves that a public remote cannot have the gateway look
// around inside.
func TestPrivateAddresses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	public := func(cfg *oauthclient.Config) {
		cfg.AllowPrivate, cfg.HTTP = false, guarded(false)
	}
	mustFail(t, renew(t, w.open(t, public), challenge()), "plain http")
	secure := "https" + strings.TrimPrefix(w.URL, "http") + "/prm"
	mustFail(t, renew(t, w.open(t, public), challenge("resource_metadata", secure)), "loopback or private")
}

// A document that speaks for the whole host counts at the host's own place.
func TestWiderResource(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.resource["resource"] = w.URL
	own := httptest.NewServer(nil)
	t.Cleanup(own.Close)
	own.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/.well-known/oauth-protected-resource") {
			reply(rw, map[string]any{"resource": own.URL, "authorization_servers": []string{w.URL}})
			return
		}
		http.NotFound(rw, r)
	})
	u, _ := url.Parse(own.URL + "/mcp")
	c := w.open(t, func(cfg *oauthclient.Config) { cfg.Resource = u })
	mustRenew(t, c, challenge())
	if got := w.requests()[0].Get("resource"); got != own.URL {
		t.Errorf("resource %q, not as it was published", got)
	}
}

// TestIss is the table of RFC 9207 in MCP 2026-07-28: the issuer of a response is
// compared as text, and of a wrong one nothing is used or shown.
//
// REQ B-19
func TestIss(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		advertised bool
		answer     func(w *world, q url.Values)
		says       string // "" for a sign-in that works
	}{
		"advertised, there":     {true, func(*world, url.Values) {}, ""},
		"advertised, missing":   {true, func(_ *world, q url.Values) { q.Del("iss") }, "does not say"},
		"advertised, wrong":     {true, func(_ *world, q url.Values) { q.Set("iss", "https://evil.example.com") }, "another issuer"},
		"a slash more":          {true, func(w *world, q url.Values) { q.Set("iss", w.URL+"/") }, "another issuer"},
		"upper case":            {true, func(w *world, q url.Values) { q.Set("iss", strings.ToUpper(w.URL)) }, "another issuer"},
		"empty":                 {true, func(_ *world, q url.Values) { q.Set("iss", "") }, "another issuer"},
		"twice":                 {true, func(_ *world, q url.Values) { q.Add("iss", "https://evil.example.com") }, "more than once"},
		"not advertised, there": {false, func(*world, url.Values) {}, ""},
		"not advertised, wrong": {false, func(_ *world, q url.Values) { q.Set("iss", "https://evil.example.com") }, "another issuer"},
		"neither":               {false, func(_ *world, q url.Values) { q.Del("iss") }, ""},
		"an error":              {true, func(_ *world, q url.Values) { q.Del("code"); q.Set("error", "access_denied") }, "access_denied"},
		"an error of another": {true, func(_ *world, q url.Values) {
			q.Set("iss", "https://evil.example.com")
			q.Set("error", "call-this-number")
		}, "another issuer"},
		"no code":   {true, func(_ *world, q url.Values) { q.Del("code") }, "no code"},
		"two codes": {true, func(_ *world, q url.Values) { q.Add("code", "x") }, "more than once"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.server["authorization_response_iss_parameter_supported"] = c.advertised
			w.answer = func(q url.Values) { c.answer(w, q) }
			err := renew(t, w.open(t, nil), challenge())
			if c.says == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			mustFail(t, err, c.says)
			if strings.Contains(err.Error(), "call-this-number") || len(w.seen("authorization_code")) != 0 {
				t.Errorf("%v; the code was sent on: %v", err, w.seen("authorization_code"))
			}
		})
	}
}

// TestCallback proves that nothing but the awaited response ends the wait.
func TestCallback(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	address := make(chan string, 1)
	c := w.open(t, func(cfg *oauthclient.Config) {
		cfg.Browser = &oauthclient.Browser{Open: func(a string) error { address <- a; return nil }}
	})
	done := make(chan error, 1)
	go func() { done <- c.Renew(t.Context(), secret.Value{}, challenge()) }()
	at := <-address
	u, _ := url.Parse(at)
	back := u.Query().Get("redirect_uri")
	for _, forged := range []string{back, back + "?code=x", back + "?code=x&state=", back + "?state=guess&error=access_denied", strings.TrimSuffix(back, "callback")} {
		if status, text := visit(t.Context(), forged); status < 400 || strings.Contains(text, "guess") {
			t.Errorf("%s: %d %s", forged, status, text)
		}
	}
	rebound, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, back+"?code=x&state="+u.Query().Get("state"), nil)
	rebound.Host = "evil.example.com"
	rebound.Close = true
	resp, err := (&http.Client{}).Do(rebound)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound {
		t.Errorf("a page of another name got %d", resp.StatusCode)
	}
	status, text := visit(t.Context(), at)
	if err := <-done; err != nil || status != http.StatusOK || !strings.Contains(text, "Signed in") {
		t.Errorf("%v, %d %s", err, status, text)
	}
}

// REQ B-19: a browser is given http and https addresses only, and no option.
func TestOpenBrowser(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"javascript:alert(1)", "file:///etc/passwd", "--version", "", "https:", "data:text/html,x", "calc.exe"} {
		mustFail(t, oauthclient.OpenBrowser(address), "not http")
	}
}
