package gateway

import (
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/sallyport-dev/sallyport/internal/audit"
	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// finish closes the books on an exchange: exactly one audit event, one
// observation, and one log line when it failed.
func (e *Endpoint) finish(x *Exchange) {
	took := time.Since(x.start)
	e.release(x)
	if x.status == 0 { // the client was gone before anything could be said
		x.status = statusClientClosed
		x.fail(reasonCanceled, nil)
	}
	if x.outcome == "" {
		x.outcome = audit.Success
	}
	e.metrics.Observe(x.method(), x.status, took)
	if x.message.Method != "" {
		e.metrics.Operation(x.message.Method, x.errorType(), took)
	}
	e.endSpan(x)
	if x.outcome == audit.Error {
		level := slog.LevelWarn
		if x.reason == reasonCanceled || x.reason == reasonBackend {
			level = slog.LevelDebug // clients come and go, and backends say no; nobody has to do anything about it
		}
		if ctx := x.r.Context(); e.log.Enabled(ctx, level) {
			e.log.Log(ctx, level, "request failed", "id", x.id, "method", x.method(), "status", x.status, "reason", x.reason, "cause", errText(x.cause))
		}
	}
	if e.audit == nil {
		return
	}
	ev := audit.Event{
		Time: x.start, ID: x.id, Server: e.name, HTTPMethod: x.r.Method, Method: x.message.Method,
		Target: x.target, Outcome: x.outcome, Status: x.status, Reason: x.reason,
		Duration: took, Client: peerAddress(x.r), Revision: string(x.revision),
	}
	if ev.Target == "" {
		ev.Target = x.message.Target
	}
	ev.Target = mcp.Shown(ev.Target)
	if x.caller != nil {
		ev.Subject, ev.Source = x.caller.Subject, x.caller.Source
	}
	e.audit.Record(&ev)
}

// statusClientClosed marks, in metrics and audit only, a client that went away
// before it got an answer.
const statusClientClosed = 499

// fail records why an exchange failed; the first reason stays.
func (x *Exchange) fail(reason string, cause error) {
	if x.outcome != "" {
		return
	}
	x.outcome, x.reason, x.cause = audit.Error, reason, cause
}

// reasonCanceled is the reason of an exchange whose client went away.
const (
	reasonCanceled = string(backend.ReasonCanceled)
	reasonBackend  = "backend_error" // the backend itself answered with an error
)

// left notes that the client went away. That is how a stream ends that only listens.
func (x *Exchange) left() {
	if x.r.Method != http.MethodGet {
		x.fail(reasonCanceled, nil)
	}
}

// note keeps why a step is about to refuse, for log and audit alone.
func (x *Exchange) note(reason string) { x.reason = reason }

// refuse is the one place that writes an error to a client. It does nothing when
// the answer has begun.
func (e *Endpoint) refuse(x *Exchange, err *mcp.Error) {
	if x.outcome == "" {
		x.outcome = audit.Error
		if err.Status < http.StatusInternalServerError {
			x.outcome = audit.Denied
		}
	}
	if x.status != 0 {
		return
	}
	x.refused = err
	x.status = err.Status
	switch {
	case x.socket != nil:
		x.socket.refuse(x, err)
		return
	case x.stranger:
		x.turnAway(err)
		return
	}
	writeError(x.w, err, x.message.ID)
	if err.Status == http.StatusRequestEntityTooLarge {
		linger(x)
	}
}

// linger reads on after a message was refused for its size: closing the
// connection while the client still writes would reset it, and many clients never
// see the answer then (RFC 9112 §9.6).
func linger(x *Exchange) {
	if x.r.Header.Get("Expect") != "" {
		return // that client waits to be asked before it writes
	}
	rc := http.NewResponseController(x.w)
	if rc.Flush() != nil || rc.SetReadDeadline(time.Now().Add(lingerTimeout)) != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, x.r.Body, lingerBytes)
}

const (
	lingerTimeout = 5 * time.Second
	lingerBytes   = 256 << 20
)

// writeError writes err as a JSON-RPC error for id (null when unknown).
func writeError(w http.ResponseWriter, err *mcp.Error, id []byte) {
	body := err.Append(nil, id)
	h := w.Header()
	h["Content-Type"] = jsonType
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	h["Cache-Control"] = noStore
	if _, told := h["Retry-After"]; !told && err.Status == http.StatusServiceUnavailable {
		h["Retry-After"] = retrySoon
	}
	w.WriteHeader(err.Status)
	_, _ = w.Write(body) // the client may be gone; there is nobody left to tell
}

// errText is err's text, or nothing.
func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
