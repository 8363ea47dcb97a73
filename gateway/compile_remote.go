package gateway

import (
	"crypto/x509"
	"net/netip"
	"net/url"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/netguard"
	"github.com/sallyport-dev/sallyport/internal/version"
)

// remote is what every resource says that stands for a backend by its address.
type remote struct {
	url          v1alpha1.RemoteURL
	transport    string
	allowPrivate bool
	caBundle     *v1alpha1.CABundleRef
	redirects    *v1alpha1.Redirects
	oauth        *v1alpha1.RemoteOAuth
}

func (c *compiler) remoteProxy(o manifest.Item[v1alpha1.MCPRemoteProxy]) {
	spec := &o.Value.Spec
	e := &Endpoint{link: link{prefix: string(spec.EndpointPrefix), trustHeaders: spec.TrustProxyHeaders}}
	e.outgoing = c.outgoing(backendUser{Object: o.Object, remoteURL: string(spec.RemoteURL), transport: spec.Transport, authServer: c.signsIn(o.Object, &spec.Incoming)}, spec.HeaderForward, spec.ExternalAuthConfigRef, passed(spec))
	to := remote{spec.RemoteURL, spec.Transport, spec.AllowPrivateEndpoint, spec.CABundleRef, spec.Redirects, spec.OAuth}
	e.backend, e.backendKey = c.remote(o.Object, to)
	if e.backend == nil {
		return
	}
	c.account(o.Object, to, &e.outgoing)
	e.tracing.setTracing(string(spec.RemoteURL), spec.AllowPrivateEndpoint)
	c.door(o.Object, &spec.Incoming, e)
	c.inject(o.Object, spec.ExternalAuthConfigRef, e)
	c.wantsMet(o.Object, &spec.Incoming, e)
	c.policies(o.Object, spec.AuthzConfig, spec.AuthzConfigRef, e)
	c.rateLimits(o.Object, spec.RateLimiting, e)
	c.toolConfig(o.Object, spec.ToolConfigRef, e)
	e.tracing.spec = spec.Telemetry
	c.auditing(e, spec.Audit)
	c.endpoint(o.Object, e, spec)
}

// passed are the client's headers that a proxy forwards, and the settings that name
// them.
func passed(spec *v1alpha1.MCPRemoteProxySpec) []passedHeader {
	var list []passedHeader
	for i, name := range spec.PassthroughHeaders {
		list = append(list, passedHeader{index("spec.passthroughHeaders", i), string(name)})
	}
	if spec.PassthroughAuthorization {
		list = append(list, passedHeader{"spec.passthroughAuthorization", "Authorization"})
	}
	return list
}

// serverEntry checks a backend that has no endpoint of its own: it is a member of
// groups, and groups come with virtual servers.
func (c *compiler) serverEntry(o manifest.Item[v1alpha1.MCPServerEntry]) {
	spec := &o.Value.Spec
	out := c.outgoing(backendUser{Object: o.Object, remoteURL: string(spec.RemoteURL), transport: spec.Transport}, spec.HeaderForward, spec.ExternalAuthConfigRef, nil)
	to := remote{spec.RemoteURL, spec.Transport, spec.AllowPrivateEndpoint, spec.CABundleRef, spec.Redirects, spec.OAuth}
	if b, _ := c.remote(o.Object, to); b != nil {
		c.account(o.Object, to, &out)
		c.snap.entries++
	}
}

// remote gives the backend at an address, and a key that is equal for equal ones.
func (c *compiler) remote(o *manifest.Object, r remote) (backend.Backend, string) {
	u, err := url.Parse(string(r.url))
	if err != nil || u.Host == "" {
		c.problem(o, "spec.remoteUrl", "is not a URL; write it like https://mcp.example.com/mcp")
		return nil, ""
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil {
		// A name is looked at when it is dialled; an address can be judged now.
		policy := netguard.Policy{AllowPrivate: r.allowPrivate, PlainOnlyPrivate: u.Scheme == "http"}
		if refused := policy.Check(ip); refused != nil {
			c.warnings = append(c.warnings, o.Problem("spec.remoteUrl", "%v, so every call will fail", refused))
		}
	}
	cfg := backend.HTTPConfig{
		Name:         o.Name,
		URL:          u,
		AllowPrivate: r.allowPrivate,
		Limits:       c.server.backendLimits(),
		Log:          c.server.opts.Log.With("server", o.Name),
		Metrics:      c.server.opts.Metrics.Server(o.Name),
		UserAgent:    "sallyport/" + version.Version(),
	}
	if r.redirects != nil {
		for _, h := range r.redirects.AllowedHosts {
			cfg.Redirects.AllowedHosts = append(cfg.Redirects.AllowedHosts, string(h))
		}
		cfg.Redirects.AllowDowngrade = r.redirects.AllowDowngrade
	}
	var bundle string
	if r.caBundle != nil {
		var ok bool
		if cfg.RootCAs, bundle, ok = c.caBundle(o, "spec.caBundleRef.configMapRef", r.caBundle); !ok {
			return nil, ""
		}
	}
	key := digest("remote", o.Name, r.url, r.transport, r.allowPrivate, cfg.Redirects, bundle)
	b := c.reach(o, key, func() (backend.Backend, error) {
		if r.transport == "sse" {
			return backend.NewSSE(cfg)
		}
		return backend.NewHTTP(cfg)
	})
	return b, key
}

// caBundle is the certificate pool in a ConfigMap, and its text.
func (c *compiler) caBundle(o *manifest.Object, field string, ref *v1alpha1.CABundleRef) (roots *x509.CertPool, pem string, ok bool) {
	name, key := string(ref.ConfigMapRef.Name), string(ref.ConfigMapRef.Key)
	cm, ok := c.set.ConfigMap(o.Namespace, name)
	if !ok {
		c.missing(o, field+".name", "ConfigMap", name)
		return nil, "", false
	}
	pem, ok = cm.Data[key]
	if !ok {
		c.problem(o, field+".key", "ConfigMap %q has no key %q", name, key)
		return nil, "", false
	}
	roots = x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(pem)) {
		c.problem(o, field+".key", "holds no certificate; put PEM certificates there")
		return nil, "", false
	}
	return roots, pem, true
}

// backendLimits are the process's limits as backends take them.
func (s *Server) backendLimits() backend.Limits {
	return backend.Limits{
		AnswerTimeout:  s.opts.CallTimeout,
		MaxAnswerBytes: s.opts.MaxAnswer,
		MaxEventBytes:  s.opts.MaxEventBytes,
	}
}
