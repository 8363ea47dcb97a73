package gateway

import (
	"cmp"
	"time"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/credential"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// backendUser is an object with a backend that wants a credential.
type backendUser struct {
	*manifest.Object
	remoteURL  string
	transport  string
	authServer *embedded // that its callers sign in with; nil for none
}

// credentialMaker makes the credential of one endpoint; nil with a problem. What
// callers are given at one endpoint is kept for that endpoint alone.
type credentialMaker func(user backendUser) credential.Source

// credential compiles one configuration of the inner door. What is wrong with it
// is said once, however many servers use it.
func (c *compiler) credential(o manifest.Item[v1alpha1.MCPExternalAuthConfig]) {
	spec := &o.Value.Spec
	var maker credentialMaker
	switch {
	case spec.HeaderInjection != nil:
		if v, ok := c.headerSecret(o.Object, "spec.headerInjection.valueSecretRef", spec.HeaderInjection.ValueSecretRef); ok {
			maker = same(credential.NewFixed(string(spec.HeaderInjection.HeaderName), v))
		}
	case spec.BearerToken != nil:
		if v, ok := c.headerSecret(o.Object, "spec.bearerToken.tokenSecretRef", spec.BearerToken.TokenSecretRef); ok {
			maker = same(credential.NewBearer(v))
		}
	case spec.ForwardClientToken != nil:
		maker = same(&credential.Forward{Audience: spec.ForwardClientToken.Audience})
	case spec.IdentityAssertion != nil:
		maker = c.identityAssertion(o.Object, spec.IdentityAssertion)
	case spec.UpstreamInject != nil:
		maker = c.upstreamInject(o.Object, spec.UpstreamInject)
	case spec.TokenExchange != nil:
		maker = c.tokenExchange(o.Object, spec.TokenExchange)
	case spec.OBO != nil:
		maker = c.onBehalfOf(o.Object, spec.OBO)
	case spec.XAA != nil:
		maker = c.crossApp(o.Object, spec.XAA)
	case spec.AWSSTS != nil:
		maker = c.awsSTS(o.Object, spec.AWSSTS)
	}
	c.credentials[objectKey{o.Namespace, o.Name}] = maker
}

// same is a source that has nothing of one endpoint's alone.
func same(s credential.Source) credentialMaker {
	return func(backendUser) credential.Source { return s }
}

// identityAssertion compiles the gateway's own word about callers, and publishes the
// keys it is signed with.
func (c *compiler) identityAssertion(o *manifest.Object, spec *v1alpha1.IdentityAssertion) credentialMaker {
	const field = "spec.identityAssertion"
	issuer := cmp.Or(string(spec.Issuer), c.server.opts.PublicURL)
	if issuer == "" && !c.server.checking {
		c.problem(o, field+".issuer", "is required where the gateway is not told its own address by --public-url")
		return nil
	}
	if taken := c.assertions[o.Name]; taken != nil {
		c.problem(o, "metadata.name", "%s/%s has the address %s already; give one of them another name", taken.Namespace, taken.Name, keysPath(o.Name))
		return nil
	}
	c.assertions[o.Name] = o
	var pems [][]byte
	for i, ref := range spec.SigningKeySecretRefs {
		key, ok := c.secret(o, index(field+".signingKeySecretRefs", i), ref)
		if !ok {
			return nil
		}
		pems = append(pems, []byte(key.Reveal()))
	}
	signer, err := token.NewSigner(pems...)
	if err != nil {
		c.problem(o, field+".signingKeySecretRefs", "%v", err)
		return nil
	}
	c.snap.assertionKeys[o.Name] = signer.JWKS()
	return func(user backendUser) credential.Source {
		cfg := credential.AssertionConfig{
			Signer: signer, Issuer: issuer, Audience: cmp.Or(spec.Audience, user.remoteURL),
			Lifetime: time.Duration(spec.Lifetime) * time.Second, Header: string(spec.HeaderName), Claims: spec.Claims,
		}
		key := digest("identityAssertion", user.Namespace, user.Kind, user.Name, issuer, cfg.Audience, spec, signer.JWKS())
		return c.keepSource(key, func() credential.Source { return credential.NewAssertion(cfg) })
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

// wantsMet finds a credential that is made of what is known of callers, where
// nobody asks for that.
func (c *compiler) wantsMet(o *manifest.Object, in *v1alpha1.Incoming, e *Endpoint) {
	const field = "spec.externalAuthConfigRef"
	source, ok := e.outgoing.credential.(credential.Wanting)
	if !ok {
		return
	}
	tp := c.server.opts.TrustedProxy.over(in.TrustedProxy)
	switch configured := in.OIDCConfig != nil || in.OIDCConfigRef != nil || in.AuthServerRef != nil; {
	case source.Wants() == credential.WantsIdentity:
		if e.door.Everybody() {
			c.problem(o, field, "tells the backend who the caller is, and nothing here asks callers for that; add oidcConfigRef, oidcConfig, authServerRef or trustedProxy")
		}
	case source.Wants() != credential.WantsToken || e.protection != nil:
	case configured && tp.clientAuth:
		// What is wrong with it has been said.
	case configured:
		c.problem(o, field, "needs the caller's token, and authentication of clients by token is switched off (trustedProxy.clientAuthEnabled or MCP_CLIENT_AUTH_ENABLED); switch it on, or use another type of credential")
	default:
		c.problem(o, field, "needs the caller's token, and nothing here asks callers for one; add oidcConfigRef, oidcConfig or authServerRef")
	}
}
