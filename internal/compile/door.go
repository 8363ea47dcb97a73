package compile

import (
	"cmp"
	"context"
	"crypto/x509"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/authn"
	"github.com/sallyport-dev/sallyport/internal/authserver"
	"github.com/sallyport-dev/sallyport/internal/compile/plan"
	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/keep"
	"github.com/sallyport-dev/sallyport/internal/netguard"
	"github.com/sallyport-dev/sallyport/internal/pipeline"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// door is the outer door of one endpoint while it is made.
type door struct {
	*making
	plan *plan.Endpoint
	e    *Endpoint
	to   *pipeline.Config
}

// resolver has the planned methods, in their order. A method that could not be made lets
// nobody in.
func (c *door) resolver() *authn.Resolver {
	var methods []authn.Method
	var issuers *authn.Issuers
	for _, m := range c.plan.Door.Methods {
		if m.Tokens != nil {
			b := c.tokens(m.Tokens)
			if b == nil {
				continue
			}
			if issuers == nil {
				issuers = authn.NewIssuers()
				methods = append(methods, issuers)
			}
			issuers.Add(string(m.Tokens.Issuer.Issuer), b, m.Tokens.Issuer.IntrospectionURL != "" || m.Tokens.Issuer.IntrospectionPreset != "")
			continue
		}
		if made := c.method(m); made != nil {
			methods = append(methods, made)
		}
	}
	return authn.NewResolver(!c.plan.Door.Anonymous, methods...)
}

func (c *door) method(m plan.Method) authn.Method {
	switch {
	case m.SignIn != nil:
		return c.signIn(m.SignIn)
	case m.Assertion != nil:
		return c.assertion(m.Assertion)
	case m.Certificate != nil:
		return authn.Certificate{Which: authn.Certificates{Authorities: authn.Authorities(m.Certificate.Authorities), Names: m.Certificate.Names}}
	case m.Proxy != nil:
		p := m.Proxy
		return authn.NewProxy(authn.ProxyHeaders(p.Headers), authn.Proof{
			Peers: p.Peers, Certificates: authn.Certificates{Authorities: authn.Authorities(p.Authorities), Names: p.Certificates},
			SecretHeader: p.SecretHeader, Secret: p.Secret,
		}, p.Require)
	}
	return nil
}

// seen counts an endpoint's token checks.
func (c *door) seen() func(authn.Result) {
	metrics := c.opts.Metrics.Server(c.plan.Name)
	return func(r authn.Result) { metrics.TokenChecked(string(r)) }
}

// tokens checks those of an issuer elsewhere; nil with a problem.
func (c *door) tokens(p *plan.Tokens) *authn.Bearer {
	iss := p.Issuer
	c.protect(p)
	client, reached := c.issuerClient(iss.JWKSAllowPrivateIP, pool(p.CABundle)), []any{iss.JWKSAllowPrivateIP, p.CABundle}
	if p.Accounts != nil && p.Accounts.ClusterAuth {
		client.Transport = c.opts.Cluster.Transport(client.Transport, func(roots *x509.CertPool) http.RoundTripper {
			return netguard.NewClient(netguard.Policy{AllowPrivate: true}, netguard.Options{Roots: roots}).Transport
		})
		reached = append(reached, "cluster")
	}
	expects := token.Expectations{
		Issuer: string(iss.Issuer), Audiences: plan.Audiences(p.Audiences, c.plan.Paths), Clients: p.Clients, Access: true,
		Algorithms: iss.AllowedAlgorithms, Leeway: iss.ClockSkew.Duration(),
	}
	mapping := mapped(authn.Mapping{}, iss.ClaimMappings)
	only := func(c authn.Checker) authn.Checker {
		if p.Accounts == nil {
			return c
		}
		return authn.ServiceAccounts{Checker: c, Namespace: p.Accounts.Namespace, Name: p.Accounts.Name}
	}
	cfg := authn.BearerConfig{Scopes: p.Scopes, Ask: p.Advertised, Seen: c.seen()}
	if iss.IntrospectionPreset == "" { // whose tokens are all opaque
		keys, err := c.keySet(keySource{
			issuer: string(iss.Issuer), url: string(iss.JWKSURL), pin: iss.JWKSCertFingerprint, client: client, reached: reached,
		})
		if err != nil {
			c.problems = append(c.problems, p.Problem("jwksCertFingerprint", err))
			return nil
		}
		verifier, err := token.NewVerifier(keys, expects)
		if err != nil {
			c.problems = append(c.problems, p.Problem("", err))
			return nil
		}
		cfg.JWT, cfg.Generation = only(authn.NewJWT(verifier, mapping)), keys.Changes
	}
	if at := cmp.Or(string(iss.IntrospectionURL), authn.IntrospectionURL(iss.IntrospectionPreset)); at != "" {
		cfg.Opaque = only(authn.NewIntrospection(authn.IntrospectionConfig{
			URL: at, ClientID: iss.ClientID, ClientSecret: p.ClientSecret, Client: client, Preset: iss.IntrospectionPreset,
			Want: expects, Mapping: mapping,
		}))
	}
	return authn.NewBearer(cfg)
}

// protect says what clients are told of an issuer, beside others.
func (c *door) protect(p *plan.Tokens) {
	to := c.to
	if to.Protection == nil {
		to.Protection = &pipeline.Protection{}
	}
	if p.Accounts == nil { // pods have their tokens; nobody can sign in at a cluster
		to.Protection.AuthorizationServers = append(to.Protection.AuthorizationServers, string(p.Issuer.Issuer))
	}
	ask := p.Advertised
	if ask == nil {
		ask = p.Scopes
	}
	for _, scope := range ask {
		if !slices.Contains(to.Protection.Scopes, scope) {
			to.Protection.Scopes = append(to.Protection.Scopes, scope)
		}
	}
}

// signIn takes the tokens that an embedded authorization server made for the endpoint;
// nil with a problem. They are verified in the process, by its keys, and it is asked
// whether they were revoked since.
func (c *door) signIn(p *plan.AuthServer) authn.Method {
	a := c.servers[p]
	if a == nil {
		return nil // what is wrong with it has been said
	}
	c.e.SignIn, c.e.Resources = a, c.plan.Addresses(p, c.opts.PublicURL)
	c.to.Link.Origin, _ = url.Parse(p.Origin) // it was made of one
	c.to.Protection = &pipeline.Protection{AuthorizationServers: []string{a.Issuer()}, Scopes: p.Spec.BaselineClientScopes}
	c.to.Revoked = a.WhenRevoked
	verifier, err := token.NewVerifier(a.Keys(), token.Expectations{
		Issuer: a.Issuer(), Audiences: c.e.Resources, Types: []string{"at+jwt"}, Leeway: clockSkew,
	})
	if err != nil {
		c.bad(&c.plan.Resource, "spec.authServerRef", err)
		return nil
	}
	return authn.NewBearer(authn.BearerConfig{
		JWT: &unrevoked{authn.NewJWT(verifier, authn.Mapping{}), a.Server}, Generation: a.Generation, Seen: c.seen(),
	})
}

// unrevoked checks tokens, and that they are still good.
type unrevoked struct {
	tokens *authn.JWT
	server *authserver.Server
}

// Check implements [authn.Checker].
func (u *unrevoked) Check(ctx context.Context, raw string, now time.Time) (*identity.Caller, error) {
	caller, err := u.tokens.Check(ctx, raw, now)
	if err != nil {
		return nil, err
	}
	revoked, err := u.server.Revoked(caller.Claims)
	switch {
	case err != nil:
		return nil, &token.Unavailable{Cause: err}
	case revoked:
		return nil, &token.Invalid{Reason: "it was revoked"}
	}
	return caller, nil
}

// assertion believes a proxy's signed header (REQ C-8); nil with a problem.
func (c *door) assertion(a *v1alpha1.ProxyAssertion) authn.Method {
	client := c.guarded(netguard.Policy{AllowPrivate: a.AllowPrivateIPs, Setting: plan.PrivateSetting}, nil)
	cfg := authn.AssertionConfig{Seen: c.seen()}
	if a.Preset == "aws-alb" {
		url := string(a.KeysURL)
		if url == "" {
			url = authn.ALBKeysURL(a.Region)
		}
		keys := acquire(c.making, &c.albKeys, keep.Key("alb", url, a.AllowPrivateIPs), func() *authn.ALBKeys { return authn.NewALBKeys(client, url) })
		cfg.Header = authn.ALBHeader
		cfg.Checker = authn.NewALB(authn.ALBConfig{
			Keys: keys, Signer: a.Signer, Issuer: a.Issuer, ClientID: a.ClientID, Leeway: clockSkew, Mapping: mapped(authn.Mapping{}, a.ClaimMappings),
		})
		return authn.NewAssertion(cfg)
	}
	signer, audience := signerOf(a)
	keys, err := c.keySet(keySource{issuer: signer.Issuer, url: signer.KeysURL, client: client, reached: []any{a.AllowPrivateIPs}})
	if err != nil {
		c.bad(&c.plan.Resource, "spec.trustedProxy.assertion", err)
		return nil
	}
	verifier, err := token.NewVerifier(keys, token.Expectations{
		Issuer: signer.Issuer, Audiences: []string{audience}, Algorithms: signer.Algorithms, Leeway: clockSkew,
	})
	if err != nil {
		c.bad(&c.plan.Resource, "spec.trustedProxy.assertion", err)
		return nil
	}
	cfg.Header, cfg.Checker, cfg.Generation = signer.Header, authn.NewJWT(verifier, mapped(signer.Mapping, a.ClaimMappings)), keys.Changes
	return authn.NewAssertion(cfg)
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

// mapped lays a manifest's claim mappings over what is usual.
func mapped(usual authn.Mapping, m *v1alpha1.ClaimMappings) authn.Mapping {
	if m != nil {
		usual.Email, usual.Name = string(m.Email), string(m.Name)
		usual.Groups, usual.Roles = string(m.Groups), string(m.Roles)
	}
	return usual
}

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
func (c *making) keySet(from keySource) (*token.KeySet, error) {
	log, metrics := c.opts.Log.With("issuer", from.issuer), c.opts.Metrics // and not c, which keeps what is of one plan
	keys, err := tryAcquire(c, &c.keySets, keep.Key("keys", from.issuer, from.url, from.pin, from.reached), func() (*token.KeySet, error) {
		return token.NewKeySet(token.KeySetConfig{
			Locate: func(ctx context.Context) (string, error) {
				if from.url != "" {
					return from.url, nil
				}
				return authn.DiscoverKeys(ctx, from.client, from.issuer)
			},
			Client: from.client, Pin: from.pin, Log: log, Idle: c.opts.Checking,
			Seen: func(ev token.Event) { metrics.KeySet(string(ev)) },
		})
	})
	if err == nil {
		c.parts.KeySets = append(c.parts.KeySets, KeySet{from.issuer, keys})
	}
	return keys, err
}

// issuerClient is the HTTP client for an issuer's endpoints.
func (c *making) issuerClient(allowPrivate bool, roots *x509.CertPool) *http.Client {
	return c.guarded(netguard.Policy{AllowPrivate: allowPrivate, Setting: "jwksAllowPrivateIP"}, roots)
}
