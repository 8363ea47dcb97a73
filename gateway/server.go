package gateway

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport-dev/sallyport/internal/audit"
	"github.com/sallyport-dev/sallyport/internal/authn"
	"github.com/sallyport-dev/sallyport/internal/authserver"
	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/keep"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/oauthclient"
	"github.com/sallyport-dev/sallyport/internal/ratelimit"
	"github.com/sallyport-dev/sallyport/internal/seal"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/store"
	"github.com/sallyport-dev/sallyport/internal/telemetry"
	"github.com/sallyport-dev/sallyport/internal/token"
	"github.com/sallyport-dev/sallyport/internal/trace"
)

// Options are the settings of the process, as opposed to those of a resource.
type Options struct {
	AllowedHosts   []string // names besides loopback ones that a loopback listener answers to
	AllowedOrigins []string // Origins of web pages besides the gateway's own, scheme://host[:port]
	TrustedProxy   ProxyTrust
	AdminTokens    []secret.Value // any of them opens the admin listener; none: it is open
	Cluster        authn.Cluster  // that this process is a pod of
	// ClientCertificates says that the listener verifies those that clients show.
	ClientCertificates bool
	PublicURL          string // how clients reach the gateway, if not as its requests say; "" if they do

	MaxBodyBytes  int64         // of a client's message
	MaxAnswer     int64         // bytes of a backend's answer that is no stream
	MaxEventBytes int           // of one event or stdio message
	MaxInFlight   int64         // requests and streams open at a time
	CallTimeout   time.Duration // from a request to the head of its answer
	Heartbeat     time.Duration // between comments on an idle stream; 0 for none
	Message       mcp.Limits

	SessionKeys [][]byte // 32 bytes each, the first seals; none for a random one
	// Store keeps what must outlive a request. It is whoever's who made it; nil for
	// one that ends with the server.
	Store       store.Store
	SharedRates ratelimit.Shared // buckets that replicas share; nil for the process's own
	Accounts    Accounts
	LookupEnv   func(string) (string, bool) // the environment, for client secrets of upstream providers; nil for none
	Audit       audit.Sink
	Metrics     *telemetry.Metrics
	Tracer      *trace.Tracer // nil traces nothing
	Log         *slog.Logger
}

// DefaultOptions are the limits that serve starts with.
func DefaultOptions() Options {
	return Options{
		MaxBodyBytes:  8 << 20,
		MaxAnswer:     64 << 20,
		MaxEventBytes: 16 << 20,
		MaxInFlight:   10_000,
		CallTimeout:   2 * time.Minute,
		Heartbeat:     20 * time.Second,
		Message:       mcp.DefaultLimits(),
		Audit:         audit.Discard{},
		Log:           slog.New(slog.DiscardHandler),
	}
}

// Server serves the endpoints of the current snapshot.
type Server struct {
	opts     Options
	ring     *seal.Ring
	hosts    map[string]bool
	origins  map[string]bool
	backends keep.Pool[string, backend.Backend]
	keySets  keep.Pool[string, *token.KeySet]
	albKeys  keep.Pool[string, *authn.ALBKeys]
	health   keep.Pool[string, *health]
	limiters keep.Pool[string, *ratelimit.Limiter]
	sources  keep.Pool[string, keptSource]
	accounts keep.Pool[string, *oauthclient.Client]
	// authServers are kept over configuration changes, and everybody signed in.
	authServers keep.Pool[string, *authserver.Server]
	checking    bool                           // compiles for nobody: nothing may be fetched
	stores      keep.Pool[string, store.Store] // that authorization servers have for themselves

	current   atomic.Pointer[Snapshot]
	swapping  sync.Mutex
	warned    map[string]string // what was said of each endpoint's door
	draining  atomic.Bool
	inFlight  atomic.Int64
	listening listening
	fronts    fronts
}

// NewServer makes a server without any endpoint; Apply gives it its first.
func NewServer(opts Options) (*Server, error) {
	ring, err := seal.NewRing(opts.SessionKeys...)
	if err != nil {
		return nil, err
	}
	if opts.LookupEnv == nil {
		opts.LookupEnv = func(string) (string, bool) { return "", false }
	}
	if opts.Store == nil {
		opts.Store = store.NewMemory()
	}
	s := &Server{opts: opts, ring: ring, warned: map[string]string{}, hosts: map[string]bool{}, origins: map[string]bool{}}
	for _, h := range opts.AllowedHosts {
		s.hosts[hostname(h)] = true
	}
	for _, o := range opts.AllowedOrigins {
		s.origins[o] = true
	}
	return s, nil
}

// Apply compiles a validated set and, if nothing is wrong with it, serves it from
// now on. Otherwise what was served goes on, and the error is a
// [manifest.Problems] that says everything that is wrong.
func (s *Server) Apply(set *manifest.Set) error {
	s.swapping.Lock()
	defer s.swapping.Unlock()
	next, problems, warnings := s.compile(set)
	if len(problems) > 0 {
		next.release()
		return problems
	}
	for _, w := range warnings {
		s.opts.Log.Warn("configuration is served, but not as it is meant", "problem", w.String())
	}
	before := s.current.Swap(next)
	s.announce(next)
	if before == nil {
		return nil
	}
	for name := range before.endpoints {
		if next.endpoints[name] == nil {
			s.opts.Metrics.Forget(name)
			delete(s.warned, name)
		}
	}
	s.listening.endWhere(func(e *Endpoint) bool { return next.fingerprint(e.name) != e.fingerprint }, errEndpointChanged)
	before.release()
	return nil
}

// announce says once per endpoint what operators should know of its outer door
// (REQ A-1, C-3).
func (s *Server) announce(snap *Snapshot) {
	if snap.entries > 0 {
		s.opts.Log.Info("MCPServerEntry resources are members of groups, which are not supported yet; they have no endpoint", "entries", snap.entries)
	}
	for name, e := range snap.endpoints {
		if e.doorWarning != "" && s.warned[name] != e.doorWarning {
			e.log.Warn(e.doorWarning, "path", "/servers/"+name+"/mcp")
		}
		s.warned[name] = e.doorWarning
	}
}

// ServeHTTP finds the endpoint that a path belongs to.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if len(r.TransferEncoding) > 0 {
		// There may have been a Content-Length too, which net/http drops. For a proxy
		// before the gateway that believes it, what follows the body is still part of
		// it; so nothing that follows is served (RFC 9112 §6.1).
		w.Header().Set("Connection", "close")
	}
	if s.draining.Load() {
		w.Header().Set("Connection", "close")
		writeError(w, mcp.Errorf(http.StatusServiceUnavailable, mcp.CodeInternal, "the gateway is shutting down"), nil)
		return
	}
	snap := s.take()
	if snap == nil {
		writeError(w, mcp.Errorf(http.StatusServiceUnavailable, mcp.CodeInternal, "the gateway is starting"), nil)
		return
	}
	defer snap.release()
	if strings.HasPrefix(r.URL.Path, metadataPath) {
		s.serveMetadata(w, r, snap)
		return
	}
	if strings.HasPrefix(r.URL.Path, assertionPath) {
		serveKeys(w, r, snap)
		return
	}
	if _, ok := plainLists[r.URL.Path]; ok && r.Method != http.MethodOptions {
		s.allowPage(w, r)
		s.serveLists(w, r, snap)
		return
	}
	if a := snap.authServerAt(r.URL.Path); a != nil {
		s.serveAuthServer(w, r, a)
		return
	}
	e, surface := snap.route(r.URL.Path)
	if e == nil {
		writeError(w, mcp.Errorf(http.StatusNotFound, mcp.CodeInvalidRequest, "nothing is served at this path; endpoints are /servers/NAME/mcp"), nil)
		return
	}
	if r.Method == http.MethodOptions {
		s.preflight(w, r, e.outgoing.passthrough)
		return
	}
	s.allowPage(w, r)
	if surface == surfaceList {
		e.serveList(w, r)
		return
	}
	e.serve(&Exchange{w: w, r: r, surface: surface})
}

// take acquires the current snapshot; nil before the first Apply.
func (s *Server) take() *Snapshot {
	for {
		snap := s.current.Load()
		if snap == nil || snap.acquire() {
			return snap
		}
	}
}

// route finds the endpoint and the surface of a path. With exactly one endpoint
// /mcp, /sse, /messages and /ws lead to it too.
func (snap *Snapshot) route(path string) (*Endpoint, surface) {
	e, last := snap.only, path
	if rest, ok := strings.CutPrefix(path, "/servers/"); ok {
		name, tail, _ := strings.Cut(rest, "/")
		e, last = snap.endpoints[name], "/"+tail
	}
	if e == nil {
		return nil, 0
	}
	switch last {
	case "/mcp":
		return e, surfaceHTTP
	case "/sse":
		return e, surfaceSSE
	case "/messages":
		return e, surfaceMessages
	case "/ws":
		return e, surfaceSocket
	case "/tools", "/prompts", "/resources":
		return e, surfaceList
	}
	return nil, 0
}

// Ready reports whether the server has something to serve and takes new requests.
func (s *Server) Ready() bool { return s.current.Load() != nil && !s.draining.Load() }

// BeginDrain refuses new requests and ends the streams that only listen. Requests
// under way go on. The channel is closed when those streams are gone, and the
// connections that carry requests too (HTTP+SSE, WebSocket).
func (s *Server) BeginDrain() <-chan struct{} {
	s.draining.Store(true)
	return s.listening.drain()
}

// Close gives up the current configuration: connections and processes end when
// the last exchange has.
func (s *Server) Close() error {
	s.swapping.Lock()
	defer s.swapping.Unlock()
	s.draining.Store(true)
	s.listening.drain()
	snap := s.current.Swap(nil)
	if snap == nil {
		return errors.New("gateway is closed already")
	}
	snap.release()
	return nil
}
