package mcp

import (
	"bytes"
	"errors"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Event is one server-sent event.
type Event struct {
	ID    string // the event's own id
	HasID bool   // it has one, if only an empty one
	Name  string // "" means "message"
	Data  []byte
	Retry int // reconnection time in milliseconds; 0 when not given
}

// ErrEventTooLarge is returned for an event beyond the reader's limit.
var ErrEventTooLarge = errors.New("read event: it is larger than the limit")

// EventReader reads an event stream by the rules of WHATWG HTML §9.2.6: every
// kind of line end, a leading byte order mark, data of several lines, comments,
// ids with a NUL ignored.
type EventReader struct {
	r   io.Reader
	max int
	buf []byte
	lex lexer
	err error

	ev      Event // in progress; Data is reused
	hasData bool
	name    []byte
	id      []byte
	retry   int // -1 when what stood there is no number
	lastID  string
	retried int // in milliseconds
}

const (
	readSmall = 4 << 10  // what an idle stream holds on to
	readLarge = 32 << 10 // once there is more to read at a time
	keepData  = 64 << 10 // a larger data buffer is not kept for the next event
)

// NewEventReader reads events of at most maxEvent bytes, counted with their field
// names and line ends. It reads ahead of the event that it returns.
func NewEventReader(r io.Reader, maxEvent int) *EventReader {
	return &EventReader{r: r, max: maxEvent, buf: make([]byte, readSmall)}
}

// LastID is the last event id that the stream has set, with or without an event:
// what to send as Last-Event-ID.
func (r *EventReader) LastID() string { return r.lastID }

// LastRetry is how long the stream last said to wait before coming again, with or
// without an event; 0 where it has not.
func (r *EventReader) LastRetry() time.Duration { return time.Duration(r.retried) * time.Millisecond }

// Next returns the next event that has data; its Data is good until the next
// call. At the end of the stream it returns io.EOF, or io.ErrUnexpectedEOF if
// that was inside an event, which is lost then. Errors are final.
func (r *EventReader) Next() (Event, error) {
	r.begin()
	for {
		tok, value := r.lex.next()
		if r.lex.size > r.max {
			r.err = ErrEventTooLarge
			r.lex.feed(nil)
			tok = tokenMore
		}
		switch tok {
		case tokenMore:
			if r.err == io.EOF && !r.lex.boundary() {
				r.err = io.ErrUnexpectedEOF
			}
			if r.err != nil {
				return Event{}, r.err
			}
			r.fill()
		case tokenBlank:
			if ev, ok := r.dispatch(); ok {
				return ev, nil
			}
			r.begin()
		default:
			r.take(tok, value)
		}
	}
}

// begin clears what belongs to one event.
func (r *EventReader) begin() {
	data := r.ev.Data[:0]
	if cap(data) > keepData {
		data = nil
	}
	r.ev = Event{Data: data}
	r.hasData = false
}

func (r *EventReader) take(tok token, value []byte) {
	switch r.lex.cur {
	case fieldData:
		if tok == tokenField && r.hasData {
			r.ev.Data = append(r.ev.Data, '\n')
		}
		r.hasData = true
		if need := len(r.ev.Data) + len(value); need > cap(r.ev.Data) {
			r.ev.Data = slices.Grow(r.ev.Data, max(len(value), len(r.ev.Data))) // doubles: events can be large
		}
		r.ev.Data = append(r.ev.Data, value...)
	case fieldEvent:
		r.name = collect(r.name, tok, value)
		switch {
		case tok != tokenEnd:
		case string(r.name) == "message": // what nearly all of them are
			r.ev.Name = "message"
		default:
			r.ev.Name = string(r.name)
		}
	case fieldID:
		r.id = collect(r.id, tok, value)
		if tok == tokenEnd && bytes.IndexByte(r.id, 0) < 0 {
			r.ev.ID, r.ev.HasID = string(r.id), true
		}
	case fieldRetry:
		r.takeRetry(tok, value)
	}
}

func collect(b []byte, tok token, value []byte) []byte {
	if tok == tokenField {
		return b[:0]
	}
	return append(b, value...)
}

func (r *EventReader) takeRetry(tok token, value []byte) {
	if tok == tokenField {
		r.retry = 0
	}
	for _, c := range value {
		if c < '0' || c > '9' || r.retry < 0 {
			r.retry = -1
			return
		}
		r.retry = min(r.retry*10+int(c-'0'), math.MaxInt32)
	}
	if tok == tokenEnd && r.retry > 0 {
		r.ev.Retry, r.retried = r.retry, r.retry
	}
}

// dispatch ends an event. One without data is none, but its id counts.
func (r *EventReader) dispatch() (Event, bool) {
	if r.ev.HasID {
		r.lastID = r.ev.ID
	}
	return r.ev, r.hasData
}

// fill reads the next piece of the stream. An error waits until the piece that
// came with it is dealt with.
func (r *EventReader) fill() {
	if r.lex.pos == len(r.buf) && len(r.buf) < readLarge {
		r.buf = make([]byte, readLarge)
	}
	for range 100 {
		var n int
		n, r.err = r.r.Read(r.buf)
		if n > 0 || r.err != nil {
			r.lex.feed(r.buf[:n])
			return
		}
	}
	r.err = io.ErrNoProgress
}

// AppendEvent appends the event in the form it has on the wire. Line ends in the
// data become those of the stream, which in JSON is white space for white space.
// An ID or a Name that cannot be written, because of a line end or a NUL in it, is
// left out.
func AppendEvent(dst []byte, ev Event) []byte {
	if ev.HasID && !strings.ContainsAny(ev.ID, "\r\n\x00") {
		dst = appendField(dst, "id", ev.ID)
	}
	if ev.Name != "" && !strings.ContainsAny(ev.Name, "\r\n") {
		dst = appendField(dst, "event", ev.Name)
	}
	if ev.Retry > 0 {
		dst = appendField(dst, "retry", strconv.Itoa(ev.Retry))
	}
	data := ev.Data
	for len(data) > 0 {
		line, rest, more := cutLine(data)
		if !more {
			break
		}
		dst, data = appendField(dst, "data", line), rest
	}
	return append(appendField(dst, "data", data), '\n')
}

// cutLine divides data at its first line end, if it has one.
func cutLine(data []byte) (line, rest []byte, more bool) {
	i := lineEnd(data)
	if i < 0 {
		return data, nil, false
	}
	line, rest = data[:i], data[i+1:]
	if data[i] == '\r' && len(rest) > 0 && rest[0] == '\n' {
		rest = rest[1:]
	}
	return line, rest, true
}

// lineEnd is where the first line ends, -1 where none does. It finds one byte after the other, which takes a tenth of the
// time that looking for either takes.
func lineEnd(data []byte) int {
	lf := bytes.IndexByte(data, '\n')
	if lf >= 0 {
		data = data[:lf]
	}
	if cr := bytes.IndexByte(data, '\r'); cr >= 0 {
		return cr
	}
	return lf
}

func appendField[T string | []byte](dst []byte, name string, value T) []byte {
	dst = append(append(dst, name...), ": "...)
	return append(append(dst, value...), '\n')
}
