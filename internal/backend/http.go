package backend

import (
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/sallyport-dev/sallyport/internal/h1"
	"github.com/sallyport-dev/sallyport/internal/netguard"
)

// HTTPConfig describes a backend that is reached by its URL.
type HTTPConfig struct {
	Name string   // of the resource; it is what clients are told, the URL is not
	URL  *url.URL // http or https, without userinfo and fragment

	// AllowPrivate admits loopback and private addresses, at every hop.
	AllowPrivate bool
	// EachAddress says that each address of the host is a server of its own, with
	// sessions that the others do not know.
	EachAddress bool
	// Lookup finds the addresses of a host; nil: the system's resolver.
	Lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)
	// Proxies are those through which connections leave; nil for none.
	Proxies   *netguard.Proxies
	Redirects Redirects
	RootCAs   *x509.CertPool // nil: the system's
	Limits    Limits

	Log       *slog.Logger // its lines should already carry the server's name; nil: none
	Metrics   Metrics      // nil: none
	UserAgent string       // "" sends "sallyport"
}

// Redirects says which redirects are followed beyond those on the same host.
type Redirects struct {
	AllowedHosts   []string // host names without port
	AllowDowngrade bool     // from https to http
}

// Metrics counts what the gateway cannot see from outside.
type Metrics interface {
	// Redirected counts a redirect that was followed, by its status.
	Redirected(status int)
	// Dropped counts a message of a backend that reached nobody, by why not.
	Dropped(why string)
}

// HTTP is a backend that speaks Streamable HTTP. It is safe for use by many
// goroutines.
type HTTP struct {
	name      string
	target    *target
	addresses *addresses // nil where the host is one server
	redirects Redirects
	limits    Limits
	log       *slog.Logger
	metrics   Metrics
	agent     string // the value of User-Agent

	// plain takes http hops, and secure takes https ones. Both follow no redirects and
	// send nothing again that may have been processed.
	plain     *h1.Transport
	secure    *http.Transport
	dialers   []*dialer
	closeOnce sync.Once
	quiet     atomic.Bool // it answers GET otherwise than it should
}

var _ Backend = (*HTTP)(nil)

// NewHTTP prepares a backend; it connects to nothing yet.
func NewHTTP(cfg HTTPConfig) (*HTTP, error) {
	if cfg.URL == nil {
		return nil, fmt.Errorf("open backend %s: no URL", cfg.Name)
	}
	t, err := newTarget(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("open backend %s: %w", cfg.Name, err)
	}
	b := &HTTP{
		name:   cfg.Name,
		target: t,
		redirects: Redirects{
			AllowedHosts:   append(slices.Clone(cfg.Redirects.AllowedHosts), t.host),
			AllowDowngrade: cfg.Redirects.AllowDowngrade,
		},
		limits:  cfg.Limits.WithDefaults(),
		log:     cfg.Log,
		metrics: cfg.Metrics,
		agent:   cmp.Or(cfg.UserAgent, "sallyport"),
	}
	if cfg.EachAddress {
		if b.addresses, err = newAddresses(t, cfg.Lookup); err != nil {
			return nil, fmt.Errorf("open backend %s: %w", cfg.Name, err)
		}
	}
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	if !h1.ValidValue(b.agent) {
		return nil, fmt.Errorf("open backend %s: the user agent holds a control character", cfg.Name)
	}
	// A plain-http URL in a manifest is for private addresses. After https, plain
	// http is reached by allowDowngrade alone, which admits public ones too.
	plainly := netguard.Policy{AllowPrivate: cfg.AllowPrivate, PlainOnlyPrivate: t.scheme == "http", Proxies: cfg.Proxies}
	securely := netguard.Policy{AllowPrivate: cfg.AllowPrivate, Proxies: cfg.Proxies}
	plain, secure := newDialer(plainly.PlainDialer(b.limits.ConnectTimeout)), newDialer(securely.Dialer(b.limits.ConnectTimeout))
	b.dialers = []*dialer{plain, secure}
	b.plain = newPlain(plain, b.limits)
	b.secure = newSecure(secure, cfg.RootCAs, b.limits)
	return b, nil
}

// Do implements [Backend].
func (b *HTTP) Do(ctx context.Context, req *Request) (*Response, error) {
	got, f := b.follow(ctx, req)
	if f != nil {
		return nil, f
	}
	a := answer{
		backend: b.name, limits: b.limits, log: b.log, quiet: &b.quiet,
		req: req, resp: got.Response, origin: got.from.origin, shown: got.shown,
	}
	out, f := a.check(ctx)
	if f != nil {
		closeBody(got.Body)
		return nil, b.challenged(f, got.from)
	}
	return out, nil
}

// challenged takes the challenge out of a failure that another origin than the
// configured one caused: it was shown no credential and gets none, so it has no say in
// which one there should be.
func (b *HTTP) challenged(f *Failure, by *target) *Failure {
	if !b.own(by) {
		f.Challenge = nil
	}
	return f
}

// Close implements [Backend]. Exchanges that are still going on break.
func (b *HTTP) Close() error {
	b.closeOnce.Do(func() {
		for _, d := range b.dialers {
			d.close()
		}
		b.plain.Close()
		b.secure.CloseIdleConnections()
	})
	return nil
}
