package credential_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/credential"
	"github.com/sallyport-dev/sallyport/internal/oauth"
)

// REQ B-3: what is sent, and which header carries what comes back.
func TestTokenExchangeRequest(t *testing.T) {
	t.Parallel()
	const urn = "urn:ietf:params:oauth:token-type:"
	for name, c := range map[string]struct {
		cfg    credential.TokenExchange
		form   url.Values // beside what is always there
		header string
	}{
		"plain": {credential.TokenExchange{}, url.Values{"subject_token_type": {urn + "access_token"}}, "Authorization"},
		"all": {
			credential.TokenExchange{Audience: "https://backend", Scopes: []string{"b", "a"}, SubjectType: "jwt", Outcome: credential.Outcome{Header: "x-backend-token"}},
			url.Values{"subject_token_type": {urn + "jwt"}, "audience": {"https://backend"}, "scope": {"b a"}},
			"X-Backend-Token",
		},
		"a URN": {credential.TokenExchange{SubjectType: urn + "id_token"}, url.Values{"subject_token_type": {urn + "id_token"}}, "Authorization"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &place{}
			p.answers(200, `{"access_token":"for-backend","issued_token_type":"urn:ietf:params:oauth:token-type:access_token","token_type":"Bearer","expires_in":60}`)
			c.cfg.Endpoint = p.endpoint("gateway", "hush")
			s := c.cfg.Source()
			if diff := cmp.Diff([]string{c.header}, s.Headers()); diff != "" {
				t.Error(diff)
			}
			got, err := apply(t, s, of("callers"))
			if err != nil || got != "Bearer for-backend" {
				t.Fatalf("%q, %v", got, err)
			}
			c.form.Set("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange")
			c.form.Set("requested_token_type", urn+"access_token")
			c.form.Set("subject_token", "callers")
			if diff := cmp.Diff(c.form, p.asked[0].form); diff != "" {
				t.Errorf("form (-want +got):\n%s", diff)
			}
			if p.asked[0].user != "gateway" || p.asked[0].password != "hush" {
				t.Errorf("client %q, %q", p.asked[0].user, p.asked[0].password)
			}
		})
	}
}

// REQ B-3: each caller's token is kept for that caller, and not for longer than it
// is good; one exchange is under way per token.
func TestTokenExchangeKeepsTokens(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &place{answer: func(r asked) (int, string) {
			<-time.After(time.Second) // the token's life begins before it arrives
			return 200, fmt.Sprintf(`{"access_token":"for-%s-%d","token_type":"Bearer","expires_in":100}`, r.form.Get("subject_token"), time.Now().Unix()%1000)
		}}
		var mu sync.Mutex
		results := map[string]int{}
		s := credential.TokenExchange{Endpoint: p.endpoint("gateway", "hush"), Outcome: credential.Outcome{Seen: func(r string) {
			mu.Lock()
			defer mu.Unlock()
			results[r]++
		}}}.Source()
		begin := time.Now()
		var all sync.WaitGroup
		for i := range 50 {
			who := []string{"alice", "bob"}[i%2]
			all.Go(func() {
				if got, err := apply(t, s, of(who)); err != nil || !strings.HasPrefix(got, "Bearer for-"+who) {
					t.Errorf("%s got %q, %v", who, got, err)
				}
			})
		}
		all.Wait()
		if p.count() != 2 {
			t.Errorf("%d exchanges for two tokens at a time", p.count())
		}
		first, _ := apply(t, s, of("alice"))
		<-time.After(time.Until(begin.Add(89 * time.Second)))
		if got, _ := apply(t, s, of("alice")); got != first || p.count() != 2 {
			t.Errorf("within its life: %q, %d exchanges", got, p.count())
		}
		<-time.After(2 * time.Second)
		if got, _ := apply(t, s, of("alice")); got == first || p.count() != 3 {
			t.Errorf("shortly before its end: %q, %d exchanges", got, p.count())
		}
		mu.Lock()
		defer mu.Unlock()
		if diff := cmp.Diff(map[string]int{"success": 3}, results); diff != "" {
			t.Errorf("results (-want +got):\n%s", diff)
		}
	})
}

// A token whose life is not told is kept for a minute. One that the backend refused
// is made anew, unless it is new; what somebody else made meanwhile stays.
func TestTokenExchangeForgets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &place{answer: func(asked) (int, string) { return 200, fmt.Sprintf(`{"access_token":"t%d"}`, time.Now().Unix()) }}
		s := credential.TokenExchange{Endpoint: p.endpoint("gateway", "")}.Source()
		get := func(want int) (shown http.Header) {
			t.Helper()
			got, err := apply(t, s, of("alice"))
			if err != nil || p.count() != want {
				t.Errorf("%d exchanges, want %d; %v", p.count(), want, err)
			}
			return http.Header{"Authorization": {got}}
		}
		first := get(1)
		get(1)
		<-time.After(time.Minute)
		second := get(2)
		if err := s.Challenged(t.Context(), of("alice"), first, oauth.AuthChallenge{}); err != nil {
			t.Error(err)
		}
		get(2) // the one that was refused is gone already
		<-time.After(20 * time.Second)
		if err := s.Challenged(t.Context(), of("alice"), second, oauth.AuthChallenge{}); err != nil {
			t.Error(err)
		}
		third := get(3)
		err := s.Challenged(t.Context(), of("alice"), third, oauth.AuthChallenge{})
		if f, ok := errors.AsType[*credential.Failure](err); !ok || f.Kind != credential.Misconfigured {
			t.Errorf("a new one was refused: %v", err)
		}
		<-time.After(time.Second)
		get(4)
	})
}

// REQ B-5: every way to fail, whose fault it is, and that nobody hears a secret.
func TestTokenExchangeFails(t *testing.T) {
	t.Parallel()
	const subject, password = "eyJhbGciOi.subject-canary-0123456789.signature", "secret-canary"
	quote := strings.Repeat(subject+" "+password+" ", 3)
	refusal := func(code string) string {
		return fmt.Sprintf(`{"error":%q,"error_description":"AADSTS1: %s"}`, code, quote)
	}
	for name, c := range map[string]struct {
		status int
		body   string
		stepUp bool
		kind   credential.Kind
		log    string
	}{
		"subject token expired":  {400, refusal("invalid_grant"), true, 0, "invalid_grant (AADSTS1: [redacted]"},
		"subject token invalid":  {401, refusal("invalid_token"), true, 0, "invalid_token"},
		"more sign-in wanted":    {400, refusal("interaction_required"), true, 0, "interaction_required"},
		"caller may not":         {403, refusal("access_denied"), false, credential.Forbidden, "access_denied"},
		"request wrong":          {400, refusal("invalid_request"), false, credential.Misconfigured, "invalid_request"},
		"client unknown":         {401, refusal("invalid_client"), false, credential.Misconfigured, "invalid_client"},
		"audience unknown":       {400, refusal("invalid_target"), false, credential.Misconfigured, "invalid_target"},
		"a code made of secrets": {400, refusal(subject), false, credential.Misconfigured, "[redacted]"},
		"redirect":               {307, "", false, credential.Misconfigured, "307"},
		"page":                   {404, "<html>" + quote, false, credential.Misconfigured, "404"},
		"busy":                   {429, refusal("slow_down"), false, credential.Unavailable, "slow_down"},
		"failing":                {500, quote, false, credential.Unavailable, "500"},
		"down":                   {0, "", false, credential.Unavailable, "idp.example.com"},
		"no JSON":                {200, quote, false, credential.Unavailable, "no JSON"},
		"no token":               {200, `{}`, false, credential.Unavailable, "no access_token"},
		"another type":           {200, `{"access_token":"t","token_type":"DPoP"}`, false, credential.Misconfigured, "token_type"},
		"expired":                {200, `{"access_token":"t","expires_in":0}`, false, credential.Misconfigured, "expired"},
		"no header":              {200, `{"access_token":"a\nb"}`, false, credential.Misconfigured, "header"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &place{}
			p.answers(c.status, c.body)
			s := credential.TokenExchange{Endpoint: p.endpoint("gateway", password)}.Source()
			_, err := apply(t, s, of(subject))
			step, isStep := errors.AsType[*credential.StepUp](err)
			f, isFailure := errors.AsType[*credential.Failure](err)
			if isStep != c.stepUp || isFailure == c.stepUp || isFailure && f.Kind != c.kind {
				t.Fatalf("%T %v %+v", err, err, f)
			}
			text := fmt.Sprintf("%v %+v", err, err)
			if isFailure {
				text += f.Public
			} else {
				text += step.Reason
			}
			if !strings.Contains(text, c.log) {
				t.Errorf("it says %q, and not %q", text, c.log)
			}
			for _, canary := range []string{subject, password, subject[:30], "subject-canary"} {
				if strings.Contains(text, canary) {
					t.Errorf("it quotes %q: %s", canary, text)
				}
			}
		})
	}
}

// A caller who was not identified by a token has nothing to exchange.
func TestTokenExchangeWithoutToken(t *testing.T) {
	t.Parallel()
	p := &place{}
	s := credential.TokenExchange{Endpoint: p.endpoint("gateway", "")}.Source()
	if got, err := apply(t, s, of("")); err == nil || p.count() != 0 {
		t.Errorf("%q, %d exchanges", got, p.count())
	}
}

// REQ B-5: an endpoint that hangs holds a call for ten seconds, and when it goes on
// hanging the next ones not even that long. Nobody storms it when it is back.
func TestTokenExchangeEndpointHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hang := func(r asked) (int, string) { r.wait(); return 0, "" }
		p := &place{answer: hang}
		s := credential.TokenExchange{Endpoint: p.endpoint("gateway", "")}.Source()
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() {
				began := time.Now()
				_, err := apply(t, s, from(fmt.Sprint("caller-", i)))
				if f, ok := errors.AsType[*credential.Failure](err); !ok || f.Kind != credential.Unavailable {
					t.Errorf("%v", err)
				}
				if took := time.Since(began); took > 11*time.Second {
					t.Errorf("took %v", took)
				}
			})
		}
		all.Wait()
		for i := range 100 { // at once: nobody is asked
			if _, err := apply(t, s, from(fmt.Sprint("late-", i))); err == nil {
				t.Error("a token, from nowhere")
			}
		}
		if p.count() != 20 {
			t.Errorf("%d requests", p.count())
		}
		<-time.After(3 * time.Second) // now one may try, and the others do not wait for it
		for i := range 10 {
			all.Go(func() { _, _ = apply(t, s, from(fmt.Sprint("probe-", i))) })
		}
		all.Wait()
		if p.count() != 21 {
			t.Errorf("%d requests after a pause, want one more", p.count())
		}
		p.answers(200, `{"access_token":"t"}`)
		<-time.After(3 * time.Second)
		for i := range 10 {
			if _, err := apply(t, s, from(fmt.Sprint("again-", i))); err != nil {
				t.Error(err)
			}
		}
	})
}

// FINDING S20
// What an endpoint answers to one caller is that one's own, as is its Retry-After; a
// few who cannot reach it keep nobody out. REQ D-9, G-15
func TestOneCallersFailuresAreTheirOwn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status, bad int
		later       string
		asked       int // how often one of them asks in ten seconds
	}{
		"busy":             {429, 1, "", 10},
		"busy, come later": {429, 1, "4", 3},
		"busy for several": {429, 5, "", 10},
		"failing":          {500, 1, "", 10},
		"no answer":        {0, 1, "", 10},
		"no answer to two": {0, 2, "", 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := &place{later: c.later, answer: func(r asked) (int, string) {
					if strings.Contains(r.form.Get("subject_token"), "bad") {
						return c.status, ""
					}
					return 200, `{"access_token":"t"}`
				}}
				s := credential.TokenExchange{Endpoint: p.endpoint("gateway", "")}.Source()
				for i := range 200 {
					for b := range c.bad {
						_, err := apply(t, s, from(fmt.Sprint("bad-", b)))
						f, ok := errors.AsType[*credential.Failure](err)
						if !ok || f.Kind != credential.Unavailable || c.later != "" && f.RetryAfter != 4*time.Second {
							t.Errorf("%v", err)
						}
					}
					if i%5 == 4 {
						if _, err := apply(t, s, from(fmt.Sprint("good-", i))); err != nil {
							t.Errorf("caller %d: %v", i, err)
						}
					}
					<-time.After(50 * time.Millisecond)
				}
				if n := p.count(); n != c.bad*c.asked+40 {
					t.Errorf("%d requests, want %d", n, c.bad*c.asked+40)
				}
			})
		})
	}
}

// FINDING S20
// Where several callers cannot reach the endpoint one finds out whether it is back,
// and that is sooner one who has not failed.
func TestSomebodyElseProbes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &place{answer: func(r asked) (int, string) {
			if strings.Contains(r.form.Get("subject_token"), "bad") {
				return 0, ""
			}
			return 200, `{"access_token":"t"}`
		}}
		s := credential.TokenExchange{Endpoint: p.endpoint("gateway", "")}.Source()
		bad := func() {
			for i := range 5 {
				_, _ = apply(t, s, from(fmt.Sprint("bad-", i)))
			}
		}
		for range 1600 / 50 {
			bad()
			<-time.After(50 * time.Millisecond)
		}
		if _, err := apply(t, s, from("good")); err != nil {
			t.Errorf("those who fail stand before who does not: %v", err)
		}
		p.answers(0, "")
		for range 3 * 1000 / 50 {
			bad()
			<-time.After(50 * time.Millisecond)
		}
		p.answers(200, `{"access_token":"t"}`)
		<-time.After(3 * time.Second)
		if _, err := apply(t, s, from("bad-1")); err != nil {
			t.Errorf("one who had failed, alone: %v", err)
		}
	})
}

// REQ B-5: a refusal is not asked for again at once, nor for long.
func TestTokenExchangeRemembersRefusals(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &place{}
		p.answers(400, `{"error":"invalid_grant"}`)
		s := credential.TokenExchange{Endpoint: p.endpoint("gateway", "")}.Source()
		for range 100 {
			if _, err := apply(t, s, of("alice")); err == nil {
				t.Error("a token, from nowhere")
			}
		}
		if p.count() != 1 {
			t.Errorf("%d exchanges", p.count())
		}
		p.answers(200, `{"access_token":"t"}`)
		<-time.After(3 * time.Second)
		if _, err := apply(t, s, of("alice")); err != nil {
			t.Error(err)
		}
	})
}

// A client that leaves takes nobody's token along.
func TestTokenExchangeOutlivesItsFirstCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &place{answer: func(asked) (int, string) {
			<-time.After(5 * time.Second)
			return 200, `{"access_token":"t"}`
		}}
		s := credential.TokenExchange{Endpoint: p.endpoint("gateway", "")}.Source()
		first, leave := timeout(t, time.Second)
		defer leave()
		second, leave := timeout(t, 2*time.Second)
		defer leave()
		var all sync.WaitGroup
		all.Go(func() { _ = s.Apply(first, of("alice"), http.Header{}) })
		synctest.Wait()
		all.Go(func() {
			if err := s.Apply(second, of("alice"), http.Header{}); err == nil {
				t.Error("who has left got a token")
			}
		})
		all.Go(func() {
			if _, err := apply(t, s, of("alice")); err != nil {
				t.Error(err)
			}
		})
		all.Wait()
		if p.count() != 1 {
			t.Errorf("%d exchanges", p.count())
		}
	})
}
