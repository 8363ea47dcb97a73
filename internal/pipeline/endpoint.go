package pipeline

import (
	"crypto/rand"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/audit"
	"github.com/sallyport-dev/sallyport/internal/authn"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/policy"
	"github.com/sallyport-dev/sallyport/internal/ratelimit"
	"github.com/sallyport-dev/sallyport/internal/recent"
	"github.com/sallyport-dev/sallyport/internal/telemetry"
	"github.com/sallyport-dev/sallyport/internal/trace"
)

// Config is all of an [Endpoint].
type Config struct {
	Name        string // of the resource: /servers/NAME/…
	Kind        string // of the resource
	Fingerprint string // of every setting; a stream that only listens ends when it changes

	Door       *authn.Resolver
	Protection *Protection // nil where nobody needs a token
	QueryToken bool        // a WebSocket's token may come in its query
	// Revoked calls end when what a caller has shown is taken back before its time, until
	// stop is called; nil where that cannot be.
	Revoked   func(claims map[string]any, end func()) (stop func())
	ClockSkew time.Duration
	Link      Link

	Rates []Rate // that calls of tools are held to
	// Called is the public name of the tool that a message calls, where that is not the one
	// it names; nil where it always is.
	Called func(*mcp.Envelope) string
	Places *Places     // of the process
	Own    *Places     // of this endpoint; nil where it has no limit of its own
	Policy *policy.Set // nil where everybody may do everything
	Target Target

	Message       mcp.Limits // of a client's message
	MaxEventBytes int        // of one event, or of a list that is looked at

	Audit   audit.Sink    // nil where nobody asked for events
	Recent  *recent.Calls // takes what was refused or failed; nil where nobody looks
	Metrics *telemetry.Server
	Tracer  *trace.Tracer // nil when nothing is traced
	Log     *slog.Logger
}

// Protection is what clients are told about getting a token for an endpoint.
type Protection struct {
	AuthorizationServers []string
	Scopes               []string
}

// Link is what the addresses depend on that clients of an endpoint are told.
type Link struct {
	Prefix       string         // spec.endpointPrefix
	TrustHeaders bool           // spec.trustProxyHeaders
	Proxies      []netip.Prefix // spec.trustedProxy.trustedProxies
	Resource     *url.URL       // spec.oidcConfigRef.resourceUrl; nil for where requests come to
	Origin       *url.URL       // of the gateway's own issuer of tokens for the endpoint; nil for none
	Outside      Outside        // spec.gateway
}

// Outside are host names of an endpoint's own, behind a Gateway that ends TLS and takes a
// prefix off.
type Outside struct {
	Hosts          []string // without port, in lower case; none where there is no Gateway
	Scheme, Prefix string   // of addresses there
}

// Has reports whether a host name without port is one of them.
func (o *Outside) Has(host string) bool { return slices.Contains(o.Hosts, strings.ToLower(host)) }

// Trusts reports whether a request comes from a proxy whose X-Forwarded-* count.
func (l *Link) Trusts(r *http.Request) bool {
	return l.TrustHeaders && l.Proxied(r)
}

// Proxied reports whether a request comes from a proxy that says who callers are.
func (l *Link) Proxied(r *http.Request) bool { return authn.Within(peer(r), l.Proxies) }

// Sender is who sends a request: the peer, or behind proxies that are trusted what they
// say. X-Forwarded-For is read from the right: what is left of the first one who is
// not trusted was written by a stranger.
func (l *Link) Sender(r *http.Request) netip.Addr { return l.sender(r, peer(r)) }

func (l *Link) sender(r *http.Request, nearest netip.Addr) netip.Addr {
	if !l.TrustHeaders || !authn.Within(nearest, l.Proxies) {
		return nearest
	}
	hops := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
	for _, hop := range slices.Backward(hops) {
		text := strings.TrimSpace(hop)
		addr, err := netip.ParseAddr(strings.Trim(text, "[]"))
		if err != nil {
			ap, err := netip.ParseAddrPort(text) // some proxies add the port
			if err != nil {
				return nearest
			}
			addr = ap.Addr()
		}
		if nearest = addr; !authn.Within(addr, l.Proxies) {
			return nearest
		}
	}
	return nearest
}

// Endpoint serves one resource at its paths. It is immutable, and safe for use by many
// goroutines.
type Endpoint struct {
	Config
	lists   *mcp.Lists
	steps   []step
	limited *ratelimit.Log // Log, for lines that may come in floods
}

// New makes an endpoint.
func New(cfg Config) *Endpoint {
	e := &Endpoint{Config: cfg, lists: &mcp.Lists{LeftOut: leftOut(cfg.Log)}, limited: ratelimit.NewLog(cfg.Log)}
	e.steps = e.path()
	return e
}

// step is one stop on a request's way. An error ends the way; it is written to
// the client by refuse and recorded by finish.
type step struct {
	name string
	run  func(*Exchange) *mcp.Error
}

// path is the request path, in order, the same for every kind of resource and
// every surface. To add a step, add a line. The order is part of the product's
// promise (REQ B-24) and each step has its place for a reason.
func (e *Endpoint) path() []step {
	return []step{
		{"receive", e.receive},     // first, and of the head alone: Host, Origin, type and announced size
		{"identify", e.identify},   // the outer door; before parse: no buffer and no parser for strangers
		{"parse", e.parse},         // read once, strictly; every later step sees this reading and no other
		{"limit", e.limit},         // before anything that calls out
		{"session", e.openSession}, // is it this caller's session, and at this backend?
		{"resolve", e.resolve},     // public name → the backend's, so that policy judges what will run
		{"filter", e.filter},       // arguments; cannot change what is called
		{"authorize", e.authorize}, // on what will really run
		{"forward", e.forward},     // the inner door last: credentials are obtained only for what was allowed
	}
}

// Serve carries one exchange along the path. finish runs always, also on panic.
func (e *Endpoint) Serve(x *Exchange) {
	x.Endpoint, x.start, x.ID = e, time.Now(), rand.Text()
	defer e.conclude(x, false)
	for i := range e.steps {
		if err := e.steps[i].run(x); err != nil {
			if x.reason == "" {
				x.reason = e.steps[i].name
			}
			e.refuse(x, err)
			return
		}
	}
}

// Detach leaves the rest of an exchange to [Exchange.Rest], which some other goroutine
// calls: its answer comes by a connection that goes on.
func (x *Exchange) Detach() { x.detached = true }

// Rest runs what is left of a detached exchange, to its end.
func (x *Exchange) Rest(run func() *mcp.Error) {
	defer x.Endpoint.conclude(x, true)
	if err := run(); err != nil {
		if x.reason == "" {
			x.reason = "forward"
		}
		x.Endpoint.refuse(x, err)
	}
}

// conclude ends an exchange, however it went. It is deferred.
func (e *Endpoint) conclude(x *Exchange, rest bool) {
	p := recover()
	if p != nil && p != http.ErrAbortHandler {
		e.panicked(x, p)
	}
	if rest || !x.detached {
		e.finish(x)
	}
	if p == http.ErrAbortHandler && !rest {
		panic(p) // net/http breaks the connection, so that a cut answer never looks whole
	}
}

// panicked makes a panic an error of this one exchange. It is called where the
// panic was recovered, so that the stack is still that of the panic.
func (e *Endpoint) panicked(x *Exchange, p any) {
	e.Log.Error("panic while serving a request", "id", x.ID, "panic", p, "stack", string(debug.Stack()))
	e.refuse(x, mcp.Errorf(http.StatusInternalServerError, mcp.CodeInternal, "internal error, see the gateway's log for %s", x.ID))
	x.Fail("panic", nil)
}

// receive looks at a request's head: the method, the Host and Origin it names, the type
// of its body and the size that it announces.
func (e *Endpoint) receive(x *Exchange) *mcp.Error { return x.Client.Receive(x) }

// openSession finds the session that the client presents. One that the gateway did
// not make, or made for somebody else, is unknown.
func (e *Endpoint) openSession(x *Exchange) *mcp.Error { return x.Client.FindSession(x) }

// filter lets request filters see the arguments; none can be configured yet.
func (e *Endpoint) filter(*Exchange) *mcp.Error { return nil }

// forward shows the message to the target and brings the answer back.
func (e *Endpoint) forward(x *Exchange) *mcp.Error { return x.Client.Forward(x) }
