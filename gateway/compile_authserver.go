package gateway

import (
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/authserver"
	"github.com/sallyport-dev/sallyport/internal/authserver/clients"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/seal"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/store"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// embedded is an authorization server inside the gateway, as endpoints use it.
type embedded struct {
	*authserver.Server
	key    objectKey
	spec   *v1alpha1.EmbeddedAuthServer
	origin string   // of the issuer
	path   string   // of the issuer; "" for none
	names  []string // of the upstream providers, as in the manifest
}

const fieldAuthServer = "spec.embeddedAuthServer"

// authServer compiles an authorization server. One whose settings have not changed is
// the one that runs already.
func (c *compiler) authServer(o manifest.Item[v1alpha1.MCPExternalAuthConfig]) {
	spec := o.Value.Spec.EmbeddedAuthServer
	if spec == nil {
		return
	}
	a := &embedded{key: objectKey{o.Namespace, o.Name}, spec: spec}
	c.authServers[a.key] = nil
	if !c.place(o.Object, a) {
		return
	}
	upstreams, settings, ok := c.upstreams(o.Object, spec)
	static, secrets, ok2 := c.staticClients(o.Object, spec.StaticClients)
	keys, ok3 := c.authServerKeys(o.Object, spec)
	kept, keptKey := c.storage(o.Object, fieldAuthServer+".storage", spec.Storage)
	if !ok || !ok2 || !ok3 || kept == nil {
		return
	}
	for i := range upstreams {
		a.names = append(a.names, upstreams[i].Name)
	}
	cfg := authserver.Config{
		Issuer: string(spec.Issuer), Store: kept, Upstreams: upstreams, Primary: spec.PrimaryUpstreamProvider,
		Lifespans: lifespans(spec.TokenLifespans), Scopes: spec.BaselineClientScopes, Resource: c.server.resourceFor(a.key),
		Refreshed: c.server.opts.Metrics.UpstreamRefreshed, Log: c.server.opts.Log,
	}
	registry := clients.Config{
		Issuer: cfg.Issuer, Store: cfg.Store, Static: static, Baseline: spec.BaselineClientScopes, Log: cfg.Log,
		Registration: clients.Registration{Disabled: spec.DisableClientRegistration, PublicOnly: !spec.ConfidentialRegistration()},
		Documents:    documents(spec.CIMD), Address: c.server.callerAddress(a.key),
	}
	more, ok := c.delegate(o.Object, spec, &cfg, &registry)
	if !ok {
		return
	}
	server, release, err := c.server.authServers.Acquire(digest("authserver", a.key.namespace, a.key.name, spec, settings, secrets, more, keys.texts, keptKey), func() (*authserver.Server, error) {
		var err error
		if cfg.Signer, cfg.Ring, err = keys.open(c.server, kept, a.key); err != nil {
			return nil, err
		}
		cfg.Clients = clients.New(registry)
		return authserver.New(cfg)
	})
	if err != nil {
		c.problem(o.Object, fieldAuthServer, "%v", err)
		return
	}
	a.Server = server
	c.snap.releases = append(c.snap.releases, release)
	c.authServers[a.key] = a
	c.snap.authServers = append(c.snap.authServers, a)
}

// place finds out which paths are the server's, and whether they are anybody else's.
func (c *compiler) place(o *manifest.Object, a *embedded) bool {
	const field = fieldAuthServer + ".issuer"
	u, err := url.Parse(string(a.spec.Issuer))
	if err != nil {
		c.problem(o, field, "is not a URL; write it like https://mcp.example.com")
		return false
	}
	a.origin, a.path = u.Scheme+"://"+u.Host, u.Path
	if public := c.server.opts.PublicURL; public != "" {
		if p, err := url.Parse(public); err == nil && (p.Scheme != u.Scheme || !strings.EqualFold(p.Host, u.Host)) {
			c.problem(o, field, "is not at the gateway's own address, which is %s (--public-url); clients would look for it elsewhere", public)
			return false
		}
	}
	for segment := range strings.SplitSeq(strings.Trim(a.path, "/"), "/") {
		if slices.Contains([]string{"servers", "mcp", "sse", "messages", "ws", "oauth", ".well-known", "tools", "resources", "prompts"}, segment) {
			c.problem(o, field, "has %q in its path, where the gateway itself serves something; choose another path", segment)
			return false
		}
	}
	for _, other := range c.placed {
		if other.at.path == a.path {
			c.problem(o, field, "overlaps with that of %s, %s: each server needs a path of its own", other.o.Name, other.at.spec.Issuer)
			return false
		}
	}
	c.placed = append(c.placed, placed{o, a})
	return true
}

// placed is a server that has its place.
type placed struct {
	o  *manifest.Object
	at *embedded
}

func lifespans(t *v1alpha1.TokenLifespans) authserver.Lifespans {
	l := authserver.DefaultLifespans()
	access, refresh, code := t.Lifespans()
	if access > 0 {
		l.Access = access
	}
	if refresh > 0 {
		l.Refresh = refresh
	}
	if code > 0 {
		l.Code = code
	}
	return l
}

func documents(d *v1alpha1.ClientDocuments) clients.Documents {
	if d == nil {
		return clients.Documents{}
	}
	docs := clients.Documents{Enabled: d.Enabled, AllowPrivate: d.AllowPrivateIPs, CacheSize: int(d.CacheMaxSize)}
	if d.CacheFallbackTTL != "" {
		docs.FreshFor = d.CacheFallbackTTL.Duration()
	}
	for _, host := range d.AllowedDomains {
		docs.Hosts = append(docs.Hosts, string(host))
	}
	return docs
}

// staticClients are the clients of the manifest, and their secrets' texts.
func (c *compiler) staticClients(o *manifest.Object, list []v1alpha1.StaticClient) (static []clients.Static, secrets []string, ok bool) {
	for i, s := range list {
		client := clients.Static{
			ID: s.ClientID, Name: s.ClientName, RedirectURIs: s.RedirectURIs, Scopes: s.Scopes,
			Grants: []string{"authorization_code", "refresh_token"},
		}
		if s.ClientSecretRef != nil {
			v, found := c.headerSecret(o, index(fieldAuthServer+".staticClients", i)+".clientSecretRef", *s.ClientSecretRef)
			if !found {
				return nil, nil, false
			}
			client.Secrets = []secret.Value{v}
			secrets = append(secrets, v.Reveal())
		}
		static = append(static, client)
	}
	return static, secrets, true
}

// authServerKeys are the keys that the manifest names.
type authServerKeys struct {
	signing [][]byte
	sealing [][]byte
	texts   []string // for telling settings apart
}

func (c *compiler) authServerKeys(o *manifest.Object, spec *v1alpha1.EmbeddedAuthServer) (k authServerKeys, ok bool) {
	for i, ref := range spec.SigningKeySecretRefs {
		field := index(fieldAuthServer+".signingKeySecretRefs", i)
		v, found := c.secret(o, field, ref)
		if !found {
			return k, false
		}
		if _, err := token.NewSigner([]byte(v.Reveal())); err != nil {
			c.problem(o, field+".key", "key %q of Secret %q: %v", ref.Key, ref.Name, err)
			return k, false
		}
		k.signing = append(k.signing, []byte(v.Reveal()))
		k.texts = append(k.texts, "signing", v.Reveal())
	}
	for i, ref := range spec.HMACSecretRefs {
		field := index(fieldAuthServer+".hmacSecretRefs", i)
		v, found := c.secret(o, field, ref)
		if !found {
			return k, false
		}
		if len(v.Reveal()) < seal.KeySize {
			c.problem(o, field+".key", "key %q of Secret %q has %d bytes, and %d are needed; make one with: openssl rand -base64 32", ref.Key, ref.Name, len(v.Reveal()), seal.KeySize)
			return k, false
		}
		k.sealing = append(k.sealing, []byte(v.Reveal()))
		k.texts = append(k.texts, "sealing", v.Reveal())
	}
	return k, true
}

// open makes signer and ring. What the manifest does not name is made once and kept
// where sign-ins are, so that it lasts as long as they do.
func (k *authServerKeys) open(s *Server, in store.Store, key objectKey) (*token.Signer, *seal.Ring, error) {
	signing, sealing := k.signing, k.sealing
	_, memory := in.(*store.Memory)
	if (signing == nil || sealing == nil) && memory && !s.checking {
		s.opts.Log.Warn("an authorization server has keys that end with this process, and everybody will have to sign in again; set signingKeySecretRefs and hmacSecretRefs, or --store", "authServer", key.name)
	}
	if signing == nil {
		made, err := s.keptKey(in, key, "signing", token.GenerateKey)
		if err != nil {
			return nil, nil, err
		}
		signing = [][]byte{made}
	}
	if sealing == nil {
		made, err := s.keptKey(in, key, "sealing", func() ([]byte, error) {
			fresh := make([]byte, seal.KeySize)
			_, _ = rand.Read(fresh) // never fails: crypto/rand ends the process instead
			return fresh, nil
		})
		if err != nil {
			return nil, nil, err
		}
		sealing = [][]byte{made}
	}
	signer, err := token.NewSigner(signing...)
	if err != nil {
		return nil, nil, err
	}
	derived := make([][]byte, len(sealing))
	for i, text := range sealing {
		if derived[i], err = hkdf.Key(sha256.New, text, nil, "sallyport authserver v1", seal.KeySize); err != nil {
			return nil, nil, err
		}
	}
	ring, err := seal.NewRing(derived...)
	return signer, ring, err
}

// keptKey is a key out of the store, made when it is not there. The store seals it
// under the process's own key.
func (s *Server) keptKey(in store.Store, of objectKey, kind string, generate func() ([]byte, error)) ([]byte, error) {
	fresh, err := generate()
	if err != nil || s.checking {
		return fresh, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), keptKeyTimeout)
	defer cancel()
	at := "authserver-key/" + digestText(of.namespace, of.name, kind)
	if _, err := in.Add(ctx, at, fresh, 0); err != nil {
		return nil, fmt.Errorf("keep the %s key: %w", kind, err)
	}
	kept, err := in.Get(ctx, at)
	if err != nil {
		return nil, fmt.Errorf("read the %s key: %w", kind, err)
	}
	return kept, nil
}
