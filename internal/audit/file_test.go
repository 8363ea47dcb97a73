package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// REQ B-22
func TestFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.log")
	f, log := chained(t, path, FileOptions{})
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	put(t, f, "1", "2")
	closeFile(t, f)
	f, _ = chained(t, path, FileOptions{}) // a restart
	put(t, f, "3")
	head := f.head
	closeFile(t, f)
	if got := ids(t, nil, path); got != "1 2 3" {
		t.Errorf("events %s", got)
	}
	if n := len(filesAt(t, path)); n != 1 {
		t.Errorf("%d files, want 1", n)
	}
	report, err := Verify([]string{path}, VerifyOptions{Anchors: []Link{head}})
	if err != nil || report.Files[0].Head != head {
		t.Errorf("head %v, want %v: %v", report.Files[0].Head, head, err)
	}
	for _, line := range []string{`msg="audit file opened"`, `msg="audit file closed" file=` + path + " number=1 head="} {
		if !strings.Contains(log.String(), line) {
			t.Errorf("no %s in the log:\n%s", line, log)
		}
	}
}

// REQ B-22
func TestFileRotatesBySize(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.log")
	f, log := chained(t, path, FileOptions{MaxSize: 4000, MaxFiles: 3})
	var want []string
	for i := range 100 { // singly and in batches
		batch := []string{fmt.Sprint(i)}
		for len(batch) < i%40 {
			batch = append(batch, fmt.Sprintf("%d.%d", i, len(batch)))
		}
		put(t, f, batch...)
		want = append(want, batch...)
		f.retiring.Wait() // so that files are removed one at a time
	}
	closeFile(t, f)
	files := filesAt(t, path)
	if len(files) != 4 {
		t.Fatalf("files %q, want 3 rotated ones", files)
	}
	for _, name := range files {
		if n := len(read(t, name)); n > 4000 || n < 2000 && name != path {
			t.Errorf("%s has %d bytes", name, n)
		}
	}
	got := ids(t, nil, files...)
	if !strings.HasSuffix(strings.Join(want, " "), got) || strings.Count(got, " ") < 20 {
		t.Errorf("events %s", got)
	}
	report, err := Verify(files, VerifyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range report.Files[:3] {
		if line := fmt.Sprintf(`msg="audit file ended" file=%s number=%d head=%s`, f.Name, f.Number, f.Head); !strings.Contains(log.String(), line) {
			t.Errorf("no line %s in the log", line)
		}
	}
}

// An event that is larger than a file may be gets a file to itself.
func TestFileHoldsOneEventAtLeast(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.log")
	f, _ := chained(t, path, FileOptions{MaxSize: 1})
	put(t, f, "1", "2", "3")
	closeFile(t, f)
	if got, n := ids(t, nil, filesAt(t, path)...), len(filesAt(t, path)); got != "1 2 3" || n != 3 {
		t.Errorf("events %s in %d files", got, n)
	}
}

func TestFileRotatesByAge(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.log")
	synctest.Test(t, func(t *testing.T) {
		f, _ := chained(t, path, FileOptions{MaxAge: time.Hour})
		time.Sleep(2 * time.Hour)
		put(t, f, "1") // the file is old, but empty
		time.Sleep(30 * time.Minute)
		closeFile(t, f)
		f, _ = chained(t, path, FileOptions{MaxAge: time.Hour})
		put(t, f, "2")
		closeFile(t, f)
	})
	if got, n := ids(t, nil, filesAt(t, path)...), len(filesAt(t, path)); got != "1 2" || n != 2 {
		t.Errorf("events %s in %d files", got, n)
	}
}

// Others may move, remove, copy and empty the file, as logrotate does in its ways.
//
// REQ B-22
func TestFileIsMovedByOthers(t *testing.T) {
	t.Parallel()
	for name, move := range map[string]func(t *testing.T, path string){
		"moved":          func(t *testing.T, path string) { rename(t, path, path+".moved") },
		"moved and made": func(t *testing.T, path string) { rename(t, path, path+".moved"); write(t, path, "") },
		"copied and emptied": func(t *testing.T, path string) {
			write(t, path+".moved", read(t, path))
			if err := os.Truncate(path, 0); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "audit.log")
			f, _ := chained(t, path, FileOptions{MaxFiles: 1})
			put(t, f, "1", "2")
			move(t, path)
			put(t, f, "3")
			move2 := path + ".again"
			rename(t, path, move2)
			put(t, f, "4")
			closeFile(t, f)
			if got := ids(t, nil, path, path+".moved", move2); got != "1 2 3 4" {
				t.Errorf("events %s", got)
			}
			if n := len(filesAt(t, path)); n != 3 {
				t.Errorf("%d files, want 3: what others moved is not ours to remove", n)
			}
		})
	}
}

func rename(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// A removed file is lost; the chain says so.
func TestFileIsRemoved(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.log")
	f, _ := chained(t, path, FileOptions{MaxSize: 1400})
	put(t, f, "1", "2", "3", "4")
	f.retiring.Wait()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	put(t, f, "5")
	closeFile(t, f)
	_, err := Verify(filesAt(t, path), VerifyOptions{})
	if b, ok := errors.AsType[*Break](err); !ok || b.File != path || !strings.Contains(b.Reason, "missing") {
		t.Errorf("got %v", err)
	}
}

// What somebody cut off from the file that is being written is noticed, and what he
// left is kept as it is.
func TestFileIsCutByOthers(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.log")
	f, log := chained(t, path, FileOptions{})
	put(t, f, "1", "2", "3")
	text := read(t, path)
	cut := text[:strings.LastIndexByte(text[:len(text)-1], '\n')+1]
	if err := os.Truncate(path, int64(len(cut))); err != nil {
		t.Fatal(err)
	}
	put(t, f, "4")
	closeFile(t, f)
	if got := read(t, path+".000001"); got != cut {
		t.Errorf("the file is %s", got)
	}
	if !strings.Contains(log.String(), "level=ERROR msg=\"somebody cut the audit file") {
		t.Errorf("log %s", log)
	}
	_, err := Verify(filesAt(t, path), VerifyOptions{})
	if b, ok := errors.AsType[*Break](err); !ok || b.File != path || b.Line != 1 {
		t.Errorf("got %v", err)
	}
}

// A file of somebody else's, where ours belongs, is put aside and never added to.
func TestFileOfOthersInTheWay(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.log")
	f, _ := chained(t, path, FileOptions{})
	put(t, f, "1")
	rename(t, path, path+".moved")
	write(t, path, "somebody else's\n")
	write(t, path+".000001", "taken")
	put(t, f, "2")
	closeFile(t, f)
	if got := read(t, path+".000002"); got != "somebody else's\n" {
		t.Errorf("it is now %q", got)
	}
	if got := read(t, path+".000001"); got != "taken" {
		t.Errorf("a file was overwritten: %q", got)
	}
	if got := ids(t, nil, path, path+".moved"); got != "1 2" {
		t.Errorf("events %s", got)
	}
}

// A crash may leave any part of the last line, or of the header, and zeros behind it.
//
// REQ B-22
func TestTornLineIsCutOff(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "audit.log")
	f, _ := chained(t, path, FileOptions{})
	header := int(f.current.size)
	put(t, f, "1")
	first := int(f.current.size)
	put(t, f, "2")
	closeFile(t, f)
	text := read(t, path)
	for at := range len(text) {
		if at > 3 && at%7 != 0 && at != header && at != first { // each way of it is met often enough
			continue
		}
		for _, behind := range []string{"", "\x00", strings.Repeat("\x00", 300<<10)} {
			write(t, path, text[:at]+behind)
			f, log := chained(t, path, FileOptions{})
			put(t, f, "3")
			closeFile(t, f)
			want := "1 3"
			if at < header && behind == "" || at < first && at >= header || at == 0 {
				want = "3"
			}
			if at > 0 && at < header && behind != "" {
				want = "3"
			}
			if got := ids(t, nil, path); got != want {
				t.Fatalf("cut at %d, with %d zeros: events %s, want %s", at, len(behind), got, want)
			}
			torn := behind != "" || at != 0 && at != header && at != first
			if said := strings.Contains(log.String(), "torn"); said != torn {
				t.Errorf("cut at %d, with %d zeros: log %s", at, len(behind), log)
			}
		}
	}
}

// When the process ended between putting a file aside and beginning the next.
func TestFileGoesOnFromTheRotatedOne(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.log")
	f, _ := chained(t, path, FileOptions{MaxSize: 1400})
	put(t, f, "1", "2", "3", "4", "5")
	closeFile(t, f)
	rename(t, path, path+".000002")
	f, _ = chained(t, path, FileOptions{})
	put(t, f, "6")
	closeFile(t, f)
	if got := ids(t, nil, filesAt(t, path)...); got != "1 2 3 4 5 6" {
		t.Errorf("events %s", got)
	}
	// From one that is no chain there is no going on.
	rename(t, path, path+".000003")
	write(t, path+".000004", "nonsense")
	f, log := chained(t, path, FileOptions{})
	closeFile(t, f)
	if f.current.header.Number != 5 || f.current.header.Prev != (Link{}) || !strings.Contains(log.String(), "level=ERROR") {
		t.Errorf("header %+v; log %s", f.current.header, log)
	}
}

// A last line that was tampered with is evidence: it stays as it is.
func TestBrokenEndIsPutAside(t *testing.T) {
	t.Parallel()
	for _, what := range [][2]string{{"alice", "mallo"}, {`"chain":"`, `"chain":"0`}} {
		path := filepath.Join(t.TempDir(), "audit.log")
		f, _ := chained(t, path, FileOptions{})
		put(t, f, "1", "2")
		closeFile(t, f)
		text := read(t, path)
		at := strings.LastIndex(text, what[0])
		text = text[:at] + what[1] + text[at+len(what[0]):]
		write(t, path, text)
		f, log := chained(t, path, FileOptions{})
		put(t, f, "3")
		closeFile(t, f)
		if !strings.Contains(log.String(), "level=ERROR") || read(t, path+".000001") != text {
			t.Errorf("log %s", log)
		}
		_, err := Verify(filesAt(t, path), VerifyOptions{})
		if b, ok := errors.AsType[*Break](err); !ok || b.File != path+".000001" || b.Line != 3 {
			t.Errorf("got %v", err)
		}
		if got := ids(t, nil, path); got != "3" {
			t.Errorf("events %s", got)
		}
	}
}

// REQ B-22
func TestFileKeys(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.log")
	for i, keys := range [][][]byte{nil, {keyA}, {keyA}, {keyB, keyA}, {keyB}, nil} {
		f, _ := chained(t, path, FileOptions{Keys: keys})
		put(t, f, fmt.Sprint(i))
		closeFile(t, f)
	}
	files := filesAt(t, path)
	if len(files) != 4 {
		t.Fatalf("files %q, want one for each change", files)
	}
	// In the order of names: the current one, then those with numbers.
	if got := ids(t, [][]byte{keyA, keyB}, files[2:]...); got != "1 2 3 4" {
		t.Errorf("events %s", got)
	}
	if got := ids(t, nil, files[1]); got != "0" {
		t.Errorf("events %s", got)
	}
	if got := ids(t, nil, files[0]); got != "5" {
		t.Errorf("events %s", got)
	}
	if text := read(t, files[2]); strings.Contains(text, string(keyA)) {
		t.Error("the key is in the file")
	}
}

func TestFileRefusals(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		write(t, path, text)
		return path
	}
	used := filepath.Join(dir, "used")
	f, _ := chained(t, used, FileOptions{})
	defer f.close()
	for _, tc := range []struct {
		path string
		want error
		text string
	}{
		{file("text", "my diary\n"), ErrNotOurs, ""},
		{file("line", "my diary"), ErrNotOurs, ""},
		{file("long", strings.Repeat("x", 1<<20)), ErrNotOurs, ""},
		{file("stdout", string(linesOf("1"))), ErrNotOurs, ""},
		{used, ErrInUse, ""},
		{dir, nil, "no regular file"},
		{filepath.Join(dir, "no", "folder"), os.ErrNotExist, ""},
	} {
		before, _ := os.ReadFile(tc.path)
		_, err := openChained(tc.path, FileOptions{}, slog.New(slog.DiscardHandler))
		if err == nil || tc.want != nil && !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.text) || !strings.Contains(err.Error(), tc.path) {
			t.Errorf("%s: %v", tc.path, err)
		}
		if after, _ := os.ReadFile(tc.path); !bytes.Equal(before, after) {
			t.Errorf("%s was changed", tc.path)
		}
	}
	if _, err := NewFile(filepath.Join(dir, "new"), FileOptions{Keys: [][]byte{keyA[:16]}}, WriterOptions{}); err == nil {
		t.Error("a short key was taken")
	}
}

// Through a link the file is rotated, not the link.
func TestFileBehindALink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, link := filepath.Join(dir, "real", "audit.log"), filepath.Join(dir, "link")
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, path, "")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	f, _ := chained(t, link, FileOptions{MaxSize: 1400})
	put(t, f, "1", "2", "3", "4")
	closeFile(t, f)
	if got := ids(t, nil, filesAt(t, path)...); got != "1 2 3 4" || len(filesAt(t, path)) != 2 || len(filesAt(t, link)) != 1 {
		t.Errorf("events %s in %q and %q", got, filesAt(t, path), filesAt(t, link))
	}
}

// A file that cannot be rotated goes on, and is rotated later.
func TestRotationFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "audit.log")
		f, log := chained(t, path, FileOptions{MaxSize: 1400})
		put(t, f, "1", "2", "3")
		long := strings.Repeat("x", 250) // a name that cannot have a number behind it
		kept := f.path
		rename(t, path, filepath.Join(filepath.Dir(path), long))
		f.path = filepath.Join(filepath.Dir(path), long)
		put(t, f, "4")
		put(t, f, "5")
		if n := strings.Count(log.String(), "not rotated"); n != 1 {
			t.Errorf("the log says so %d times: %s", n, log)
		}
		rename(t, f.path, kept)
		f.path = kept
		time.Sleep(2 * time.Minute)
		put(t, f, "6")
		closeFile(t, f)
		if got := ids(t, nil, filesAt(t, path)...); got != "1 2 3 4 5 6" || len(filesAt(t, path)) != 2 {
			t.Errorf("events %s in %q", got, filesAt(t, path))
		}
	})
}

// The whole sink, with callers all over, rotating and moved all the while.
//
// REQ B-22
func TestNewFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.log")
	var mu sync.Mutex
	written := 0
	w, err := NewFile(path, FileOptions{MaxSize: 20 << 10, Keys: [][]byte{keyA}}, WriterOptions{Flushed: func(n, lost int) {
		mu.Lock()
		defer mu.Unlock()
		written += n - 1000*lost
	}})
	if err != nil {
		t.Fatal(err)
	}
	const callers, each = 8, 500
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := range each {
				w.Record(&Event{Time: time.Now(), ID: fmt.Sprintf("%d-%d", c, i), Server: "docs", Method: "ping", Outcome: Success, Status: 200})
				if c == 0 && i%100 == 50 {
					_ = os.Rename(path, fmt.Sprintf("%s.moved%d", path, i)) // it may be away just now
				}
			}
		})
	}
	wg.Wait()
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	all := strings.Fields(ids(t, [][]byte{keyA}, filesAt(t, path)...))
	seen := map[string]bool{}
	for _, id := range all {
		seen[id] = true
	}
	if len(all) != callers*each || len(seen) != len(all) || written != len(all) {
		t.Errorf("%d events, %d different, %d told of; want %d", len(all), len(seen), written, callers*each)
	}
	again, err := NewFile(path, FileOptions{}, WriterOptions{})
	if err != nil {
		t.Fatalf("the file is not free after Close: %v", err)
	}
	if err := again.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestNewFileCloseReportsTheDisk(t *testing.T) {
	t.Parallel()
	f, _ := chained(t, filepath.Join(t.TempDir(), "audit.log"), FileOptions{})
	f.current.file.Close()
	form := lines()
	form.end = f.close
	if err := newWriter(f, WriterOptions{}, form).Close(context.Background()); !errors.Is(err, os.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func BenchmarkFile(b *testing.B) {
	for name, keys := range map[string][][]byte{"hash": nil, "hmac": {keyA}} {
		b.Run(name, func(b *testing.B) {
			f, err := openChained(filepath.Join(b.TempDir(), "audit.log"), FileOptions{Keys: keys, MaxSize: 100 << 20, MaxFiles: 1}, slog.New(slog.DiscardHandler))
			if err != nil {
				b.Fatal(err)
			}
			e := &Event{
				Time: time.Now(), ID: "0123456789abcdef0123456789", Server: "docs", HTTPMethod: "POST", Method: "tools/call", Target: "search",
				Subject: "alice@example.com", Source: "jwt", Outcome: Success, Status: 200, Duration: 12 * time.Millisecond, Client: "127.0.0.1", Revision: "2026-07-28",
			}
			var batch []byte
			for range 150 {
				batch = appendLine(batch, e)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i%150 == 0 {
					if _, err := f.Write(batch); err != nil {
						b.Fatal(err)
					}
				}
			}
			if err := f.close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}
