package compile

import (
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/compile/plan"
	"github.com/sallyport-dev/sallyport/internal/keep"
	"github.com/sallyport-dev/sallyport/internal/seal"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/store"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// RedisConfig says where a Redis of a manifest is, and how it is reached.
func RedisConfig(p *plan.Redis) store.RedisConfig {
	r := p.Spec
	cfg := store.RedisConfig{
		Addresses: []string{string(r.Addr)}, Cluster: r.ClusterMode,
		Username: p.Username.Reveal(), Password: p.Password,
		DialTimeout: r.DialTimeout.Duration(), Timeout: max(r.ReadTimeout.Duration(), r.WriteTimeout.Duration()),
		TLS: redisTLS(r.TLS, p.CA), SentinelTLS: redisTLS(r.SentinelTLS, p.SentinelCA),
	}
	if s := r.SentinelConfig; s != nil {
		cfg.Addresses, cfg.Master, cfg.DB = nil, s.MasterName, int(s.DB)
		for _, a := range s.SentinelAddrs {
			cfg.Addresses = append(cfg.Addresses, string(a))
		}
	}
	return cfg
}

func redisTLS(t *v1alpha1.RedisTLS, ca secret.Value) *tls.Config {
	if t == nil {
		return nil
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: t.InsecureSkipVerify, RootCAs: pool(ca.Reveal())} //nolint:gosec // the manifest says so by name
}

// openKeys makes an authorization server's signer and ring. What the manifest does not
// name is made once and kept where sign-ins are, so that it lasts as long as they do.
func (c *making) openKeys(p *plan.AuthServer, in store.Store) (*token.Signer, *seal.Ring, error) {
	signing, sealing := revealed(p.SigningKeys), revealed(p.SealingKeys)
	_, memory := in.(*store.Memory)
	if (signing == nil || sealing == nil) && memory && !c.opts.Checking {
		c.opts.Log.Warn("an authorization server has keys that end with this process, and everybody will have to sign in again; set signingKeySecretRefs and hmacSecretRefs, or --store", "authServer", p.Name)
	}
	if signing == nil {
		made, err := c.keptKey(in, p, "signing", token.GenerateKey)
		if err != nil {
			return nil, nil, err
		}
		signing = [][]byte{made}
	}
	if sealing == nil {
		made, err := c.keptKey(in, p, "sealing", func() ([]byte, error) {
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

// clientsRing is what clients' ids are sealed with. Where everything else ends with the
// process, these need not: a client never learns that its id is good no more, and many
// show their person a dead page for ever.
func (c *making) clientsRing(p *plan.AuthServer, in store.Store, ring *seal.Ring) *seal.Ring {
	if _, memory := in.(*store.Memory); !memory || p.SealingKeys != nil || c.opts.Checking || c.opts.KeptKey == nil {
		return ring
	}
	key, err := c.opts.KeptKey()
	var kept *seal.Ring
	if err == nil {
		kept, err = seal.NewRing(key)
	}
	if err != nil {
		c.opts.Log.Warn("the ids of clients that register themselves end with this process; set hmacSecretRefs, or --store", "error", err)
		return ring
	}
	return kept
}

// revealed are the texts of secrets; nil for none.
func revealed(secrets []secret.Value) (texts [][]byte) {
	for _, s := range secrets {
		texts = append(texts, []byte(s.Reveal()))
	}
	return texts
}

const keptKeyTimeout = 10 * time.Second

// keptKey is a key out of the store, made when it is not there. The store seals it
// under the process's own key.
func (c *making) keptKey(in store.Store, of *plan.AuthServer, kind string, generate func() ([]byte, error)) ([]byte, error) {
	fresh, err := generate()
	if err != nil || c.opts.Checking {
		return fresh, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), keptKeyTimeout)
	defer cancel()
	at := "authserver-key/" + hex.EncodeToString([]byte(keep.Key(of.Namespace, of.ID(), kind)))
	if _, err := in.Add(ctx, at, fresh, 0); err != nil {
		return nil, fmt.Errorf("keep the %s key: %w", kind, err)
	}
	kept, err := in.Get(ctx, at)
	if err != nil {
		return nil, fmt.Errorf("read the %s key: %w", kind, err)
	}
	return kept, nil
}
