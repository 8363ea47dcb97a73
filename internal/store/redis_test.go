package store_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/store"
	"github.com/sallyport-dev/sallyport/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func openRedis(t *testing.T, cfg store.RedisConfig) *store.Redis {
	t.Helper()
	cfg.Username, cfg.Password = testkit.RedisUser, secret.New(testkit.RedisPassword)
	r, err := store.NewRedis(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// prefix keeps tests on one server apart.
func prefix(t *testing.T) string { return strings.ReplaceAll(t.Name(), "/", "-") + ":" }

func TestRedis(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t)
	testStore(t, func(t *testing.T) store.Store {
		return openRedis(t, store.RedisConfig{Addresses: []string{server.Address}, Prefix: prefix(t)})
	})
}

func TestRedisCluster(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t, "cluster-enabled yes")
	if answer, err := server.Command(t, "CLUSTER", "ADDSLOTSRANGE", "0", "16383"); err != nil || answer != "+OK" {
		t.Fatal(answer, err)
	}
	testkit.Eventually(t, "the cluster is one", func() bool {
		answer, err := server.Command(t, "SET", "x", "y")
		return err == nil && answer == "+OK"
	})
	testStore(t, func(t *testing.T) store.Store {
		return openRedis(t, store.RedisConfig{Addresses: []string{server.Address}, Cluster: true, Prefix: prefix(t)})
	})
}

func TestRedisSentinel(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t)
	sentinel := testkit.StartSentinel(t, server)
	r := openRedis(t, store.RedisConfig{Addresses: []string{sentinel.Address}, Master: "main"})
	if err := r.Put(t.Context(), "k", []byte("v"), 0); err != nil {
		t.Fatal(err)
	}
	want(t, openRedis(t, store.RedisConfig{Addresses: []string{server.Address}}), "k", "v")
}

func TestRedisOverTLS(t *testing.T) {
	t.Parallel()
	authority := testkit.NewAuthority(t, "redis")
	cert, key := authority.Server(t, time.Now().Add(time.Hour))
	dir := t.TempDir()
	for name, text := range map[string]string{"cert.pem": cert, "key.pem": key} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	address := testkit.FreeAddress(t)
	_, port, _ := strings.Cut(address, ":")
	testkit.StartRedis(t, "tls-port "+port, "tls-cert-file "+dir+"/cert.pem", "tls-key-file "+dir+"/key.pem", "tls-auth-clients no")
	cfg := store.RedisConfig{Addresses: []string{address}, TLS: &tls.Config{RootCAs: authority.Pool()}}
	r := openRedis(t, cfg)
	if err := r.Put(t.Context(), "k", []byte("v"), 0); err != nil {
		t.Fatal(err)
	}
	want(t, r, "k", "v")
	cfg.TLS = &tls.Config{RootCAs: testkit.NewAuthority(t, "another").Pool()}
	if err := openRedis(t, cfg).Put(t.Context(), "k", nil, 0); err == nil {
		t.Error("a server was believed whose certificate nobody knows")
	}
}

// A Redis that is away fails operations in their time, and serves again when it is
// back, with what it had.
func TestRedisGoesAway(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t)
	r := openRedis(t, store.RedisConfig{Addresses: []string{server.Address}, Timeout: testkit.Patience})
	if err := r.Put(t.Context(), "k", []byte("v"), 0); err != nil {
		t.Fatal(err)
	}
	server.Kill()
	began := time.Now()
	if _, err := r.Get(t.Context(), "k"); err == nil || errors.Is(err, store.ErrNotFound) {
		t.Errorf("a Redis that is away answered %v", err)
	}
	if took := time.Since(began); took > testkit.Patience/2 { // nobody listens: there is nothing to wait for
		t.Errorf("it took %v to notice", took)
	}
	server.Start(t)
	testkit.Eventually(t, "the store serves again", func() bool {
		v, err := r.Get(t.Context(), "k")
		return err == nil && string(v) == "v"
	})
}

func TestRedisIsAwayAtFirst(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t)
	server.Kill()
	r := openRedis(t, store.RedisConfig{Addresses: []string{server.Address}})
	if err := r.Put(t.Context(), "k", nil, 0); err == nil {
		t.Error("written to nowhere")
	}
	server.Start(t)
	testkit.Eventually(t, "the store serves", func() bool { return r.Put(t.Context(), "k", nil, 0) == nil })
}

func TestRedisSaysNothingSecret(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"redis://u:canary@host:x/y", "http://u:canary@host", "redis://:canary@%zz/"} {
		if _, err := store.ParseRedisURL(address); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", address, err)
		}
	}
	server := testkit.StartRedis(t)
	r, err := store.NewRedis(store.RedisConfig{Addresses: []string{server.Address}, Username: "u", Password: secret.New("canary")})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.Put(t.Context(), "k", []byte("canary"), 0); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("a wrong password: %v", err)
	}
}

func TestParseRedisURL(t *testing.T) {
	t.Parallel()
	cfg, err := store.ParseRedisURL("rediss://u:p@a:1/2?master_set=main&addr=b:2")
	if err != nil || fmt.Sprint(cfg.Addresses) != "[a:1 b:2]" || cfg.DB != 2 || cfg.Master != "main" || cfg.TLS == nil || cfg.SentinelTLS == nil || cfg.Password.Reveal() != "p" {
		t.Errorf("%+v, %v", cfg, err)
	}
}

// REQ B-26: replicas share one bucket, whatever their clocks say.
func TestTakeRate(t *testing.T) {
	t.Parallel()
	server := testkit.StartRedis(t)
	cfg := store.RedisConfig{Addresses: []string{server.Address}}
	replicas := []*store.Redis{openRedis(t, cfg), openRedis(t, cfg)}
	take := func(i int) (time.Duration, bool) {
		wait, ok, err := replicas[i%2].TakeRate(t.Context(), "bucket", time.Hour, 3*time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return wait, ok
	}
	for i := range 3 {
		if _, ok := take(i); !ok {
			t.Fatalf("token %d of 3 was refused", i+1)
		}
	}
	if wait, ok := take(3); ok || wait < 59*time.Minute || wait > time.Hour {
		t.Errorf("a fourth token: %v, wait %v; want an hour's wait", ok, wait)
	}
	if err := replicas[0].GiveRate(t.Context(), "bucket", time.Hour); err != nil {
		t.Fatal(err)
	}
	if _, ok := take(0); !ok {
		t.Error("a token given back was not there")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, ok, err := replicas[0].TakeRate(ctx, "bucket", time.Hour, time.Hour); ok || err == nil {
		t.Errorf("after the end: %v, %v", ok, err)
	}
}
