package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/testkit"
	"github.com/sallyport-dev/sallyport/internal/testkit/markdown"
)

// TestShellInDocs follows every page that has console blocks, word for word, on
// ports of its own.
func TestShellInDocs(t *testing.T) {
	t.Parallel()
	followed := 0
	for _, p := range pages(t) {
		var steps []markdown.Block
		for _, b := range p.Blocks {
			if len(b.Info) > 0 && b.Info[0] == "console" && !slices.Contains(b.Info, "cluster") {
				steps = append(steps, b)
			}
		}
		if len(steps) == 0 {
			continue
		}
		followed++
		t.Run(strings.TrimSuffix(p.Path, ".md"), func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			if strings.Contains(p.Text, "\n$ nginx ") {
				testkit.Command(t, "nginx", "nginx")
			}
			for _, b := range steps {
				s.follow(p, b)
			}
		})
	}
	if followed < 4 {
		t.Errorf("%d pages were followed, want at least 4", followed)
	}
}

// stage is where a page is followed: what it writes lies in a folder of its own,
// and the ports it names are others that are free.
type stage struct {
	t   *testing.T
	own *strings.Replacer // from what the page says to what is done
}

func newStage(t *testing.T) *stage {
	t.Helper()
	for _, tool := range []string{"sh", "go", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s", tool)
		}
	}
	dir := t.TempDir()
	pairs := []string{
		// The same builds, made already.
		"go build -o bin/sallyport ./cmd/sallyport", "true",
		"go build -o bin/example-server ./examples/server", "true",
		"go run ./examples/", dir + "/bin/example-",
		"bin/example-server", dir + "/bin/example-server",
		"bin/sallyport", dir + "/bin/sallyport",
		"-f examples/", "-f " + dir + "/examples/",
		">> examples/", ">> " + dir + "/examples/",
		"$PWD/examples/", dir + "/examples/",
		"/tmp/sallyport-nginx", dir + "/nginx",
		"audit.jsonl", dir + "/audit.jsonl",
		"my-project", dir + "/my-project",
	}
	for _, port := range []string{"8080", "8081", "8082", "8088", "9000", "9090"} {
		pairs = append(pairs, "127.0.0.1:"+port, testkit.FreeAddress(t))
	}
	s := &stage{t: t, own: strings.NewReplacer(pairs...)}
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, program := range map[string]string{
		"sallyport": testkit.Binary(t), "example-server": testkit.Example(t, "server"),
		"example-client": testkit.Example(t, "client"), "example-issuer": testkit.Example(t, "issuer"),
	} {
		if err := os.Symlink(program, filepath.Join(dir, "bin", name)); err != nil {
			t.Fatal(err)
		}
	}
	s.copyManifests(filepath.Join(dir, "examples"))
	return s
}

// copyManifests makes the examples anew, with the stage's ports and paths.
func (s *stage) copyManifests(to string) {
	files, err := filepath.Glob(filepath.Join(root, "examples", "*", "*.yaml"))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, file := range append(files, filepath.Join(root, "examples", "trusted-proxy", "nginx.conf")) {
		text, err := os.ReadFile(file)
		if err != nil {
			s.t.Fatal(err)
		}
		dir := filepath.Join(to, filepath.Base(filepath.Dir(file)))
		if err := os.MkdirAll(dir, 0o700); err != nil {
			s.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(file)), []byte(s.own.Replace(string(text))), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
}

// follow does what a block says.
func (s *stage) follow(p *markdown.Page, b markdown.Block) {
	s.t.Helper()
	for _, c := range b.Commands() {
		line := s.own.Replace(withAddresses(c.Line))
		want := s.own.Replace(c.Prints)
		var err error
		switch {
		case b.Is("console"):
			err = s.run(line, want)
		case b.Is("console", "eventually"):
			var last error
			s.t.Cleanup(func() {
				if s.t.Failed() && last != nil {
					s.t.Logf("%s:%d: $ %s: at last: %v", p.Path, b.Line, c.Line, last)
				}
			})
			testkit.Eventually(s.t, c.Line+" prints what the page says", func() bool {
				last = s.run(line, want)
				return last == nil
			})
		case b.Is("console", "background"):
			err = s.start(line, want)
		default:
			err = fmt.Errorf("no such kind of block: %v", b.Info)
		}
		if err != nil {
			s.t.Fatalf("%s:%d: $ %s: %v", p.Path, b.Line, c.Line, err)
		}
	}
}

// withAddresses spells out the addresses that are there by default, so that they
// can be replaced.
func withAddresses(line string) string {
	if strings.Contains(line, "-listen") {
		return line
	}
	return addresses.Replace(line)
}

var addresses = strings.NewReplacer(
	"sallyport serve", "sallyport serve --listen 127.0.0.1:8080 --admin-listen 127.0.0.1:9090",
	"sallyport demo", "sallyport demo --listen 127.0.0.1:8080 --admin-listen 127.0.0.1:9090",
	"run ./examples/server", "run ./examples/server -listen 127.0.0.1:8081",
)

func (s *stage) command(ctx context.Context, line string) (*exec.Cmd, *testkit.Output) {
	out := &testkit.Output{}
	cmd := exec.CommandContext(ctx, "sh", "-c", line)
	cmd.Dir = root
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the shell has children
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = time.Minute
	return cmd, out
}

func (s *stage) run(line, want string) error {
	ctx, cancel := context.WithTimeout(s.t.Context(), testkit.Patience)
	defer cancel()
	cmd, out := s.command(ctx, line)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	if !markdown.Printed(want, false).MatchString(out.String()) {
		return fmt.Errorf("printed:\n%s\nthe page says:\n%s", out, want)
	}
	return nil
}

// start leaves the command running until the test ends.
func (s *stage) start(line, want string) error {
	ctx, cancel := context.WithCancel(context.Background())
	cmd, out := s.command(ctx, line)
	if err := cmd.Start(); err != nil {
		cancel()
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	s.t.Cleanup(func() {
		cancel()
		<-ended
	})
	waiting, stop := context.WithTimeout(s.t.Context(), testkit.Patience)
	defer stop()
	go func() {
		select {
		case err := <-ended: // a server that ends will print no more
			ended <- err
			stop()
		case <-waiting.Done():
		}
	}()
	said := markdown.Printed(want, true) // a log may have other lines
	if err := out.Wait(waiting, said.MatchString); err != nil {
		return errors.Join(err, fmt.Errorf("printed:\n%s\nthe page says:\n%s", out, want))
	}
	return nil
}
