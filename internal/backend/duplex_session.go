package backend

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// session is what one client of a revision with sessions has: a connection of its
// own, so that nothing the server keeps for one person is there for another.
type session struct {
	*trunk
	hub *Duplex
	id  string

	// Guarded by trunk.mu.
	established bool // initialize was answered with a result
	memory      memory
	inbox       *mailbox // the listening stream; nil while there is none
	pending     pending
}

// memory is what a session says to a server that was started again, in this order.
type memory struct {
	initialize, initialized, level *said
	subscribed                     map[string]*said // by resource
}

// said is a message that is kept to be said again.
type said struct {
	id  []byte // nil for a notification
	out outbound
}

// maxSubscriptions bounds how many resource subscriptions are kept.
const maxSubscriptions = 256

func remember(id []byte, out outbound) *said {
	return &said{id: id, out: outbound{
		body: slices.Clone(out.body), public: out.public.Clone(), private: out.private.Clone(),
	}}
}

// worthKeeping reports requests that leave something behind at the server that a
// new server lacks.
func worthKeeping(method string) bool {
	switch method {
	case "initialize", "logging/setLevel", "resources/subscribe", "resources/unsubscribe":
		return true
	}
	return false
}

// post sends what the client has posted.
func (s *session) post(ctx context.Context, req *Request) (*Response, *Failure) {
	if !s.enter() {
		return nil, unknownSession(s.name)
	}
	defer s.leave()
	e := req.Message
	if e.Kind != mcp.KindRequest {
		return s.notify(ctx, req)
	}
	id := slices.Clone(e.ID)
	c := &call{
		id: id, wireID: id, key: idKey(id), method: e.Method, target: e.Target,
		token: idKey(e.Bytes(e.Meta.ProgressToken)),
		out:   outbound{public: req.Header, private: req.Private},
	}
	if worthKeeping(e.Method) {
		c.out = remember(id, req.outbound()).out
	}
	return s.exchange(ctx, c, req.outbound())
}

// notify sends a notification, or the client's answer to a request of the server.
// Neither starts a server that is down: nobody is there whom they concern.
func (s *session) notify(ctx context.Context, req *Request) (*Response, *Failure) {
	e := req.Message
	if e.Method == "notifications/initialized" {
		s.mu.Lock()
		if s.memory.initialized == nil {
			s.memory.initialized = remember(nil, req.outbound())
		}
		s.mu.Unlock()
	}
	out, current := req.outbound(), true
	if e.Kind == mcp.KindResponse {
		out.body, current = s.answerTo(e)
	}
	if conn := s.current(); conn != nil && current {
		wait, cancel := context.WithTimeout(ctx, s.answer)
		defer cancel()
		err := conn.send(wait, out)
		if f, ok := errors.AsType[*Failure](err); ok {
			return nil, f
		}
		switch {
		case err != nil && ctx.Err() != nil:
			return nil, ended(ctx, s.name)
		case err != nil && wait.Err() != nil:
			return nil, timedOut(s.name, errNoAnswer)
		}
	}
	if e.Method == "notifications/cancelled" {
		s.withdraw(idKey(e.Bytes(member(e.Raw, e.Params, "requestId"))))
	}
	return statusResponse(http.StatusAccepted), nil
}

// listen opens the listening stream. There is one at a time, and the newest is the
// one: a client whose connection broke without the gateway noticing could not
// listen again otherwise.
func (s *session) listen(ctx context.Context) (*Response, *Failure) {
	if !s.enter() {
		return nil, unknownSession(s.name)
	}
	box := newMailbox()
	s.mu.Lock()
	if s.closed != nil {
		s.mu.Unlock()
		s.leave()
		return nil, unknownSession(s.name)
	}
	if s.inbox != nil {
		for _, l := range s.inbox.close(errReplaced) {
			box.add(l)
		}
	}
	s.pending.flush(box)
	s.inbox = box
	s.mu.Unlock()
	return streamResponse(&eventBody{ctx: ctx, box: box, gone: func() { s.hangUp(box, errBodyDone) }, leave: s.leave}), nil
}

// hangUp ends a listening stream. What was not read waits for the next one.
func (s *session) hangUp(box *mailbox, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rest := box.close(err)
	if s.inbox != box {
		return
	}
	s.inbox = nil
	s.untold(rest)
}

// untold implements trunkUser.
func (s *session) untold(rest []letter) {
	for _, l := range rest {
		if l.failure == nil && !l.last {
			s.keep(l.raw)
		}
	}
}

// keep stores a message that has no stream to go to; locked.
func (s *session) keep(raw []byte) {
	if s.pending.add(raw) {
		s.log.Warn("message of server was dropped: the client has no stream open and too many wait already")
	}
}

// end closes the session, and with it the listening stream. The stream ends in
// order: the client finds the session gone when it comes again.
func (s *session) end(f *Failure) {
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

// greet implements trunkUser: a server that was started again hears what the
// session has already said.
func (s *session) greet(ctx context.Context) *Failure {
	s.mu.Lock()
	again, m := s.established, s.memory
	m.subscribed = maps.Clone(m.subscribed)
	s.mu.Unlock()
	if !again {
		return nil
	}
	if f := s.replay(ctx, m); f != nil {
		s.log.Warn("server was started again but does not take the session up; the client has to begin anew", "error", f)
		f := unknownSession(s.name)
		s.hub.drop(s, f)
		return f
	}
	s.log.Warn("server was started again and the session goes on; what the server kept in memory is lost")
	return nil
}

func (s *session) replay(ctx context.Context, m memory) *Failure {
	answer, f := s.ask(ctx, m.initialize.id, m.initialize.out)
	if f != nil {
		return f
	}
	if answer.failed() {
		return fail(s.name, http.StatusBadGateway, ReasonBadAnswer, fmt.Errorf("initialize: JSON-RPC error %d", answer.code()), "the server refused the session")
	}
	s.mu.Lock()
	l := s.life
	s.mu.Unlock()
	if m.initialized != nil && l != nil {
		if err := l.link.send(ctx, m.initialized.out); err != nil {
			return fail(s.name, http.StatusBadGateway, ReasonCrashed, err, "the server refused the session")
		}
	}
	rest := slices.Collect(maps.Values(m.subscribed))
	if m.level != nil {
		rest = append(rest, m.level)
	}
	for _, one := range rest {
		if _, f := s.ask(ctx, one.id, one.out); f != nil {
			return f
		}
	}
	return nil
}

// begun implements trunkUser.
func (s *session) begun(c *call) {
	if !c.own {
		s.pending.flush(c.box)
	}
}

// answered implements trunkUser. The answer passes as it is; with it the server
// has taken on what a new one would have to be told.
func (s *session) answered(c *call, m message) ([]byte, int) {
	if !m.failed() && worthKeeping(c.method) {
		kept := &said{id: c.id, out: c.out}
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
	return m.raw, http.StatusOK
}

// unasked implements trunkUser: each message goes to exactly one stream (L9).
func (s *session) unasked(m message) {
	s.mu.Lock()
	raw := s.question(m)
	s.mu.Unlock()
	for {
		s.mu.Lock()
		c, box := s.addressee(m)
		if c == nil && box == nil {
			s.keep(raw)
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		if c != nil {
			box = c.box
		}
		err := box.put(letter{raw: raw}, s.patience)
		if err == nil {
			return
		}
		if errors.Is(err, errMailboxFull) {
			s.log.Warn("stream to client was broken off: it is not read")
			if c != nil {
				s.abandon(c, err)
			} else {
				s.hangUp(box, err)
			}
		}
		// The stream has ended; there may be another.
	}
}

// addressee chooses the stream of a message: the request it belongs to as far as
// that can be known, or the listening stream; neither when there is none. Locked.
func (s *session) addressee(m message) (*call, *mailbox) {
	if token := m.progressToken(); token.Present() {
		key := idKey(m.bytes(token))
		for _, c := range s.calls {
			if c.token == key && !c.own {
				return c, nil
			}
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

// cancellation implements trunkUser. An initialize must not be cancelled (MCP
// 2025-11-25 cancellation), and without its answer there is no session.
func (s *session) cancellation(c *call) []byte {
	if c.method == "initialize" {
		s.hub.drop(s, unknownSession(s.name))
		return nil
	}
	return cancelled(c.wireID)
}

// interrupted implements trunkUser.
func (s *session) interrupted() {
	s.mu.Lock()
	established := s.established
	s.pending.forgetRequests() // who asked does not wait any more
	s.mu.Unlock()
	if !established { // the client waits for an answer to initialize, not for a session
		s.hub.drop(s, fail(s.name, http.StatusBadGateway, ReasonCrashed, nil, "the server ended as soon as it had started; see the gateway's log"))
	}
}

// idled implements trunkUser.
func (s *session) idled() {
	s.log.Debug("idle session ends", "after", s.rest.Round(time.Second))
	s.hub.drop(s, unknownSession(s.name))
}

// unknownSession sends the client back to initialize (L12).
func unknownSession(name string) *Failure {
	return &Failure{
		Public: mcp.Errorf(http.StatusNotFound, mcp.CodeInvalidRequest, "%s: this session is unknown or has ended; initialize again", name),
		Reason: ReasonSession,
	}
}
