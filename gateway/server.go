package gateway

import (
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport-dev/sallyport/internal/audit"
	"github.com/sallyport-dev/sallyport/internal/authn"
	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/compile"
	"github.com/sallyport-dev/sallyport/internal/compile/plan"
	"github.com/sallyport-dev/sallyport/internal/console"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/netguard"
	"github.com/sallyport-dev/sallyport/internal/pipeline"
	"github.com/sallyport-dev/sallyport/internal/ratelimit"
	"github.com/sallyport-dev/sallyport/internal/recent"
	"github.com/sallyport-dev/sallyport/internal/registry"
	"github.com/sallyport-dev/sallyport/internal/seal"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/store"
	"github.com/sallyport-dev/sallyport/internal/surface"
	"github.com/sallyport-dev/sallyport/internal/telemetry"
	"github.com/sallyport-dev/sallyport/internal/trace"
)

// Options are the settings of the process, as opposed to those of a resource.
type Options struct {
	AllowedHosts   []string // names besides loopback ones that a loopback listener answers to
	AllowedOrigins []string // Origins of web pages besides the gateway's own, scheme://host[:port]
	TrustedProxy   plan.ProxyTrust
	AdminTokens    []secret.Value // any of them opens the admin listener; none: it is open
	Cluster        authn.Cluster  // that this process is a pod of
	// Proxies are those through which connections leave; nil for none.
	Proxies *netguard.Proxies
	// ClientCertificates says that the listener verifies those that clients show.
	ClientCertificates bool
	Reach              plan.Reach
	Registry           registry.Mode
	PublicURL          string // how clients reach the gateway, if not as its requests say; "" if they do

	MaxBodyBytes  int64         // of a client's message
	MaxAnswer     int64         // bytes of a backend's answer that is no stream
	MaxEventBytes int           // of one event or stdio message
	MaxInFlight   int64         // requests and streams open at a time
	CallTimeout   time.Duration // from a request to the head of its answer
	Heartbeat     time.Duration // between comments on an idle stream; 0 for none
	HealthEvery   time.Duration // between questions to a backend whether it is there; 0 for none
	Message       mcp.Limits

	SessionKeys [][]byte // 32 bytes each, the first seals; none for a random one
	// Store keeps what must outlive a request. It is whoever's who made it; nil for
	// one that ends with the server.
	Store       store.Store
	SharedRates ratelimit.Shared // buckets that replicas share; nil for the process's own
	Accounts    compile.Accounts
	// KeptKey is a key that outlasts the process even where the store does not; nil for
	// none.
	KeptKey   func() ([]byte, error)
	LookupEnv func(string) (string, bool) // the environment, for client secrets of upstream providers; nil for none
	Audit     audit.Sink
	Recent    *recent.Calls // that were refused or failed, for the console; nil for no console
	Metrics   *telemetry.Metrics
	Tracer    *trace.Tracer // nil traces nothing
	Log       *slog.Logger
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
		HealthEvery:   30 * time.Second,
		Message:       mcp.DefaultLimits(),
		Registry:      registry.Off,
		Audit:         audit.Discard{},
		Log:           slog.New(slog.DiscardHandler),
	}
}

// Server serves the endpoints of the current snapshot.
type Server struct {
	opts     Options
	surfaces *surface.Surfaces
	places   *pipeline.Places
	keyNames []string       // of what sessions are sealed with
	maker    *compile.Maker // with all that outlives a change of configuration
	each     *compile.Each[described]

	current   atomic.Pointer[Snapshot]
	swapping  sync.Mutex
	warned    map[string][]string // what was said of each endpoint's door
	leaving   atomic.Bool         // no longer ready, but serving
	draining  atomic.Bool
	firstKeys firstKeys
	console   *console.Console
	listener  atomic.Pointer[string] // the address that clients come to, once there is one
	refused   atomic.Pointer[string] // why the last configuration is not served; nil where it is
}

// NewServer makes a server without any endpoint; Apply gives it its first.
func NewServer(opts Options) (*Server, error) {
	ring, err := seal.NewRing(opts.SessionKeys...)
	if err != nil {
		return nil, err
	}
	if opts.Store == nil {
		opts.Store = store.NewMemory()
	}
	s := &Server{opts: opts, places: pipeline.NewPlaces(opts.MaxInFlight), keyNames: ring.Names(), warned: map[string][]string{}}
	s.surfaces = surface.New(surface.Config{
		AllowedHosts: opts.AllowedHosts, AllowedOrigins: opts.AllowedOrigins, PublicURL: opts.PublicURL,
		MaxBodyBytes: opts.MaxBodyBytes, MaxEventBytes: opts.MaxEventBytes,
		CallTimeout: opts.CallTimeout, Heartbeat: opts.Heartbeat, Ring: ring, Log: opts.Log,
	})
	s.maker = compile.NewMaker(compile.Options{
		Limits:  backend.Limits{AnswerTimeout: opts.CallTimeout, MaxAnswerBytes: opts.MaxAnswer, MaxEventBytes: opts.MaxEventBytes},
		Message: opts.Message, Places: s.places, Ring: ring,
		Cluster: opts.Cluster, Proxies: opts.Proxies, PublicURL: opts.PublicURL, Store: opts.Store, SharedRates: opts.SharedRates,
		Accounts: opts.Accounts, KeptKey: opts.KeptKey, Audit: opts.Audit, Recent: opts.Recent, Metrics: opts.Metrics, Tracer: opts.Tracer, Log: opts.Log,
		Resource: s.resourceFor, Address: s.callerAddress, Endpoints: s.endpointsOf, Events: func(of compile.Name) audit.Sink { return &authEvents{s, of} },
	})
	s.each = compile.NewEach(s.maker, s.describe)
	s.console = console.New(console.Config{Now: s.now, Recent: opts.Recent, Metrics: opts.Metrics, Tokens: opts.AdminTokens, Operator: s.operator, Log: opts.Log})
	return s, nil
}

// Apply compiles a validated set and, if nothing is wrong with it, serves it from
// now on. Otherwise what was served goes on, and the error is a
// [manifest.Problems] that says everything that is wrong.
func (s *Server) Apply(set *manifest.Set) error {
	s.swapping.Lock()
	defer s.swapping.Unlock()
	if set.Units != nil {
		s.applyEach(set)
		return nil
	}
	p := plan.Of(set, s.process())
	if len(p.Problems) > 0 {
		return p.Problems
	}
	parts, problems := s.maker.Make(p)
	if len(problems) > 0 {
		parts.Release()
		return problems
	}
	next := newSnapshot(parts)
	next.revision, next.since = set.Revision(), time.Now()
	next.described = s.describe(p)
	s.swap(next)
	return nil
}

// swap serves the next snapshot in place of the one before.
func (s *Server) swap(next *Snapshot) {
	before := s.current.Swap(next)
	if before == nil {
		return
	}
	for name := range before.endpoints {
		if next.endpoints[name] == nil {
			s.opts.Metrics.Forget(name)
			delete(s.warned, name)
		}
	}
	s.surfaces.EndStale(func(e *pipeline.Endpoint) bool { return next.fingerprint(e.Name) != e.Fingerprint })
	before.release()
}

// process are the settings that plans depend on.
func (s *Server) process() plan.Process {
	return plan.Process{
		TrustedProxy: s.opts.TrustedProxy, PublicURL: s.opts.PublicURL, ClientCertificates: s.opts.ClientCertificates,
		ClusterKeysURL: s.opts.Cluster.KeysURL(), KeepsSignIns: s.opts.Accounts.Vault != nil, LookupEnv: s.opts.LookupEnv, Reach: s.opts.Reach,
	}
}

// announce says once per endpoint what operators should know of its outer door
// (REQ A-1, C-3).
func (s *Server) announce(p *plan.Plan) {
	for _, e := range p.Endpoints {
		for _, note := range e.Notes {
			if !slices.Contains(s.warned[e.Name], note) {
				s.opts.Log.Warn(note, "server", e.Name, "path", e.Paths[0])
			}
		}
		s.warned[e.Name] = e.Notes
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
	if s.leaving.Load() {
		w.Header().Set("Connection", "close")
	}
	snap := s.take()
	if snap == nil {
		if s.draining.Load() {
			surface.WriteError(w, pipeline.ShuttingDown(), nil)
			return
		}
		surface.WriteError(w, mcp.Errorf(http.StatusServiceUnavailable, mcp.CodeInternal, "the gateway is starting"), nil)
		return
	}
	defer snap.release()
	if s.draining.Load() && !snap.carriesMessage(r) {
		surface.WriteError(w, pipeline.ShuttingDown(), nil)
		return
	}
	switch path := r.URL.Path; {
	case strings.HasPrefix(path, surface.MetadataPath):
		r.URL.Path = surface.MetadataPath + snap.ownPath(strings.TrimPrefix(path, surface.MetadataPath))
		s.surfaces.ServeMetadata(w, r, snap.route)
		return
	case strings.HasPrefix(path, plan.AssertionPath):
		serveKeys(w, r, snap)
		return
	case registry.At(path) && s.opts.Registry != registry.Off:
		s.serveRegistry(w, r, snap)
		return
	case surface.IsListOfAll(path) && r.Method != http.MethodOptions:
		s.surfaces.ServeLists(w, r, snap.served)
		return
	}
	if a := s.authServerAt(snap, r.URL.Path); a != nil {
		s.serveAuthServer(w, r, a)
		return
	}
	e, kind := snap.route(r.URL.Path)
	if e == nil {
		surface.WriteError(w, mcp.Errorf(http.StatusNotFound, mcp.CodeInvalidRequest, "nothing is served at this path; endpoints are /servers/NAME/mcp"), nil)
		return
	}
	if visited(r, kind) {
		s.welcome(w, r, snap.endpoints[e.Name])
		return
	}
	s.surfaces.Serve(w, r, e, kind)
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

// ownPath is the path that an endpoint has at the gateway, for one that it has elsewhere
// by a resourceUrl of its own.
func (snap *Snapshot) ownPath(path string) string {
	for name, e := range snap.endpoints {
		if e.Link.Resource == nil {
			continue
		}
		front, isSurface := strings.CutSuffix(e.Link.Resource.Path, "/mcp")
		rest, ok := strings.CutPrefix(path, front)
		switch {
		case !isSurface && path == e.Link.Resource.Path:
			return "/servers/" + name + "/mcp"
		case isSurface && ok && rest != "" && surface.At(strings.TrimSuffix(rest, "/")) != 0:
			return "/servers/" + name + rest
		}
	}
	return path
}

// route finds the endpoint and the surface of a path. With exactly one endpoint
// /mcp, /sse, /messages and /ws lead to it too.
func (snap *Snapshot) route(path string) (*pipeline.Endpoint, surface.Kind) {
	e, last := snap.only, path
	if rest, ok := strings.CutPrefix(path, "/servers/"); ok {
		name, tail, _ := strings.Cut(rest, "/")
		e, last = snap.served[name], "/"+tail
	}
	kind := surface.At(last)
	if kind == 0 { // one slash more is the same address
		if kind = surface.At(strings.TrimSuffix(last, "/")); kind == surface.List {
			kind = 0
		}
	}
	if e == nil || kind == 0 {
		return nil, 0
	}
	return e, kind
}

// Close gives up the current configuration: connections and processes end when
// the last exchange has.
func (s *Server) Close() error {
	s.swapping.Lock()
	defer s.swapping.Unlock()
	s.BeginDrain()
	snap := s.current.Swap(nil)
	if snap == nil {
		return errors.New("gateway is closed already")
	}
	s.each.Close()
	snap.release()
	return nil
}
