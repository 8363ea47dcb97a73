package clients

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/keep"
	"github.com/sallyport-dev/sallyport/internal/netguard"
	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/ratelimit"
	"github.com/sallyport-dev/sallyport/internal/seal"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/store"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// Config describes who may be a client of one authorization server.
type Config struct {
	Issuer string // of the authorization server; its endpoints are below it
	Store  store.Store
	// Ring seals registrations into the ids of clients; nil for one that ends with the
	// registry.
	Ring   *seal.Ring
	Static []Static

	Registration Registration
	Documents    Documents

	// Grants are the grant types that registered clients and those with a metadata
	// document may have; nil for authorization_code and refresh_token.
	Grants []string
	// Baseline are scopes that every client has that names any: clients that
	// registered few scopes would else never get the others.
	Baseline []string

	// Address says who sent a request, for limits; nil for the connection's peer.
	Address func(*http.Request) string
	Log     *slog.Logger
}

// Static is a client from a manifest.
type Static struct {
	ID      string
	Name    string
	Secrets []secret.Value // any of them proves it; none makes the client public

	RedirectURIs, Grants, Audiences, Scopes []string
}

// Registration says how clients may register themselves (RFC 7591).
type Registration struct {
	Disabled   bool
	PublicOnly bool // no client secrets are issued
	// Limit is how many different clients one address may register in an hour; 0 for
	// any number of those that need no room.
	Limit int
	// RedirectHosts are where answers may go besides the person's own machine: names, or
	// *.example.com; nil for everywhere.
	RedirectHosts []string
}

// Documents says whether a client may be the address of a document about it
// (OAuth Client ID Metadata Document), and what may be fetched.
type Documents struct {
	Enabled bool
	// AllowPrivate admits loopback and private addresses, and plain http on loopback.
	AllowPrivate bool
	// Hosts are those that may publish clients: names, or *.example.com for all
	// names below one; nil for every host.
	Hosts     []string
	CacheSize int           // documents kept; 0 for 256
	FreshFor  time.Duration // of a document that does not say; 0 for five minutes

	Roots    *x509.CertPool    // nil for the system's
	Resolver *net.Resolver     // nil for the system's
	Proxies  *netguard.Proxies // through which connections leave; nil for none
}

// Registry knows the clients of one authorization server. It is safe for use by
// many goroutines.
type Registry struct {
	cfg       Config
	scope     string // of keys in the store
	static    map[string]*Client
	documents *fetcher
	registers *ratelimit.Limiter    // registrations, by address
	recent    *keep.Cache[struct{}] // ids that were counted
	guesses   *ratelimit.Limiter    // failed authentications, by client and address
	misses    *ratelimit.Limiter    // those from where the client has proved itself
	known     *keep.Cache[struct{}]
	said      *ratelimit.Limiter // the warning of address
	room      room
	told      func(*http.Request, string)
}

// New makes a registry.
func New(cfg Config) *Registry {
	if cfg.Grants == nil {
		cfg.Grants = []string{grantCode, grantRefresh}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Ring == nil {
		cfg.Ring, _ = seal.NewRing() // a random key cannot be wrong
	}
	r := &Registry{
		cfg: cfg, scope: store.Digest(cfg.Issuer), static: map[string]*Client{}, documents: newFetcher(cfg.Documents, cfg.Log),
		registers: ratelimit.New(ratelimit.Rate{Burst: cmp.Or(cfg.Registration.Limit, registerBurst), Period: registerPeriod}),
		recent:    keep.NewCache[struct{}](maxRecent),
		guesses:   ratelimit.New(ratelimit.Rate{Burst: guessBurst, Period: time.Minute}),
		misses:    ratelimit.New(ratelimit.Rate{Burst: missBurst, Period: time.Minute}),
		known:     keep.NewCache[struct{}](maxRecent),
		said:      ratelimit.New(ratelimit.Rate{Burst: 1, Period: 10 * time.Minute}),
	}
	for _, s := range cfg.Static {
		r.static[s.ID] = s.client()
	}
	return r
}

// Tell says whom to tell of each client that registers itself, before the first does.
func (r *Registry) Tell(registered func(req *http.Request, id string)) { r.told = registered }

func (s *Static) client() *Client {
	c := &Client{
		ID: s.ID, Name: oauth.Printable(s.Name, maxName), RedirectURIs: s.RedirectURIs, GrantTypes: s.Grants, Scopes: s.Scopes,
		Audiences: s.Audiences, AuthMethod: oauth.AuthNone, ApplicationType: Web, Static: true,
	}
	for _, v := range s.Secrets {
		if !v.Empty() {
			c.AuthMethod = oauth.AuthBasic
			c.secrets = append(c.secrets, sha256.Sum256([]byte(v.Reveal())))
		}
	}
	return c
}

// Find returns a client, for a request from where [Registry.Sender] says. The error is an *oauth.Error: 401 for one that is
// unknown, 400 with what to mend for a metadata document that is wrong, 503 for
// what may work in a moment, since a client that hears invalid_client forgets its
// tokens. A page in a browser shows the description with a 4xx of its own.
func (r *Registry) Find(ctx context.Context, id, from string) (*Client, error) {
	c, err := r.find(ctx, id, from)
	if err != nil {
		return nil, err
	}
	if len(c.Scopes) > 0 && !c.Static {
		c.Scopes = union(c.Scopes, r.cfg.Baseline)
	}
	return c, nil
}

func (r *Registry) find(ctx context.Context, id, from string) (*Client, error) {
	if c, ok := r.static[id]; ok {
		return c, nil
	}
	if strings.Contains(id, "://") {
		return r.document(ctx, id, from)
	}
	rec, _, err := r.load(ctx, id)
	if err != nil {
		return nil, err
	}
	c := rec.client()
	c.Known = r.cfg.Registration.RedirectHosts != nil && r.elsewhere(c.RedirectURIs) == ""
	return c, nil
}

// union adds to a list what it lacks, in a new one.
func union(list, more []string) []string {
	out := slices.Clone(list)
	for _, s := range more {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// Offers tells whether a client of the manifest may use a grant.
func (r *Registry) Offers(grant string) bool {
	return slices.ContainsFunc(r.cfg.Static, func(s Static) bool { return slices.Contains(s.Grants, grant) })
}

// Metadata adds to the server's metadata what is true of its clients.
func (r *Registry) Metadata(m *oauth.ServerMetadata) {
	if !r.cfg.Registration.Disabled {
		m.RegistrationEndpoint = r.registrationURL()
	}
	m.ClientMetadataDocuments = r.cfg.Documents.Enabled
	m.TokenAuthMethods = []string{oauth.AuthNone}
	if !r.cfg.Registration.PublicOnly || slices.ContainsFunc(r.cfg.Static, func(s Static) bool { return len(s.Secrets) > 0 }) {
		m.TokenAuthMethods = append(m.TokenAuthMethods, oauth.AuthBasic, oauth.AuthPost)
	}
	m.TokenAuthMethods = append(m.TokenAuthMethods, oauth.AuthPrivateKeyJWT)
	m.TokenAuthAlgorithms = token.Algorithms
}

func (r *Registry) registrationURL() string { return r.cfg.Issuer + registrationPath }

// Sender is who sent a request, for limits that others have.
func (r *Registry) Sender(req *http.Request) string { return r.address(req) }

// address is who sent a request, for limits. Of an IPv6 address it is the network:
// one household has more addresses than there are limits.
func (r *Registry) address(req *http.Request) string {
	a := req.RemoteAddr
	if r.cfg.Address != nil {
		a = r.cfg.Address(req)
	}
	if a == req.RemoteAddr && (req.Header.Get("X-Forwarded-For") != "" || req.Header.Get("Forwarded") != "") {
		if _, ok := r.said.Take(req.Context(), "", time.Now()); ok {
			r.cfg.Log.Warn("a proxy says whom it forwards for and is not believed, so all who come through it share the limits of one address; set trustProxyHeaders: true and trustedProxy.trustedProxies on the endpoints that people sign in for",
				"issuer", r.cfg.Issuer, "proxy", network(a))
		}
	}
	return network(a)
}

// key names something of this server in the store.
func (r *Registry) key(kind string, parts ...string) string {
	return r.prefix(kind) + store.Digest(parts...)
}

// prefix is what the keys of one kind begin with; servers of other issuers that
// use the same store have others.
func (r *Registry) prefix(kind string) string { return "client/" + kind + "/" + r.scope + "/" }
