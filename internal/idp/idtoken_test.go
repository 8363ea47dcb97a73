package idp_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/idp"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/testkit"
	"github.com/sallyport-dev/sallyport/internal/token"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// scripted is an OpenID provider that answers what a test wants.
type scripted struct {
	*testkit.Issuer
	idToken  func() string
	userinfo any
	metadata map[string]any // over the usual
}

func newScripted(t testing.TB) *scripted {
	t.Helper()
	s := &scripted{Issuer: testkit.NewIssuer(t)}
	s.Answer(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/.well-known/openid-configuration":
			meta := object{
				"issuer": s.URL, "jwks_uri": s.URL + "/jwks", "authorization_endpoint": s.URL + "/authorize",
				"token_endpoint": s.URL + "/token", "userinfo_endpoint": s.URL + "/userinfo",
				"authorization_response_iss_parameter_supported": true,
			}
			for name, value := range s.metadata {
				meta[name] = value
			}
			write(w, meta)
		case "/token":
			write(w, object{"access_token": "the-access-token", "token_type": "Bearer", "expires_in": 60, "refresh_token": "r", "id_token": s.idToken()})
		case "/userinfo":
			if r.Header.Get("Authorization") != "Bearer the-access-token" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			write(w, s.userinfo)
		default:
			s.Usual(w, r)
		}
	})
	return s
}

func hash(access string) string {
	sum := sha256.Sum256([]byte(access))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// TestIDTokens: which ID tokens prove who signed in (OpenID Connect Core §3.1.3.7).
func TestIDTokens(t *testing.T) {
	t.Parallel()
	s := newScripted(t)
	other := testkit.NewIssuer(t)
	p := oidcAt(t, s.URL, idp.Client{ID: "gateway", Secret: secret.New("x")})
	now := time.Now()
	tests := map[string]struct {
		claims object
		header object
		sign   func(claims map[string]any) string
		want   string // of the error; "" for a good token
	}{
		"good":                   {},
		"with the hash":          {claims: object{"at_hash": hash("the-access-token")}},
		"several audiences":      {claims: object{"aud": []string{"gateway", "x"}, "azp": "gateway"}},
		"a minute behind":        {claims: object{"exp": now.Add(-50 * time.Second).Unix()}},
		"a minute ahead":         {claims: object{"nbf": now.Add(50 * time.Second).Unix(), "iat": now.Add(50 * time.Second).Unix()}},
		"RS256":                  {sign: s.SignRSA},
		"expired":                {claims: object{"exp": now.Add(-2 * time.Minute).Unix()}, want: "expired"},
		"not yet":                {claims: object{"nbf": now.Add(2 * time.Minute).Unix()}, want: "future"},
		"no expiry":              {claims: object{"exp": nil}, want: "no expiry"},
		"another issuer":         {claims: object{"iss": other.URL}, want: "issuer"},
		"another audience":       {claims: object{"aud": "somebody-else"}, want: "audience"},
		"no audience":            {claims: object{"aud": nil}, want: "audience"},
		"several, and no azp":    {claims: object{"aud": []string{"gateway", "x"}}, want: "azp"},
		"another's azp":          {claims: object{"aud": []string{"gateway", "x"}, "azp": "x"}, want: "azp"},
		"another's azp alone":    {claims: object{"azp": "x"}, want: "azp"},
		"an azp that is no text": {claims: object{"azp": 7}, want: "azp"},
		"another's nonce":        {claims: object{"nonce": "another"}, want: "nonce"},
		"no nonce":               {claims: object{"nonce": nil}, want: "nonce"},
		"another's hash":         {claims: object{"at_hash": hash("another")}, want: "at_hash"},
		"a hash that is no text": {claims: object{"at_hash": 7}, want: "at_hash"},
		"no subject":             {claims: object{"sub": nil}, want: "subject"},
		"an empty subject":       {claims: object{"sub": ""}, want: "subject"},
		"another's key":          {sign: func(c map[string]any) string { return other.Sign(object{"kid": s.KID}, c) }, want: "signature"},
		"no signature":           {sign: unsigned, want: "algorithm"},
		"a shared secret":        {header: object{"alg": "HS256"}, want: "algorithm"},
		"an access token":        {header: object{"typ": "logout+jwt"}, want: "type"},
		"nothing":                {sign: func(map[string]any) string { return "" }, want: "no ID token"},
		"no token":               {sign: func(map[string]any) string { return "a.b.c" }, want: "no JWT"},
		"large":                  {claims: object{"x": strings.Repeat("x", token.MaxSize)}, want: "bytes"},
	}
	for name, test := range tests {
		leg := newLeg()
		claims := object{"nonce": leg.Nonce}
		for k, v := range test.claims {
			claims[k] = v
		}
		all := s.Claims("gateway", claims)
		s.idToken = func() string { return s.Sign(test.header, all) }
		if test.sign != nil {
			s.idToken = func() string { return test.sign(all) }
		}
		grant, err := p.Finish(t.Context(), leg, "code", s.URL)
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case test.want == "" && grant.Person.Subject != "alice":
			t.Errorf("%s: signed in as %q", name, grant.Person.Subject)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: the error is %v, want one with %q", name, err, test.want)
		}
	}
}

func unsigned(claims map[string]any) string {
	payload, _ := json.Marshal(claims)
	enc := base64.RawURLEncoding
	return enc.EncodeToString([]byte(`{"alg":"none"}`)) + "." + enc.EncodeToString(payload) + "."
}

// An ID token that was seen before is of another leg.
func TestNonceReplay(t *testing.T) {
	t.Parallel()
	s := newScripted(t)
	p := oidcAt(t, s.URL, idp.Client{ID: "gateway"})
	first := newLeg()
	seen := s.Sign(nil, s.Claims("gateway", object{"nonce": first.Nonce}))
	s.idToken = func() string { return seen }
	if _, err := p.Finish(t.Context(), first, "code", s.URL); err != nil {
		t.Fatal(err)
	}
	for name, leg := range map[string]idp.Leg{"another leg": newLeg(), "a leg without a nonce": {State: "s", Verifier: "v"}} {
		if _, err := p.Finish(t.Context(), leg, "code", s.URL); err == nil || !strings.Contains(err.Error(), "nonce") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := p.Begin(t.Context(), idp.Leg{State: "s", Verifier: "v"}); err == nil {
		t.Error("a leg began without a nonce")
	}
}

// TestWhatUserinfoAdds: when it is asked, and what is believed.
func TestWhatUserinfoAdds(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		id, userinfo object
		change       func(*idp.OIDCConfig)
		want         idp.Person
		err          string
		asked        bool
	}{
		"nothing is missing": {
			id:   object{"email": "a@example.com", "email_verified": true, "name": "Al", "groups": []any{"g"}, "realm_access": object{"roles": []any{"r"}}},
			want: idp.Person{Subject: "alice", Name: "Al", Email: "a@example.com", EmailVerified: true, Groups: []string{"g"}, Roles: []string{"r"}},
		},
		"nothing was asked for": {want: idp.Person{Subject: "alice"}},
		"scopes want it": {
			userinfo: object{"sub": "alice", "name": "Al", "email": "a@example.com"},
			change:   func(c *idp.OIDCConfig) { c.Scopes = []string{"openid", "email", "profile"} },
			want:     idp.Person{Subject: "alice", Name: "Al", Email: "a@example.com"}, asked: true,
		},
		"groups want it": {
			id: object{"email": "id@example.com"}, userinfo: object{"sub": "alice", "email": "u@example.com", "teams": []any{"x"}},
			change: func(c *idp.OIDCConfig) { c.Mapping.Groups = "teams" },
			want:   idp.Person{Subject: "alice", Email: "id@example.com", Groups: []string{"x"}}, asked: true,
		},
		"about another person": {
			userinfo: object{"sub": "mallory", "email": "a@example.com"},
			change:   func(c *idp.OIDCConfig) { c.Scopes = []string{"email"} }, err: "another person", asked: true,
		},
		"about nobody": {
			userinfo: object{"email": "a@example.com"},
			change:   func(c *idp.OIDCConfig) { c.Scopes = []string{"email"} }, err: "another person", asked: true,
		},
		"subject of Entra": {
			id: object{"oid": "o-1"}, change: func(c *idp.OIDCConfig) { c.SubjectClaim = "oid" },
			want: idp.Person{Subject: "o-1"},
		},
		"subject is nowhere": {
			userinfo: object{"sub": "alice"}, change: func(c *idp.OIDCConfig) { c.SubjectClaim = "oid" },
			err: "subjectClaim", asked: true,
		},
		"override": {
			id: object{"email": "id@example.com"}, userinfo: object{"id": "u-1", "displayName": "Al", "mail": "m@example.com"},
			change: func(c *idp.OIDCConfig) {
				c.UserInfo = &idp.UserInfo{Fields: idp.Fields{Subject: []string{"id"}, Name: []string{"displayName"}, Email: []string{"mail"}}}
			},
			want: idp.Person{Subject: "u-1", Name: "Al", Email: "m@example.com"}, asked: true,
		},
		"override about another person": {
			userinfo: object{"sub": "mallory"}, change: func(c *idp.OIDCConfig) { c.UserInfo = &idp.UserInfo{} }, err: "another person", asked: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScripted(t)
			s.userinfo = test.userinfo
			leg := newLeg()
			claims := object{"nonce": leg.Nonce}
			for k, v := range test.id {
				claims[k] = v
			}
			s.idToken = func() string { return s.Sign(nil, s.Claims("gateway", claims)) }
			cfg := idp.OIDCConfig{Client: idp.Client{ID: "gateway"}, Issuer: s.URL}
			if test.change != nil {
				test.change(&cfg)
			}
			if cfg.UserInfo != nil {
				cfg.UserInfo.URL = s.URL + "/userinfo"
			}
			p := oidcWith(t, cfg)
			if _, err := p.Begin(t.Context(), leg); err != nil {
				t.Fatal(err)
			}
			before := s.Asked()
			grant, err := p.Finish(t.Context(), leg, "code", s.URL)
			if asked := s.Asked()-before > 2; asked != test.asked { // besides the token endpoint and the keys
				t.Errorf("userinfo was asked: %v", asked)
			}
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("the error is %v, want one with %q", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			who := grant.Person
			if who.Claims["nonce"] != leg.Nonce {
				t.Error("the claims are not those of the ID token")
			}
			who.Claims = nil
			if diff := cmp.Diff(test.want, who); diff != "" {
				t.Errorf("the person differs (-want +got):\n%s", diff)
			}
		})
	}
}

// TestProviderOutOfOrder: a provider that is down, slow, lost or lying leads to an
// error that says what is wrong, and to none when it is well again.
func TestProviderOutOfOrder(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer func(http.ResponseWriter, *http.Request, string)
		want   string
	}{
		"down": {func(w http.ResponseWriter, _ *http.Request, issuer string) {
			w.WriteHeader(http.StatusServiceUnavailable)
		}, "503"},
		"a web page": {func(w http.ResponseWriter, _ *http.Request, issuer string) {
			_, _ = io.WriteString(w, "<html>login</html>")
		}, "web page"},
		"nothing there":  {func(w http.ResponseWriter, r *http.Request, _ string) { http.NotFound(w, r) }, "404"},
		"another issuer": {func(w http.ResponseWriter, _ *http.Request, issuer string) { write(w, object{"issuer": issuer + "/x"}) }, "is about the issuer"},
		"a redirect": {func(w http.ResponseWriter, r *http.Request, _ string) {
			http.Redirect(w, r, "https://evil.example.com", http.StatusFound)
		}, "302"},
		"hanging up": {func(http.ResponseWriter, *http.Request, string) { panic(http.ErrAbortHandler) }, "EOF"},
		"large": {func(w http.ResponseWriter, _ *http.Request, issuer string) {
			_, _ = io.WriteString(w, strings.Repeat("x", 1<<20))
		}, "more than"},
		"no endpoint": {func(w http.ResponseWriter, _ *http.Request, issuer string) { write(w, object{"issuer": issuer}) }, "no authorization endpoint"},
		"a script": {func(w http.ResponseWriter, _ *http.Request, issuer string) {
			write(w, object{"issuer": issuer, "authorization_endpoint": "javascript:alert(1)"})
		}, "invalid URL"},
		"plain http": {func(w http.ResponseWriter, _ *http.Request, issuer string) {
			write(w, object{"issuer": issuer, "authorization_endpoint": "http://idp.example.com/"})
		}, "plain http"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			outOfOrder(t, test.answer, test.want)
		})
	}
}

func outOfOrder(t *testing.T, answer func(http.ResponseWriter, *http.Request, string), want string) {
	var well atomic.Bool
	s := newScripted(t)
	s.Answer(func(w http.ResponseWriter, r *http.Request) {
		if !well.Load() {
			answer(w, r, s.URL)
			return
		}
		write(w, object{"issuer": s.URL, "authorization_endpoint": s.URL + "/authorize", "token_endpoint": s.URL + "/token", "jwks_uri": s.URL + "/jwks"})
	})
	p := oidcAt(t, s.URL, idp.Client{ID: "gateway"})
	_, err := p.Begin(t.Context(), newLeg())
	if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "provider okta: ") {
		t.Errorf("the error is %v, want one of provider okta with %q", err, want)
	}
	before := s.Asked()
	for range 20 {
		_, _ = p.Begin(t.Context(), newLeg())
	}
	if n := s.Asked() - before; n > 3 {
		t.Errorf("20 attempts in a row led to %d requests", n)
	}
	if want != "503" {
		return // they are all alike from here
	}
	well.Store(true)
	testkit.Eventually(t, "it is well again", func() bool {
		_, err := p.Begin(t.Context(), newLeg())
		return err == nil
	})
	well.Store(false)
	if _, err := p.Begin(t.Context(), newLeg()); err != nil {
		t.Errorf("what is known does not go on: %v", err)
	}
}

// No secret that passes through is in an error or in a log line, even when the provider
// says it back.
func TestNoSecretsInErrors(t *testing.T) {
	t.Parallel()
	var canaries testkit.Canaries
	var log bytes.Buffer
	s := newScripted(t)
	echo := func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		id, password, _ := r.BasicAuth()
		_ = json.NewEncoder(w).Encode(object{"error": "invalid_grant", "error_description": fmt.Sprint(id, password, r.Form, r.Header)})
	}
	s.Answer(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/.well-known/openid-configuration":
			write(w, object{"issuer": s.URL, "authorization_endpoint": s.URL + "/a", "token_endpoint": s.URL + "/t?" + canaries.Value("query"), "revocation_endpoint": s.URL + "/r", "jwks_uri": s.URL + "/jwks"})
		default:
			echo(w, r)
		}
	})
	p := oidcAt(t, s.URL, idp.Client{ID: "gateway", Secret: secret.New(canaries.Value("secret")), Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	leg := newLeg()
	leg.Verifier, leg.State, leg.Nonce = canaries.Value("verifier"), canaries.Value("state"), canaries.Value("nonce")
	_, finish := p.Finish(t.Context(), leg, canaries.Value("code"), "")
	_, refresh := p.Refresh(t.Context(), secret.New(canaries.Value("refresh")))
	tokens := grantOf(canaries.Value("access"), canaries.Value("other refresh"))
	revoke := p.Revoke(t.Context(), tokens)
	_, mixed := p.Finish(t.Context(), leg, canaries.Value("code"), "https://evil.example.com")
	for name, err := range map[string]error{"finish": finish, "refresh": refresh, "revoke": revoke, "mix-up": mixed} {
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		canaries.Check(t, "the error of "+name, err.Error())
	}
	canaries.Check(t, "the log", log.String())
	wantCode(t, refresh, "invalid_grant")
}
