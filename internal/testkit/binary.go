package testkit

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// Binary builds cmd/sallyport, once per test process, and returns its path.
func Binary(t testing.TB) string {
	t.Helper()
	if err := buildGateway(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(buildDir(), "sallyport")
}

// Daemon is [Binary] for cmd/sallyportd, which is what images run.
func Daemon(t testing.TB) string {
	t.Helper()
	if err := buildDaemon(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(buildDir(), "sallyportd")
}

// Example builds the programs of examples, once per test process, and returns the path of one.
func Example(t testing.TB, name string) string {
	t.Helper()
	if err := buildExamples(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(buildDir(), name)
}

var (
	buildGateway  = sync.OnceValue(func() error { return build("cmd/sallyport") })
	buildDaemon   = sync.OnceValue(func() error { return build("cmd/sallyportd") })
	buildExamples = sync.OnceValue(func() error { return build("examples/...") })
)

// build builds programs of this module as the test was built, so that both use the same compiled packages.
func build(packages string) error {
	if err := lookAtSources(); err != nil {
		return err
	}
	args := []string{"build", "-o", buildDir() + "/"}
	if raceDetector {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, "github.com/sallyport-dev/sallyport/"+packages)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", packages, err, out)
	}
	return nil
}

// lookAtSources opens the folders of the module. go test keeps a result for as long as what the test has opened stays as
// it was, and does not see what programs are built from.
func lookAtSources() error {
	_, here, _, _ := runtime.Caller(0)
	root := filepath.Join(filepath.Dir(here), "../..")
	return filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() && path != root && strings.HasPrefix(d.Name(), ".") {
			return filepath.SkipDir
		}
		return err
	})
}

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
// check and version. It fails the test when that takes longer than [Patience].
func Run(t testing.TB, args ...string) Result {
	t.Helper()
	return RunWith(t, Options{}, args...)
}

// RunWith is [Run] with options.
func RunWith(t testing.TB, o Options, args ...string) Result {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), Binary(t), args...)
	cmd.Dir, cmd.Env = o.Dir, append(append(os.Environ(), raceOptions), o.Env...)
	cmd.Stdin = strings.NewReader(o.Stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	killer := time.AfterFunc(Patience, func() { _ = cmd.Cancel() })
	defer killer.Stop()
	err := cmd.Run()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() < 0 {
		t.Fatalf("run sallyport %q: %v\n%s", args, err, stderr.String())
	}
	return Result{Code: cmd.ProcessState.ExitCode(), Stdout: stdout.String(), Stderr: stderr.String()}
}
