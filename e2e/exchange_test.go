package e2e_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// exchangeObject is a token exchange at url; lines are further ones of its block.
func exchangeObject(name, url string, lines ...string) string {
	block := []string{"type: tokenExchange", "tokenExchange:", "  tokenUrl: " + url, "  allowPrivateIPs: true"}
	for _, line := range lines {
		block = append(block, "  "+line)
	}
	return object("MCPExternalAuthConfig", name, block...)
}

// claimsOf reads a JWT without verifying it.
func claimsOf(t *testing.T, bearer string) (claims map[string]any) {
	t.Helper()
	parts := strings.Split(strings.TrimPrefix(bearer, "Bearer "), ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no JWT", bearer)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err == nil {
		err = json.Unmarshal(payload, &claims)
	}
	if err != nil {
		t.Fatal(err)
	}
	return claims
}

// REQ B-3, REQ B-4, REQ A-3: a real provider checks the incoming token and exchanges
// it; each caller's exchanged token reaches the backend, and nothing else does.
func TestTokenExchange(t *testing.T) {
	t.Parallel()
	idp := testkit.StartIdP(t)
	backend := testkit.Record(t, sessionBackend("backend-session"))
	const gw = "clientSecretRef: {name: idp, key: secret}"
	g := serve(t, secretObject("idp", "secret", testkit.IdPGatewaySecret)+idpObject(idp)+
		exchangeObject("plain", idp.Issuer+"/token", "clientId: gateway", gw, `audience: "https://backend.example.com"`, `scopes: ["mcp:read", "mcp:write"]`)+
		exchangeObject("header", idp.Issuer+"/token", "clientId: gateway", gw, `audience: "https://backend.example.com"`, "externalTokenHeaderName: x-backend-token")+
		remote("docs", backend.URL, ofIDP(docsAudience), "externalAuthConfigRef: {name: plain}", "audit: {enabled: true}")+
		remote("header", backend.URL, ofIDP(docsAudience), "externalAuthConfigRef: {name: header}"), "--log-level", "debug")
	alice := idp.Token(t, testkit.TokenWish{Audience: docsAudience, Subject: "alice"})
	bob := idp.Token(t, testkit.TokenWish{Audience: docsAudience, Subject: "bob"})
	for range 3 {
		call(at(g, "docs"), "tool", "").with(bearer(alice)...).do(t).wantResult(t, `{"ok":true}`)
		call(at(g, "docs"), "tool", "").with(bearer(bob)...).do(t).wantResult(t, `{"ok":true}`)
	}
	seen := map[string]int{}
	for _, r := range backend.Requests() {
		claims := claimsOf(t, r.Header.Get("Authorization"))
		seen[fmt.Sprint(claims["sub"], " ", claims["aud"], " ", claims["scope"])]++
	}
	want := map[string]int{"alice https://backend.example.com mcp:read mcp:write": 3, "bob https://backend.example.com mcp:read mcp:write": 3}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("tokens at the backend (-want +got):\n%s", diff)
	}
	if n := g.Metric(t, "sallyport_token_exchanges_total", `server="docs"`, `result="success"`); n != 2 {
		t.Errorf("%v exchanges, want one for each caller", n)
	}

	backend.Reset()
	call(at(g, "header"), "tool", "").with(bearer(alice)...).do(t).wantResult(t, `{"ok":true}`)
	got := backend.Requests()[0].Header
	if claimsOf(t, got.Get("X-Backend-Token"))["sub"] != "alice" || got.Get("Authorization") != "" {
		t.Errorf("with another header the backend sees %v", got)
	}

	// Every surface shows the same credential.
	for _, s := range surfaces(g) {
		if strings.Contains(s.name, "alias") {
			continue // there are two endpoints
		}
		r := s.request(t, bearer(alice)...)
		backend.Reset()
		if got := r.with(bearer(alice)...).try(t); got.Status != s.ok {
			t.Errorf("%s: status %d, want %d: %s", s.name, got.Status, s.ok, got.Body)
		}
		for _, r := range backend.Requests() {
			if claimsOf(t, r.Header.Get("Authorization"))["aud"] != "https://backend.example.com" {
				t.Errorf("%s: the backend sees %q", s.name, r.Header.Get("Authorization"))
			}
		}
	}
	for _, secret := range []string{alice, bob, testkit.IdPGatewaySecret} {
		if strings.Contains(backend.Wire(), secret) || strings.Contains(g.Stderr.String()+g.Stdout.String()+g.Metrics(t), secret) {
			t.Error("a credential of the outer door came out")
		}
	}
}

// exchanger is a token endpoint that does as it is told.
type exchanger struct {
	*testkit.Recorder
	answer atomic.Pointer[http.HandlerFunc]
	given  atomic.Int64
}

func newExchanger(t *testing.T) *exchanger {
	t.Helper()
	e := &exchanger{}
	e.Recorder = testkit.Record(t, func(w http.ResponseWriter, r *http.Request) { (*e.answer.Load())(w, r) })
	return e
}

func (e *exchanger) does(h http.HandlerFunc) { e.answer.Store(&h) }

// gives answers with a new token each time.
func (e *exchanger) gives(prefix string, seconds int) {
	e.does(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token":"%s-%d","issued_token_type":"urn:ietf:params:oauth:token-type:access_token","token_type":"Bearer","expires_in":%d}`,
			prefix, e.given.Add(1), seconds)
	})
}

// REQ B-5: whatever the token endpoint does, the backend hears nothing of a call
// that has no credential, and the client gets a JSON-RPC error.
func TestTokenExchangeFailsClosed(t *testing.T) {
	t.Parallel()
	idp := testkit.StartIdP(t)
	refuse := func(status int, code string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_ = r.ParseForm()
			w.WriteHeader(status)
			fmt.Fprintf(w, `{"error":%q,"error_description":"about %s and %s"}`, code, r.PostForm.Get("subject_token"), r.Header.Get("Authorization"))
		}
	}
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	for name, tt := range map[string]struct {
		does   http.HandlerFunc
		status int
	}{
		"expired":    {refuse(400, "invalid_grant"), 401},
		"refused":    {refuse(403, "access_denied"), 403},
		"our fault":  {refuse(400, "invalid_target"), 502},
		"our secret": {refuse(401, "invalid_client"), 502},
		"broken":     {refuse(500, "server_error"), 503},
		"elsewhere": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}, 502},
		"gone": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 503},
		"page": {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }, 503},
		"hangs": {func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-release:
			case <-r.Context().Done():
			}
		}, 503},
	} {
		t.Run(name, func(t *testing.T) {
			place := newExchanger(t)
			place.does(tt.does)
			backend := testkit.Record(t, ok)
			secret := "secret-canary-of-the-client"
			g := serve(t, secretObject("idp", "secret", secret)+idpObject(idp)+
				exchangeObject("auth", place.URL+"/token", "clientId: gateway", "clientSecretRef: {name: idp, key: secret}", "audience: api")+
				remote("docs", backend.URL, ofIDP(docsAudience), "externalAuthConfigRef: {name: auth}", "audit: {enabled: true}"), "--log-level", "debug")
			token := idp.Token(t, testkit.TokenWish{Audience: docsAudience, Subject: "alice"})
			got := call(at(g, "docs"), "tool", "").with(bearer(token)...).do(t)
			if got.Status != tt.status || !strings.Contains(got.Body, `"jsonrpc":"2.0"`) || !strings.Contains(got.Body, `"error"`) {
				t.Errorf("status %d, want %d: %s", got.Status, tt.status, got.Body)
			}
			if tt.status == 401 {
				got.wantChallenge(t, 401, "invalid_token")
			}
			if n := len(backend.Requests()); n > 0 {
				t.Errorf("%d requests reached the backend", n)
			}
			if strings.Contains(place.Wire(), "/elsewhere") {
				t.Error("a redirect of the token endpoint was followed")
			}
			metrics := g.Metrics(t)
			if err := g.Stop(); err != nil {
				t.Error(err)
			}
			basic := base64.StdEncoding.EncodeToString([]byte("gateway:" + secret))
			for where, text := range map[string]string{"the log": g.Stderr.String(), "the audit": g.Stdout.String(), "the metrics": metrics, "the answer": got.Body + fmt.Sprint(got.Header)} {
				for _, canary := range []string{token, token[:40], secret, basic} {
					if strings.Contains(text, canary) {
						t.Errorf("a credential is in %s", where)
					}
				}
			}
			if tt.status != 401 && tt.status != 403 {
				wantLines(t, g, 1, "request failed", "reason=credential")
			}
		})
	}
}

// REQ B-3, REQ B-17: a token is used until shortly before its end and not after; a
// stream that began with it goes on.
func TestTokenExchangeExpires(t *testing.T) {
	t.Parallel()
	idp := testkit.StartIdP(t)
	place := newExchanger(t)
	place.gives("exchanged", 2)
	var mu sync.Mutex
	var streams []chan struct{}
	backend := testkit.Record(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			ok(w, r)
			return
		}
		end := make(chan struct{})
		mu.Lock()
		streams = append(streams, end)
		mu.Unlock()
		send := events(w)
		send(": hello\n\n")
		<-end
		send("data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{}}\n\n")
	})
	g := serve(t, idpObject(idp)+exchangeObject("auth", place.URL+"/token", "audience: api")+
		remote("docs", backend.URL, ofIDP(docsAudience), "externalAuthConfigRef: {name: auth}"))
	token := idp.Token(t, testkit.TokenWish{Audience: docsAudience})
	stream := listen(at(g, "docs")).with(bearer(token)...).open(t.Context(), t)
	defer stream.Body.Close()
	end := time.Now().Add(2 * time.Second) // or a little before: the stream has the token already
	testkit.Eventually(t, "a second token is fetched", func() bool {
		began := time.Now()
		call(at(g, "docs"), "tool", "").with(bearer(token)...).do(t).wantResult(t, `{"ok":true}`)
		if place.given.Load() == 2 {
			return true
		}
		if began.After(end) {
			t.Fatalf("the first token was used %v after its end", began.Sub(end))
		}
		return false
	})
	last := backend.Requests()[len(backend.Requests())-1]
	if got := last.Header.Get("Authorization"); got != "Bearer exchanged-2" {
		t.Errorf("the backend sees %q", got)
	}
	mu.Lock()
	close(streams[0])
	mu.Unlock()
	in := readEvents(stream.Body)
	for {
		event, err := in.next()
		if err != nil {
			t.Fatalf("the stream ended: %v", err)
		}
		if strings.Contains(event, "notifications/message") {
			break
		}
	}
}

// A token that the backend refuses is exchanged anew for the next call.
func TestTokenExchangeAfterARefusal(t *testing.T) {
	t.Parallel()
	idp := testkit.StartIdP(t)
	place := newExchanger(t)
	place.gives("exchanged", 3600)
	backend := testkit.Record(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer exchanged-1" {
			w.Header().Set("Www-Authenticate", `Bearer error="invalid_token"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		ok(w, r)
	})
	g := serve(t, idpObject(idp)+exchangeObject("auth", place.URL+"/token", "audience: api")+
		remote("docs", backend.URL, ofIDP(docsAudience), "externalAuthConfigRef: {name: auth}"))
	token := idp.Token(t, testkit.TokenWish{Audience: docsAudience})
	if got := call(at(g, "docs"), "tool", "").with(bearer(token)...).do(t); got.Status != 502 || got.Header.Get("Www-Authenticate") != "" {
		t.Errorf("status %d, %v", got.Status, got.Header)
	}
	call(at(g, "docs"), "tool", "").with(bearer(token)...).do(t).wantResult(t, `{"ok":true}`)
}

// REQ A-5: neither token follows a redirect to another origin.
func TestTokenExchangeOverRedirects(t *testing.T) {
	t.Parallel()
	idp := testkit.StartIdP(t)
	place := newExchanger(t)
	place.gives("exchanged", 3600)
	target := testkit.Record(t, ok)
	backend := testkit.Record(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", target.URL+"/mcp")
		w.WriteHeader(http.StatusTemporaryRedirect)
	})
	g := serve(t, idpObject(idp)+exchangeObject("auth", place.URL+"/token", "audience: api", "externalTokenHeaderName: X-Token")+
		remote("docs", backend.URL, ofIDP(docsAudience), "externalAuthConfigRef: {name: auth}"))
	token := idp.Token(t, testkit.TokenWish{Audience: docsAudience})
	call(at(g, "docs"), "tool", "").with(bearer(token)...).do(t).wantResult(t, `{"ok":true}`)
	if !strings.Contains(backend.Wire(), "exchanged-1") || strings.Contains(target.Wire(), "exchanged-1") || strings.Contains(backend.Wire()+target.Wire(), token) {
		t.Error("a token went where it must not, or not where it must")
	}
	subject, err := url.ParseQuery(string(place.Requests()[0].Body))
	if err != nil || subject.Get("subject_token") != token {
		t.Errorf("the endpoint was asked with %v", subject)
	}
}
