package wire

import (
	"bytes"
	"io"
	"time"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// Pulled is an event stream whose messages are made as they are read: no goroutine
// stands behind it.
type Pulled struct {
	Queue [][]byte // messages that are to be read next
	Err   error    // behind them; nil while there may be more

	buf, rest []byte
}

// Pull reads what is queued, and has next bring more. What next queues must stay as it is.
func (s *Pulled) Pull(p []byte, next func()) (int, error) {
	for len(s.rest) == 0 {
		switch {
		case len(s.Queue) > 0:
			s.buf = mcp.AppendEvent(s.buf[:0], mcp.Event{Name: "message", Data: s.Queue[0]})
			s.rest, s.Queue = s.buf, s.Queue[1:]
		case s.Err != nil:
			return 0, s.Err
		default:
			next()
		}
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// Emit queues a message.
func (s *Pulled) Emit(raw []byte) { s.Queue = append(s.Queue, raw) }

// Finish queues a last message.
func (s *Pulled) Finish(raw []byte) { s.Queue, s.Err = append(s.Queue, raw), io.EOF }

// Source is a server's event stream. Its zero value is none.
type Source struct {
	events *mcp.EventReader
	body   io.ReadCloser
	max    int
	batch  [][]byte // messages that came with the last one

	// Again brings the rest of a stream that has ended, perhaps too soon; nil where there
	// can be none.
	Again  func(s *Source) (io.ReadCloser, bool)
	LastID string        // of the last event
	Retry  time.Duration // that the server wants to be left alone; 0 where it does not say
	Heard  bool          // a message has come since the stream was opened, or opened again
}

// NewSource reads a stream whose events are no larger than maxEvent.
func NewSource(body io.ReadCloser, maxEvent int) Source {
	return Source{events: mcp.NewEventReader(body, maxEvent), body: body, max: maxEvent}
}

// Open reports whether there is a stream.
func (s *Source) Open() bool { return s.events != nil }

// Close ends it.
func (s *Source) Close() error {
	if s.body == nil {
		return nil
	}
	body := s.body
	s.events, s.body = nil, nil
	return body.Close()
}

// Next reads a message. ok is false for an event that is none; at the end of a stream
// that has brought no answer the error is io.ErrUnexpectedEOF.
func (s *Source) Next() (raw []byte, m Message, ok bool, err error) {
	if len(s.batch) > 0 {
		raw, s.batch = s.batch[0], s.batch[1:]
		m, err = Read(raw)
		return raw, m, err == nil, err
	}
	ev, err := s.events.Next()
	switch {
	case err != nil && s.resume():
		return nil, m, false, nil
	case err == io.EOF:
		err = io.ErrUnexpectedEOF
	}
	if err != nil || len(ev.Data) == 0 {
		return nil, m, false, err
	}
	s.Heard = true
	raw = append([]byte(nil), ev.Data...) // the reader has it
	if raw[0] == '[' {
		s.batch, err = Split(raw)
		return nil, m, false, err
	}
	m, err = Read(raw)
	return raw, m, err == nil, err
}

// resume goes on with a stream where it has ended, if that is possible.
func (s *Source) resume() bool {
	if id := s.events.LastID(); id != "" {
		s.LastID = id
	}
	if retry := s.events.LastRetry(); retry > 0 {
		s.Retry = retry
	}
	if s.Again == nil || s.LastID == "" {
		return false
	}
	body, ok := s.Again(s)
	if !ok {
		return false
	}
	_ = s.body.Close()
	s.events, s.body, s.Heard = mcp.NewEventReader(body, s.max), body, false
	return true
}

// Peeked is how much of an answer is looked at before it is passed on.
const Peeked = 8 << 10

// Peek reads the message in a short answer, and gives a body that has it again. ok is
// false for what is longer, or no message.
func Peek(answer io.ReadCloser) (body io.ReadCloser, m Message, ok bool) {
	head := make([]byte, Peeked)
	n, err := io.ReadFull(answer, head)
	head = head[:n]
	whole := err == io.EOF || err == io.ErrUnexpectedEOF
	body = again{io.MultiReader(bytes.NewReader(head), answer), answer}
	if !whole {
		return body, m, false
	}
	m, err = Read(head)
	return body, m, err == nil
}

type again struct {
	io.Reader
	io.Closer
}
