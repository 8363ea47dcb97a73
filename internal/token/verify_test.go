package token_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/sallyport-dev/sallyport/internal/token"
)

const (
	issuer   = "https://idp.example.com"
	audience = "https://gw.example.com/servers/docs/mcp"
)

// idp is an issuer whose key set can change and fail.
type idp struct {
	server  *httptest.Server
	fetches atomic.Int64
	answer  atomic.Pointer[http.HandlerFunc]
}

func newIDP(t *testing.T, keys ...jose.JSONWebKey) *idp {
	p := &idp{}
	p.serve(keys...)
	p.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.fetches.Add(1)
		(*p.answer.Load())(w, r)
	}))
	t.Cleanup(p.server.Close)
	return p
}

func (p *idp) serve(keys ...jose.JSONWebKey) {
	set := jose.JSONWebKeySet{Keys: keys}
	p.do(func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(set) })
}

func (p *idp) do(h http.HandlerFunc) { p.answer.Store(&h) }

func (p *idp) keySet(t *testing.T) *token.KeySet {
	t.Helper()
	k, err := token.NewKeySet(token.KeySetConfig{
		Locate: func(context.Context) (string, error) { return p.server.URL, nil },
		Client: p.server.Client(), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.Close() })
	return k
}

type signer struct {
	alg  jose.SignatureAlgorithm
	priv any
	pub  jose.JSONWebKey
}

func newSigner(t *testing.T, alg jose.SignatureAlgorithm, kid string) signer {
	t.Helper()
	var priv, pub any
	var err error
	switch alg[:2] {
	case "RS", "PS":
		var k *rsa.PrivateKey
		if k, err = rsa.GenerateKey(rand.Reader, 2048); err == nil {
			priv, pub = k, &k.PublicKey
		}
	case "ES":
		curve := map[jose.SignatureAlgorithm]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()}[alg]
		var k *ecdsa.PrivateKey
		if k, err = ecdsa.GenerateKey(curve, rand.Reader); err == nil {
			priv, pub = k, &k.PublicKey
		}
	default:
		pub, priv, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return signer{alg, priv, jose.JSONWebKey{Key: pub, KeyID: kid, Algorithm: string(alg), Use: "sig"}}
}

func (s signer) sign(t *testing.T, payload string, header map[jose.HeaderKey]any) string {
	t.Helper()
	opts := &jose.SignerOptions{ExtraHeaders: map[jose.HeaderKey]any{"kid": s.pub.KeyID, "typ": "at+jwt"}}
	for k, v := range header {
		opts.ExtraHeaders[k] = v
	}
	js, err := jose.NewSigner(jose.SigningKey{Algorithm: s.alg, Key: s.priv}, opts)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := js.Sign([]byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	text, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// claims are good ones, with changes; a nil change removes.
func claims(now time.Time, changes map[string]any) string {
	c := map[string]any{"iss": issuer, "aud": audience, "sub": "alice", "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix()}
	for k, v := range changes {
		if v == nil {
			delete(c, k)
		} else {
			c[k] = v
		}
	}
	b, _ := json.Marshal(c)
	return string(b)
}

func verifier(t *testing.T, k *token.KeySet, want token.Expectations) *token.Verifier {
	t.Helper()
	want.Issuer, want.Audiences = issuer, []string{audience}
	v, err := token.NewVerifier(k, want)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// REQ B-7: every family of algorithms that is allowed.
func TestVerifyAlgorithms(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for _, alg := range token.Algorithms {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			s := newSigner(t, jose.SignatureAlgorithm(alg), "k1")
			v := verifier(t, newIDP(t, s.pub).keySet(t), token.Expectations{})
			c, expires, err := v.Verify(t.Context(), s.sign(t, claims(now, nil), nil), now)
			if err != nil || c.Text("sub") != "alice" || expires.Unix() != now.Add(5*time.Minute).Unix() {
				t.Errorf("got %v, %v, %v", c, expires, err)
			}
		})
	}
}

// REQ B-7: what a token must not be, and what the operator is told.
func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	now := time.Now()
	good, other := newSigner(t, "RS256", "k1"), newSigner(t, "RS256", "k1")
	v := verifier(t, newIDP(t, good.pub).keySet(t), token.Expectations{Leeway: 30 * time.Second})
	pss := good
	pss.alg = "PS256"
	der, _ := json.Marshal(good.pub) // the public key's bytes, as an HMAC secret by confusion
	hmac := signer{alg: "HS256", priv: der, pub: jose.JSONWebKey{KeyID: "k1"}}
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims(now, nil))) + "."
	change := func(k string, v any) string { return good.sign(t, claims(now, map[string]any{k: v}), nil) }
	tests := []struct{ name, token, reason string }{
		{"garbage", "garbage", "no JWT"},
		{"empty", "", "no JWT"},
		{"alg none", none, "no JWT signed by an allowed algorithm"},
		{"RS/HS confusion", hmac.sign(t, claims(now, nil), nil), "allowed algorithm"},
		{"another key", other.sign(t, claims(now, nil), nil), "signature does not fit"},
		{"unknown kid", good.sign(t, claims(now, nil), map[jose.HeaderKey]any{"kid": "../../etc/passwd"}), "has no key"},
		{"a megabyte", strings.Repeat("a", 1<<20), "more than"},
		{"expired", change("exp", now.Add(-time.Minute).Unix()), "expired"},
		{"no expiry", change("exp", nil), "no expiry"},
		{"expiry is text", change("exp", "tomorrow"), "no date"},
		{"not yet", change("nbf", now.Add(time.Hour).Unix()), "nbf"},
		{"issued tomorrow", change("iat", now.Add(24*time.Hour).Unix()), "iat"},
		{"wrong issuer", change("iss", issuer+"/"), "issuer"},
		{"no issuer", change("iss", nil), "issuer"},
		{"wrong audience", change("aud", "https://elsewhere"), "audience"},
		{"audience is a prefix", change("aud", audience+"/more"), "audience"},
		{"no audience", change("aud", nil), "audience"},
		{"audience list with a number", change("aud", []any{audience, 1}), "audience"},
		{"duplicated claim", good.sign(t, `{"iss":"`+issuer+`","sub":"alice","sub":"root","aud":"`+audience+`","exp":9999999999}`, nil), "claims"},
		{"claims are a list", good.sign(t, `[]`, nil), "claims"},
		{"exp is a string of digits, and over", change("exp", fmt.Sprint(now.Add(-time.Hour).Unix())), "expired"},
		{"exp is null", good.sign(t, `{"iss":"`+issuer+`","sub":"alice","aud":"`+audience+`","exp":null}`, nil), "no expiry"},
		{"exp beyond all dates", change("exp", 1e300), "no date"},
		{"nbf is text", change("nbf", "now"), "nbf"},
		{"duplicated claim within a claim", good.sign(t, `{"iss":"`+issuer+`","sub":"alice","realm_access":{"roles":["a"],"roles":["root"]},"aud":"`+audience+`","exp":9999999999}`, nil), "claims"},
		{"claims are no UTF-8", good.sign(t, "{\"iss\":\""+issuer+"\",\"sub\":\"al\xffice\",\"aud\":\""+audience+"\",\"exp\":9999999999}", nil), "claims"},
		{"a key of its own", other.sign(t, claims(now, nil), map[jose.HeaderKey]any{"jwk": other.pub}), "signature does not fit"},
		{"a key's URL of its own", other.sign(t, claims(now, nil), map[jose.HeaderKey]any{"jku": "https://evil.example/keys"}), "signature does not fit"},
		{"a critical extension", critical(t, good, claims(now, nil)), "signature does not fit"},
		{"another algorithm than its key's", pss.sign(t, claims(now, nil), nil), "signature does not fit"},
		{"JWS JSON", `{"payload":"e30","signatures":[]}`, "no JWT"},
		{"an encrypted token", "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.a.b.c.d", "no JWT"},
		{"another type of JWT", good.sign(t, claims(now, nil), map[jose.HeaderKey]any{"typ": "logout+jwt"}), "type"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, _, err := v.Verify(t.Context(), tt.token, now)
			bad, ok := errors.AsType[*token.Invalid](err)
			if !ok || !strings.Contains(bad.Reason, tt.reason) {
				t.Errorf("got %v, want a reason with %q", err, tt.reason)
			}
			if len(bad.Error()) > 1000 {
				t.Errorf("the reason has %d bytes", len(bad.Error()))
			}
		})
	}
}

// FINDING 2.17
// REQ G-8: times as text, null times, and a time of issue that is none cost nobody their
// token.
func TestVerifyReadsTimesAsIssuersWrite(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := newSigner(t, "ES256", "k1")
	v := verifier(t, newIDP(t, s.pub).keySet(t), token.Expectations{Leeway: 30 * time.Second})
	for name, payload := range map[string]string{
		"text":             claims(now, map[string]any{"exp": fmt.Sprint(now.Add(time.Hour).Unix()), "iat": fmt.Sprint(now.Unix()), "nbf": fmt.Sprint(now.Unix())}),
		"null":             `{"iss":"` + issuer + `","sub":"alice","aud":"` + audience + `","exp":9999999999,"nbf":null,"iat":null}`,
		"iat is a date":    claims(now, map[string]any{"iat": "2026-11-29T03:00:00Z"}),
		"nbf soon":         claims(now, map[string]any{"nbf": now.Add(10 * time.Second).Unix()}),
		"a clock too fast": claims(now, map[string]any{"iat": now.Add(3 * time.Minute).Unix()}),
	} {
		if _, _, err := v.Verify(t.Context(), s.sign(t, payload, nil), now); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FINDING S19
// An ID token is for the client that asked for it, and opens no door; what issuers say
// of access tokens in the same words does.
func TestVerifyTellsIDTokens(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := newSigner(t, "ES256", "k1")
	keys := newIDP(t, s.pub).keySet(t)
	access, every := verifier(t, keys, token.Expectations{Access: true}), verifier(t, keys, token.Expectations{})
	for name, tt := range map[string]struct {
		changes map[string]any
		ok      bool
	}{
		"nothing tells":              {map[string]any{}, true},
		"nonce":                      {map[string]any{"nonce": "n"}, false},
		"at_hash":                    {map[string]any{"at_hash": "h"}, false},
		"nonce, and scopes":          {map[string]any{"nonce": "n", "scope": "a"}, true},
		"nonce, as Keycloak had it":  {map[string]any{"nonce": "n", "typ": "Bearer"}, true},
		"Keycloak's ID token":        {map[string]any{"typ": "ID"}, false},
		"Keycloak's refresh token":   {map[string]any{"typ": "Refresh", "scope": "a"}, false},
		"Cognito's ID token":         {map[string]any{"token_use": "id"}, false},
		"Cognito's access token":     {map[string]any{"token_use": "access"}, true},
		"a use that is not known":    {map[string]any{"token_use": "refresh"}, false},
		"typ of another kind of JWT": {map[string]any{"typ": "JWT"}, true},
	} {
		raw := s.sign(t, claims(now, tt.changes), map[jose.HeaderKey]any{"typ": "JWT"})
		if _, _, err := access.Verify(t.Context(), raw, now); (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
		if _, _, err := every.Verify(t.Context(), raw, now); err != nil {
			t.Errorf("%s, where ID tokens are looked at: %v", name, err)
		}
	}
}

// FINDING 2.12
// A token that names no audience is good for clients that are listed, and for those
// alone.
func TestVerifyAllowedClients(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := newSigner(t, "ES256", "k1")
	keys := newIDP(t, s.pub).keySet(t)
	for name, tt := range map[string]struct {
		changes             map[string]any
		both, clients, none bool // with audience and clients, clients alone, audience alone
	}{
		"its audience, listed":    {map[string]any{"client_id": "cli"}, true, false, true},
		"its audience, azp":       {map[string]any{"azp": "cli"}, true, false, true},
		"its audience, another":   {map[string]any{"client_id": "other", "azp": "cli"}, false, false, true},
		"its audience, no client": {map[string]any{}, false, false, true},
		"no audience, listed":     {map[string]any{"aud": nil, "client_id": "cli"}, true, true, false},
		"no audience, another":    {map[string]any{"aud": nil, "client_id": "other"}, false, false, false},
		"another's, listed":       {map[string]any{"aud": "https://other", "client_id": "cli"}, false, false, false},
		"an empty one, listed":    {map[string]any{"aud": []string{}, "client_id": "cli"}, false, false, false},
	} {
		raw := s.sign(t, claims(now, tt.changes), nil)
		for i, want := range []token.Expectations{
			{Audiences: []string{audience}, Clients: []string{"cli"}}, {Clients: []string{"cli"}}, {Audiences: []string{audience}},
		} {
			want.Issuer = issuer
			v, err := token.NewVerifier(keys, want)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := v.Verify(t.Context(), raw, now); (err == nil) != []bool{tt.both, tt.clients, tt.none}[i] {
				t.Errorf("%s, %d: %v", name, i, err)
			}
		}
	}
}

// FINDING 2.6
// Scopes are those of scope and scp together.
func TestScopes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"scope":"a b","scp":["b","c d"]}`: "a b c d",
		`{"scope":"","scp":"access"}`:       "access",
		`{"scope":["a","b"],"scp":null}`:    "a b",
		`{"scope":5}`:                       "",
	} {
		c, err := token.ParseClaims([]byte(text))
		if got := strings.Join(c.Scopes(), " "); got != want || err != nil {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
}

// critical signs claims under a header that nobody may ignore (RFC 7515 §4.1.11).
func critical(t *testing.T, s signer, payload string) string {
	t.Helper()
	return s.sign(t, payload, map[jose.HeaderKey]any{"crit": []string{"exp"}, "exp": 1})
}

func TestVerifyAllowsLeeway(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := newSigner(t, "ES256", "k1")
	v := verifier(t, newIDP(t, s.pub).keySet(t), token.Expectations{Leeway: time.Minute})
	for _, c := range []map[string]any{{"exp": now.Add(-50 * time.Second).Unix()}, {"nbf": now.Add(50 * time.Second).Unix()}} {
		if _, _, err := v.Verify(t.Context(), s.sign(t, claims(now, c), nil), now); err != nil {
			t.Errorf("%v: %v", c, err)
		}
	}
}

func TestVerifyAllowedAlgorithmsOnly(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := newSigner(t, "ES256", "k1")
	v := verifier(t, newIDP(t, s.pub).keySet(t), token.Expectations{Algorithms: []string{"RS256"}})
	if _, _, err := v.Verify(t.Context(), s.sign(t, claims(now, nil), nil), now); err == nil {
		t.Error("ES256 was accepted where only RS256 is allowed")
	}
	if _, err := token.NewVerifier(newIDP(t, s.pub).keySet(t), token.Expectations{Issuer: issuer, Audiences: []string{audience}, Algorithms: []string{"HS256"}}); err == nil {
		t.Error("HS256 can be allowed")
	}
}

func TestClaimPaths(t *testing.T) {
	t.Parallel()
	var c token.Claims
	if err := json.Unmarshal([]byte(`{"realm_access":{"roles":["a","b"]},"cognito:groups":["g"],"https://x.example/r":"one","a.b":"dotted","scp":["x"],"n":[1]}`), &c); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		path string
		want string
	}{
		{"realm_access.roles", "a,b"},
		{"cognito:groups", "g"},
		{"https://x.example/r", "one"},
		{"a.b", "dotted"},
		{"realm_access.none", ""},
		{"none", ""},
		{"n", ""},
		{"realm_access.roles.deeper", ""},
	}
	// REQ B-8
	for _, tt := range tests {
		if got := strings.Join(c.Texts(tt.path), ","); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.path, got, tt.want)
		}
	}
	if got := c.Scopes(); len(got) != 1 || got[0] != "x" {
		t.Errorf("scopes %q, want x", got)
	}
}
