package surface

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/pipeline"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/upstream"
)

// connection is one client of a transport that holds a connection, HTTP+SSE or
// WebSocket: the connection carries every answer to it, and remembers what a Streamable
// HTTP client would have of its session.
type connection struct {
	id       string // where messages come by other requests; else only not empty
	s        *Surfaces
	e        *pipeline.Endpoint // it goes on with the configuration it began with
	caller   *identity.Caller   // whoever opened it
	token    secret.Value       // that proved the caller, where the inner door may need it
	sharer   string             // as in [upstream.Call]
	captured http.Header        // passthrough values of the request that opened it (REQ E-4)

	write func(msg []byte) error // sends the client one message; safe for many at a time
	ctx   context.Context        // of the calls: the client's connection
	calls sync.WaitGroup         // exchanges under way
	// listening ends with ctx, and already when the connection is only listened to any
	// more: when the configuration changes, on a drain, with the caller's token.
	listening context.Context

	mu       sync.Mutex
	state    []byte       // of its session
	revision mcp.Revision // as negotiated with the backend
	elicits  bool         // the client can be sent to a URL
	closing  bool
	listens  bool               // the backend's own stream is open, or was refused
	running  map[string]running // requests under way, by id as it was written
}

// running is a request under way.
type running struct {
	x      *pipeline.Exchange
	cancel context.CancelCauseFunc
}

var (
	errClientGone = errors.New("the client's connection is gone")
	errCancelled  = errors.New("the client cancelled the request")
)

// newConnection makes the connection that an exchange opened. listening is of [listening].
func newConnection(ctx, listening context.Context, q *request, id string) *connection {
	return &connection{
		id: id, s: q.s, e: q.e, caller: q.Caller, token: q.Token, sharer: q.Call.Sharer, captured: q.Call.Captured,
		ctx: ctx, listening: listening,
	}
}

// session is what the client would present if it had to.
func (c *connection) session() pipeline.Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	return pipeline.Session{ID: c.id, State: c.state, Captured: c.captured}
}

// begin runs an exchange of the connection, unless that is closing, or has been told to.
func (c *connection) begin(run func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing || c.listening.Err() != nil {
		return false
	}
	c.calls.Go(run)
	return true
}

// finishLimit bounds how long the calls of a connection may go on that takes no new ones.
const finishLimit = time.Hour

// finish waits for what is under way: the connection takes no new exchange, those there
// are end by themselves, or because the client has left, or after finishLimit.
func (c *connection) finish() {
	c.mu.Lock()
	c.closing = true
	c.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		c.calls.Wait()
		close(ended)
	}()
	limit := time.AfterFunc(finishLimit, c.cancelAll)
	defer limit.Stop()
	<-ended
}

func (c *connection) cancelAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.running {
		r.cancel(context.DeadlineExceeded)
	}
}

// close ends the connection, and its session with it.
func (c *connection) close() {
	c.finish()
	call := c.ownCall()
	if len(call.State) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), 5*time.Second)
	defer cancel()
	if c.prepare(ctx, call) {
		_ = c.e.Target.Close(ctx, call) // the client is gone; there is nobody left to tell
	}
}

// ownCall is a call that no client message stands behind. It is made as whoever opened
// the connection.
func (c *connection) ownCall() *upstream.Call {
	call := &upstream.Call{Caller: c.caller, Token: c.token, Sharer: c.sharer, Captured: c.captured, Header: http.Header{}}
	c.address(call)
	return call
}

// prepare is false for a call without a credential: the backend would not know whose
// it is.
func (c *connection) prepare(ctx context.Context, call *upstream.Call) bool {
	err := c.e.Target.Prepare(ctx, call)
	if err != nil {
		c.e.Log.Warn("no credential for a client's connection", "cause", err)
	}
	return err == nil
}

// address says which session a legacy message is of.
func (c *connection) address(call *upstream.Call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	call.State = c.state
	if c.revision >= mcp.Rev20250618 {
		call.Header[mcp.HeaderProtocolVersion] = []string{string(c.revision)}
	}
}

// passage is how a message of a connection travels: until when, and what is said to the
// request it came by, if there is one.
type passage struct {
	ctx    context.Context
	done   func()
	accept func() // tells the client's post that its message was taken
	status int    // of the post; 0 for messages that have none
}

// take takes a message of the connection. Notifications and answers go to the backend
// before the next message is looked at, so that their order holds; the answer to a
// request comes by the connection, when it comes (MCP 2024-11-05 transports).
func (c *connection) take(x *pipeline.Exchange, p passage) *mcp.Error {
	if err := x.Prepare(); err != nil {
		p.done()
		return err
	}
	x.Call.Header["Accept"] = []string{"application/json, text/event-stream"}
	if !x.Revision.Modern() {
		c.address(&x.Call)
	}
	if !x.IsRequest() {
		p.done()
		return c.notify(x, p)
	}
	listens := x.Message.Method == "subscriptions/listen"
	if listens {
		p.ctx = c.listening
	}
	ctx, cancel := context.WithCancelCause(p.ctx)
	end := func() { cancel(nil); p.done() }
	if !c.claim(x, cancel) {
		end()
		return mcp.Errorf(http.StatusBadRequest, mcp.CodeInvalidRequest, "the id of this request is that of another one that is still running; use a new id")
	}
	accepted := make(chan struct{}) // the answer to the post comes before that to the request
	headed := make(chan struct{})
	begun := c.begin(func() {
		defer end()
		<-accepted
		x.Rest(func() *mcp.Error { return c.call(ctx, x, p.status, headed) })
	})
	if !begun {
		c.unclaim(x)
		end()
		return c.refusal()
	}
	x.Detach()
	p.accept()
	close(accepted) // from here on the exchange is the call's
	if listens {
		c.await(headed)
	}
	return nil
}

// await holds the next message back until a subscription has reached the backend: a
// client that has just subscribed expects to hear of what its next call changes.
func (c *connection) await(headed <-chan struct{}) {
	late := time.NewTimer(subscribeTime)
	defer late.Stop()
	select {
	case <-headed:
	case <-late.C:
	case <-c.ctx.Done():
	}
}

// subscribeTime is how long the other messages of a client wait for a subscription.
const subscribeTime = 5 * time.Second

// refusal is the answer to a message that comes while the connection is closing.
func (c *connection) refusal() *mcp.Error {
	if context.Cause(c.listening) == errExpired {
		return mcp.Errorf(http.StatusUnauthorized, mcp.CodeInvalidRequest, "the token has expired; connect again with a new one")
	}
	return mcp.Errorf(http.StatusNotFound, mcp.CodeInvalidRequest, "the session is ending; connect and initialize again")
}

// claim notes a request under way by its id, which nobody else may have meanwhile:
// on one connection two answers could not be told apart.
func (c *connection) claim(x *pipeline.Exchange, cancel context.CancelCauseFunc) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, taken := c.running[string(x.Message.ID)]; taken {
		return false
	}
	if c.running == nil {
		c.running = map[string]running{}
	}
	c.running[string(x.Message.ID)] = running{x, cancel}
	return true
}

// unclaim gives the id free. It comes before the answer: who has that may use the id
// again at once.
func (c *connection) unclaim(x *pipeline.Exchange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running[string(x.Message.ID)].x == x {
		delete(c.running, string(x.Message.ID))
	}
}

// notify carries to the backend what nobody answers.
func (c *connection) notify(x *pipeline.Exchange, p passage) *mcp.Error {
	if x.Message.Method != "notifications/cancelled" || !c.cancelled(&x.Message) {
		if x.Message.Method == "notifications/cancelled" {
			c.forget(&x.Message)
		}
		a, err := x.Do(c.ctx)
		if err != nil {
			return x.Failed(err)
		}
		x.Done(a)
		if x.Message.Method == "notifications/initialized" {
			c.listen()
		}
	}
	x.Status = http.StatusAccepted
	p.accept()
	return nil
}

// forget ends a request of an older revision whose client has cancelled it: nobody wants
// what the backend, which is about to hear so, may still say to it.
func (c *connection) forget(m *mcp.Envelope) {
	id, err := mcp.Member(m.Bytes(m.Params), "requestId")
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if r, ok := c.running[string(id)]; ok && r.x.Message.Method != "initialize" {
		r.cancel(errCancelled)
	}
}

// cancelled ends a modern request under way: to the backend it is cancelled by
// leaving it. It is false for what the backend itself has to be told.
func (c *connection) cancelled(m *mcp.Envelope) bool {
	id, err := mcp.Member(m.Bytes(m.Params), "requestId")
	if err != nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	r, ok := c.running[string(id)]
	if ok && r.x.Revision.Modern() {
		r.cancel(errCancelled)
		return true
	}
	return !ok && len(c.state) == 0 && c.revision == "" // without a session it was modern, and has ended
}

// call carries one request to the backend and its answer to the client. status is what
// the books have as its HTTP status; 0 for that of the answer.
func (c *connection) call(ctx context.Context, x *pipeline.Exchange, status int, headed chan<- struct{}) *mcp.Error {
	defer c.unclaim(x)
	a, err := x.Do(ctx)
	close(headed)
	if err == nil {
		defer x.Done(a)
		if status == 0 {
			status = a.Status
		}
		c.noteState(x, a)
		err = c.answer(x, a)
	}
	switch {
	case err == nil:
	case errors.Is(err, errClientGone):
		abandoned(x, a.Body)
	case toldToEnd(ctx):
		_ = c.last(x, listenEnded(x.Message.ID)) // only what listens is told to end
	case ctx.Err() != nil:
		x.Left() // it cancelled, or is gone: it wants no answer
	default:
		return x.Failed(err)
	}
	x.Status = status
	return nil
}
