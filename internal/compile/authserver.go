package compile

import (
	"slices"
	"time"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/authserver"
	"github.com/sallyport-dev/sallyport/internal/authserver/clients"
	"github.com/sallyport-dev/sallyport/internal/authserver/delegation"
	"github.com/sallyport-dev/sallyport/internal/compile/plan"
	"github.com/sallyport-dev/sallyport/internal/netguard"
	"github.com/sallyport-dev/sallyport/internal/page"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/store"
)

// AuthServer is an authorization server inside the gateway.
type AuthServer struct {
	*authserver.Server
	Name         Name
	Origin, Path string // of the issuer; the path is "" for none
}

// authServer makes an authorization server. One whose settings have not changed is the
// one that runs already.
func (c *making) authServer(p *plan.AuthServer) {
	a := &AuthServer{Name: Name{p.Namespace, p.ID()}, Origin: p.Origin, Path: p.Path}
	kept, err := c.storage(p.Storage)
	if err != nil {
		c.bad(&p.Resource, p.Field+".storage", err)
		return
	}
	upstreams, ok := c.providers(p)
	if !ok {
		return
	}
	spec := p.Spec
	cfg := authserver.Config{
		Name: p.Name, Audit: c.opts.Events(a.Name), Endpoints: c.opts.Endpoints(a.Name), Issuer: string(spec.Issuer), Store: kept, Upstreams: upstreams, Primary: spec.PrimaryUpstreamProvider,
		Lifespans: lifespans(spec), Scopes: spec.BaselineClientScopes, Resource: c.opts.Resource(a.Name),
		Refreshed: c.opts.Metrics.UpstreamRefreshed, Log: c.opts.Log,
	}
	if b := spec.Branding; b != nil {
		cfg.Site = page.Site{Name: b.Name, LogoURL: b.LogoURL, SupportURL: b.SupportURL}
	}
	registry := clients.Config{
		Issuer: cfg.Issuer, Store: cfg.Store, Static: staticClients(p), Baseline: spec.BaselineClientScopes, Log: cfg.Log,
		Registration: registration(spec),
		Documents:    c.documents(spec.CIMD), Address: c.opts.Address(a.Name),
	}
	if !c.delegate(p, &cfg, &registry) {
		return
	}
	a.Server, err = tryAcquire(c, &c.authServers, p.Key, func() (*authserver.Server, error) {
		var err error
		if cfg.Signer, cfg.Ring, err = c.openKeys(p, kept); err != nil {
			return nil, err
		}
		registry.Ring = c.clientsRing(p, kept, cfg.Ring)
		cfg.Clients = clients.New(registry)
		return authserver.New(cfg)
	})
	if err != nil {
		c.bad(&p.Resource, p.Field, err)
		return
	}
	c.servers[p] = a
	c.parts.AuthServers = append(c.parts.AuthServers, a)
}

func lifespans(spec *v1alpha1.EmbeddedAuthServer) authserver.Lifespans {
	l := authserver.DefaultLifespans()
	if spec.RefreshOverlap != "" {
		l.Overlap = spec.RefreshOverlap.Duration()
	}
	access, refresh, code := spec.TokenLifespans.Lifespans()
	if access > 0 {
		l.Access = access
	}
	if refresh > 0 {
		l.Refresh = refresh
	}
	if code > 0 {
		l.Code = code
	}
	return l
}

func registration(spec *v1alpha1.EmbeddedAuthServer) clients.Registration {
	r := clients.Registration{Disabled: spec.DisableClientRegistration, PublicOnly: !spec.ConfidentialRegistration()}
	if spec.Registration != nil {
		r.Limit = int(spec.Registration.Limit)
		for _, host := range spec.Registration.RedirectHosts {
			r.RedirectHosts = append(r.RedirectHosts, string(host))
		}
	}
	return r
}

func (c *making) documents(d *v1alpha1.ClientDocuments) clients.Documents {
	if d == nil {
		return clients.Documents{}
	}
	docs := clients.Documents{Enabled: d.Enabled, AllowPrivate: d.AllowPrivateIPs, CacheSize: int(d.CacheMaxSize), Proxies: c.opts.Proxies}
	if d.CacheFallbackTTL != "" {
		docs.FreshFor = d.CacheFallbackTTL.Duration()
	}
	for _, host := range d.AllowedDomains {
		docs.Hosts = append(docs.Hosts, string(host))
	}
	return docs
}

// staticClients are the clients of the manifest.
func staticClients(p *plan.AuthServer) (static []clients.Static) {
	for i, s := range p.Spec.StaticClients {
		client := clients.Static{
			ID: s.ClientID, Name: s.ClientName, RedirectURIs: s.RedirectURIs, Scopes: s.Scopes,
			Grants: []string{"authorization_code", "refresh_token"},
		}
		if v := p.StaticSecrets[i]; !v.Empty() {
			client.Secrets = []secret.Value{v}
		}
		static = append(static, client)
	}
	return static
}

const (
	grantExchange  = "urn:ietf:params:oauth:grant-type:token-exchange"
	grantAssertion = "urn:ietf:params:oauth:grant-type:jwt-bearer"
)

// delegate makes who may act for others at an authorization server: its delegateClients
// and trustedIssuers. It is false with a problem.
func (c *making) delegate(p *plan.AuthServer, cfg *authserver.Config, registry *clients.Config) (ok bool) {
	for i, d := range p.Spec.DelegateClients {
		client := clients.Static{
			ID: d.ClientID, Name: d.ClientID, Secrets: []secret.Value{p.DelegateSecrets[i]}, Scopes: d.Scopes, Grants: []string{grantExchange, grantAssertion},
		}
		for _, a := range d.Audiences {
			client.Audiences = append(client.Audiences, string(a))
		}
		registry.Static = append(registry.Static, client)
		cfg.Delegated = appendNew(cfg.Delegated, d.Scopes)
	}
	primary := subjectsOf(p)
	ok = true
	for i := range p.Spec.TrustedIssuers {
		t := &p.Spec.TrustedIssuers[i]
		issuer, err := c.trusted(t, string(t.IssuerURL) == primary)
		if err != nil {
			c.bad(&p.Resource, plan.Index(p.Field+".trustedIssuers", i), err)
			ok = false
			continue
		}
		cfg.Trusted = append(cfg.Trusted, *issuer)
		if t.IdentityAssertionGrant != nil && registry.Grants == nil {
			// Clients that published themselves may show what the issuer decided.
			registry.Grants = []string{"authorization_code", "refresh_token", grantAssertion}
		}
	}
	return ok
}

func appendNew(list, more []string) []string {
	list = slices.Clone(list)
	for _, s := range more {
		if !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

// subjectsOf is the issuer whose sub is what people are called here: that of the
// primary provider, if it is an OpenID provider whose sub is taken.
func subjectsOf(p *plan.AuthServer) string {
	for i := range p.Providers {
		if primary := p.Spec.PrimaryUpstreamProvider; primary != "" && p.Providers[i].Name != primary {
			continue
		}
		spec := p.Providers[i].Spec
		if oidc := spec.OIDCConfig; oidc != nil && (oidc.SubjectClaim == "sub" || oidc.SubjectClaim == "" && spec.Preset != "entra") {
			return string(oidc.IssuerURL)
		}
		return ""
	}
	return ""
}

// trusted makes one issuer, and begins to fetch its keys.
func (c *making) trusted(t *v1alpha1.TrustedIssuer, same bool) (*delegation.Issuer, error) {
	policy := netguard.Policy{AllowPrivate: t.AllowPrivateIPs, Setting: plan.PrivateSetting}
	keys, err := c.keySet(keySource{
		issuer: string(t.IssuerURL), url: string(t.JWKSURL), client: c.guarded(policy, nil), reached: []any{"trusted", t.AllowPrivateIPs},
	})
	if err != nil {
		return nil, err
	}
	issuer := &delegation.Issuer{URL: string(t.IssuerURL), Keys: keys, SameSubjects: t.SameSubjects || same}
	if t.ExpectedAudience != "" {
		issuer.Exchange = &delegation.Exchange{
			Audience: t.ExpectedAudience, Clients: t.AllowedDelegateClients, ActorClaim: t.ActorClaim, Actors: t.AllowedActors, MayAct: t.AllowMayAct,
		}
	}
	if g := t.JWTBearerGrant; g != nil {
		w := &delegation.Workloads{MaxAge: g.MaxAssertionAge.Duration(), Resources: map[string][]string{}}
		for _, a := range g.AcceptedAudiences {
			w.Audiences = append(w.Audiences, string(a))
		}
		for _, b := range g.SubjectBindings {
			for _, resource := range b.AllowedResources {
				w.Resources[b.Subject] = append(w.Resources[b.Subject], string(resource))
			}
		}
		issuer.Workloads = w
	}
	if g := t.IdentityAssertionGrant; g != nil {
		issuer.People = &delegation.People{MaxAge: g.MaxAssertionAge.Duration()}
		if issuer.People.MaxAge == 0 {
			issuer.People.MaxAge = 10 * time.Minute
		}
	}
	return issuer, nil
}

// storage gives an authorization server its store: the process's, or one of its own
// that is kept over configuration changes. Nothing is dialled before it is used.
func (c *making) storage(p *plan.Storage) (store.Store, error) {
	if p == nil {
		return c.opts.Store, nil
	}
	return tryAcquire(c, &c.stores, p.Key, func() (store.Store, error) {
		if p.Redis == nil {
			return store.NewMemory(), nil
		}
		return store.NewRedis(RedisConfig(p.Redis))
	})
}
