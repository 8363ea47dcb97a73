package backend

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// call is one request in flight over a trunk.
type call struct {
	id     []byte // as the client wrote it
	wireID []byte // as the server knows it
	key    string // idKey of wireID
	token  string // idKey of the progress token as the server knows it; "" for none
	method string
	target string
	out    outbound   // what was sent; its body only where it is worthKeeping
	serial uint64     // by age
	own    bool       // the gateway's: no client listens
	shared sharedCall // of a shared connection

	box *mailbox
}

// errReplaced closes the mailbox of a listening stream that ends in order.
var errReplaced = errors.New("a newer stream took over")

// exchange sends c and waits for the head of its answer. The caller has entered
// the trunk; an answer that is a stream stays entered until it is closed.
func (t *trunk) exchange(ctx context.Context, c *call, out outbound) (*Response, *Failure) {
	wait, cancel := context.WithTimeout(ctx, t.answer)
	defer cancel()
	if f := t.ready(wait); f != nil {
		return nil, f
	}
	conn, f := t.begin(c)
	if f != nil {
		return nil, f
	}
	first, f := t.dispatch(wait, conn, c, out)
	switch {
	case f != nil && ctx.Err() != nil:
		return nil, ended(ctx, t.name)
	case f != nil:
		return nil, f
	case first.last:
		return jsonResponse(first.status, first.raw), nil
	}
	t.hold()
	body := &eventBody{ctx: ctx, box: c.box, id: c.id, gone: func() { t.abandon(c, errBodyDone) }, leave: t.leave}
	body.fill(first)
	return streamResponse(body), nil
}

// begin registers c, so that what the server says finds it.
func (t *trunk) begin(c *call) (link, *Failure) {
	c.box = newMailbox()
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.closed != nil:
		return nil, t.closed
	case t.life == nil || !t.up && !c.own:
		return nil, t.neverGot()
	case t.calls[c.key] != nil:
		return nil, &Failure{Reason: ReasonBadRequest, Public: mcp.Errorf(http.StatusBadRequest, mcp.CodeInvalidRequest,
			"%s: the id of this request is that of another one that is still running; use a new id", t.name)}
	}
	t.serial++
	c.serial = t.serial
	t.calls[c.key] = c
	t.user.begun(c)
	return t.life.link, nil
}

// dispatch sends a registered call and returns the first letter that comes for it.
func (t *trunk) dispatch(ctx context.Context, conn link, c *call, out outbound) (letter, *Failure) {
	err := conn.send(ctx, out)
	f, refused := errors.AsType[*Failure](err)
	switch {
	case refused:
		t.takeBack(c)
		return letter{}, f
	case errors.Is(err, errUnsent):
		t.takeBack(c)
		if ctx.Err() != nil {
			return letter{}, timedOut(t.name, errNoAnswer)
		}
		return letter{}, t.neverGot()
	}
	first, err := c.box.take(ctx)
	switch {
	case err == nil:
		return first, first.failure
	case errors.Is(err, errMailboxFull):
		return letter{}, fail(t.name, http.StatusBadGateway, ReasonTooLarge, err, "the server sent more than could be passed on")
	}
	t.abandon(c, errBodyDone)
	return letter{}, timedOut(t.name, errNoAnswer)
}

// neverGot is the Failure of a request that did no harm.
func (t *trunk) neverGot() *Failure {
	return fail(t.name, http.StatusBadGateway, ReasonCrashed, nil, "the server ended before it got the request; send it again")
}

// ask sends a request of the gateway's own while the link is being greeted, and
// returns the response.
func (t *trunk) ask(ctx context.Context, id []byte, out outbound) (message, *Failure) {
	c := &call{id: id, wireID: id, key: idKey(id), own: true}
	conn, f := t.begin(c)
	if f != nil {
		return message{}, f
	}
	answer, f := t.dispatch(ctx, conn, c, out)
	if f != nil {
		return message{}, f
	}
	m, _ := readMessage(answer.raw)
	return m, nil
}

// response brings an answer to the call it is for.
func (t *trunk) response(m message) {
	key := idKey(m.bytes(m.id))
	t.mu.Lock()
	c := t.calls[key]
	if c == nil {
		t.mu.Unlock()
		t.log.Debug("answer of server is for no request in flight and was dropped")
		return
	}
	delete(t.calls, key)
	l := letter{raw: m.raw, last: true, status: http.StatusOK}
	if !c.own {
		l.raw, l.status = t.user.answered(c, m)
	}
	t.mu.Unlock()
	_ = c.box.put(l, 0) // closed: the client went first
}

// takeBack forgets a call that the server has not seen. What its stream was to
// begin with is still to be told.
func (t *trunk) takeBack(c *call) {
	t.drop(c)
	rest := c.box.close(errBodyDone)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.user.untold(rest)
}

// drop takes a call off the list, and reports whether it was there.
func (t *trunk) drop(c *call) bool {
	t.mu.Lock()
	mine := t.calls[c.key] == c
	if mine {
		delete(t.calls, c.key)
	}
	t.mu.Unlock()
	return mine
}

// abandon forgets a call that nobody waits for any more and tells the server.
// Whoever still reads gets err.
func (t *trunk) abandon(c *call, err error) {
	mine := t.drop(c)
	c.box.close(err)
	if !mine || c.own {
		return
	}
	if notice := t.user.cancellation(c); notice != nil {
		t.tell(outbound{body: notice, public: c.out.public, private: c.out.private})
	}
}

// withdraw ends a call that its own client has cancelled. A server need not answer
// a cancelled request (MCP 2025-11-25 cancellation), so the answer is no more than
// waited for. The exchange still needs an end that is not taken for a broken one.
func (t *trunk) withdraw(key string) {
	const grace = 2 * time.Second
	t.mu.Lock()
	c := t.calls[key]
	t.mu.Unlock()
	if c == nil || c.own {
		return
	}
	time.AfterFunc(grace, func() {
		if t.drop(c) {
			e := mcp.Errorf(http.StatusOK, mcp.CodeInternal, "%s: the request was cancelled", t.name)
			_ = c.box.put(letter{raw: e.Append(nil, c.id), last: true, status: e.Status}, 0) // closed: the client went first
		}
	})
}

// cancelled is the notification that ends a request.
func cancelled(wireID []byte) []byte {
	const head, tail = `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":`,
		`,"reason":"nobody waits for the answer any more"}}`
	return append(append([]byte(head), wireID...), tail...)
}

// refusal answers a request that the gateway itself finds wrong.
func refusal(id []byte, e *mcp.Error) *Response {
	return jsonResponse(e.Status, e.Append(nil, id))
}

func jsonResponse(status int, body []byte) *Response {
	return &Response{
		Status:        status,
		Header:        http.Header{"Content-Type": {"application/json"}},
		Body:          io.NopCloser(bytes.NewReader(body)),
		ContentLength: int64(len(body)),
	}
}

func streamResponse(body io.ReadCloser) *Response {
	return &Response{
		Status:        http.StatusOK,
		Header:        http.Header{"Content-Type": {"text/event-stream"}, "Cache-Control": {"no-store"}},
		Body:          body,
		ContentLength: -1,
		Stream:        true,
	}
}

// statusResponse is an answer without a body.
func statusResponse(status int) *Response {
	return &Response{Status: status, Header: http.Header{}, Body: http.NoBody}
}

// eventBody is a mailbox read as an event stream. It ends after the last letter,
// or with the box.
type eventBody struct {
	ctx  context.Context
	box  *mailbox
	id   []byte // of the request; nil for a listening stream
	gone func() // the reader went before the end

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
		l, err := b.box.take(b.ctx)
		switch {
		case errors.Is(err, errReplaced):
			b.end()
		case err != nil:
			b.err = err
		default:
			b.fill(l)
		}
	}
	n := copy(p, b.rest)
	if b.rest = b.rest[n:]; len(b.rest) > 0 {
		return n, nil
	}
	return n, b.err
}

// fill makes an event of a letter.
func (b *eventBody) fill(l letter) {
	if l.failure != nil {
		l.raw, l.last = l.failure.Public.Append(nil, b.id), true
	}
	const large = 64 << 10
	if cap(b.buf) > large {
		b.buf = nil
	}
	b.buf = mcp.AppendEvent(b.buf[:0], mcp.Event{Name: "message", Data: l.raw})
	b.rest = b.buf
	if l.last {
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

// appendID appends a number as a JSON id.
func appendID(n uint64) []byte { return strconv.AppendUint(nil, n, 10) }
