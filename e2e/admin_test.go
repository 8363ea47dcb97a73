package e2e_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

const adminToken = "canary-admin-token-0123456789"

// REQ C-7: what operators look at needs the admin token, whatever clients need; the
// probes need none.
func TestAdminToken(t *testing.T) {
	t.Parallel()
	file := put(t, t.TempDir(), "admin", "\nanother-token-of-before\n"+adminToken+"\n")
	backend := testkit.Record(t, ok)
	basic := func(user, password string) []string {
		return []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))}
	}
	closed := map[string]int{"/healthz": 200, "/readyz": 200, "/metrics": 401, "/debug/pprof/": 401, "/nothing": 401}
	open := map[string]int{"/healthz": 200, "/readyz": 200, "/metrics": 200, "/debug/pprof/": 200, "/nothing": 404}
	for _, tt := range []struct {
		name    string
		env     []string
		flags   []string
		headers []string
		want    map[string]int
	}{
		{"nothing set", nil, nil, nil, open},
		{"not required", []string{"AUTH_REQUIRED=false"}, []string{"--admin-token-file", file}, nil, open},
		{"a file", nil, []string{"--admin-token-file", file}, nil, closed},
		{"required", []string{"AUTH_REQUIRED=true"}, []string{"--admin-token-file", file}, nil, closed},
		{"the token", nil, []string{"--admin-token-file", file}, bearer(adminToken), open},
		{"the token of before", nil, []string{"--admin-token-file", file}, bearer("another-token-of-before"), open},
		{"as a password", nil, []string{"--admin-token-file", file}, basic("prometheus", adminToken), open},
		{"as a user", nil, []string{"--admin-token-file", file}, basic(adminToken, ""), closed},
		{"another token", nil, []string{"--admin-token-file", file}, bearer(adminToken + "0"), closed},
		{"half of it", nil, []string{"--admin-token-file", file}, bearer(adminToken[:20]), closed},
		{"empty", nil, []string{"--admin-token-file", file}, bearer(""), closed},
		{"twice", nil, []string{"--admin-token-file", file}, append(bearer(adminToken), bearer(adminToken)...), closed},
		{"a proxy's header", []string{"AUTH_REQUIRED=true", "MCP_CLIENT_AUTH_ENABLED=false", "TRUST_PROXY_AUTH=true"}, []string{"--admin-token-file", file}, user("root"), closed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			folder := manifests(t, remote("docs", backend.URL))
			g := testkit.StartWith(t, testkit.Options{Env: tt.env}, append([]string{"serve", "-f", folder, "--debug-pprof"}, tt.flags...)...)
			for path, want := range tt.want {
				got := request{method: http.MethodGet, url: g.Admin + path}.with(tt.headers...).do(t)
				if got.Status != want {
					t.Errorf("%s: status %d, want %d", path, got.Status, want)
				}
				if challenges := strings.Join(got.Header.Values("Www-Authenticate"), ", "); (want == 401) != (strings.Contains(challenges, "Basic ") && strings.Contains(challenges, "Bearer ")) {
					t.Errorf("%s: WWW-Authenticate %q", path, challenges)
				}
			}
			call(g.MCP(), "tool", "").do(t).wantResult(t, `{"ok":true}`) // clients are another matter
			if err := g.Stop(); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(g.Stderr.String()+g.Stdout.String(), adminToken[:20]) {
				t.Error("the token is in the log")
			}
		})
	}
}

// REQ C-7: settings that cannot be meant keep the process from starting.
func TestAdminTokenErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	docs := manifests(t, remote("docs", "https://mcp.example.com/mcp"))
	for name, tt := range map[string]struct {
		env  string
		file string
		want []string
	}{
		"no boolean":       {"AUTH_REQUIRED=maybe", "", []string{"AUTH_REQUIRED", "true or false"}},
		"required of what": {"AUTH_REQUIRED=true", "", []string{"AUTH_REQUIRED", "--admin-token-file"}},
		"no such file":     {"", dir + "/none", []string{"--admin-token-file", "no such file"}},
		"an empty file":    {"", put(t, dir, "empty", "\n"), []string{"--admin-token-file", "holds no token"}},
		"a short one":      {"", put(t, dir, "short", "canary-secret"), []string{"line 1", "at least 16"}},
		"with a blank":     {"", put(t, dir, "blank", "\ncanary-secret and more of it"), []string{"line 2", "openssl"}},
	} {
		args := []string{"serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "-f", docs}
		if tt.file != "" {
			args = append(args, "--admin-token-file", tt.file)
		}
		got := testkit.RunWith(t, testkit.Options{Env: []string{tt.env}}, args...)
		if got.Code != 2 || strings.Contains(got.Stderr, "canary-secret") {
			t.Errorf("%s: exit code %d, %s", name, got.Code, got.Stderr)
		}
		for _, want := range tt.want {
			if !strings.Contains(got.Stderr, want) {
				t.Errorf("%s: %q is not in %s", name, want, got.Stderr)
			}
		}
	}
}
