package authserver_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/accounts"
	"github.com/sallyport-dev/sallyport/internal/authserver"
	"github.com/sallyport-dev/sallyport/internal/authserver/clients"
	"github.com/sallyport-dev/sallyport/internal/authserver/delegation"
	"github.com/sallyport-dev/sallyport/internal/idp"
	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/seal"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/store"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// rig is an authorization server, its providers and a client, without a network in
// between but the server's own.
type rig struct {
	t         testing.TB
	issuer    string
	server    *authserver.Server
	config    authserver.Config // that it was made of
	store     store.Store
	signer    *token.Signer
	providers map[string]*provider
	accounts  *accounts.Book
	client    clients.Static
	log       *strings.Builder
	events    *events
	verifier  string
}

const (
	redirectURI = "http://127.0.0.1:9/callback"
	resource    = "/servers/docs/mcp"
)

type setup struct {
	path      string // of the issuer
	upstreams []string
	onDemand  []string
	store     store.Store
	lifespans authserver.Lifespans
	clients   []clients.Static // besides app
	change    func(*authserver.Config, *clients.Config)
	trusted   []delegation.Issuer
}

func newRig(t testing.TB, o setup) *rig {
	t.Helper()
	key, err := token.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	signer, err := token.NewSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := seal.NewRing()
	if err != nil {
		t.Fatal(err)
	}
	if o.store == nil {
		o.store = store.NewMemory()
	}
	if o.lifespans == (authserver.Lifespans{}) {
		o.lifespans = authserver.DefaultLifespans()
	}
	if o.upstreams == nil {
		o.upstreams = []string{"idp"}
	}
	web := httptest.NewUnstartedServer(nil)
	g := &rig{
		t: t, issuer: "http://" + web.Listener.Addr().String() + o.path, store: o.store, signer: signer,
		providers: map[string]*provider{}, log: &strings.Builder{}, events: &events{},
		verifier: oauth.NewVerifier(),
		client:   clients.Static{ID: "app", Name: "App", RedirectURIs: []string{redirectURI}, Grants: []string{"authorization_code", "refresh_token"}},
	}
	cfg := authserver.Config{
		Issuer: g.issuer, Name: "people", Audit: g.events, Signer: signer, Ring: ring, Store: o.store, Lifespans: o.lifespans,
		Scopes: []string{"docs:read"}, Delegated: []string{"admin"}, Resource: g.resource, Trusted: o.trusted,
		Log: slog.New(slog.NewTextHandler(&locked{w: g.log}, nil)),
	}
	for _, name := range o.upstreams {
		g.providers[name] = &provider{name: name, user: "alice", codes: map[string]idp.Leg{}}
		cfg.Upstreams = append(cfg.Upstreams, authserver.Upstream{Name: name, Provider: g.providers[name], OnDemand: slices.Contains(o.onDemand, name)})
	}
	registry := clients.Config{Issuer: g.issuer, Store: o.store, Documents: clients.Documents{Enabled: true, AllowPrivate: true}, Static: append(o.clients, g.client)}
	if o.change != nil {
		o.change(&cfg, &registry)
	}
	cfg.Clients = clients.New(registry)
	g.config = cfg
	if g.server, err = authserver.New(cfg); err != nil {
		t.Fatal(err)
	}
	g.accounts = g.server.Accounts()
	t.Cleanup(func() { _ = g.server.Close() })
	web.Config.Handler = g.server.Handler()
	web.Start()
	t.Cleanup(web.Close)
	return g
}

// register registers a public client that asks for these scopes, "" for none in
// particular, and returns its id.
func (g *rig) register(scope string, redirects ...string) string {
	g.t.Helper()
	if redirects == nil {
		redirects = []string{redirectURI}
	}
	body, err := json.Marshal(map[string]any{"redirect_uris": redirects, "token_endpoint_auth_method": "none", "scope": scope})
	if err != nil {
		g.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(g.t.Context(), http.MethodPost, g.issuer+"/oauth/register", bytes.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := (&http.Client{}).Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	var registered struct {
		ID string `json:"client_id"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&registered); err != nil || resp.StatusCode != http.StatusCreated {
		g.t.Fatalf("register: %s %v", resp.Status, err)
	}
	return registered.ID
}

func (g *rig) resource(indicator string) (string, bool) {
	audience := g.origin() + resource
	return audience, indicator == "" || indicator == audience
}

func (g *rig) origin() string {
	u, _ := url.Parse(g.issuer)
	return "http://" + u.Host
}

// provider is an identity provider whose pages the test's browser knows.
type provider struct {
	name, user string
	refuse     string // an error to send the browser back with
	down       error  // nobody can be sent there
	broken     error  // what it answers cannot be used
	verified   *bool  // what it says of addresses; nil for nothing

	mu     sync.Mutex
	codes  map[string]idp.Leg
	visits int
}

func (p *provider) Begin(_ context.Context, leg idp.Leg) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down != nil {
		return "", p.down
	}
	p.visits++
	p.codes[p.name+"-"+leg.State] = leg
	return "https://" + p.name + ".example/authorize?" + url.Values{"state": {leg.State}, "redirect_uri": {leg.RedirectURI}, "nonce": {leg.Nonce}}.Encode(), nil
}

func (p *provider) Finish(_ context.Context, leg idp.Leg, code, _ string) (*idp.Grant, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if code == "" {
		return nil, idp.ErrNoCode
	}
	if p.broken != nil {
		return nil, p.broken
	}
	begun, ok := p.codes[code]
	delete(p.codes, code)
	if !ok || begun.Nonce != leg.Nonce || begun.Verifier != leg.Verifier || begun.RedirectURI != leg.RedirectURI {
		return nil, errors.New("provider " + p.name + ": no such code")
	}
	says := p.verified != nil
	return &idp.Grant{
		Tokens: &oauth.Tokens{Access: secret.New("canary-" + p.name), Refresh: secret.New("refresh-" + p.name), Type: "Bearer", Expires: time.Now().Add(time.Hour)},
		Person: idp.Person{Subject: p.user, Name: strings.ToUpper(p.user), Email: p.user + "@example.com", Groups: []string{"staff"}, EmailVerified: says && *p.verified, EmailUnverified: says && !*p.verified},
	}, nil
}

func (p *provider) Refresh(context.Context, secret.Value) (*oauth.Tokens, error) { return nil, nil }
func (p *provider) Revoke(context.Context, *oauth.Tokens) error                  { return nil }

// answer is where the provider sends a browser back to.
func (p *provider) answer(at *url.URL) string {
	q := at.Query()
	back := url.Values{"state": {q.Get("state")}}
	if p.refuse != "" {
		back.Set("error", p.refuse)
		back.Set("error_description", "because of "+p.name)
	} else {
		back.Set("code", p.name+"-"+q.Get("state"))
	}
	return q.Get("redirect_uri") + "?" + back.Encode()
}

// browser is a person's: it follows redirects to the server and to providers, and
// stops at a page or where the client would be called back.
type browser struct {
	g      *rig
	client *http.Client
	last   *http.Response
	body   string
}

func (g *rig) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		g.t.Fatal(err)
	}
	return &browser{g: g, client: &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// open goes to an address, and on until there is a page or the client's address.
func (b *browser) open(address string) *url.URL { return b.do(http.MethodGet, address, nil) }

func (b *browser) do(method, address string, form url.Values) *url.URL {
	b.g.t.Helper()
	for range 20 {
		at, err := url.Parse(address)
		if err != nil {
			b.g.t.Fatal(err)
		}
		if at.Host == "127.0.0.1:9" {
			return at
		}
		if name, ok := strings.CutSuffix(at.Host, ".example"); ok {
			address = b.g.providers[name].answer(at)
			continue
		}
		next := b.step(method, address, form)
		if next == "" {
			return nil
		}
		method, address, form = http.MethodGet, next, nil
	}
	b.g.t.Fatal("the browser goes around in circles")
	return nil
}

// step makes one request, and says where it leads.
func (b *browser) step(method, address string, form url.Values) string {
	b.g.t.Helper()
	req, err := http.NewRequestWithContext(b.g.t.Context(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		b.g.t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", b.g.origin())
	}
	resp, err := b.client.Do(req)
	if err != nil {
		b.g.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.g.t.Fatal(err)
	}
	b.last, b.body = resp, string(body)
	return resp.Header.Get("Location")
}

var (
	hiddenField = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
	formAction  = regexp.MustCompile(`<form method="post" action="([^"]*)">`)
)

// form is the page's first form.
func (b *browser) form() (action string, fields url.Values) {
	b.g.t.Helper()
	m := formAction.FindStringSubmatch(b.body)
	if m == nil {
		b.g.t.Fatalf("there is no form: %d %s", b.last.StatusCode, b.body)
	}
	page, _, _ := strings.Cut(b.body[strings.Index(b.body, m[0]):], "</form>")
	fields = url.Values{}
	for _, f := range hiddenField.FindAllStringSubmatch(page, -1) {
		fields.Set(f[1], f[2])
	}
	return m[1], fields
}

// press submits the page's form.
func (b *browser) press(name, value string) *url.URL {
	b.g.t.Helper()
	action, fields := b.form()
	fields.Set(name, value)
	return b.do(http.MethodPost, action, fields)
}

// pressIn submits the form that has the button with this label.
func (b *browser) pressIn(label string) *url.URL {
	b.g.t.Helper()
	for form := range strings.SplitSeq(b.body, "<form") {
		form, _, _ = strings.Cut(form, "</form>")
		button := regexp.MustCompile(`name="([^"]*)" value="([^"]*)"[^>]*>` + regexp.QuoteMeta(label) + `</button>`).FindStringSubmatch(form)
		action := formAction.FindStringSubmatch("<form" + form)
		if button == nil || action == nil {
			continue
		}
		fields := url.Values{button[1]: {button[2]}}
		for _, f := range hiddenField.FindAllStringSubmatch(form, -1) {
			fields.Set(f[1], f[2])
		}
		return b.do(http.MethodPost, action[1], fields)
	}
	b.g.t.Fatalf("there is no button %q: %d %s", label, b.last.StatusCode, b.body)
	return nil
}

// authorization is the address that a client opens.
func (g *rig) authorization(change ...string) string {
	q := url.Values{
		"response_type": {"code"}, "client_id": {g.client.ID}, "redirect_uri": {redirectURI}, "state": {"client-state"},
		"code_challenge": {oauth.Challenge(g.verifier)}, "code_challenge_method": {"S256"},
		"resource": {g.origin() + resource}, "scope": {"profile docs:read"},
	}
	for i := 0; i < len(change); i += 2 {
		q.Del(change[i])
		if change[i+1] != "" {
			q.Set(change[i], change[i+1])
		}
	}
	return g.issuer + "/oauth/authorize?" + q.Encode()
}

// signIn signs in with a new browser, and gives the code.
func (g *rig) signIn(change ...string) string {
	g.t.Helper()
	b := g.browser()
	b.open(g.authorization(change...))
	return g.codeOf(b.press("decision", "allow"))
}

func (g *rig) codeOf(back *url.URL) string {
	g.t.Helper()
	if back == nil || back.Query().Get("code") == "" || back.Query().Get("iss") != g.issuer || back.Query().Get("state") != "client-state" {
		g.t.Fatalf("the client was not called back with a code: %v\n%s", back, g.log)
	}
	return back.Query().Get("code")
}

// answer is the token endpoint's.
type answer struct {
	Status       int
	Access       string `json:"access_token"`
	Refresh      string `json:"refresh_token"`
	ID           string `json:"id_token"`
	Scope        string `json:"scope"`
	Expires      int    `json:"expires_in"`
	Error        string `json:"error"`
	CacheControl string
}

func (g *rig) token(form url.Values) answer {
	g.t.Helper()
	if !form.Has("client_id") {
		form.Set("client_id", g.client.ID)
	}
	req, err := http.NewRequestWithContext(g.t.Context(), http.MethodPost, g.issuer+"/oauth/token", strings.NewReader(form.Encode()))
	if err != nil {
		g.t.Error(err)
		return answer{}
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := (&http.Client{}).Do(req)
	if err != nil {
		g.t.Error(err)
		return answer{}
	}
	defer resp.Body.Close()
	a := answer{Status: resp.StatusCode, CacheControl: resp.Header.Get("Cache-Control")}
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil {
		g.t.Error(err)
	}
	return a
}

func (g *rig) redeem(code string, change ...string) answer {
	g.t.Helper()
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirectURI}, "code_verifier": {g.verifier}, "resource": {g.origin() + resource}}
	for i := 0; i < len(change); i += 2 {
		form.Del(change[i])
		if change[i+1] != "" {
			form.Set(change[i], change[i+1])
		}
	}
	return g.token(form)
}

func (g *rig) refresh(token string) answer {
	g.t.Helper()
	return g.token(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}})
}

// claims verifies an access token as an endpoint does.
func (g *rig) claims(access string) (token.Claims, error) {
	v, err := token.NewVerifier(g.server.Keys(), token.Expectations{Issuer: g.issuer, Audiences: []string{g.origin() + resource}})
	if err != nil {
		g.t.Fatal(err)
	}
	g.server.Generation()
	claims, _, err := v.Verify(g.t.Context(), access, time.Now())
	if err != nil {
		return nil, err
	}
	revoked, err := g.server.Revoked(claims)
	if err == nil && revoked {
		err = fmt.Errorf("revoked")
	}
	return claims, err
}

type locked struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// tokenPayload is the middle of a JWT.
func tokenPayload(t *testing.T, jwt string) string {
	t.Helper()
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no JWT", jwt)
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
