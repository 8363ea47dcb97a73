package gateway

import (
	"net/http"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/authn"
)

// ProxyTrust are the settings of the process about proxies that authenticate. What
// is set here wins over every manifest; nil and "" are not set.
type ProxyTrust struct {
	ClientAuthEnabled *bool
	TrustProxyAuth    *bool
	UserHeader        string
}

// trustedProxy is what holds for one endpoint.
type trustedProxy struct {
	clientAuth   bool // clients authenticate to the gateway themselves
	trust        bool // a proxy's identity header is believed
	headers      authn.ProxyHeaders
	addresses    []string
	sharedSecret *v1alpha1.HeaderFromSecret
	certificates []string                 // names of the proxy's own
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
		tp.certificates, tp.assertion = m.Certificates, m.Assertion
		tp.reject = m.MissingHeader == "reject"
		if m.TrustedProxies != nil {
			tp.addresses = *m.TrustedProxies
		}
		tp.headers, _ = authn.Preset(m.Preset)
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
