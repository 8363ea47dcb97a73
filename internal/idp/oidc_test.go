package idp_test

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/idp"
	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/testkit"
	"github.com/sallyport-dev/sallyport/internal/testkit/leaks"
	"github.com/sallyport-dev/sallyport/internal/token"
)

func TestMain(m *testing.M) { leaks.Main(m) }

const callback = "http://127.0.0.1:7777/oauth/callback"

// newLeg is a leg as the authorization server makes one.
func newLeg(scopes ...string) idp.Leg {
	return idp.Leg{RedirectURI: callback, State: oauth.NewVerifier(), Nonce: oauth.NewVerifier(), Verifier: oauth.NewVerifier(), Scopes: scopes}
}

// loopback is how a provider on loopback is reached.
func loopback(t testing.TB) oauth.Reach {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return oauth.Reach{AllowLoopbackHTTP: true, Client: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// oidcAt makes the gateway a client of the provider with this issuer.
func oidcAt(t testing.TB, issuer string, client idp.Client) *idp.OIDC {
	t.Helper()
	return oidcWith(t, idp.OIDCConfig{Client: client, Issuer: issuer})
}

func oidcWith(t testing.TB, cfg idp.OIDCConfig) *idp.OIDC {
	t.Helper()
	if cfg.Name == "" {
		cfg.Name = "okta"
	}
	cfg.Reach = loopback(t)
	cfg.Discovery = idp.NewDiscovery(cfg.Issuer, cfg.Reach)
	keys, err := token.NewKeySet(token.KeySetConfig{Locate: cfg.Discovery.KeysURL, Client: cfg.Reach.Client, Idle: true, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = keys.Close() })
	cfg.Keys = keys
	p, err := idp.NewOIDC(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// FINDING 2.16
// The usual offline_access is left out where the provider says that it does not know
// it; what an operator wrote is asked for.
func TestUsualScopesAreThoseOfTheProvider(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		supported any
		client    idp.Client
		want      string
	}{
		"it says nothing":       {nil, idp.Client{}, "openid offline_access"},
		"it has it":             {[]string{"openid", "offline_access"}, idp.Client{}, "openid offline_access"},
		"it has it not":         {[]string{"openid", "email"}, idp.Client{}, "openid"},
		"a preset's":            {[]string{"openid", "email"}, idp.Client{Scopes: []string{"openid", "email", "offline_access"}, UsualScopes: true}, "openid email"},
		"the operator wrote it": {[]string{"openid"}, idp.Client{Scopes: []string{"openid", "offline_access"}}, "openid offline_access"},
	} {
		s := newScripted(t)
		s.Answer(func(w http.ResponseWriter, _ *http.Request) {
			write(w, object{"issuer": s.URL + "/", "authorization_endpoint": s.URL + "/a", "token_endpoint": s.URL + "/t", "jwks_uri": s.URL + "/k", "scopes_supported": tt.supported})
		})
		tt.client.ID = "gateway"
		at, err := oidcAt(t, s.URL, tt.client).Begin(t.Context(), newLeg())
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(at)
		if err != nil || u.Query().Get("scope") != tt.want {
			t.Errorf("%s: asked for %q, want %q", name, u.Query().Get("scope"), tt.want)
		}
	}
}

// TestRealProvider signs somebody in at a certified provider, renews the tokens and
// ends the grant.
func TestRealProvider(t *testing.T) {
	t.Parallel()
	server := testkit.StartIdP(t)
	id, password := server.Register(t, callback)
	p := oidcAt(t, server.Issuer, idp.Client{
		ID: id, Secret: secret.New(password),
		Scopes: []string{"openid", "offline_access", "email"}, Params: map[string]string{"prompt": "consent"},
		Mapping: idp.Mapping{Groups: "groups"},
	})
	leg := newLeg("profile", "groups", "email")
	to, err := p.Begin(t.Context(), leg)
	if err != nil {
		t.Fatal(err)
	}
	back, err := server.SignIn(t.Context(), to, "alice")
	if err != nil {
		t.Fatal(err)
	}
	q := back.Query()
	if q.Get("state") != leg.State || q.Get("iss") != server.Issuer {
		t.Errorf("came back as %v", q)
	}
	if _, err := p.Finish(t.Context(), leg, q.Get("code"), "http://127.0.0.1:1"); !isMixUp(err) {
		t.Errorf("an answer of another issuer: %v", err)
	}
	if _, err := p.Finish(t.Context(), leg, q.Get("code"), ""); !isMixUp(err) {
		t.Errorf("an answer without the issuer that was promised: %v", err)
	}
	if _, err := p.Finish(t.Context(), leg, "", server.Issuer); !errors.Is(err, idp.ErrNoCode) {
		t.Errorf("an answer without a code: %v", err)
	}
	grant, err := p.Finish(t.Context(), leg, q.Get("code"), q.Get("iss"))
	if err != nil {
		t.Fatal(err)
	}
	who := grant.Person
	who.Claims = nil
	want := idp.Person{Subject: "alice", Name: "The alice", Email: "alice@example.com", EmailVerified: true, Groups: []string{"staff"}}
	if diff := cmp.Diff(want, who); diff != "" {
		t.Errorf("the person differs (-want +got):\n%s", diff)
	}
	first := grant.Tokens
	if first.Access.Empty() || first.Refresh.Empty() || first.ID.Empty() || first.Expires.IsZero() {
		t.Fatalf("tokens are missing: %+v", first)
	}
	second, err := p.Refresh(t.Context(), first.Refresh)
	if err != nil {
		t.Fatal(err)
	}
	if second.Refresh.Equal(first.Refresh) || second.Access.Equal(first.Access) {
		t.Error("the tokens were not rotated")
	}
	if err := p.Revoke(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	_, err = p.Refresh(t.Context(), second.Refresh)
	if refused, ok := errors.AsType[*oauth.Error](err); !ok || refused.Code != oauth.CodeInvalidGrant {
		t.Errorf("a refresh after the end: %v", err)
	}
}

func isMixUp(err error) bool {
	_, ok := errors.AsType[*idp.MixUp](err)
	return ok
}

// A code that was made for one leg is worth nothing in another, with its verifier or
// its nonce.
func TestCodeOfAnotherLeg(t *testing.T) {
	t.Parallel()
	server := testkit.StartIdP(t)
	id, password := server.Register(t, callback)
	p := oidcAt(t, server.Issuer, idp.Client{ID: id, Secret: secret.New(password)})
	for name, spoil := range map[string]func(*idp.Leg){
		"verifier": func(l *idp.Leg) { l.Verifier = oauth.NewVerifier() },
		"nonce":    func(l *idp.Leg) { l.Nonce = oauth.NewVerifier() },
		"no nonce": func(l *idp.Leg) { l.Nonce = "" },
		"redirect": func(l *idp.Leg) { l.RedirectURI += "2" },
	} {
		leg := newLeg()
		to, err := p.Begin(t.Context(), leg)
		if err != nil {
			t.Fatal(err)
		}
		back, err := server.SignIn(t.Context(), to, "mallory")
		if err != nil {
			t.Fatal(err)
		}
		other := leg
		spoil(&other)
		if _, err := p.Finish(t.Context(), other, back.Query().Get("code"), back.Query().Get("iss")); err == nil {
			t.Errorf("%s: signed in with the code of another leg", name)
		}
	}
}

func grantOf(access, refresh string) *oauth.Tokens {
	return &oauth.Tokens{Access: secret.New(access), Refresh: secret.New(refresh)}
}
