package gateway

import (
	"crypto/tls"
	"crypto/x509"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/store"
)

// storage gives an authorization server its store: the process's, or one of its own
// that is kept over configuration changes for as long as its settings stay, which the
// key stands for. Nothing is dialled before it is used. With a problem it returns nil.
func (c *compiler) storage(o *manifest.Object, field string, st *v1alpha1.AuthServerStorage) (_ store.Store, key string) {
	if st == nil {
		return c.server.opts.Store, ""
	}
	open := func() (store.Store, error) { return store.NewMemory(), nil }
	key = digest("memory", o.Namespace, o.Name)
	if st.Type == v1alpha1.StorageRedis && st.Redis != nil {
		cfg, secrets, ok := c.redis(o, field+".redis", st.Redis)
		if !ok {
			return nil, ""
		}
		key = digest("redis", st.Redis, secrets)
		open = func() (store.Store, error) { return store.NewRedis(cfg) }
	}
	s, release, err := c.server.stores.Acquire(key, open)
	if err != nil {
		c.problem(o, field, "%v", err)
		return nil, ""
	}
	c.snap.releases = append(c.snap.releases, release)
	return s, key
}

// redis compiles where a Redis is, and the texts of the Secrets that it rests on.
func (c *compiler) redis(o *manifest.Object, field string, r *v1alpha1.RedisStorage) (cfg store.RedisConfig, secrets []string, ok bool) {
	cfg = store.RedisConfig{
		Addresses: []string{string(r.Addr)}, Cluster: r.ClusterMode,
		DialTimeout: r.DialTimeout.Duration(), Timeout: max(r.ReadTimeout.Duration(), r.WriteTimeout.Duration()),
	}
	ok = true
	read := func(field string, ref *v1alpha1.SecretKeyRef) secret.Value {
		if ref == nil {
			return secret.Value{}
		}
		v, found := c.secret(o, field, *ref)
		ok = ok && found
		secrets = append(secrets, v.Reveal())
		return v
	}
	cfg.Username = read(field+".aclUserConfig.usernameSecretRef", r.ACLUserConfig.UsernameSecretRef).Reveal()
	cfg.Password = read(field+".aclUserConfig.passwordSecretRef", &r.ACLUserConfig.PasswordSecretRef)
	encrypted := func(field string, t *v1alpha1.RedisTLS) *tls.Config {
		if t == nil {
			return nil
		}
		conf := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: t.InsecureSkipVerify} //nolint:gosec // the manifest says so by name
		if pem := read(field+".caCertSecretRef", t.CACertSecretRef); !pem.Empty() {
			conf.RootCAs = x509.NewCertPool()
			if !conf.RootCAs.AppendCertsFromPEM([]byte(pem.Reveal())) {
				c.problem(o, field+".caCertSecretRef.key", "holds no certificate; put PEM certificates there")
				ok = false
			}
		}
		return conf
	}
	cfg.TLS = encrypted(field+".tls", r.TLS)
	cfg.SentinelTLS = encrypted(field+".sentinelTls", r.SentinelTLS)
	if s := r.SentinelConfig; s != nil {
		cfg.Addresses, cfg.Master, cfg.DB = nil, s.MasterName, int(s.DB)
		for _, a := range s.SentinelAddrs {
			cfg.Addresses = append(cfg.Addresses, string(a))
		}
	}
	return cfg, secrets, ok
}
