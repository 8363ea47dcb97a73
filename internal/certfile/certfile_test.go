package certfile_test

import (
	"context"
	"crypto/tls"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-dev/sallyport/internal/certfile"
	"github.com/sallyport-dev/sallyport/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// folder has the three files.
type folder struct{ certfile.Files }

func newFolder(t *testing.T) folder {
	t.Helper()
	dir := t.TempDir()
	return folder{certfile.Files{Cert: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key"), ClientCA: filepath.Join(dir, "ca.crt")}}
}

// write replaces a file; "" removes it.
func write(t *testing.T, path, text string) {
	t.Helper()
	if text == "" {
		_ = os.Remove(path)
		return
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// shown is the name that the certificate in use ends its validity with.
func shown(t *testing.T, k *certfile.Keeper) time.Time {
	t.Helper()
	cfg, err := k.TLS().GetConfigForClient(&tls.ClientHelloInfo{})
	if err != nil {
		t.Fatal(err)
	}
	return cfg.Certificates[0].Leaf.NotAfter.Local()
}

// log keeps lines.
type log struct{ testkit.Output }

func (l *log) count(words string) int { return strings.Count(l.String(), words) }

func logger(l *log) *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// Each broken file is named, with what to do, and nothing of a key is shown.
func TestOpenErrors(t *testing.T) {
	t.Parallel()
	ca := testkit.NewAuthority(t, "ca")
	cert, key := ca.Server(t, time.Now().Add(time.Hour))
	_, otherKey := ca.Server(t, time.Now().Add(time.Hour))
	canary := strings.Split(key, "\n")[1]
	for _, tt := range []struct {
		name           string
		cert, key, ca  string
		file           int // which one is named: 1 certificate, 2 key, 3 authorities
		want, alsoWant string
	}{
		{"no certificate", "", key, ca.PEM, 1, "no such file", "name a file"},
		{"no key", cert, "", ca.PEM, 2, "no such file", "name a file"},
		{"no authorities", cert, key, "", 3, "no such file", "name a file"},
		{"an empty certificate", "\n", key, ca.PEM, 1, "holds no certificate", "put the certificate there"},
		{"a key for a certificate", key, key, ca.PEM, 1, "holds no certificate", "put the certificate there"},
		{"garbage for a key", cert, "garbage " + canary, ca.PEM, 2, "holds no key", "put the certificate's key there"},
		{"a certificate for a key", cert, cert, ca.PEM, 2, "do not go together", "one renewal"},
		{"another key", cert, otherKey, ca.PEM, 2, "do not go together", "one renewal"},
		{"a broken key", cert, strings.Replace(key, canary, canary[:20], 1), ca.PEM, 2, "", "key"},
		{"a key for authorities", cert, key, key, 3, "holds no certificate", "authorities"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFolder(t)
			write(t, f.Cert, tt.cert)
			write(t, f.Key, tt.key)
			write(t, f.ClientCA, tt.ca)
			_, err := certfile.Open(f.Files, slog.New(slog.DiscardHandler))
			if err == nil {
				t.Fatal("it is taken")
			}
			text := err.Error()
			for _, want := range []string{[]string{f.Cert, f.Key, f.ClientCA}[tt.file-1], tt.want, tt.alsoWant} {
				if !strings.Contains(text, want) {
					t.Errorf("%q is not in: %s", want, text)
				}
			}
			if strings.Contains(text, canary) || strings.Contains(text, canary[:20]) {
				t.Errorf("the key is shown: %s", text)
			}
		})
	}
}

func TestExpiredCertificate(t *testing.T) {
	t.Parallel()
	f, said := newFolder(t), &log{}
	f.ClientCA = ""
	cert, key := testkit.NewAuthority(t, "ca").Server(t, time.Now().Add(-time.Minute))
	write(t, f.Cert, cert)
	write(t, f.Key, key)
	if _, err := certfile.Open(f.Files, logger(said)); err != nil || said.count("has expired") != 1 {
		t.Errorf("%v, %q", err, said.String())
	}
}

// A renewed certificate is taken; a broken one is not, and is said to be broken once.
func TestWatch(t *testing.T) {
	t.Parallel()
	ca := testkit.NewAuthority(t, "ca")
	f, said := newFolder(t), &log{}
	f.ClientCA = ""
	validity := func(hours int) time.Time {
		return time.Now().Add(time.Duration(hours) * time.Hour).Truncate(time.Second)
	}
	untils := []time.Time{validity(1), validity(2), validity(3)}
	var certs, keys []string
	for _, until := range untils {
		cert, key := ca.Server(t, until)
		certs, keys = append(certs, cert), append(keys, key)
	}
	write(t, f.Cert, certs[0])
	write(t, f.Key, keys[0])
	synctest.Test(t, func(t *testing.T) {
		k, err := certfile.Open(f.Files, logger(said))
		if err != nil {
			t.Fatal(err)
		}
		ctx, end := context.WithCancel(t.Context())
		now := make(chan os.Signal)
		done := make(chan struct{})
		go func() { defer close(done); k.Watch(ctx, now) }()
		pass := func(d time.Duration) { <-time.After(d); synctest.Wait() }
		expect := func(what string, use, renewed, broken int) {
			t.Helper()
			if got := shown(t, k); !got.Equal(untils[use]) {
				t.Errorf("%s: in use until %s, want %s", what, got, untils[use])
			}
			if r, b := said.count("TLS certificate renewed"), said.count("the old one goes on"); r != renewed || b != broken {
				t.Errorf("%s: %d times renewed and %d broken, want %d and %d:\n%s", what, r, b, renewed, broken, said.String())
			}
		}
		pass(time.Minute)
		expect("unchanged", 0, 0, 0)

		write(t, f.Cert, certs[1])
		pass(2 * time.Second)
		expect("between the two files", 0, 0, 0)
		write(t, f.Key, keys[1])
		pass(2 * time.Second)
		expect("renewed", 1, 1, 0)

		write(t, f.Cert, "garbage")
		pass(time.Minute)
		expect("broken", 1, 1, 1)
		write(t, f.Cert, "")
		pass(time.Minute)
		expect("gone", 1, 1, 2)
		write(t, f.Cert, certs[2])
		now <- os.Interrupt
		synctest.Wait()
		expect("asked between the files", 1, 1, 3)
		write(t, f.Key, keys[2])
		now <- os.Interrupt
		synctest.Wait()
		expect("asked", 2, 2, 3)
		end()
		<-done
	})
}
