package gateway

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/credential"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/netguard"
	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// credentialMaker makes the credential of one endpoint, for an object that is good.
// What callers are given at one endpoint is kept for that endpoint alone.
type credentialMaker func(o *manifest.Object) credential.Source

// credential compiles one configuration of the inner door. What is wrong with it
// is said once, however many servers use it.
func (c *compiler) credential(o manifest.Item[v1alpha1.MCPExternalAuthConfig]) {
	spec := &o.Value.Spec
	var maker credentialMaker
	switch {
	case spec.HeaderInjection != nil:
		if v, ok := c.headerSecret(o.Object, "spec.headerInjection.valueSecretRef", spec.HeaderInjection.ValueSecretRef); ok {
			maker = fixed(credential.NewFixed(string(spec.HeaderInjection.HeaderName), v))
		}
	case spec.BearerToken != nil:
		if v, ok := c.headerSecret(o.Object, "spec.bearerToken.tokenSecretRef", spec.BearerToken.TokenSecretRef); ok {
			maker = fixed(credential.NewBearer(v))
		}
	case spec.TokenExchange != nil:
		maker = c.tokenExchange(o.Object, spec.TokenExchange)
	}
	c.credentials[objectKey{o.Namespace, o.Name}] = maker
}

func fixed(f *credential.Fixed) credentialMaker {
	return func(*manifest.Object) credential.Source { return f }
}

// tokenExchange compiles RFC 8693; nil with a problem.
func (c *compiler) tokenExchange(o *manifest.Object, spec *v1alpha1.TokenExchange) credentialMaker {
	const field = "spec.tokenExchange"
	clientSecret, ok := c.clientSecret(o, field+".clientSecretRef", spec.ClientSecretRef)
	if !ok {
		return nil
	}
	c.judgeAddress(o, field+".tokenUrl", string(spec.TokenURL), spec.AllowPrivateIPs)
	return func(user *manifest.Object) credential.Source {
		key := digest("tokenExchange", user.Namespace, user.Kind, user.Name, spec, clientSecret.Reveal())
		return c.keepSource(key, func() credential.Source {
			return credential.NewTokenExchange(credential.TokenExchangeConfig{
				Endpoint: oauth.Endpoint{
					URL:    string(spec.TokenURL),
					Auth:   oauth.ClientAuth{ID: spec.ClientID, Secret: clientSecret},
					Client: tokenClient(string(spec.TokenURL), spec.AllowPrivateIPs),
				},
				Audience: spec.Audience, Scopes: spec.Scopes, SubjectType: spec.SubjectTokenType,
				Header: string(spec.ExternalTokenHeaderName),
				Seen:   c.server.opts.Metrics.Server(user.Name).TokenExchanged,
			})
		})
	}
}

// keepSource gives the source with these settings: the one that is in use, with the
// credentials that it has obtained, or a new one.
func (c *compiler) keepSource(key string, open func() credential.Source) credential.Source {
	src, release, _ := c.server.sources.Acquire(key, func() (keptSource, error) { return keptSource{open()}, nil })
	c.snap.releases = append(c.snap.releases, release)
	return src.Source
}

// keptSource is a source in a pool. What it has obtained goes with it.
type keptSource struct{ credential.Source }

// Close implements [io.Closer].
func (keptSource) Close() error { return nil }

// clientSecret is the secret of the gateway's client at a token endpoint, if it has one.
func (c *compiler) clientSecret(o *manifest.Object, field string, ref *v1alpha1.SecretKeyRef) (secret.Value, bool) {
	if ref == nil {
		return secret.Value{}, true
	}
	return c.headerSecret(o, field, *ref)
}

// judgeAddress warns of an address that no request will reach. A name is looked at
// when it is dialled.
func (c *compiler) judgeAddress(o *manifest.Object, field, address string, allowPrivate bool) {
	u, err := url.Parse(address)
	if err != nil {
		c.problem(o, field, "is not a URL; write it like https://idp.example.com/oauth2/token")
		return
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil {
		if refused := tokenPolicy(address, allowPrivate).Check(ip); refused != nil {
			c.warnings = append(c.warnings, o.Problem(field, "%v, so every call will fail", refused))
		}
	}
}

// tokenClient is the HTTP client for a token endpoint. It follows no redirect: what
// is sent there is good for nobody else (REQ A-5).
func tokenClient(address string, allowPrivate bool) *http.Client {
	return guardedClient(tokenPolicy(address, allowPrivate), nil)
}

func tokenPolicy(address string, allowPrivate bool) netguard.Policy {
	return netguard.Policy{AllowPrivate: allowPrivate, PlainOnlyPrivate: strings.HasPrefix(address, "http:"), Setting: "allowPrivateIPs"}
}

// needsToken finds a credential that is made from the caller's token where callers
// bring none.
func (c *compiler) needsToken(o *manifest.Object, in *v1alpha1.Incoming, e *Endpoint) {
	if t, ok := e.outgoing.credential.(credential.TokenUser); !ok || !t.UsesToken() || e.protection != nil {
		return
	}
	tp := c.server.opts.TrustedProxy.over(in.TrustedProxy)
	switch configured := in.OIDCConfig != nil || in.OIDCConfigRef != nil; {
	case configured && tp.clientAuth:
		// What is wrong with it has been said.
	case configured:
		c.problem(o, "spec.externalAuthConfigRef", "exchanges the caller's token, and authentication of clients by token is switched off (trustedProxy.clientAuthEnabled or MCP_CLIENT_AUTH_ENABLED); switch it on, or use another type of credential")
	default:
		c.problem(o, "spec.externalAuthConfigRef", "exchanges the caller's token, and nothing here asks callers for one; add oidcConfigRef or oidcConfig")
	}
}
