package gateway

import (
	"context"
	"maps"
	"net/http"
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
func (c *compiler) upstreams(o *manifest.Object, list v1alpha1.UpstreamProviders) (all []authserver.Upstream, settings []string, ok bool) {
	const field = fieldAuthServer + ".upstreamProviders"
	names, err := list.Names()
	if err != nil {
		c.problem(o, field, "%v", err)
		return nil, nil, false
	}
	for i := range list {
		u := upstream{compiler: c, o: o, field: index(field, i), name: names[i], spec: &list[i]}
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
	settings []string
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
	quirks := presets[u.spec.Preset]
	c := idp.Client{
		Name: u.name, ID: id, AuthMethod: spec.TokenEndpointAuthMethod, RedirectURI: string(spec.RedirectURI),
		Scopes: spec.Scopes, Params: maps.Clone(quirks.params), Log: u.server.opts.Log,
		Reach: idp.Reach{AllowHTTP: spec.InsecureAllowHTTP, AllowLoopbackHTTP: spec.AllowPrivateIPs},
	}
	if len(c.Scopes) == 0 {
		c.Scopes = quirks.scopes
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
	var client *http.Client
	policy := netguard.Policy{AllowPrivate: spec.AllowPrivateIPs, Setting: "allowPrivateIPs"}
	if spec.CABundleRef == nil {
		client = guardedClient(policy, nil)
	} else {
		roots, bundle, ok := u.caBundle(u.o, field+".caBundleRef.configMapRef", spec.CABundleRef)
		if !ok {
			return c, false
		}
		u.settings = append(u.settings, bundle)
		client = guardedClient(policy, roots)
	}
	c.Reach.Client = client
	u.settings = append(u.settings, c.Secret.Reveal())
	return c, true
}

func (u *upstream) oidc(spec *v1alpha1.UpstreamOIDC) (idp.Provider, error) {
	field := u.field + ".oidcConfig"
	quirks := presets[u.spec.Preset]
	issuer := string(spec.IssuerURL)
	if issuer == "" {
		issuer = quirks.issuer
	}
	client, ok := u.client(spec.ClientID, &spec.UpstreamClient, field)
	if !ok {
		return nil, nil
	}
	discovery := idp.NewDiscovery(issuer, client.Reach)
	keys, err := u.upstreamKeys(issuer, discovery, client.Reach.Client, u.settings)
	if err != nil {
		return nil, err
	}
	subject := spec.SubjectClaim
	if subject == "" {
		subject = quirks.subject
	}
	p, err := idp.NewOIDC(idp.OIDCConfig{
		Client: client, Issuer: issuer, SubjectClaim: subject, UserInfo: userInfo(spec.UserInfoOverride), Discovery: discovery, Keys: keys,
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// upstreamKeys are a provider's keys, kept over configuration changes.
func (c *compiler) upstreamKeys(issuer string, discovery *idp.Discovery, client *http.Client, reached []string) (*token.KeySet, error) {
	s := c.server
	keys, release, err := s.keySets.Acquire(digest("upstream keys", issuer, reached), func() (*token.KeySet, error) {
		return token.NewKeySet(token.KeySetConfig{
			Locate: func(ctx context.Context) (string, error) {
				m, err := discovery.Metadata(ctx)
				if err != nil {
					return "", err
				}
				return m.JWKSURI, nil
			},
			Client: client, Idle: true, Log: s.opts.Log.With("issuer", issuer),
			Seen: func(ev token.Event) { s.opts.Metrics.KeySet(string(ev)) },
		})
	})
	if err == nil {
		c.snap.releases = append(c.snap.releases, release)
	}
	return keys, err
}

func (u *upstream) oauth2(spec *v1alpha1.UpstreamOAuth2) (idp.Provider, error) {
	field := u.field + ".oauth2Config"
	if spec.DCRConfig != nil {
		u.problem(u.o, field+".dcrConfig", "is not supported yet; register the gateway by hand and set clientId")
		return nil, nil
	}
	client, ok := u.client(spec.ClientID, &spec.UpstreamClient, field)
	if !ok {
		return nil, nil
	}
	quirks := presets[u.spec.Preset]
	cfg := idp.OAuth2Config{
		Client: client, Authorize: string(spec.AuthorizationEndpoint), Token: string(spec.TokenEndpoint),
		Revoke: string(spec.RevocationEndpoint), Issuer: string(spec.Issuer), UserInfo: userInfo(spec.UserInfo),
	}
	if cfg.Authorize == "" {
		cfg.Authorize = quirks.authorize
	}
	if cfg.Token == "" {
		cfg.Token = quirks.token
	}
	if cfg.UserInfo == nil && quirks.userInfo != "" {
		cfg.UserInfo = &idp.UserInfo{URL: quirks.userInfo, Fields: idp.Fields{Subject: []string{"id"}, Name: []string{"name", "login"}, Email: []string{"email"}}}
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

// preset is what is known about a provider.
type preset struct {
	issuer, authorize, token, userInfo, subject string
	scopes                                      []string
	params                                      map[string]string
}

// presets: what each provider does in its own way. The others need nothing but their
// issuer.
//
//nolint:gosec // a token endpoint is no credential
var presets = map[string]preset{
	// sub is another one for each application; oid is the person's in the whole tenant.
	"entra": {subject: "oid", scopes: []string{"openid", "profile", "email", "offline_access"}},
	// Refresh tokens are asked for by a parameter, and given once per consent.
	"google": {
		issuer: "https://accounts.google.com", scopes: []string{"openid", "profile", "email"},
		params: map[string]string{"access_type": "offline", "prompt": "consent"},
	},
	"github": {
		authorize: "https://github.com/login/oauth/authorize", token: "https://github.com/login/oauth/access_token",
		userInfo: "https://api.github.com/user", scopes: []string{"read:user", "user:email"},
	},
	"okta":     {scopes: []string{"openid", "profile", "email", "offline_access"}},
	"auth0":    {scopes: []string{"openid", "profile", "email", "offline_access"}},
	"keycloak": {scopes: []string{"openid", "profile", "email", "offline_access"}},
}
