package gateway

import (
	"context"
	"errors"
	"io"
	"maps"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/sallyport-dev/sallyport/internal/audit"
	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/credential"
	"github.com/sallyport-dev/sallyport/internal/mcp"
)

var (
	jsonType  = []string{"application/json"}
	noStore   = []string{"no-store"}
	retrySoon = []string{"1"}
)

// forward shows the request to the backend and brings the answer back.
func (e *Endpoint) forward(x *Exchange) *mcp.Error {
	if x.list != nil && x.message.Method == "" { // nothing is asked of the backend
		x.list.status, x.status = e.health.String(), http.StatusOK
		return nil
	}
	req := &backend.Request{Method: x.r.Method, Header: protocolHeaders(x.r.Header), Session: x.session.backend}
	captured, err := e.private(x, req)
	if e.outgoing.credential != nil && x.span != nil {
		x.span.Event("credential", "sallyport.credential.result", map[bool]string{true: "success", false: "failed"}[err == nil])
	}
	if err != nil {
		return err
	}
	if x.r.Method == http.MethodPost {
		req.Header["Content-Type"] = jsonType
		req.Body, req.Message = x.body, &x.message
		if _, ok := req.Header[mcp.HeaderName]; ok && x.renamed {
			req.Header[mcp.HeaderName] = []string{mcp.EncodeHeaderValue(x.message.Target)}
		}
	}
	switch x.surface {
	case surfaceSSE:
		return e.openFront(x, captured)
	case surfaceSocket:
		return e.openSocket(x, captured)
	case surfaceList:
		return e.listAll(x, req)
	case surfaceMessages, surfaceFrame:
		return e.postFront(x, req)
	}
	done := e.beginAtBackend(x)
	defer done()
	call := e.beginCall(x, req)
	defer call.end()
	resp, cause := e.ask(x.ctx, x, req)
	if cause != nil {
		return e.failed(x, cause)
	}
	defer resp.Body.Close()
	e.reached(healthReady)
	call.answeredBy(resp)
	if cause := e.reshape(x, resp); cause != nil {
		return e.failed(x, cause)
	}
	e.answer(x, resp, captured)
	return nil
}

// beginAtBackend sets the lifetime of the exchange at the backend. A modern
// client cancels by going away (MCP 2026-07-28 cancellation); for an older one
// going away means nothing (MCP 2025-11-25 transports), so the backend may finish
// what it does, within abandonedLimit. A stream that only listens ends with its
// client in every revision, with the token that opened it, and when the endpoint
// changes.
func (e *Endpoint) beginAtBackend(x *Exchange) (done func()) {
	client := x.r.Context()
	switch {
	case x.r.Method == http.MethodGet || x.message.Method == "subscriptions/listen":
		x.ctx, done = e.server.listening.begin(client, e, x.caller)
		return done
	case x.r.Method != http.MethodPost || x.revision.Modern():
		x.ctx = client
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(client))
	x.ctx = ctx
	stop := context.AfterFunc(client, func() {
		t := time.AfterFunc(abandonedLimit, cancel)
		context.AfterFunc(ctx, func() { t.Stop() })
	})
	return func() { stop(); cancel() }
}

// abandonedLimit bounds how long a backend may go on with a call whose legacy
// client went away.
const abandonedLimit = 5 * time.Minute

// failed turns a backend's failure into the client's error, and notes it.
func (e *Endpoint) failed(x *Exchange, cause error) *mcp.Error {
	f, ok := errors.AsType[*backend.Failure](cause)
	if !ok {
		x.fail("internal", cause)
		return mcp.Errorf(http.StatusInternalServerError, mcp.CodeInternal, "internal error, see the gateway's log for %s", x.id)
	}
	if _, ok := errors.AsType[*credential.StepUp](f.Cause); ok {
		return f.Public // nothing failed: somebody has to sign in
	}
	x.fail(string(f.Reason), f.Cause)
	e.metrics.Failed(string(f.Reason))
	e.missed(f.Reason)
	if f.RetryAfter > 0 {
		x.w.Header()["Retry-After"] = []string{strconv.Itoa(int(math.Ceil(f.RetryAfter.Seconds())))}
	}
	return f.Public
}

// answer writes a backend's answer to the client: bytes as they came.
func (e *Endpoint) answer(x *Exchange, resp *backend.Response, captured http.Header) {
	h := x.w.Header()
	maps.Copy(h, resp.Header)
	if resp.Session.ID != "" && !x.revision.Modern() {
		h[mcp.HeaderSessionID] = e.sessionHeader(x, resp.Session, captured)
	}
	x.status = resp.Status
	if resp.Status >= http.StatusBadRequest && x.isRequest() {
		x.outcome, x.reason = audit.Error, reasonBackend
	}
	if resp.Stream {
		e.stream(x, resp)
		return
	}
	if resp.ContentLength >= 0 {
		h["Content-Length"] = []string{strconv.FormatInt(resp.ContentLength, 10)}
	}
	x.w.WriteHeader(resp.Status)
	if resp.ContentLength == 0 {
		return
	}
	e.copyBody(x, resp)
}

// copyBody passes a whole answer on. A body that breaks breaks the client's
// connection too: ending it would make half an answer look like a whole one.
func (e *Endpoint) copyBody(x *Exchange, resp *backend.Response) {
	if resp.ContentLength < 0 || resp.ContentLength > inlineLength {
		rc := http.NewResponseController(x.w)
		_ = rc.SetWriteDeadline(time.Now().Add(writeTimeout)) // a client that does not read is let go
		defer func() { _ = rc.SetWriteDeadline(time.Time{}) }()
	}
	w := &clientWriter{w: x.w}
	buf := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buf)
	if _, err := io.CopyBuffer(w, readerOnly{resp.Body}, *buf); err != nil {
		if w.err != nil {
			x.left()
		} else {
			x.fail("truncated", err)
			e.metrics.Failed("truncated")
		}
		panic(http.ErrAbortHandler)
	}
}

const (
	inlineLength = 32 << 10
	writeTimeout = 2 * time.Minute
)

// clientWriter remembers whether it was the client that broke a copy.
type clientWriter struct {
	w   io.Writer
	err error
}

func (c *clientWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	if err != nil {
		c.err = err
	}
	return n, err
}

// readerOnly hides WriterTo, so that CopyBuffer uses the pooled buffer.
type readerOnly struct{ io.Reader }
