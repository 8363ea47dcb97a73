package backend_test

import (
	"crypto/x509"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/backend"
)

func diff(t *testing.T, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

// trust makes a backend trust the test servers' certificate.
func trust(rs ...*recorder) func(*backend.HTTPConfig) {
	return func(cfg *backend.HTTPConfig) {
		cfg.RootCAs = x509.NewCertPool()
		for _, r := range rs {
			if c := r.Certificate(); c != nil {
				cfg.RootCAs.AddCert(c)
			}
		}
	}
}
