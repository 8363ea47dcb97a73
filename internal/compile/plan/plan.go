package plan

import (
	"net/netip"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/manifest"
)

// Plan is what a set of manifests means. It is not served where it has problems.
type Plan struct {
	Endpoints   []*Endpoint
	Members     []*Upstream // of groups: backends without an endpoint of their own
	AuthServers []*AuthServer
	Assertions  []*Assertions
	Gateways    []*Gateway // of a cluster

	Problems manifest.Problems
	Warnings manifest.Problems // what cannot be meant, but can be served
	Advice   manifest.Problems // what may not say what was meant
	// Unsaid says that a reference leads to an object with problems of its own, which
	// are not among these.
	Unsaid bool
}

// Reach is who can reach the listener.
type Reach uint8

// From the usual to the others.
const (
	ThisMachine Reach = iota
	Network           // other machines
	ThisProcess       // nobody but a client that the process itself connects
)

// Process is what a plan depends on besides the manifests: the settings of the process.
type Process struct {
	TrustedProxy       ProxyTrust
	PublicURL          string
	ClientCertificates bool // the listener verifies those that clients show
	Reach              Reach
	ClusterKeysURL     string // where the API server has the keys of service accounts
	KeepsSignIns       bool   // the gateway's own accounts at remote servers outlive it
	// LookupEnv finds client secrets of upstream providers; nil for no environment.
	LookupEnv func(string) (string, bool)
	// Checking says that the process is another one, whose settings are not known.
	Checking bool
	// Beside says that other plans are served beside this one (see [Plan.Claims]).
	Beside bool
	// Locking says that locks are about to be written: what is in them is of no account.
	Locking bool
}

// Resource is the object that a part of a plan comes from, and all that it rests on.
type Resource struct {
	Kind, Namespace, Name string

	object *manifest.Object
	view   *manifest.View
}

// Problem is what is wrong with a field of the resource.
func (r *Resource) Problem(field, format string, args ...any) manifest.Problem {
	return r.object.Problem(field, format, args...)
}

// Uses are the objects, keys and variables that were looked at to plan the resource,
// there or not.
func (r *Resource) Uses() []manifest.Use { return r.view.Uses() }

// Endpoint is one resource as clients meet it. Its zero value lets nobody in, and
// whoever gets in do nothing.
type Endpoint struct {
	Resource
	Title     string   // as people read of it
	About     string   // what it is for, for people; "" where nothing is said
	Paths     []string // of the endpoint for Streamable HTTP, the one that counts first
	Upstreams []*Upstream
	Virtual   *Virtual // how several upstreams are made one; nil for a single one
	Door      Door
	Link      Link
	Policy    Policy
	Rates     *v1alpha1.RateLimiting
	AtOnce    *v1alpha1.Concurrency
	Tools     *v1alpha1.MCPToolConfigSpec // nil where tools are as the backend has them
	Telemetry *v1alpha1.Telemetry
	Audit     bool
	Gateway   string   // that serves it in a cluster, beside others; "" for pods of its own
	Notes     []string // what operators should know of the door
	// Fingerprint is equal where nothing about the endpoint has changed. It stays in
	// memory: it is made of secrets too.
	Fingerprint string
}

// Link says what makes the addresses that clients are told.
type Link struct {
	Prefix       string // before the endpoint's path, as clients see it
	TrustHeaders bool   // the X-Forwarded-* of a trusted proxy count
	Resource     string // the endpoint's own address, if the manifest says it
	Proxies      []netip.Prefix
	Outside      Outside
}

// Outside are the host names by which clients reach an endpoint through a Gateway.
type Outside struct {
	Hosts          []string // none where there is no Gateway
	Scheme, Prefix string   // of addresses there
}

// objectKey finds an object of a known kind.
type objectKey struct{ namespace, name string }

// Of plans a validated set. It goes on after a problem, so that a person sees all of
// them at once.
func Of(set *manifest.Set, process Process) *Plan {
	if process.LookupEnv == nil {
		process.LookupEnv = func(string) (string, bool) { return "", false }
	}
	p := &planner{
		set: set, process: process, plan: &Plan{}, named: map[string]*manifest.Object{},
		credentials: map[objectKey]*credential{}, published: map[string]*manifest.Object{}, authServers: map[authServerKey]*AuthServer{},
	}
	for _, o := range manifest.All[v1alpha1.MCPExternalAuthConfig](set) {
		p.one(o.Object).authServer("spec.embeddedAuthServer", o.Value.Spec.EmbeddedAuthServer)
		p.one(o.Object).credential(&o.Value.Spec)
	}
	for _, o := range manifest.All[v1alpha1.MCPAuthzConfig](set) {
		c := p.one(o.Object)
		c.compiled(c.sharedAuthz(&o.Value.Spec))
	}
	proxies, servers := manifest.All[v1alpha1.MCPRemoteProxy](set), manifest.All[v1alpha1.MCPServer](set)
	p.alone = !process.Beside && len(proxies)+len(servers)+len(manifest.All[v1alpha1.VirtualMCPServer](set)) == 1
	for _, o := range proxies {
		p.one(o.Object).remoteProxy(&o.Value.Spec)
	}
	for _, o := range servers {
		p.one(o.Object).localServer(&o.Value.Spec)
	}
	for _, o := range manifest.All[v1alpha1.MCPServerEntry](set) {
		p.one(o.Object).member(&o.Value.Spec)
	}
	for _, o := range manifest.All[v1alpha1.VirtualMCPCompositeToolDefinition](set) {
		p.one(o.Object).compositeTool("spec", &o.Value.Spec)
	}
	for _, o := range manifest.All[v1alpha1.VirtualMCPServer](set) {
		p.one(o.Object).authServer("spec.authServerConfig", o.Value.Spec.AuthServerConfig)
		p.one(o.Object).virtualServer(&o.Value.Spec)
	}
	for _, o := range manifest.All[v1alpha1.MCPGateway](set) {
		p.one(o.Object).gateway(&o.Value.Spec)
	}
	p.plan.Problems, p.plan.Warnings, p.plan.Advice = p.plan.Problems.Sort(), p.plan.Warnings.Sort(), p.plan.Advice.Sort()
	p.plan.Unsaid = p.unsaid > 0
	return p.plan
}
