package authserver_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/authserver"
	"github.com/sallyport-dev/sallyport/internal/authserver/clients"
)

// refreshAt presents a refresh token to the server that has taken the place of the
// rig's own, with its store and keys.
func (g *rig) refreshAt(s *authserver.Server, refresh string) *httptest.ResponseRecorder {
	g.t.Helper()
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}, "client_id": {g.client.ID}}
	r := httptest.NewRequestWithContext(g.t.Context(), http.MethodPost, g.issuer+"/oauth/token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// TestChangedServer: what was granted under one configuration is worth no more than
// the next one allows.
func TestChangedServer(t *testing.T) {
	t.Parallel()
	limited := func(cfg *authserver.Config, g *rig) {
		app := g.client
		app.Audiences = []string{"https://elsewhere.example/mcp"}
		cfg.Clients = clients.New(clients.Config{Issuer: g.issuer, Store: g.store, Static: []clients.Static{app}})
	}
	for name, test := range map[string]struct {
		change func(*authserver.Config, *rig)
		want   string // in the answer
		ended  bool   // the access token is good no more
	}{
		"nothing changed": {func(*authserver.Config, *rig) {}, `"access_token"`, false},
		// The same name at another provider is somebody else, who has accounts of their own.
		"another provider says who people are":    {func(cfg *authserver.Config, _ *rig) { cfg.Primary = "b" }, "invalid_grant", true},
		"the client may use the endpoint no more": {limited, "invalid_target", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newRig(t, setup{upstreams: []string{"a", "b"}})
			got := g.redeem(g.signIn())
			if got.Refresh == "" {
				t.Fatalf("no refresh token: %+v", got)
			}
			cfg := g.config
			test.change(&cfg, g)
			claims, err := g.claims(got.Access)
			if err != nil {
				t.Fatal(err)
			}
			s, err := authserver.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			s.Generation()
			if ended, err := s.Revoked(claims); ended != test.ended || err != nil {
				t.Errorf("the access token has ended: %v, %v", ended, err)
			}
			if w := g.refreshAt(s, got.Refresh); !strings.Contains(w.Body.String(), test.want) {
				t.Errorf("got %d %s, want %s", w.Code, w.Body, test.want)
			}
		})
	}
}

// FINDING S9: a program that presses the button of the consent page again and again
// fills no store, and shuts out nobody who shares its address, neither who was there
// before nor who comes after.
func TestManySignInsBegun(t *testing.T) {
	t.Parallel()
	g := newRig(t, setup{})
	begin := func(b *browser) (visit string) {
		b.open(g.authorization())
		action, fields := b.form()
		fields.Set("decision", "allow")
		return b.step(http.MethodPost, action, fields)
	}
	before, flood, after := g.browser(), g.browser(), g.browser()
	early := begin(before)
	flood.open(g.authorization())
	action, fields := flood.form()
	fields.Set("decision", "allow")
	form := flood.last.Cookies()[0]
	press := func() {
		t.Helper()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, action, strings.NewReader(fields.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.RemoteAddr = "127.0.0.1:1"
		r.AddCookie(form)
		w := httptest.NewRecorder()
		g.server.ServeHTTP(w, r)
		if to := w.Header().Get("Location"); !strings.HasPrefix(to, "https://idp.example/") {
			t.Fatalf("a press leads to %q: %s", to, w.Body)
		}
	}
	for range 700 {
		press()
	}
	kept := 0
	if err := g.store.Scan(t.Context(), "", func(key string, _ []byte) bool {
		if strings.Contains(key, "/flow/") {
			kept++
		}
		return true
	}); err != nil || kept > 500 {
		t.Errorf("%d sign-ins are kept, %v", kept, err)
	}
	late := begin(after)
	press()
	g.codeOf(after.open(late))
	g.codeOf(before.open(early))
}
