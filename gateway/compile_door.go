package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"slices"
	"time"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/authn"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/netguard"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// door compiles an endpoint's outer door.
//
// Clients authenticate to the gateway unless that is switched off; only then may a
// proxy speak for them (REQ C-1 to C-4, C-10).
func (c *compiler) door(o *manifest.Object, in *v1alpha1.Incoming, e *Endpoint) {
	tp := c.server.opts.TrustedProxy.over(in.TrustedProxy)
	e.settings = append(e.settings, c.server.opts.TrustedProxy)
	e.link.proxies = tp.peers(func(i int, text string) {
		c.problem(o, index("spec.trustedProxy.trustedProxies", i), "%q is no address and no CIDR; write it like 10.0.0.0/8", text)
	})
	switch {
	case !tp.clientAuth && tp.trust:
		e.door = c.proxyDoor(o, &tp, e)
	case !tp.clientAuth:
		e.door = authn.NewResolver(false)
		e.doorWarning = "SECURITY: authentication of clients is switched off, so everybody is anonymous and no identity header is believed"
	case in.AuthServerRef != nil:
		e.door = c.signInDoor(o, in, e)
	case in.OIDCConfig != nil || in.OIDCConfigRef != nil:
		e.door = c.tokenDoor(o, in, e)
	case in.ClientCertificate != nil:
		e.door = authn.NewResolver(true, c.certificates(o, in, e)...)
	default:
		e.door = authn.NewResolver(false)
		e.doorWarning = "serving anonymous clients, since no incoming authentication is configured; " + e.outgoing.shows()
	}
	// Where nobody reads tokens, one in a query could be taken for a header to pass on.
	e.queryToken = in.WebSocket != nil && in.WebSocket.QueryToken && e.protection != nil
	if tp.clientAuth && tp.trust {
		e.doorWarning = "the identity header of a proxy is ignored, since clients authenticate to the gateway themselves; switch that off to trust the proxy"
	}
}

// expected is what one endpoint wants of tokens, wherever their issuer stands.
type expected struct {
	issuer    *v1alpha1.OIDCIssuer
	audiences []string
	scopes    []string
	owner     *manifest.Object // whose secrets and bundles the issuer's references name
	field     string           // of the issuer in owner
	accounts  *accounts        // which tokens of a cluster's service accounts; nil for other issuers
}

// tokenDoor wants a token of the configured issuer, or a certificate where those
// count too.
func (c *compiler) tokenDoor(o *manifest.Object, in *v1alpha1.Incoming, e *Endpoint) *authn.Resolver {
	want, ok := c.expected(o, in)
	if !ok {
		return authn.NewResolver(true) // a problem has been noted; nobody is let in
	}
	if slices.Contains(e.outgoing.passthrough, "Authorization") {
		c.problem(o, "spec.passthroughAuthorization", "the gateway itself reads Authorization here (oidcConfig), and a client's token for the gateway is not forwarded; remove one of them")
	}
	e.protection = &protection{AuthorizationServers: []string{string(want.issuer.Issuer)}, Scopes: want.scopes}
	if e.accounts = want.accounts; e.accounts != nil {
		e.protection.AuthorizationServers = nil // pods have their tokens; nobody can sign in at a cluster
	}
	e.settings = append(e.settings, want.issuer, want.accounts)
	method := c.bearer(e, want)
	if method == nil {
		return authn.NewResolver(true)
	}
	return authn.NewResolver(true, append([]authn.Method{method}, c.certificates(o, in, e)...)...)
}

// expected says what an endpoint wants of tokens; false with a problem, or where
// the configuration it names has one.
func (c *compiler) expected(o *manifest.Object, in *v1alpha1.Incoming) (want expected, ok bool) {
	if ref := in.OIDCConfigRef; ref != nil {
		cfg, ok := manifest.Get[v1alpha1.MCPOIDCConfig](c.set, o.Namespace, string(ref.Name))
		if !ok {
			c.missing(o, "spec.oidcConfigRef.name", "MCPOIDCConfig", string(ref.Name))
			return want, false
		}
		want = expected{issuer: cfg.Value.Spec.Inline, owner: cfg.Object, field: "spec.inline"}
		if k := cfg.Value.Spec.KubernetesServiceAccount; k != nil {
			want = c.ofCluster(k, cfg.Object, "spec.kubernetesServiceAccount")
		}
		want.audiences, want.scopes = []string{ref.Audience}, ref.Scopes
	} else if k := in.OIDCConfig.Kubernetes; k != nil {
		want = c.ofCluster(&k.ServiceAccountIssuer, o, "spec.oidcConfig.kubernetes")
		want.audiences = []string{k.Audience}
	} else {
		i := in.OIDCConfig.Inline
		want = expected{issuer: &i.OIDCIssuer, audiences: i.Audiences, scopes: i.Scopes, owner: o, field: "spec.oidcConfig.inline"}
		if i.Audience != "" {
			want.audiences = append([]string{i.Audience}, want.audiences...)
		}
	}
	return want, want.issuer != nil
}

// clockSkew is how far the issuer's clock may be ahead of or behind ours.
const clockSkew = 5 * time.Second

// bearer makes the method that checks an issuer's tokens; nil with a problem.
func (c *compiler) bearer(e *Endpoint, want expected) *authn.Bearer {
	iss := want.issuer
	roots, bundle, ok := c.issuerRoots(want)
	if !ok {
		return nil
	}
	client, reached := issuerClient(iss.JWKSAllowPrivateIP, roots), []any{iss.JWKSAllowPrivateIP, bundle}
	if want.accounts != nil && want.accounts.ClusterAuth {
		client.Transport = c.server.opts.Cluster.Transport(client.Transport, func(roots *x509.CertPool) http.RoundTripper {
			return guardedClient(netguard.Policy{AllowPrivate: true}, roots).Transport
		})
		reached = append(reached, "cluster")
	}
	mapping := mapped(authn.Mapping{}, iss.ClaimMappings)
	e.mapping = mapping
	keys, err := c.keySet(keySource{
		issuer: string(iss.Issuer), url: string(iss.JWKSURL), pin: iss.JWKSCertFingerprint,
		client: client, reached: reached,
	})
	if err != nil {
		c.problem(want.owner, want.field+".jwksCertFingerprint", "%v", err)
		return nil
	}
	verifier, err := token.NewVerifier(keys, token.Expectations{
		Issuer: string(iss.Issuer), Audiences: want.audiences, Algorithms: iss.AllowedAlgorithms, Leeway: clockSkew,
	})
	if err != nil {
		c.problem(want.owner, want.field, "%v", err)
		return nil
	}
	cfg := authn.BearerConfig{
		JWT: want.accounts.only(authn.NewJWT(verifier, mapping)), Scopes: want.scopes, Generation: keys.Changes, Seen: e.tokenSeen,
	}
	if iss.IntrospectionURL != "" {
		var clientSecret secret.Value
		if ref := iss.ClientSecretRef; ref != nil {
			if clientSecret, ok = c.secret(want.owner, want.field+".clientSecretRef", *ref); !ok {
				return nil
			}
		}
		cfg.Opaque = want.accounts.only(authn.NewIntrospection(authn.IntrospectionConfig{
			URL: string(iss.IntrospectionURL), ClientID: iss.ClientID, ClientSecret: clientSecret, Client: client,
			Issuer: string(iss.Issuer), Audiences: want.audiences, Mapping: mapping,
		}))
	}
	return authn.NewBearer(cfg)
}

// mapped lays a manifest's mappings over what is usual.
func mapped(usual authn.Mapping, m *v1alpha1.ClaimMappings) authn.Mapping {
	if m != nil {
		usual.Email, usual.Name = string(m.Email), string(m.Name)
		usual.Groups, usual.Roles = string(m.Groups), string(m.Roles)
	}
	return usual
}

// tokenSeen counts a token check.
func (e *Endpoint) tokenSeen(r authn.Result) { e.metrics.TokenChecked(string(r)) }

// keySource is where keys of an issuer are.
type keySource struct {
	issuer  string
	url     string // "" for discovery from the issuer
	pin     string
	client  *http.Client
	reached []any // what else the client was made of
}

// keySet gives the keys of an issuer, shared by all endpoints that use it the same
// way, and kept over configuration changes.
func (c *compiler) keySet(from keySource) (*token.KeySet, error) {
	log := c.server.opts.Log.With("issuer", from.issuer)
	key := digest("keys", from.issuer, from.url, from.pin, from.reached)
	keys, release, err := c.server.keySets.Acquire(key, func() (*token.KeySet, error) {
		return token.NewKeySet(token.KeySetConfig{
			Locate: func(ctx context.Context) (string, error) {
				if from.url != "" {
					return from.url, nil
				}
				return authn.DiscoverKeys(ctx, from.client, from.issuer)
			},
			Client: from.client, Pin: from.pin, Log: log, Idle: c.server.checking,
			Seen: func(ev token.Event) { c.server.opts.Metrics.KeySet(string(ev)) },
		})
	})
	if err != nil {
		return nil, err
	}
	c.snap.releases = append(c.snap.releases, release)
	return keys, nil
}

func (c *compiler) issuerRoots(want expected) (roots *x509.CertPool, bundle string, ok bool) {
	ref := want.issuer.CABundleRef
	if ref == nil {
		return nil, "", true
	}
	return c.caBundle(want.owner, want.field+".caBundleRef.configMapRef", ref)
}

// issuerClient is the HTTP client for an issuer's endpoints. It follows no
// redirect: keys and answers come from where the manifest says.
func issuerClient(allowPrivate bool, roots *x509.CertPool) *http.Client {
	return guardedClient(netguard.Policy{AllowPrivate: allowPrivate, Setting: "jwksAllowPrivateIP"}, roots)
}

// guardedClient dials what the policy admits, and follows no redirect.
func guardedClient(policy netguard.Policy, roots *x509.CertPool) *http.Client {
	dialer := policy.Dialer(5 * time.Second)
	return &http.Client{
		Timeout: 15 * time.Second,
		Transport: &http.Transport{
			DialContext: dialer.DialContext, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2: true, TLSHandshakeTimeout: 5 * time.Second, IdleConnTimeout: 30 * time.Second,
			MaxIdleConnsPerHost: 8, MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
