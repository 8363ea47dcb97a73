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

// TestManySignInsBegun: a program that presses the button of the consent page again
// and again fills no store, and who ends what they begin is not in the way.
func TestManySignInsBegun(t *testing.T) {
	t.Parallel()
	g := newRig(t, setup{})
	for range 3 {
		g.signIn()
	}
	b := g.browser()
	b.open(g.authorization())
	action, fields := b.form()
	fields.Set("decision", "allow")
	last, begun := "", 0
	for ; begun < 2000; begun++ {
		if last = b.step(http.MethodPost, action, fields); !strings.HasPrefix(last, "https://idp.example/") {
			break
		}
	}
	if begun < 400 || begun > 600 || !strings.Contains(last, "error=temporarily_unavailable") {
		t.Errorf("after %d sign-ins that did not end: %s", begun, last)
	}
}
