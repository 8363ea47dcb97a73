package compile

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	linked "github.com/sallyport-dev/sallyport/internal/accounts"
	"github.com/sallyport-dev/sallyport/internal/compile/plan"
	"github.com/sallyport-dev/sallyport/internal/credential"
	"github.com/sallyport-dev/sallyport/internal/netguard"
	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// keptSource is a source in a pool. What it has obtained goes with it.
type keptSource struct{ credential.Source }

// Close implements [io.Closer].
func (keptSource) Close() error { return nil }

// credential makes what an upstream is shown that is not the same for every caller; nil
// with a problem.
func (c *making) credential(u *plan.Upstream) credential.Source {
	p := u.Shown.Credential
	subject, ok := c.subject(p)
	if !ok {
		return nil
	}
	switch p.Type {
	case plan.TypeAccount:
		if client := c.account(u); client != nil {
			return credential.NewAccount(client)
		}
		return nil
	case v1alpha1.AuthForwardClientToken:
		return &credential.Forward{Audience: p.Audience}
	case v1alpha1.AuthUpstreamInject:
		return subject.Upstream
	case v1alpha1.AuthIdentityAssertion:
		signer, err := signer(p.SigningKeys)
		if err != nil {
			c.bad(&u.Resource, "spec.externalAuthConfigRef", err)
			return nil
		}
		return c.keepSource(p.Key, func() credential.Source {
			spec := p.Spec.IdentityAssertion
			return credential.NewAssertion(credential.AssertionConfig{
				Signer: signer, Issuer: p.Issuer, Audience: p.Audience,
				Lifetime: time.Duration(spec.Lifetime) * time.Second, Header: string(spec.HeaderName), Claims: spec.Claims,
			})
		})
	}
	made := c.keepSource(p.Key, func() credential.Source { return c.exchange(u.Name, p, subject) })
	if x, ok := made.(*credential.Exchange); ok && !slices.Contains(c.parts.Exchanges, x) {
		c.parts.Exchanges = append(c.parts.Exchanges, x)
	}
	return made
}

// keepSource gives the source with these settings: the one that is in use, with the
// credentials that it has obtained, or a new one.
func (c *making) keepSource(key string, open func() credential.Source) credential.Source {
	return acquire(c, &c.sources, key, func() keptSource { return keptSource{open()} }).Source
}

// exchange makes a credential out of a token.
func (c *making) exchange(name string, p *plan.Credential, subject credential.Subject) credential.Source {
	outcome := credential.Outcome{Seen: c.opts.Metrics.Server(name).TokenExchanged}
	endpoint := oauth.Endpoint{URL: p.Endpoint, Auth: oauth.ClientAuth{Secret: p.Secret}}
	switch spec := p.Spec; {
	case spec.OBO != nil:
		endpoint.Auth.ID, endpoint.Auth.Method = spec.OBO.ClientID, oauth.AuthPost
		endpoint.Client = c.tokenClient(p.Endpoint, spec.OBO.AllowPrivateIPs)
		return credential.OnBehalfOf{Subject: subject, Outcome: outcome, Endpoint: endpoint, Scopes: p.Scopes, Skew: spec.OBO.CacheSkew.Duration()}.Source()
	case spec.XAA != nil:
		x := spec.XAA
		subject.IDToken = strings.HasSuffix(x.SubjectTokenType, "id_token")
		endpoint.Auth.ID, endpoint.Client = x.IDPClientID, c.tokenClient(p.Endpoint, x.AllowPrivateIPs)
		target := oauth.Endpoint{
			URL: string(x.TargetTokenURL), Auth: oauth.ClientAuth{ID: x.TargetClientID, Secret: p.TargetSecret}, Client: c.tokenClient(p.Target, x.AllowPrivateIPs),
		}
		if x.InsecureTargetTokenURL {
			target.Client = c.guarded(netguard.Policy{AllowPrivate: x.AllowPrivateIPs, Setting: plan.PrivateSetting}, nil)
		}
		return credential.CrossApp{
			Subject: subject, Outcome: outcome, IDP: endpoint, Target: target,
			Issuer: x.TargetAudience, Resource: p.Audience, Scopes: p.Scopes, SubjectType: x.SubjectTokenType,
		}.Source()
	case spec.AWSSTS != nil:
		return c.awsSTS(p, subject, outcome)
	default:
		x := spec.TokenExchange
		subject.IDToken = strings.HasSuffix(x.SubjectTokenType, "id_token")
		outcome.Header = string(x.ExternalTokenHeaderName)
		endpoint.Auth.ID, endpoint.Client = x.ClientID, c.tokenClient(p.Endpoint, x.AllowPrivateIPs)
		return credential.TokenExchange{
			Subject: subject, Outcome: outcome, Endpoint: endpoint, Audience: p.Audience, Scopes: p.Scopes, SubjectType: x.SubjectTokenType,
		}.Source()
	}
}

func (c *making) awsSTS(p *plan.Credential, subject credential.Subject, outcome credential.Outcome) credential.Source {
	spec := p.Spec.AWSSTS
	roles := credential.Roles{Claim: string(spec.RoleClaim), Fallback: string(spec.FallbackRoleARN), SessionClaim: string(spec.SessionNameClaim)}
	for _, m := range spec.RoleMappings {
		mapping := credential.RoleMapping{Value: m.Claim, Role: string(m.RoleARN)}
		if m.Priority != nil {
			n := int(*m.Priority)
			mapping.Priority = &n
		}
		roles.Mappings = append(roles.Mappings, mapping)
	}
	return credential.NewAWS(credential.AWSConfig{
		Subject: subject,
		STS:     &credential.STS{URL: p.Endpoint, Client: c.tokenClient(p.Endpoint, spec.AllowPrivateIPs), Duration: time.Duration(spec.SessionDuration) * time.Second},
		Roles:   roles, Region: spec.Region, Service: spec.Service, Seen: outcome.Seen,
	})
}

// subject is whose token a credential is or is made of; false where its authorization
// server could not be made.
func (c *making) subject(p *plan.Credential) (credential.Subject, bool) {
	if p.Provider == nil {
		return credential.Subject{}, true
	}
	a := c.servers[p.Server]
	if a == nil {
		return credential.Subject{}, false
	}
	return credential.Subject{Upstream: a.tokens(p.Provider.Name)}, true
}

// tokens shows the callers' tokens of one provider.
func (a *AuthServer) tokens(provider string) *credential.Upstream {
	return &credential.Upstream{
		Accounts: a.Accounts(), Issuer: a.Issuer(), Provider: provider, Connect: a.ConnectURL, Want: a.Want,
		Missing: func(err error) (string, bool) {
			missing, ok := errors.AsType[*linked.NotLinked](err)
			if !ok {
				return "", false
			}
			return missing.Provider, true
		},
	}
}

// publish makes the keys that backends check assertions by.
func (c *making) publish(a *plan.Assertions) {
	s, err := signer(a.SigningKeys)
	if err != nil {
		c.bad(&a.Resource, "spec.identityAssertion.signingKeySecretRefs", err)
		return
	}
	c.parts.AssertionKeys[a.Name] = s.JWKS()
}

// signer signs with the first of the keys.
func signer(keys []secret.Value) (*token.Signer, error) {
	pems := make([][]byte, len(keys))
	for i, k := range keys {
		pems[i] = []byte(k.Reveal())
	}
	return token.NewSigner(pems...)
}
