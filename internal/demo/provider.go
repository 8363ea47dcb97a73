package demo

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/page"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// Provider is an OpenID provider to try a sign-in with: it takes everybody's word for
// who they are. It has one client, which has no secret, and keeps what it gave until
// the process ends. It is for loopback alone.
type Provider struct {
	cfg    ProviderConfig
	signer *token.Signer
	mux    *http.ServeMux

	mu      sync.Mutex
	codes   map[string]visit  // good once
	refresh map[string]string // token → the person's subject; good once
}

// ProviderConfig says where the provider is and who its client is.
type ProviderConfig struct {
	Issuer      string // an origin
	ClientID    string
	RedirectURI string
}

// person is somebody who can sign in.
type person struct {
	subject, name string
	groups        []string
}

func people() []person {
	return []person{
		{"alice", "Alice", []string{"engineering"}},
		{"bob", "Bob", []string{"sales"}},
	}
}

// visit is what a code stands for.
type visit struct {
	person           person
	nonce, challenge string
	expires          time.Time
}

const (
	codeLife   = time.Minute
	accessLife = 10 * time.Minute
	maxVisits  = 1000 // codes and refresh tokens each; who asks for more starts over
)

// NewProvider makes a provider with a key of its own.
func NewProvider(cfg ProviderConfig) (*Provider, error) {
	key, err := token.GenerateKey()
	if err != nil {
		return nil, fmt.Errorf("make the demo provider's key: %w", err)
	}
	signer, err := token.NewSigner(key)
	if err != nil {
		return nil, fmt.Errorf("make the demo provider's key: %w", err)
	}
	p := &Provider{cfg: cfg, signer: signer, mux: http.NewServeMux(), codes: map[string]visit{}, refresh: map[string]string{}}
	p.mux.HandleFunc("GET /.well-known/openid-configuration", p.discovery)
	p.mux.HandleFunc("GET /keys", p.keys)
	p.mux.HandleFunc("GET /authorize", p.ask)
	p.mux.HandleFunc("POST /authorize", p.answer)
	p.mux.HandleFunc("POST /token", p.token)
	return p, nil
}

func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	p.mux.ServeHTTP(w, r)
}

func (p *Provider) discovery(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, oauth.ServerMetadata{
		Issuer: p.cfg.Issuer, AuthorizationEndpoint: p.cfg.Issuer + "/authorize", TokenEndpoint: p.cfg.Issuer + "/token",
		JWKSURI: p.cfg.Issuer + "/keys", ResponseTypes: []string{"code"}, SubjectTypes: []string{"public"},
		GrantTypes: []string{"authorization_code", "refresh_token"}, TokenAuthMethods: []string{"none"},
		CodeChallengeMethods: []string{"S256"}, IDTokenAlgorithms: []string{p.signer.Algorithm()}, IssParameterSupported: true,
	})
}

func (p *Provider) keys(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(p.signer.JWKS()) // the client went away
}

// ask shows who there is. The request travels in the form: nothing is kept of it
// before somebody has answered.
func (p *Provider) ask(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if problem := p.wrong(q); problem != "" {
		refuse(w, problem)
		return
	}
	var hidden [][2]string
	for _, name := range []string{"client_id", "redirect_uri", "state", "nonce", "code_challenge", "code_challenge_method", "response_type"} {
		hidden = append(hidden, [2]string{name, q.Get(name)})
	}
	var buttons []page.Button
	for _, who := range people() {
		buttons = append(buttons, page.Button{Name: "person", Value: who.subject, Label: "Sign in as " + who.name, Primary: true})
	}
	site().Write(w, http.StatusOK, "Who are you?", "", func(pg *page.Page) {
		pg.Element("p", "A real identity provider would ask for a password here. This one believes whatever you say.")
		pg.Form(p.cfg.Issuer+"/authorize", hidden, nil, buttons...)
	})
}

func site() *page.Site { return &page.Site{Name: "Demo identity provider"} }

// refuse says what is wrong to whoever is in front of the browser.
func refuse(w http.ResponseWriter, problem string) {
	site().Write(w, http.StatusBadRequest, "This sign-in cannot go on", "", func(pg *page.Page) {
		pg.Element("p", "It is "+problem+". Begin again in your application.", "role", "alert")
	})
}

// wrong says what is wrong with an authorization request, or "". Nobody is sent
// anywhere with one that is.
func (p *Provider) wrong(q url.Values) string {
	switch {
	case q.Get("client_id") != p.cfg.ClientID:
		return "of a client that is not known here"
	case q.Get("redirect_uri") != p.cfg.RedirectURI:
		return "to be sent to an address that is not the client's"
	case q.Get("response_type") != "code":
		return "not for a code (response_type)"
	case q.Get("code_challenge_method") != "S256" || q.Get("code_challenge") == "":
		return "without PKCE by S256"
	}
	return ""
}

// answer sends the person who was chosen back with a code.
func (p *Provider) answer(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		refuse(w, "a form that cannot be read")
		return
	}
	q := r.PostForm
	who, ok := find(q.Get("person"))
	problem := p.wrong(q)
	if problem == "" && !ok {
		problem = "for somebody who is not known here"
	}
	if problem != "" {
		refuse(w, problem)
		return
	}
	code := rand.Text()
	p.mu.Lock()
	if len(p.codes) >= maxVisits {
		clear(p.codes)
	}
	p.codes[code] = visit{who, q.Get("nonce"), q.Get("code_challenge"), time.Now().Add(codeLife)}
	p.mu.Unlock()
	back := url.Values{"code": {code}, "state": {q.Get("state")}, "iss": {p.cfg.Issuer}}
	http.Redirect(w, r, p.cfg.RedirectURI+"?"+back.Encode(), http.StatusSeeOther)
}

func find(subject string) (person, bool) {
	all := people()
	i := slices.IndexFunc(all, func(p person) bool { return p.subject == subject })
	if i < 0 {
		return person{}, false
	}
	return all[i], true
}

func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if r.PostFormValue("client_id") != p.cfg.ClientID {
		writeJSON(w, http.StatusBadRequest, oauthError{"invalid_client"})
		return
	}
	var v visit
	var ok bool
	switch r.PostFormValue("grant_type") {
	case "authorization_code":
		v, ok = p.redeem(r.PostFormValue("code"), r.PostFormValue("code_verifier"))
		ok = ok && r.PostFormValue("redirect_uri") == p.cfg.RedirectURI
	case "refresh_token":
		v.person, ok = p.renew(r.PostFormValue("refresh_token"))
	default:
		writeJSON(w, http.StatusBadRequest, oauthError{"unsupported_grant_type"})
		return
	}
	if !ok {
		writeJSON(w, http.StatusBadRequest, oauthError{"invalid_grant"})
		return
	}
	p.issue(w, v)
}

// redeem takes a code back, right or wrong: it is good once.
func (p *Provider) redeem(code, verifier string) (visit, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	v, ok := p.codes[code]
	delete(p.codes, code)
	ok = ok && time.Now().Before(v.expires) && subtle.ConstantTimeCompare([]byte(oauth.Challenge(verifier)), []byte(v.challenge)) == 1
	return v, ok
}

func (p *Provider) renew(refresh string) (person, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	subject, ok := p.refresh[refresh]
	delete(p.refresh, refresh)
	if !ok {
		return person{}, false
	}
	return find(subject)
}

// idClaims are those of an ID token.
type idClaims struct {
	Issuer        string   `json:"iss"`
	Subject       string   `json:"sub"`
	Audience      string   `json:"aud"`
	IssuedAt      int64    `json:"iat"`
	Expires       int64    `json:"exp"`
	Nonce         string   `json:"nonce,omitempty"`
	Name          string   `json:"name"`
	Email         string   `json:"email"`
	EmailVerified bool     `json:"email_verified"`
	Groups        []string `json:"groups"`
}

func (p *Provider) issue(w http.ResponseWriter, v visit) {
	now := time.Now()
	id, err := p.signer.Sign("JWT", idClaims{
		Issuer: p.cfg.Issuer, Subject: v.person.subject, Audience: p.cfg.ClientID,
		IssuedAt: now.Unix(), Expires: now.Add(accessLife).Unix(), Nonce: v.nonce,
		Name: v.person.name, Email: v.person.subject + "@example.com", EmailVerified: true, Groups: v.person.groups,
	})
	if err != nil {
		writeJSON(w, http.StatusInternalServerError, oauthError{"server_error"})
		return
	}
	refresh := rand.Text()
	p.mu.Lock()
	if len(p.refresh) >= maxVisits {
		clear(p.refresh)
	}
	p.refresh[refresh] = v.person.subject
	p.mu.Unlock()
	writeJSON(w, http.StatusOK, map[string]any{
		"access_token": "demo-" + rand.Text(), "token_type": "Bearer", "expires_in": int(accessLife.Seconds()),
		"refresh_token": refresh, "id_token": id.Reveal(),
	})
}

type oauthError struct {
	Error string `json:"error"`
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client went away
}
