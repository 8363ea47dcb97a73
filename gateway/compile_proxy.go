package gateway

import (
	"net/http"
	"net/netip"
	"slices"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/authn"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/netguard"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// proxyDoor believes an authenticating proxy before the gateway.
func (c *compiler) proxyDoor(o *manifest.Object, tp *trustedProxy, e *Endpoint) *authn.Resolver {
	const field = "spec.trustedProxy"
	if tp.assertion != nil {
		return c.assertionDoor(o, tp, e)
	}
	proof := authn.Proof{Peers: e.link.proxies, Certificates: tp.certificates}
	if len(tp.certificates) > 0 && !c.server.opts.ClientCertificates {
		e.doorWarning = "the proxy cannot be known by its certificate, since nothing verifies certificates; " + verifyRemedy
	}
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

// assertionDoor believes a proxy's signed header (REQ C-8).
func (c *compiler) assertionDoor(o *manifest.Object, tp *trustedProxy, e *Endpoint) *authn.Resolver {
	a := tp.assertion
	header, checker, generation := c.asserted(o, a, e)
	if checker == nil {
		return authn.NewResolver(true) // a problem has been noted; nobody is let in
	}
	return authn.NewResolver(tp.reject, authn.NewAssertion(authn.AssertionConfig{
		Header: header, Checker: checker, Generation: generation, Seen: e.tokenSeen,
	}))
}

// asserted makes what checks a proxy's assertions; a nil checker with a problem.
func (c *compiler) asserted(o *manifest.Object, a *v1alpha1.ProxyAssertion, e *Endpoint) (header string, _ authn.Checker, generation func() uint64) {
	client := guardedClient(netguard.Policy{AllowPrivate: a.AllowPrivateIPs, Setting: "allowPrivateIPs"}, nil)
	if a.Preset == "aws-alb" {
		e.mapping = mapped(authn.Mapping{}, a.ClaimMappings)
		url := string(a.KeysURL)
		if url == "" {
			url = authn.ALBKeysURL(a.Region)
		}
		keys, release, _ := c.server.albKeys.Acquire(digest("alb", url, a.AllowPrivateIPs), func() (*authn.ALBKeys, error) {
			return authn.NewALBKeys(client, url), nil
		})
		c.snap.releases = append(c.snap.releases, release)
		return authn.ALBHeader, authn.NewALB(authn.ALBConfig{
			Keys: keys, Signer: a.Signer, Issuer: a.Issuer, ClientID: a.ClientID, Leeway: clockSkew, Mapping: e.mapping,
		}), nil
	}
	signer, audience := signerOf(a)
	e.mapping = mapped(signer.Mapping, a.ClaimMappings)
	keys, err := c.keySet(keySource{issuer: signer.Issuer, url: signer.KeysURL, client: client, reached: []any{a.AllowPrivateIPs}})
	if err != nil {
		c.problem(o, "spec.trustedProxy.assertion", "%v", err)
		return "", nil, nil
	}
	verifier, err := token.NewVerifier(keys, token.Expectations{
		Issuer: signer.Issuer, Audiences: []string{audience}, Algorithms: signer.Algorithms, Leeway: clockSkew,
	})
	if err != nil {
		c.problem(o, "spec.trustedProxy.assertion", "%v", err)
		return "", nil, nil
	}
	return signer.Header, authn.NewJWT(verifier, e.mapping), keys.Changes
}

// signerOf is a preset as the manifest changes it, and the audience that is this
// deployment's.
func signerOf(a *v1alpha1.ProxyAssertion) (signer authn.Signer, audience string) {
	switch a.Preset {
	case "cloudflare-access":
		signer, audience = authn.CloudflareAccess(a.Team), a.Audience
	case "google-iap":
		signer, audience = authn.GoogleIAP(), a.Audience
	case "pomerium":
		signer, audience = authn.Pomerium(a.Domain), a.Domain
	}
	if a.Issuer != "" {
		signer.Issuer = a.Issuer
	}
	if a.KeysURL != "" {
		signer.KeysURL = string(a.KeysURL)
	}
	return signer, audience
}

const verifyRemedy = "start the gateway with --tls-client-ca"

// certificates is the method that takes callers from client certificates, if the
// manifest asks for it; none with a problem.
func (c *compiler) certificates(o *manifest.Object, in *v1alpha1.Incoming, e *Endpoint) []authn.Method {
	if in.ClientCertificate == nil {
		return nil
	}
	if !c.server.opts.ClientCertificates {
		e.doorWarning = "nobody can come in by a client certificate, since nothing verifies them; " + verifyRemedy
	}
	var method authn.Certificate
	if ref := in.ClientCertificate.CABundleRef; ref != nil {
		const field = "spec.clientCertificate.caBundleRef.configMapRef"
		_, bundle, ok := c.caBundle(o, field, ref)
		if !ok {
			return nil
		}
		e.settings = append(e.settings, bundle)
		if method.Authorities = authn.Authorities(bundle); len(method.Authorities) == 0 {
			c.problem(o, field+".key", "holds no certificate; put PEM certificates there")
			return nil
		}
	}
	return []authn.Method{method}
}
