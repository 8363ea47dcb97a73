package otlp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// QueueOptions say how items are gathered.
type QueueOptions struct {
	Open, Close string        // what stands around the items of a request
	Every       time.Duration // an item is on its way no later than this
	What        string        // the items' name in the log, such as "spans"
	// Sent is told how many items were sent and how many lost. It may be called from
	// any goroutine and must not block.
	Sent func(sent, lost int)
	Log  *slog.Logger // hears when sending begins to fail and when it works again
}

const (
	batchBytes  = 256 << 10        // a request is sent as soon as so much waits
	queueBytes  = 4 << 20          // what more comes is dropped
	firstPause  = time.Second      // before a request that failed is sent again;
	longPause   = 30 * time.Second // doubled up to this,
	batchExpiry = 2 * time.Minute  // and given up after this
)

// Queue sends items in batches, one request at a time, and drops what comes while
// [queueBytes] wait: unlike an audit event, a span is not worth a late answer.
type Queue struct {
	opts   QueueOptions
	sender *Sender
	ctx    context.Context // of requests: they end with Close
	cancel context.CancelFunc

	mu      sync.Mutex
	buf     []byte // items that wait, each followed by a comma
	items   int
	closed  bool
	some    chan struct{} // 1: something waits
	full    chan struct{} // 1: enough for a request
	closing chan struct{}
	done    chan struct{}
}

// NewQueue starts a Queue. Close ends it, and the sender.
func NewQueue(sender *Sender, opts QueueOptions) *Queue {
	q := &Queue{
		opts: opts, sender: sender,
		some: make(chan struct{}, 1), full: make(chan struct{}, 1),
		closing: make(chan struct{}), done: make(chan struct{}),
	}
	q.ctx, q.cancel = context.WithCancel(context.Background())
	go q.run()
	return q
}

// Put adds an item, a JSON value. It keeps nothing of it and never waits.
func (q *Queue) Put(item []byte) {
	q.mu.Lock()
	drop := q.closed || len(q.buf) >= queueBytes
	if !drop {
		q.buf = append(append(q.buf, item...), ',')
		q.items++
		if q.items == 1 {
			signal(q.some)
		}
		if len(q.buf) >= batchBytes {
			signal(q.full)
		}
	}
	q.mu.Unlock()
	if drop {
		q.opts.Sent(0, 1)
	}
}

// Close sends what waits, or gives up when ctx ends.
func (q *Queue) Close(ctx context.Context) error {
	q.mu.Lock()
	if !q.closed {
		q.closed = true
		close(q.closing)
	}
	q.mu.Unlock()
	signal(q.some)
	signal(q.full)
	defer q.sender.Close()
	defer q.cancel()
	select {
	case <-q.done:
		return nil
	case <-ctx.Done():
	}
	q.cancel()
	<-q.done
	return fmt.Errorf("send %s: %w", q.opts.What, ctx.Err())
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// run is the only goroutine that sends.
func (q *Queue) run() {
	defer close(q.done)
	timer := time.NewTimer(q.opts.Every)
	defer timer.Stop()
	var spare []byte
	failing := false
	for {
		<-q.some
		timer.Reset(q.opts.Every)
		select {
		case <-timer.C:
		case <-q.full:
		}
		q.mu.Lock()
		buf, items, closed := q.buf, q.items, q.closed
		q.buf, q.items = spare, 0
		q.mu.Unlock()
		if items > 0 {
			failing = q.deliver(buf, items, failing)
		}
		if closed {
			return
		}
		if spare = buf[:0]; cap(spare) > 2*batchBytes {
			spare = nil // a burst; not kept
		}
	}
}

// deliver sends one batch, however often it takes within batchExpiry, and reports
// whether it failed.
func (q *Queue) deliver(buf []byte, items int, failing bool) bool {
	body := make([]byte, 0, len(q.opts.Open)+len(buf)+len(q.opts.Close))
	body = append(body, q.opts.Open...)
	body = append(body, buf[:len(buf)-1]...) // without the last comma
	body = append(body, q.opts.Close...)
	began := time.Now()
	for pause := firstPause; ; pause = min(2*pause, longPause) {
		err := q.sender.Send(q.ctx, body)
		if err == nil {
			if failing {
				q.opts.Log.Warn(q.opts.What + " are sent again")
			}
			q.opts.Sent(items, 0)
			return false
		}
		if !failing {
			q.opts.Log.Warn(q.opts.What+" cannot be sent", "cause", err)
			failing = true
		}
		if r, ok := errors.AsType[*RejectedError](err); ok {
			lost := min(r.N, items)
			q.opts.Sent(items-lost, lost)
			return true
		}
		if errors.Is(err, ErrRefused) || time.Since(began) > batchExpiry || !q.wait(err, pause) {
			q.opts.Sent(0, items)
			return true
		}
	}
}

// wait waits before a request is sent again, and reports whether it is to be.
func (q *Queue) wait(err error, pause time.Duration) bool {
	if later, ok := errors.AsType[*LaterError](err); ok && later.After > 0 {
		pause = later.After
	}
	closing := q.closing
	select {
	case <-closing: // somebody waits: try what can be tried
		closing, pause = nil, 100*time.Millisecond
	default:
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-closing:
		return true
	case <-q.ctx.Done():
		return false
	}
}
