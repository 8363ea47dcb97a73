package compile

import (
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/audit"
	"github.com/sallyport-dev/sallyport/internal/authn"
	"github.com/sallyport-dev/sallyport/internal/authserver"
	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/compile/plan"
	"github.com/sallyport-dev/sallyport/internal/composite"
	"github.com/sallyport-dev/sallyport/internal/credential"
	"github.com/sallyport-dev/sallyport/internal/embedding"
	"github.com/sallyport-dev/sallyport/internal/keep"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/netguard"
	"github.com/sallyport-dev/sallyport/internal/oauthclient"
	"github.com/sallyport-dev/sallyport/internal/pipeline"
	"github.com/sallyport-dev/sallyport/internal/ratelimit"
	"github.com/sallyport-dev/sallyport/internal/recent"
	"github.com/sallyport-dev/sallyport/internal/seal"
	"github.com/sallyport-dev/sallyport/internal/store"
	"github.com/sallyport-dev/sallyport/internal/telemetry"
	"github.com/sallyport-dev/sallyport/internal/token"
	"github.com/sallyport-dev/sallyport/internal/trace"
	"github.com/sallyport-dev/sallyport/internal/upstream"
	"github.com/sallyport-dev/sallyport/internal/virtual"
)

// Options are the settings of the process that parts are made with.
type Options struct {
	Limits      backend.Limits // of answers
	Message     mcp.Limits
	Ring        *seal.Ring        // seals what clients hold of conversations
	Places      *pipeline.Places  // for exchanges under way
	Cluster     authn.Cluster     // that this process is a pod of
	Proxies     *netguard.Proxies // through which connections leave; nil for none
	PublicURL   string
	Store       store.Store
	SharedRates ratelimit.Shared // buckets that replicas share; nil for the process's own
	Accounts    Accounts
	// KeptKey is a key that outlasts the process even where the store does not; nil for
	// none.
	KeptKey func() ([]byte, error)
	Audit   audit.Sink
	Recent  *recent.Calls // that were refused or failed; nil where nobody looks
	Metrics *telemetry.Metrics
	Tracer  *trace.Tracer // nil traces nothing
	Log     *slog.Logger
	// Checking makes parts for nobody: nothing is fetched, kept or said.
	Checking bool
	// Found, if not nil, hears which revision a server speaks, as far as that is found out.
	Found func(server string, rev mcp.Revision)
	// Resource says which endpoint's tokens a client may ask an authorization server
	// for, and Address who sends it a request, by the configuration of the moment.
	Resource func(Name) func(indicator string) (string, bool)
	Address  func(Name) func(*http.Request) string
	// Endpoints are those that people sign in for at an authorization server, as they
	// read of them.
	Endpoints func(Name) func() []authserver.Endpoint
	// Events is where an authorization server writes down what becomes of sign-ins.
	Events func(Name) audit.Sink
}

// Accounts say where the gateway's own accounts at remote servers are kept, and
// whether a person can be asked to sign in.
type Accounts struct {
	Vault   oauthclient.Vault    // nil keeps them in memory
	Browser *oauthclient.Browser // nil where there is nobody
}

// Name finds an object of a known kind.
type Name struct{ Namespace, Name string }

// Maker makes parts, and holds those that several configurations share.
type Maker struct {
	opts Options

	backends    keep.Pool[string, backend.Backend]
	keySets     keep.Pool[string, *token.KeySet]
	albKeys     keep.Pool[string, *authn.ALBKeys]
	limiters    keep.Pool[string, *ratelimit.Limiter]
	sources     keep.Pool[string, keptSource]
	accounts    keep.Pool[string, *oauthclient.Client]
	authServers keep.Pool[string, *authserver.Server]
	stores      keep.Pool[string, store.Store] // that authorization servers have for themselves
	health      keep.Pool[string, *upstream.Health]
	memories    keep.Pool[string, *virtual.Memory] // what virtual servers know of their clients
	embeddings  keep.Pool[string, *embedding.Client]
	composites  keep.Pool[string, *composite.Memory] // calls of composite tools that are under way
}

// NewMaker makes a maker that holds nothing yet.
func NewMaker(opts Options) *Maker { return &Maker{opts: opts} }

// Parts are what a plan was made into. They live until Release.
type Parts struct {
	Endpoints     []*Endpoint
	AuthServers   []*AuthServer
	Accounts      map[string]*oauthclient.Client // the gateway's own, by the name of the resource
	AssertionKeys map[string][]byte              // by the name of the MCPExternalAuthConfig
	KeySets       []KeySet                       // that callers are identified by
	Exchanges     []*credential.Exchange         // that credentials are made by, each once

	// Beside says that others may come beside them: no endpoint is the only one.
	Beside bool

	upstreams []planned
	releases  []func()
	shared    []*counted // in place of parts of its own
}

// planned is an upstream, and what it was made of.
type planned struct {
	plan *plan.Upstream
	*upstream.Upstream
}

// Release gives up the parts; what nobody else uses is closed.
func (p *Parts) Release() {
	if p.Beside {
		var releases []func()
		for _, c := range p.shared {
			releases = append(releases, c.release)
		}
		releaseAll(releases)
		return
	}
	for _, e := range p.Endpoints {
		e.Flush()
	}
	releaseAll(p.releases)
}

// releaseAll releases side by side: a program that does not end must not hold up the others.
func releaseAll(releases []func()) {
	var closing sync.WaitGroup
	for _, release := range releases {
		closing.Go(release)
	}
	closing.Wait()
}

// Endpoint is what is served of one resource, with what there is to know of it besides
// the way of its requests.
type Endpoint struct {
	*pipeline.Endpoint
	Title     string      // as people read of it
	About     string      // what it is for, for people
	SignIn    *AuthServer // that callers sign in with; nil for none
	Resources []string    // that tokens of SignIn may be for

	door *plan.Door
}

// making is one plan on its way to parts. It goes on after a problem.
type making struct {
	*Maker
	parts    *Parts
	alone    bool                             // there is one endpoint
	servers  map[*plan.AuthServer]*AuthServer // nil: one that could not be made
	problems manifest.Problems
}

// Make makes parts of a plan without problems. What is wrong shows here only where the
// parts themselves judge it; with problems the parts are to be released.
func (m *Maker) Make(p *plan.Plan) (*Parts, manifest.Problems) {
	return m.make(p, len(p.Endpoints) == 1)
}

// make is Make where the plan's endpoint may be alone in the process, or not.
func (m *Maker) make(p *plan.Plan, alone bool) (*Parts, manifest.Problems) {
	c := &making{
		Maker: m, alone: alone, servers: map[*plan.AuthServer]*AuthServer{},
		parts: &Parts{Accounts: map[string]*oauthclient.Client{}, AssertionKeys: map[string][]byte{}},
	}
	for _, a := range p.Assertions {
		c.publish(a)
	}
	for _, a := range p.AuthServers {
		c.authServer(a)
	}
	for _, e := range p.Endpoints {
		c.endpoint(e)
	}
	for _, u := range p.Members {
		c.upstream(u) // nothing uses it yet, and what is wrong with it shows
	}
	return c.parts, c.problems.Sort()
}

// bad notes what is wrong with a field.
func (c *making) bad(r *plan.Resource, field string, err error) {
	c.problems = append(c.problems, r.Problem(field, "%v", err))
}

// clockSkew is how far the clock may be ahead of or behind ours of who is near: another
// replica, or a proxy before the gateway.
const clockSkew = 5 * time.Second
