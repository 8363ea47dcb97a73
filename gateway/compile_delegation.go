package gateway

import (
	"slices"
	"time"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/authserver"
	"github.com/sallyport-dev/sallyport/internal/authserver/clients"
	"github.com/sallyport-dev/sallyport/internal/authserver/delegation"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/netguard"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

const (
	grantExchange  = "urn:ietf:params:oauth:grant-type:token-exchange"
	grantAssertion = "urn:ietf:params:oauth:grant-type:jwt-bearer"
)

// delegate compiles who may act for others at an authorization server: its
// delegateClients and trustedIssuers. The secrets' texts are for telling settings
// apart.
func (c *compiler) delegate(o *manifest.Object, spec *v1alpha1.EmbeddedAuthServer, cfg *authserver.Config, registry *clients.Config) (secrets []string, ok bool) {
	ok = true
	for i, d := range spec.DelegateClients {
		at := index(fieldAuthServer+".delegateClients", i)
		if slices.ContainsFunc(registry.Static, func(s clients.Static) bool { return s.ID == d.ClientID }) {
			c.problem(o, at+".clientId", "%s is one of staticClients too; give one of them another id", d.ClientID)
			ok = false
			continue
		}
		v, found := c.headerSecret(o, at+".clientSecretRef", d.ClientSecretRef)
		if !found {
			ok = false
			continue
		}
		client := clients.Static{ID: d.ClientID, Name: d.ClientID, Secrets: []secret.Value{v}, Scopes: d.Scopes, Grants: []string{grantExchange, grantAssertion}}
		for _, a := range d.Audiences {
			client.Audiences = append(client.Audiences, string(a))
		}
		registry.Static = append(registry.Static, client)
		secrets = append(secrets, v.Reveal())
		cfg.Delegated = appendNew(cfg.Delegated, d.Scopes)
	}
	primary := subjectsOf(spec)
	for i := range spec.TrustedIssuers {
		t := &spec.TrustedIssuers[i]
		at := index(fieldAuthServer+".trustedIssuers", i)
		if !c.knownDelegates(o, at, t, spec.DelegateClients) {
			ok = false
			continue
		}
		issuer, err := c.trusted(t, string(t.IssuerURL) == primary)
		if err != nil {
			c.problem(o, at, "%v", err)
			ok = false
			continue
		}
		cfg.Trusted = append(cfg.Trusted, *issuer)
		if t.IdentityAssertionGrant != nil && registry.Grants == nil {
			// Clients that published themselves may show what the issuer decided.
			registry.Grants = []string{"authorization_code", "refresh_token", grantAssertion}
		}
	}
	return secrets, ok
}

func appendNew(list, more []string) []string {
	list = slices.Clone(list)
	for _, s := range more {
		if !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

// knownDelegates finds ids that nobody has: a typing error would otherwise show when
// a service is refused.
func (c *compiler) knownDelegates(o *manifest.Object, at string, t *v1alpha1.TrustedIssuer, known v1alpha1.DelegateClients) bool {
	ok := true
	for i, id := range t.AllowedDelegateClients {
		if id != "*" && !slices.ContainsFunc(known, func(d v1alpha1.DelegateClient) bool { return d.ClientID == id }) {
			c.problem(o, index(at+".allowedDelegateClients", i), "%s is none of delegateClients; add it there or correct the id", id)
			ok = false
		}
	}
	return ok
}

// subjectsOf is the issuer whose sub is what people are called here: that of the
// primary provider, if it is an OpenID provider whose sub is taken.
func subjectsOf(spec *v1alpha1.EmbeddedAuthServer) string {
	names, err := spec.UpstreamProviders.Names()
	if err != nil {
		return ""
	}
	for i, name := range names {
		if spec.PrimaryUpstreamProvider != "" && name != spec.PrimaryUpstreamProvider {
			continue
		}
		p := &spec.UpstreamProviders[i]
		if oidc := p.OIDCConfig; oidc != nil && (oidc.SubjectClaim == "sub" || oidc.SubjectClaim == "" && p.Preset != "entra") {
			return string(oidc.IssuerURL)
		}
		return ""
	}
	return ""
}

// trusted compiles one issuer, and begins to fetch its keys.
func (c *compiler) trusted(t *v1alpha1.TrustedIssuer, same bool) (*delegation.Issuer, error) {
	policy := netguard.Policy{AllowPrivate: t.AllowPrivateIPs, Setting: "allowPrivateIPs"}
	keys, err := c.keySet(keySource{
		issuer: string(t.IssuerURL), url: string(t.JWKSURL), client: guardedClient(policy, nil), reached: []any{"trusted", t.AllowPrivateIPs},
	})
	if err != nil {
		return nil, err
	}
	issuer := &delegation.Issuer{URL: string(t.IssuerURL), Keys: keys, SameSubjects: t.SameSubjects || same}
	if t.ExpectedAudience != "" {
		issuer.Exchange = &delegation.Exchange{
			Audience: t.ExpectedAudience, Clients: t.AllowedDelegateClients, ActorClaim: t.ActorClaim, Actors: t.AllowedActors, MayAct: t.AllowMayAct,
		}
	}
	if g := t.JWTBearerGrant; g != nil {
		w := &delegation.Workloads{MaxAge: g.MaxAssertionAge.Duration(), Resources: map[string][]string{}}
		for _, a := range g.AcceptedAudiences {
			w.Audiences = append(w.Audiences, string(a))
		}
		for _, b := range g.SubjectBindings {
			for _, resource := range b.AllowedResources {
				w.Resources[b.Subject] = append(w.Resources[b.Subject], string(resource))
			}
		}
		issuer.Workloads = w
	}
	if g := t.IdentityAssertionGrant; g != nil {
		issuer.People = &delegation.People{MaxAge: g.MaxAssertionAge.Duration()}
		if issuer.People.MaxAge == 0 {
			issuer.People.MaxAge = 10 * time.Minute
		}
	}
	return issuer, nil
}
