package compile

import (
	"crypto/x509"
	"io"
	"net/http"

	"github.com/sallyport-dev/sallyport/internal/compile/plan"
	"github.com/sallyport-dev/sallyport/internal/keep"
	"github.com/sallyport-dev/sallyport/internal/netguard"
)

// acquire gives the part of a pool with this key for as long as the parts live: the one
// that is in use already, or a new one.
func acquire[V io.Closer](c *making, pool *keep.Pool[string, V], key string, open func() V) V {
	v, _ := tryAcquire(c, pool, key, func() (V, error) { return open(), nil })
	return v
}

// tryAcquire is acquire for what may not be made.
func tryAcquire[V io.Closer](c *making, pool *keep.Pool[string, V], key string, open func() (V, error)) (V, error) {
	v, release, err := pool.Acquire(key, open)
	if err == nil {
		c.parts.releases = append(c.parts.releases, release)
	}
	return v, err
}

// pool are the certificates of a PEM text; nil without one, for those of the system.
func pool(pem string) *x509.CertPool {
	if pem == "" {
		return nil
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(pem)) // the plan has found some there
	return roots
}

// tokenClient is the HTTP client for a token endpoint.
func (c *making) tokenClient(address string, allowPrivate bool) *http.Client {
	return c.guarded(plan.TokenPolicy(address, allowPrivate), nil)
}

// guarded dials what the policy admits, through the process's proxies.
func (c *making) guarded(policy netguard.Policy, roots *x509.CertPool) *http.Client {
	policy.Proxies = c.opts.Proxies
	return netguard.NewClient(policy, netguard.Options{Roots: roots})
}
