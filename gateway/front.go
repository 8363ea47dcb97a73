package gateway

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/audit"
	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// front is one client of a transport that holds a connection, HTTP+SSE or WebSocket:
// the connection carries every answer to it, and the front holds what a Streamable
// HTTP client would have remembered of its session with the backend. It lives as
// long as the connection.
type front struct {
	id       string // where messages come by other requests; else only not empty
	endpoint *Endpoint
	who      *identity.Caller // whoever opened the connection
	caller   string           // its Key
	token    secret.Value     // that proved it, where the inner door may need it
	captured http.Header      // passthrough values of the request that opened it (REQ E-4)

	write func(msg []byte) error // sends the client one message; safe for many at a time
	ctx   context.Context        // of the calls: the client's connection
	calls sync.WaitGroup         // exchanges under way
	// listening ends with ctx, and already when the connection is only listened to any
	// more: when the configuration changes, on a drain, with the caller's token.
	listening context.Context

	mu       sync.Mutex
	session  backend.Session
	revision mcp.Revision // as negotiated with the backend
	elicits  bool         // the client can be sent to a URL
	closing  bool
	listens  bool                 // the backend's own stream is open, or was refused
	running  map[string]*Exchange // requests under way, by id as it was written
}

var (
	errClientGone = errors.New("the client's connection is gone")
	errCancelled  = errors.New("the client cancelled the request")
)

// begin runs an exchange of the front, unless the front is closing, or has been told to.
func (f *front) begin(run func()) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closing || f.listening.Err() != nil {
		return false
	}
	f.calls.Go(run)
	return true
}

// finishLimit bounds how long the calls of a front may go on that takes no new ones.
const finishLimit = time.Hour

// finish waits for what is under way: the front takes no new exchange, those there
// are end by themselves, or because the client has left, or after finishLimit.
func (f *front) finish() {
	f.mu.Lock()
	f.closing = true
	f.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		f.calls.Wait()
		close(ended)
	}()
	limit := time.AfterFunc(finishLimit, f.cancelAll)
	defer limit.Stop()
	<-ended
}

func (f *front) cancelAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, x := range f.running {
		x.cancel(context.DeadlineExceeded)
	}
}

// close ends the front, and the backend's session with it.
func (f *front) close() {
	f.finish()
	f.mu.Lock()
	session := f.session
	f.mu.Unlock()
	if session.ID == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(f.ctx), 5*time.Second)
	defer cancel()
	req := &backend.Request{Method: http.MethodDelete, Header: http.Header{}}
	if f.authorize(ctx, req) != nil {
		return // the backend would not know whose session it is to end
	}
	f.address(req)
	if resp, err := f.endpoint.backend.Do(ctx, req); err == nil {
		_ = resp.Body.Close()
	}
}

// authorize gives a request that no client message stands behind its private
// headers. The credential is that of whoever opened the connection.
func (f *front) authorize(ctx context.Context, req *backend.Request) error {
	err := f.endpoint.outgoing.show(ctx, f.who, f.token, f.captured, req)
	if err != nil {
		f.endpoint.log.Warn("no credential for a client's connection", "cause", err)
	}
	return err
}

// postFront takes a message of a front. Notifications and answers go to the backend
// before the next message is looked at, so that their order holds; the answer to a
// request comes by the front's connection, when it comes (S3).
func (e *Endpoint) postFront(x *Exchange, req *backend.Request) *mcp.Error {
	f := x.front
	e = f.endpoint // the connection goes on with the configuration it began with
	req.Header["Accept"] = []string{"application/json, text/event-stream"}
	if !x.revision.Modern() {
		f.address(req)
	}
	if !x.isRequest() {
		return f.notify(x, req)
	}
	if x.surface == surfaceMessages && x.message.Meta.HasVersion { // some clients try this before they initialize
		f.accept(x)
		x.outcome, x.reason = audit.Denied, "revision"
		_ = f.send(mcp.LegacyOnly(x.message.Meta.ProtocolVersion).Append(nil, x.message.ID)) // nobody else to tell
		return nil
	}
	done := func() {}
	switch {
	case x.message.Method == "subscriptions/listen":
		x.ctx = f.listening
	case x.surface == surfaceFrame:
		done = e.beginAtBackend(x)
	default:
		x.ctx = f.ctx
	}
	x.ctx, x.cancel = context.WithCancelCause(x.ctx)
	end := func() { x.cancel(nil); done() }
	if !f.claim(x) {
		end()
		return mcp.Errorf(http.StatusBadRequest, mcp.CodeInvalidRequest, "the id of this request is that of another one that is still running; use a new id")
	}
	accepted := make(chan struct{}) // the answer to the post comes before that to the request
	headed := make(chan struct{})
	begun := f.begin(func() {
		defer end()
		<-accepted
		f.call(x, req, headed)
	})
	if !begun {
		f.unclaim(x)
		end()
		return f.refusal()
	}
	x.detached = true
	f.accept(x)
	listens := x.message.Method == "subscriptions/listen"
	close(accepted) // from here on the exchange is the call's
	if listens {
		f.await(headed)
	}
	return nil
}

// await holds the next message back until a subscription has reached the backend: a
// client that has just subscribed expects to hear of what its next call changes.
func (f *front) await(headed <-chan struct{}) {
	late := time.NewTimer(subscribeTime)
	defer late.Stop()
	select {
	case <-headed:
	case <-late.C:
	case <-f.ctx.Done():
	}
}

// subscribeTime is how long the other messages of a client wait for a subscription.
const subscribeTime = 5 * time.Second

// refusal is the answer to a message that comes while the front is closing.
func (f *front) refusal() *mcp.Error {
	if context.Cause(f.listening) == errExpired {
		return mcp.Errorf(http.StatusUnauthorized, mcp.CodeInvalidRequest, "the token has expired; connect again with a new one")
	}
	return mcp.Errorf(http.StatusNotFound, mcp.CodeInvalidRequest, "the session is ending; connect and initialize again")
}

// accept tells the client's post, if there is one, that its message was taken.
func (f *front) accept(x *Exchange) {
	x.status = http.StatusAccepted
	x.w.WriteHeader(http.StatusAccepted)
}

// address says which session a legacy message is of.
func (f *front) address(req *backend.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	req.Session = f.session
	if f.revision >= mcp.Rev20250618 {
		req.Header[mcp.HeaderProtocolVersion] = []string{string(f.revision)}
	}
}

// claim notes a request under way by its id, which nobody else may have meanwhile:
// on one connection two answers could not be told apart.
func (f *front) claim(x *Exchange) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.running[string(x.message.ID)] != nil {
		return false
	}
	if f.running == nil {
		f.running = map[string]*Exchange{}
	}
	f.running[string(x.message.ID)] = x
	return true
}

// unclaim gives the id free. It comes before the answer: who has that may use the id
// again at once (M28).
func (f *front) unclaim(x *Exchange) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.running[string(x.message.ID)] == x {
		delete(f.running, string(x.message.ID))
	}
}

// answer sends what ends a request.
func (f *front) answer(x *Exchange, msg []byte) error {
	f.unclaim(x)
	return f.send(msg)
}

// notify carries to the backend what nobody answers.
func (f *front) notify(x *Exchange, req *backend.Request) *mcp.Error {
	e := f.endpoint
	x.ctx = f.ctx
	if x.message.Method == "notifications/cancelled" && f.cancelled(&x.message) {
		f.accept(x)
		return nil
	}
	call := e.beginCall(x, req)
	defer call.end()
	resp, err := e.ask(f.ctx, x, req)
	if err != nil {
		return e.failed(x, err)
	}
	_ = resp.Body.Close()
	if x.message.Method == "notifications/initialized" {
		f.listen()
	}
	f.accept(x)
	return nil
}

// cancelled ends a modern request under way: to the backend it is cancelled by
// leaving it (M30). It is false for what the backend itself has to be told.
func (f *front) cancelled(m *mcp.Envelope) bool {
	id, err := mcp.Member(m.Bytes(m.Params), "requestId")
	if err != nil {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	x := f.running[string(id)]
	if x != nil && x.revision.Modern() {
		x.cancel(errCancelled)
		return true
	}
	return x == nil && f.session.ID == "" && f.revision == "" // without a session it was modern, and has ended
}

// call carries one request to the backend and its answer to the client, and closes
// the books on the exchange.
func (f *front) call(x *Exchange, req *backend.Request, headed chan<- struct{}) {
	e := f.endpoint
	defer func() {
		if p := recover(); p != nil {
			e.panicked(x, p)
			_ = f.answer(x, mcp.Errorf(0, mcp.CodeInternal, "internal error, see the gateway's log for %s", x.id).Append(nil, x.message.ID)) // or it waits for ever
		}
		f.unclaim(x)
		e.finish(x)
	}()
	call := e.beginCall(x, req)
	defer call.end()
	resp, err := e.ask(x.ctx, x, req)
	close(headed)
	if err == nil {
		defer resp.Body.Close()
		e.reached(healthReady)
		call.answeredBy(resp)
		x.replied(resp.Status)
		f.noteSession(x, resp)
		if err = e.reshape(x, resp); err == nil {
			err = f.pass(x, resp)
		}
	}
	switch {
	case err == nil:
	case errors.Is(err, errClientGone) && resp != nil:
		e.abandoned(x, resp.Body)
	case toldToEnd(x.ctx):
		_ = f.answer(x, listenEnded(x.message.ID)) // only what listens is told to end
	case x.ctx.Err() != nil:
		x.left() // it cancelled, or is gone: it wants no answer (M30)
	default:
		public := e.failed(x, err)
		x.replied(public.Status)
		_ = f.answer(x, public.Append(nil, x.message.ID))
	}
}

// replied notes the status of an answer for the books. On HTTP+SSE that is the one
// which the post has got already.
func (x *Exchange) replied(status int) {
	if x.surface == surfaceFrame {
		x.status = status
	}
}
