package compile

import (
	"cmp"
	"maps"
	"slices"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/authserver"
	"github.com/sallyport-dev/sallyport/internal/compile/plan"
	"github.com/sallyport-dev/sallyport/internal/idp"
	"github.com/sallyport-dev/sallyport/internal/keep"
	"github.com/sallyport-dev/sallyport/internal/netguard"
	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// providers makes the identity providers of an authorization server; false with a
// problem.
func (c *making) providers(a *plan.AuthServer) (all []authserver.Upstream, ok bool) {
	ok = true
	for i := range a.Providers {
		p := provider{
			making: c, Provider: &a.Providers[i], at: a.Providers[i].Field,
			preset: idp.PresetOf(a.Providers[i].Spec.Preset), callback: string(a.Spec.Issuer) + "/oauth/callback",
		}
		var made idp.Provider
		var err error
		if p.Spec.OIDCConfig != nil {
			made, err = p.oidc(p.Spec.OIDCConfig)
		} else {
			made, err = p.oauth2(p.Spec.OAuth2Config)
		}
		if err != nil {
			c.bad(&a.Resource, p.at, err)
			ok = false
			continue
		}
		all = append(all, authserver.Upstream{Name: p.Name, Title: p.Spec.DisplayName, Provider: made, OnDemand: p.Spec.Login == "onDemand", Scopes: p.scopes})
	}
	return all, ok
}

// provider is one provider while it is made.
type provider struct {
	*making
	*plan.Provider
	preset   idp.Preset
	callback string // where the provider sends browsers, unless the manifest names another place
	scopes   []string
	at       string // the setting that is being read
}

// client is what both types have in common.
func (p *provider) client(id string, spec *v1alpha1.UpstreamClient) idp.Client {
	c := idp.Client{
		Name: p.Name, ID: id, Secret: p.Secret, AuthMethod: cmp.Or(spec.TokenEndpointAuthMethod, p.preset.AuthMethod), RedirectURI: string(spec.RedirectURI),
		Scopes: spec.Scopes, Params: maps.Clone(p.preset.Params), Log: p.opts.Log,
		Reach: idp.NewReach(spec.InsecureAllowHTTP, spec.AllowPrivateIPs),
	}
	c.Reach.Client = p.guarded(netguard.Policy{AllowPrivate: spec.AllowPrivateIPs, Setting: plan.PrivateSetting}, pool(p.CABundle))
	c.UsualScopes = len(c.Scopes) == 0
	if c.UsualScopes {
		c.Scopes = p.preset.Scopes
	}
	if len(c.Scopes) == 0 && p.Spec.Type == v1alpha1.UpstreamOIDCType {
		c.Scopes = []string{"openid", "offline_access"}
	}
	p.scopes = c.Scopes
	for name, value := range spec.AdditionalAuthorizationParams {
		if c.Params == nil {
			c.Params = map[string]string{}
		}
		c.Params[name] = string(value)
	}
	if m := spec.ClaimMappings; m != nil {
		c.Mapping = idp.Mapping{Email: string(m.Email), Name: string(m.Name), Groups: string(m.Groups), Roles: string(m.Roles)}
	}
	return c
}

func (p *provider) oidc(spec *v1alpha1.UpstreamOIDC) (idp.Provider, error) {
	issuer := cmp.Or(string(spec.IssuerURL), p.preset.Issuer)
	client := p.client(spec.ClientID, &spec.UpstreamClient)
	discovery := idp.NewDiscovery(issuer, client.Reach)
	keys, err := p.keys(issuer, discovery, &client.Reach)
	if err != nil {
		return nil, err
	}
	return idp.NewOIDC(idp.OIDCConfig{
		Client: client, Issuer: issuer, SubjectClaim: cmp.Or(spec.SubjectClaim, p.preset.Subject),
		UserInfo: userInfo(spec.UserInfoOverride), Discovery: discovery, Keys: keys,
	})
}

// keys are a provider's keys, kept over configuration changes, and shared by those who
// may reach it in the same way.
func (p *provider) keys(issuer string, discovery *idp.Discovery, reach *oauth.Reach) (*token.KeySet, error) {
	key := keep.Key("upstream keys", issuer, reach.AllowHTTP, reach.AllowLoopbackHTTP, p.CABundle)
	metrics := p.opts.Metrics
	return tryAcquire(p.making, &p.keySets, key, func() (*token.KeySet, error) {
		return token.NewKeySet(token.KeySetConfig{
			Locate: discovery.KeysURL, Client: reach.Client, Idle: true, Log: p.opts.Log.With("issuer", issuer),
			Seen: func(ev token.Event) { metrics.KeySet(string(ev)) },
		})
	})
}

func (p *provider) oauth2(spec *v1alpha1.UpstreamOAuth2) (idp.Provider, error) {
	client := p.client(spec.ClientID, &spec.UpstreamClient)
	cfg := idp.OAuth2Config{
		Client: client, Authorize: cmp.Or(string(spec.AuthorizationEndpoint), p.preset.Authorize),
		Token: cmp.Or(string(spec.TokenEndpoint), p.preset.Token), Revoke: string(spec.RevocationEndpoint),
		Issuer: string(spec.Issuer), UserInfo: userInfo(spec.UserInfo),
	}
	if spec.TokenEndpoint == "" { // elsewhere, GitHub's own API is not the provider's
		cfg.GrantsAPI = p.preset.GrantsAPI
		if cfg.UserInfo == nil && p.preset.UserInfo != "" {
			cfg.UserInfo = &idp.UserInfo{URL: p.preset.UserInfo}
		}
	}
	if d := spec.DCRConfig; d != nil {
		var err error
		p.at = p.Field + ".oauth2Config.dcrConfig"
		cfg.Registration, err = idp.NewRegistration(idp.RegistrationConfig{ // the gateway becomes a client when the first person is sent there
			Provider: p.Name, Discovery: string(d.DiscoveryURL), Endpoint: string(d.RegistrationEndpoint), InitialToken: p.InitialToken,
			SoftwareID: d.SoftwareID, SoftwareStatement: d.SoftwareStatement, RedirectURI: cmp.Or(client.RedirectURI, p.callback),
			Scopes: client.Scopes, Reach: client.Reach, Store: p.opts.Store, Log: p.opts.Log,
		})
		if err != nil {
			return nil, err
		}
		p.at = p.Field
	}
	if t := spec.IdentityFromToken; t != nil {
		cfg.Identity = &idp.IdentityPaths{Subject: string(t.SubjectPath), Name: string(t.NamePath), Email: string(t.EmailPath)}
	}
	if t := spec.TokenResponseMapping; t != nil {
		cfg.Answer = &idp.TokenPaths{Access: string(t.AccessTokenPath), Refresh: string(t.RefreshTokenPath), ExpiresIn: string(t.ExpiresInPath), Scope: string(t.ScopePath)}
	}
	return idp.NewOAuth2(cfg)
}

func userInfo(spec *v1alpha1.UpstreamUserInfo) *idp.UserInfo {
	if spec == nil {
		return nil
	}
	info := &idp.UserInfo{URL: string(spec.EndpointURL), Method: spec.HTTPMethod, Headers: map[string]string{}}
	for name, value := range spec.AdditionalHeaders {
		info.Headers[name] = string(value)
	}
	if f := spec.FieldMapping; f != nil {
		info.Fields = idp.Fields{Subject: fieldNames(f.SubjectFields), Name: fieldNames(f.NameFields), Email: fieldNames(f.EmailFields)}
	}
	return info
}

func fieldNames(list v1alpha1.UpstreamFieldNames) []string {
	names := make([]string, 0, len(list))
	for _, n := range list {
		names = append(names, string(n))
	}
	return slices.Clip(names)
}
