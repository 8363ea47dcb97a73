//go:build unix

package audit

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Opening a pipe would wait for somebody at its other end.
func TestPipeIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openChained(path, FileOptions{}, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "no regular file") {
		t.Errorf("got %v", err)
	}
}

// fullDisk, in the environment, makes TestFullDisk the process whose disk is full.
const fullDisk = "AUDIT_TEST_FULL_DISK"

// A full disk tears no line and loses none. The limit on the size of files holds for
// the whole process, so it is one of its own.
//
// REQ B-22
func TestFullDisk(t *testing.T) {
	path := os.Getenv(fullDisk)
	if path == "" {
		path = filepath.Join(t.TempDir(), "audit.log")
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFullDisk$", "-test.v")
		cmd.Env = append(os.Environ(), fullDisk+"="+path)
		if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("PASS")) {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	limit := func(n uint64) {
		var l syscall.Rlimit
		if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &l); err != nil {
			t.Fatal(err)
		}
		l.Cur = min(n, l.Max)
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &l); err != nil {
			t.Fatal(err)
		}
	}
	f, _ := chained(t, path, FileOptions{})
	put(t, f, "1", "2", "3")
	size := f.current.size
	for _, more := range []uint64{0, 1, 200, 500} {
		limit(uint64(size) + more)
		text := linesOf("4", "5", "6")
		if n, err := f.Write(text); n != 0 || !errors.Is(err, syscall.EFBIG) {
			t.Fatalf("%d bytes written: %v", n, err)
		}
		if n := len(read(t, path)); n != int(size) {
			t.Errorf("%d bytes of a failed write are left", n-int(size))
		}
	}
	limit(1 << 40)
	put(t, f, "4", "5", "6")
	closeFile(t, f)
	if got := ids(t, nil, path); got != "1 2 3 4 5 6" {
		t.Errorf("events %s", got)
	}
}
