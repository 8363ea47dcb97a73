package backend

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/netguard"
)

// HTTPConfig describes a backend that is reached by its URL.
type HTTPConfig struct {
	Name string   // of the resource; it is what clients are told, the URL is not
	URL  *url.URL // http or https, without userinfo and fragment

	// AllowPrivate admits loopback and private addresses, at every hop.
	AllowPrivate bool
	Redirects    Redirects
	RootCAs      *x509.CertPool // nil: the system's
	Limits       Limits

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
}

// HTTP is a backend that speaks Streamable HTTP. It is safe for use by many
// goroutines.
type HTTP struct {
	name      string
	target    *target
	redirects Redirects
	limits    Limits
	log       *slog.Logger
	metrics   Metrics
	agent     string

	// plain takes http hops, and secure takes https ones.
	plain, secure sender
	dialers       []*dialer
	closeOnce     sync.Once
}

var _ Backend = (*HTTP)(nil)

// sender sends one request to one target and brings the head of the answer. It
// follows no redirects and retries nothing that may have been processed. Reading
// the body fails with io.ErrUnexpectedEOF when it breaks off; closing it early
// cancels the exchange, and is safe while another goroutine reads.
type sender interface {
	send(ctx context.Context, h *hop) (*http.Response, error)
	closeIdle()
}

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
		limits:  cfg.Limits.withDefaults(),
		log:     cfg.Log,
		metrics: cfg.Metrics,
		agent:   cfg.UserAgent,
	}
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	if b.agent == "" {
		b.agent = "sallyport"
	}
	if !validFieldValue(b.agent) {
		return nil, fmt.Errorf("open backend %s: the user agent holds a control character", cfg.Name)
	}
	// A plain-http URL in a manifest is for private addresses. After https, plain
	// http is reached by allowDowngrade alone, which admits public ones too.
	plain := newDialer(netguard.Policy{AllowPrivate: cfg.AllowPrivate, PlainOnlyPrivate: t.scheme == "http"}, b.limits.ConnectTimeout)
	secure := newDialer(netguard.Policy{AllowPrivate: cfg.AllowPrivate}, b.limits.ConnectTimeout)
	b.dialers = []*dialer{plain, secure}
	b.plain = newH1(plain, b.limits)
	b.secure = newSecure(secure, cfg.RootCAs, b.limits)
	return b, nil
}

// Do implements [Backend].
func (b *HTTP) Do(ctx context.Context, req *Request) (*Response, error) {
	resp, from, f := b.follow(ctx, req)
	if f != nil {
		return nil, f
	}
	a := answer{backend: b.name, limits: b.limits, req: req, resp: resp, origin: from.origin}
	out, f := a.check(ctx)
	if f != nil {
		closeBody(resp.Body)
		return nil, b.challenged(f, from.origin)
	}
	return out, nil
}

// challenged takes the challenge out of a failure that another origin than the
// configured one caused: it was shown no credential and gets none, so it has no say in
// which one there should be.
func (b *HTTP) challenged(f *Failure, by string) *Failure {
	if by != b.target.origin {
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
		b.plain.closeIdle()
		b.secure.closeIdle()
	})
	return nil
}

// hop is one HTTP request of an exchange.
type hop struct {
	method  string
	to      *target
	agent   string
	public  http.Header
	private http.Header // nil where the origin must not see it
	session string      // "" where the origin did not issue it
	body    []byte      // nil for GET and DELETE

	deadline time.Time // for the head of the answer
}

// idempotent reports whether sending h twice does what sending it once does
// (RFC 9110 §9.2.2). A POST may be a tools/call.
func (h *hop) idempotent() bool { return h.method != http.MethodPost }

func (b *HTTP) send(ctx context.Context, h *hop) (*http.Response, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	b.logRequest(ctx, h)
	s := b.plain
	if h.to.scheme == "https" {
		s = b.secure
	}
	resp, err := s.send(ctx, h)
	if err == nil {
		b.logAnswer(ctx, h, resp)
	}
	return resp, err
}
