package duplex

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// shared is the one connection that all requests of the revision without sessions
// (2026-07-28) go over. The people behind them must not notice each other: ids and
// progress tokens are made unique on the way to the server, and nothing that
// cannot be told to be about one request is given to anybody.
type shared struct {
	*connection

	// Guarded by connection.mu.
	legacyUntil time.Time // the server turned out to know only older revisions
	users       users     // of the link that there is
}

// users are the callers who have used a link since it was opened.
type users struct {
	sole  string // the first of them
	any   bool
	mixed bool // there was another, or one that is not known
}

func (u *users) add(caller string) {
	u.mixed = u.mixed || caller == "" || u.any && u.sole != caller
	u.sole, u.any = caller, true
}

// sharedCall is what only a call over a shared connection has.
type sharedCall struct {
	token  []byte // the client's progress token; nil for none
	listen bool   // subscriptions/listen
	logs   bool   // the request asks for log messages
	meta   bool   // the request has all the metadata it must have
}

const metaLogLevel = "io.modelcontextprotocol/logLevel"

func newShared(cfg config, log *slog.Logger) *shared {
	s := &shared{}
	s.connection = newConnection(connectionConfig{name: cfg.name, opener: cfg.opener, answer: cfg.answer, rest: cfg.idle, metrics: cfg.metrics}, log, s)
	return s
}

// post sends what a client has posted.
func (s *shared) post(ctx context.Context, req *backend.Request) (*backend.Response, *backend.Failure) {
	e := req.Message
	switch {
	case e.Kind != mcp.KindRequest:
		return s.notify(ctx, req)
	case keepsState(e.Method):
		return backend.Refusal(e.ID, mcp.Errorf(http.StatusNotFound, mcp.CodeMethodNotFound,
			"%s: %s is not part of revision 2026-07-28 and later", s.name, e.Method)), nil
	case s.legacyOnly():
		return backend.Refusal(e.ID, onlyLegacy(req)), nil
	case !s.enter():
		return nil, s.closedFailure()
	}
	defer s.leave()
	c, out := s.translate(req)
	resp, f := s.exchange(ctx, c, out)
	if f != nil && errors.Is(f.Cause, errLegacyOnly) {
		return backend.Refusal(c.id, onlyLegacy(req)), nil
	}
	return resp, f
}

// keepsState reports what changes a connection for everybody on it. The revision
// without sessions has none of it, but a server that speaks both eras would
// do as it is told.
func keepsState(method string) bool {
	switch method {
	case "initialize", "notifications/initialized", "logging/setLevel",
		"resources/subscribe", "resources/unsubscribe", "notifications/roots/list_changed", "notifications/progress":
		return true
	}
	return false
}

// notify passes a notification on, if it is one that may go over a connection of
// many. A cancellation is none: over HTTP a client cancels by closing its stream,
// and by an id it could name somebody else's request.
func (s *shared) notify(ctx context.Context, req *backend.Request) (*backend.Response, *backend.Failure) {
	e := req.Message
	ln := s.current()
	if e.Kind != mcp.KindNotification || keepsState(e.Method) || e.Method == "notifications/cancelled" || ln == nil {
		return backend.StatusResponse(http.StatusAccepted), nil
	}
	s.mu.Lock()
	s.users.add(req.Caller)
	s.mu.Unlock()
	wait, cancel := context.WithTimeout(ctx, s.answer)
	defer cancel()
	err := ln.send(wait, outboundOf(req))
	if f, ok := errors.AsType[*backend.Failure](err); ok {
		return nil, f
	}
	return backend.StatusResponse(http.StatusAccepted), nil
}

// translate makes the call of a request, and the message under an id and a
// progress token that nobody else on the connection has.
func (s *shared) translate(req *backend.Request) (*call, outbound) {
	e := req.Message
	wireID := s.newID()
	c := &call{
		id: slices.Clone(e.ID), wireID: wireID, key: idKey(wireID), asked: idKey(e.ID), method: e.Method, caller: req.Caller,
		out: outbound{public: req.Header, private: req.Private},
		shared: sharedCall{
			listen: e.Method == "subscriptions/listen",
			logs:   member(e.Raw, e.Meta.Span, metaLogLevel).Present(),
			meta:   e.Meta.HasVersion && e.Meta.HasClientCapabilities,
		},
	}
	edits := []mcp.Edit{{Span: member(e.Raw, whole(e.Raw), "id"), New: wireID}}
	if t := e.Meta.ProgressToken; t.Present() {
		c.token, c.shared.token = c.key, slices.Clone(e.Bytes(t))
		edits = append(edits, mcp.Edit{Span: t, New: wireID})
	}
	out := outboundOf(req)
	out.body = mcp.Splice(e.Raw, edits...)
	return c, out
}

// begun implements user.
func (s *shared) begun(c *call) {
	if !c.own {
		s.users.add(c.caller)
	}
}

// untold implements user.
func (s *shared) untold([]event) {}

// answered implements user: the client gets its own id back.
func (s *shared) answered(c *call, m message) ([]byte, int) {
	edits := []mcp.Edit{{Span: m.id, New: c.id}}
	if sub := m.subscription(); c.shared.listen && sub.Present() {
		edits = append(edits, mcp.Edit{Span: sub, New: c.id})
	}
	return mcp.Splice(m.raw, edits...), modernStatus(c, m)
}

// modernStatus is the HTTP status of an answer (MCP 2026-07-28 transports).
// Codes for which there is no rule travel with 200.
func modernStatus(c *call, m message) int {
	if !m.failed() {
		return http.StatusOK
	}
	switch m.code() {
	case mcp.CodeMethodNotFound:
		return http.StatusNotFound
	case mcp.CodeParse, mcp.CodeInvalidRequest, mcp.CodeHeaderMismatch, mcp.CodeMissingCapability, mcp.CodeUnsupportedVersion:
		return http.StatusBadRequest
	case mcp.CodeInvalidParams:
		if !c.shared.meta {
			return http.StatusBadRequest
		}
	}
	return http.StatusOK
}

// unasked implements user.
func (s *shared) unasked(m message) {
	if m.kind == mcp.KindRequest {
		s.refuse(m)
		return
	}
	c, at, own := s.addressee(m)
	why := droppedStale
	if !at.Present() {
		why = droppedUnaddressed
	}
	switch {
	case c == nil:
		s.dropped(why)
		s.log.Debug("message of server is for nobody in particular and was dropped", "method", m.method, "why", why)
	case m.method == "notifications/cancelled":
		s.finishListen(c)
	default:
		raw := m.raw
		if at.Present() {
			raw = mcp.Splice(raw, mcp.Edit{Span: at, New: own})
		}
		// Others share the connection, so nobody waits for this client to read.
		if err := c.queue.put(event{raw: raw}, s.patience); errors.Is(err, errQueueFull) {
			s.log.Warn("stream to client was broken off: it is not read", "method", c.method)
			s.abandon(c, err)
		}
	}
}

// addressee finds the request a notification is about, and what in it to put back:
// the span at becomes own.
func (s *shared) addressee(m message) (c *call, at mcp.Span, own []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at := m.progressToken(); at.Present() {
		if c := s.calls[idKey(m.bytes(at))]; c != nil && c.shared.token != nil {
			return c, at, c.shared.token
		}
		return nil, at, nil
	}
	at = m.subscription()
	if m.method == "notifications/cancelled" {
		at = member(m.raw, m.params, "requestId")
	}
	if at.Present() {
		if c := s.calls[idKey(m.bytes(at))]; c != nil && c.shared.listen {
			return c, at, c.id
		}
		return nil, at, nil
	}
	return s.onlyOne(m.method), mcp.Span{}, nil
}

// onlyOne is the one request that a notification without an address can be about,
// or nil: it must be the only one in flight, and nobody but its caller may ever have
// used this link. A server that logs the outcome of one request while it works on
// another would otherwise tell one caller about another (REQ G-1).
func (s *shared) onlyOne(method string) *call {
	if unrelated(method) || !s.alone() {
		return nil
	}
	var only *call
	for _, c := range s.calls {
		if c.shared.listen {
			continue // carries nothing but what names it (MCP 2026-07-28 subscriptions)
		}
		if only != nil || c.own {
			return nil
		}
		only = c
	}
	if only != nil && method == "notifications/message" && !only.shared.logs {
		return nil // MCP 2026-07-28 logging: nobody asked for it
	}
	return only
}

// alone implements user.
func (s *shared) alone() bool { return !s.users.mixed }

// finishListen ends a listen request that the server has torn down. Over stdio it
// says so with a notification, over HTTP with the result (MCP 2026-07-28
// subscriptions, Graceful Closure).
func (s *shared) finishListen(c *call) {
	if !s.drop(c) {
		return
	}
	raw := append([]byte(`{"jsonrpc":"2.0","id":`), c.id...)
	raw = append(raw, `,"result":{"resultType":"complete","_meta":{"`+metaSubscription+`":`...)
	raw = append(append(raw, c.id...), "}}}"...)
	_ = c.queue.put(event{raw: raw, last: true, status: http.StatusOK}, 0) // closed: the client went first
}

// refuse answers a request of the server. There must be none (MCP 2026-07-28,
// stdio), and nobody could be asked.
func (s *shared) refuse(m message) {
	s.log.Debug("request of server refused: it may not send any in this revision", "method", m.method)
	e := mcp.Errorf(0, mcp.CodeMethodNotFound, "requests to the client are not part of revision 2026-07-28")
	s.tell(outbound{body: e.Append(nil, m.bytes(m.id))})
}

// cancellation implements user.
func (s *shared) cancellation(c *call) []byte {
	return cancelled(c.wireID)
}

// interrupted implements user: the next request opens a new link.
func (s *shared) interrupted() {}

// idled implements user.
func (s *shared) idled() { s.settle() }

func (s *shared) closedFailure() *backend.Failure {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}
