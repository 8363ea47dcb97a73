package e2e_test

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// TestDoctorInside runs it over manifests, and from both sides, where what is found outside
// is the fault of a line of theirs; and over replicas that are one, and that are not.
func TestDoctorInside(t *testing.T) {
	t.Parallel()
	backend := testkit.StartBackend(t, testkit.Sessions)
	folder := manifests(t, remote("docs", backend.URL, trusting()))
	site := filepath.Join(folder, "..")
	keys := make([]string, 2)
	for i := range keys {
		keys[i] = filepath.Join(t.TempDir(), "session-keys")
		if err := os.WriteFile(keys[i], []byte(base64.StdEncoding.EncodeToString([]byte(strings.Repeat(string(rune('a'+i)), 32)))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	start := func(key string) *testkit.Gateway {
		return testkit.Start(t, "serve", "-f", folder, "--session-key-file", key)
	}
	a, b, c := start(keys[0]), start(keys[0]), start(keys[1])
	other := testkit.Start(t, "serve", "-f", manifests(t, remote("docs", backend.URL)))
	admin := filepath.Join(t.TempDir(), "admin")
	if err := os.WriteFile(admin, []byte(strings.Repeat("canary", 6)), 0o600); err != nil {
		t.Fatal(err)
	}
	another := filepath.Join(t.TempDir(), "another")
	if err := os.WriteFile(another, []byte(strings.Repeat("yranac", 6)), 0o600); err != nil {
		t.Fatal(err)
	}
	guarded := testkit.Start(t, "serve", "-f", folder, "--admin-token-file", admin, "--session-key-file", keys[0])
	for name, tt := range map[string]struct {
		args []string
		code int
		want []string // in this order
	}{
		"manifests alone":         {nil, 0, []string{"docs: speaks 2025-11-25, has ", "nothing is wrong"}},
		"from both sides":         {[]string{"--quick", a.MCP()}, 1, []string{"failure", "forged header", "anybody can say who they are: X-Authenticated-User", ".yaml:", "MCPRemoteProxy/docs: spec.trustedProxy"}},
		"replicas that are one":   {[]string{"--replica", a.MCP(), "--replica", b.MCP(), "--replica", a.Admin, "--replica", b.Admin}, 0, []string{"serve the same configuration", "a session of one replica goes on at the others"}},
		"replicas with own keys":  {[]string{"--replica", a.MCP(), "--replica", c.MCP()}, 1, []string{"session keys", "is unknown to", "--session-key-file"}},
		"other manifests":         {[]string{"--replica", a.Admin, "--replica", other.Admin}, 1, []string{"they serve different configurations"}},
		"admin addresses alone":   {[]string{"--replica", a.Admin, "--replica", b.Admin}, 0, []string{"ok", "session keys", "2 replicas open each other's sessions"}},
		"admin, with own keys":    {[]string{"--replica", a.Admin, "--replica", c.Admin}, 1, []string{"serve the same configuration", "failure", "session keys", "has not the key that", "--session-key-file"}},
		"a guarded admin address": {[]string{"--replica", a.Admin, "--replica", guarded.Admin}, 0, []string{"not tried", "asks for its admin token", "not tried", "session keys"}},
		"its token":               {[]string{"--replica", b.Admin, "--replica", guarded.Admin, "--admin-token-file", admin}, 0, []string{"ok", "session keys", "open each other's sessions"}},
		"another token":           {[]string{"--replica", b.Admin, "--replica", guarded.Admin, "--admin-token-file", another}, 0, []string{"not tried", "asks for another admin token"}},
		"no manifests":            {[]string{"-f", site + "/none"}, 2, nil},
		"a replica that is none":  {[]string{"--replica", "here"}, 2, nil},
		"its own key, for anyone": {[]string{"--session-key-file", keys[0], "--max-in-flight", "2147483647"}, 0, []string{"ok", "files", "nobody else can read", "warning", "open files", "LimitNOFILE="}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := testkit.Run(t, append([]string{"doctor", "-f", folder}, tt.args...)...)
			rest := r.Stdout
			for _, w := range tt.want {
				_, after, ok := strings.Cut(rest, w)
				if rest = after; !ok {
					t.Errorf("no %q", w)
					break
				}
			}
			if r.Code != tt.code || t.Failed() {
				t.Errorf("exit code %d, want %d:\n%s\n%s", r.Code, tt.code, r.Stdout, r.Stderr)
			}
		})
	}
	broken := manifests(t, remote("docs", backend.URL, "groupRef: {name: team}"))
	if r := testkit.Run(t, "doctor", "-f", broken); r.Code != 1 || !strings.Contains(r.Stdout, "spec.groupRef.name") || !strings.Contains(r.Stdout, ".yaml:") {
		t.Errorf("exit code %d:\n%s\n%s", r.Code, r.Stdout, r.Stderr)
	}
}

// TestDoctorOfClosedReplicas compares replicas whose endpoint lets nobody in without a
// token, and looks at the Redis that they share.
func TestDoctorOfClosedReplicas(t *testing.T) {
	t.Parallel()
	issuer, redis := testkit.NewIssuer(t), testkit.StartRedis(t)
	backend := testkit.StartBackend(t, testkit.Sessions)
	folder := manifests(t, remote("docs", backend.URL, "oidcConfig: {type: inline, inline: {issuer: \""+issuer.URL+"\", audience: docs, jwksAllowPrivateIP: true}}"))
	keys, storeKey := []string{keyFile(t, newKey(t)), keyFile(t, newKey(t))}, keyFile(t, newKey(t))
	store := []string{"--store", "redis://" + testkit.RedisUser + "@" + redis.Address, "--store-key-file", storeKey}
	env := []string{"SALLYPORT_REDIS_PASSWORD=" + testkit.RedisPassword}
	start := func(key string) *testkit.Gateway {
		return testkit.StartWith(t, testkit.Options{Env: env}, append([]string{"serve", "-f", folder, "--session-key-file", key}, store...)...)
	}
	a, b, c := start(keys[0]), start(keys[0]), start(keys[1])
	token := "SALLYPORT_TOKEN=" + issuer.Sign(nil, issuer.Claims("docs", nil))
	for name, tt := range map[string]struct {
		args, env []string
		code      int
		want      []string // in this order
	}{
		"no token":             {[]string{"--replica", a.MCP(), "--replica", b.MCP()}, env, 0, []string{"--store: Redis ", "not tried", "session keys", "SALLYPORT_TOKEN", "admin addresses"}},
		"a token":              {[]string{"--replica", a.MCP(), "--replica", b.MCP()}, append(env, token), 0, []string{"ok", "session keys", "goes on at the others"}},
		"a token, other keys":  {[]string{"--replica", a.MCP(), "--replica", c.MCP()}, append(env, token), 1, []string{"failure", "session keys", "is unknown to"}},
		"admin addresses":      {[]string{"--replica", a.MCP(), "--replica", b.MCP(), "--replica", a.Admin, "--replica", b.Admin}, env, 0, []string{"ok", "session keys", "open each other's sessions", "nothing is wrong"}},
		"admin, other keys":    {[]string{"--replica", a.Admin, "--replica", c.Admin}, env, 1, []string{"failure", "session keys", "has not the key"}},
		"no password of Redis": {nil, nil, 1, []string{"failure", "store", "--store", "SALLYPORT_REDIS_PASSWORD"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := testkit.RunWith(t, testkit.Options{Env: tt.env}, append(append([]string{"doctor", "-f", folder}, store...), tt.args...)...)
			if r.Code != tt.code || !testkit.InOrder(r.Stdout, tt.want) || strings.Contains(r.Stdout+r.Stderr, testkit.RedisPassword) || strings.Contains(r.Stdout+r.Stderr, strings.TrimPrefix(token, "SALLYPORT_TOKEN=")) {
				t.Errorf("exit code %d, want %d and %q:\n%s\n%s", r.Code, tt.code, tt.want, r.Stdout, r.Stderr)
			}
		})
	}
}

// TestDoctor runs the command: its exit code is for scripts, and nothing of a token is
// printed. What it finds is tested in internal/doctor.
func TestDoctor(t *testing.T) {
	t.Parallel()
	g := serve(t, remote("docs", testkit.StartBackend(t, testkit.Dual).URL))
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("canary-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{"SALLYPORT_TOKEN=canary-variable"}
	for name, tt := range map[string]struct {
		args   []string
		code   int
		stdout string
		stderr string
	}{
		"healthy":           {[]string{"--quick", g.MCP()}, 0, "nothing is wrong\n", ""},
		"with a token":      {[]string{"--quick", "--token-file", token, g.MCP()}, 0, "nobody is asked for one", ""},
		"another path":      {[]string{g.URL + "/servers/dosc/mcp"}, 1, "…/servers/NAME/mcp", "sallyport: 1 failure, 0 warnings\n"},
		"no URL":            {nil, 2, "", "URL that clients have"},
		"two":               {[]string{g.MCP(), g.MCP()}, 2, "", "URL that clients have"},
		"no scheme":         {[]string{"gw.example.com/mcp"}, 2, "", "is not a URL"},
		"another scheme":    {[]string{"ftp://gw.example.com/mcp"}, 2, "", "is not a URL"},
		"a password":        {[]string{"https://me:canary@gw.example.com/mcp?canary=1"}, 2, "", "https://gw.example.com/mcp must have no user, query or fragment"},
		"no token file":     {[]string{"--token-file", token + "s", g.MCP()}, 2, "", "--token-file"},
		"no such output":    {[]string{"-o", "xml", g.MCP()}, 2, "", "is not one of text, json"},
		"an unknown option": {[]string{"--fast", g.MCP()}, 2, "", "--fast"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := testkit.RunWith(t, testkit.Options{Env: env}, append([]string{"doctor"}, tt.args...)...)
			if r.Code != tt.code || !strings.Contains(r.Stdout, tt.stdout) || !strings.Contains(r.Stderr, tt.stderr) || strings.Contains(r.Stdout+r.Stderr, "canary") {
				t.Errorf("exit code %d, want %d:\n%s\n%s", r.Code, tt.code, r.Stdout, r.Stderr)
			}
		})
	}
	r := testkit.Run(t, "doctor", "--quick", "-o", "json", g.MCP())
	var report struct {
		Failures *int
		Findings []struct{ Level, Check, Message string }
	}
	if err := json.Unmarshal([]byte(r.Stdout), &report); err != nil || report.Failures == nil || len(report.Findings) < 8 || r.Code != 0 {
		t.Errorf("exit code %d, %v:\n%s", r.Code, err, r.Stdout)
	}
}
