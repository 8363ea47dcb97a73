package authn_test

import (
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/authn"
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

// One that was not costs at most 200 µs.
func BenchmarkJWTCold(b *testing.B) {
	k := newKey(b, "k1")
	checker := jwt(b, authn.Mapping{}, k)
	tok, now := k.sign(b, good(nil)), time.Now()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := checker.Check(b.Context(), tok, now); err != nil {
			b.Fatal(err)
		}
	}
}
