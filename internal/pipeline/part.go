package pipeline

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"time"

	"github.com/sallyport-dev/sallyport/internal/audit"
	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/upstream"
)

// begins begins a call that the target makes in the course of the exchange. From the
// limits on it is as if the caller had sent it: what the caller may not do, the target may
// not do for it. It takes no place of its own, which the exchange has.
func (x *Exchange) begins(ctx context.Context, p upstream.Part) (*upstream.Call, func(*upstream.Answer, error), error) {
	e := x.Endpoint
	of := &Exchange{
		Request: x.Request.WithContext(ctx), Plain: x.Plain, Endpoint: e, start: time.Now(), ID: rand.Text(), within: x.ID, part: p.Name, Via: x.Via,
		Caller: x.Caller, Token: x.Token, Revision: x.Revision, Session: x.Session, span: x.span,
		Body: p.Body, member: p.To.Member, target: p.To.Name, hints: p.To.Hints,
	}
	if err := of.admit(p.Public); err != nil {
		of.settle(err)
		return nil, nil, &upstream.Refused{Public: err}
	}
	c := &upstream.Call{
		Caller: x.Call.Caller, Token: x.Call.Token, Sharer: x.Call.Sharer, Captured: x.Call.Captured, Elicits: x.Call.Elicits,
		State: x.Call.State, Revision: x.Call.Revision, Span: x.Call.Span, Sent: x.Call.Sent,
		Method: http.MethodPost, Target: of.target, Member: of.member, Body: of.Body, Message: &of.Message,
		Header: http.Header{"Accept": {"application/json, text/event-stream"}},
	}
	if x.Revision.Modern() {
		c.Header[mcp.HeaderProtocolVersion] = []string{string(x.Revision)}
		c.Header[mcp.HeaderMethod], c.Header[mcp.HeaderName] = []string{of.Message.Method}, []string{mcp.EncodeHeaderValue(of.Message.Target)}
	}
	return c, of.ended, nil
}

// admit runs the steps that judge a call within another.
func (x *Exchange) admit(public string) (err *mcp.Error) {
	e := x.Endpoint
	if x.Message, err = mcp.Parse(x.Body, e.Message); err != nil {
		x.Note("parse")
		return err
	}
	if err := e.reserve(x); err != nil {
		return err
	}
	if err := e.limitRate(x, public); err != nil {
		return err
	}
	return e.authorize(x)
}

// ended takes down what came of a call within another.
func (x *Exchange) ended(a *upstream.Answer, err error) {
	if a != nil {
		if x.Status = a.Status; a.Status >= http.StatusBadRequest {
			x.Fail(ReasonBackend, nil)
		}
		a.End(x.reason)
	}
	if d, ok := errors.AsType[*upstream.Denied](err); ok {
		x.Note(d.Reason)
		x.settle(mcp.Errorf(http.StatusUnauthorized, mcp.CodeInvalidRequest, "denied"))
		return
	}
	if f, ok := errors.AsType[*backend.Failure](err); ok {
		x.Broke(string(f.Reason), f.Cause)
		x.Status = f.Public.Status
	} else if err != nil {
		x.Fail("internal", err)
		x.Status = http.StatusInternalServerError
	}
	x.settle(nil)
}

// settle closes the books on a call within another. refused is why it was not made.
func (x *Exchange) settle(refused *mcp.Error) {
	if x.outcome == "" {
		x.outcome = audit.Success
	}
	if refused != nil {
		x.Status, x.outcome = refused.Status, audit.Denied
		if refused.Status >= http.StatusInternalServerError {
			x.outcome = audit.Error
		}
	}
	x.Endpoint.say(x)
	x.Endpoint.record(x, time.Since(x.start))
}
