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
		{"expiry is text", change("exp", "tomorrow"), "no expiry"},
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
		{"exp is a string of digits", change("exp", fmt.Sprint(now.Add(time.Hour).Unix())), "no expiry"},
		{"exp beyond all dates", change("exp", 1e300), "no expiry"},
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
