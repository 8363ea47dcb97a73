package authn_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/sallyport-dev/sallyport/internal/authn"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// A token that was verified before costs a hash and a look-up.
func BenchmarkBearerWarm(b *testing.B) {
	k := newKey(b, "k1")
	m := authn.NewBearer(authn.BearerConfig{JWT: jwt(b, authn.Mapping{}, k)})
	r := bearer(k.sign(b, good(nil)))
	b.ReportAllocs()
	for b.Loop() {
		if _, d := m.Authenticate(b.Context(), r); d != nil {
			b.Fatal(d)
		}
	}
}

// One that was not costs at most 200 µs, by either of the usual algorithms.
func BenchmarkJWTCold(b *testing.B) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		b.Fatal(err)
	}
	k := newKey(b, "k1")
	for alg, signer := range map[jose.SignatureAlgorithm]crypto.Signer{jose.ES256: k.private, jose.RS256: private} {
		b.Run(string(alg), func(b *testing.B) {
			tok, keys := signedBy(b, alg, signer)
			v, err := token.NewVerifier(keys, token.Expectations{Issuer: issuer, Audiences: []string{audience}})
			if err != nil {
				b.Fatal(err)
			}
			checker, now := authn.NewJWT(v, authn.Mapping{}), time.Now()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := checker.Check(b.Context(), tok, now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// signedBy is a good token of an algorithm, and the set its key is in.
func signedBy(b *testing.B, alg jose.SignatureAlgorithm, private crypto.Signer) (string, *token.KeySet) {
	b.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: private}, (&jose.SignerOptions{}).WithHeader("kid", "k"))
	if err != nil {
		b.Fatal(err)
	}
	payload, err := json.Marshal(good(nil))
	if err != nil {
		b.Fatal(err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		b.Fatal(err)
	}
	text, err := jws.CompactSerialize()
	if err != nil {
		b.Fatal(err)
	}
	s := serve(b, func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: private.Public(), KeyID: "k", Use: "sig", Algorithm: string(alg)}}})
	})
	return text, keySetAt(b, s.URL, s.Client())
}
