package gateway_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport-dev/sallyport/gateway"
	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// guarded is a remote server and its authorization server. The server wants a token
// with as many scopes as need has.
type guarded struct {
	*httptest.Server
	backend *backend

	mu     sync.Mutex
	need   []string
	asked  []string // scopes of token requests
	issued map[string]string
	tokens func(n int) string
}

func newGuarded(t *testing.T, need ...string) *guarded {
	t.Helper()
	g := &guarded{backend: newBackend(t, "remote"), need: need, issued: map[string]string{}, tokens: func(n int) string { return fmt.Sprintf("token-%d", n) }}
	g.Server = httptest.NewServer(http.HandlerFunc(g.serve))
	t.Cleanup(func() {
		g.CloseClientConnections()
		g.Close()
	})
	return g
}

func (g *guarded) serve(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch r.URL.Path {
	case "/mcp":
		g.serveMCP(w, r)
	case "/.well-known/oauth-protected-resource/mcp":
		_ = json.NewEncoder(w).Encode(map[string]any{"resource": g.URL + "/mcp", "authorization_servers": []string{g.URL}})
	case "/.well-known/oauth-authorization-server":
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": g.URL, "authorization_endpoint": g.URL + "/authorize", "token_endpoint": g.URL + "/token", "code_challenge_methods_supported": []string{"S256"}})
	case "/token":
		_ = r.ParseForm()
		g.asked = append(g.asked, r.PostForm.Get("scope"))
		token := g.tokens(len(g.asked))
		g.issued[token] = r.PostForm.Get("scope")
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": 3600})
	default:
		http.NotFound(w, r)
	}
}

func (g *guarded) serveMCP(w http.ResponseWriter, r *http.Request) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	scopes, known := g.issued[token]
	challenge := `Bearer resource_metadata="` + g.URL + `/.well-known/oauth-protected-resource/mcp"`
	if !known {
		w.Header().Set("WWW-Authenticate", challenge+`, scope="one"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	for _, s := range g.need {
		if !strings.Contains(scopes, s) {
			w.Header().Set("WWW-Authenticate", challenge+`, error="insufficient_scope", scope="`+s+`"`)
			w.WriteHeader(http.StatusForbidden)
			return
		}
	}
	g.backend.ServeHTTP(w, r)
}

func (g *guarded) requests() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.asked
}

const machine = "oauth: {grant: clientCredentials, clientId: robot, clientSecretRef: {name: robot, key: secret}}"

func robot(secretValue string) string { return secret("robot", "secret", secretValue) }

// REQ B-19: a remote that asks gets a token, once for all callers, and more scopes when a call needs them.
func TestAccount(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, "one", "two", "three")
	r := newRig(t, robot("s")+proxy("docs", g.URL+"/mcp", machine), nil)
	for range 3 {
		if w := r.send(post("/mcp", toolCall)); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "remote") {
			t.Fatalf("status %d: %s", w.Code, w.Body)
		}
	}
	if got := strings.Join(g.requests(), ", "); got != "one, one two, one two three" {
		t.Errorf("scopes asked for: %s", got)
	}
	if n := len(r.events.take()); n != 3 {
		t.Errorf("%d audit events for 3 requests", n)
	}
}

// REQ B-19: a remote that is never content makes no loop, and its challenge goes no
// further.
func TestAccountThatIsNeverEnough(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, "one", "two", "three", "four", "five")
	r := newRig(t, robot("s")+proxy("docs", g.URL+"/mcp", machine), nil)
	w := r.send(post("/mcp", toolCall))
	if n := len(g.requests()); n != 3 {
		t.Errorf("%d token requests for one call", n)
	}
	if w.Code != http.StatusBadGateway || w.Header().Get("Www-Authenticate") != "" || strings.Contains(w.Body.String(), g.URL) {
		t.Errorf("status %d, %v: %s", w.Code, w.Header(), w.Body)
	}
}

// Without a browser and without a sign-in the client is told, and no more than that.
func TestAccountWithoutSignIn(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	r := newRig(t, proxy("docs", g.URL+"/mcp", "oauth: {}"), nil)
	w := r.send(post("/mcp", toolCall))
	if w.Code != http.StatusBadGateway || w.Header().Get("Www-Authenticate") != "" || !strings.Contains(w.Body.String(), "docs: nobody has signed in") {
		t.Errorf("status %d, %v: %s", w.Code, w.Header(), w.Body)
	}
}

// A remote that wants no token costs no request more, and gets none.
func TestAccountThatIsNotNeeded(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "open")
	r := newRig(t, robot("s")+proxy("docs", b.URL, machine), nil)
	if w := r.send(post("/mcp", toolCall)); w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	calls := b.taken()
	if len(calls) != 1 || calls[0].Get("Authorization") != "" {
		t.Errorf("the remote got %v", calls)
	}
}

// A challenge by another origin than the configured one is nobody's to act on: it was
// shown no credential, and could have people sign in at a place of its own.
func TestChallengeAfterARedirect(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	from := httptest.NewServer(http.RedirectHandler(g.URL+"/mcp", http.StatusTemporaryRedirect))
	t.Cleanup(from.Close)
	r := newRig(t, robot("s")+proxy("docs", from.URL+"/mcp", machine), nil)
	if w := r.send(post("/mcp", toolCall)); w.Code != http.StatusBadGateway {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
	if n := len(g.requests()); n != 0 {
		t.Errorf("%d token requests", n)
	}
}

// REQ B-19: no secret of an account is in an answer, the log or the audit.
func TestAccountCanaries(t *testing.T) {
	t.Parallel()
	var canaries testkit.Canaries
	var log lockedLog
	g := newGuarded(t, "one", "two")
	g.tokens = func(int) string { return canaries.Value("token") }
	r := newRig(t, robot(canaries.Value("secret"))+proxy("docs", g.URL+"/mcp", machine), func(o *gateway.Options) { o.Log = log.logger() })
	text := ""
	for range 2 {
		w := r.send(post("/mcp", toolCall))
		text += fmt.Sprint(w.Code, w.Header(), w.Body)
		g.mu.Lock()
		g.need = []string{"never"}
		g.mu.Unlock()
	}
	events, err := json.Marshal(r.events.take())
	if err != nil {
		t.Fatal(err)
	}
	canaries.Check(t, "answers, log and audit", text+log.String()+string(events))
}

// The backend is shown a secret without the line break that editors leave at its end.
func TestSecretLineEnd(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	g := newRig(t, secret("s", "k", "value\r\n")+bearer("auth", "s")+proxy("docs", b.URL, "externalAuthConfigRef: {name: auth}"), nil)
	g.send(post("/mcp", toolCall, "Authorization", "Bearer of-the-client"))
	if got := b.taken()[0]["Authorization"]; len(got) != 1 || got[0] != "Bearer value" {
		t.Errorf("Authorization %q", got)
	}
}
