package clients_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-dev/sallyport/internal/authserver/clients"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/store"
	"github.com/sallyport-dev/sallyport/internal/testkit"
)

const robotSecret = "canary+secret of a/robot%"

func staticRegistry(change func(*clients.Config)) *clients.Registry {
	return registry(func(c *clients.Config) {
		c.Static = []clients.Static{{
			ID: "robot:1", Secrets: []secret.Value{secret.New("newer secret"), secret.New(robotSecret)},
			Audiences: []string{"https://gw.example.com/servers/a/mcp"}, Scopes: []string{"a"}, Grants: []string{"client_credentials"},
		}, {ID: "spa", RedirectURIs: []string{"https://spa.example.com/"}, Grants: []string{"authorization_code"}}}
		if change != nil {
			change(c)
		}
	})
}

func TestAuthenticate(t *testing.T) {
	t.Parallel()
	header := func(values ...string) func(*http.Request) {
		return func(r *http.Request) { r.Header["Authorization"] = values }
	}
	both := func(a, b func(*http.Request)) func(*http.Request) { return func(r *http.Request) { a(r); b(r) } }
	query := func(q string) func(*http.Request) { return func(r *http.Request) { r.URL.RawQuery = q } }
	form := func(pairs ...string) url.Values {
		f := url.Values{}
		for i := 0; i < len(pairs); i += 2 {
			f.Add(pairs[i], pairs[i+1])
		}
		return f
	}
	raw := func(r *http.Request) { r.SetBasicAuth("robot:1", robotSecret) }
	for name, c := range map[string]struct {
		form   url.Values
		change func(*http.Request)
		id     string // who it is
		code   string // or the refusal
		status int
	}{
		"basic":                {change: basic("robot:1", robotSecret), id: "robot:1"},
		"basic, first secret":  {change: basic("robot:1", "newer secret"), id: "robot:1"},
		"basic, same id twice": {form: form("client_id", "robot:1"), change: basic("robot:1", robotSecret), id: "robot:1"},
		"body":                 {form: form("client_id", "robot:1", "client_secret", robotSecret), id: "robot:1"},
		"public":               {form: form("client_id", "spa"), id: "spa"},
		"an empty header":      {change: basic("spa", ""), id: "spa"}, // FINDING 2.17
		"an empty secret":      {form: form("client_id", "spa", "client_secret", ""), id: "spa"},

		"basic, not encoded":       {change: raw, code: "invalid_client", status: 401}, // its colon ends the id
		"wrong secret":             {change: basic("robot:1", "x"), code: "invalid_client", status: 401},
		"wrong secret in the body": {form: form("client_id", "robot:1", "client_secret", robotSecret+"x"), code: "invalid_client", status: 401},
		"a header without secret":  {change: basic("robot:1", ""), code: "invalid_client", status: 401},
		"no secret":                {form: form("client_id", "robot:1"), code: "invalid_client", status: 401},
		"unknown":                  {form: form("client_id", "nobody"), code: "invalid_client", status: 401},
		"nobody":                   {code: "invalid_client", status: 401},
		"a public one's secret":    {form: form("client_id", "spa", "client_secret", "x"), code: "invalid_client", status: 401},
		"bearer":                   {change: header("Bearer x"), code: "invalid_client", status: 401},
		"no base64":                {change: header("Basic ?"), code: "invalid_client", status: 401},
		"no colon":                 {change: header("Basic cm9ib3Q="), code: "invalid_client", status: 401},
		"two headers":              {change: header("Basic Og==", "Basic Og=="), code: "invalid_client", status: 401},
		"two ways":                 {form: form("client_id", "robot:1", "client_secret", robotSecret), change: basic("robot:1", robotSecret), code: "invalid_request", status: 400},
		"two ways, assertion": {
			form:   form("client_assertion", "x", "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
			change: basic("robot:1", robotSecret), code: "invalid_request", status: 400,
		},
		"two ids":              {form: form("client_id", "spa"), change: basic("robot:1", robotSecret), code: "invalid_request", status: 400},
		"an id twice":          {form: form("client_id", "spa", "client_id", "spa"), code: "invalid_request", status: 400},
		"a secret twice":       {form: form("client_id", "robot:1", "client_secret", robotSecret, "client_secret", "x"), code: "invalid_request", status: 400},
		"a secret in the URL":  {form: form("client_id", "robot:1"), change: query("client_secret=x"), code: "invalid_request", status: 400},
		"another assertion":    {form: form("client_assertion", "x", "client_assertion_type", "saml"), code: "invalid_request", status: 400},
		"an id in the URL too": {change: both(basic("robot:1", robotSecret), query("client_id=spa")), id: "robot:1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.form == nil {
				c.form = url.Values{}
			}
			got, refused := authenticate(t, staticRegistry(nil), c.form, c.change)
			if (refused == nil) != (c.id != "") {
				t.Fatalf("%v, %v", got, refused)
			}
			if refused == nil && got.ID != c.id || refused != nil && (refused.Code != c.code || refused.Status != c.status) {
				t.Errorf("%+v, %v (%+v)", got, refused, refused)
			}
			if refused != nil && (strings.Contains(refused.Error(), "canary") || strings.Contains(refused.Error(), "robot")) {
				t.Errorf("the refusal says too much: %v", refused)
			}
		})
	}
	c, _ := authenticate(t, staticRegistry(nil), url.Values{}, basic("robot:1", robotSecret))
	if !c.Static || c.Public() || !c.May("client_credentials") || len(c.Audiences) != 1 {
		t.Errorf("the static client is %+v", c)
	}
	if strings.Contains(fmt.Sprintf("%+v %#v", c, c), "canary") {
		t.Error("the client prints its secret")
	}
}

// Guessing one client's secret from one address ends soon; the client itself goes
// on from another one, and many right requests at once are no guesses.
func TestGuessing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := staticRegistry(nil)
		from := func(addr string, then func(*http.Request)) func(*http.Request) {
			return func(r *http.Request) { r.RemoteAddr = addr; then(r) }
		}
		right, wrong := basic("robot:1", robotSecret), basic("robot:1", "guess")
		for i := range 10 {
			if _, refused := authenticate(t, r, url.Values{}, from("203.0.113.9:1", wrong)); refused.Status != 401 {
				t.Fatalf("guess %d: %v", i+1, refused)
			}
		}
		for _, try := range []func(*http.Request){wrong, right} {
			if _, refused := authenticate(t, r, url.Values{}, from("203.0.113.9:2", try)); refused == nil || refused.Status != 429 {
				t.Errorf("after ten guesses: %v", refused)
			}
		}
		if _, refused := authenticate(t, r, url.Values{}, from("203.0.113.10:1", right)); refused != nil {
			t.Errorf("from another address: %v", refused)
		}
		time.Sleep(time.Minute)
		// FINDING S9: where it has proved itself it goes on through others' guesses.
		if _, refused := authenticate(t, r, url.Values{}, from("203.0.113.9:1", right)); refused != nil {
			t.Errorf("after a minute: %v", refused)
		}
		for range 20 {
			_, _ = authenticate(t, r, url.Values{}, from("203.0.113.9:1", wrong))
		}
		for range 100 {
			if _, refused := authenticate(t, r, url.Values{}, from("203.0.113.9:1", right)); refused != nil {
				t.Fatalf("after a minute: %v", refused)
			}
		}
	})
}

func TestPrivateKeyJWT(t *testing.T) {
	t.Parallel()
	key, other := signer(t), signer(t)
	now := time.Now()
	for name, c := range map[string]struct {
		typ    string
		sign   bool // by another key
		change map[string]any
		says   string // "" when it is good
	}{
		"good":                    {typ: "JWT"},
		"good, without a type":    {typ: ""},
		"good, typed":             {typ: "client-authentication+jwt"},
		"for the issuer":          {typ: "JWT", change: map[string]any{"aud": issuer}},
		"for both":                {typ: "JWT", change: map[string]any{"aud": []string{issuer, issuer + "/oauth/token"}}},
		"for somebody else too":   {typ: "JWT", change: map[string]any{"aud": []string{issuer, "https://evil.example"}}, says: "other audiences"},
		"for somebody else":       {typ: "JWT", change: map[string]any{"aud": "https://evil.example"}, says: "not issued for this server"},
		"for nobody":              {typ: "JWT", change: map[string]any{"aud": nil}, says: "not issued for this server"},
		"by another key":          {typ: "JWT", sign: true, says: "not signed by the client's key"},
		"about another":           {typ: "JWT", change: map[string]any{"sub": "robot"}, says: "sub must be"},
		"without jti":             {typ: "JWT", change: map[string]any{"jti": nil}, says: "jti is missing"},
		"jti too long":            {typ: "JWT", change: map[string]any{"jti": strings.Repeat("x", 300)}, says: "jti is missing or too long"},
		"without an end":          {typ: "JWT", change: map[string]any{"exp": nil}, says: "expired"},
		"expired":                 {typ: "JWT", change: map[string]any{"exp": now.Add(-2 * time.Minute).Unix()}, says: "expired"},
		"a clock that is behind":  {typ: "JWT", change: map[string]any{"exp": now.Add(-30 * time.Second).Unix()}},
		"for a day":               {typ: "JWT", change: map[string]any{"exp": now.Add(24 * time.Hour).Unix()}, says: "more than an hour"},
		"from tomorrow":           {typ: "JWT", change: map[string]any{"nbf": now.Add(time.Hour).Unix()}, says: "not signed"},
		"an access token":         {typ: "at+jwt", says: "not signed"},
		"an assertion of someone": {typ: "oauth-id-jag+jwt", says: "not signed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := registry(nil)
			id := register(t, r, map[string]any{"token_endpoint_auth_method": "private_key_jwt", "jwks": json.RawMessage(key.JWKS())}).get("client_id")
			s := key
			if c.sign {
				s = other
			}
			form := asserted(t, s, c.typ, id, "jti-1", c.change)
			got, refused := authenticate(t, r, form, nil)
			if (refused == nil) != (c.says == "") || refused != nil && (!strings.Contains(refused.Description, c.says) || refused.Status != 401) {
				t.Fatalf("%v, want it to say %q", refused, c.says)
			}
			if refused != nil {
				return
			}
			if got.ID != id {
				t.Errorf("it is %q", got.ID)
			}
			if _, refused := authenticate(t, r, form, nil); refused == nil || !strings.Contains(refused.Description, "used before") {
				t.Errorf("used again: %v", refused)
			}
		})
	}
}

func TestAssertionAmongClients(t *testing.T) {
	t.Parallel()
	key := signer(t)
	r := registry(nil)
	fields := map[string]any{"token_endpoint_auth_method": "private_key_jwt", "jwks": json.RawMessage(key.JWKS())}
	a, b := register(t, r, fields).get("client_id"), register(t, r, fields).get("client_id")
	public := register(t, r, map[string]any{"token_endpoint_auth_method": "none"}).get("client_id")
	form := asserted(t, key, "JWT", a, "1", nil)
	form.Set("client_id", b)
	if _, refused := authenticate(t, r, form, nil); refused == nil {
		t.Error("a's assertion is good for b")
	}
	if _, refused := authenticate(t, r, asserted(t, key, "JWT", public, "1", nil), nil); refused == nil {
		t.Error("a public client authenticated by somebody's key")
	}
	for _, id := range []string{a, b} { // each has its own jti
		if _, refused := authenticate(t, r, asserted(t, key, "JWT", id, "2", nil), nil); refused != nil {
			t.Errorf("%v", refused)
		}
	}
	if _, refused := authenticate(t, r, url.Values{"client_id": {a}}, nil); refused == nil {
		t.Error("a client with a key came without an assertion")
	}
	for _, odd := range []string{"x", "a.b.c", "..", "e30.e30.", strings.Repeat("a", 20<<10)} {
		f := asserted(t, key, "JWT", a, "3", nil)
		f.Set("client_assertion", odd)
		if _, refused := authenticate(t, r, f, nil); refused == nil || refused.Status != 401 {
			t.Errorf("the assertion %.10q: %v", odd, refused)
		}
	}
}

// Of many that show the same assertion at once, one is let in.
func TestReplayAtOnce(t *testing.T) {
	t.Parallel()
	key := signer(t)
	r := registry(nil)
	id := register(t, r, map[string]any{"token_endpoint_auth_method": "private_key_jwt", "jwks": json.RawMessage(key.JWKS())}).get("client_id")
	form := asserted(t, key, "JWT", id, "1", nil)
	var in atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, refused := authenticate(t, r, form, nil); refused == nil {
				in.Add(1)
			}
		})
	}
	all.Wait()
	if in.Load() != 1 {
		t.Errorf("%d were let in", in.Load())
	}
}

// Keys at an address: fetched under the same rules as documents, and anew when a
// signature does not fit.
func TestKeysAtAnAddress(t *testing.T) {
	t.Parallel()
	old, fresh := signer(t), signer(t)
	var current atomic.Pointer[[]byte]
	jwks := old.JWKS()
	current.Store(&jwks)
	var p *publisher
	p = publish(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/keys" {
			_, _ = w.Write(*current.Load())
			return
		}
		describing(&p, "/c", map[string]any{"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": p.URL + "/keys"})(w, r)
	})
	r := p.registry(nil)
	id := p.URL + "/c"
	c, refused := authenticate(t, r, asserted(t, old, "JWT", id, "1", nil), nil)
	if refused != nil || c.Host == "" || c.Public() {
		t.Fatalf("%+v, %v", c, refused)
	}
	next := fresh.JWKS()
	current.Store(&next)
	if _, refused := authenticate(t, r, asserted(t, fresh, "JWT", id, "2", nil), nil); refused == nil || p.hits.Load() != 2 {
		t.Errorf("keys changed a moment after they were fetched: %v after %d fetches; want a refusal without a fetch", refused, p.hits.Load())
	}
	if _, refused := authenticate(t, r, asserted(t, old, "JWT", id, "3", nil), nil); refused != nil {
		t.Errorf("the key at hand: %v", refused)
	}

	guarded := p.registry(func(c *clients.Config) { c.Documents.AllowPrivate = false })
	a := register(t, guarded, map[string]any{"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": p.URL + "/keys"})
	before := p.hits.Load()
	if _, refused := authenticate(t, guarded, asserted(t, old, "JWT", a.get("client_id"), "4", nil), nil); refused == nil || p.hits.Load() != before {
		t.Errorf("keys at a private address: %v after %d fetches", refused, p.hits.Load()-before)
	}
}

// failing is a store that cannot be asked.
type failing struct{ store.Store }

type ctx = context.Context

var errDown = errors.New("connection refused by canary-host")

func (failing) Get(ctx, string) ([]byte, error)                             { return nil, errDown }
func (failing) Add(ctx, string, []byte, time.Duration) (bool, error)        { return false, errDown }
func (failing) Scan(ctx, string, func(key string, value []byte) bool) error { return errDown }

func TestStoreDown(t *testing.T) {
	t.Parallel()
	var logged testkit.Output
	r := staticRegistry(func(c *clients.Config) { c.Store, c.Log = failing{}, logTo(&logged) })
	for i := range 20 { // an outage is nobody's guess
		if _, refused := authenticate(t, r, url.Values{"client_id": {"ABC"}}, nil); refused == nil || refused.Status != 503 || strings.Contains(refused.Description, "canary") {
			t.Fatalf("attempt %d: %v", i, refused)
		}
	}
	if _, refused := authenticate(t, r, url.Values{"client_id": {"spa"}}, nil); refused != nil {
		t.Errorf("a static client needs no store: %v", refused)
	}
	register(t, r, nil) // nor does a client whose id carries everything
	a := call(t, r, "POST", "", "", large(1))
	if a.status != 503 || strings.Contains(a.text, "canary") || !strings.Contains(logged.String(), "canary-host") {
		t.Errorf("registration: %d %s; logged %s", a.status, a.text, logged.String())
	}
}
