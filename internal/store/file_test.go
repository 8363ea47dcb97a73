package store_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/store"
)

func openFile(t *testing.T, path string) *store.File {
	t.Helper()
	f, err := store.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func TestFile(t *testing.T) {
	t.Parallel()
	testStore(t, func(t *testing.T) store.Store { return openFile(t, filepath.Join(t.TempDir(), "new", "s.db")) })
}

func TestFileKeepsWhatItHas(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s.db")
	f := openFile(t, path)
	if err := f.Put(t.Context(), "kept", []byte("1"), time.Hour); err != nil {
		t.Fatal(err)
	}
	if _, err := store.OpenFile(path); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("opened twice: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	want(t, openFile(t, path), "kept", "1")
}

func TestFileIsItsOwnersAlone(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new")
	path := filepath.Join(dir, "s.db")
	f := openFile(t, path)
	for _, name := range []string{dir, path} {
		info, err := os.Stat(name)
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	_ = f.Close()
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := store.OpenFile(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a file that others can read: %v", err)
	}
	other := filepath.Join(dir, "folder")
	if err := os.Mkdir(other, 0o755); err != nil {
		t.Fatal(err)
	}
	openFile(t, other)
	if info, err := os.Stat(filepath.Join(other, "sallyport.db")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("in a folder: %v, %v", info, err)
	}
	bad := filepath.Join(dir, "bad.db")
	if err := os.WriteFile(bad, []byte(strings.Repeat("not a store ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.OpenFile(bad); err == nil || !strings.Contains(err.Error(), bad) {
		t.Errorf("another file: %v", err)
	}
}

func TestFileForgetsWhatExpired(t *testing.T) {
	t.Parallel()
	f := openFile(t, filepath.Join(t.TempDir(), "s.db"))
	for i := range 27 {
		if err := f.Put(t.Context(), fmt.Sprint("long", i), []byte("v"), time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.FillExpiring(2500, time.Minute); err != nil { // more than one transaction's worth
		t.Fatal(err)
	}
	for _, ttl := range []time.Duration{2 * time.Hour, 0} { // written anew, an old expiry does not count
		if err := f.Put(t.Context(), "expiring/7", []byte("kept"), ttl); err != nil {
			t.Fatal(err)
		}
	}
	for f.PurgeSome(time.Now().Add(30*time.Minute)) > 0 {
		continue
	}
	values, expiries := f.Entries()
	if values != expiries+1 || values != 28 {
		t.Errorf("%d values and %d expiries are left, want 28 and one less", values, expiries)
	}
	want(t, f, "expiring/7", "kept")
}

// A process that is killed while it writes leaves a file with everything that it was
// told was written.
func TestFileAfterKill(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s.db")
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestWriterProcess$")
	cmd.Env = append(os.Environ(), "STORE_WRITER="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var n int
	for n < 50 {
		if _, err := fmt.Fscanf(out, "wrote %d\n", &n); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	f := openFile(t, path)
	for i := 1; i <= n; i++ {
		want(t, f, fmt.Sprint("k", i), "v")
	}
}

func TestWriterProcess(t *testing.T) {
	path := os.Getenv("STORE_WRITER")
	if path == "" {
		return // not called by TestFileAfterKill
	}
	f := openFile(t, path)
	for i := 1; ; i++ {
		if err := f.Put(t.Context(), fmt.Sprint("k", i), []byte("v"), time.Hour); err != nil {
			t.Fatal(err)
		}
		fmt.Printf("wrote %d\n", i)
	}
}

// BenchmarkFileOfManyPeople is the start with what 100,000 people who have signed in
// leave, three values each, and the memory that it takes.
func BenchmarkFileOfManyPeople(b *testing.B) {
	path := filepath.Join(b.TempDir(), "s.db")
	f, err := store.OpenFile(path)
	if err != nil {
		b.Fatal(err)
	}
	if err := f.Fill(300_000, 500); err != nil {
		b.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		f, err := store.OpenFile(path)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := f.Get(b.Context(), "fill/299999"); err != nil {
			b.Fatal(err)
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(m.HeapInuse)/(1<<20), "MB-heap")
		_ = f.Close()
	}
}

// A file that was damaged is an error that names it and says what to do, when it is opened or when it is read; never a
// panic, and never a store that is silently empty.
//
// FINDING R8
func TestDamagedFile(t *testing.T) {
	t.Parallel()
	filled := func(t *testing.T) (path string, size int64) {
		path = filepath.Join(t.TempDir(), "s.db")
		f := openFile(t, path)
		if err := f.Fill(2000, 200); err != nil {
			t.Fatal(err)
		}
		if err := f.Put(t.Context(), "kept", []byte("1"), time.Hour); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return path, info.Size()
	}
	refused := func(t *testing.T, how, path string) {
		t.Helper()
		f, err := store.OpenFile(path)
		if err == nil {
			_ = f.Close()
		}
		if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "move it away") {
			t.Errorf("%s: %v", how, err)
		}
	}
	for _, left := range []int64{100, 4096, 8192, 16384, 65536} {
		path, _ := filled(t)
		if err := os.Truncate(path, left); err != nil {
			t.Fatal(err)
		}
		refused(t, fmt.Sprintf("cut to %d bytes", left), path)
	}
	path, size := filled(t)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 8192; i < len(text); i++ { // all but the two pages about the file itself
		text[i] = byte(i*7 + i>>8)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, "other pages", path)

	// Damaged while it is open: operations fail, and the process lives.
	path, _ = filled(t)
	f := openFile(t, path)
	want(t, f, "kept", "1")
	file, err := os.OpenFile(path, os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteAt(text[8192:size], 8192); err != nil {
		t.Fatal(err)
	}
	_ = file.Close()
	if _, err := f.Get(t.Context(), "fill/77"); err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Errorf("read: %v", err)
	}
	for i := range 3 {
		if err := f.Put(t.Context(), fmt.Sprint("new", i), []byte("2"), time.Hour); err == nil || !strings.Contains(err.Error(), "is damaged") {
			t.Errorf("written: %v", err)
		}
	}
	_ = f.PurgeSome(time.Now().Add(24 * time.Hour))
}
