package duplex

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// call is one request in flight over a connection.
type call struct {
	id     []byte // as the client wrote it
	wireID []byte // as the server knows it
	key    string // idKey of wireID
	asked  string // idKey of id
	token  string // idKey of the progress token as the server knows it; "" for none
	method string
	target string
	out    outbound   // what was sent; its body only where it is worthKeeping
	caller string     // see Request.Caller
	serial uint64     // by age
	own    bool       // the gateway's: no client listens
	shared sharedCall // of a shared connection

	queue *queue
}

// errReplaced closes the queue of a listening stream that ends in order.
var errReplaced = errors.New("a newer stream took over")

// exchange sends c and waits for the head of its answer. The caller has entered
// the connection; an answer that is a stream stays entered until it is closed.
func (conn *connection) exchange(ctx context.Context, c *call, out outbound) (*backend.Response, *backend.Failure) {
	wait, cancel := context.WithTimeout(ctx, conn.answer)
	defer cancel()
	if f := conn.ready(wait); f != nil {
		return nil, f
	}
	ln, f := conn.begin(c)
	if f != nil {
		return nil, f
	}
	first, f := conn.dispatch(wait, ln, c, out)
	switch {
	case f != nil && ctx.Err() != nil:
		return nil, backend.Ended(ctx, conn.name)
	case f != nil:
		return nil, f
	case first.last:
		return backend.JSONResponse(first.status, first.raw), nil
	}
	conn.hold()
	body := &eventBody{ctx: ctx, queue: c.queue, id: c.id, gone: func() { conn.abandon(c, errBodyDone) }, leave: conn.leave}
	body.fill(first)
	return backend.StreamResponse(body), nil
}

// begin registers c, so that what the server says finds it.
func (conn *connection) begin(c *call) (link, *backend.Failure) {
	c.queue = newQueue()
	conn.mu.Lock()
	defer conn.mu.Unlock()
	switch {
	case conn.closed != nil:
		return nil, conn.closed
	case conn.generation == nil || !conn.up && !c.own:
		return nil, conn.neverGot()
	}
	conn.serial++
	c.serial = conn.serial
	conn.calls[c.key] = c
	conn.user.begun(c)
	return conn.generation.link, nil
}

// dispatch sends a registered call and returns the first event that comes for it.
func (conn *connection) dispatch(ctx context.Context, ln link, c *call, out outbound) (event, *backend.Failure) {
	err := ln.send(ctx, out)
	f, refused := errors.AsType[*backend.Failure](err)
	switch {
	case refused:
		conn.takeBack(c)
		return event{}, f
	case errors.Is(err, errUnsent):
		why := conn.lastWords(ctx, c)
		conn.takeBack(c)
		switch {
		case ctx.Err() != nil:
			return event{}, backend.TimedOut(conn.name, errNoAnswer)
		case why != nil:
			return event{}, why
		}
		return event{}, conn.neverGot()
	}
	first, err := c.queue.take(ctx)
	switch {
	case err == nil:
		return first, first.failure
	case errors.Is(err, errQueueFull):
		return event{}, backend.Fail(conn.name, http.StatusBadGateway, backend.ReasonTooLarge, err, "the server sent more than could be passed on")
	}
	conn.abandon(c, errBodyDone)
	return event{}, backend.TimedOut(conn.name, errNoAnswer)
}

// lastWords is why a server ended that has never said anything, if it tells; nil when
// it does not soon, as one that has only just ended does.
func (conn *connection) lastWords(ctx context.Context, c *call) *backend.Failure {
	soon, cancel := context.WithTimeout(ctx, endingTime)
	defer cancel()
	if f := c.queue.failed(soon); f != nil && errors.Is(f.Cause, errNeverSpoke) {
		return f
	}
	return nil
}

// endingTime is how long a process that takes no input any more may need to end on a busy
// machine.
const endingTime = 10 * time.Second

// neverGot is the Failure of a request that did no harm.
func (conn *connection) neverGot() *backend.Failure {
	return backend.Fail(conn.name, http.StatusBadGateway, backend.ReasonCrashed, nil, "the server ended before it got the request; send it again")
}

// ask sends a request of the gateway's own while the link is being greeted, and
// returns the response.
func (conn *connection) ask(ctx context.Context, id []byte, out outbound) (message, *backend.Failure) {
	c := &call{id: id, wireID: id, key: idKey(id), own: true}
	ln, f := conn.begin(c)
	if f != nil {
		return message{}, f
	}
	answer, f := conn.dispatch(ctx, ln, c, out)
	if f != nil {
		return message{}, f
	}
	m, _ := readMessage(answer.raw)
	return m, nil
}

// response brings an answer to the call it is for.
func (conn *connection) response(m message) {
	key := idKey(m.bytes(m.id))
	conn.mu.Lock()
	c := conn.calls[key]
	if c == nil {
		level := slog.LevelDebug // late: its request was given up
		if !conn.strange && !conn.issued(key) {
			conn.strange, level = true, slog.LevelWarn
		}
		conn.mu.Unlock()
		conn.dropped(droppedStale)
		conn.log.Log(context.Background(), level, "answer of server is for no request in flight and was dropped")
		return
	}
	delete(conn.calls, key)
	ev := event{raw: m.raw, last: true, status: http.StatusOK}
	if !c.own {
		ev.raw, ev.status = conn.user.answered(c, m)
	}
	conn.mu.Unlock()
	_ = c.queue.put(ev, 0) // closed: the client went first
}

// unreadable takes an error that names no request, which is what a server says that
// could not read one. Where a single one is in flight, it is about that one: otherwise
// its client would wait in vain.
func (conn *connection) unreadable(m message) {
	conn.mu.Lock()
	var only *call
	for _, c := range conn.calls {
		only = c
	}
	if len(conn.calls) != 1 {
		conn.mu.Unlock()
		conn.dropped(droppedUnaddressed)
		conn.log.Warn("error of server names no request and was dropped", "requests", len(conn.calls))
		return
	}
	delete(conn.calls, only.key)
	ev := event{last: true, status: http.StatusOK}
	if only.own || conn.user.alone() {
		ev.raw = append([]byte(`{"jsonrpc":"2.0","id":`), only.id...)
		ev.raw = append(append(append(ev.raw, `,"error":`...), m.bytes(m.fault)...), '}')
	} else {
		ev.failure = backend.Fail(conn.name, http.StatusBadGateway, backend.ReasonBadAnswer, nil, "the server could not read the request")
	}
	conn.mu.Unlock()
	_ = only.queue.put(ev, 0) // closed: the client went first
}

// takeBack forgets a call that the server has not seen. What its stream was to
// begin with is still to be told.
func (conn *connection) takeBack(c *call) {
	conn.drop(c)
	rest := c.queue.close(errBodyDone)
	conn.mu.Lock()
	defer conn.mu.Unlock()
	conn.user.untold(rest)
}

// drop takes a call off the list, and reports whether it was there.
func (conn *connection) drop(c *call) bool {
	conn.mu.Lock()
	mine := conn.calls[c.key] == c
	if mine {
		delete(conn.calls, c.key)
	}
	conn.mu.Unlock()
	return mine
}

// abandon forgets a call that nobody waits for any more and tells the server.
// Whoever still reads gets err.
func (conn *connection) abandon(c *call, err error) {
	mine := conn.drop(c)
	c.queue.close(err)
	if !mine || c.own {
		return
	}
	if notice := conn.user.cancellation(c); notice != nil {
		conn.tell(outbound{body: notice, public: c.out.public, private: c.out.private})
	}
}

// find is the newest call that its client knows under an id; nil when there is none.
func (conn *connection) find(asked string) *call {
	conn.mu.Lock()
	defer conn.mu.Unlock()
	var found *call
	for _, c := range conn.calls {
		if !c.own && c.asked == asked && (found == nil || c.serial > found.serial) {
			found = c
		}
	}
	return found
}

// withdraw ends a call that its own client has cancelled. A server need not answer
// a cancelled request (MCP 2025-11-25 cancellation), so the answer is no more than
// waited for. The exchange still needs an end that is not taken for a broken one.
func (conn *connection) withdraw(c *call) {
	const grace = 2 * time.Second
	time.AfterFunc(grace, func() {
		if conn.drop(c) {
			e := mcp.Errorf(http.StatusOK, mcp.CodeInternal, "%s: the request was cancelled", conn.name)
			_ = c.queue.put(event{raw: e.Append(nil, c.id), last: true, status: e.Status}, 0) // closed: the client went first
		}
	})
}

// cancelled is the notification that ends a request.
func cancelled(wireID []byte) []byte {
	const head, tail = `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":`,
		`,"reason":"nobody waits for the answer any more"}}`
	return append(append([]byte(head), wireID...), tail...)
}
