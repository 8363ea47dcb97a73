package gateway

import (
	"cmp"
	"crypto/x509"
	"maps"
	"slices"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/authserver"
	"github.com/sallyport-dev/sallyport/internal/idp"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/netguard"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// upstreams compiles the providers of an authorization server, and what tells them
// from others besides the manifest: their secrets and certificates.
func (c *compiler) upstreams(o *manifest.Object, spec *v1alpha1.EmbeddedAuthServer) (all []authserver.Upstream, settings []string, ok bool) {
	const field = fieldAuthServer + ".upstreamProviders"
	list := spec.UpstreamProviders
	names, err := list.Names()
	if err != nil {
		c.problem(o, field, "%v", err)
		return nil, nil, false
	}
	for i := range list {
		u := upstream{
			compiler: c, o: o, field: index(field, i), name: names[i], spec: &list[i],
			preset: idp.PresetOf(list[i].Preset), callback: string(spec.Issuer) + "/oauth/callback",
		}
		provider := u.provider()
		if provider == nil {
			return nil, nil, false
		}
		settings = append(settings, u.settings...)
		all = append(all, authserver.Upstream{Name: u.name, Provider: provider, OnDemand: u.spec.Login == "onDemand", Scopes: u.scopes})
	}
	return all, settings, true
}

// upstream is one provider while it is compiled.
type upstream struct {
	*compiler
	o        *manifest.Object
	field    string
	name     string
	spec     *v1alpha1.UpstreamProvider
	preset   idp.Preset
	callback string // where the provider sends browsers, unless the manifest names another place
	settings []string
	bundle   string // certificates, as PEM; "" for the system's
	scopes   []string
}

func (u *upstream) provider() idp.Provider {
	var p idp.Provider
	var err error
	switch {
	case u.spec.OIDCConfig != nil:
		p, err = u.oidc(u.spec.OIDCConfig)
	case u.spec.OAuth2Config != nil:
		p, err = u.oauth2(u.spec.OAuth2Config)
	}
	if err != nil {
		u.problem(u.o, u.field, "%v", err)
		return nil
	}
	return p
}

// client is what both types have in common; false with a problem.
func (u *upstream) client(id string, spec *v1alpha1.UpstreamClient, field string) (idp.Client, bool) {
	c := idp.Client{
		Name: u.name, ID: id, AuthMethod: cmp.Or(spec.TokenEndpointAuthMethod, u.preset.AuthMethod), RedirectURI: string(spec.RedirectURI),
		Scopes: spec.Scopes, Params: maps.Clone(u.preset.Params), Log: u.server.opts.Log,
		Reach: idp.Reach{AllowHTTP: spec.InsecureAllowHTTP, AllowLoopbackHTTP: spec.AllowPrivateIPs},
	}
	if len(c.Scopes) == 0 {
		c.Scopes = u.preset.Scopes
	}
	if len(c.Scopes) == 0 && u.spec.Type == v1alpha1.UpstreamOIDCType {
		c.Scopes = []string{"openid", "offline_access"}
	}
	u.scopes = c.Scopes
	for name, value := range spec.AdditionalAuthorizationParams {
		if c.Params == nil {
			c.Params = map[string]string{}
		}
		c.Params[name] = string(value)
	}
	if m := spec.ClaimMappings; m != nil {
		c.Mapping = idp.Mapping{Email: string(m.Email), Name: string(m.Name), Groups: string(m.Groups), Roles: string(m.Roles)}
	}
	if ref := spec.ClientSecretRef; ref != nil {
		v, ok := u.headerSecret(u.o, field+".clientSecretRef", *ref)
		if !ok {
			return c, false
		}
		c.Secret = v
	} else if v, ok := u.server.opts.LookupEnv(v1alpha1.UpstreamSecretEnv(u.name)); ok { // REQ D-3
		c.Secret = secret.New(v)
	}
	var roots *x509.CertPool
	if ref := spec.CABundleRef; ref != nil {
		var ok bool
		if roots, u.bundle, ok = u.caBundle(u.o, field+".caBundleRef.configMapRef", ref); !ok {
			return c, false
		}
	}
	c.Reach.Client = guardedClient(netguard.Policy{AllowPrivate: spec.AllowPrivateIPs, Setting: "allowPrivateIPs"}, roots)
	u.settings = append(u.settings, u.bundle, c.Secret.Reveal())
	return c, true
}

func (u *upstream) oidc(spec *v1alpha1.UpstreamOIDC) (idp.Provider, error) {
	field := u.field + ".oidcConfig"
	issuer := cmp.Or(string(spec.IssuerURL), u.preset.Issuer)
	client, ok := u.client(spec.ClientID, &spec.UpstreamClient, field)
	if !ok {
		return nil, nil
	}
	discovery := idp.NewDiscovery(issuer, client.Reach)
	keys, err := u.upstreamKeys(issuer, discovery, &client.Reach)
	if err != nil {
		return nil, err
	}
	p, err := idp.NewOIDC(idp.OIDCConfig{
		Client: client, Issuer: issuer, SubjectClaim: cmp.Or(spec.SubjectClaim, u.preset.Subject),
		UserInfo: userInfo(spec.UserInfoOverride), Discovery: discovery, Keys: keys,
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// upstreamKeys are a provider's keys, kept over configuration changes, and shared by
// those who may reach it in the same way.
func (u *upstream) upstreamKeys(issuer string, discovery *idp.Discovery, reach *idp.Reach) (*token.KeySet, error) {
	s := u.server
	key := digest("upstream keys", issuer, reach.AllowHTTP, reach.AllowLoopbackHTTP, u.bundle)
	keys, release, err := s.keySets.Acquire(key, func() (*token.KeySet, error) {
		return token.NewKeySet(token.KeySetConfig{
			Locate: discovery.KeysURL, Client: reach.Client, Idle: true, Log: s.opts.Log.With("issuer", issuer),
			Seen: func(ev token.Event) { s.opts.Metrics.KeySet(string(ev)) },
		})
	})
	if err == nil {
		u.snap.releases = append(u.snap.releases, release)
	}
	return keys, err
}

func (u *upstream) oauth2(spec *v1alpha1.UpstreamOAuth2) (idp.Provider, error) {
	field := u.field + ".oauth2Config"
	client, ok := u.client(spec.ClientID, &spec.UpstreamClient, field)
	if !ok {
		return nil, nil
	}
	cfg := idp.OAuth2Config{
		Client: client, Authorize: cmp.Or(string(spec.AuthorizationEndpoint), u.preset.Authorize),
		Token: cmp.Or(string(spec.TokenEndpoint), u.preset.Token), Revoke: string(spec.RevocationEndpoint),
		Issuer: string(spec.Issuer), UserInfo: userInfo(spec.UserInfo),
	}
	if spec.TokenEndpoint == "" { // elsewhere, GitHub's own API is not the provider's
		cfg.GrantsAPI = u.preset.GrantsAPI
		if cfg.UserInfo == nil && u.preset.UserInfo != "" {
			cfg.UserInfo = &idp.UserInfo{URL: u.preset.UserInfo}
		}
	}
	if spec.DCRConfig != nil {
		if cfg.Registration, ok = u.registration(spec.DCRConfig, &client, field+".dcrConfig"); !ok {
			return nil, nil
		}
	}
	if t := spec.IdentityFromToken; t != nil {
		cfg.Identity = &idp.IdentityPaths{Subject: string(t.SubjectPath), Name: string(t.NamePath), Email: string(t.EmailPath)}
	}
	if t := spec.TokenResponseMapping; t != nil {
		cfg.Answer = &idp.TokenPaths{Access: string(t.AccessTokenPath), Refresh: string(t.RefreshTokenPath), ExpiresIn: string(t.ExpiresInPath), Scope: string(t.ScopePath)}
	}
	p, err := idp.NewOAuth2(cfg)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// registration makes the gateway a client of the provider when the first person is sent
// there.
func (u *upstream) registration(spec *v1alpha1.UpstreamRegistration, client *idp.Client, field string) (*idp.Registration, bool) {
	cfg := idp.RegistrationConfig{
		Provider: u.name, Discovery: string(spec.DiscoveryURL), Endpoint: string(spec.RegistrationEndpoint),
		SoftwareID: spec.SoftwareID, SoftwareStatement: spec.SoftwareStatement, RedirectURI: cmp.Or(client.RedirectURI, u.callback),
		Scopes: client.Scopes, Reach: client.Reach, Store: u.server.opts.Store, Log: u.server.opts.Log,
	}
	if ref := spec.InitialAccessTokenRef; ref != nil {
		var ok bool
		if cfg.InitialToken, ok = u.headerSecret(u.o, field+".initialAccessTokenRef", *ref); !ok {
			return nil, false
		}
		u.settings = append(u.settings, cfg.InitialToken.Reveal())
	}
	r, err := idp.NewRegistration(cfg)
	if err != nil {
		u.problem(u.o, field, "%v", err)
		return nil, false
	}
	return r, true
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
