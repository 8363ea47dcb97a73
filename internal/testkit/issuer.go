package testkit

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// Issuer signs whatever a test wants, well-formed or not, and serves its key the
// way identity providers, authenticating proxies and API servers do. For tokens as
// a real provider makes them there is [IdP].
type Issuer struct {
	*httptest.Server
	Key *ecdsa.PrivateKey
	KID string

	mu     sync.Mutex
	answer http.HandlerFunc // in place of the usual one
	asked  int
}

// rsaKey is the one RSA key of all issuers: making one takes long, and longer with the race detector.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// NewIssuer starts one on loopback, over plain http.
func NewIssuer(t testing.TB) *Issuer {
	t.Helper()
	i := unstartedIssuer(t)
	i.Start()
	return i
}

// NewTLSIssuer starts one over https.
func NewTLSIssuer(t testing.TB) *Issuer {
	t.Helper()
	i := unstartedIssuer(t)
	i.StartTLS()
	return i
}

func unstartedIssuer(t testing.TB) *Issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &Issuer{Key: key, KID: "key-1"}
	i.Server = httptest.NewUnstartedServer(i)
	t.Cleanup(func() {
		i.CloseClientConnections()
		i.Close()
	})
	return i
}

// Answer has requests answered otherwise from now on; nil for the usual way.
func (i *Issuer) Answer(h http.HandlerFunc) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.answer = h
}

// Asked is how many requests there were.
func (i *Issuer) Asked() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.asked
}

// ServeHTTP serves discovery, the key set at any path that ends with .json or jwks
// or certs, and the key as PEM under its id.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	i.asked++
	answer := i.answer
	i.mu.Unlock()
	if answer == nil {
		answer = i.Usual
	}
	answer(w, r)
}

// Usual is the usual answer.
func (i *Issuer) Usual(w http.ResponseWriter, r *http.Request) {
	switch path := r.URL.Path; {
	case strings.HasPrefix(path, "/.well-known/openid-configuration"):
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": i.URL, "jwks_uri": i.URL + "/jwks"})
	case strings.HasSuffix(path, ".json"), strings.HasSuffix(path, "jwks"), strings.HasSuffix(path, "certs"):
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(i.JWKS())
	case strings.HasSuffix(path, "/"+i.KID):
		_, _ = io.WriteString(w, i.PEM())
	default:
		http.NotFound(w, r)
	}
}

// JWK is the public key (RFC 7517).
func (i *Issuer) JWK() map[string]any {
	point, err := i.Key.PublicKey.Bytes() // uncompressed: 4, x, y
	if err != nil {
		panic(err) // a key of ours is on its curve
	}
	return map[string]any{
		"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": i.KID,
		"x": base64.RawURLEncoding.EncodeToString(point[1:33]), "y": base64.RawURLEncoding.EncodeToString(point[33:]),
	}
}

// RSAKID is the id of the RSA key.
const RSAKID = "rsa-1"

// RSAJWK is the other public key, which signs with RS256.
func (i *Issuer) RSAJWK() map[string]any {
	return map[string]any{
		"kty": "RSA", "use": "sig", "alg": "RS256", "kid": RSAKID, "e": "AQAB",
		"n": base64.RawURLEncoding.EncodeToString(rsaKey().N.Bytes()),
	}
}

// JWKS is the key set.
func (i *Issuer) JWKS() []byte {
	set, err := json.Marshal(map[string]any{"keys": []any{i.JWK(), i.RSAJWK()}})
	if err != nil {
		panic(err) // texts
	}
	return set
}

// PEM is the public key as AWS serves it.
func (i *Issuer) PEM() string {
	der, err := x509.MarshalPKIXPublicKey(i.Key.Public())
	if err != nil {
		panic(err) // a key of ours
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// Claims are those of a token that is good for an hour, longer than a test that waits
// for others; changes are laid over them, and nil ones are
// left out.
func (i *Issuer) Claims(audience string, changes map[string]any) map[string]any {
	now := time.Now().Unix()
	return over(map[string]any{"iss": i.URL, "aud": audience, "sub": "alice", "iat": now, "exp": now + 3600}, changes)
}

// Sign makes a token of a header's changes and claims.
func (i *Issuer) Sign(header, claims map[string]any) string {
	head, err := json.Marshal(over(map[string]any{"alg": "ES256", "typ": "JWT", "kid": i.KID}, header))
	if err != nil {
		panic(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	return i.SignText(string(head), string(payload), base64.RawURLEncoding)
}

// SignRSA makes a token of claims that is signed with RS256.
func (i *Issuer) SignRSA(claims map[string]any) string {
	payload, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	enc := base64.RawURLEncoding
	text := enc.EncodeToString([]byte(`{"alg":"RS256","kid":"`+RSAKID+`"}`)) + "." + enc.EncodeToString(payload)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(nil, rsaKey(), crypto.SHA256, sum[:])
	if err != nil {
		panic(err)
	}
	return text + "." + enc.EncodeToString(signature)
}

// SignText signs texts as they are, with ES256.
func (i *Issuer) SignText(header, payload string, enc *base64.Encoding) string {
	text := enc.EncodeToString([]byte(header)) + "." + enc.EncodeToString([]byte(payload))
	sum := sha256.Sum256([]byte(text))
	signature, err := i.Key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		panic(err)
	}
	return text + "." + enc.EncodeToString(plainSignature(signature))
}

// plainSignature turns ASN.1 into the two numbers that JWS has (RFC 7518 §3.4).
func plainSignature(der []byte) []byte {
	rest, out := der[2:], make([]byte, 64)
	for n := range 2 {
		size := int(rest[1])
		number := rest[2 : 2+size]
		for len(number) > 32 {
			number = number[1:] // a zero that keeps it positive
		}
		copy(out[32*n+32-len(number):], number)
		rest = rest[2+size:]
	}
	return out
}

func over(base, changes map[string]any) map[string]any {
	maps.Copy(base, changes)
	maps.DeleteFunc(base, func(_ string, v any) bool { return v == nil })
	return base
}
