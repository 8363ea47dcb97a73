package authn_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/authn"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// introspection checks tokens at a server that answers as told.
func introspection(t *testing.T, h http.HandlerFunc) *authn.Introspection {
	t.Helper()
	s := serve(t, h)
	return authn.NewIntrospection(authn.IntrospectionConfig{
		URL: s.URL + "/introspect?tenant=canary-of-query", ClientID: "gw:1", ClientSecret: secret.New("canary secret+/%"),
		Client: s.Client(), Issuer: issuer, Audiences: []string{audience},
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
		{"issuer is no text", answer(`{"active":true,"sub":"alice","aud":AUD,"iss":null}`), bad("issuer")},
		{"expired", answer(`{"active":true,"sub":"alice","aud":AUD,"exp":1000}`), bad("expired")},
		{"expiry is text", answer(`{"active":true,"sub":"alice","aud":AUD,"exp":"EXP"}`), bad("no date")},
		{"not yet", answer(`{"active":true,"sub":"alice","aud":AUD,"nbf":EXP}`), bad("not valid yet")},
		{"nbf is text", answer(`{"active":true,"sub":"alice","aud":AUD,"nbf":"now"}`), bad("not valid yet")},
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
	gone := authn.NewIntrospection(authn.IntrospectionConfig{URL: s.URL, Client: s.Client(), Issuer: issuer, Audiences: []string{audience}})
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
		URL: s.URL, Client: s.Client(), Issuer: issuer, Audiences: []string{audience}, Mapping: authn.Mapping{Groups: "tenant.teams"},
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
			URL: "https://idp.invalid/introspect", Client: client, Issuer: issuer, Audiences: []string{audience},
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

// However many requests bring one token, the issuer is asked once; and however
// many tokens, not about all of them at a time.
func TestIntrospectionIsBounded(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	release := make(chan struct{})
	i := introspection(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		<-release
		answer(`{"active":true,"sub":"alice","aud":AUD}`)(w, r)
	})
	var refused, served atomic.Int64
	var all sync.WaitGroup
	try := func(tok string) {
		all.Go(func() {
			if _, err := i.Check(t.Context(), tok, time.Now()); err != nil {
				refused.Add(1)
				return
			}
			served.Add(1)
		})
	}
	try("same")
	for asked.Load() < 1 {
		runtime.Gosched()
	}
	for range 499 {
		try("same")
	}
	for n := range 500 {
		try(fmt.Sprint("different", n))
	}
	for refused.Load() < 500-63 {
		runtime.Gosched()
	}
	close(release)
	all.Wait()
	if asked.Load() != 64 || served.Load() != 500+63 {
		t.Errorf("asked %d times, served %d", asked.Load(), served.Load())
	}
}
