package audit

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A file that was moved away while no gateway ran (logrotate, then a restart) is gone on from all the same.
//
// FINDING R7, REQ B-22
func TestFileMovedBetweenRuns(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		keys   [][]byte
		change func(path string) error
		anew   bool
	}{
		{"moved", nil, func(string) error { return nil }, false},
		{"moved, with a key", [][]byte{make([]byte, 32)}, func(string) error { return nil }, false},
		{"moved, and made anew", nil, func(path string) error { return os.WriteFile(path, nil, 0o600) }, false},
		{"moved, and the note removed", nil, func(path string) error { return os.Remove(notePath(path)) }, true},
		{"moved, and the note spoilt", nil, func(path string) error { return os.WriteFile(notePath(path), []byte("x"), 0o600) }, true},
		{"moved, and the note made a link", nil, func(path string) error {
			return errors.Join(os.Remove(notePath(path)), os.Symlink(path+".stolen", notePath(path)))
		}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "audit.jsonl")
				f, _ := chained(t, path, FileOptions{Keys: tt.keys})
				put(t, f, "1", "2")
				closeFile(t, f)
				if err := errors.Join(os.Rename(path, path+".1"), tt.change(path)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second) // the chain that begins later is later
				f, _ = chained(t, path, FileOptions{Keys: tt.keys})
				put(t, f, "3")
				number := f.current.header.Number
				closeFile(t, f)
				report, err := Verify([]string{path, path + ".1"}, VerifyOptions{Keys: tt.keys})
				switch {
				case tt.anew && (err == nil || !strings.Contains(err.Error(), path+":1: the chain begins anew here")):
					t.Errorf("verify: %v", err)
				case !tt.anew && (err != nil || report.Events != 3 || number != 2):
					t.Errorf("verify: %v, %d events; the file is number %d", err, report.Events, number)
				}
				if _, err := os.Lstat(path + ".stolen"); err == nil {
					t.Error("a file was made where a link led")
				}
			})
		})
	}
}

// FINDING S17: a file that others could change is no evidence.
func TestFileOfOthers(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	f, _ := chained(t, path, FileOptions{})
	put(t, f, "1")
	closeFile(t, f)
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := NewFile(path, FileOptions{}, WriterOptions{}); err == nil || !strings.Contains(err.Error(), "chmod 600 "+path) {
		t.Errorf("%v", err)
	}
}
