package lines

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

const tooLong = "(too long)"

func readLines(t *testing.T, r io.Reader, maxLine int) []string {
	t.Helper()
	return allLines(t, NewReader(r, maxLine))
}

func allLines(t *testing.T, r *Reader) []string {
	t.Helper()
	var got []string
	for {
		line, err := r.Next()
		_, long := errors.AsType[*TooLong](err)
		switch {
		case long:
			got = append(got, tooLong)
		case err == nil:
			got = append(got, string(line))
		case errors.Is(err, io.EOF):
			return got
		default:
			t.Fatal(err)
		}
	}
}

func TestLineReader(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"":                   nil,
		"a\nb\n":             {"a", "b"},
		"a\r\nb":             {"a", "b"},
		"\n\r\na\n":          {"", "", "a"},
		"a\rb\n":             {"a\rb"},
		"12345678\n":         {"12345678"},
		"12345678\r\nx\n":    {"12345678", "x"},
		"123456789\nx\n":     {tooLong, "x"},
		"123456789\r\n\nx\n": {tooLong, "", "x"},
		"x\n123456789":       {"x", tooLong},
	} {
		if d := cmp.Diff(want, readLines(t, strings.NewReader(text), 8)); d != "" {
			t.Errorf("%q (-want +got):\n%s", text, d)
		}
	}
	long := strings.Repeat("x", 100<<10)
	if d := cmp.Diff([]string{long, "y"}, readLines(t, strings.NewReader(long+"\ny\n"), 100<<10)); d != "" {
		t.Errorf("a line longer than the buffer (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{tooLong, "y"}, readLines(t, strings.NewReader(long+"\ny\n"), 100<<10-1)); d != "" {
		t.Errorf("one byte too long (-want +got):\n%s", d)
	}
}

func TestLineReaderBroken(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for _, text := range []string{"", "half a line", strings.Repeat("too long", 100)} {
		r := NewReader(io.MultiReader(strings.NewReader(text), iotest.ErrReader(broken)), 100)
		if line, err := r.Next(); !errors.Is(err, broken) {
			t.Errorf("%q and an error: %q, %v", text, line, err)
		}
	}
}

// A line without end takes no memory.
func TestLineReaderMemory(t *testing.T) {
	const limit, total = 64 << 10, 64 << 20
	r := NewReader(io.MultiReader(io.LimitReader(endless{}, total), strings.NewReader("\nx\n")), limit)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := r.Next(); err == nil {
		t.Error("no error")
	}
	runtime.ReadMemStats(&after)
	if line, err := r.Next(); string(line) != "x" {
		t.Errorf("next line is %q, %v", line, err)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > total/10 { // other tests may run beside
		t.Errorf("%d bytes were allocated", n)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func FuzzLineReader(f *testing.F) {
	f.Add([]byte("a\nb\r\n\n"), uint8(8), true)
	f.Add([]byte(strings.Repeat("x", 40)+"\ny"), uint8(8), false)
	f.Add([]byte(strings.Repeat("x\r", 40)+"\ny"), uint8(30), false)
	f.Add([]byte(strings.Repeat("x", 15)+"\r\ny"), uint8(15), false) // the buffer ends between CR and LF
	f.Fuzz(func(t *testing.T, text []byte, limit uint8, slowly bool) {
		maxLine := int(limit)
		var want []string
		for line := range bytes.Lines(text) {
			line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
			if len(line) > maxLine {
				want = append(want, tooLong)
			} else {
				want = append(want, string(line))
			}
		}
		var r io.Reader = bytes.NewReader(text)
		if slowly {
			r = iotest.OneByteReader(r)
		}
		const small = 16 // so that lines are longer than the buffer
		if d := cmp.Diff(want, allLines(t, &Reader{r: bufio.NewReaderSize(r, small), max: maxLine})); d != "" {
			t.Errorf("-want +got:\n%s", d)
		}
	})
}
