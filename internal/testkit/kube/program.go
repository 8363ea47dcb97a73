package kube

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// folder is where the programs are.
func folder() (string, error) {
	dir := os.Getenv("SALLYPORT_TEST_KUBE")
	if dir == "" {
		return "", errors.New("SALLYPORT_TEST_KUBE names no folder with etcd, kube-apiserver, kube-controller-manager, kubectl and helm: " +
			"run make test-cluster, or first: source hack/tools.sh; export SALLYPORT_TEST_KUBE=$(kube)")
	}
	return dir, nil
}

// Program is the path of one that is run by its command line, such as kubectl.
func Program(t testing.TB, name string) (path string) {
	t.Helper()
	dir, err := folder()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

// Helm runs Helm, and returns what it printed. It knows of no other charts, repositories and plug-ins than those that
// are named to it.
func Helm(t testing.TB, args ...string) (stdout string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, Program(t, "helm"), args...)
	own := t.TempDir()
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+own, "HELM_CONFIG_HOME="+own, "HELM_DATA_HOME="+own)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("helm %s: %w\n%s", strings.Join(args, " "), err, complaints.String())
	}
	return out.String(), nil
}

// program is one that runs until it is stopped.
type program struct {
	name  string
	out   testkit.Output
	cmd   *exec.Cmd
	ended chan struct{}
}

// run starts a program, which ends with the control plane.
func (p *Plane) run(path string, args ...string) error {
	r := &program{name: filepath.Base(path), cmd: exec.Command(path, args...), ended: make(chan struct{})}
	r.cmd.Dir, r.cmd.Stdout, r.cmd.Stderr = p.dir, &r.out, &r.out
	if err := r.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", r.name, err)
	}
	p.programs = append(p.programs, r)
	go func() {
		_ = r.cmd.Wait() // a signal ends it
		close(r.ended)
	}()
	return nil
}

func (r *program) hasEnded() bool {
	select {
	case <-r.ended:
		return true
	default:
		return false
	}
}

// stop asks it to end, and makes it when it takes its time: nothing of it is needed any more.
func (r *program) stop() {
	_ = r.cmd.Process.Signal(syscall.SIGTERM)
	timer := time.AfterFunc(5*time.Second, func() { _ = r.cmd.Process.Kill() })
	defer timer.Stop()
	<-r.ended
}
