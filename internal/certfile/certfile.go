package certfile

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

// Files are what a listener's TLS is made of, in PEM.
type Files struct {
	Cert     string // the certificate, then those between it and the root
	Key      string
	ClientCA string // authorities of client certificates; "" to ask for none
}

// Keeper has the TLS settings that the files said when they were last good.
type Keeper struct {
	files   Files
	log     *slog.Logger
	current atomic.Pointer[tls.Config]

	read [sha256.Size]byte // of the files when they were last looked at, good or not
}

// pollEvery is how often the files are looked at. They are small, and reading them
// notices every way of renewal: in place, by rename, by the links of a mounted
// Secret.
const pollEvery = 2 * time.Second

// Open reads the files. The error names the flag-like part that is wrong, the file,
// and what to do.
func Open(files Files, log *slog.Logger) (*Keeper, error) {
	k := &Keeper{files: files, log: log}
	content, err := k.content()
	if err != nil {
		return nil, err
	}
	cfg, err := content.config(files)
	if err != nil {
		return nil, err
	}
	k.read = content.digest()
	k.take(cfg)
	return k, nil
}

// TLS are the settings for a listener. Each connection gets those of its moment, and
// with them the tickets to resume it: a session that was made with other
// authorities is not resumed.
func (k *Keeper) TLS() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return k.current.Load(), nil },
	}
}

// Watch takes renewed files into use, within seconds or at once when now says so,
// until ctx ends. Broken ones are said to be so once, and the last good ones go on.
func (k *Keeper) Watch(ctx context.Context, now <-chan os.Signal) {
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	var waiting [sha256.Size]byte
	for {
		asked := false
		select {
		case <-ctx.Done():
			return
		case <-now:
			asked = true
		case <-poll.C:
		}
		content, err := k.content()
		sum := content.digest()
		if sum == k.read {
			continue
		}
		cfg, configErr := content.config(k.files)
		if err == nil {
			err = configErr
		}
		if err != nil && !asked && sum != waiting {
			waiting = sum // certificate and key are two files, and this may be between them
			continue
		}
		k.read = sum
		if err != nil {
			k.log.Error("TLS certificate not renewed, the old one goes on", "error", err, "until", k.notAfter())
			continue
		}
		k.take(cfg)
		k.log.Info("TLS certificate renewed", "until", k.notAfter())
	}
}

func (k *Keeper) take(cfg *tls.Config) {
	k.current.Store(cfg)
	if leaf := cfg.Certificates[0].Leaf; !time.Now().Before(leaf.NotAfter) {
		k.log.Warn("the TLS certificate has expired, so that clients will refuse it; renew it", "file", k.files.Cert, "until", leaf.NotAfter)
	}
}

func (k *Keeper) notAfter() time.Time { return k.current.Load().Certificates[0].Leaf.NotAfter }

// content is what was in the files.
type content struct{ cert, key, clientCA []byte }

// content reads the files; of one that cannot be read it has nothing.
func (k *Keeper) content() (content, error) {
	var c content
	var errs [3]error
	c.cert, errs[0] = read("certificate", k.files.Cert)
	c.key, errs[1] = read("key", k.files.Key)
	if k.files.ClientCA != "" {
		c.clientCA, errs[2] = read("client authorities", k.files.ClientCA)
	}
	return c, errors.Join(errs[:]...)
}

func read(what, path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err == nil {
		return text, nil
	}
	if outer, ok := errors.AsType[*fs.PathError](err); ok {
		err = outer.Err
	}
	return nil, fmt.Errorf("TLS %s: %s: %w; name a file in PEM that the gateway may read", what, path, err)
}

func (c content) digest() [sha256.Size]byte {
	h := sha256.New()
	for _, part := range [][]byte{c.cert, c.key, c.clientCA} {
		sum := sha256.Sum256(part)
		_, _ = h.Write(sum[:])
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// config makes settings of what is in the files. Nothing of a key is in an error.
func (c content) config(files Files) (*tls.Config, error) {
	switch {
	case !holds(c.cert, "CERTIFICATE"):
		return nil, fmt.Errorf("TLS certificate: %s holds no certificate; put the certificate there in PEM, and after it those between it and the root", files.Cert)
	case !holds(c.key, ""):
		return nil, fmt.Errorf("TLS key: %s holds no key; put the certificate's key there in PEM", files.Key)
	}
	pair, err := tls.X509KeyPair(c.cert, c.key)
	if err != nil {
		return nil, fmt.Errorf("TLS certificate and key: %s and %s do not go together: %w; take both from one renewal, the key without a password", files.Cert, files.Key, err)
	}
	cfg := &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2", "http/1.1"},
	}
	if files.ClientCA == "" {
		return cfg, nil
	}
	cfg.ClientCAs = x509.NewCertPool()
	if !cfg.ClientCAs.AppendCertsFromPEM(c.clientCA) {
		return nil, fmt.Errorf("TLS client authorities: %s holds no certificate; put those of the authorities there in PEM", files.ClientCA)
	}
	// Not required: clients with tokens have none, and which endpoint wants one is for
	// its manifest to say.
	cfg.ClientAuth = tls.VerifyClientCertIfGiven
	return cfg, nil
}

// holds reports whether a text has a PEM block of a type; "" for any.
func holds(text []byte, kind string) bool {
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			return false
		}
		if kind == "" || block.Type == kind {
			return true
		}
		text = rest
	}
}
