package plan

import (
	"net/http"
	"net/netip"
	"slices"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// ProxyTrust are the settings of the process about proxies that authenticate. What
// is set here wins over every manifest; nil and "" are not set.
type ProxyTrust struct {
	ClientAuthEnabled *bool
	TrustProxyAuth    *bool
	UserHeader        string
}

// Proxy is an authenticating proxy before the gateway, and how it is known.
type Proxy struct {
	Headers      ProxyHeaders
	Peers        []netip.Prefix // that it connects from
	Certificates []string       // names of its own
	Authorities  string         // PEM, that those must be of; "" for all that the listener believes
	SecretHeader string         // that it alone can set; "" for none
	Secret       secret.Value
	Require      bool // requests without its word are refused
}

// ProxyHeaders are the names of the headers with the proxy's word about the caller,
// canonical; "" for what it does not say.
type ProxyHeaders struct {
	User, Email, Name string
	Groups            string
	GroupsSeparator   string // "" for a comma; none where each header is one group
}

// trustedProxy is what holds for one endpoint, of manifest and process together.
type trustedProxy struct {
	clientAuth   bool // clients authenticate to the gateway themselves
	trust        bool // a proxy's identity header is believed
	headers      ProxyHeaders
	addresses    []string
	sharedSecret *v1alpha1.HeaderFromSecret
	certificates []string                 // names of the proxy's own
	caBundle     *v1alpha1.CABundleRef    // of who issued those; nil for any that the listener knows
	assertion    *v1alpha1.ProxyAssertion // nil where headers are plain
	reject       bool                     // requests without the header are refused
}

// defaultUserHeader and defaultProxies hold where neither manifest nor process say
// anything.
const defaultUserHeader = "X-Authenticated-User"

func defaultProxies() []string { return []string{"127.0.0.0/8", "::1/128"} }

// over lays the settings of the process over those of a manifest.
func (p ProxyTrust) over(m *v1alpha1.TrustedProxy) trustedProxy {
	tp := trustedProxy{clientAuth: true, addresses: defaultProxies()}
	user := defaultUserHeader
	if m != nil {
		tp.clientAuth = m.ClientAuthEnabled == nil || *m.ClientAuthEnabled
		tp.trust, tp.sharedSecret = m.TrustProxyAuth, m.SharedSecret
		tp.certificates, tp.caBundle, tp.assertion = m.Certificates, m.CABundleRef, m.Assertion
		tp.reject = m.MissingHeader == "reject"
		if m.TrustedProxies != nil {
			tp.addresses = *m.TrustedProxies
		}
		tp.headers = preset(m.Preset)
		tp.headers.GroupsSeparator = m.GroupsSeparator
		if tp.headers.User != "" {
			user = tp.headers.User
		}
		if m.ProxyUserHeader != "" {
			user = m.ProxyUserHeader
		}
		overlay(&tp.headers.Email, m.EmailHeader)
		overlay(&tp.headers.Name, m.NameHeader)
		overlay(&tp.headers.Groups, m.GroupsHeader)
	}
	if p.ClientAuthEnabled != nil {
		tp.clientAuth = *p.ClientAuthEnabled
	}
	if p.TrustProxyAuth != nil {
		tp.trust = *p.TrustProxyAuth
	}
	if p.UserHeader != "" {
		user = p.UserHeader
	}
	overlay(&tp.headers.User, user)
	return tp
}

// overlay sets a header's name, if there is one to set, in canonical form.
func overlay(name *string, with string) {
	if with != "" {
		*name = http.CanonicalHeaderKey(with)
	}
}

// preset is the headers that a known proxy uses as its documentation has them
// (REQ C-8).
func preset(name string) ProxyHeaders {
	switch name {
	case "oauth2-proxy": // --set-xauthrequest
		return ProxyHeaders{
			User: "X-Auth-Request-User", Email: "X-Auth-Request-Email",
			Name: "X-Auth-Request-Preferred-Username", Groups: "X-Auth-Request-Groups",
		}
	case "oauth2-proxy-upstream": // --pass-user-headers, which is for where it is the reverse proxy itself
		return ProxyHeaders{
			User: "X-Forwarded-User", Email: "X-Forwarded-Email",
			Name: "X-Forwarded-Preferred-Username", Groups: "X-Forwarded-Groups",
		}
	case "authelia":
		return ProxyHeaders{User: "Remote-User", Email: "Remote-Email", Name: "Remote-Name", Groups: "Remote-Groups"}
	case "traefik-forward-auth": // its user is an e-mail address
		return ProxyHeaders{User: "X-Forwarded-User", Email: "X-Forwarded-User"}
	case "envoy", "istio": // claim_to_headers, outputClaimToHeaders; a list comes in base64, so there are no groups
		return ProxyHeaders{User: "X-Jwt-Claim-Sub", Email: "X-Jwt-Claim-Email", Name: "X-Jwt-Claim-Name"}
	case "pomerium": // jwt_claims_headers
		return ProxyHeaders{
			User: "X-Pomerium-Claim-Email", Email: "X-Pomerium-Claim-Email",
			Name: "X-Pomerium-Claim-Name", Groups: "X-Pomerium-Claim-Groups",
		}
	}
	return ProxyHeaders{}
}

// proxy believes an authenticating proxy before the gateway.
func (c one) proxy(tp *trustedProxy, e *Endpoint) []Method {
	const field = "spec.trustedProxy"
	if tp.assertion != nil {
		return []Method{{Assertion: tp.assertion}} // signed (REQ C-8)
	}
	p := &Proxy{Headers: tp.headers, Peers: e.Link.Proxies, Certificates: tp.certificates, Require: tp.reject}
	if len(tp.certificates) > 0 && !c.process.ClientCertificates {
		e.note("the proxy cannot be known by its certificate, since nothing verifies certificates; " + verifyRemedy)
	}
	if s := tp.sharedSecret; s != nil {
		p.SecretHeader = http.CanonicalHeaderKey(string(s.HeaderName))
		p.Secret, _ = c.headerSecret(field+".sharedSecret.valueSecretRef", s.ValueSecretRef)
	}
	c.identityHeaders(p)
	p.Authorities = c.caBundle(field+".caBundleRef.configMapRef", tp.caBundle)
	for i, name := range e.passthrough() {
		if h := p.Headers; slices.Contains([]string{h.User, h.Email, h.Name, h.Groups, p.SecretHeader}, name) {
			c.problem(Index("spec.passthroughHeaders", i), "header %s is the trusted proxy's word about the caller, or its secret, and cannot be passed through", name)
		}
	}
	return []Method{{Proxy: p}}
}

// identityHeaders finds names of headers that are other people's.
func (c one) identityHeaders(p *Proxy) {
	for _, h := range []struct{ field, name string }{
		{"proxyUserHeader", p.Headers.User},
		{"emailHeader", p.Headers.Email},
		{"nameHeader", p.Headers.Name},
		{"groupsHeader", p.Headers.Groups},
		{"sharedSecret.headerName", p.SecretHeader},
	} {
		if reason, bad := v1alpha1.NoIdentityHeader(h.name); bad {
			c.problem("spec.trustedProxy."+h.field, "header %s cannot say who the caller is, since %s; choose another name", h.name, reason)
		}
	}
}

// peers are the addresses that a proxy may connect from.
func (c one) peers(addresses []string) (peers []netip.Prefix) {
	for i, text := range addresses {
		if p, err := netip.ParsePrefix(text); err == nil {
			peers = append(peers, p.Masked())
		} else if a, err := netip.ParseAddr(text); err == nil {
			peers = append(peers, netip.PrefixFrom(a, a.BitLen()))
		} else {
			c.problem(Index("spec.trustedProxy.trustedProxies", i), "%q is no address and no CIDR; write it like 10.0.0.0/8", text)
		}
	}
	return peers
}
