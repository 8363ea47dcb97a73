package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/netip"
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
	case in.OIDCConfig != nil || in.OIDCConfigRef != nil:
		e.door = c.tokenDoor(o, in, e)
	default:
		e.door = authn.NewResolver(false)
		e.doorWarning = "serving anonymous clients, since no incoming authentication is configured; " + e.outgoing.shows()
	}
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
}

// tokenDoor wants a token of the configured issuer.
func (c *compiler) tokenDoor(o *manifest.Object, in *v1alpha1.Incoming, e *Endpoint) *authn.Resolver {
	var want expected
	if ref := in.OIDCConfigRef; ref != nil {
		cfg, ok := manifest.Get[v1alpha1.MCPOIDCConfig](c.set, o.Namespace, string(ref.Name))
		if !ok {
			c.missing(o, "spec.oidcConfigRef.name", "MCPOIDCConfig", string(ref.Name))
			return authn.NewResolver(true)
		}
		want = expected{cfg.Value.Spec.Inline, []string{ref.Audience}, ref.Scopes, cfg.Object, "spec.inline"}
	} else {
		i := in.OIDCConfig.Inline
		want = expected{&i.OIDCIssuer, i.Audiences, i.Scopes, o, "spec.oidcConfig.inline"}
		if i.Audience != "" {
			want.audiences = append([]string{i.Audience}, want.audiences...)
		}
	}
	if want.issuer == nil {
		return authn.NewResolver(true)
	}
	if slices.Contains(e.outgoing.passthrough, "Authorization") {
		c.problem(o, "spec.passthroughAuthorization", "the gateway itself reads Authorization here (oidcConfig), and a client's token for the gateway is not forwarded; remove one of them")
	}
	e.protection = &protection{AuthorizationServers: []string{string(want.issuer.Issuer)}, Scopes: want.scopes}
	e.settings = append(e.settings, want.issuer)
	method := c.bearer(e, want)
	if method == nil {
		return authn.NewResolver(true) // a problem has been noted; nobody is let in
	}
	return authn.NewResolver(true, method)
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
	client := issuerClient(iss.JWKSAllowPrivateIP, roots)
	mapping := authn.Mapping{}
	if m := iss.ClaimMappings; m != nil {
		mapping = authn.Mapping{Email: string(m.Email), Name: string(m.Name), Groups: string(m.Groups), Roles: string(m.Roles)}
	}
	e.mapping = mapping
	keys := c.keySet(want, client, bundle)
	if keys == nil {
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
		JWT: authn.NewJWT(verifier, mapping), Scopes: want.scopes, Generation: keys.Changes, Seen: e.tokenSeen,
	}
	if iss.IntrospectionURL != "" {
		var clientSecret secret.Value
		if ref := iss.ClientSecretRef; ref != nil {
			if clientSecret, ok = c.secret(want.owner, want.field+".clientSecretRef", *ref); !ok {
				return nil
			}
		}
		cfg.Opaque = authn.NewIntrospection(authn.IntrospectionConfig{
			URL: string(iss.IntrospectionURL), ClientID: iss.ClientID, ClientSecret: clientSecret, Client: client,
			Issuer: string(iss.Issuer), Audiences: want.audiences, Mapping: mapping,
		})
	}
	return authn.NewBearer(cfg)
}

// tokenSeen counts a token check.
func (e *Endpoint) tokenSeen(r authn.Result) { e.metrics.TokenChecked(string(r)) }

// keySet gives the keys of an issuer, shared by all endpoints that use it the same
// way, and kept over configuration changes.
func (c *compiler) keySet(want expected, client *http.Client, bundle string) *token.KeySet {
	iss := want.issuer
	log := c.server.opts.Log.With("issuer", string(iss.Issuer))
	key := digest("keys", iss.Issuer, iss.JWKSURL, iss.JWKSCertFingerprint, iss.JWKSAllowPrivateIP, bundle)
	keys, release, err := c.server.keySets.Acquire(key, func() (*token.KeySet, error) {
		return token.NewKeySet(token.KeySetConfig{
			Locate: func(ctx context.Context) (string, error) {
				if iss.JWKSURL != "" {
					return string(iss.JWKSURL), nil
				}
				return authn.DiscoverKeys(ctx, client, string(iss.Issuer))
			},
			Client: client, Pin: iss.JWKSCertFingerprint, Log: log, Idle: c.server.checking,
			Seen: func(ev token.Event) { c.server.opts.Metrics.KeySet(string(ev)) },
		})
	})
	if err != nil {
		c.problem(want.owner, want.field+".jwksCertFingerprint", "%v", err)
		return nil
	}
	c.snap.releases = append(c.snap.releases, release)
	return keys
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
	dialer := netguard.Policy{AllowPrivate: allowPrivate}.Dialer(5 * time.Second)
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

// proxyDoor believes an authenticating proxy before the gateway.
func (c *compiler) proxyDoor(o *manifest.Object, tp *trustedProxy, e *Endpoint) *authn.Resolver {
	const field = "spec.trustedProxy"
	proof := authn.Proof{Peers: e.link.proxies}
	if s := tp.sharedSecret; s != nil {
		v, ok := c.headerSecret(o, field+".sharedSecret.valueSecretRef", s.ValueSecretRef)
		if !ok {
			return authn.NewResolver(true)
		}
		proof.SecretHeader, proof.Secret = http.CanonicalHeaderKey(string(s.HeaderName)), v
	}
	for i, name := range e.outgoing.passthrough {
		if h := tp.headers; slices.Contains([]string{h.User, h.Email, h.Name, h.Groups, proof.SecretHeader}, name) {
			c.problem(o, index("spec.passthroughHeaders", i), "header %s is the trusted proxy's word about the caller, or its secret, and cannot be passed through", name)
		}
	}
	return authn.NewResolver(tp.reject, authn.NewProxy(tp.headers, proof, tp.reject))
}

// peers are the addresses a proxy may connect from.
func (tp *trustedProxy) peers(bad func(i int, text string)) []netip.Prefix {
	var peers []netip.Prefix
	for i, text := range tp.addresses {
		if p, err := netip.ParsePrefix(text); err == nil {
			peers = append(peers, p.Masked())
		} else if a, err := netip.ParseAddr(text); err == nil {
			peers = append(peers, netip.PrefixFrom(a, a.BitLen()))
		} else {
			bad(i, text)
		}
	}
	return peers
}
