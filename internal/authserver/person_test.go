package authserver_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/authserver"
	"github.com/sallyport-dev/sallyport/internal/authserver/clients"
	"github.com/sallyport-dev/sallyport/internal/page"
)

// REQ G-10, FINDING N4: a person sees which applications they allowed, and withdraws one:
// its tokens end, at once and for good, and it is asked about again.
func TestApplications(t *testing.T) {
	t.Parallel()
	g := newRig(t, setup{change: func(cfg *authserver.Config, _ *clients.Config) {
		cfg.Endpoints = func() []authserver.Endpoint {
			audience, _ := cfg.Resource("")
			return []authserver.Endpoint{{Addresses: []string{audience}, Title: "Team documents"}}
		}
	}})
	b := g.browser()
	b.open(g.authorization())
	first := g.redeem(g.codeOf(b.press("decision", "allow")))
	other := g.register("", "https://notes.example.net/cb")
	b.open(g.authorization("client_id", other, "redirect_uri", "https://notes.example.net/cb"))
	action, fields := b.form()
	fields.Set("decision", "allow")
	b.step(http.MethodPost, action, fields)
	b.open(g.issuer + "/oauth/connections")
	for _, want := range []string{"App", "an application without a name", "notes.example.net", "Team documents", "last used"} {
		if !strings.Contains(b.body, want) {
			t.Errorf("the page does not say %q: %s", want, b.body)
		}
	}
	g.events.take()
	app := b.body[strings.Index(b.body, "<h3>App</h3>"):] // the newest is above it
	b.body = app
	b.pressIn("Withdraw")
	if got := g.events.take(); len(got) != 1 || got[0] != "oauth/revoke success alice app  " {
		t.Errorf("events %q", got)
	}
	if strings.Contains(b.body, "<h3>App</h3>") || !strings.Contains(b.body, "an application without a name") {
		t.Errorf("after it was withdrawn: %s", b.body)
	}
	if _, err := g.claims(first.Access); err == nil {
		t.Error("the access token is still good")
	}
	if r := g.refresh(first.Refresh); r.Error != "invalid_grant" {
		t.Errorf("the refresh token is still good: %+v", r)
	}
	b.open(g.authorization())
	if !strings.Contains(b.body, "Allow App") {
		t.Errorf("it is not asked about again: %s", b.body)
	}
	again := g.redeem(g.codeOf(b.press("decision", "allow")))
	if r := g.refresh(first.Refresh); r.Error != "invalid_grant" {
		t.Errorf("what was withdrawn is good again: %+v", r)
	}
	if r := g.refresh(again.Refresh); r.Status != http.StatusOK {
		t.Errorf("what was allowed since: %+v", r)
	}
}

// REQ G-10: a person ends a session of another browser.
func TestBrowsers(t *testing.T) {
	t.Parallel()
	g := newRig(t, setup{})
	lost, here := g.browser(), g.browser()
	for _, b := range []*browser{lost, here} {
		b.open(g.authorization())
		g.codeOf(b.press("decision", "allow"))
		b.open(g.issuer + "/oauth/connections")
	}
	if strings.Count(here.body, "(this one)") != 1 || strings.Count(here.body, `value="end"`) != 1 {
		t.Fatalf("page: %s", here.body)
	}
	g.events.take()
	action, fields := here.form()
	fields = map[string][]string{"csrf_token": fields["csrf_token"], "action": {"end"}, "browser": {regexp.MustCompile(`name="browser" value="([^"]*)"`).FindStringSubmatch(here.body)[1]}}
	here.do(http.MethodPost, action, fields)
	if got := g.events.take(); len(got) != 1 || got[0] != "account/sign_out success alice   " {
		t.Errorf("events %q", got)
	}
	lost.open(g.issuer + "/oauth/connections")
	here.open(g.issuer + "/oauth/connections")
	if !strings.Contains(lost.body, "Sign in with") || !strings.Contains(here.body, "You are signed in as") || strings.Contains(here.body, `value="end"`) {
		t.Errorf("the lost one: %s\nthis one: %s", lost.body, here.body)
	}
}

// FINDING N7: amber for a website that nobody knows, quiet for the person's own machine,
// a mark for whom somebody vouches for.
func TestStanding(t *testing.T) {
	t.Parallel()
	const web = "https://app.example.net/cb"
	g := newRig(t, setup{
		clients: []clients.Static{{ID: "known", Name: "Known", RedirectURIs: []string{web}, Grants: []string{"authorization_code"}}},
	})
	listed := newRig(t, setup{change: func(_ *authserver.Config, c *clients.Config) {
		c.Registration.RedirectHosts = []string{"app.example.net"}
	}})
	// A document is as good as the host that published it.
	published := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"client_id":"http://%s/client.json","client_name":"Published","redirect_uris":[%q,"http://127.0.0.1:9/callback"]}`, r.Host, web)
	}))
	t.Cleanup(published.Close)
	document := published.URL + "/client.json"
	vouched := newRig(t, setup{change: func(_ *authserver.Config, c *clients.Config) { c.Documents.Hosts = []string{"127.0.0.1"} }})
	for name, c := range map[string]struct {
		g                *rig
		client, redirect string
		amber, verified  bool
	}{
		"published, elsewhere":   {g, document, web, true, false},
		"published, loopback":    {g, document, redirectURI, false, false},
		"published, listed host": {vouched, document, web, false, true},
		"of the manifest":        {g, "known", web, false, true},
		"registered, a website":  {g, g.register("", web), web, true, false},
		"registered, loopback":   {g, g.register(""), redirectURI, false, false},
		"registered, own scheme": {g, g.register("", "cursor://x/cb"), "cursor://x/cb", false, false},
		"registered, admitted":   {listed, listed.register("", web), web, false, false},
	} {
		b := c.g.browser()
		b.open(c.g.authorization("client_id", c.client, "redirect_uri", c.redirect))
		if strings.Contains(b.body, `class="warning"`) != c.amber || strings.Contains(b.body, `class="verified"`) != c.verified || b.last.StatusCode != http.StatusOK {
			t.Errorf("%s: %d %s", name, b.last.StatusCode, b.body)
		}
	}
}

// FINDING N8: pages say whose they are, in words for people, and an error has an id
// that the log has too.
func TestBranding(t *testing.T) {
	t.Parallel()
	g := newRig(t, setup{change: func(cfg *authserver.Config, _ *clients.Config) {
		cfg.Site = page.Site{Name: "Example & Sons", LogoURL: "https://cdn.example.com/logo.svg", SupportURL: "mailto:help@example.com"}
		cfg.Upstreams[0].Title, cfg.Upstreams[0].Scopes = "Staff login", []string{"openid", "offline_access"}
		cfg.Endpoints = func() []authserver.Endpoint {
			audience, _ := cfg.Resource("")
			return []authserver.Endpoint{{Addresses: []string{audience}, Title: "Team documents", Description: "What we wrote down."}}
		}
	}})
	b := g.browser()
	b.open(g.authorization("scope", "openid docs:read"))
	for _, want := range []string{
		"Example &amp; Sons", `src="https://cdn.example.com/logo.svg"`, "mailto:help@example.com", `rel="icon"`, "Staff login", "Team documents",
		"What we wrote down.", "know that it is you", "read docs (docs:read)", "stay connected while you are away",
	} {
		if !strings.Contains(b.body, want) {
			t.Errorf("the page does not say %q: %s", want, b.body)
		}
	}
	if policy := b.last.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "img-src data: https://cdn.example.com;") {
		t.Errorf("the logo cannot be shown: %s", policy)
	}
	b.open(g.issuer + "/oauth/callback?state=x&code=y")
	id := regexp.MustCompile(`Reference <code>([^<]+)</code>`).FindStringSubmatch(b.body)
	if id == nil || !strings.Contains(g.log.String(), "id="+id[1]+" ") {
		t.Errorf("no id, or the log does not have it: %s\n%s", b.body, g.log)
	}
}

// FINDING 2.17: the origin as resource, or none, means the only endpoint; of several the
// person says which.
func TestNoResource(t *testing.T) {
	t.Parallel()
	two := newRig(t, setup{change: func(cfg *authserver.Config, _ *clients.Config) {
		audience, _ := cfg.Resource("")
		all := []authserver.Endpoint{{Addresses: []string{audience}, Title: "Docs"}, {Addresses: []string{audience + "2"}, Title: "Mail"}}
		cfg.Endpoints = func() []authserver.Endpoint { return append([]authserver.Endpoint(nil), all...) }
		cfg.Resource = func(indicator string) (string, bool) {
			for _, e := range all {
				if e.Addresses[0] == indicator {
					return indicator, true
				}
			}
			return "", false
		}
	}})
	one := newRig(t, setup{})
	for _, g := range []*rig{one, two} {
		for _, resource := range []string{"", g.origin(), g.origin() + "/"} {
			b := g.browser()
			b.open(g.authorization("resource", resource))
			action, fields := b.form()
			fields.Set("decision", "allow")
			want := g.origin() + "/servers/docs/mcp"
			if g == two {
				if !strings.Contains(b.body, "Docs") || !strings.Contains(b.body, "Mail") {
					t.Errorf("%q: nothing to choose: %s", resource, b.body)
				}
				if back := b.do(http.MethodPost, action, fields); back == nil || back.Query().Get("error") != "invalid_target" {
					t.Errorf("%q, and nothing chosen: %v", resource, back)
				}
				want += "2"
				fields.Set("endpoint", want)
			}
			code := g.codeOf(b.do(http.MethodPost, action, fields))
			a := g.redeem(code, "resource", resource)
			if a.Status != http.StatusOK || !strings.Contains(tokenPayload(t, a.Access), `"aud":"`+want+`"`) {
				t.Errorf("%q: %+v", resource, a)
			}
		}
	}
}
