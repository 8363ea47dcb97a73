package testkit

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// Binary builds cmd/sallyport, once per test process, and returns its path.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var buildOnce = sync.OnceValues(func() (string, error) {
	path := filepath.Join(buildDir(), "sallyport")
	args := []string{"build", "-o", path}
	if raceDetector {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, "github.com/sallyport-dev/sallyport/cmd/sallyport")...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the gateway: %w\n%s", err, out)
	}
	return path, nil
})

// buildDir is this test process's own, so that tests of several packages can
// build at the same time.
func buildDir() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("sallyport-test-%d", os.Getpid()))
}

// Result is what a command that ended by itself left behind.
type Result struct {
	Code           int // exit code
	Stdout, Stderr string
}

// Run runs the gateway's binary with args until it ends, for commands such as
// check and version. It fails the test when that takes longer than a minute.
func Run(t testing.TB, args ...string) Result {
	t.Helper()
	return RunWith(t, Options{}, args...)
}

// RunWith is [Run] with options.
func RunWith(t testing.TB, o Options, args ...string) Result {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), Binary(t), args...)
	cmd.Dir, cmd.Env = o.Dir, append(append(os.Environ(), raceOptions), o.Env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	killer := time.AfterFunc(time.Minute, func() { _ = cmd.Cancel() })
	defer killer.Stop()
	err := cmd.Run()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() < 0 {
		t.Fatalf("run sallyport %q: %v\n%s", args, err, stderr.String())
	}
	return Result{Code: cmd.ProcessState.ExitCode(), Stdout: stdout.String(), Stderr: stderr.String()}
}
