package pipeline

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/sallyport-dev/sallyport/internal/audit"
	"github.com/sallyport-dev/sallyport/internal/authn"
	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/upstream"
)

// MaxCaptured bounds the passthrough values of one session, in bytes: the client
// sends them back, inside the session's id, with every request.
const MaxCaptured = 4 << 10

// begin says whose call the exchange is: all that a server can tell callers apart by.
func (x *Exchange) begin() *mcp.Error {
	names := x.Endpoint.Target.Passthrough()
	captured := pick(x.Session.Captured, names) // what passed when it began may pass no more
	if x.Session.ID == "" {
		captured = pick(x.Request.Header, names)
		if headerSize(captured) > MaxCaptured {
			return mcp.Errorf(http.StatusRequestHeaderFieldsTooLarge, mcp.CodeInvalidRequest, "headers to pass through are larger than %d bytes", MaxCaptured)
		}
	}
	x.Call = upstream.Call{
		Caller: x.Caller, Token: x.Token, Sharer: x.Sharer(), Captured: captured, Elicits: x.Session.Elicits, State: x.Session.State,
		Revision: x.Revision, Span: x.span, Rights: x, Part: x.begins, Sent: x.Sent,
	}
	if x.Revision.Modern() { // a connection may have a session, and such a message is of none
		x.Call.State = nil
	}
	return nil
}

// Prepare makes the call of an exchange, and obtains what it shows the target.
func (x *Exchange) Prepare() *mcp.Error {
	c := &x.Call
	c.Method, c.Header, c.Target, c.Member = x.Request.Method, protocolHeaders(x.Request.Header), x.target, x.member
	if x.Body != nil {
		c.Body, c.Message = x.Body, &x.Message
		if _, ok := c.Header[mcp.HeaderName]; ok && x.renamed {
			c.Header[mcp.HeaderName] = []string{mcp.EncodeHeaderValue(x.Message.Target)}
		}
	}
	if cause := x.Endpoint.Target.Prepare(x.Request.Context(), c); cause != nil {
		return x.Failed(cause)
	}
	return nil
}

// Sharer is who uses what several callers share, such as a connection to a backend: the
// caller, or, where nobody says who they are, whoever is at the address they come from.
func (x *Exchange) Sharer() string {
	if x.Caller.Source == identity.SourceAnonymous {
		if address := PeerAddress(x.Request); address != "" { // without a port, all anonymous callers are one
			return address // which is no caller's key: those have parts
		}
	}
	return x.CallerKey()
}

// Do asks the target and returns the head of its answer, in which the client sees
// what it may. An error is for Failed. An answer ends with Done.
func (x *Exchange) Do(ctx context.Context) (*upstream.Answer, error) {
	e := x.Endpoint
	a, err := e.Target.Do(ctx, &x.Call)
	if err != nil {
		return nil, err
	}
	if a.Own != "" { // nothing failed: somebody has to do something first
		x.Note(a.Own)
		return a, nil
	}
	if err := e.filterAnswer(x, a); err != nil {
		a.End(string(backend.ReasonBadAnswer))
		return nil, err
	}
	return a, nil
}

// Done ends an answer.
func (x *Exchange) Done(a *upstream.Answer) {
	failed := ""
	if x.outcome == audit.Error {
		failed = x.reason
	}
	a.End(failed)
	x.said = a.Said()
}

// List asks the target for a whole list: of all pages, what the client may see.
func (x *Exchange) List(ctx context.Context) ([][]byte, error) {
	e, method := x.Endpoint, x.Message.Method
	return e.Target.List(ctx, &x.Call, method, func(page []byte, owners upstream.Owners) ([]byte, error) {
		if !e.filters() {
			return page, nil
		}
		return e.filterMessage(nil, x.Caller, []string{method}, page, owners)
	})
}

// Listen asks the target for what it says of itself, on a connection whose client
// sends no message for that. What comes is shown as to the caller of c.
func (e *Endpoint) Listen(ctx context.Context, c *upstream.Call) (*upstream.Answer, error) {
	a, err := e.Target.Do(ctx, c)
	if err == nil {
		e.filterStream(c.Caller, listMethods, a)
	}
	return a, err
}

// Failed turns a failure of the target's into the client's error, and notes it.
func (x *Exchange) Failed(cause error) *mcp.Error {
	if d, ok := errors.AsType[*upstream.Denied](cause); ok {
		if d.Public == nil {
			return x.deny(&authn.Denied{Status: http.StatusUnauthorized, Code: authn.CodeInvalidToken, Reason: d.Reason})
		}
		x.Note(d.Reason)
		x.decision = d.Decision
		if d.Public.Status == http.StatusOK { // an answer, and no denial: the client is to do something first
			x.outcome = audit.Success
		}
		return d.Public
	}
	f, ok := errors.AsType[*backend.Failure](cause)
	if !ok {
		x.Fail("internal", cause)
		return mcp.Errorf(http.StatusInternalServerError, mcp.CodeInternal, "internal error, see the gateway's log for %s", x.ID)
	}
	if f.Reason == backend.ReasonCanceled && context.Cause(x.Request.Context()) == ErrCutOff {
		x.Fail("shutdown", ErrCutOff)
		return ShuttingDown()
	}
	x.Broke(string(f.Reason), f.Cause)
	if f.RetryAfter > 0 {
		x.Tell("Retry-After", seconds(f.RetryAfter))
	}
	return f.Public
}

func seconds(d time.Duration) string { return strconv.Itoa(int(math.Ceil(d.Seconds()))) }

// pick copies the named headers out of h.
func pick(h http.Header, names []string) http.Header {
	var picked http.Header
	for _, name := range names {
		if v, ok := h[name]; ok {
			if picked == nil {
				picked = make(http.Header, len(names))
			}
			picked[name] = v
		}
	}
	return picked
}

// headerSize is the size of a header set in bytes.
func headerSize(h http.Header) int {
	n := 0
	for name, values := range h {
		for _, v := range values {
			n += len(name) + len(v)
		}
	}
	return n
}

// protocolHeaders are the headers that the protocol itself owns; everything else
// a client sends stays at the outer door (REQ A-3, E-1). An intermediary passes
// Mcp-Param-* on (MCP 2026-07-28 transports).
func protocolHeaders(from http.Header) http.Header {
	h := make(http.Header, len(from))
	for name, values := range from {
		if mcp.IsProtocolHeader(name) && name != mcp.HeaderSessionID && name != "Content-Type" {
			h[name] = values
		}
	}
	return h
}
