package authn_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/authn"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/token"
)

var wanted = token.Expectations{Issuer: issuer, Audiences: []string{audience}, Access: true, Leeway: 30 * time.Second}

// introspection checks tokens at a server that answers as told.
func introspection(t *testing.T, h http.HandlerFunc) *authn.Introspection {
	t.Helper()
	s := serve(t, h)
	return authn.NewIntrospection(authn.IntrospectionConfig{
		URL: s.URL + "/introspect?tenant=canary-of-query", ClientID: "gw:1", ClientSecret: secret.New("canary secret+/%"),
		Client: s.Client(), Want: wanted,
	})
}

// answer is an answer of 200 with JSON, in which AUD and EXP are good ones.
func answer(body string) http.HandlerFunc {
	body = strings.NewReplacer("AUD", `"`+audience+`"`, "EXP", fmt.Sprint(time.Now().Add(time.Hour).Unix())).Replace(body)
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, body)
	}
}

// REQ B-7: what an issuer can say of an opaque token, and what becomes of it.
func TestIntrospection(t *testing.T) {
	t.Parallel()
	bad := func(reason string) want { return want{status: 401, code: "invalid_token", reason: reason} }
	unclear := func(reason string) want { return want{status: 503, reason: reason} }
	alice := want{caller: "introspection alice"}
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		want   want
	}{
		{"active", answer(`{"active":true,"sub":"alice","aud":AUD,"exp":EXP,"iss":"` + issuer + `"}`), alice},
		{"active, without expiry and issuer", answer(`{"active":true,"sub":"alice","aud":["x",AUD]}`), alice},
		{"a client's own token", answer(`{"active":true,"client_id":"robot","aud":AUD}`), want{caller: "introspection robot"}},
		{"inactive", answer(`{"active":false}`), bad("not active")},
		{"inactive, with claims", answer(`{"active":false,"sub":"alice","aud":AUD,"exp":EXP}`), bad("not active")},
		{"active is text", answer(`{"active":"true","sub":"alice","aud":AUD}`), bad("not active")},
		{"active is a number", answer(`{"active":1,"sub":"alice","aud":AUD}`), bad("not active")},
		{"active in another case", answer(`{"Active":true,"sub":"alice","aud":AUD}`), bad("not active")},
		{"no active", answer(`{"sub":"alice","aud":AUD}`), bad("not active")},
		{"wrong audience", answer(`{"active":true,"sub":"alice","aud":"https://elsewhere"}`), bad("audience")},
		{"no audience", answer(`{"active":true,"sub":"alice"}`), bad("audience")},
		{"audience is an object", answer(`{"active":true,"sub":"alice","aud":{"a":AUD}}`), bad("audience")},
		{"wrong issuer", answer(`{"active":true,"sub":"alice","aud":AUD,"iss":"https://evil.example.com"}`), bad("issuer")},
		{"issuer is no text", answer(`{"active":true,"sub":"alice","aud":AUD,"iss": 5}`), bad("issuer")},
		{"expired", answer(`{"active":true,"sub":"alice","aud":AUD,"exp":1000}`), bad("expired")},
		{"expiry is text", answer(`{"active":true,"sub":"alice","aud":AUD,"exp":"tomorrow"}`), bad("no date")},
		{"not yet", answer(`{"active":true,"sub":"alice","aud":AUD,"nbf":EXP}`), bad("nbf")},
		{"nbf is text", answer(`{"active":true,"sub":"alice","aud":AUD,"nbf":"now"}`), bad("nbf")},
		{"nobody", answer(`{"active":true,"aud":AUD}`), bad("no subject")},
		{"duplicated claims", answer(`{"active":false,"sub":"alice","aud":AUD,"active":true}`), unclear("can be trusted")},
		{"a list", answer(`[{"active":true}]`), unclear("can be trusted")},
		{"null", answer(`null`), unclear("can be trusted")},
		{"nothing", answer(``), unclear("can be trusted")},
		{"no JSON", answer(`active`), unclear("can be trusted")},
		{"more than JSON", answer(`{"active":true,"sub":"alice","aud":AUD} {}`), unclear("can be trusted")},
		{"a web page", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<!doctype html><p>Sign in") }, unclear("web page")},
		{"huge", answer(`{"active":true,"sub":"` + strings.Repeat("a", 1<<20) + `","aud":AUD}`), unclear("more than 65536 bytes")},
		{"endless", func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := io.WriteString(w, strings.Repeat(" ", 4096)); err != nil {
					return
				}
			}
		}, unclear("more than 65536 bytes")},
		{"the gateway's secret is wrong", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }, unclear("answered 401")},
		{"broken", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }, unclear("answered 500")},
		{"busy", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) }, unclear("answered 429")},
		{"cut off", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, unclear("EOF")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := authn.NewBearer(authn.BearerConfig{Opaque: introspection(t, tt.answer)})
			c, d := b.Authenticate(t.Context(), bearer("canary-token"))
			tt.want.is(t, c, d)
			if c != nil && c.Issuer != issuer {
				t.Errorf("issuer %q", c.Issuer)
			}
			if d != nil && strings.Contains(d.Reason, "canary") {
				t.Errorf("a secret, a query or the token is in the reason: %s", d.Reason)
			}
		})
	}
}

// REQ B-7: an endpoint that is down or hangs makes it 503, and a caller who leaves does not wait.
func TestIntrospectionDown(t *testing.T) {
	t.Parallel()
	s := serve(t, func(http.ResponseWriter, *http.Request) {})
	gone := authn.NewIntrospection(authn.IntrospectionConfig{URL: s.URL, Client: s.Client(), Want: wanted})
	s.Close()
	c, d := authn.NewBearer(authn.BearerConfig{Opaque: gone}).Authenticate(t.Context(), bearer("token"))
	want{status: 503, reason: "refused"}.is(t, c, d)

	asked := make(chan struct{})
	hangs := introspection(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then the server notices that the client left
		close(asked)
		<-r.Context().Done()
	})
	ctx, leave := context.WithCancel(t.Context())
	go func() {
		<-asked
		leave()
	}()
	c, d = authn.NewBearer(authn.BearerConfig{Opaque: hangs}).Authenticate(ctx, bearer("token"))
	want{status: 503, reason: "canceled"}.is(t, c, d)
}

// What goes to the issuer: token and credential, each in its place and nowhere else.
func TestIntrospectionRequest(t *testing.T) {
	t.Parallel()
	type sent struct{ Method, Target, Type, User, Password, Body, Rest string }
	got := make(chan sent, 1)
	i := introspection(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		user, password, _ := r.BasicAuth()
		r.Header.Del("Authorization")
		got <- sent{r.Method, r.RequestURI, r.Header.Get("Content-Type"), user, password, string(body), fmt.Sprint(r.Header)}
		answer(`{"active":true,"sub":"alice","aud":AUD}`)(w, r)
	})
	if _, d := authn.NewBearer(authn.BearerConfig{Opaque: i}).Authenticate(t.Context(), bearer("a+/b==")); d != nil {
		t.Fatal(d)
	}
	s := <-got
	if strings.Contains(s.Rest, "canary") || strings.Contains(s.Rest, "a+/b") {
		t.Errorf("headers %s", s.Rest)
	}
	s.Rest = ""
	expected := sent{
		"POST", "/introspect?tenant=canary-of-query", "application/x-www-form-urlencoded",
		url.QueryEscape("gw:1"), url.QueryEscape("canary secret+/%"), // RFC 6749 §2.3.1
		"token=a%2B%2Fb%3D%3D&token_type_hint=access_token", "",
	}
	if diff := cmp.Diff(expected, s); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// REQ B-7: claims that only this issuer knows are kept, and mapped.
func TestIntrospectionClaims(t *testing.T) {
	t.Parallel()
	s := serve(t, answer(`{"active":true,"sub":"alice","aud":AUD,"exp":EXP,"scope":"a b","client_id":"cli","tenant":{"teams":["t1"]},"seats":3}`))
	i := authn.NewIntrospection(authn.IntrospectionConfig{
		URL: s.URL, Client: s.Client(), Want: wanted, Mapping: authn.Mapping{Groups: "tenant.teams"},
	})
	c, d := authn.NewBearer(authn.BearerConfig{Opaque: i, Scopes: []string{"b"}}).Authenticate(t.Context(), bearer("token"))
	if d != nil {
		t.Fatal(d)
	}
	if diff := cmp.Diff([]any{[]string{"t1"}, "cli", 3.0}, []any{c.Groups, c.ClientID, c.Claims["seats"]}); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if until := time.Until(c.Expires); until > time.Minute {
		t.Errorf("believed for %s: a revocation must be noticed within a minute", until)
	}
}

// REQ B-7: an answer is remembered, but shortly: whoever revokes a token wants it to end.
func TestIntrospectionNoticesRevocation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		client := &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
			asked++
			return serveOne(fmt.Sprintf(`{"active":%v,"sub":"alice","aud":%q}`, asked == 1, audience)), nil
		})}
		b := authn.NewBearer(authn.BearerConfig{Opaque: authn.NewIntrospection(authn.IntrospectionConfig{
			URL: "https://idp.invalid/introspect", Client: client, Want: wanted,
		})})
		for _, step := range []struct {
			after time.Duration
			want  want
			asked int
		}{
			{0, want{caller: "introspection alice"}, 1},
			{29 * time.Second, want{caller: "introspection alice"}, 1},
			{time.Second, want{status: 401, code: "invalid_token", reason: "not active"}, 2},
		} {
			<-time.After(step.after)
			c, d := b.Authenticate(t.Context(), bearer("token"))
			step.want.is(t, c, d)
			if asked != step.asked {
				t.Errorf("asked %d times, want %d", asked, step.asked)
			}
		}
	})
}

// FINDING S21
// However many requests bring one token, the issuer is asked once; and however many
// tokens, not about all of them at a time. One sender has a share, and tokens that were
// good before are asked about through any flood. REQ G-2
func TestIntrospectionIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			_ = r.ParseForm()
			asked.Add(1)
			if strings.HasPrefix(r.PostForm.Get("token"), "random") {
				<-time.After(5 * time.Second)
				return serveOne(`{"active":false}`), nil
			}
			return serveOne(fmt.Sprintf(`{"active":true,"sub":"alice","aud":%q}`, audience)), nil
		})}
		b := authn.NewBearer(authn.BearerConfig{Opaque: authn.NewIntrospection(authn.IntrospectionConfig{
			URL: "https://idp.invalid/introspect", Client: client, Want: wanted,
		})})
		var all sync.WaitGroup
		try := func(from, tok string, status int) {
			t.Helper()
			r := bearer(tok)
			r.Peer = netip.MustParseAddr(from)
			_, d := b.Authenticate(t.Context(), r)
			if got := or(d, &authn.Denied{Status: 200}).Status; got != status {
				t.Errorf("%s of %s: %d, want %d", tok, from, got, status)
			}
		}
		try("198.51.100.1", "good", 200)
		<-time.After(40 * time.Second) // it is asked about again
		asked.Store(0)
		for i := range 16 {
			all.Go(func() { try("203.0.113.1", fmt.Sprint("random-", i), 401) })
			all.Go(func() { try(fmt.Sprintf("2001:db8::%d", i+1), "random-", 401) }) // one for all
		}
		synctest.Wait()
		for i := range 80 {
			try("203.0.113.1", fmt.Sprint("random-more-", i), 503)
		}
		try("198.51.100.2", "somebody-else", 200)
		for i := range 200 { // from everywhere
			from := fmt.Sprintf("192.0.2.%d", i)
			if i < 31 {
				all.Go(func() { try(from, fmt.Sprint("random-far-", i), 401) })
				synctest.Wait()
			} else {
				try(from, fmt.Sprint("random-far-", i), 503)
			}
		}
		try("203.0.113.1", "good", 200)
		all.Wait()
		if n := asked.Load(); n != 48+2 {
			t.Errorf("asked %d times", n)
		}
	})
}

// FINDING S19
// FINDING 2.12
// FINDING 2.17
// What an issuer may say of a token in ways of its own.
func TestIntrospectionReadsAsIssuersWrite(t *testing.T) {
	t.Parallel()
	now := time.Now().Unix()
	clients := wanted
	clients.Clients = []string{"cli"}
	for name, tt := range map[string]struct {
		want   token.Expectations
		answer string
		status int
	}{
		"a refresh token":                  {wanted, `{"active":true,"sub":"alice","aud":AUD,"token_type":"refresh_token"}`, 401},
		"Keycloak's refresh token":         {wanted, `{"active":true,"sub":"alice","aud":AUD,"typ":"Refresh"}`, 401},
		"an ID token":                      {wanted, `{"active":true,"sub":"alice","aud":AUD,"token_use":"id"}`, 401},
		"times as text, or null":           {wanted, fmt.Sprintf(`{"active":true,"sub":"alice","aud":AUD,"exp":"%d","nbf":null}`, now+60), 200},
		"an expiry that is none":           {wanted, `{"active":true,"sub":"alice","aud":AUD,"exp":"soon"}`, 401},
		"begins in ten seconds":            {wanted, fmt.Sprintf(`{"active":true,"sub":"alice","aud":AUD,"nbf":%d}`, now+10), 200},
		"begins in an hour":                {wanted, fmt.Sprintf(`{"active":true,"sub":"alice","aud":AUD,"nbf":%d}`, now+3600), 401},
		"no audience, an allowed client":   {clients, `{"active":true,"sub":"alice","client_id":"cli"}`, 200},
		"no audience, another client":      {clients, `{"active":true,"sub":"alice","client_id":"other"}`, 401},
		"its audience, another client":     {clients, `{"active":true,"sub":"alice","aud":AUD,"azp":"other"}`, 401},
		"another audience, allowed client": {clients, `{"active":true,"sub":"alice","aud":"https://other","client_id":"cli"}`, 401},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, answer(tt.answer))
			i := authn.NewIntrospection(authn.IntrospectionConfig{URL: s.URL, Client: s.Client(), Want: tt.want})
			_, d := authn.NewBearer(authn.BearerConfig{Opaque: i}).Authenticate(t.Context(), bearer("token"))
			if got := or(d, &authn.Denied{Status: 200}); got.Status != tt.status {
				t.Errorf("%d %s, want %d", got.Status, got.Reason, tt.status)
			}
		})
	}
}

// Google's and GitHub's tokens are opaque, and each has an endpoint of its own for them.
func TestIntrospectionPresets(t *testing.T) {
	t.Parallel()
	google := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Method != http.MethodPost || r.URL.RawQuery != "" || r.PostFormValue("access_token") != "ya29.good" {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"error":"invalid_token"}`)
			return
		}
		_, _ = fmt.Fprintf(w, `{"azp":"app","aud":"app","sub":"1234","scope":"openid email","exp":"%d","expires_in":"3599","email":"a@example.com","email_verified":"true"}`, time.Now().Add(time.Hour).Unix())
	})
	github := serve(t, func(w http.ResponseWriter, r *http.Request) {
		id, secret, _ := r.BasicAuth()
		var asked map[string]string
		_ = json.NewDecoder(r.Body).Decode(&asked)
		switch {
		case r.Method != http.MethodPost || r.URL.Path != "/applications/app/token" || id != "app" || secret != "hush":
			w.WriteHeader(http.StatusUnauthorized)
		case asked["access_token"] == "gho_good" || asked["access_token"] == "gho_old":
			end := time.Now().Add(time.Hour)
			if asked["access_token"] == "gho_old" {
				end = time.Now().Add(-time.Hour)
			}
			_, _ = fmt.Fprintf(w, `{"id":1,"token":"gho_good","hashed_token":"x","scopes":["repo","read:user"],"expires_at":%q,"app":{"client_id":"app"},"user":{"id":583231,"login":"octocat","email":null}}`, end.UTC().Format(time.RFC3339))
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	})
	for name, tt := range map[string]struct {
		cfg    authn.IntrospectionConfig
		token  string
		want   want
		scopes []string
	}{
		"google":                 {authn.IntrospectionConfig{URL: google.URL, Preset: "google"}, "ya29.good", want{caller: "introspection 1234"}, []string{"openid", "email"}},
		"google, invalid":        {authn.IntrospectionConfig{URL: google.URL, Preset: "google"}, "ya29.bad", want{status: 401, code: "invalid_token"}, nil},
		"github":                 {authn.IntrospectionConfig{URL: github.URL, Preset: "github", ClientID: "app", ClientSecret: secret.New("hush")}, "gho_good", want{caller: "introspection 583231"}, []string{"repo", "read:user"}},
		"github, invalid":        {authn.IntrospectionConfig{URL: github.URL, Preset: "github", ClientID: "app", ClientSecret: secret.New("hush")}, "gho_bad", want{status: 401, code: "invalid_token"}, nil},
		"github, expired":        {authn.IntrospectionConfig{URL: github.URL, Preset: "github", ClientID: "app", ClientSecret: secret.New("hush")}, "gho_old", want{status: 401, code: "invalid_token", reason: "expired"}, nil},
		"github, a wrong secret": {authn.IntrospectionConfig{URL: github.URL, Preset: "github", ClientID: "app", ClientSecret: secret.New("x")}, "gho_good", want{status: 503, reason: "401"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.cfg.Client = &http.Client{}
			tt.cfg.Want = token.Expectations{Issuer: issuer, Audiences: []string{"app"}, Access: true}
			c, d := authn.NewBearer(authn.BearerConfig{Opaque: authn.NewIntrospection(tt.cfg)}).Authenticate(t.Context(), bearer(tt.token))
			tt.want.is(t, c, d)
			if c != nil {
				if diff := cmp.Diff(tt.scopes, c.Scopes); diff != "" || strings.Contains(fmt.Sprint(c.Claims), tt.token) {
					t.Errorf("%s, claims %v", diff, c.Claims)
				}
			}
			tt.cfg.Want.Audiences = []string{"another"}
			if c, d := authn.NewBearer(authn.BearerConfig{Opaque: authn.NewIntrospection(tt.cfg)}).Authenticate(t.Context(), bearer(tt.token)); c != nil || d == nil {
				t.Errorf("of another application: %v", c)
			}
		})
	}
}

// or is what became of a request, 200 where nothing was denied.
func or(d, otherwise *authn.Denied) *authn.Denied {
	if d == nil {
		return otherwise
	}
	return d
}
