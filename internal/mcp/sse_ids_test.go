package mcp_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

func changed(t *testing.T, r io.Reader) string {
	t.Helper()
	out, err := io.ReadAll(mcp.ChangeIDs(r, func(id string) string { return "<" + id + ">" }))
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestChangeIDs(t *testing.T) { // FINDING S19
	t.Parallel()
	big := "data: " + strings.Repeat("x", 100<<10) // comes in several pieces
	for stream, want := range map[string]string{
		"":                                     "",
		"id: 1\ndata: x\n\n":                   "id: <1>\ndata: x\n\n",
		"id:1\r\ndata: id: 2\r\n\r\nid: 3\r\n": "id: <1>\r\ndata: id: 2\r\n\r\nid: <3>\r\n",
		"data: x\rid: a b \r\r":                "data: x\rid: <a b >\r\r",
		"\ufeffid: 1\n\n\ufeffid: 2\n\n":       "\ufeffid: <1>\n\n\ufeffid: 2\n\n",
		"id\nid:\nid: \nid: a\x00b\n\n":        "id\nid:\nid: \nid: a\x00b\n\n",
		"idx: 1\nid : 1\n id: 1\nID: 1\ni\n\n": "idx: 1\nid : 1\n id: 1\nID: 1\ni\n\n",
		": comment\n\nid:  1\ndata\n\n":        ": comment\n\nid: < 1>\ndata\n\n",
		"data: x\n\nid: cut":                   "data: x\n\nid: cut",
		"i":                                    "i",
		big + "\nid: 1\n\n" + big + "\n\ni":    big + "\nid: <1>\n\n" + big + "\n\ni",
		big + "\rid: 1\r\n\n" + big + "id: 2":  big + "\rid: <1>\r\n\n" + big + "id: 2",
	} {
		for name, r := range map[string]io.Reader{
			"whole": strings.NewReader(stream), "bytes": iotest.OneByteReader(strings.NewReader(stream)),
			"halves": iotest.HalfReader(strings.NewReader(stream)), "error with data": iotest.DataErrReader(strings.NewReader(stream)),
		} {
			if got := changed(t, r); got != want {
				t.Errorf("%q, %s: %q, want %q", stream, name, got, want)
			}
		}
	}
	long := "data: x\n\nid: " + strings.Repeat("x", 1<<20) + "\n\n"
	out, err := io.ReadAll(mcp.ChangeIDs(strings.NewReader(long), func(id string) string { return id }))
	if !errors.Is(err, mcp.ErrEventTooLarge) && len(out) > 1<<17 {
		t.Errorf("%d bytes, %v", len(out), err)
	}
}

// What is passed on says the same but for its ids.
func FuzzChangeIDs(f *testing.F) {
	f.Add("id: 1\ndata: x\n\n")
	f.Add("\ufeffid:1\r\nid\r\rdata\n\n")
	f.Fuzz(func(t *testing.T, stream string) {
		if len(stream) > 4<<10 {
			return
		}
		got := changed(t, iotest.OneByteReader(strings.NewReader(stream)))
		if whole := changed(t, strings.NewReader(stream)); whole != got {
			t.Fatalf("%q: read at once it becomes %q, by bytes %q", stream, whole, got)
		}
		before, after := mcp.NewEventReader(strings.NewReader(stream), 1<<20), mcp.NewEventReader(strings.NewReader(got), 1<<20)
		for {
			a, errA := before.Next()
			b, errB := after.Next()
			if (errA == nil) != (errB == nil) {
				t.Fatalf("%q: %v, then %v", stream, errA, errB)
			}
			if errA != nil {
				return
			}
			if a.ID != "" {
				a.ID = "<" + a.ID + ">"
			}
			if a.ID != b.ID || a.HasID != b.HasID || a.Name != b.Name || string(a.Data) != string(b.Data) || a.Retry != b.Retry {
				t.Fatalf("%q: %+v became %+v", stream, a, b)
			}
		}
	})
}
