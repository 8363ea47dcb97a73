package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// replicas are two gateways with one authorization server over one Redis. The first
// one listens at the issuer's address; url is where the other one is reached.
func replicas(t *testing.T, idp *testkit.IdP, backend string, lines ...string) (redis *testkit.Redis, issuer string, g [2]*testkit.Gateway) {
	t.Helper()
	redis = testkit.StartRedis(t)
	address, key := testkit.FreeAddress(t), auditKey(t, 'S')
	issuer = "http://" + address
	docs := authServer(t, issuer, map[string]*testkit.IdP{"default": idp}, []string{"default"}, lines...) +
		remote("docs", backend, "authServerRef: {name: people}")
	for i, listen := range []string{address, "127.0.0.1:0"} {
		g[i] = serve(t, docs, "--listen", listen, "--store-key-file", key,
			"--store", "redis://"+testkit.RedisUser+":"+testkit.RedisPassword+"@"+redis.Address)
	}
	return redis, issuer, g
}

// elsewhere is the client, speaking with another replica.
func (a *app) elsewhere(g *testkit.Gateway) *app { return &app{a.t, g.URL, a.id} }

// attempt is an authorization request, and what redeems its code.
type attempt struct{ address, verifier, resource string }

func (a *app) attempt(resource string) *attempt {
	verifier := oauth.NewVerifier()
	return &attempt{a.issuer + "/oauth/authorize?" + url.Values{
		"response_type": {"code"}, "client_id": {a.id}, "redirect_uri": {appRedirect}, "state": {"s"}, "resource": {resource},
		"code_challenge": {oauth.Challenge(verifier)}, "code_challenge_method": {"S256"},
	}.Encode(), verifier, resource}
}

// form redeems a code.
func (a *attempt) form(code string) url.Values {
	return url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {appRedirect}, "code_verifier": {a.verifier}, "resource": {a.resource},
	}
}

// goes opens an address and stops where until begins, or at a page.
func goes(t *testing.T, b *testkit.Browser, address, until string) *testkit.Page {
	t.Helper()
	page, err := b.SignIn(t.Context(), address, until)
	if err != nil {
		t.Fatal(err)
	}
	return page
}

// REQ D-8: a client registers and authorizes at one replica, redeems its code at the
// other, and goes on at both, with the same refresh token at the same time. Nobody is
// signed out.
func TestReplicasShareSignIns(t *testing.T) {
	t.Parallel()
	backend := testkit.Record(t, sessionBackend("s"))
	redis, issuer, g := replicas(t, testkit.StartIdP(t), backend.URL)
	client := register(t, issuer)
	try := client.attempt(issuer + "/servers/docs/mcp")
	code := goes(t, testkit.NewBrowser(t), try.address, appRedirect).URL.Query().Get("code")
	got := client.elsewhere(g[1]).token(try.form(code))
	for range 3 {
		if got.Status != http.StatusOK || !opens(t, at(g[0], "docs"), got.Access) || !opens(t, at(g[1], "docs"), got.Access) {
			t.Fatalf("the tokens are not good at both: %+v", got)
		}
		var both [2]tokens
		var asked sync.WaitGroup
		idle := [2]float64{g[0].Metric(t, "go_goroutines"), g[1].Metric(t, "go_goroutines")}
		redis.Pause(t)
		for i := range both {
			asked.Go(func() { both[i] = client.elsewhere(g[i]).refresh(got.Refresh) })
		}
		testkit.Eventually(t, "both are asked before either can answer", func() bool {
			return g[0].Metric(t, "go_goroutines") > idle[0] && g[1].Metric(t, "go_goroutines") > idle[1]
		})
		redis.Resume(t)
		asked.Wait()
		for i, r := range both {
			if r.Status != http.StatusOK {
				t.Errorf("replica %d answers %+v", i, r)
			}
		}
		got = both[0]
	}
}

// REQ D-8: two replicas want to renew the same person's tokens at the same time, at a
// provider that takes each refresh token once and ends the grant when one comes twice.
func TestReplicasRenewUpstream(t *testing.T) {
	t.Parallel()
	idp := testkit.StartIdPWith(t, time.Second)
	backend := testkit.Record(t, sessionBackend("s"))
	_, issuer, g := replicas(t, idp, backend.URL)
	signed := register(t, issuer).signIn(testkit.NewBrowser(t), issuer+"/servers/docs/mcp")
	shown := map[string]bool{}
	// Where calls are slow for another reason, no fresh token was waited for: then there is one more round.
	for round, begun := 0, time.Now(); len(shown) < 3 && time.Since(begun) < testkit.Patience && !t.Failed(); round++ {
		idp.Pause(t)
		var calls sync.WaitGroup
		var since [2]atomic.Int64 // when the call under way began
		done := make(chan struct{})
		for i := range g {
			since[i].Store(time.Now().UnixNano())
			calls.Go(func() {
				for open := true; open; since[i].Store(time.Now().UnixNano()) {
					if !opens(t, at(g[i], "docs"), signed.Access) {
						t.Errorf("round %d: a call at replica %d is refused", round, i)
						return
					}
					select {
					case <-done:
						open = false
					default:
					}
				}
			})
		}
		testkit.Eventually(t, "calls at both wait for a fresh token", func() bool {
			waiting := func(i int) bool { return time.Since(time.Unix(0, since[i].Load())) > time.Second/2 }
			return waiting(0) && waiting(1) || t.Failed()
		})
		close(done)
		idp.Resume(t)
		calls.Wait()
		for _, r := range backend.Requests() {
			shown[r.Header.Get("Authorization")] = true
		}
	}
	if len(shown) < 3 || shown[""] {
		t.Errorf("%d tokens were shown to the backend, want a fresh one in each of three rounds", len(shown))
	}
}

// Redis goes away between consent and callback, and between code and token. Each step
// fails clearly, and goes on when Redis is back; nothing is good twice.
func TestRedisAwayInMidFlow(t *testing.T) {
	t.Parallel()
	idp := testkit.StartIdP(t)
	backend := testkit.Record(t, sessionBackend("s"))
	redis, issuer, g := replicas(t, idp, backend.URL)
	client, browser := register(t, issuer), testkit.NewBrowser(t)
	try := client.attempt(issuer + "/servers/docs/mcp")

	visit := goes(t, browser, try.address, idp.Issuer)
	redis.Kill()
	callback := goes(t, browser, visit.URL.String(), appRedirect)
	if callback.Status != http.StatusServiceUnavailable || !strings.Contains(callback.Body, "try again") {
		t.Fatalf("without Redis the callback is %v, %d %s", callback.URL, callback.Status, callback.Body)
	}
	if fresh := goes(t, testkit.NewBrowser(t), try.address, appRedirect); fresh.Status < 500 && fresh.Status != 0 {
		t.Errorf("without Redis a sign-in begins: %d %s", fresh.Status, fresh.Body)
	}
	redis.Start(t)
	done := goes(t, browser, callback.URL.String(), appRedirect)
	code := done.URL.Query().Get("code")
	if code == "" {
		t.Fatalf("with Redis again the callback is %v, %d %s", done.URL, done.Status, done.Body)
	}
	if again := goes(t, browser, callback.URL.String(), appRedirect); again.Status != http.StatusBadRequest {
		t.Errorf("the callback a second time: %v, %d", again.URL, again.Status)
	}

	redis.Kill()
	if got := client.token(try.form(code)); got.Status < 500 || got.Access != "" || got.Error == "" {
		t.Errorf("without Redis a code is redeemed: %+v", got)
	}
	redis.Start(t)
	got := client.elsewhere(g[1]).token(try.form(code))
	if got.Status != http.StatusOK || !opens(t, at(g[0], "docs"), got.Access) {
		t.Fatalf("with Redis again the code is not good: %+v", got)
	}
	redis.Kill()
	if r := client.refresh(got.Refresh); r.Status < 500 || r.Access != "" {
		t.Errorf("without Redis a token is renewed: %+v", r)
	}
	if !opens(t, at(g[0], "docs"), got.Access) {
		t.Error("without Redis a token that was good is not")
	}
	redis.Start(t)
	if r := client.refresh(got.Refresh); r.Status != http.StatusOK {
		t.Errorf("with Redis again a token is not renewed: %+v", r)
	}
}

// The gateway is killed once it has stored and before it has answered, as near as can
// be hit. Who got no answer tries again: a refresh token is good still, a code is
// either good or leads to another sign-in, and never to two lines of tokens.
func TestKilledBeforeAnswering(t *testing.T) {
	t.Parallel()
	idp := testkit.StartIdP(t)
	backend := testkit.Record(t, sessionBackend("s"))
	address, path := testkit.FreeAddress(t), filepath.Join(t.TempDir(), "s.db")
	issuer := "http://" + address
	docs := authServer(t, issuer, map[string]*testkit.IdP{"default": idp}, []string{"default"}) +
		remote("docs", backend.URL, "authServerRef: {name: people}")
	start := func() *testkit.Gateway { return serve(t, docs, "--listen", address, "--store", "file:"+path) }
	g := start()
	client, browser := register(t, issuer), testkit.NewBrowser(t)
	resource := issuer + "/servers/docs/mcp"
	got := client.signIn(browser, resource)
	answers := 0
	for range 4 {
		r, ok := client.killedOnStore(g, path, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {got.Refresh}})
		if ok {
			answers++
			got = r
		}
		g = start()
		if got = client.refresh(got.Refresh); got.Status != http.StatusOK || !opens(t, at(g, "docs"), got.Access) {
			t.Fatalf("answered %v; trying again gives %+v", ok, got)
		}
	}
	t.Logf("%d of 4 refreshes were answered all the same", answers)
	try := client.attempt(resource)
	form := try.form(goes(t, browser, try.address, appRedirect).URL.Query().Get("code"))
	first, ok := client.killedOnStore(g, path, form)
	g = start()
	second := client.token(form)
	if ok && second.Status == http.StatusOK || !ok && second.Status != http.StatusOK && second.Error != "invalid_grant" {
		t.Errorf("a code, answered %v with %+v, gives %+v the second time", ok, first, second)
	}
	if after := client.signIn(browser, resource); !opens(t, at(g, "docs"), after.Access) {
		t.Errorf("signing in once more gives %+v", after)
	}
}

// killedOnStore asks the token endpoint and kills the gateway as soon as its store
// has changed. ok is whether there was an answer.
func (a *app) killedOnStore(g *testkit.Gateway, path string, form url.Values) (got tokens, ok bool) {
	a.t.Helper()
	before, err := os.ReadFile(path)
	if err != nil {
		a.t.Fatal(err)
	}
	form.Set("client_id", a.id)
	answer := make(chan tokens, 1)
	go func() {
		defer close(answer)
		resp, err := request{
			url: a.issuer + "/oauth/token", header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, body: form.Encode(),
		}.start(a.t.Context())
		if err != nil {
			return
		}
		defer resp.Body.Close()
		var r tokens
		if json.NewDecoder(resp.Body).Decode(&r) == nil {
			answer <- r
		}
	}()
	deadline := time.Now().Add(testkit.Patience)
	for {
		now, err := os.ReadFile(path)
		if err != nil {
			a.t.Fatal(err)
		}
		if !bytes.Equal(before, now) {
			break
		}
		if time.Now().After(deadline) {
			a.t.Fatal("the store did not change")
		}
	}
	g.Kill()
	got, ok = <-answer
	return got, ok
}

// A provider's clock is a minute off, ahead or behind: people sign in, and calls go
// through.
func TestProvidersClockIsOff(t *testing.T) {
	t.Parallel()
	for _, ahead := range []time.Duration{-time.Minute, time.Minute} {
		t.Run(fmt.Sprint(ahead), func(t *testing.T) {
			t.Parallel()
			backend := testkit.Record(t, sessionBackend("s"))
			address := testkit.FreeAddress(t)
			issuer := "http://" + address
			g := serve(t, authServer(t, issuer, map[string]*testkit.IdP{"default": testkit.StartSkewedIdP(t, ahead)}, []string{"default"})+
				remote("docs", backend.URL, "authServerRef: {name: people}"), "--listen", address)
			if got := register(t, issuer).signIn(testkit.NewBrowser(t), at(g, "docs")); !opens(t, at(g, "docs"), got.Access) {
				t.Errorf("%+v", got)
			}
		})
	}
}
