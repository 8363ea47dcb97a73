package compile

import (
	"cmp"
	"crypto/x509"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/bridge"
	"github.com/sallyport-dev/sallyport/internal/compile/plan"
	"github.com/sallyport-dev/sallyport/internal/duplex"
	"github.com/sallyport-dev/sallyport/internal/listing"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/netguard"
	"github.com/sallyport-dev/sallyport/internal/oauthclient"
	"github.com/sallyport-dev/sallyport/internal/token"
	"github.com/sallyport-dev/sallyport/internal/upstream"
	"github.com/sallyport-dev/sallyport/internal/version"
)

// upstream makes a backend, and what it is shown.
func (c *making) upstream(p *plan.Upstream) *upstream.Config {
	u := &upstream.Config{
		Name: p.Name, Key: p.Key, Headers: http.Header{}, Passthrough: p.Shown.Passthrough,
		Health:  acquire(c, &c.health, p.Key, func() *upstream.Health { return &upstream.Health{} }),
		Metrics: c.opts.Metrics.Server(p.Name), Message: c.opts.Message, Ring: c.opts.Ring,
		List: listing.Limits{MaxBytes: int(c.opts.Limits.MaxAnswerBytes), MaxPageBytes: c.opts.Limits.MaxEventBytes},
	}
	if l := p.Lock; l != nil && !c.opts.Checking {
		u.Lock = &upstream.Lock{Tools: l.Tools, Drift: upstream.Drift(l.Drift), Log: c.opts.Log.With("server", p.Name)}
	}
	if p.Remote != nil {
		u.Address = upstream.AddressOf(p.Remote.URL.String(), p.Remote.AllowPrivate)
	}
	var err error
	u.Backend, err = tryAcquire(c, &c.backends, p.Key, func() (backend.Backend, error) { return c.backend(p) })
	if err != nil {
		c.bad(&p.Resource, "spec", err)
	}
	for _, h := range p.Shown.Headers {
		u.Headers[h.Name] = []string{h.Value.Reveal()}
	}
	if planned := p.Shown.Credential; planned != nil {
		u.Credential = c.credential(p)
		if u.Credential != nil && !slices.Equal(u.Credential.Headers(), planned.Headers) { // conflicts were looked for in those (REQ E-3)
			c.bad(&p.Resource, "spec.externalAuthConfigRef", errors.New("sets other headers than were planned, which is a fault of the gateway"))
		}
	}
	return u
}

// backend makes the way to a server, for clients of every revision.
func (c *making) backend(p *plan.Upstream) (b backend.Backend, err error) {
	switch {
	case p.Command != nil:
		b, err = duplex.NewStdio(c.command(p))
	case p.Remote.Transport == "sse":
		b, err = duplex.NewSSE(c.remote(p))
	default:
		b, err = backend.NewHTTP(c.remote(p))
	}
	if err != nil {
		return nil, err
	}
	var found func(mcp.Revision)
	if hears := c.opts.Found; hears != nil {
		found = func(rev mcp.Revision) { hears(p.Name, rev) }
	}
	return bridge.New(bridge.Config{
		Name: p.Name, Next: b, Found: found, Speaks: mcp.Revision(p.Speaks), Ring: c.opts.Ring, MaxBytes: c.opts.Limits.MaxEventBytes,
		Limits: c.opts.Message, Log: c.log(p.Name, p.Verbose),
	}), nil
}

// limits are the process's, but for those that the manifest sets.
func (c *making) limits(p *plan.Upstream) backend.Limits {
	l := c.opts.Limits
	l.AnswerTimeout = cmp.Or(p.CallTimeout.Duration(), l.AnswerTimeout)
	return l
}

func (c *making) remote(p *plan.Upstream) backend.HTTPConfig {
	cfg := backend.HTTPConfig{
		Name:         p.Name,
		URL:          p.Remote.URL,
		AllowPrivate: p.Remote.AllowPrivate,
		EachAddress:  p.Remote.EachAddress,
		Proxies:      c.proxies(p),
		RootCAs:      pool(p.Remote.CABundle),
		Limits:       c.limits(p),
		Log:          c.log(p.Name, p.Verbose),
		Metrics:      c.opts.Metrics.Server(p.Name),
		UserAgent:    "sallyport/" + version.Version(),
	}
	for _, h := range p.Remote.Redirects.AllowedHosts {
		cfg.Redirects.AllowedHosts = append(cfg.Redirects.AllowedHosts, string(h))
	}
	cfg.Redirects.AllowDowngrade = p.Remote.Redirects.AllowDowngrade
	return cfg
}

func (c *making) command(p *plan.Upstream) duplex.StdioConfig {
	cfg := duplex.StdioConfig{
		Name:            p.Name,
		Command:         p.Command.Args,
		Dir:             p.Command.Dir,
		MaxSessions:     int(p.Command.Sessions.Max),
		PerCaller:       int(p.Command.Sessions.PerCaller),
		IdleTimeout:     p.Command.Sessions.IdleTimeout.Duration(),
		AnswerTimeout:   c.limits(p).AnswerTimeout,
		MaxMessageBytes: c.opts.Limits.MaxEventBytes,
		Metrics:         c.opts.Metrics.Server(p.Name),
		Log:             c.log(p.Name, p.Verbose),
	}
	for _, v := range p.Command.Env {
		cfg.Env = append(cfg.Env, v.Name+"="+v.Value.Reveal())
	}
	return cfg
}

// proxies are those through which a remote is reached.
func (c *making) proxies(p *plan.Upstream) *netguard.Proxies {
	if p.Remote.Proxy == "" {
		return c.opts.Proxies
	}
	proxies, err := netguard.ProxyAt(p.Remote.Proxy)
	if err != nil {
		c.bad(&p.Resource, "spec.proxyUrl", err)
	}
	return proxies
}

// account makes the gateway's own account at a remote server; nil with a problem.
func (c *making) account(p *plan.Upstream) *oauthclient.Client {
	a := p.Shown.Credential.Account
	name, metrics := p.Name, c.opts.Metrics // and not p and c, which keep what is of one plan
	cfg := oauthclient.Config{
		Name: p.Name, Resource: p.Remote.URL, Machine: a.Machine(),
		ClientID: a.Spec.ClientID, Secret: a.Secret, Method: a.Spec.TokenEndpointAuthMethod,
		MetadataURL: a.Spec.ClientIDMetadataURL, Issuer: string(a.Spec.Issuer), Scopes: a.Spec.Scopes, Target: a.Spec.Resource, Params: map[string]string{},
		AllowPrivate: p.Remote.AllowPrivate,
		HTTP: netguard.NewClient(netguard.Policy{AllowPrivate: p.Remote.AllowPrivate, PlainOnlyPrivate: true, Proxies: c.proxies(p)},
			netguard.Options{Roots: accountRoots(a.CABundle), Whole: 20 * time.Second}),
		Log:       c.log(p.Name, p.Verbose),
		Refreshed: func(result string) { metrics.UpstreamRefreshed(name, result) },
	}
	for name, value := range a.Spec.AdditionalAuthorizationParams {
		cfg.Params[name] = string(value)
	}
	if !cfg.Machine { // what a machine can get again is not written down (REQ B-18)
		cfg.Vault, cfg.Browser = c.opts.Accounts.Vault, c.opts.Accounts.Browser
	}
	if !a.Key.Empty() {
		var err error
		if cfg.Key, err = token.NewSigner([]byte(a.Key.Reveal())); err != nil {
			c.bad(&p.Resource, "spec.oauth.privateKeyRef", err)
			return nil
		}
	}
	client, err := tryAcquire(c, &c.accounts, p.Shown.Credential.Key, func() (*oauthclient.Client, error) { return oauthclient.New(cfg) })
	if err != nil {
		c.bad(&p.Resource, "spec.oauth", err)
		return nil
	}
	c.parts.Accounts[p.Name] = client
	return client
}

// accountRoots are the system's certificates and those of the bundle: a remote with
// certificates of its own may have an authorization server with public ones.
func accountRoots(bundle string) *x509.CertPool {
	if bundle == "" {
		return nil
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	roots.AppendCertsFromPEM([]byte(bundle))
	return roots
}
