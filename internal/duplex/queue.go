package duplex

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/backend"
)

// maxQueued is how many bytes may wait for a reader that does not keep up. One
// message alone may be longer.
const maxQueued = 4 << 20

// event is one thing that a stream is told.
type event struct {
	raw     []byte
	last    bool             // the response: nothing follows
	status  int              // of HTTP, for a response that comes alone
	failure *backend.Failure // instead of a response: nothing follows
}

// queue holds the messages of one stream until it is read.
type queue struct {
	mu     sync.Mutex
	events []event
	size   int           // bytes in events
	ended  bool          // the last event is in
	closed error         // what take says once events are gone; nil while open
	wake   chan struct{} // holds one token after a change that take waits for
	room   chan struct{} // holds one token after a change that put waits for
}

func newQueue() *queue {
	return &queue{wake: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

// What put says of an event that is not in the queue.
var (
	errQueueClosed = errors.New("nobody reads the stream any more")
	errQueueFull   = errors.New("the client reads too slowly")
)

// put adds an event. When the queue is full it waits for the reader, as long as
// patience lasts since the reader last took something: that is how a server that
// talks faster than the client reads is slowed down.
func (q *queue) put(ev event, patience time.Duration) error {
	for {
		if done, err := q.offer(ev); done {
			return err
		}
		if patience <= 0 {
			return errQueueFull
		}
		timer := time.NewTimer(patience)
		select {
		case <-q.room:
			timer.Stop()
		case <-timer.C:
			return errQueueFull
		}
	}
}

// offer puts an event in if there is room. The last one is never held back, and
// nothing is put behind it.
func (q *queue) offer(ev event) (done bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	last := ev.last || ev.failure != nil
	switch {
	case q.closed != nil || q.ended:
		return true, errQueueClosed
	case len(q.events) > 0 && q.size+len(ev.raw) > maxQueued && !last:
		return false, nil
	}
	q.add(ev)
	if last {
		q.ended = true
		signal(q.room) // for nothing else
	}
	return true, nil
}

// add appends without asking for room. The caller holds q.mu, or nobody else knows
// q yet.
func (q *queue) add(ev event) {
	q.events = append(q.events, ev)
	q.size += len(ev.raw)
	signal(q.wake)
}

// take returns the next event, and waits for one until ctx ends or the queue is
// closed. One goroutine at a time may take.
func (q *queue) take(ctx context.Context) (event, error) {
	for {
		q.mu.Lock()
		if len(q.events) > 0 {
			ev := q.events[0]
			q.events[0] = event{}
			q.events = q.events[1:]
			q.size -= len(ev.raw)
			signal(q.room)
			q.mu.Unlock()
			return ev, nil
		}
		closed := q.closed
		q.mu.Unlock()
		if closed != nil {
			return event{}, closed
		}
		select {
		case <-q.wake:
		case <-ctx.Done():
			return event{}, context.Cause(ctx)
		}
	}
}

// failed waits for the failure that ends the stream, and leaves everything where it
// is; nil when ctx ends first.
func (q *queue) failed(ctx context.Context) *backend.Failure {
	for {
		q.mu.Lock()
		var last event
		if n := len(q.events); n > 0 {
			last = q.events[n-1]
		}
		q.mu.Unlock()
		if last.failure != nil {
			return last.failure
		}
		select {
		case <-q.wake:
		case <-ctx.Done():
			return nil
		}
	}
}

// close ends the queue with err and returns what nobody has read. Only the first
// close counts.
func (q *queue) close(err error) []event {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed != nil {
		return nil
	}
	rest := q.events
	q.events, q.size, q.closed = nil, 0, err
	signal(q.wake)
	signal(q.room)
	return rest
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
