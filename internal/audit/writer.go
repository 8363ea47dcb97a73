package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/sallyport-dev/sallyport/internal/otlp"
)

// Overflow is what becomes of events that come faster than they can be written,
// or while they cannot be written at all.
type Overflow uint8

// The choices. Block is for whom an unrecorded call is worse than one that is refused,
// Drop for the others.
const (
	Block Overflow = iota // what would have to be recorded waits, and is refused in the end
	Drop                  // the event is dropped, counted, and the gap marked
)

// ParseOverflow reads "block" or "drop".
func ParseOverflow(s string) (Overflow, error) {
	switch s {
	case "block":
		return Block, nil
	case "drop":
		return Drop, nil
	}
	return 0, fmt.Errorf("unknown audit overflow %q: use block or drop", s)
}

// WriterOptions are what a Writer does when it cannot write, and what it tells
// others. The zero value blocks and tells nobody.
type WriterOptions struct {
	Overflow Overflow
	// Log hears, at ERROR, when writing begins to fail and when it works again.
	Log *slog.Logger
	// Flushed is told how many events were written and how many lost. It may be
	// called from any goroutine and must not block.
	Flushed func(written, lost int)
	// Full is told when [Sink.Reserve] begins to fail and when it succeeds again. It
	// must not block.
	Full func(full bool)
}

// form is how events become text, and how long they may be gathered.
type form struct {
	event func(b []byte, e *Event) []byte               // both end their text with a line's end
	lost  func(b []byte, at time.Time, lost int) []byte // what stands where events are missing
	after time.Duration                                 // an event is on its way no later than this
	size  int                                           // or as soon as so many bytes wait
	most  int                                           // bytes that are written at once, unless one event is longer; 0: all that wait
	limit int                                           // there is room for more as long as fewer bytes wait
	end   func() error                                  // what is left to do after the last write; may be nil
}

func lines() form {
	return form{event: appendLine, lost: appendLost, after: 50 * time.Millisecond, size: 64 << 10, limit: 1 << 20}
}

const (
	firstPause = 100 * time.Millisecond // before a write that failed is tried again;
	longPause  = 10 * time.Second       // doubled each time up to this

	// reserveWait is how long Reserve waits for room. Once it was in vain, nobody waits
	// any more until there is room again.
	reserveWait = 5 * time.Second
	// bufferLimit bounds the bytes that wait in all: those of calls that were under way
	// when the room came to its end, and of events that nobody reserved room for.
	bufferLimit = 16 << 20
)

// Writer is a Sink that writes lines to an io.Writer in batches: a write per event
// would cost ten times the event. A write that fails is tried again, from where it
// stopped, until it works; meanwhile up to 1 MiB of events wait, and then
// [WriterOptions.Overflow] says what happens. What was under way by then is recorded
// all the same.
//
// Events are lost only when they are dropped, when they come after Close, when
// Close runs out of time, or when trying again is of no use: nobody reads the pipe
// any more, or the receiver refuses them. They are counted, and as soon as there
// is something to write again a line says how many are missing at its place.
type Writer struct {
	w    io.Writer
	opts WriterOptions
	form form

	mu       sync.Mutex
	room     chan struct{} // closed when buf is taken, or the Writer closed; nil while nobody waits
	refusing bool          // somebody waited for room in vain
	buf      []byte        // what no write has begun on
	events   int           // in buf
	dropped  int           // after those in buf
	dropping bool          // the log knows
	writing  int           // events of the batch under way
	closed   bool
	waiting  chan struct{} // 1: there is something to write
	full     chan struct{} // 1: at once
	closing  chan struct{} // closed by Close
	giveUp   chan struct{} // closed when nobody waits for Close any more
	done     chan struct{} // closed when the flusher has ended
	ended    error         // how; set before done
}

// NewWriter starts a Writer. Close ends it; w is the caller's to close after that.
func NewWriter(w io.Writer, opts WriterOptions) *Writer { return newWriter(w, opts, lines()) }

func newWriter(w io.Writer, opts WriterOptions, f form) *Writer {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Flushed == nil {
		opts.Flushed = func(int, int) {}
	}
	if opts.Full == nil {
		opts.Full = func(bool) {}
	}
	wr := &Writer{
		w: w, opts: opts, form: f,
		waiting: make(chan struct{}, 1),
		full:    make(chan struct{}, 1),
		closing: make(chan struct{}),
		giveUp:  make(chan struct{}),
		done:    make(chan struct{}),
	}
	go wr.run()
	return wr
}

// Reserve implements Sink. With Drop there is always room.
func (w *Writer) Reserve(ctx context.Context) error {
	if w.opts.Overflow == Drop {
		return nil
	}
	room, refusing := w.awaited()
	if room == nil {
		return nil
	}
	if refusing {
		return ErrFull
	}
	late := time.NewTimer(reserveWait)
	defer late.Stop()
	for room != nil {
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		case <-late.C:
			return w.inVain()
		}
		room, _ = w.awaited()
	}
	return nil
}

// awaited is closed when there may be room; nil when there is.
func (w *Writer) awaited() (room <-chan struct{}, refusing bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.buf) < w.form.limit || w.closed {
		return nil, false
	}
	if w.room == nil {
		w.room = make(chan struct{})
	}
	return w.room, w.refusing
}

// inVain notes that there was no room for long, and fails unless there is some now.
func (w *Writer) inVain() error {
	w.mu.Lock()
	if len(w.buf) < w.form.limit || w.closed {
		w.mu.Unlock()
		return nil
	}
	first := !w.refusing
	w.refusing = true
	if first {
		w.opts.Full(true)
	}
	w.mu.Unlock()
	if first {
		w.opts.Log.Error("audit events cannot be written, and no more find room: calls that are audited are refused until this is mended")
	}
	return ErrFull
}

// Record implements Sink.
func (w *Writer) Record(e *Event) {
	limit := bufferLimit
	if w.opts.Overflow == Drop {
		limit = w.form.limit
	}
	w.mu.Lock()
	switch {
	case w.closed:
		w.mu.Unlock()
		w.opts.Flushed(0, 1)
	case len(w.buf) >= limit:
		first := !w.dropping
		w.dropping = true
		w.dropped++
		w.mu.Unlock()
		w.opts.Flushed(0, 1)
		if first {
			w.opts.Log.Error("audit events come faster than they can be written and are dropped")
		}
	default:
		w.buf = w.form.event(w.buf, e)
		w.events++
		if w.events == 1 {
			signal(w.waiting)
		}
		if len(w.buf) >= w.form.size {
			signal(w.full)
		}
		w.mu.Unlock()
	}
}

// Close implements Sink. It returns an error when ctx ended before everything
// was written.
func (w *Writer) Close(ctx context.Context) error {
	w.mu.Lock()
	if !w.closed {
		w.closed = true
		close(w.closing)
	}
	w.makeRoom()
	w.mu.Unlock()
	signal(w.waiting)
	signal(w.full)
	select {
	case <-w.done:
		return w.ended
	case <-ctx.Done():
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !isClosed(w.giveUp) {
		close(w.giveUp)
	}
	return fmt.Errorf("close audit: %d events still unwritten: %w", w.events+w.writing, ctx.Err())
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// batch is what is written at once.
type batch struct {
	text   []byte
	events int
	before int // lost events that the first line tells of
	after  int // lost events that the last line tells of
}

// run is the only goroutine that writes.
func (w *Writer) run() {
	defer close(w.done)
	if w.form.end != nil {
		defer func() { w.ended = w.form.end() }()
	}
	var (
		spare  []byte
		broken failing
		timer  = time.NewTimer(w.form.after)
	)
	defer timer.Stop()
	for {
		<-w.waiting
		timer.Reset(w.form.after)
		select {
		case <-timer.C:
		case <-w.full:
		}
		b, closed := w.take(spare)
		if len(b.text) > 0 {
			w.write(b, &broken)
		}
		if closed {
			return
		}
		spare = b.text[:0]
		if cap(spare) > 2*w.form.size && len(b.text) < w.form.size { // what a burst needed is not kept
			spare = nil
		}
	}
}

// take takes what waits, or the first part of it; closed says that nothing will wait
// any more.
func (w *Writer) take(spare []byte) (b batch, closed bool) {
	w.mu.Lock()
	recovered := false
	if w.form.most > 0 && len(w.buf) > w.form.most {
		b = w.first(spare)
	} else {
		b = batch{text: w.buf, events: w.events, after: w.dropped}
		if w.dropped > 0 { // there was no room, so they came after the rest
			b.text = w.form.lost(b.text, time.Now(), w.dropped)
		}
		recovered = w.dropping && w.dropped == 0
		if recovered {
			w.dropping = false
		}
		w.buf, w.events, w.dropped = spare, 0, 0
		closed = w.closed
	}
	w.writing = b.events
	again := len(w.buf) < w.form.limit && w.makeRoom()
	w.mu.Unlock()
	if again {
		w.opts.Log.Error("there is room for audit events again: calls that are audited are served")
	}
	if recovered {
		w.opts.Log.Error("audit events are dropped no more")
	}
	return b, closed
}

// first takes as many of the events that wait as are written at once: a receiver that
// is given all that gathered while it was away may never be done with it in time.
func (w *Writer) first(spare []byte) batch {
	end := bytes.LastIndexByte(w.buf[:w.form.most], '\n')
	if end < 0 {
		end = bytes.IndexByte(w.buf, '\n')
	}
	b := batch{text: append(spare, w.buf[:end+1]...)}
	b.events = bytes.Count(b.text, []byte{'\n'})
	w.buf = append(w.buf[:0], w.buf[end+1:]...)
	w.events -= b.events
	signal(w.waiting)
	signal(w.full)
	return b
}

// makeRoom wakes who waits for room, and reports whether calls were refused before.
func (w *Writer) makeRoom() (again bool) {
	if w.room != nil {
		close(w.room)
		w.room = nil
	}
	again, w.refusing = w.refusing, false
	if again {
		w.opts.Full(false)
	}
	return again
}

// failing remembers what the last writes failed to do.
type failing struct {
	said    bool // the log knows
	lost    int  // events, since the log knows
	untold  int  // of them, those that no line tells of
	midLine bool // the last write stopped inside a line, and the rest was lost
}

// write writes a batch, however often it takes.
func (w *Writer) write(b batch, f *failing) {
	if f.untold > 0 {
		b.text, b.before = append(w.form.lost(nil, time.Now(), f.untold), b.text...), f.untold
		f.untold = 0
	}
	if f.midLine { // the torn line must not swallow the next one
		b.text = append([]byte{'\n'}, b.text...)
	}
	rest, left := b.text, b.events
	for pause := firstPause; ; pause = min(2*pause, longPause) {
		n, err := w.w.Write(rest)
		n = min(max(n, 0), len(rest))
		if err == nil && n < len(rest) {
			err = io.ErrShortWrite
		}
		if n > 0 {
			f.midLine = rest[n-1] != '\n'
			rest = rest[n:]
			done := left - min(left, b.eventsIn(rest))
			refused := min(done, refusedOf(err))
			left -= done
			f.miss(refused)
			w.progress(left)
			w.opts.Flushed(done-refused, refused)
		}
		if err == nil {
			if f.said {
				w.opts.Log.Error("audit events are written again", "lost", f.lost)
				f.said, f.lost = false, 0
			}
			return
		}
		hopeless := permanent(err)
		f.say(w.opts.Log, err, hopeless)
		if len(rest) == 0 {
			return
		}
		if hopeless || !w.wait(err, pause) {
			if len(rest) == len(b.text) {
				f.untold += b.before
			}
			f.untold += b.after
			f.miss(left)
			w.progress(0)
			w.opts.Flushed(0, left)
			return
		}
	}
}

// miss counts events that are lost for good.
func (f *failing) miss(n int) {
	f.untold += n
	f.lost += n
}

// eventsIn counts the events in the rest of the batch's text.
func (b *batch) eventsIn(rest []byte) int {
	n := bytes.Count(rest, []byte{'\n'})
	if b.after > 0 {
		n--
	}
	return max(n, 0)
}

// say logs the first of a row of failures.
func (f *failing) say(log *slog.Logger, err error, hopeless bool) {
	switch {
	case f.said:
		return
	case hopeless:
		log.Error("audit events cannot be written and are lost until this is mended", "cause", err)
	default:
		log.Error("audit events cannot be written and wait until this is mended", "cause", err)
	}
	f.said = true
}

// progress notes how much of the batch under way is still to be written.
func (w *Writer) progress(left int) {
	w.mu.Lock()
	w.writing = left
	w.mu.Unlock()
}

// wait waits before a write is tried again, and reports whether it is to be.
func (w *Writer) wait(err error, pause time.Duration) bool {
	pause += rand.N(pause) / 4 //nolint:gosec // it spreads load and hides nothing
	if later, ok := errors.AsType[*otlp.LaterError](err); ok && later.After > 0 {
		pause = later.After
	}
	closing := w.closing
	if isClosed(closing) { // somebody waits: try what can be tried
		closing, pause = nil, firstPause
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-closing:
		return true
	case <-w.giveUp:
		return false
	}
}

// refusedOf is how many events of a batch that was taken the receiver did not take.
func refusedOf(err error) int {
	if r, ok := errors.AsType[*otlp.RejectedError](err); ok {
		return r.N
	}
	return 0
}

// permanent tells failures that no patience mends. A full disk is not one of them.
func permanent(err error) bool {
	return errors.Is(err, otlp.ErrRefused) || errors.Is(err, syscall.EPIPE) || errors.Is(err, os.ErrClosed) || errors.Is(err, io.ErrClosedPipe)
}
