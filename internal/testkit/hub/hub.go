// Package hub is a provider of plain OAuth 2.0 in the manner of GitHub: no ID token,
// refusals with status 200, forms unless JSON is asked for, an API that says who a
// token belongs to, and registration (RFC 7591), which GitHub does not have.
//
// It owns no assertions: those belong to the tests. For an OpenID provider there is
// testkit.IdP. Only tests may import it.
package hub

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Server is the provider. Everybody approves at once, as the login_hint of the request
// or as who SetUser said.
type Server struct {
	*httptest.Server
	ID, Secret string // of a client that has every loopback address as its redirect URI

	mu       sync.Mutex
	life     time.Duration // of access tokens; 0 for ever, and no refresh tokens
	forms    bool          // answer forms whatever is asked for
	clients  map[string]string
	codes    map[string]grant // by code
	tokens   map[string]grant // by access token
	renewals map[string]grant // by refresh token
	asked    map[string]int   // by path
}

type grant struct {
	client, user, redirect, challenge, scope string
	expires                                  time.Time
}

// Start starts one on loopback. It runs until the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	h := &Server{
		ID: "hub-client", Secret: "secret-" + rand.Text(), asked: map[string]int{},
		codes: map[string]grant{}, tokens: map[string]grant{}, renewals: map[string]grant{},
	}
	h.clients = map[string]string{h.ID: h.Secret}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /login/oauth/authorize", h.authorize)
	mux.HandleFunc("POST /login/oauth/access_token", h.token)
	mux.HandleFunc("GET /user", h.whoami)
	mux.HandleFunc("POST /register", h.register)
	mux.HandleFunc("DELETE /applications/{client}/grant", h.end)
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.asked[r.URL.Path]++
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		h.CloseClientConnections()
		h.Close()
	})
	return h
}

// SetLife lets access tokens end so long after they were issued, and come with refresh
// tokens that are good once.
func (h *Server) SetLife(life time.Duration) { h.set(func() { h.life = life }) }

// SetForms answers forms even to who asks for JSON.
func (h *Server) SetForms(forms bool) { h.set(func() { h.forms = forms }) }

// ForgetClients makes every registered client unknown.
func (h *Server) ForgetClients() { h.set(func() { h.clients = map[string]string{h.ID: h.Secret} }) }

// EndGrants takes back what everybody allowed.
func (h *Server) EndGrants() {
	h.set(func() { clear(h.tokens); clear(h.renewals) })
}

// Asked is how many requests came for a path.
func (h *Server) Asked(path string) (n int) {
	h.set(func() { n = h.asked[path] })
	return n
}

func (h *Server) set(change func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change()
}

func (h *Server) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	back, err := url.Parse(q.Get("redirect_uri"))
	if _, known := h.clients[q.Get("client_id")]; !known || err != nil || back.Hostname() != "127.0.0.1" {
		http.Error(w, "unknown client or redirect URI", http.StatusNotFound)
		return
	}
	user := q.Get("login_hint")
	if user == "" {
		user = "alice"
	}
	code := rand.Text()
	h.codes[code] = grant{
		client: q.Get("client_id"), user: user, redirect: q.Get("redirect_uri"), challenge: q.Get("code_challenge"), scope: q.Get("scope"),
	}
	answer := back.Query()
	answer.Set("code", code)
	answer.Set("state", q.Get("state"))
	back.RawQuery = answer.Encode()
	http.Redirect(w, r, back.String(), http.StatusFound)
}

func (h *Server) token(w http.ResponseWriter, r *http.Request) {
	client, secret := r.FormValue("client_id"), r.FormValue("client_secret")
	if id, password, ok := r.BasicAuth(); ok {
		client, secret = id, password
	}
	if want, known := h.clients[client]; !known || want != secret {
		h.answer(w, r, map[string]any{"error": "invalid_client", "error_description": "The client_id and/or client_secret passed are incorrect."})
		return
	}
	var g grant
	var ok bool
	switch r.FormValue("grant_type") {
	case "refresh_token":
		g, ok = h.renewals[r.FormValue("refresh_token")]
		delete(h.renewals, r.FormValue("refresh_token"))
		if !ok || g.client != client {
			h.answer(w, r, map[string]any{"error": "bad_refresh_token", "error_description": "The refresh token passed is incorrect or expired."})
			return
		}
	default:
		g, ok = h.codes[r.FormValue("code")]
		delete(h.codes, r.FormValue("code"))
		sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
		if !ok || g.client != client || g.redirect != r.FormValue("redirect_uri") || g.challenge != base64.RawURLEncoding.EncodeToString(sum[:]) {
			h.answer(w, r, map[string]any{"error": "bad_verification_code", "error_description": "The code passed is incorrect or expired."})
			return
		}
	}
	answer := map[string]any{"access_token": "gho_" + rand.Text(), "token_type": "bearer", "scope": strings.ReplaceAll(g.scope, " ", ",")}
	g.expires = time.Time{}
	if h.life > 0 {
		answer["refresh_token"], answer["expires_in"] = "ghr_"+rand.Text(), int(h.life.Seconds())
		h.renewals[answer["refresh_token"].(string)] = g
		g.expires = time.Now().Add(h.life)
	}
	h.tokens[answer["access_token"].(string)] = g
	h.answer(w, r, answer)
}

func (h *Server) answer(w http.ResponseWriter, r *http.Request, members map[string]any) {
	if !h.forms && slices.Contains(r.Header.Values("Accept"), "application/json") {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_ = json.NewEncoder(w).Encode(members)
		return
	}
	form := url.Values{}
	for name, value := range members {
		form.Set(name, fmt.Sprint(value))
	}
	w.Header().Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	_, _ = w.Write([]byte(form.Encode()))
}

// whoami is GitHub's GET /user: the id is a number, and the address may be private.
func (h *Server) whoami(w http.ResponseWriter, r *http.Request) {
	g, ok := h.tokens[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
	if !ok || !g.expires.IsZero() && time.Now().After(g.expires) {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"message":"Bad credentials"}`))
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(map[string]any{"id": UserID(g.user), "login": g.user, "name": "The " + g.user, "email": nil, "type": "User"})
}

// UserID is the number of a user.
func UserID(user string) int {
	sum := sha256.Sum256([]byte(user))
	return 1_000_000 + int(sum[0])<<8 + int(sum[1])
}

func (h *Server) register(w http.ResponseWriter, r *http.Request) {
	var wish map[string]any
	if err := json.NewDecoder(r.Body).Decode(&wish); err != nil {
		http.Error(w, "no JSON", http.StatusBadRequest)
		return
	}
	id := "registered-" + rand.Text()
	h.clients[id] = "secret-" + rand.Text()
	wish["client_id"], wish["client_secret"], wish["client_secret_expires_at"] = id, h.clients[id], 0
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(wish)
}

// end takes back everything that a user allowed a client.
func (h *Server) end(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Token string `json:"access_token"`
	}
	id, password, _ := r.BasicAuth()
	_ = json.NewDecoder(r.Body).Decode(&body)
	g, ok := h.tokens[body.Token]
	if !ok || id != r.PathValue("client") || h.clients[id] != password || g.client != id {
		http.NotFound(w, r)
		return
	}
	for _, grants := range []map[string]grant{h.tokens, h.renewals} {
		for token, other := range grants {
			if other.user == g.user && other.client == id {
				delete(grants, token)
			}
		}
	}
	w.WriteHeader(http.StatusNoContent)
}
