package e2e_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

const twoKeys = "headerForward: {addHeadersFromSecret: [" +
	"{headerName: X-One, valueSecretRef: {name: api-key, key: one}}, {headerName: X-Two, valueSecretRef: {name: api-key, key: two}}]}"

// REQ G-12: secrets come from files and from the environment, and a changed file is a
// change; what is missing is named with where it could be.
func TestSecretsFromElsewhere(t *testing.T) {
	t.Parallel()
	backend := testkit.Record(t, ok)
	folder, secrets := manifests(t, remote("docs", backend.URL, twoKeys)), t.TempDir()
	env := []string{"SALLYPORT_SECRETS_FOLDER=" + secrets, "SALLYPORT_SECRET_API_KEY__TWO=CANARY-two"}

	missing := testkit.RunWith(t, testkit.Options{Env: env}, "check", "-f", folder)
	if want := `Secret "api-key" has no key "one"; add it, or the value to ` + filepath.Join(secrets, "api-key", "one"); missing.Code != 2 || !strings.Contains(missing.Stderr, want) {
		t.Errorf("exit code %d: %s", missing.Code, missing.Stderr)
	}
	lax := testkit.RunWith(t, testkit.Options{Env: env}, "check", "-f", folder, "--missing-secrets", "warn")
	if lax.Code != 0 || !strings.Contains(lax.Stderr, "api-key") || !strings.Contains(lax.Stdout, "no problems") {
		t.Errorf("exit code %d: %s%s", lax.Code, lax.Stdout, lax.Stderr)
	}

	put := func(value string) {
		if err := os.MkdirAll(filepath.Join(secrets, "api-key"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(secrets, "api-key", "one"), []byte(value+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("CANARY-one")
	g := testkit.StartWith(t, testkit.Options{Env: env}, "serve", "-f", folder)
	sees := func(one, two string) bool {
		call(g.MCP(), "tool", "").do(t).wantResult(t, `{"ok":true}`)
		all := backend.Requests()
		h := all[len(all)-1].Header
		return h.Get("X-One") == one && h.Get("X-Two") == two
	}
	if !sees("CANARY-one", "CANARY-two") {
		t.Errorf("the backend got %v", backend.Requests()[0].Header)
	}
	put("CANARY-other")
	g.Stderr.WaitFor(t, "configuration reloaded")
	if !sees("CANARY-other", "CANARY-two") {
		t.Error("the new value is not sent")
	}
	if strings.Contains(g.Stdout.String()+g.Stderr.String()+missing.Stderr, "CANARY") {
		t.Error("a secret is in the output")
	}
}

// FINDING N12, FINDING N13: check takes standard input, leaves out what is of other API
// groups, and looks at each namespace for itself, as a cluster does.
func TestCheckWhatIsBesideOurs(t *testing.T) {
	t.Parallel()
	run := func(text string, args ...string) (code int, stdout, stderr string) {
		cmd := exec.CommandContext(t.Context(), testkit.Binary(t), append([]string{"check", "-f", "-"}, args...)...)
		var out, err bytes.Buffer
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(text), &out, &err
		_ = cmd.Run() // the exit code says it
		return cmd.ProcessState.ExitCode(), out.String(), err.String()
	}
	two := remote("docs", "https://a.example.com") + strings.Replace(remote("docs", "https://b.example.com"), "{name: docs}", "{name: docs, namespace: team}", 1)
	others := "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n"
	for _, tt := range []struct {
		text   string
		args   []string
		code   int
		stdout string
		stderr string
	}{
		{remote("docs", "https://a.example.com"), nil, 0, "1 resource, no problems\n", ""},
		{remote("docs", "https://a.example.com") + others, nil, 0, "1 resource, no problems\n", "1 object of other API groups left out: Deployment of apps/v1"},
		{others, nil, 2, "", "-: holds no resource of sallyport.dev"},
		{two, nil, 0, "2 resources, no problems\n", "one gateway cannot serve them all together"},
		{two, []string{"--namespace", "team"}, 0, "1 resource, no problems\n", ""},
		{two, []string{"--namespace", "nobody"}, 2, "", "there are: default, team"},
		{two + remote("docs", "https://c.example.com"), nil, 2, "", "metadata.name: is the name of another MCPRemoteProxy"},
	} {
		code, stdout, stderr := run(tt.text, tt.args...)
		if code != tt.code || stdout != tt.stdout || !strings.Contains(stderr, tt.stderr) || tt.stderr == "" && stderr != "" {
			t.Errorf("%q: exit code %d, %q, %q; want %d, %q, %q", tt.text, code, stdout, stderr, tt.code, tt.stdout, tt.stderr)
		}
	}
}
