package ownfile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/ownfile"
)

// FINDING S17
func TestCreate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	if err := ownfile.Create(path, []byte("a")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	elsewhere, link := filepath.Join(dir, "elsewhere"), filepath.Join(dir, "link")
	if err := os.Symlink(elsewhere, link); err != nil {
		t.Skip(err)
	}
	for _, taken := range []string{path, link} {
		if err := ownfile.Create(taken, []byte("b")); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: %v", taken, err)
		}
	}
	if text, _ := os.ReadFile(path); string(text) != "a" {
		t.Errorf("it was written over: %s", text)
	}
	if names, _ := os.ReadDir(dir); len(names) != 2 {
		t.Errorf("%v are left", names)
	}
}

// FINDING S17
func TestCheck(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("modes are of Unix")
	}
	for _, tt := range []struct {
		mode                 fs.FileMode
		owner                int
		unchanged, isPrivate string
	}{
		{0o600, -1, "", ""},
		{0o400, -1, "", ""},
		{0o640, -1, "", "others can read"},
		{0o644, -1, "", "others can read"},
		{0o660, -1, "others can write", "others can write"},
		{0o666, -1, "others can write", "others can write"},
		{0o600, 12345, "belongs to another user (12345)", "belongs to another user (12345)"},
	} {
		path := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.Chmod(path, tt.mode), os.Chown(path, tt.owner, -1)); err != nil {
			if tt.owner > 0 && os.Geteuid() != 0 {
				continue // only root can give files away
			}
			t.Fatal(err)
		}
		for rule, want := range map[ownfile.Rule]string{ownfile.Unchanged: tt.unchanged, ownfile.Private: tt.isPrivate} {
			err := ownfile.Check(path, rule)
			if (err != nil) != (want != "") || err != nil && (!strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "run: ch")) {
				t.Errorf("%v of %d, rule %d: %v, want %q", tt.mode, tt.owner, rule, err, want)
			}
		}
	}
	if err := ownfile.Check(filepath.Join(t.TempDir(), "none"), ownfile.Private); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestTryLock(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "f")
	open := func() *os.File {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	a, b := open(), open()
	defer b.Close()
	if ok, err := ownfile.TryLock(a); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if ok, err := ownfile.TryLock(b); err != nil || ok && runtime.GOOS != "windows" {
		t.Error("two have the lock", ok, err)
	}
	a.Close()
	if ok, err := ownfile.TryLock(b); !ok || err != nil {
		t.Error(ok, err)
	}
}
