package plan

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/netguard"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// Credential is what one upstream is shown that is not the same for every caller. What
// callers are given at one upstream is kept for that one alone.
type Credential struct {
	Type    string                              // of the MCPExternalAuthConfig; upstreamInject for a provider's token, oauth for an account
	From    string                              // name of the MCPExternalAuthConfig; "" for spec.oauth and for what authServerRef shows
	Spec    *v1alpha1.MCPExternalAuthConfigSpec // nil without From
	Account *Account                            // with type oauth
	// Provider is whose token is shown, or exchanged; nil for the caller's own.
	Provider *Provider
	Server   *AuthServer // that Provider is of
	Headers  []string    // that it sets, canonical
	Wants    Want

	Endpoint, Target string         // token endpoints: where a token is exchanged, and where the second time
	Issuer, Audience string         // of an assertion; the audience of an exchanged token's last step
	Scopes           []string       // that are asked for
	Secret           secret.Value   // of the gateway's client at Endpoint
	TargetSecret     secret.Value   // and at Target
	SigningKeys      []secret.Value // of an assertion
	// Key is equal for the same credential of the same upstream, so that what was
	// obtained is kept over a change of something else.
	Key string
}

// Want is what must be known of a caller.
type Want int

// The wants.
const (
	WantsNothing  Want = iota
	WantsIdentity      // who it is, however proved
	WantsToken         // the token that proved it
)

// TypeAccount is the type of a credential that is the gateway's own account.
const TypeAccount = "oauth"

// Account is the gateway's own account at a remote server.
type Account struct {
	Spec     *v1alpha1.RemoteOAuth
	Secret   secret.Value
	Key      secret.Value // that signs client assertions, in place of a secret
	CABundle string
}

// Machine reports whether no person signs in for the account.
func (a *Account) Machine() bool { return a.Spec.Grant == "clientCredentials" }

// Assertions are keys that the gateway publishes for backends, which check by them what
// it says of callers.
type Assertions struct {
	Resource
	SigningKeys []secret.Value
}

// credential is an MCPExternalAuthConfig as upstreams use it.
type credential struct {
	one
	spec *v1alpha1.MCPExternalAuthConfigSpec
	good bool
	made Credential // without what is of one upstream
}

// credential plans one configuration of the inner door. What is wrong with it is said
// once, however many upstreams use it.
func (c one) credential(spec *v1alpha1.MCPExternalAuthConfigSpec) {
	cfg := &credential{one: c, spec: spec, made: Credential{Type: spec.Type, From: c.Name, Spec: spec}}
	c.credentials[objectKey{c.Namespace, c.Name}] = cfg
	cfg.good = c.fine(func() { c.make(spec, &cfg.made) })
}

func (c one) make(spec *v1alpha1.MCPExternalAuthConfigSpec, m *Credential) {
	switch {
	case spec.HeaderInjection != nil:
		m.Secret, _ = c.headerSecret("spec.headerInjection.valueSecretRef", spec.HeaderInjection.ValueSecretRef)
	case spec.BearerToken != nil:
		m.Secret, _ = c.headerSecret("spec.bearerToken.tokenSecretRef", spec.BearerToken.TokenSecretRef)
	case spec.ForwardClientToken != nil:
		m.Wants, m.Headers, m.Audience = WantsToken, authorization(), spec.ForwardClientToken.Audience
	case spec.IdentityAssertion != nil:
		c.identityAssertion(spec.IdentityAssertion, m)
	case spec.UpstreamInject != nil:
		m.Wants, m.Headers = WantsToken, authorization()
	case spec.TokenExchange != nil:
		c.tokenExchange(spec.TokenExchange, m)
	case spec.OBO != nil:
		c.onBehalfOf(spec.OBO, m)
	case spec.XAA != nil:
		c.crossApp(spec.XAA, m)
	case spec.AWSSTS != nil:
		c.awsSTS(spec.AWSSTS, m)
	}
}

func authorization() []string { return []string{"Authorization"} }

// identityAssertion plans the gateway's own word about callers, and the keys to publish.
func (c one) identityAssertion(spec *v1alpha1.IdentityAssertion, m *Credential) {
	const field = "spec.identityAssertion"
	m.Issuer, m.Audience, m.Wants = cmp.Or(string(spec.Issuer), c.process.PublicURL), spec.Audience, WantsIdentity
	m.Headers = []string{http.CanonicalHeaderKey(string(spec.HeaderName))}
	if m.Issuer == "" && !c.process.Checking {
		c.problem(field+".issuer", "is required where the gateway is not told its own address by --public-url")
	}
	if taken := c.published[c.Name]; taken != nil {
		c.problem("metadata.name", "%s/%s has the address %s already; give one of them another name", taken.Namespace, taken.Name, KeysPath(c.Name))
		return
	}
	c.published[c.Name] = c.Object
	m.SigningKeys = c.signingKeys(field+".signingKeySecretRefs", spec.SigningKeySecretRefs)
	c.plan.Assertions = append(c.plan.Assertions, &Assertions{c.resource(), m.SigningKeys})
}

// KeysPath is where a backend finds the keys of one MCPExternalAuthConfig.
func KeysPath(name string) string { return AssertionPath + name + "/jwks.json" }

// AssertionPath is below which the keys of identity assertions stand.
const AssertionPath = "/.well-known/sallyport/"

// signingKeys are private keys in PEM. All that is wrong with them is said at once.
func (c one) signingKeys(field string, refs []v1alpha1.SecretKeyRef) (keys []secret.Value) {
	for i, ref := range refs {
		v, ok := c.secret(Index(field, i), ref)
		if !ok {
			continue
		}
		if _, err := token.NewSigner([]byte(v.Reveal())); err != nil {
			c.problem(Index(field, i)+".key", "key %q of Secret %q: %v", ref.Key, ref.Name, err)
		}
		keys = append(keys, v)
	}
	return keys
}

// tokenExchange plans RFC 8693.
func (c one) tokenExchange(spec *v1alpha1.TokenExchange, m *Credential) {
	const field = "spec.tokenExchange"
	m.Endpoint, m.Audience, m.Scopes, m.Wants = string(spec.TokenURL), spec.Audience, spec.Scopes, WantsToken
	m.Headers = []string{http.CanonicalHeaderKey(cmp.Or(string(spec.ExternalTokenHeaderName), "Authorization"))}
	m.Secret = c.clientSecret(field+".clientSecretRef", spec.ClientSecretRef)
	c.validateURL(field+".tokenUrl", m.Endpoint, spec.AllowPrivateIPs)
}

// entra is where tenants of the public cloud have their endpoints.
const entra = "https://login.microsoftonline.com"

// onBehalfOf plans Entra's on-behalf-of flow.
func (c one) onBehalfOf(spec *v1alpha1.OBO, m *Credential) {
	const field = "spec.obo"
	m.Endpoint = strings.TrimRight(cmp.Or(string(spec.Authority), entra), "/") + "/" + spec.TenantID + "/oauth2/v2.0/token"
	m.Scopes, m.Wants, m.Headers = spec.Scopes, WantsToken, authorization()
	if len(m.Scopes) == 0 {
		m.Scopes = []string{strings.TrimRight(spec.Audience, "/") + "/.default"}
	}
	m.Secret = c.clientSecret(field+".clientSecretRef", &spec.ClientSecretRef)
	c.validateURL(field+".authority", m.Endpoint, spec.AllowPrivateIPs)
}

// crossApp plans enterprise-managed authorization.
func (c one) crossApp(spec *v1alpha1.XAA, m *Credential) {
	const field = "spec.xaa"
	m.Endpoint, m.Target = string(spec.IDPTokenURL), cmp.Or(string(spec.TargetTokenURL), spec.TargetAudience)
	m.Audience, m.Scopes, m.Wants, m.Headers = spec.TargetResource, spec.Scopes, WantsToken, authorization()
	named := field + ".targetTokenUrl"
	if spec.TargetTokenURL == "" {
		named = field + ".targetAudience"
	}
	m.Secret = c.clientSecret(field+".idpClientSecretRef", spec.IDPClientSecretRef)
	m.TargetSecret = c.clientSecret(field+".targetClientSecretRef", spec.TargetClientSecretRef)
	c.validateURL(field+".idpTokenUrl", m.Endpoint, spec.AllowPrivateIPs)
	c.validateURL(named, m.Target, spec.AllowPrivateIPs)
}

// awsSTS plans requests that are signed with keys of a role.
func (c one) awsSTS(spec *v1alpha1.AWSSTS, m *Credential) {
	m.Endpoint, m.Wants = cmp.Or(string(spec.STSEndpoint), stsEndpoint(spec.Region)), WantsToken
	m.Headers = []string{"Authorization", "X-Amz-Date", "X-Amz-Security-Token"}
	c.validateURL("spec.awsSts.stsEndpoint", m.Endpoint, spec.AllowPrivateIPs)
}

// stsEndpoint is the token service of a region.
func stsEndpoint(region string) string {
	host := "sts." + region + ".amazonaws.com"
	if strings.HasPrefix(region, "cn-") {
		host += ".cn"
	}
	return "https://" + host + "/"
}

// validateURL refuses what is no URL of a token endpoint, and warns of an address that
// no request will reach.
func (c one) validateURL(field, address string, allowPrivate bool) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		c.problem(field, "is not a URL; write it like https://idp.example.com/oauth2/token")
		return
	}
	c.reachable(field, u, TokenPolicy(address, allowPrivate))
}

// TokenPolicy says which addresses a token endpoint may have.
func TokenPolicy(address string, allowPrivate bool) netguard.Policy {
	return netguard.Policy{AllowPrivate: allowPrivate, PlainOnlyPrivate: strings.HasPrefix(address, "http:"), Setting: PrivateSetting}
}

// PrivateSetting is what manifests call the admission of private addresses of token
// endpoints and providers.
const PrivateSetting = "allowPrivateIPs"

// external plans the credential that an MCPExternalAuthConfig is for an upstream.
func (c one) external(up *Upstream, name string, people *AuthServer) {
	const field = "spec.externalAuthConfigRef"
	it, ok := manifest.Lookup[v1alpha1.MCPExternalAuthConfig](c.view, c.Namespace, name)
	if !ok {
		c.missing(field+".name", "MCPExternalAuthConfig", name)
		return
	}
	if it.Value.Spec.EmbeddedAuthServer != nil {
		c.problem(field+".name", "MCPExternalAuthConfig %q is an authorization server, which is no credential; name it in authServerRef", name)
		return
	}
	cfg := c.credentials[objectKey{c.Namespace, name}]
	c.view.Include(cfg.view)
	if !cfg.good || it.Value.Spec.Type == v1alpha1.AuthUnauthenticated {
		return
	}
	if h := cfg.fixed(); h != nil {
		if c.claim(&up.Shown, field, h.Name) {
			up.Shown.Headers = append(up.Shown.Headers, *h)
		}
		return
	}
	made := cfg.made
	if !cfg.choose(c, &made, people) {
		return
	}
	for _, h := range made.Headers {
		if !c.claim(&up.Shown, field, h) {
			return
		}
	}
	made.Audience = cmp.Or(made.Audience, up.defaultAudience(made.Type))
	if cfg.spec.AWSSTS != nil && up.Remote.Transport == "sse" {
		c.problem(field, "signs requests of Streamable HTTP (awsSts), and the transport is sse; change one of them")
		return
	}
	var server string
	if made.Server != nil {
		server = made.Server.Key
	}
	made.Key = c.key("source", server, made.Issuer, made.Audience, cfg.view.Digest(), cfg.spec)
	up.Shown.Credential = &made
}

// defaultAudience is what a credential is for that does not say: the backend, by its URL
// without a query (RFC 8707 §2), which would be told to whoever sees the credential.
func (u *Upstream) defaultAudience(of string) string {
	if of != v1alpha1.AuthIdentityAssertion && of != v1alpha1.AuthXAA {
		return ""
	}
	at := *u.Remote.URL
	at.RawQuery, at.ForceQuery = "", false
	return at.String()
}

// fixed is a credential that is the same for every caller; nil for others.
func (cfg *credential) fixed() *Header {
	from := "MCPExternalAuthConfig " + cfg.Name
	switch s := cfg.spec; {
	case s.HeaderInjection != nil:
		return &Header{http.CanonicalHeaderKey(string(s.HeaderInjection.HeaderName)), cfg.made.Secret, from}
	case s.BearerToken != nil:
		return &Header{"Authorization", secret.New("Bearer " + cfg.made.Secret.Reveal()), from}
	}
	return nil
}

// choose says whose token a credential is or is made of: the caller's own, or that of
// an upstream provider where callers sign in with an embedded authorization server,
// whose own tokens mean nothing to others. It is false with a problem.
func (cfg *credential) choose(c one, made *Credential, people *AuthServer) bool {
	field, provider, must := cfg.provider()
	switch {
	case field == "" || provider == "" && (people == nil || people.elsewhere):
		return true
	case people == nil:
		what := "takes"
		if must {
			what = "shows"
		}
		c.problem("spec.externalAuthConfigRef", "MCPExternalAuthConfig %q %s the token of a provider that people sign in at, and nobody signs in here; add authServerRef", cfg.Name, what)
		return false
	case people.broken, people.elsewhere:
		return false // what is wrong is said elsewhere
	case provider == "":
		provider = people.Providers[0].Name
	}
	i := slices.IndexFunc(people.Providers, func(p Provider) bool { return p.Name == provider })
	if i < 0 {
		cfg.lacks(field, "Provider", "the authorization server %s has no provider %q; it has %s", people.Name, provider, strings.Join(people.names(), ", "))
		return false
	}
	made.Server, made.Provider = people, &people.Providers[i]
	return true
}

// provider is the setting that names a provider, and what it says; "" for a type that
// has none. must tells that the credential is a provider's token and nothing else.
func (cfg *credential) provider() (field, name string, must bool) {
	switch s := cfg.spec; {
	case s.UpstreamInject != nil:
		return "spec.upstreamInject.providerName", s.UpstreamInject.ProviderName, true
	case s.TokenExchange != nil:
		return "spec.tokenExchange.subjectProviderName", string(s.TokenExchange.SubjectProviderName), false
	case s.OBO != nil:
		return "spec.obo.subjectTokenProviderName", string(s.OBO.SubjectTokenProviderName), false
	case s.XAA != nil:
		return "spec.xaa.subjectProviderName", string(s.XAA.SubjectProviderName), false
	case s.AWSSTS != nil:
		return "spec.awsSts.subjectProviderName", string(s.AWSSTS.SubjectProviderName), false
	}
	return "", "", false
}

// account plans the gateway's own account at a remote server.
func (c one) account(up *Upstream, spec *v1alpha1.RemoteOAuth) {
	if spec == nil || !c.claim(&up.Shown, "spec.oauth", "Authorization") {
		return
	}
	a := &Account{Spec: spec, CABundle: up.Remote.CABundle, Secret: c.clientSecret("spec.oauth.clientSecretRef", spec.ClientSecretRef)}
	if spec.PrivateKeyRef != nil {
		var ok bool
		if a.Key, ok = c.secret("spec.oauth.privateKeyRef", *spec.PrivateKeyRef); ok {
			if _, err := token.NewSigner([]byte(a.Key.Reveal())); err != nil {
				c.problem("spec.oauth.privateKeyRef", "%v", err)
			}
		}
	}
	if !a.Machine() && !c.process.KeepsSignIns && !c.process.Checking {
		c.warn("spec.oauth.grant", "this process keeps no sign-ins, and nobody can sign in at it; use grant: clientCredentials, or sallyport serve")
	}
	up.Shown.Credential = &Credential{
		Type: TypeAccount, Account: a, Headers: authorization(),
		Key: c.key("account", up.Remote.URL.String(), up.Remote.AllowPrivate, up.Remote.Proxy, spec, a.Secret.Reveal(), a.Key.Reveal(), a.CABundle),
	}
}
