package audit

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	keyA = bytes.Repeat([]byte{0xa}, 32)
	keyB = bytes.Repeat([]byte{0xb}, 32)
)

// linesOf is the text of events, as a Writer hands it on.
func linesOf(ids ...string) []byte {
	var b []byte
	for _, id := range ids {
		b = appendLine(b, &Event{Time: at("2026-09-01T10:00:00Z"), ID: id, Server: "docs", Method: "tools/call", Target: "search", Subject: "alice", Outcome: Success, Status: 200})
	}
	return b
}

// chained opens a file that belongs to a test, and its log.
func chained(t *testing.T, path string, opts FileOptions) (*chainedFile, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	f, err := openChained(path, opts, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return f, &log
}

func put(t *testing.T, f *chainedFile, ids ...string) {
	t.Helper()
	text := linesOf(ids...)
	if n, err := f.Write(text); n != len(text) || err != nil {
		t.Fatalf("wrote %d of %d bytes: %v", n, len(text), err)
	}
}

func closeFile(t *testing.T, f *chainedFile) {
	t.Helper()
	if err := f.close(); err != nil {
		t.Fatal(err)
	}
}

// filesAt are all files of a chain that is written at path.
func filesAt(t *testing.T, path string) []string {
	t.Helper()
	names, err := filepath.Glob(path + "*")
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// ids are the events in files that verify, in order.
func ids(t *testing.T, keys [][]byte, files ...string) string {
	t.Helper()
	report, err := Verify(files, VerifyOptions{Keys: keys})
	if err != nil {
		t.Fatalf("verify: %v", err)
	}
	var all []string
	for _, f := range report.Files {
		for line := range strings.Lines(read(t, f.Name)) {
			if l, err := ParseLine([]byte(strings.TrimSuffix(line, "\n"))); err == nil {
				all = append(all, l.ID)
			} else if !errors.Is(err, ErrHeader) {
				t.Errorf("%s: %v: %s", f.Name, err, line)
			}
		}
	}
	if len(all) != report.Events {
		t.Errorf("verify counts %d events of %d", report.Events, len(all))
	}
	return strings.Join(all, " ")
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// The chain is what the documentation says, computed in another way.
func TestChainIsAsDocumented(t *testing.T) {
	t.Parallel()
	for _, keys := range [][][]byte{nil, {keyA}} {
		path := filepath.Join(t.TempDir(), "audit.log")
		f, _ := chained(t, path, FileOptions{Keys: keys})
		put(t, f, "1", "2")
		put(t, f, "3")
		closeFile(t, f)
		link := make([]byte, 32)
		for line := range strings.Lines(read(t, path)) {
			content, rest, ok := strings.Cut(line, `,"chain":"`)
			h := sha256.New()
			if keys != nil {
				h = hmac.New(sha256.New, keyA)
			}
			h.Write(link)
			h.Write([]byte(content))
			link = h.Sum(nil)
			if want := hex.EncodeToString(link) + "\"}\n"; !ok || rest != want {
				t.Fatalf("%s: chain %s, want %s", content, rest, want)
			}
		}
		plain := string(linesOf("1", "2", "3"))
		_, events, _ := strings.Cut(read(t, path), "\n")
		var got strings.Builder
		for line := range strings.Lines(events) {
			content, _, _ := strings.Cut(line, `,"chain":"`)
			got.WriteString(content + "}\n")
		}
		if diff := cmp.Diff(plain, got.String()); diff != "" {
			t.Errorf("events in the file (-plain +file):\n%s", diff)
		}
	}
}

func TestParseLink(t *testing.T) {
	t.Parallel()
	good := strings.Repeat("0f", 32)
	if l, err := ParseLink(good); err != nil || l.String() != good {
		t.Errorf("%v, %v", l, err)
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "head", Link{})
	if want := `"head":"` + strings.Repeat("0", 64) + `"`; !strings.Contains(log.String(), want) {
		t.Errorf("logged as %s, want %s", &log, want)
	}
	for _, bad := range []string{"", "00", good + "0", good + "00", strings.ToUpper(good), good[:63] + "g", good[:63] + " "} {
		if _, err := ParseLink(bad); err == nil {
			t.Errorf("%q is a link", bad)
		}
	}
}

// three makes a chain of three files with events 1 to 9, and returns their names in
// order and their texts.
func three(t *testing.T, keys [][]byte) (names, texts []string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "audit.log")
	f, _ := chained(t, path, FileOptions{Keys: keys, MaxSize: 1400})
	for i := range 9 {
		put(t, f, fmt.Sprint(i+1))
	}
	closeFile(t, f)
	names = []string{path + ".000001", path + ".000002", path}
	if got := filesAt(t, path); len(got) != 3 {
		t.Fatalf("files %q, want 3", got)
	}
	for _, n := range names {
		texts = append(texts, read(t, n))
	}
	return names, texts
}

// REQ B-22
func TestVerify(t *testing.T) {
	t.Parallel()
	for _, keys := range [][][]byte{nil, {keyA}} {
		names, texts := three(t, keys)
		if got := ids(t, keys, names[2], names[0], names[1]); got != "1 2 3 4 5 6 7 8 9" {
			t.Errorf("events %s", got)
		}
		if got := ids(t, keys, names[1:]...); got != "4 5 6 7 8 9" { // the oldest was removed
			t.Errorf("events %s", got)
		}
		// Put together they are one.
		all := filepath.Join(t.TempDir(), "all")
		write(t, all, strings.Join(texts, ""))
		if got := ids(t, keys, all); got != "1 2 3 4 5 6 7 8 9" {
			t.Errorf("events %s", got)
		}
		report, err := Verify(names, VerifyOptions{Keys: keys})
		if err != nil {
			t.Fatal(err)
		}
		for i, f := range report.Files {
			if f.Name != names[i] || f.Number != i+1 || f.Events != 3 || f.Lines != 4 || f.Keyed != (keys != nil) || f.Torn || f.Begun.IsZero() {
				t.Errorf("report %+v", f)
			}
		}
		// Any line's link is an anchor, and so is the one before the first file.
		anchors := []Link{report.Files[0].Head, report.Files[2].Head}
		for _, files := range [][]string{names, names[1:]} {
			if _, err := Verify(files, VerifyOptions{Keys: keys, Anchors: anchors}); err != nil {
				t.Error(err)
			}
		}
	}
}

// tampering is done to the lines of three files; every one of them has a break.
//
// REQ B-22
func TestVerifyFindsTampering(t *testing.T) {
	t.Parallel()
	swap := func(l []string, a, b int) []string { l[a], l[b] = l[b], l[a]; return l }
	remove := func(l []string, at int) []string { return append(l[:at:at], l[at+1:]...) }
	insert := func(l []string, at int, line string) []string {
		return append(append(l[:at:at], line), l[at:]...)
	}
	for _, keys := range [][][]byte{nil, {keyA}} {
		names, texts := three(t, keys)
		for _, tc := range []struct {
			name   string
			tamper func(file int, lines []string) []string
			want   string // file:line, files as a, b, c
			reason string
		}{
			{"changed", func(i int, l []string) []string {
				if i == 1 {
					l[2] = strings.Replace(l[2], "alice", "mallo", 1)
				}
				return l
			}, "b:3", "changed"},
			{"changed outcome in the last line", func(i int, l []string) []string {
				if i == 2 {
					l[3] = strings.Replace(l[3], "success", "denied!", 1)
				}
				return l
			}, "c:4", "changed"},
			{"changed link", func(i int, l []string) []string {
				if i == 2 {
					l[3] = strings.Replace(l[3], `"chain":"`, `"chain":"0`, 1)
				}
				return l
			}, "c:4", "no link"},
			{"link in capitals", func(i int, l []string) []string {
				if i == 0 {
					content, link, _ := strings.Cut(l[1], `"chain":`)
					l[1] = content + `"chain":` + strings.ToUpper(link)
				}
				return l
			}, "a:2", "no link"},
			{"removed", func(i int, l []string) []string {
				if i == 1 {
					l = remove(l, 1)
				}
				return l
			}, "b:2", "changed"},
			{"removed at the end of a file", func(i int, l []string) []string {
				if i == 1 {
					l = remove(l, 3)
				}
				return l
			}, "c:1", "does not go on"},
			{"header removed", func(i int, l []string) []string {
				if i == 1 {
					l = remove(l, 0)
				}
				return l
			}, "b:1", "not the first line"},
			{"swapped", func(i int, l []string) []string {
				if i == 1 {
					l = swap(l, 2, 3)
				}
				return l
			}, "b:3", "changed"},
			{"repeated", func(i int, l []string) []string {
				if i == 1 {
					l = insert(l, 2, l[1])
				}
				return l
			}, "b:3", "changed"},
			{"inserted, without a link", func(i int, l []string) []string {
				if i == 1 {
					l = insert(l, 2, string(bytes.TrimSpace(linesOf("x"))))
				}
				return l
			}, "b:3", "no link"},
			{"a line of another file", func(i int, l []string) []string {
				if i == 1 {
					l = insert(l, 2, strings.Split(texts[2], "\n")[2])
				}
				return l
			}, "b:3", "changed"},
			{"another file's header in the middle", func(i int, l []string) []string {
				if i == 1 {
					l = insert(l, 2, strings.Split(texts[2], "\n")[0])
				}
				return l
			}, "b:3", "does not go on from the line before"},
			{"an empty line", func(i int, l []string) []string {
				if i == 0 {
					l = insert(l, 2, "")
				}
				return l
			}, "a:3", "no link"},
			{"a very long line", func(i int, l []string) []string {
				if i == 0 {
					l = insert(l, 2, strings.Repeat("x", 1<<20))
				}
				return l
			}, "a:3", "longer"},
			{"file emptied", func(i int, l []string) []string {
				if i == 1 {
					l = nil
				}
				return l
			}, "b:1", "not the first line"},
			{"a file's number", func(i int, l []string) []string {
				if i == 2 {
					l[0] = strings.Replace(l[0], `"file":3`, `"file":4`, 1)
				}
				return l
			}, "c:1", "changed"},
			{"algorithm", func(i int, l []string) []string {
				if i == 2 {
					l[0] = strings.NewReplacer(`"hmac-sha256"`, `"sha256"`, `"sha256"`, `"hmac-sha256"`).Replace(l[0])
				}
				return l
			}, "c:1", ""},
			{"torn, with another file behind it", func(i int, l []string) []string {
				if i == 1 {
					l = append(l, `{"schema"`)
				}
				return l
			}, "b:5", "torn"},
		} {
			dir := t.TempDir()
			var files []string
			for i, text := range texts {
				lines := tc.tamper(i, strings.Split(strings.TrimSuffix(text, "\n"), "\n"))
				text := strings.Join(lines, "\n")
				if len(lines) > 0 && !strings.HasSuffix(text, `"schema"`) {
					text += "\n"
				}
				files = append(files, filepath.Join(dir, string(rune('a'+i))))
				write(t, files[i], text)
			}
			_, err := Verify(files, VerifyOptions{Keys: keys})
			b, ok := errors.AsType[*Break](err)
			if !ok {
				t.Errorf("%s: %v, want a break at %s", tc.name, err, tc.want)
				continue
			}
			if got := fmt.Sprintf("%s:%d", filepath.Base(b.File), b.Line); got != tc.want || !strings.Contains(b.Reason, tc.reason) {
				t.Errorf("%s: break at %s (%s), want at %s", tc.name, got, b.Reason, tc.want)
			}
		}
		// A file is missing, or there twice.
		for _, tc := range []struct {
			files  []string
			want   string
			reason string
		}{
			{[]string{names[0], names[2]}, names[2], "missing"},
			{[]string{names[0], names[1], names[1], names[2]}, names[1], "a copy"},
		} {
			_, err := Verify(tc.files, VerifyOptions{Keys: keys})
			if b, ok := errors.AsType[*Break](err); !ok || b.File != tc.want || b.Line != 1 || !strings.Contains(b.Reason, tc.reason) {
				t.Errorf("%v: %v", tc.files, err)
			}
		}
	}
}

// What the chain alone cannot show, an anchor does.
func TestVerifyAnchors(t *testing.T) {
	t.Parallel()
	names, texts := three(t, nil)
	report, err := Verify(names, VerifyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	head := report.Files[2].Head
	lines := strings.SplitAfter(texts[2], "\n")
	write(t, names[2], strings.Join(lines[:3], "")) // the last event is cut off
	if _, err := Verify(names, VerifyOptions{}); err != nil {
		t.Errorf("a shorter chain is a chain; got %v", err)
	}
	_, err = Verify(names, VerifyOptions{Anchors: []Link{report.Files[0].Head, head}})
	if b, ok := errors.AsType[*Break](err); !ok || b.File != names[2] || b.Line != 3 || !strings.Contains(b.Reason, head.String()) {
		t.Errorf("got %v", err)
	}
	// The chain made anew, from the first line on.
	path := filepath.Join(t.TempDir(), "audit.log")
	f, _ := chained(t, path, FileOptions{})
	put(t, f, "1", "2", "forged")
	closeFile(t, f)
	if _, err := Verify([]string{path}, VerifyOptions{Anchors: []Link{head}}); err == nil {
		t.Error("a chain that was made anew passes for the old one")
	}
}

// REQ B-22
func TestVerifyKeys(t *testing.T) {
	t.Parallel()
	keyed, _ := three(t, [][]byte{keyA})
	plain, _ := three(t, nil)
	for _, tc := range []struct {
		name  string
		files []string
		keys  [][]byte
		want  string
	}{
		{"the key", keyed, [][]byte{keyA}, ""},
		{"one of several", keyed, [][]byte{keyB, keyA}, ""},
		{"another", keyed, [][]byte{keyB}, "not among those given"},
		{"none given", keyed, nil, "which was not given"},
		{"none needed", plain, [][]byte{keyA}, "not sealed with a key, though one was given"}, // what a forger without it can do
		{"a short one", keyed, [][]byte{keyA[:31]}, "31 bytes"},
	} {
		_, err := Verify(tc.files, VerifyOptions{Keys: tc.keys})
		if got := fmt.Sprint(err); tc.want == "" && err != nil || !strings.Contains(got, tc.want) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
	}
	if _, err := Verify(nil, VerifyOptions{}); err == nil {
		t.Error("no files are fine")
	}
	if _, err := Verify([]string{filepath.Join(t.TempDir(), "missing")}, VerifyOptions{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

// FuzzVerify changes a sound chain anywhere: whatever it does must show, save for a
// cut at the end, and nothing may make it panic.
func FuzzVerify(f *testing.F) {
	dir := f.TempDir()
	path := filepath.Join(dir, "audit.log")
	file, err := openChained(path, FileOptions{}, slog.New(slog.DiscardHandler))
	if err != nil {
		f.Fatal(err)
	}
	text := append(linesOf("1", "2"), appendLost(nil, time.Unix(0, 0), 17)...)
	if _, err := file.Write(append(text, linesOf("3")...)); err != nil {
		f.Fatal(err)
	}
	if err := file.close(); err != nil {
		f.Fatal(err)
	}
	sound, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(0, 0, []byte{})
	f.Add(10, 1, []byte("x"))
	f.Add(len(sound)-1, 1, []byte(" "))
	f.Add(300, 0, []byte("\n"))
	f.Add(244, len(sound), []byte(" ")) // a header without its end
	f.Add(0, len(sound), []byte("{}\n"))
	f.Add(0, len(sound), []byte(`{"schema":"sallyport.audit/v1","time":"2026-09-01T10:00:00.000Z","file":1,"prev":"","algorithm":"sha256"}`+"\n"))
	f.Fuzz(func(t *testing.T, at, cut int, with []byte) {
		at = min(max(at, 0), len(sound))
		cut = min(max(cut, 0), len(sound)-at)
		changed := bytes.Join([][]byte{sound[:at], with, sound[at+cut:]}, nil)
		name := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(name, changed, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Verify([]string{name}, VerifyOptions{})
		whole := changed[:bytes.LastIndexByte(changed, '\n')+1]
		if unseen := len(whole) > 0 && bytes.HasPrefix(sound, whole); (err == nil) != unseen {
			t.Errorf("verify: %v, though the whole lines being the first of what was written is %t", err, unseen)
		}
	})
}
