package clients

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/ratelimit"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/store"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// Config describes who may be a client of one authorization server.
type Config struct {
	Issuer string // of the authorization server; its endpoints are below it
	Store  store.Store
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

	Roots    *x509.CertPool // nil for the system's
	Resolver *net.Resolver  // nil for the system's
}

// Registry knows the clients of one authorization server. It is safe for use by
// many goroutines.
type Registry struct {
	cfg       Config
	scope     string // of keys in the store
	static    map[string]*Client
	documents *fetcher
	registers *ratelimit.Limiter // registrations, by address
	manages   *ratelimit.Limiter // wrong registration access tokens, by address
	guesses   *ratelimit.Limiter // failed authentications, by client and address
	room      room
}

// New makes a registry.
func New(cfg Config) *Registry {
	if cfg.Grants == nil {
		cfg.Grants = []string{grantCode, grantRefresh}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	r := &Registry{
		cfg: cfg, scope: store.Digest(cfg.Issuer), static: map[string]*Client{}, documents: newFetcher(cfg.Documents, cfg.Log),
		registers: ratelimit.New(ratelimit.Rate{Burst: registerBurst, Period: registerPeriod}),
		manages:   ratelimit.New(ratelimit.Rate{Burst: guessBurst, Period: time.Minute}),
		guesses:   ratelimit.New(ratelimit.Rate{Burst: guessBurst, Period: time.Minute}),
	}
	for _, s := range cfg.Static {
		r.static[s.ID] = s.client()
	}
	return r
}

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

// Find returns a client. The error is an *oauth.Error: 401 for one that is
// unknown, 400 with what to mend for a metadata document that is wrong, 503 for
// what may work in a moment, since a client that hears invalid_client forgets its
// tokens. A page in a browser shows the description with a 4xx of its own.
func (r *Registry) Find(ctx context.Context, id string) (*Client, error) {
	c, err := r.find(ctx, id)
	if err != nil {
		return nil, err
	}
	if len(c.Scopes) > 0 && !c.Static {
		c.Scopes = union(c.Scopes, r.cfg.Baseline)
	}
	return c, nil
}

func (r *Registry) find(ctx context.Context, id string) (*Client, error) {
	if c, ok := r.static[id]; ok {
		return c, nil
	}
	if strings.Contains(id, "://") {
		return r.document(ctx, id)
	}
	rec, _, err := r.load(ctx, id)
	if err != nil {
		return nil, err
	}
	return rec.client(), nil
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
	var a string
	if r.cfg.Address != nil {
		a = r.cfg.Address(req)
	} else {
		a = req.RemoteAddr
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
