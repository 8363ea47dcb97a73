package duplex

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// session is what one client of a revision with sessions has: a connection of its
// own, so that nothing the server keeps for one person is there for another.
type session struct {
	*connection
	hub    *Duplex
	id     string
	caller string // see Request.Caller

	// Guarded by connection.mu.
	established bool // initialize was answered with a result
	memory      memory
	inbox       *queue // the listening stream; nil while there is none
	pending     pending
}

// post sends what the client has posted.
func (s *session) post(ctx context.Context, req *backend.Request) (*backend.Response, *backend.Failure) {
	if !s.enter() {
		return nil, unknownSession(s.name)
	}
	defer s.leave()
	e := req.Message
	if e.Kind != mcp.KindRequest {
		return s.notify(ctx, req)
	}
	wireID, out := s.newID(), outboundOf(req)
	out.body = mcp.Splice(e.Raw, mcp.Edit{Span: member(e.Raw, whole(e.Raw), "id"), New: wireID})
	c := &call{
		id: slices.Clone(e.ID), wireID: wireID, key: idKey(wireID), asked: idKey(e.ID), method: e.Method, target: e.Target,
		token: idKey(e.Bytes(e.Meta.ProgressToken)),
		out:   outbound{public: req.Header, private: req.Private},
	}
	if worthKeeping(e.Method) {
		c.out = remember(wireID, out).out
	}
	return s.exchange(ctx, c, out)
}

// notify sends a notification, or the client's answer to a request of the server.
// Neither starts a server that is down: nobody is there whom they concern.
func (s *session) notify(ctx context.Context, req *backend.Request) (*backend.Response, *backend.Failure) {
	e := req.Message
	if e.Method == "notifications/initialized" {
		s.mu.Lock()
		if s.memory.initialized == nil {
			s.memory.initialized = remember(nil, outboundOf(req))
		}
		s.mu.Unlock()
	}
	out, current := outboundOf(req), true
	var withdrawn *call
	switch {
	case e.Kind == mcp.KindResponse:
		s.mu.Lock()
		asked := questions{s.starts}
		s.mu.Unlock()
		out.body, current = asked.answer(e)
	case e.Method == "notifications/cancelled":
		at := member(e.Raw, e.Params, "requestId")
		if withdrawn = s.find(idKey(e.Bytes(at))); withdrawn != nil {
			out.body = mcp.Splice(e.Raw, mcp.Edit{Span: at, New: withdrawn.wireID})
		}
		current = withdrawn != nil // else there is nothing to cancel
	}
	if ln := s.current(); ln != nil && current {
		wait, cancel := context.WithTimeout(ctx, s.answer)
		defer cancel()
		err := ln.send(wait, out)
		if f, ok := errors.AsType[*backend.Failure](err); ok {
			return nil, f
		}
		switch {
		case err != nil && ctx.Err() != nil:
			return nil, backend.Ended(ctx, s.name)
		case err != nil && wait.Err() != nil:
			return nil, backend.TimedOut(s.name, errNoAnswer)
		}
	}
	if withdrawn != nil {
		s.withdraw(withdrawn)
	}
	return backend.StatusResponse(http.StatusAccepted), nil
}

// listen opens the listening stream. There is one at a time, and the newest is the
// one: a client whose connection broke without the gateway noticing could not
// listen again otherwise.
func (s *session) listen(ctx context.Context) (*backend.Response, *backend.Failure) {
	if !s.enter() {
		return nil, unknownSession(s.name)
	}
	queue := newQueue()
	s.mu.Lock()
	if s.closed != nil {
		s.mu.Unlock()
		s.leave()
		return nil, unknownSession(s.name)
	}
	if s.inbox != nil {
		for _, ev := range s.inbox.close(errReplaced) {
			queue.add(ev)
		}
	}
	s.pending.flush(queue)
	s.inbox = queue
	s.mu.Unlock()
	return backend.StreamResponse(&eventBody{ctx: ctx, queue: queue, gone: func() { s.hangUp(queue, errBodyDone) }, leave: s.leave}), nil
}

// hangUp ends a listening stream. What was not read waits for the next one.
func (s *session) hangUp(queue *queue, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rest := queue.close(err)
	if s.inbox != queue {
		return
	}
	s.inbox = nil
	s.untold(rest)
}

// untold implements user.
func (s *session) untold(rest []event) {
	for _, ev := range rest {
		if ev.failure == nil && !ev.last {
			s.keep(ev.raw)
		}
	}
}

// keep stores a message that has no stream to go to; locked.
func (s *session) keep(raw []byte) {
	lost, first := s.pending.add(raw)
	for range lost {
		s.dropped(droppedNoStream)
	}
	if first {
		s.log.Warn("message of server was dropped: the client has no stream open and too many wait already")
	}
}

// end closes the session, and with it the listening stream. The stream ends in
// order: the client finds the session gone when it comes again.
func (s *session) end(f *backend.Failure) {
	s.mu.Lock()
	s.closed = f // nobody listens any more
	inbox := s.inbox
	s.inbox = nil
	s.mu.Unlock()
	if inbox != nil {
		inbox.close(errReplaced)
	}
	s.close(f)
}

// begun implements user.
func (s *session) begun(c *call) {
	if !c.own {
		s.pending.flush(c.queue)
	}
}

// answered implements user. The client gets its own id back; with the answer the
// server has taken on what a new one would have to be told.
func (s *session) answered(c *call, m message) ([]byte, int) {
	if !m.failed() && worthKeeping(c.method) {
		kept := &said{id: c.wireID, out: c.out}
		switch c.method {
		case "initialize":
			s.established, s.memory.initialize = true, kept
		case "logging/setLevel":
			s.memory.level = kept
		case "resources/subscribe":
			if s.memory.subscribed == nil {
				s.memory.subscribed = make(map[string]*said)
			}
			if len(s.memory.subscribed) < maxSubscriptions {
				s.memory.subscribed[c.target] = kept
			}
		case "resources/unsubscribe":
			delete(s.memory.subscribed, c.target)
		}
	}
	if m.failed() && c.method == "initialize" && !s.established {
		s.hub.drop(s, unknownSession(s.name))
	}
	return mcp.Splice(m.raw, mcp.Edit{Span: m.id, New: c.id}), http.StatusOK
}

// alone implements user.
func (s *session) alone() bool { return true }

// unasked implements user: each message goes to exactly one stream (MCP 2025-11-25 transports, multiple connections).
func (s *session) unasked(m message) {
	s.mu.Lock()
	raw := questions{s.starts}.ask(m)
	s.mu.Unlock()
	for {
		s.mu.Lock()
		c, queue := s.addressee(m)
		if c == nil && queue == nil {
			s.keep(raw)
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		if c != nil {
			queue = c.queue
		}
		err := queue.put(event{raw: raw}, s.patience)
		if err == nil {
			return
		}
		if errors.Is(err, errQueueFull) {
			s.log.Warn("stream to client was broken off: it is not read")
			if c != nil {
				s.abandon(c, err)
			} else {
				s.hangUp(queue, err)
			}
		}
		// The stream has ended; there may be another.
	}
}

// addressee chooses the stream of a message: the request it belongs to as far as
// that can be known, or the listening stream; neither when there is none. Locked.
func (s *session) addressee(m message) (*call, *queue) {
	if token := m.progressToken(); token.Present() {
		key := idKey(m.bytes(token))
		var newest *call // clients may use a token again, as they do ids
		for _, c := range s.calls {
			if c.token == key && !c.own && (newest == nil || c.serial > newest.serial) {
				newest = c
			}
		}
		if newest != nil {
			return newest, nil
		}
		return nil, s.inbox // of a task, which outlives its request
	}
	var oldest *call
	several := false
	for _, c := range s.calls {
		switch {
		case c.own:
			continue
		case oldest == nil:
		case c.serial < oldest.serial:
			several = true
		default:
			several = true
			continue
		}
		oldest = c
	}
	switch {
	case s.inbox != nil && (oldest == nil || several || unrelated(m.method)):
		return nil, s.inbox
	case oldest != nil:
		return oldest, nil
	}
	return nil, nil
}

// unrelated reports notifications that are about the server, not about a request.
func unrelated(method string) bool {
	switch method {
	case "notifications/tools/list_changed", "notifications/prompts/list_changed",
		"notifications/resources/list_changed", "notifications/resources/updated":
		return true
	}
	return false
}

// cancellation implements user. An initialize must not be cancelled (MCP
// 2025-11-25 cancellation), and without its answer there is no session.
func (s *session) cancellation(c *call) []byte {
	if c.method == "initialize" {
		s.hub.drop(s, unknownSession(s.name))
		return nil
	}
	return cancelled(c.wireID)
}

// interrupted implements user.
func (s *session) interrupted() {
	s.mu.Lock()
	established := s.established
	s.pending.forgetRequests() // who asked does not wait any more
	s.mu.Unlock()
	if !established { // the client waits for an answer to initialize, not for a session
		s.hub.drop(s, backend.Fail(s.name, http.StatusBadGateway, backend.ReasonCrashed, nil, "the server ended as soon as it had started; see the gateway's log"))
	}
}

// idled implements user.
func (s *session) idled() {
	s.log.Debug("idle session ends", "after", s.rest.Round(time.Second))
	s.hub.drop(s, unknownSession(s.name))
}

// unknownSession sends the client back to initialize (MCP 2025-11-25 transports, sessions).
func unknownSession(name string) *backend.Failure {
	return &backend.Failure{
		Public: mcp.Errorf(http.StatusNotFound, mcp.CodeInvalidRequest, "%s: this session is unknown or has ended; initialize again", name),
		Reason: backend.ReasonSession,
	}
}
