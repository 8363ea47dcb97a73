package oauthclient

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"time"

	"github.com/sallyport-dev/sallyport/internal/netguard"
)

// NewHTTPClient makes the client for what a remote names: guarded at every dial,
// following no redirect, with short limits. Nil roots are the system's.
func NewHTTPClient(allowPrivate bool, roots *x509.CertPool) *http.Client {
	const dial, whole = 10 * time.Second, 20 * time.Second
	transport := func(p netguard.Policy) *http.Transport {
		return &http.Transport{
			// No Proxy: the guard sees the address that is really dialled.
			DialContext:            p.Dialer(dial).DialContext,
			TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    dial,
			ForceAttemptHTTP2:      true,
			MaxResponseHeaderBytes: 64 << 10,
			MaxIdleConnsPerHost:    1,
			IdleConnTimeout:        10 * time.Second,
		}
	}
	return &http.Client{
		Timeout: whole,
		Transport: &bySchemes{
			plain:  transport(netguard.Policy{AllowPrivate: allowPrivate, PlainOnlyPrivate: true}),
			secure: transport(netguard.Policy{AllowPrivate: allowPrivate}),
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// bySchemes keeps plain http inside a machine or a private network.
type bySchemes struct{ plain, secure *http.Transport }

func (t *bySchemes) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme == "http" {
		return t.plain.RoundTrip(req)
	}
	return t.secure.RoundTrip(req)
}

// CloseIdleConnections is what http.Client calls.
func (t *bySchemes) CloseIdleConnections() {
	t.plain.CloseIdleConnections()
	t.secure.CloseIdleConnections()
}
