package pipeline

import (
	"net/http"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/audit"
	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/recent"
)

// finish closes the books on an exchange: exactly one audit event, one
// observation, and one log line when it failed.
func (e *Endpoint) finish(x *Exchange) {
	took := time.Since(x.start)
	e.vacate(x)
	x.Held.Release()
	if x.Status == 0 { // the client was gone before anything could be said
		x.Status = statusClientClosed
		x.Fail(ReasonCanceled, nil)
	}
	if x.outcome == "" {
		x.outcome = audit.Success
	}
	e.Metrics.Observe(x.method(), x.Status, took)
	if x.Message.Method != "" {
		e.Metrics.Operation(x.Message.Method, x.errorType(), took)
	}
	e.endSpan(x)
	e.say(x)
	e.record(x, took)
}

// record writes the audit event of an exchange, and remembers one that was refused or
// failed.
func (e *Endpoint) record(x *Exchange, took time.Duration) {
	audited := e.Audit != nil && !x.unaudited
	notable := e.Recent != nil && x.outcome != audit.Success && x.reason != ReasonCanceled
	if !audited && !notable {
		return
	}
	ev := e.event(x, took)
	if notable {
		e.Recent.Add(x.told(ev))
	}
	if audited {
		e.Audit.Record(&ev)
	}
}

// event is what became of an exchange.
func (e *Endpoint) event(x *Exchange, took time.Duration) audit.Event {
	ev := audit.Event{
		Time: x.start, ID: x.ID, Within: x.within, Part: x.part, Server: e.Name, Member: x.member, HTTPMethod: x.Request.Method, Method: x.Message.Method,
		Target: x.target, Outcome: x.outcome, Status: x.Status, Reason: x.reason,
		Duration: took, Client: PeerAddress(x.Request), Via: x.Via, Revision: string(x.Revision),
	}
	if ev.Target == "" {
		ev.Target = x.Message.Target
	}
	ev.Target = mcp.Shown(ev.Target)
	if x.Caller != nil {
		ev.Subject, ev.Source = x.Caller.Subject, x.Caller.Source
	}
	return ev
}

// told is an exchange that was refused or failed, for whoever looks why.
func (x *Exchange) told(ev audit.Event) *recent.Call {
	c := &recent.Call{Event: ev, Caller: x.Caller, Decision: x.decision, Asked: x.asked, Cause: errText(x.cause)}
	if x.refused != nil {
		c.Told = x.refused.Message
	}
	return c
}

// say writes a line about an exchange that was denied or failed. What comes in floods is
// written now and then, with a count.
func (e *Endpoint) say(x *Exchange) {
	switch {
	case x.outcome == audit.Denied:
		e.denials(x)
	case x.outcome != audit.Error:
	case x.reason == ReasonCanceled, x.reason == ReasonBackend:
		e.Log.Debug("request failed", "id", x.ID, "method", x.method(), "status", x.Status, "reason", x.reason, "cause", errText(x.cause))
	default:
		args := []any{"id", x.ID, "method", x.method(), "status", x.Status, "reason", x.reason, "cause", errText(x.cause)}
		if x.member != "" {
			args = append(args, "member", x.member)
		}
		e.limited.Warn(x.member+x.reason, "request failed", args...)
	}
}

// denials writes what an operator looks for who was told of a denial: by the decision
// that the client was told, by the caller, by the reason (REQ G-4).
func (e *Endpoint) denials(x *Exchange) {
	args := []any{"id", x.ID, "method", x.method(), "status", x.Status, "reason", x.reason}
	if x.decision != "" {
		args = append(args, "decision", x.decision)
	}
	who := ""
	if x.Caller != nil {
		who = x.Caller.Subject
		args = append(args, "subject", who)
	}
	kind, _, _ := strings.Cut(x.reason, " ") // a policy's is followed by the decision
	e.limited.Info(kind+" "+who, "request denied", args...)
}

// Flush writes the lines that are counted and not yet written.
func (e *Endpoint) Flush() { e.limited.Flush() }

// statusClientClosed marks, in metrics and audit only, a client that went away
// before it got an answer.
const statusClientClosed = 499

// Fail records why an exchange failed; the first reason stays.
func (x *Exchange) Fail(reason string, cause error) {
	if x.outcome != "" {
		return
	}
	x.outcome, x.reason, x.cause = audit.Error, reason, cause
}

// Broke records a failure of the backend's, and counts it.
func (x *Exchange) Broke(reason string, cause error) {
	x.Fail(reason, cause)
	x.Endpoint.Metrics.Failed(reason)
}

// Reasons of exchanges that nobody has to do anything about: clients come and go, and
// backends say no.
const (
	ReasonCanceled = string(backend.ReasonCanceled)
	ReasonBackend  = "backend_error" // the backend itself answered with an error
)

// Left notes that the client went away. That is how a stream ends that only listens.
func (x *Exchange) Left() {
	if x.Request.Method != http.MethodGet {
		x.Fail(ReasonCanceled, nil)
	}
}

// Note keeps why an exchange is about to be refused, or answered by the gateway
// itself, for log and audit alone.
func (x *Exchange) Note(reason string) { x.reason = reason }

// Refusal is what the client was told in place of an answer; nil where it was not.
func (x *Exchange) Refusal() *mcp.Error { return x.refused }

// refuse is the one place that refuses an exchange. It does nothing when the answer
// has begun.
func (e *Endpoint) refuse(x *Exchange, err *mcp.Error) {
	if x.outcome == "" {
		x.outcome = audit.Error
		if err.Status < http.StatusInternalServerError {
			x.outcome = audit.Denied
		}
	}
	if x.Status != 0 {
		return
	}
	x.refused, x.Status = err, err.Status
	x.Client.Refuse(x, err)
}

// errText is err's text, or nothing.
func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
