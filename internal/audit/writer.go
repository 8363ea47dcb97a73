package audit

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"
)

const (
	flushAfter = 50 * time.Millisecond // an event is on its way no later than this
	flushSize  = 64 << 10              // or as soon as so many bytes wait
)

// WriterOptions are what a Writer tells others. The zero value tells nobody.
type WriterOptions struct {
	// Log hears, at ERROR, when writing begins to fail and when it works again.
	Log *slog.Logger
	// Flushed is told after each batch how many events were written and how many
	// lost. It may be called from any goroutine and must not block.
	Flushed func(written, lost int)
}

// Writer is a Sink that writes lines to an io.Writer in batches: a write per event
// would cost ten times the event. When the io.Writer is slower than the callers
// they wait, so that nothing is lost. Events are lost only when a write fails, or
// when they come after Close; both are counted.
type Writer struct {
	w    io.Writer
	opts WriterOptions

	mu      sync.Mutex
	room    sync.Cond // buf was taken, or the Writer closed
	buf     []byte    // lines that no write has begun on
	events  int       // lines in buf
	closed  bool
	waiting chan struct{} // 1: buf is no longer empty
	full    chan struct{} // 1: buf should be taken at once
	done    chan struct{} // closed when the flusher has ended
}

// NewWriter starts a Writer. Close ends it; w is the caller's to close after that.
func NewWriter(w io.Writer, opts WriterOptions) *Writer {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Flushed == nil {
		opts.Flushed = func(int, int) {}
	}
	wr := &Writer{
		w: w, opts: opts,
		waiting: make(chan struct{}, 1),
		full:    make(chan struct{}, 1),
		done:    make(chan struct{}),
	}
	wr.room.L = &wr.mu
	go wr.run()
	return wr
}

// Record implements Sink.
func (w *Writer) Record(e *Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.buf) >= flushSize && !w.closed {
		w.room.Wait()
	}
	if w.closed {
		w.opts.Flushed(0, 1)
		return
	}
	w.buf = appendLine(w.buf, e)
	w.events++
	if w.events == 1 {
		signal(w.waiting)
	}
	if len(w.buf) >= flushSize {
		signal(w.full)
	}
}

// Close implements Sink. It returns an error when ctx ended before everything
// was written; what is left is then still being tried.
func (w *Writer) Close(ctx context.Context) error {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.room.Broadcast()
	signal(w.waiting)
	signal(w.full)
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close audit: events still unwritten: %w", ctx.Err())
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// run is the only goroutine that writes.
func (w *Writer) run() {
	defer close(w.done)
	var (
		spare  []byte
		broken failing
		timer  = time.NewTimer(flushAfter)
	)
	defer timer.Stop()
	for {
		<-w.waiting
		timer.Reset(flushAfter)
		select {
		case <-timer.C:
		case <-w.full:
		}
		w.mu.Lock()
		batch, events, closed := w.buf, w.events, w.closed
		w.buf, w.events = spare[:0], 0
		w.mu.Unlock()
		w.room.Broadcast()
		if events > 0 {
			w.write(batch, events, &broken)
		}
		if closed {
			return
		}
		spare = batch
	}
}

// failing remembers an unbroken row of failed writes.
type failing struct {
	lost    int
	midLine bool // the last write stopped inside a line
}

func (w *Writer) write(batch []byte, events int, f *failing) {
	if f.midLine { // the torn line must not swallow the next one
		if _, err := w.w.Write([]byte{'\n'}); err == nil {
			f.midLine = false
		}
	}
	n, err := w.w.Write(batch)
	if err == nil && n < len(batch) {
		err = io.ErrShortWrite
	}
	if err == nil {
		if f.lost > 0 {
			w.opts.Log.Error("audit events are written again", "lost", f.lost)
			*f = failing{}
		}
		w.opts.Flushed(events, 0)
		return
	}
	n = min(max(n, 0), len(batch))
	written := bytes.Count(batch[:n], []byte{'\n'})
	if f.lost == 0 {
		w.opts.Log.Error("audit events cannot be written and are lost until this is mended", "cause", err)
	}
	f.lost += events - written
	f.midLine = f.midLine || (n > 0 && batch[n-1] != '\n')
	w.opts.Flushed(written, events-written)
}
