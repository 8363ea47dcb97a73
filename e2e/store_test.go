package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// A store file and its key are their owner's alone; what is in the way is said with a
// remedy, at start.
func TestStoreFlags(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "state", "s.db")
	backend := saying(t, "a")
	g := serve(t, remote("docs", backend.URL), "--store", "file:"+path)
	for _, name := range []string{filepath.Dir(path), path, path + ".key"} {
		info, err := os.Stat(name)
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	manifest := filepath.Join(dir, "m.yaml")
	if err := os.WriteFile(manifest, []byte(remote("docs", backend.URL)), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ store, want string }{
		"in use":     {"file:" + path, "another process"},
		"no scheme":  {"sqlite", "none of memory, file:PATH"},
		"no path":    {"file:", "none of memory, file:PATH"},
		"redis":      {"redis://u:canary@127.0.0.1:1", "--store-key-file"},
		"bad redis":  {"redis://u:canary@127.0.0.1:1/x", "no Redis address"},
		"not a file": {"file:" + manifest, manifest},
	} {
		r := testkit.Run(t, "serve", "-f", manifest, "--listen", "127.0.0.1:0", "--admin-listen", "", "--store", c.store)
		if r.Code != 2 || !strings.Contains(r.Stderr, c.want) || strings.Contains(r.Stderr, "canary") {
			t.Errorf("%s: exit %d, %s; want 2 and %q", name, r.Code, r.Stderr, c.want)
		}
	}
	if err := g.Stop(); err != nil {
		t.Fatal(err)
	}
	serve(t, remote("docs", backend.URL), "--store", "file:"+path) // with the key that is there
}

// REQ B-26: replicas share the buckets of a limit over Redis, and keep their own while it is away.
func TestSharedRateLimit(t *testing.T) {
	t.Parallel()
	redis := testkit.StartRedis(t)
	key := auditKey(t, 'S')
	backend := saying(t, "a")
	manifest := remote("docs", backend.URL, "rateLimiting: {shared: {maxTokens: 4, refillPeriod: 1h}}")
	address := "redis://" + testkit.RedisUser + ":" + testkit.RedisPassword + "@" + redis.Address
	var replicas []*testkit.Gateway
	for range 2 {
		replicas = append(replicas, serve(t, manifest, "--store", address, "--store-key-file", key))
	}
	admitted := func(n int) (ok int) {
		for i := range n {
			if call(replicas[i%2].MCP(), "tool", "").do(t).Status == 200 {
				ok++
			}
		}
		return ok
	}
	if n := admitted(8); n != 4 {
		t.Errorf("two replicas admitted %d of 8 calls, want 4 together", n)
	}
	redis.Kill()
	if n := admitted(12); n != 8 {
		t.Errorf("without Redis two replicas admitted %d of 12 calls, want 4 each", n)
	}
	redis.Start(t)
	testkit.Eventually(t, "the shared bucket is empty again", func() bool {
		return call(replicas[0].MCP(), "tool", "").do(t).Status == 429
	})
}
