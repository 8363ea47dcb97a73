package gateway

import (
	"crypto/sha256"
	"encoding/json"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/listing"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/oauthclient"
	"github.com/sallyport-dev/sallyport/internal/ratelimit"
	"github.com/sallyport-dev/sallyport/internal/telemetry"
)

// compiler turns a set of resources into a snapshot. It goes on after a problem,
// so that a person sees all of them at once.
type compiler struct {
	server   *Server
	set      *manifest.Set
	snap     *Snapshot
	named    map[string]*manifest.Object // which object took an endpoint's name
	problems manifest.Problems
	warnings manifest.Problems // what cannot be meant, but can be served

	credentials map[objectKey]credentialMaker // nil: none, or one that is wrong
	assertions  map[string]*manifest.Object   // which object took an address for keys
	authServers map[objectKey]*embedded       // nil: one that is wrong
	placed      []placed                      // authorization servers that have their paths
}

// compile makes a snapshot of set. With problems the snapshot is to be released,
// not served; with warnings alone it can be.
func (s *Server) compile(set *manifest.Set) (_ *Snapshot, problems, warnings manifest.Problems) {
	c := &compiler{
		server: s, set: set,
		snap:  &Snapshot{endpoints: map[string]*Endpoint{}, accounts: map[string]*oauthclient.Client{}, assertionKeys: map[string][]byte{}},
		named: map[string]*manifest.Object{},

		credentials: map[objectKey]credentialMaker{}, assertions: map[string]*manifest.Object{},
		authServers: map[objectKey]*embedded{},
	}
	c.snap.uses.Store(1)
	for _, o := range manifest.All[v1alpha1.MCPExternalAuthConfig](set) {
		c.authServer(o)
		c.credential(o)
	}
	for _, o := range manifest.All[v1alpha1.MCPRemoteProxy](set) {
		c.remoteProxy(o)
	}
	for _, o := range manifest.All[v1alpha1.MCPServer](set) {
		c.localServer(o)
	}
	for _, o := range manifest.All[v1alpha1.MCPServerEntry](set) {
		c.serverEntry(o)
	}
	if len(c.snap.endpoints) == 1 {
		for _, e := range c.snap.endpoints {
			c.snap.only = e
		}
	}
	return c.snap, c.problems.Sort(), c.warnings.Sort()
}

// newCheckServer is a server that only compiles.
func newCheckServer() *Server {
	opts := DefaultOptions()
	opts.Metrics = telemetry.NewMetrics("")
	s, err := NewServer(opts)
	if err != nil {
		panic(err) // only a bad session key can fail, and there is none
	}
	s.checking = true
	return s
}

// problem notes what is wrong with a field of an object.
func (c *compiler) problem(o *manifest.Object, field, format string, args ...any) {
	c.problems = append(c.problems, o.Problem(field, format, args...))
}

// missing notes that a reference names nothing. An object that is there and has
// problems of its own has been spoken of already.
func (c *compiler) missing(o *manifest.Object, field, kind, name string) {
	if _, ok := c.set.Find(kind, o.Namespace, name); !ok {
		c.problem(o, field, "there is no %s %q; add it to the manifests", kind, name)
	}
}

// endpoint adds an endpoint for an object, whose backend is good already.
func (c *compiler) endpoint(o *manifest.Object, e *Endpoint, spec any) {
	if taken := c.named[o.Name]; taken != nil {
		c.problem(o, "metadata.name", "%s %s has the endpoint /servers/%s already; give one of them another name", taken.Kind, taken.Name, o.Name)
		return
	}
	c.named[o.Name] = o
	s := c.server
	e.name, e.kind = o.Name, o.Kind
	e.fingerprint = digest(append(e.settings, spec, e.backendKey, e.outgoing.static, e.outgoing.passthrough, e.outgoing.settings)...)
	e.settings = nil
	e.lists = &mcp.Lists{}
	e.lister = listing.New(o.Name, e.backend, listing.Limits{MaxBytes: int(s.opts.MaxAnswer), MaxPageBytes: s.opts.MaxEventBytes})
	var release func()
	e.health, release, _ = s.health.Acquire(e.backendKey, func() (*health, error) { return &health{}, nil })
	c.snap.releases = append(c.snap.releases, release)
	e.server = s
	e.metrics = s.opts.Metrics.Server(o.Name)
	e.tracing.begin(s.opts.Tracer)
	e.log = s.opts.Log.With("server", o.Name)
	e.sessions = sealer{ring: s.ring, endpoint: o.Name, backendKey: e.backendKey}
	e.steps = e.path()
	c.snap.endpoints[o.Name] = e
}

// reach gives the backend with these settings: the one that is open already, or a
// new one. Nothing is dialled or started before the first request.
func (c *compiler) reach(o *manifest.Object, key string, open func() (backend.Backend, error)) backend.Backend {
	b, release, err := c.server.backends.Acquire(key, open)
	if err != nil {
		c.problem(o, "spec", "%v", err)
		return nil
	}
	c.snap.releases = append(c.snap.releases, release)
	return b
}

// toolConfig compiles what clients see of an object's tools.
func (c *compiler) toolConfig(o *manifest.Object, ref *v1alpha1.ObjectRef, e *Endpoint) {
	if ref == nil {
		return
	}
	cfg, ok := manifest.Get[v1alpha1.MCPToolConfig](c.set, o.Namespace, string(ref.Name))
	if !ok {
		c.missing(o, "spec.toolConfigRef.name", "MCPToolConfig", string(ref.Name))
		return
	}
	e.tools = newToolView(&cfg.Value.Spec)
	e.settings = append(e.settings, cfg.Value.Spec)
}

// rateLimits compiles how often tools may be called. Buckets that are configured
// the same keep their level over a configuration change.
func (c *compiler) rateLimits(o *manifest.Object, r *v1alpha1.RateLimiting, e *Endpoint) {
	if r == nil {
		return
	}
	add := func(b *v1alpha1.RateBucket, tool string, perUser bool) {
		if b == nil {
			return
		}
		rt := ratelimit.Rate{Burst: int(b.MaxTokens), Period: b.RefillPeriod.Duration()}
		name := digest("rate", o.Namespace, o.Kind, o.Name, tool, perUser, rt)
		limiter, release, _ := c.server.limiters.Acquire(name, func() (*ratelimit.Limiter, error) {
			if shared := c.server.opts.SharedRates; shared != nil {
				return ratelimit.NewShared(rt, name, shared), nil
			}
			return ratelimit.New(rt), nil
		})
		c.snap.releases = append(c.snap.releases, release)
		e.rates = append(e.rates, rate{limiter: limiter, tool: tool, perUser: perUser})
	}
	add(r.Shared, "", false)
	add(r.PerUser, "", true)
	for _, t := range r.Tools {
		add(t.Shared, string(t.Name), false)
		add(t.PerUser, string(t.Name), true)
	}
}

// auditing says where an object's events go; nil when they are not asked for.
func (c *compiler) auditing(e *Endpoint, a *v1alpha1.Audit) {
	if a != nil && a.Enabled {
		e.audit = c.server.opts.Audit
	}
}

// digest is a short name for settings that are equal. It stays in memory: it may
// be made of secrets.
func digest(settings ...any) string {
	h := sha256.New()
	enc := json.NewEncoder(h)
	for _, s := range settings {
		if err := enc.Encode(s); err != nil {
			panic(err) // settings are plain data
		}
	}
	return string(h.Sum(nil)[:16])
}
