package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// REQ B-22
func TestParseLine(t *testing.T) {
	t.Parallel()
	ev := Event{
		Time: at("2026-09-01T10:00:00.042Z"), ID: "a1", Server: "docs", HTTPMethod: "POST", Method: "tools/call",
		Target: "se\u202ear\x1b[2Jch", Subject: "ali\"ce", Source: "jwt", Revision: "2026-07-28", Outcome: Denied, Status: 403,
		Reason: "authorize", Duration: 12345000, Client: "::1",
	}
	want := Line{
		Time: "2026-09-01T10:00:00.042Z", ID: "a1", Server: "docs", Method: "tools/call",
		Target: ev.Target, Subject: ev.Subject, Source: "jwt", ProtocolVersion: "2026-07-28", Outcome: Denied, Status: 403,
		Reason: "authorize", DurationMS: 12.345, Client: "::1",
	}
	for _, link := range []bool{false, true} {
		line := bytes.TrimSpace(appendLine(nil, &ev))
		if link {
			c, _ := newChain(nil)
			line = bytes.TrimSpace(c.appendSealed(nil, &Link{}, line))
		}
		got, err := ParseLine(line)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%v\n%s", err, diff)
		}
	}
	if got, err := ParseLine(bytes.TrimSpace(appendLost(nil, ev.Time, 17))); err != nil || got.Lost != 17 || got.Time != want.Time {
		t.Errorf("%+v, %v", got, err)
	}
	h := header{Time: ev.Time, Number: 1, Algorithm: algorithmHash}
	if _, err := ParseLine(h.appendLine(nil)); !errors.Is(err, ErrHeader) {
		t.Errorf("header: %v", err)
	}
	for _, bad := range []string{
		"", "{}", "null", `{"schema":"other/v1","time":"2026-09-01T10:00:00.042Z","id":"a"}`,
		`{"schema":"sallyport.audit/v1","time":"2026-09-01T10:00:00.042Z","id":"a"`,
		`{"schema":"sallyport.audit/v1","time":"2026-09-01T10:00:00.042Z","id":1}`,
		`{"schema":"sallyport.audit/v1","time":"2026-09-01T10:00:00.042Z","lost":"many"}`,
	} {
		if _, err := ParseLine([]byte(bad)); !errors.Is(err, ErrNotEvent) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestShown(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{"a":"ü 🚪 \u001b"}`:       `{"a":"ü 🚪 \u001b"}`,
		"a\x1b[2J\u009b\u202e\xff": `a\u001b[2J\u009b\u202e\ufffd`,
	} {
		if got := string(Shown([]byte(in))); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

// reading reads all there is now.
func reading(t *testing.T, r *Reader) string {
	t.Helper()
	var all []string
	for {
		line, err := r.Next()
		if err == io.EOF {
			return strings.Join(all, " ")
		}
		if err != nil {
			t.Fatal(err)
		}
		if l, err := ParseLine(line); err == nil {
			all = append(all, l.ID)
		} else if !errors.Is(err, ErrHeader) {
			all = append(all, "?")
		}
	}
}

// REQ B-22
func TestReaderFollows(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.log")
	f, _ := chained(t, path, FileOptions{MaxSize: 1400})
	put(t, f, "1", "2")
	r, err := OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	step := func(what, want string) {
		t.Helper()
		if got := reading(t, r); got != want {
			t.Errorf("%s: read %q, want %q", what, got, want)
		}
		if got := reading(t, r); got != "" {
			t.Errorf("%s: once more: %q", what, got)
		}
	}
	step("what is there", "1 2")
	put(t, f, "3")
	step("what was added", "3")
	put(t, f, "4", "5")
	step("after a rotation", "4 5")
	put(t, f, "6", "7")
	step("at the end of one and in the next", "6 7")
	rename(t, path, path+".moved")
	step("moved away", "")
	put(t, f, "8")
	step("the one after", "8")
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	step("emptied", "")
	put(t, f, "9")
	step("begun anew", "9")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	step("removed", "")
	closeFile(t, f)
	if _, err := OpenReader(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

// A line that is still being written is not read in parts, one that is too long not at all.
func TestReaderWaitsForWholeLines(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.log")
	text := string(linesOf("1"))
	write(t, path, text[:100])
	r, err := OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got := reading(t, r); got != "" {
		t.Errorf("half a line is %q", got)
	}
	write(t, path, text+strings.Repeat("x", 3*maxLine)+"\n"+string(linesOf("2"))+strings.Repeat("x", maxLine+1))
	if got := reading(t, r); got != "1 2" || r.TooLong() != 1 {
		t.Errorf("read %q, %d too long", got, r.TooLong())
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	fmt.Fprintf(file, "x\n%s", linesOf("3"))
	if got := reading(t, r); got != "3" || r.TooLong() != 2 {
		t.Errorf("read %q, %d too long", got, r.TooLong())
	}
}

// FuzzReader reads anything, in lines as strings.Lines has them, and shows nothing
// that a terminal would obey.
func FuzzReader(f *testing.F) {
	f.Add(linesOf("1", "2"))
	f.Add([]byte("\n\n\x00{\"schema\":\"sallyport.audit/v1\",\"time\":\"2026-09-01T10:00:00.042Z\",\"id\":\"\x1b\"}\n\xff"))
	f.Add([]byte(`{"schema":"sallyport.audit/v1","time":"2026-09-01T10:00:00.042Z","id":"a","duration_ms":1e999}` + "\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := OpenReader(path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		whole := string(text[:bytes.LastIndexByte(text, '\n')+1])
		for want := range strings.Lines(whole) {
			if len(want) > maxLine {
				return
			}
			line, err := r.Next()
			if err != nil || string(line)+"\n" != want {
				t.Fatalf("read %q, %v; want %q", line, err, want)
			}
			if l, err := ParseLine(line); err == nil && kindOf(line) == kindOther {
				t.Errorf("%q is %+v", line, l)
			}
			shown := Shown(line)
			if bytes.ContainsFunc(shown, moves) || !utf8.Valid(shown) {
				t.Errorf("shown as %q", shown)
			}
		}
		if line, err := r.Next(); err != io.EOF {
			t.Errorf("behind the last line: %q, %v", line, err)
		}
	})
}
