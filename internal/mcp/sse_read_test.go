package mcp_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// readAll reads every event, with copies of their data, and the final error.
func readAll(r *mcp.EventReader) ([]mcp.Event, error) {
	var events []mcp.Event
	for {
		ev, err := r.Next()
		if err != nil {
			return events, err
		}
		ev.Data = bytes.Clone(ev.Data)
		events = append(events, ev)
	}
}

const noLimit = 1 << 30

func TestEventReader(t *testing.T) {
	t.Parallel()
	// WHATWG HTML §9.2.6
	data := func(s string) mcp.Event { return mcp.Event{Data: []byte(s)} }
	tests := map[string]struct {
		in   string
		want []mcp.Event
		err  error
		id   string
	}{
		"empty":                {"", nil, io.EOF, ""},
		"one":                  {"data: x\n\n", []mcp.Event{data("x")}, io.EOF, ""},
		"CRLF":                 {"event: a\r\ndata: x\r\n\r\ndata: y\r\n\r\n", []mcp.Event{{Name: "a", Data: []byte("x")}, data("y")}, io.EOF, ""},
		"CR":                   {"data: x\r\rdata: y\r\r", []mcp.Event{data("x"), data("y")}, io.EOF, ""},
		"mixed line ends":      {"data: x\r\ndata: y\n\rdata: z\r\r\n", []mcp.Event{data("x\ny"), data("z")}, io.EOF, ""},
		"byte order mark":      {"\ufeffdata: x\n\n", []mcp.Event{data("x")}, io.EOF, ""},
		"two of them":          {"\ufeff\ufeffdata: x\n\ndata: y\n\n", []mcp.Event{data("y")}, io.EOF, ""},
		"half of one":          {"\xef\xbbdata: x\n\ndata: y\n\n", []mcp.Event{data("y")}, io.EOF, ""},
		"several lines":        {"data: x\ndata:\ndata:  y\ndata\n\n", []mcp.Event{data("x\n\n y\n")}, io.EOF, ""},
		"no space":             {"data:x\n\n", []mcp.Event{data("x")}, io.EOF, ""},
		"one space only":       {"data:  x \n\n", []mcp.Event{data(" x ")}, io.EOF, ""},
		"colons":               {"data: a: b:\n\n", []mcp.Event{data("a: b:")}, io.EOF, ""},
		"comments":             {": hello\n:\ndata: x\n: in between\ndata: y\n\n:end\n", []mcp.Event{data("x\ny")}, io.EOF, ""},
		"unknown fields":       {"dat: 1\ndatax: 2\ndata : 3\nData: 4\n data: 5\ndata: x\nevents: 6\n\n", []mcp.Event{data("x")}, io.EOF, ""},
		"name":                 {"event: one\nevent: two\ndata: x\n\ndata: y\n\n", []mcp.Event{{Name: "two", Data: []byte("x")}, data("y")}, io.EOF, ""},
		"name without data":    {"event: one\n\ndata: y\n\n", []mcp.Event{data("y")}, io.EOF, ""},
		"id":                   {"id: 1\ndata: x\n\ndata: y\n\n", []mcp.Event{{ID: "1", HasID: true, Data: []byte("x")}, data("y")}, io.EOF, "1"},
		"id without data":      {"id: 1\n\n", nil, io.EOF, "1"},
		"empty id":             {"id: 1\ndata: x\n\nid\ndata: y\n\n", []mcp.Event{{ID: "1", HasID: true, Data: []byte("x")}, {HasID: true, Data: []byte("y")}}, io.EOF, ""},
		"id with NUL":          {"id: 1\nid: 2\x003\ndata: x\n\n", []mcp.Event{{ID: "1", HasID: true, Data: []byte("x")}}, io.EOF, "1"},
		"priming event":        {"id: 1\ndata:\n\n", []mcp.Event{{ID: "1", HasID: true, Data: []byte{}}}, io.EOF, "1"},
		"retry":                {"retry: 1500\ndata: x\n\n", []mcp.Event{{Retry: 1500, Data: []byte("x")}}, io.EOF, ""},
		"retry of no number":   {"retry: 15x\nretry: -1\nretry:\nretry:  3\ndata: x\n\n", []mcp.Event{data("x")}, io.EOF, ""},
		"retry of many digits": {"retry: 99999999999999999999999\ndata: x\n\n", []mcp.Event{{Retry: math.MaxInt32, Data: []byte("x")}}, io.EOF, ""},
		"blank lines":          {"\n\r\n\rdata: x\n\n\n\n", []mcp.Event{data("x")}, io.EOF, ""},
		"NUL in data":          {"data: a\x00b\n\n", []mcp.Event{data("a\x00b")}, io.EOF, ""},
		"cut in data":          {"data: x\n\ndata: y", []mcp.Event{data("x")}, io.ErrUnexpectedEOF, ""},
		"cut before the end":   {"data: x\n\nid: 2\ndata: y\n", []mcp.Event{data("x")}, io.ErrUnexpectedEOF, ""},
		"cut in a comment":     {"data: x\n\n: y", []mcp.Event{data("x")}, io.ErrUnexpectedEOF, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for how, r := range map[string]io.Reader{
				"whole":              strings.NewReader(tt.in),
				"byte by byte":       iotest.OneByteReader(strings.NewReader(tt.in)),
				"error with data":    iotest.DataErrReader(strings.NewReader(tt.in)),
				"halves, with error": iotest.HalfReader(iotest.DataErrReader(strings.NewReader(tt.in))),
			} {
				er := mcp.NewEventReader(r, noLimit)
				got, err := readAll(er)
				if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("%s (-want +got):\n%s", how, diff)
				}
				if !errors.Is(err, tt.err) || er.LastID() != tt.id {
					t.Errorf("%s: error %v, last id %q; want %v, %q", how, err, er.LastID(), tt.err, tt.id)
				}
				if _, again := er.Next(); !errors.Is(again, tt.err) {
					t.Errorf("%s: a second Next at the end: %v", how, again)
				}
			}
		})
	}
}

func TestEventReaderDispatchesAtOnce(t *testing.T) {
	t.Parallel()
	// An event that ends in \r\r must not wait for what may follow.
	for _, in := range []string{"data: x\n\n", "data: x\r\n\r\n", "data: x\r\r"} {
		pr, pw := io.Pipe()
		r := mcp.NewEventReader(pr, noLimit)
		go func() { _, _ = pw.Write([]byte(in)) }()
		ev, err := r.Next() // hangs if it waits
		if err != nil || string(ev.Data) != "x" {
			t.Errorf("%q: %q, %v", in, ev.Data, err)
		}
		_ = pw.Close()
	}
}

func TestEventReaderLimit(t *testing.T) {
	t.Parallel()
	event := "event: a\ndata: " + strings.Repeat("x", 85) + "\n"
	size := len(event) - len("  ") // the spaces after the colons are not counted
	for name, in := range map[string]string{
		"data":       event + "\n",
		"many lines": "data: 1\n\n" + strings.Repeat("data:\n", 17) + "\n",
		"no end":     event,
		"id":         "id: " + strings.Repeat("x", 200) + "\n\n",
	} {
		for _, r := range []io.Reader{strings.NewReader(in), iotest.OneByteReader(strings.NewReader(in))} {
			er := mcp.NewEventReader(r, size-1)
			if _, err := readAll(er); !errors.Is(err, mcp.ErrEventTooLarge) {
				t.Errorf("%s: %v", name, err)
			}
			if _, err := er.Next(); !errors.Is(err, mcp.ErrEventTooLarge) {
				t.Errorf("%s: the reader goes on after the error: %v", name, err)
			}
		}
	}
	in := strings.Repeat(event+"\n", 3) + strings.Repeat(": "+strings.Repeat("c", 300)+"\n", 3) + event + "\n"
	got, err := readAll(mcp.NewEventReader(iotest.HalfReader(strings.NewReader(in)), size))
	if len(got) != 4 || err != io.EOF {
		t.Errorf("events at the limit, comments beyond it: %d events, %v", len(got), err)
	}
}

func TestEventReaderReadError(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	r := mcp.NewEventReader(io.MultiReader(strings.NewReader("data: x\n\n"), iotest.ErrReader(broken)), noLimit)
	got, err := readAll(r)
	if len(got) != 1 || !errors.Is(err, broken) {
		t.Errorf("%d events, %v", len(got), err)
	}
	if _, err := mcp.NewEventReader(idleReader{}, noLimit).Next(); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("a reader that reads nothing: %v", err)
	}
}

type idleReader struct{}

func (idleReader) Read([]byte) (int, error) { return 0, nil }

func TestEventReaderLargeEvents(t *testing.T) {
	t.Parallel()
	var in []byte
	var want []mcp.Event
	for i, n := range []int{1, 5 << 10, 100 << 10, 3, 1 << 20, 7} {
		ev := mcp.Event{Name: "message", HasID: true, ID: strconv.Itoa(i), Data: bytes.Repeat([]byte{byte('a' + i)}, n)}
		in, want = mcp.AppendEvent(in, ev), append(want, ev)
	}
	got, err := readAll(mcp.NewEventReader(bytes.NewReader(in), noLimit))
	if len(got) != len(want) || err != io.EOF {
		t.Fatalf("%d events, %v; want %d", len(got), err, len(want))
	}
	for i := range want {
		if got[i].ID != want[i].ID || !bytes.Equal(got[i].Data, want[i].Data) {
			t.Errorf("event %d came back with %d bytes, want %d", i, len(got[i].Data), len(want[i].Data))
		}
	}
}

func TestAppendEvent(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		ev   mcp.Event
		want string
	}{
		"data":           {mcp.Event{Data: []byte(`{"a":1}`)}, "data: {\"a\":1}\n\n"},
		"all":            {mcp.Event{ID: "7", HasID: true, Name: "message", Retry: 100, Data: []byte("x")}, "id: 7\nevent: message\nretry: 100\ndata: x\n\n"},
		"empty":          {mcp.Event{}, "data: \n\n"},
		"empty id":       {mcp.Event{HasID: true}, "id: \ndata: \n\n"},
		"id not had":     {mcp.Event{ID: "7"}, "data: \n\n"},
		"lines":          {mcp.Event{Data: []byte("a\nb\r\nc\rd\n")}, "data: a\ndata: b\ndata: c\ndata: d\ndata: \n\n"},
		"injection":      {mcp.Event{Name: "a\ndata: evil", ID: "1\r\r", HasID: true, Data: []byte("x")}, "data: x\n\n"},
		"NUL in the id":  {mcp.Event{ID: "1\x00", HasID: true, Data: []byte("x")}, "data: x\n\n"},
		"leading space":  {mcp.Event{Data: []byte(" x")}, "data:  x\n\n"},
		"negative retry": {mcp.Event{Retry: -1, Data: []byte("x")}, "data: x\n\n"},
	}
	for name, tt := range tests {
		if got := string(mcp.AppendEvent(nil, tt.ev)); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
	if got := string(mcp.AppendEvent([]byte(": c\n"), mcp.Event{Data: []byte("x")})); got != ": c\ndata: x\n\n" {
		t.Errorf("appended: %q", got)
	}
}

// reference reads a stream the slow and plain way, line by line.
func reference(in []byte) (events []mcp.Event, atBoundary bool) {
	s := strings.TrimPrefix(string(in), "\ufeff")
	s = strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
	lines := strings.Split(s, "\n")
	last := lines[len(lines)-1]
	var (
		ev            mcp.Event
		hasData, open bool
	)
	for _, line := range lines[:len(lines)-1] {
		if line == "" {
			if hasData {
				events = append(events, ev)
			}
			ev, hasData, open = mcp.Event{}, false, false
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "data":
			if hasData {
				ev.Data = append(ev.Data, '\n')
			}
			ev.Data = append(ev.Data, value...)
			hasData, open = true, true
		case "event":
			ev.Name, open = value, true
		case "id":
			if !strings.Contains(value, "\x00") {
				ev.ID, ev.HasID = value, true
			}
			open = true
		case "retry":
			if n, err := strconv.ParseUint(value, 10, 64); err == nil && n > 0 {
				ev.Retry = int(min(n, math.MaxInt32))
			} else if strings.Trim(value, "0123456789") == "" && strings.Trim(value, "0") != "" {
				ev.Retry = math.MaxInt32 // more digits than fit
			}
			open = true
		}
	}
	return events, !open && last == ""
}

func FuzzEventReader(f *testing.F) {
	for _, s := range []string{
		"", "data: x\n\n", "\ufeffid: 1\r\ndata: x\r\ndata:y\r\n\r\n", "data\r\rdata", ": c\n\nevent: a\nretry: 5\ndata: x\n\n",
		"\xef\xbbdata: x\n\n", "id: a\x00b\ndata:\n\n", "retry: 99999999999999999999\ndata: {\"id\":1,\"result\":{}}\n\r\n\r",
		"datadata: x\nevent:: y\n:\n\n", "\n\r\r\n\n", "data: x\r", "data: x\r\n\r", "\xef", "\xef\xbb", "\ufeff",
	} {
		f.Add([]byte(s), uint8(3), uint8(5))
	}
	f.Fuzz(func(t *testing.T, in []byte, a, b uint8) {
		want, boundary := reference(in)
		whole, err := readAll(mcp.NewEventReader(bytes.NewReader(in), noLimit))
		if diff := cmp.Diff(want, whole, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("events of %q (-reference +got):\n%s", in, diff)
		}
		if got := err == io.EOF; got != boundary {
			t.Fatalf("%q: ends with %v, between events: %v", in, err, boundary)
		}
		// However the stream is cut into pieces, it says the same.
		var tr mcp.Tracker
		pieces := &chopped{in: in, sizes: [2]int{int(a%16) + 1, int(b) + 1}, tracker: &tr}
		chopped, err := readAll(mcp.NewEventReader(pieces, noLimit))
		if diff := cmp.Diff(want, chopped, cmpopts.EquateEmpty()); diff != "" || (err == io.EOF) != boundary {
			t.Fatalf("%q in pieces ends with %v (-whole +pieces):\n%s", in, err, diff)
		}
		if tr.AtBoundary() != boundary {
			t.Fatalf("%q: the tracker is between events: %v, want %v", in, tr.AtBoundary(), boundary)
		}
		if tr.AtBoundary() && tr.EventBytes() != 0 {
			t.Fatalf("%q: between events, and %d bytes into one", in, tr.EventBytes())
		}
		// A comment put in at a boundary changes nothing.
		if boundary && len(in) > 0 {
			with := append(append(bytes.Clone(in), ": keep-alive\n\n"...), in...)
			without := append(bytes.Clone(in), bytes.TrimPrefix(in, []byte("\ufeff"))...)
			if in[0] == '\xef' || in[len(in)-1] == '\r' && in[0] == '\n' {
				return // there the second half reads differently by itself
			}
			got, _ := readAll(mcp.NewEventReader(bytes.NewReader(with), noLimit))
			want, _ := reference(without)
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("a comment after %q changed the stream:\n%s", in, diff)
			}
		}
	})
}

// chopped hands out in by pieces of two sizes in turn, to the tracker as well.
type chopped struct {
	in      []byte
	sizes   [2]int
	turn    int
	tracker *mcp.Tracker
}

func (c *chopped) Read(p []byte) (int, error) {
	if len(c.in) == 0 {
		return 0, io.EOF
	}
	n := min(len(p), len(c.in), c.sizes[c.turn%2])
	c.turn++
	copy(p, c.in[:n])
	_, _ = c.tracker.Write(c.in[:n])
	c.in = c.in[n:]
	return n, nil
}

func FuzzAppendEvent(f *testing.F) {
	f.Add("id", true, "message", []byte("a\r\nb"), 100)
	f.Add("", false, "", []byte{}, 0)
	f.Fuzz(func(t *testing.T, id string, hasID bool, name string, data []byte, retry int) {
		in := mcp.Event{ID: id, HasID: hasID, Name: name, Data: data, Retry: int(int32(retry))}
		got, err := readAll(mcp.NewEventReader(bytes.NewReader(mcp.AppendEvent(nil, in)), noLimit))
		if len(got) != 1 || err != io.EOF {
			t.Fatalf("%+v: %d events, %v", in, len(got), err)
		}
		nl := strings.NewReplacer("\r\n", "\n", "\r", "\n")
		if string(got[0].Data) != nl.Replace(string(data)) {
			t.Errorf("data %q came back as %q", data, got[0].Data)
		}
		if hasID && !strings.ContainsAny(id, "\r\n\x00") && got[0].ID != id {
			t.Errorf("id %q came back as %q", id, got[0].ID)
		}
		if !strings.ContainsAny(name, "\r\n") && got[0].Name != name {
			t.Errorf("name %q came back as %q", name, got[0].Name)
		}
		if got[0].Retry != max(in.Retry, 0) {
			t.Errorf("retry %d came back as %d", in.Retry, got[0].Retry)
		}
	})
}
