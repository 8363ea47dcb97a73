package duplex

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// eventBody is a queue read as an event stream. It ends after the last event,
// or with the queue.
type eventBody struct {
	ctx   context.Context
	queue *queue
	id    []byte // of the request; nil for a listening stream
	gone  func() // the reader went before the end

	leave  func() // the reader went
	closed sync.Once
	ended  atomic.Bool

	buf  []byte
	rest []byte // of buf
	err  error  // behind rest
}

func (b *eventBody) Read(p []byte) (int, error) {
	for len(b.rest) == 0 {
		if b.err != nil {
			return 0, b.err
		}
		ev, err := b.queue.take(b.ctx)
		switch {
		case errors.Is(err, errReplaced):
			b.end()
		case err != nil:
			b.err = err
		default:
			b.fill(ev)
		}
	}
	n := copy(p, b.rest)
	if b.rest = b.rest[n:]; len(b.rest) > 0 {
		return n, nil
	}
	return n, b.err
}

// fill makes a server-sent event of an event.
func (b *eventBody) fill(ev event) {
	if ev.failure != nil {
		ev.raw, ev.last = ev.failure.Public.Append(nil, b.id), true
	}
	const large = 64 << 10
	if cap(b.buf) > large {
		b.buf = nil
	}
	b.buf = mcp.AppendEvent(b.buf[:0], mcp.Event{Name: "message", Data: ev.raw})
	b.rest = b.buf
	if ev.last {
		b.end()
	}
}

// end marks a stream that is complete.
func (b *eventBody) end() {
	b.err = io.EOF
	b.ended.Store(true)
}

func (b *eventBody) Close() error {
	b.closed.Do(func() {
		if !b.ended.Load() {
			b.gone()
		}
		b.leave()
	})
	return nil
}
