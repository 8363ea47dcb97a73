package surface

import (
	"context"
	"net/http"
	"time"

	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/pipeline"
)

// streamable is a request of Streamable HTTP, of any revision.
type streamable struct {
	request
	ahead ahead
}

// Receive takes the request in. The backend itself decides about GET and DELETE
// (MCP 2025-11-25 transports).
func (q *streamable) Receive(*pipeline.Exchange) *mcp.Error {
	return q.receiveMessage("GET, POST, DELETE")
}

// FindSession unseals the session id that the client presents. An id the gateway
// did not make, or made for somebody else, is unknown: 404 tells the client to
// begin a new session (MCP 2025-11-25 transports). Modern requests have no sessions;
// initialize begins one, and is not judged by the one that its client leaves; and an
// empty id is none.
func (q *streamable) FindSession(x *pipeline.Exchange) *mcp.Error {
	values := x.Request.Header[mcp.HeaderSessionID]
	switch {
	case x.Revision.Modern() || x.Message.Method == "initialize" || len(values) == 0 || len(values) == 1 && values[0] == "":
		return nil
	case len(values) > 1:
		return mcp.Errorf(http.StatusBadRequest, mcp.CodeInvalidRequest, "%s is there more than once", mcp.HeaderSessionID)
	}
	var ok bool
	if x.Session, ok = q.s.openSession(q.e, values[0], x.CallerKey(), time.Now()); !ok {
		return unknownSession()
	}
	return nil
}

func unknownSession() *mcp.Error {
	return mcp.Errorf(http.StatusNotFound, mcp.CodeInvalidRequest, "unknown session; initialize again")
}

// Forward brings the answer as the response.
func (q *streamable) Forward(x *pipeline.Exchange) *mcp.Error {
	if err := x.Prepare(); err != nil {
		return err
	}
	ctx, done := q.s.lifetime(x)
	defer done()
	q.ahead.waits(&q.request)
	defer q.ahead.end()
	a, err := x.Do(ctx)
	out := q.ahead.stream()
	if err != nil {
		failed := x.Failed(err)
		if out != nil {
			x.Status = http.StatusOK
			out.last(failed.Append(nil, x.Message.ID))
		}
		return failed
	}
	defer x.Done(a)
	if out != nil {
		q.late(ctx, out, a)
	} else {
		q.answer(ctx, a)
	}
	return nil
}

// lifetime is how long an exchange may go on at the backend. A modern client cancels
// by going away (MCP 2026-07-28 cancellation); for an older one going away means
// nothing (MCP 2025-11-25 transports), so the backend may finish what it does, within
// abandonedLimit, unless there are too many such calls. A stream that only listens ends
// with its client in every revision, with the token that opened it, and when the endpoint
// changes.
func (s *Surfaces) lifetime(x *pipeline.Exchange) (_ context.Context, done func()) {
	client := x.Request.Context()
	switch {
	case x.Request.Method == http.MethodGet || x.Message.Method == "subscriptions/listen":
		return s.listening.begin(client, x.Endpoint, x.Caller)
	case x.Request.Method != http.MethodPost || x.Revision.Modern():
		return client, func() {}
	}
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(client))
	stop := context.AfterFunc(client, func() {
		if context.Cause(client) == pipeline.ErrCutOff {
			cancel(pipeline.ErrCutOff)
			return
		}
		if !x.Abandon() {
			cancel(nil)
			return
		}
		t := time.AfterFunc(abandonedLimit, func() { cancel(nil) })
		context.AfterFunc(ctx, func() { t.Stop() })
	})
	return ctx, func() { stop(); cancel(nil) }
}

// abandonedLimit bounds how long a backend may go on with a call whose legacy
// client went away.
const abandonedLimit = 5 * time.Minute
