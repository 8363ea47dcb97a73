package oauth_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

func TestRequest(t *testing.T) {
	t.Parallel()
	const canary = "canary-secret"
	for name, c := range map[string]struct {
		auth   oauth.ClientAuth
		status int
		answer string
		want   string // of the error; "" for none
		basic  bool
		form   url.Values
	}{
		"basic":        {auth: oauth.ClientAuth{ID: "a b", Secret: secret.New(canary)}, answer: `{"access_token":"t","token_type":"Bearer","expires_in":60}`, basic: true},
		"post":         {auth: oauth.ClientAuth{ID: "c", Secret: secret.New(canary), Method: oauth.AuthPost}, answer: `{"access_token":"t","expires_in":"60"}`, form: url.Values{"client_id": {"c"}, "client_secret": {canary}}},
		"public":       {auth: oauth.ClientAuth{ID: "c"}, answer: `{"access_token":"t"}`, form: url.Values{"client_id": {"c"}}},
		"refused":      {status: 400, answer: `{"error":"invalid_grant","error_description":"no\nsuch code"}`, want: "invalid_grant (no such code)"},
		"refused, 200": {answer: `{"error":"bad_verification_code"}`, want: "bad_verification_code"},
		"down":         {status: 503, answer: `<html>`, want: "it answered 503"},
		"page":         {answer: `hello`, want: "no JSON"},
		"no token":     {answer: `{"token_type":"Bearer"}`, want: "no access_token"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got url.Values
			var basic bool
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _, basic = r.BasicAuth()
				_ = r.ParseForm()
				got = r.PostForm
				if c.status != 0 {
					w.WriteHeader(c.status)
				}
				_, _ = w.Write([]byte(c.answer))
			}))
			defer server.Close()
			e := oauth.Endpoint{URL: server.URL + "/token?x=" + canary, Auth: c.auth, Client: server.Client()}
			tokens, err := e.Request(t.Context(), url.Values{"grant_type": {"refresh_token"}})
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), canary) {
					t.Fatalf("error %v, want one with %q and without the secret", err, c.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if basic != c.basic || tokens.Access.Reveal() != "t" || got.Get("grant_type") != "refresh_token" {
				t.Errorf("basic %v, tokens %+v, form %v", basic, tokens, got)
			}
			for name, values := range c.form {
				if !cmp.Equal(got[name], values) {
					t.Errorf("%s is %q, want %q", name, got[name], values)
				}
			}
			if strings.Contains(c.answer, "expires_in") && time.Until(tokens.Expires) > time.Minute {
				t.Errorf("expires at %v", tokens.Expires)
			}
		})
	}
}

func TestParseChallenges(t *testing.T) {
	t.Parallel()
	for line, want := range map[string][]oauth.AuthChallenge{
		`Bearer`: {{Scheme: "bearer", Params: map[string]string{}}},
		`Bearer error="invalid_token", scope="a b", resource_metadata="https://x/y"`: {{Scheme: "bearer", Params: map[string]string{
			"error": "invalid_token", "scope": "a b", "resource_metadata": "https://x/y",
		}}},
		`Basic realm="a, b\"c", Bearer scope=x`: {
			{Scheme: "basic", Params: map[string]string{"realm": `a, b"c`}},
			{Scheme: "bearer", Params: map[string]string{"scope": "x"}},
		},
		`Bearer scope="x`:              {{Scheme: "bearer", Params: map[string]string{}}},
		`Bearer scope=a, scope=b`:      {{Scheme: "bearer", Params: map[string]string{"scope": "a"}}},
		`, ,`:                          nil,
		`DPoP algs="ES256", Bearer , `: {{Scheme: "dpop", Params: map[string]string{"algs": "ES256"}}, {Scheme: "bearer", Params: map[string]string{}}},
	} {
		got := oauth.ParseChallenges(http.Header{"Www-Authenticate": {line}})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", line, diff)
		}
	}
}

func FuzzParseChallenges(f *testing.F) {
	f.Add(`Bearer error="invalid_token", scope="a b"`)
	f.Add(`Basic realm="a\"`)
	f.Fuzz(func(_ *testing.T, line string) {
		oauth.ParseChallenges(http.Header{"Www-Authenticate": {line, line}})
	})
}

func TestPKCE(t *testing.T) {
	t.Parallel()
	// The example of RFC 7636, appendix B.
	if got := oauth.Challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"); got != "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM" {
		t.Errorf("challenge %s", got)
	}
	if a, b := oauth.NewVerifier(), oauth.NewVerifier(); a == b || len(a) != 43 {
		t.Errorf("verifiers %q, %q", a, b)
	}
}

func TestDiscoverServer(t *testing.T) {
	t.Parallel()
	var served map[string]string // path → issuer
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		issuer, ok := served[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": issuer, "token_endpoint": issuer + "/token"})
	}))
	defer server.Close()
	issuer := server.URL + "/tenant"
	for _, c := range []struct {
		served map[string]string
		ok     bool
	}{
		{map[string]string{"/.well-known/oauth-authorization-server/tenant": issuer}, true},
		{map[string]string{"/.well-known/openid-configuration/tenant": issuer}, true},
		{map[string]string{"/tenant/.well-known/openid-configuration": issuer}, true},
		{map[string]string{"/.well-known/oauth-authorization-server/tenant": "https://evil.example.com"}, false},
		{map[string]string{"/.well-known/oauth-authorization-server/tenant": issuer + "/"}, false},
		{nil, false},
	} {
		served = c.served
		m, err := oauth.DiscoverServer(t.Context(), &oauth.Reach{Client: server.Client(), AllowHTTP: true}, issuer, false)
		if (err == nil) != c.ok || err == nil && m.TokenEndpoint != issuer+"/token" {
			t.Errorf("%v: %+v, %v", c.served, m, err)
		}
	}
}

// FINDING 2.4
// An empty path is a slash, in both directions, and nothing else is the same.
func TestSameIssuer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"https://accounts.google.com", "https://accounts.google.com/", true},
		{"https://accounts.google.com", "https://accounts.google.com", true},
		{"https://a.example.com/x", "https://a.example.com/x/", false},
		{"https://a.example.com", "https://b.example.com/", false},
		{"https://a.example.com", "https://A.example.com", false},
		{"https://a.example.com//", "https://a.example.com", false},
		{"https://a.example.com", "http://a.example.com/", false},
		{"", "/", false},
	} {
		if oauth.SameIssuer(c.a, c.b) != c.same || oauth.SameIssuer(c.b, c.a) != c.same {
			t.Errorf("%s and %s: want %v", c.a, c.b, c.same)
		}
	}
}

// FINDING 2.11
// What answers at a well-known place with something else is not there, and the next
// place is asked; who cannot be reached is not asked thrice.
func TestDiscoverServerPassesOver(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]http.HandlerFunc{
		"a page": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<html>{}")
		},
		"text":           func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") },
		"a list":         func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "[]") },
		"another object": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"error":"not found"}`) },
		"the root's": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, `{"issuer":"http://`+r.Host+`"}`)
		},
		"a redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) },
		"an error":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/tenant/.well-known/openid-configuration" {
					first(w, r)
					return
				}
				_, _ = io.WriteString(w, "\ufeff"+`{"issuer":"http://`+r.Host+`/tenant","scopes_supported":"a b","jwks_uri":null,"grant_types_supported":5,"token_endpoint":"found"}`)
			}))
			defer server.Close()
			client := server.Client()
			client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			m, err := oauth.DiscoverServer(t.Context(), &oauth.Reach{Client: client, AllowHTTP: true}, server.URL+"/tenant", false)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"found", "a b"}, []string{m.TokenEndpoint, strings.Join(m.ScopesSupported, " ")}); diff != "" {
				t.Error(diff)
			}
		})
	}
	asked := 0
	client := &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
		asked++
		return nil, io.ErrUnexpectedEOF
	})}
	if _, err := oauth.DiscoverServer(t.Context(), &oauth.Reach{Client: client}, "https://as.example.com/tenant", true); err == nil || asked != 1 {
		t.Errorf("%v, asked %d times", err, asked)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// FINDING 2.9
// FINDING 2.10
// REQ G-8: only access_token decides over an answer.
func TestTokensAsServersWriteThem(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		body, scopes      string
		expires, lifeless bool
	}{
		"plain":            {`{"access_token":"t","expires_in":60,"scope":"a b"}`, "a b", true, false},
		"text and a list":  {`{"access_token":"t","expires_in":"60","scope":["a","b",5]}`, "a b", true, false},
		"nothing":          {`{"access_token":"t"}`, "", false, false},
		"null":             {`{"access_token":"t","expires_in":null,"scope":null,"refresh_token":null,"id_token":null}`, "", false, false},
		"odd types":        {`{"access_token":"t","expires_in":{},"scope":{},"refresh_token":5,"token_type":["Bearer"]}`, "", false, false},
		"a life of none":   {`{"access_token":"t","expires_in":0}`, "", false, true},
		"a life below it":  {`{"access_token":"t","expires_in":"-1"}`, "", false, true},
		"a life of a word": {`{"access_token":"t","expires_in":"never"}`, "", false, false},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, tt.body) }))
		e := oauth.Endpoint{URL: server.URL, Client: server.Client()}
		got, err := e.Request(t.Context(), url.Values{})
		server.Close()
		if err != nil || strings.Join(got.Scopes, " ") != tt.scopes || got.Expires.IsZero() == tt.expires || got.Lifeless != tt.lifeless || !got.Refresh.Empty() {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}
