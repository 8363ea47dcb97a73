package idp_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/idp"
	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/seal"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/store"
	"github.com/sallyport-dev/sallyport/internal/store/sealed"
	"github.com/sallyport-dev/sallyport/internal/testkit/hub"
)

// hubAt makes the gateway a client of a hub, as the preset github has it.
func hubAt(t testing.TB, h *hub.Server, change ...func(*idp.OAuth2Config)) *idp.OAuth2 {
	t.Helper()
	preset := idp.PresetOf("github")
	cfg := idp.OAuth2Config{
		Client:    idp.Client{Name: "hub", ID: h.ID, Secret: secret.New(h.Secret), AuthMethod: preset.AuthMethod, Scopes: preset.Scopes, Reach: loopback(t)},
		Authorize: h.URL + "/login/oauth/authorize", Token: h.URL + "/login/oauth/access_token",
		UserInfo: &idp.UserInfo{URL: h.URL + "/user"}, GrantsAPI: h.URL + "/applications",
	}
	for _, c := range change {
		c(&cfg)
	}
	p, err := idp.NewOAuth2(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// visit sends a browser to an authorization endpoint that answers at once, and says
// where it was sent back to.
func visit(t testing.TB, address string) url.Values {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := loopback(t).Client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	back, err := resp.Location()
	if err != nil {
		t.Fatalf("the browser was not sent back: %s %v", resp.Status, err)
	}
	return back.Query()
}

func finish(t testing.TB, p idp.Provider, leg idp.Leg) (*idp.Grant, error) {
	t.Helper()
	to, err := p.Begin(t.Context(), leg)
	if err != nil {
		t.Fatal(err)
	}
	q := visit(t, to)
	if q.Get("state") != leg.State {
		t.Errorf("came back with the state %q", q.Get("state"))
	}
	return p.Finish(t.Context(), leg, q.Get("code"), q.Get("iss"))
}

func TestHub(t *testing.T) {
	t.Parallel()
	for name, forms := range map[string]bool{"JSON": false, "forms": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := hub.Start(t)
			h.SetForms(forms)
			h.SetLife(time.Hour)
			p := hubAt(t, h)
			grant, err := finish(t, p, newLeg("repo"))
			if err != nil {
				t.Fatal(err)
			}
			who := grant.Person
			who.Claims = nil
			if diff := cmp.Diff(idp.Person{Subject: fmt.Sprint(hub.UserID("alice")), Name: "The alice"}, who); diff != "" {
				t.Errorf("the person differs (-want +got):\n%s", diff)
			}
			if grant.Tokens.Expires.IsZero() || len(grant.Tokens.Scopes) == 0 {
				t.Errorf("the tokens are %+v", grant.Tokens)
			}
			next, err := p.Refresh(t.Context(), grant.Tokens.Refresh)
			if err != nil || next.Access.Equal(grant.Tokens.Access) {
				t.Fatalf("refreshed: %v", err)
			}
			_, err = p.Refresh(t.Context(), grant.Tokens.Refresh)
			wantCode(t, err, oauth.CodeInvalidGrant) // it says bad_refresh_token, with status 200
			if err := p.Revoke(t.Context(), next); err != nil {
				t.Error(err)
			}
			_, err = p.Refresh(t.Context(), next.Refresh)
			wantCode(t, err, oauth.CodeInvalidGrant)
			if err := p.Revoke(t.Context(), next); err != nil {
				t.Errorf("revoking what is gone: %v", err)
			}
		})
	}
}

func wantCode(t testing.TB, err error, code string) {
	t.Helper()
	if refused, ok := errors.AsType[*oauth.Error](err); !ok || refused.Code != code {
		t.Errorf("the error is %v, want %s", err, code)
	}
}

// A code of one provider is worth nothing at another, and the gateway does not take it
// there if it knows whose it is (mix-up, RFC 9207).
func TestMixUp(t *testing.T) {
	t.Parallel()
	honest, evil := hub.Start(t), hub.Start(t)
	leg := newLeg()
	to, err := hubAt(t, honest).Begin(t.Context(), leg)
	if err != nil {
		t.Fatal(err)
	}
	code := visit(t, to).Get("code")
	for name, c := range map[string]struct {
		issuer, iss string
		mixed       bool
	}{
		"the honest one's issuer":         {iss: honest.URL, mixed: true},
		"another path of the evil one":    {iss: evil.URL + "/login/oauth"},
		"configured, and another":         {issuer: evil.URL + "/login/oauth", iss: evil.URL, mixed: true},
		"configured, and the same":        {issuer: evil.URL, iss: evil.URL},
		"configured, and none came":       {issuer: evil.URL},
		"none is known, and none came":    {},
		"an origin that only looks alike": {iss: evil.URL + ".example.com", mixed: true},
		"no URL":                          {iss: "::", mixed: true},
	} {
		before := evil.Asked("/login/oauth/access_token")
		p := hubAt(t, evil, func(c2 *idp.OAuth2Config) { c2.Issuer = c.issuer })
		_, err := p.Finish(t.Context(), leg, code, c.iss)
		if err == nil || isMixUp(err) != c.mixed {
			t.Errorf("%s: %v", name, err)
		}
		if sent := evil.Asked("/login/oauth/access_token") > before; sent == c.mixed {
			t.Errorf("%s: the code was sent to the evil one: %v", name, sent)
		}
	}
}

// The gateway registers once, for all replicas and after a restart, and again when the
// provider has forgotten it.
func TestRegistration(t *testing.T) {
	t.Parallel()
	h, disk := hub.Start(t), store.NewMemory()
	ring, err := seal.NewRing()
	if err != nil {
		t.Fatal(err)
	}
	shared := sealed.New(disk, ring)
	replica := func() *idp.OAuth2 {
		r, err := idp.NewRegistration(idp.RegistrationConfig{
			Provider: "hub", Endpoint: h.URL + "/register", RedirectURI: callback, Scopes: []string{"repo"},
			InitialToken: secret.New("initial"), SoftwareID: "sallyport", Reach: loopback(t), Store: shared, Log: discard(),
		})
		if err != nil {
			t.Fatal(err)
		}
		return hubAt(t, h, func(c *idp.OAuth2Config) { c.ID, c.Secret, c.AuthMethod, c.Registration = "", secret.Value{}, "", r })
	}
	first, second := replica(), replica()
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() {
			if _, err := first.Begin(context.Background(), newLeg()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := h.Asked("/register"); n != 1 {
		t.Errorf("registered %d times", n)
	}
	leg := newLeg()
	to, err := first.Begin(t.Context(), leg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := second.Finish(t.Context(), leg, visit(t, to).Get("code"), ""); err != nil {
		t.Errorf("a leg that ends at another replica: %v", err)
	}
	if n := h.Asked("/register"); n != 1 {
		t.Errorf("registered %d times", n)
	}
	h.ForgetClients()
	_, err = second.Refresh(t.Context(), secret.New("some"))
	wantCode(t, err, oauth.CodeInvalidClient)
	if _, err := finish(t, second, newLeg()); err != nil {
		t.Errorf("after the provider forgot its client: %v", err)
	}
	seen := 0
	if err := disk.Scan(t.Context(), "", func(_ string, value []byte) bool {
		seen++
		if bytes.Contains(value, []byte("secret-")) || bytes.Contains(value, []byte("registered-")) {
			t.Error("the client can be read in the store")
		}
		return true
	}); err != nil || seen != 1 {
		t.Errorf("%d clients are stored, %v", seen, err)
	}
}

// odd is a provider whose answers a test chooses.
func odd(t testing.TB, token, user any) (authorize, tokenURL, userURL string) {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, _ *http.Request) { write(w, token) })
	mux.HandleFunc("/user", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Tenant") == "" && r.Method == http.MethodPost {
			http.Error(w, "no tenant", http.StatusBadRequest)
			return
		}
		write(w, user)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL + "/authorize", server.URL + "/token", server.URL + "/user"
}

func write(w http.ResponseWriter, v any) {
	if text, ok := v.(string); ok {
		_, _ = w.Write([]byte(text))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

type object = map[string]any

// TestWhoSignedIn: how providers of plain OAuth 2.0 say it.
func TestWhoSignedIn(t *testing.T) {
	t.Parallel()
	bearer := object{"access_token": "t", "token_type": "bearer"}
	jwt := "e30." + "eyJzdWIiOiJ1MSIsIm4iOiJBbGljZSJ9" + ".c2ln" // {"sub":"u1","n":"Alice"}
	tests := map[string]struct {
		token, user any
		change      func(*idp.OAuth2Config)
		want        idp.Person
		access      string
		err         string
	}{
		"userinfo": {
			token: bearer, user: object{"id": 42, "login": "al", "email": "a@example.com", "email_verified": "true", "groups": []any{"g"}, "roles": "r"},
			want: idp.Person{Subject: "42", Name: "al", Email: "a@example.com", EmailVerified: true, Groups: []string{"g"}, Roles: []string{"r"}},
		},
		"fields": {
			token: bearer, user: object{"data": object{"uid": "u1"}, "display": "Al", "mail": "a@example.com", "teams": []any{"x"}},
			change: func(c *idp.OAuth2Config) {
				c.UserInfo.Fields = idp.Fields{Subject: []string{"missing", "data.uid"}, Name: []string{"display"}, Email: []string{"mail"}}
				c.UserInfo.Method, c.UserInfo.Headers = http.MethodPost, map[string]string{"X-Tenant": "a"}
				c.Mapping.Groups = "teams"
			},
			want: idp.Person{Subject: "u1", Name: "Al", Email: "a@example.com", Groups: []string{"x"}},
		},
		"the token's answer": {
			token:  object{"access_token": "t", "user": object{"id": "u1", "names": []any{"Al", "Alice"}, "mail": "a@example.com"}},
			change: identity("user.id", "user.names.1", "user.mail"),
			want:   idp.Person{Subject: "u1", Name: "Alice", Email: "a@example.com"},
		},
		"a token in the answer": {
			token:  object{"access_token": jwt},
			change: identity("access_token.@upstreamjwt.sub", "access_token|@upstreamjwt|n", ""),
			want:   idp.Person{Subject: "u1", Name: "Alice"}, access: jwt,
		},
		"nested tokens": {
			token: object{"ok": true, "authed_user": object{"id": "u1", "access_token": "t", "refresh_token": "r", "expires_in": 60, "scope": "a,b"}},
			change: func(c *idp.OAuth2Config) {
				identity("authed_user.id", "", "")(c)
				c.Answer = &idp.TokenPaths{Access: "authed_user.access_token", Refresh: "authed_user.refresh_token", ExpiresIn: "authed_user.expires_in", Scope: "authed_user.scope"}
			},
			want: idp.Person{Subject: "u1"},
		},
		"nobody says": {
			token: bearer, change: func(c *idp.OAuth2Config) { c.UserInfo = nil },
			want: idp.Person{Subject: "tk-e3b98a4da31a127d4bde6e43033f66ba"},
		},
		"no subject":            {token: bearer, user: object{"name": "x"}, err: "subjectFields"},
		"an inexact number":     {token: bearer, user: object{"id": 9007199254740993}, err: "subjectFields"},
		"a fraction":            {token: bearer, user: object{"id": 1.5}, err: "subjectFields"},
		"an object":             {token: bearer, user: object{"id": object{}}, err: "subjectFields"},
		"twice the same field":  {token: bearer, user: `{"id":1,"id":2}`, err: "no JSON object"},
		"a list":                {token: bearer, user: `[{"id":1}]`, err: "no JSON object"},
		"a page":                {token: bearer, user: "<!doctype html><html></html>", err: "web page"},
		"large":                 {token: bearer, user: object{"id": 1, "x": strings.Repeat("x", 1<<20)}, err: "more than"},
		"nowhere":               {token: bearer, change: identity("user.id", "", ""), err: "subjectPath"},
		"another kind of token": {token: object{"access_token": "t", "token_type": "DPoP"}, user: object{"id": 1}, err: "DPoP"},
		"no token":              {token: object{"token_type": "bearer"}, err: "access_token"},
		"refused":               {token: object{"error": "incorrect_client_credentials"}, err: "incorrect_client_credentials"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := idp.OAuth2Config{Client: idp.Client{Name: "odd", ID: "c", Reach: loopback(t)}}
			var user string
			cfg.Authorize, cfg.Token, user = odd(t, test.token, test.user)
			cfg.UserInfo = &idp.UserInfo{URL: user}
			if test.change != nil {
				test.change(&cfg)
			}
			p, err := idp.NewOAuth2(cfg)
			if err != nil {
				t.Fatal(err)
			}
			grant, err := p.Finish(t.Context(), newLeg(), "code", "")
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) || !strings.HasPrefix(err.Error(), "provider odd: ") {
					t.Errorf("the error is %v, want one of provider odd with %q", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			who := grant.Person
			who.Claims = nil
			if diff := cmp.Diff(test.want, who); diff != "" {
				t.Errorf("the person differs (-want +got):\n%s", diff)
			}
			want := "t"
			if test.access != "" {
				want = test.access
			}
			if got := grant.Tokens.Access.Reveal(); got != want {
				t.Errorf("the access token is %q", got)
			}
			if test.change != nil && cfg.Answer != nil {
				if g := grant.Tokens; g.Refresh.Reveal() != "r" || g.Expires.IsZero() || len(g.Scopes) != 2 {
					t.Errorf("the tokens are %+v", g)
				}
			}
		})
	}
}

func identity(subject, name, email string) func(*idp.OAuth2Config) {
	return func(c *idp.OAuth2Config) {
		c.UserInfo = nil
		c.Identity = &idp.IdentityPaths{Subject: subject, Name: name, Email: email}
	}
}

// What a manifest must not say is refused when it is loaded, past the schema too.
func TestOAuth2Refuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*idp.OAuth2Config)
		want   string
	}{
		"plain http":          {func(c *idp.OAuth2Config) { c.Authorize = "http://idp.example.com/a" }, "insecureAllowHTTP"},
		"plain userinfo":      {func(c *idp.OAuth2Config) { c.UserInfo = &idp.UserInfo{URL: "http://idp.example.com/a"} }, "insecureAllowHTTP"},
		"script":              {func(c *idp.OAuth2Config) { c.Authorize = "javascript:alert(1)" }, "invalid URL"},
		"file":                {func(c *idp.OAuth2Config) { c.Token = "file://host/etc/passwd" }, "neither https nor http"},
		"a password":          {func(c *idp.OAuth2Config) { c.Token = "https://a:b@idp.example.com" }, "invalid URL"},
		"none":                {func(c *idp.OAuth2Config) { c.Token = "" }, "no token endpoint"},
		"redirect parameter":  {func(c *idp.OAuth2Config) { c.Params = map[string]string{"redirect_uri": "https://evil.example.com"} }, "redirect_uri"},
		"challenge parameter": {func(c *idp.OAuth2Config) { c.Params = map[string]string{"code_challenge_method": "plain"} }, "code_challenge_method"},
	} {
		cfg := idp.OAuth2Config{
			Client:    idp.Client{Name: "hub", Reach: idp.NewReach(false, false)},
			Authorize: "https://idp.example.com/authorize", Token: "https://idp.example.com/token",
		}
		c.change(&cfg)
		if _, err := idp.NewOAuth2(cfg); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "provider hub") {
			t.Errorf("%s: the error is %v, want one of provider hub with %q", name, err, c.want)
		}
	}
}
