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

// What somebody else could have put in the place of a store or its key is not taken, and what was kept is never lost in
// silence.
//
// FINDING S17, FINDING R8
func TestStoreOfOthers(t *testing.T) {
	t.Parallel()
	manifest := manifests(t, remote("docs", saying(t, "a").URL))
	key := strings.Repeat("A", 43) + "=\n"
	for name, c := range map[string]struct {
		change func(path string) error
		want   string
	}{
		"cut to nothing":    {func(path string) error { return os.Truncate(path, 0) }, "is empty, though its key"},
		"cut":               {func(path string) error { return os.Truncate(path, 8192) }, "is damaged"},
		"writable":          {func(path string) error { return os.Chmod(path, 0o666) }, "chmod 600"},
		"readable":          {func(path string) error { return os.Chmod(path, 0o644) }, "chmod 600"},
		"a writable key":    {func(path string) error { return os.Chmod(path+".key", 0o666) }, "chmod 600"},
		"a readable key":    {func(path string) error { return os.Chmod(path+".key", 0o644) }, "chmod 600"},
		"somebody's key":    {func(path string) error { return os.Chown(path+".key", 12345, -1) }, "belongs to another user"},
		"somebody's":        {func(path string) error { return os.Chown(path, 12345, -1) }, "belongs to another user"},
		"a linked key":      {func(path string) error { return relink(path+".key", put(t, t.TempDir(), "k", key)) }, "is a link"},
		"a key to be made":  {func(path string) error { return relink(path+".key", path+".stolen") }, "is a link"},
		"a store elsewhere": {func(path string) error { return relink(path, path+".stolen") }, "too many levels of symbolic links"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "s.db")
			first := testkit.Start(t, "serve", "-f", manifest, "--store", "file:"+path)
			if err := first.Stop(); err != nil {
				t.Fatal(err)
			}
			if err := c.change(path); err != nil {
				t.Skip(err) // only root can give files away
			}
			r := testkit.Run(t, "serve", "-f", manifest, "--listen", "127.0.0.1:0", "--admin-listen", "", "--store", "file:"+path)
			if r.Code != 2 || !strings.Contains(r.Stderr, c.want) || !strings.Contains(r.Stderr, path) || strings.Contains(r.Stderr, "goroutine") {
				t.Errorf("exit %d, %s; want 2 and %q", r.Code, r.Stderr, c.want)
			}
			if _, err := os.Lstat(path + ".stolen"); err == nil {
				t.Error("a file was made where a link led")
			}
		})
	}
}

// relink puts a link in the place of a file.
func relink(path, to string) error {
	if err := os.Remove(path); err != nil {
		return err
	}
	return os.Symlink(to, path)
}

// The rights that a user of Redis needs are everywhere the same; that they are enough is
// tested with the doctor and with the example for Docker Compose.
func TestRightsAtRedisInDocs(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"docs/how-to/state.md", "examples/compose/replicas/secrets.sh", "internal/doctor/inside/stores.go"} {
		if !strings.Contains(read(t, filepath.Join(root, filepath.FromSlash(file))), "+@read +@write +@scripting +@connection +time") {
			t.Errorf("%s has other rights", file)
		}
	}
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
