package plan

import (
	"cmp"
	"net/url"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/keep"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/seal"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// AuthServer is an authorization server inside the gateway.
type AuthServer struct {
	Resource
	Field           string // where it stands
	Spec            *v1alpha1.EmbeddedAuthServer
	Origin, Path    string // of the issuer; the path is "" for none
	Providers       []Provider
	StaticSecrets   []secret.Value // of Spec.StaticClients, in their order; empty for public clients
	DelegateSecrets []secret.Value // of Spec.DelegateClients
	SigningKeys     []secret.Value // none for one that is made and kept
	SealingKeys     []secret.Value // none likewise
	Storage         *Storage       // nil for the process's own
	// Key is equal for the same server with the same settings: it runs on, and
	// everybody stays signed in.
	Key string

	broken    bool // there are problems
	elsewhere bool // stands for the one of whoever serves a member, which is not known here
}

// Provider is an identity provider that people are sent to.
type Provider struct {
	Name         string
	Spec         *v1alpha1.UpstreamProvider
	Field        string // where it stands
	Secret       secret.Value
	SecretFrom   string       // where the secret is from, for people
	InitialToken secret.Value // that registration asks for
	CABundle     string       // PEM; "" for the system's certificates
}

// Storage is where an authorization server keeps what it must remember.
type Storage struct {
	Redis *Redis // nil for memory
	Key   string // equal for the same storage
}

// Redis is a store that replicas share.
type Redis struct {
	Spec               *v1alpha1.RedisStorage
	Username, Password secret.Value
	CA, SentinelCA     secret.Value // PEM; empty for the system's certificates
}

func (a *AuthServer) names() []string {
	var names []string
	for i := range a.Providers {
		names = append(names, a.Providers[i].Name)
	}
	return names
}

// ID tells the authorization servers of a namespace apart: what they keep is kept by it.
// Those in a resource of their own have its name alone.
func (a *AuthServer) ID() string {
	if a.Kind == authServerKind {
		return a.Name
	}
	return a.Kind + "/" + a.Name
}

// authServerKind is the kind whose objects are authorization servers and nothing else.
const authServerKind = "MCPExternalAuthConfig"

// inPlace is the kind, in a reference that no manifest has, of the authorization server
// that a virtual server has in itself.
const inPlace = "VirtualMCPServer"

// authServerKey finds an authorization server.
type authServerKey struct{ kind, namespace, name string }

// authServerOf is the authorization server that a reference names; nil for none.
func (c one) authServerOf(ref *v1alpha1.AuthServerRef) *AuthServer {
	return c.authServers[authServerKey{cmp.Or(ref.Kind, authServerKind), c.Namespace, string(ref.Name)}]
}

// authServer plans an authorization server that stands in a field; nil for none.
func (c one) authServer(field string, spec *v1alpha1.EmbeddedAuthServer) {
	if spec == nil {
		return
	}
	a := &AuthServer{Resource: c.resource(), Field: field, Spec: spec}
	c.authServers[authServerKey{c.Kind, c.Namespace, c.Name}] = a
	a.broken = !c.fine(func() {
		c.place(a)
		c.providers(a)
		a.StaticSecrets = c.staticSecrets(a)
		a.SigningKeys = c.signingKeys(field+".signingKeySecretRefs", spec.SigningKeySecretRefs)
		a.SealingKeys = c.sealingKeys(field+".hmacSecretRefs", spec.HMACSecretRefs)
		a.Storage = c.storage(a)
		a.DelegateSecrets = c.delegates(a)
		c.trusted(a)
	})
	if !a.broken {
		a.Key = c.key("authserver", spec, c.view.Digest())
		c.plan.AuthServers = append(c.plan.AuthServers, a)
	}
}

// place finds out which paths are the server's, and whether they are anybody else's.
func (c one) place(a *AuthServer) {
	field := a.Field + ".issuer"
	u, err := url.Parse(string(a.Spec.Issuer))
	if err != nil {
		c.problem(field, "is not a URL; write it like https://mcp.example.com")
		return
	}
	a.Origin, a.Path = oauth.Origin(u), u.Path
	if public := c.process.PublicURL; public != "" {
		if p, err := url.Parse(public); err == nil && oauth.Origin(p) != a.Origin {
			c.problem(field, "is not at the gateway's own address, which is %s (--public-url); clients would look for it elsewhere", public)
		}
	}
	for segment := range strings.SplitSeq(strings.Trim(a.Path, "/"), "/") {
		if slices.Contains([]string{"servers", "mcp", "sse", "messages", "ws", "oauth", ".well-known", "tools", "resources", "prompts"}, segment) {
			c.problem(field, "has %q in its path, where the gateway itself serves something; choose another path", segment)
		}
	}
	for _, other := range c.placed {
		if other.Path == a.Path {
			c.problem(field, "overlaps with that of %s, %s: each server needs a path of its own", other.Name, other.Spec.Issuer)
			return
		}
	}
	c.planner.placed = append(c.planner.placed, a)
}

// staticSecrets are the secrets of clients that are registered by hand.
func (c one) staticSecrets(a *AuthServer) (secrets []secret.Value) {
	for i, s := range a.Spec.StaticClients {
		secrets = append(secrets, c.clientSecret(Index(a.Field+".staticClients", i)+".clientSecretRef", s.ClientSecretRef))
	}
	return secrets
}

// sealingKeys are secrets that keys are made of.
func (c one) sealingKeys(field string, refs []v1alpha1.SecretKeyRef) (keys []secret.Value) {
	for i, ref := range refs {
		v, ok := c.secret(Index(field, i), ref)
		if !ok {
			continue
		}
		if n := len(v.Reveal()); n < seal.KeySize {
			c.problem(Index(field, i)+".key", "key %q of Secret %q has %d bytes, and %d are needed; make one with: openssl rand -base64 32", ref.Key, ref.Name, n, seal.KeySize)
		}
		keys = append(keys, v)
	}
	return keys
}

// delegates are the secrets of the services that may act for people.
func (c one) delegates(a *AuthServer) (secrets []secret.Value) {
	spec := a.Spec
	for i, d := range spec.DelegateClients {
		at := Index(a.Field+".delegateClients", i)
		taken := func(id string) bool { return id == d.ClientID }
		if slices.ContainsFunc(spec.StaticClients, func(s v1alpha1.StaticClient) bool { return taken(s.ClientID) }) ||
			slices.ContainsFunc(spec.DelegateClients[:i], func(e v1alpha1.DelegateClient) bool { return taken(e.ClientID) }) {
			c.problem(at+".clientId", "%s is one of staticClients too; give one of them another id", d.ClientID)
		}
		v, _ := c.headerSecret(at+".clientSecretRef", d.ClientSecretRef)
		secrets = append(secrets, v)
	}
	return secrets
}

// trusted finds ids of delegates that nobody has: a typing error would otherwise show
// when a service is refused.
func (c one) trusted(a *AuthServer) {
	for i, t := range a.Spec.TrustedIssuers {
		for j, id := range t.AllowedDelegateClients {
			if id != "*" && !slices.ContainsFunc(a.Spec.DelegateClients, func(d v1alpha1.DelegateClient) bool { return d.ClientID == id }) {
				c.problem(Index(Index(a.Field+".trustedIssuers", i)+".allowedDelegateClients", j), "%s is none of delegateClients; add it there or correct the id", id)
			}
		}
	}
}

// providers plans the identity providers that people are sent to.
func (c one) providers(a *AuthServer) {
	field := a.Field + ".upstreamProviders"
	list := a.Spec.UpstreamProviders
	names, err := list.Names()
	if err != nil {
		c.problem(field, "%v", err)
		return
	}
	for i := range list {
		p := Provider{Name: names[i], Spec: &list[i], Field: Index(field, i)}
		switch s := p.Spec; {
		case s.OIDCConfig != nil:
			c.provider(&p, &s.OIDCConfig.UpstreamClient, p.Field+".oidcConfig")
		case s.OAuth2Config != nil:
			at := p.Field + ".oauth2Config"
			c.provider(&p, &s.OAuth2Config.UpstreamClient, at)
			if r := s.OAuth2Config.DCRConfig; r != nil {
				p.InitialToken = c.clientSecret(at+".dcrConfig.initialAccessTokenRef", r.InitialAccessTokenRef)
			}
		}
		a.Providers = append(a.Providers, p)
	}
}

// provider plans what both types have in common.
func (c one) provider(p *Provider, spec *v1alpha1.UpstreamClient, field string) {
	p.CABundle = c.caBundle(field+".caBundleRef.configMapRef", spec.CABundleRef)
	if ref := spec.ClientSecretRef; ref != nil {
		p.Secret, p.SecretFrom = c.clientSecret(field+".clientSecretRef", ref), "Secret "+string(ref.Name)
		return
	}
	name := v1alpha1.UpstreamSecretEnv(p.Name) // REQ D-3
	v, ok := c.process.LookupEnv(name)
	c.view.Note(manifest.Use{Kind: "environment", Name: name}, v)
	if ok {
		p.Secret, p.SecretFrom = secret.New(v), name
	}
}

// storage plans a store of the server's own; nil where it is the process's.
func (c one) storage(a *AuthServer) *Storage {
	st := a.Spec.Storage
	if st == nil {
		return nil
	}
	if st.Type != v1alpha1.StorageRedis || st.Redis == nil {
		return &Storage{Key: keep.Key("memory", c.Namespace, a.ID())}
	}
	field := a.Field + ".storage.redis"
	r := &Redis{Spec: st.Redis}
	user := &st.Redis.ACLUserConfig
	r.Username = c.plainSecret(field+".aclUserConfig.usernameSecretRef", user.UsernameSecretRef)
	r.Password = c.plainSecret(field+".aclUserConfig.passwordSecretRef", &user.PasswordSecretRef)
	r.CA = c.redisCA(field+".tls", st.Redis.TLS)
	r.SentinelCA = c.redisCA(field+".sentinelTls", st.Redis.SentinelTLS)
	return &Storage{Redis: r, Key: keep.Key("redis", st.Redis, r.Username.Reveal(), r.Password.Reveal(), r.CA.Reveal(), r.SentinelCA.Reveal())}
}

func (c one) plainSecret(field string, ref *v1alpha1.SecretKeyRef) secret.Value {
	if ref == nil {
		return secret.Value{}
	}
	v, _ := c.secret(field, *ref)
	return v
}

func (c one) redisCA(field string, t *v1alpha1.RedisTLS) secret.Value {
	if t == nil || t.CACertSecretRef == nil {
		return secret.Value{}
	}
	pem, ok := c.secret(field+".caCertSecretRef", *t.CACertSecretRef)
	if ok && !pem.Empty() {
		c.certificates(field+".caCertSecretRef", pem.Reveal())
	}
	return pem
}
