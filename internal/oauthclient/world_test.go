package oauthclient_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/netguard"
	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/oauthclient"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// world is a remote server and its authorization server, on one address. Every field
// may be changed before it is used.
type world struct {
	*httptest.Server
	resource map[string]any     // protected-resource metadata; nil for none
	server   map[string]any     // authorization server metadata; nil for none
	page     string             // what is at every address that is not known; "" for 404
	answer   func(q url.Values) // changes the authorization response
	token    func(form url.Values, r *http.Request) (int, map[string]any)

	mu         sync.Mutex
	registered []map[string]any
	asked      []url.Values      // authorization requests
	forms      []url.Values      // token requests
	challenges map[string]string // code → challenge
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{challenges: map[string]string{}}
	w.Server = httptest.NewServer(http.HandlerFunc(w.serve))
	t.Cleanup(w.Close)
	w.resource = map[string]any{"resource": w.URL + "/mcp", "authorization_servers": []string{w.URL}, "scopes_supported": []string{"read"}}
	w.server = map[string]any{
		"issuer": w.URL, "authorization_endpoint": w.URL + "/authorize", "token_endpoint": w.URL + "/token",
		"registration_endpoint": w.URL + "/register", "code_challenge_methods_supported": []string{"S256"},
		"token_endpoint_auth_methods_supported":          []string{"none"},
		"authorization_response_iss_parameter_supported": true,
	}
	return w
}

func (w *world) serve(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch r.URL.Path {
	case "/.well-known/oauth-protected-resource/mcp":
		if w.resource == nil && w.page != "" {
			rw.Header().Set("Content-Type", "text/html")
			_, _ = rw.Write([]byte(w.page))
			return
		}
		reply(rw, w.resource)
	case "/.well-known/oauth-authorization-server":
		reply(rw, w.server)
	case "/register":
		var body map[string]any
		_ = json.NewDecoder(r.Body).Decode(&body)
		w.registered = append(w.registered, body)
		rw.WriteHeader(http.StatusCreated)
		reply(rw, map[string]any{"client_id": fmt.Sprintf("client-%d", len(w.registered))})
	case "/authorize":
		q := r.URL.Query()
		w.asked = append(w.asked, q)
		code := fmt.Sprintf("code-%d", len(w.asked))
		w.challenges[code] = q.Get("code_challenge")
		back, _ := url.Parse(q.Get("redirect_uri"))
		a := url.Values{"code": {code}, "state": {q.Get("state")}, "iss": {w.URL}}
		if w.answer != nil {
			w.answer(a)
		}
		back.RawQuery = a.Encode()
		http.Redirect(rw, r, back.String(), http.StatusFound)
	case "/token":
		w.serveToken(rw, r)
	default:
		if w.page != "" {
			rw.Header().Set("Content-Type", "text/html")
			_, _ = rw.Write([]byte(w.page))
			return
		}
		http.NotFound(rw, r)
	}
}

func (w *world) serveToken(rw http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	w.forms = append(w.forms, r.PostForm)
	if r.PostForm.Get("grant_type") == "authorization_code" &&
		oauth.Challenge(r.PostForm.Get("code_verifier")) != w.challenges[r.PostForm.Get("code")] {
		rw.WriteHeader(http.StatusBadRequest)
		reply(rw, map[string]any{"error": "invalid_grant"})
		return
	}
	if w.token != nil {
		status, body := w.token(r.PostForm, r)
		rw.WriteHeader(status)
		reply(rw, body)
		return
	}
	reply(rw, map[string]any{"access_token": fmt.Sprintf("access-%d", len(w.forms)), "token_type": "Bearer", "expires_in": 3600})
}

func reply(rw http.ResponseWriter, body map[string]any) {
	if body == nil {
		rw.WriteHeader(http.StatusNotFound)
		return
	}
	_ = json.NewEncoder(rw).Encode(body)
}

// seen are the token requests with a grant type.
func (w *world) seen(grant string) []url.Values {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(w.forms), func(f url.Values) bool { return f.Get("grant_type") != grant })
}

func (w *world) requests() []url.Values {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.asked)
}

// person is a browser with somebody before it who agrees to everything.
func person(t *testing.T) *oauthclient.Browser {
	t.Helper()
	return &oauthclient.Browser{Open: func(address string) error {
		go visit(t.Context(), address)
		return nil
	}}
}

func visit(ctx context.Context, address string) (status int, text string) {
	transport := &http.Transport{DisableKeepAlives: true}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, err.Error()
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

// open makes a client of the world; change may be nil.
func (w *world) open(t *testing.T, change func(*oauthclient.Config)) *oauthclient.Client {
	t.Helper()
	u, err := url.Parse(w.URL + "/mcp")
	if err != nil {
		t.Fatal(err)
	}
	cfg := oauthclient.Config{Name: "docs", Resource: u, AllowPrivate: true, HTTP: guarded(true), Browser: person(t)}
	if change != nil {
		change(&cfg)
	}
	c, err := oauthclient.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Close()
		cfg.HTTP.CloseIdleConnections()
	})
	return c
}

// challenge is a 401's.
func challenge(params ...string) oauth.AuthChallenge {
	c := oauth.AuthChallenge{Scheme: "bearer", Params: map[string]string{}}
	for i := 0; i < len(params); i += 2 {
		c.Params[params[i]] = params[i+1]
	}
	return c
}

// current is the token that would be shown now.
func current(t *testing.T, c *oauthclient.Client) secret.Value {
	t.Helper()
	token, err := c.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func renew(t *testing.T, c *oauthclient.Client, ch oauth.AuthChallenge) error {
	t.Helper()
	return c.Renew(t.Context(), current(t, c), ch)
}

func mustRenew(t *testing.T, c *oauthclient.Client, ch oauth.AuthChallenge) string {
	t.Helper()
	if err := renew(t, c, ch); err != nil {
		t.Fatal(err)
	}
	return current(t, c).Reveal()
}

func mustFail(t *testing.T, err error, says string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), says) {
		t.Fatalf("error %v, want one that says %q", err, says)
	}
}

// logged is a log that a test reads.
type logged struct{ testkit.Output }

func (l *logged) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func guarded(private bool) *http.Client {
	return netguard.NewClient(netguard.Policy{AllowPrivate: private, PlainOnlyPrivate: true}, netguard.Options{})
}
