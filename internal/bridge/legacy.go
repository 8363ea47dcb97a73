package bridge

import (
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/bridge/convert"
	"github.com/sallyport-dev/sallyport/internal/bridge/wire"
	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// This file serves legacy clients of a modern server.

// initializeModern begins a session of the gateway's own, by what the server says of
// itself; discovered is nil where that has not been asked yet.
func (b *Bridge) initializeModern(ctx context.Context, req *backend.Request, discovered []byte) (*backend.Response, error) {
	if discovered == nil {
		var modern bool
		var err error
		discovered, modern, err = b.discover(ctx, req)
		switch {
		case err != nil:
			return nil, err
		case !modern && b.eras.Fixed():
			return nil, b.bad(nil, "the server does not speak the protocol revision that its manifest names")
		case !modern: // not any more
			b.eras.Store(0)
			b.tell("")
			return b.Next.Do(ctx, req)
		}
	}
	m := req.Message
	params := m.Bytes(m.Params)
	rev := convert.Negotiated(mcp.PathText(params, "protocolVersion"))
	resp := backend.JSONResponse(http.StatusOK, response(m.ID, convert.InitializeResult(discovered, rev)))
	resp.Session = newClientSession(params, rev).session()
	return resp, nil
}

// legacyToModern answers one request of a session of the gateway's own, or of none.
func (b *Bridge) legacyToModern(ctx context.Context, req *backend.Request) (*backend.Response, error) {
	c, ok := clientOf(req)
	if !ok || b.clients.hasEnded(c.id) {
		return nil, b.unknownSession()
	}
	switch req.Method {
	case http.MethodGet:
		return b.listenLegacy(ctx, req, c)
	case http.MethodDelete:
		b.clients.leave(c.id)
		return backend.StatusResponse(http.StatusNoContent), nil
	}
	m := req.Message
	switch m.Kind {
	case mcp.KindResponse:
		return b.answered(c, m), nil
	case mcp.KindNotification:
		return b.notified(ctx, req, c)
	}
	params := m.Bytes(m.Params)
	done := func() (*backend.Response, error) {
		return backend.JSONResponse(http.StatusOK, response(m.ID, []byte("{}"))), nil
	}
	switch m.Method {
	case "ping":
		return done()
	case "initialize":
		return b.initializeModern(ctx, req, nil)
	case "logging/setLevel":
		level := mcp.PathText(params, "level")
		if convert.LevelRank(level) < 0 {
			return backend.Refusal(m.ID, mcp.Errorf(http.StatusOK, mcp.CodeInvalidParams, "params.level is none of %v", convert.Levels())), nil
		}
		if !b.clients.change(c.id, func(s *clientState) { s.level = level }) {
			return nil, b.busy()
		}
		return done()
	case "resources/subscribe", "resources/unsubscribe":
		return b.subscribed(ctx, c, m)
	case "tasks/get", "tasks/update", "tasks/cancel", "tasks/list", "tasks/result":
		return backend.Refusal(m.ID, mcp.Errorf(http.StatusOK, mcp.CodeMethodNotFound, "tasks cannot be had between this client's protocol revision and the server's")), nil
	}
	return b.callModern(ctx, req, c)
}

func (b *Bridge) unknownSession() *backend.Failure {
	return &backend.Failure{
		Public: mcp.Errorf(http.StatusNotFound, mcp.CodeInvalidRequest, "%s: this session is unknown; initialize again", b.Name),
		Reason: backend.ReasonSession,
	}
}

// subscribed notes what a session wants to hear of, and has its listening stream ask
// the server for it.
func (b *Bridge) subscribed(ctx context.Context, c clientSession, m *mcp.Envelope) (*backend.Response, error) {
	if m.Target == "" {
		return backend.Refusal(m.ID, mcp.Errorf(http.StatusOK, mcp.CodeInvalidParams, "params.uri is missing")), nil
	}
	on := m.Method == "resources/subscribe"
	full := false
	var listening *clientStream
	ok := b.clients.change(c.id, func(s *clientState) {
		before := len(s.uris)
		if !on {
			delete(s.uris, m.Target)
		} else if full = before >= maxURIs && !s.uris[m.Target]; !full {
			if s.uris == nil {
				s.uris = map[string]bool{}
			}
			s.uris[m.Target] = true
		}
		if before != len(s.uris) {
			listening = s.listening
		}
	})
	switch {
	case !ok:
		return nil, b.busy()
	case full:
		return backend.Refusal(m.ID, mcp.Errorf(http.StatusOK, mcp.CodeInvalidRequest, "a session has at most %d subscriptions", maxURIs)), nil
	case listening != nil:
		if granted, ok := listening.renew(ctx); ok && on && !tells(granted, m.Target) {
			b.clients.change(c.id, func(s *clientState) { delete(s.uris, m.Target) })
			return backend.Refusal(m.ID, mcp.Errorf(http.StatusOK, mcp.CodeInvalidParams, "the server does not tell when this resource changes")), nil
		}
	}
	return backend.JSONResponse(http.StatusOK, response(m.ID, []byte("{}"))), nil
}

// uris are what a session has subscribed to, in order.
func (c *clients) uris(id string) (uris []string) {
	c.look(id, func(s *clientState) { uris = slices.Sorted(maps.Keys(s.uris)) })
	return uris
}

// answered brings an answer to the question that it is for.
func (b *Bridge) answered(c clientSession, m *mcp.Envelope) *backend.Response {
	var waits chan message
	b.clients.look(c.id, func(s *clientState) {
		waits = s.questions[string(m.ID)]
		delete(s.questions, string(m.ID))
	})
	if waits == nil {
		id, _ := mcp.Text(m.ID)
		if strings.HasPrefix(id, questionPrefix) && !strings.HasPrefix(id, b.waiting.questionPrefix()) {
			return backend.Refusal(nil, mcp.Errorf(http.StatusBadRequest, mcp.CodeInvalidRequest,
				"this was asked by another replica of the gateway, or before it was started or configured anew; replicas need session affinity for clients that are asked something"))
		}
		return backend.Refusal(nil, mcp.Errorf(http.StatusBadRequest, mcp.CodeInvalidRequest,
			"nobody waits for this answer: nothing was asked by this id, it has been answered, or its time is over"))
	}
	answer, err := wire.Read(m.Raw)
	if err != nil { // it was read strictly before
		answer = message{}
	}
	waits <- answer // there is room for one
	return backend.StatusResponse(http.StatusAccepted)
}

// notified takes a notification of the client's.
func (b *Bridge) notified(ctx context.Context, req *backend.Request, c clientSession) (*backend.Response, error) {
	m := req.Message
	switch m.Method {
	case "notifications/cancelled":
		id := mcp.Path(m.Bytes(m.Params), "requestId")
		b.clients.look(c.id, func(s *clientState) {
			if cancel := s.running[string(id)]; cancel != nil {
				cancel(errCancelled)
			}
		})
		return backend.StatusResponse(http.StatusAccepted), nil
	case "notifications/initialized", "notifications/roots/list_changed", "notifications/progress":
		return backend.StatusResponse(http.StatusAccepted), nil // the other era has none of them
	}
	out, err := b.post(req, notification(m.Method, convert.ModernParams(m.Bytes(m.Params), c.capabilities, c.info, "")))
	if err != nil {
		return nil, err
	}
	setModernHeaders(out)
	resp, err := b.Next.Do(ctx, out)
	if err == nil && resp.Status == http.StatusNotFound {
		resp.Status = http.StatusBadRequest // 404 would end the client's session
	}
	return resp, notTheSession(err)
}

// notTheSession is a failure of a server without sessions, to a client that has one: 404
// would say that it has ended.
func notTheSession(err error) error {
	f, ok := errors.AsType[*backend.Failure](err)
	if !ok || f.Public.Status != http.StatusNotFound {
		return err
	}
	failure, public := *f, *f.Public
	public.Status = http.StatusBadGateway
	failure.Public = &public
	return &failure
}

// legacyCall is a legacy client's request on its way at a modern server.
type legacyCall struct {
	bridge *Bridge
	client clientSession
	req    *backend.Request
	ctx    context.Context
	done   context.CancelCauseFunc
	end    func() // gives back what the call holds
	sent   int    // how often
	rounds int    // in which the server has asked something
	pauses int    // in which it only wanted to be asked again
}

// How often a server may ask something, or to be asked again, before it answers.
const (
	maxRounds = 32
	maxPauses = 5
)

// callModern sends a request with everything that a modern server wants to know.
func (b *Bridge) callModern(ctx context.Context, req *backend.Request, client clientSession) (*backend.Response, error) {
	m := req.Message
	c := &legacyCall{bridge: b, client: client, req: req}
	c.ctx, c.done = context.WithCancelCause(ctx)
	taken := false
	known := b.clients.change(client.id, func(s *clientState) {
		if taken = s.running[string(m.ID)] != nil; taken {
			return
		}
		if s.running == nil {
			s.running = map[string]context.CancelCauseFunc{}
		}
		s.running[string(m.ID)] = c.done
	})
	if taken {
		return nil, &backend.Failure{Reason: backend.ReasonBadRequest, Public: mcp.Errorf(http.StatusBadRequest, mcp.CodeInvalidRequest,
			"%s: the id of this request is that of another one that is still running; use a new id", b.Name)}
	}
	c.end = func() {
		if known {
			b.clients.change(client.id, func(s *clientState) { delete(s.running, string(m.ID)) })
		}
		c.done(nil)
	}
	resp, err := c.send(m.Bytes(m.Params))
	if err != nil {
		c.end()
		return nil, err
	}
	if resp.Stream {
		return backend.StreamResponse(&legacyStream{call: c, from: b.source(resp)}), nil
	}
	answer, err := b.answerTo(resp, nil)
	if err != nil {
		c.end()
		return nil, err
	}
	if !c.asks(answer) {
		defer c.end()
		return backend.JSONResponse(http.StatusOK, c.final(answer)), nil
	}
	st := &legacyStream{call: c}
	st.take(answer)
	return backend.StreamResponse(st), nil
}

// send makes a request of the client's, with params, and sends it.
func (c *legacyCall) send(params []byte) (*backend.Response, error) {
	m, b := c.req.Message, c.bridge
	params = convert.ModernParams(params, c.client.capabilities, c.client.info, b.clients.level(c.client.id))
	for attempt := 0; ; attempt++ {
		id := m.ID
		if c.sent++; c.sent > 1 { // each attempt has its own (MCP 2026-07-28 multi round-trip requests)
			id = mcp.Quote("sallyport-" + rand.Text())
		}
		out, err := b.post(c.req, request(id, m.Method, params))
		if err != nil {
			return nil, err
		}
		setModernHeaders(out)
		b.setParamHeaders(out)
		resp, err := b.Next.Do(c.ctx, out)
		if b.hasDowngraded(c.ctx, out, resp, err) { // so that it gives sessions of its own now
			if resp != nil {
				_ = resp.Body.Close()
			}
			return nil, b.unknownSession()
		}
		if err != nil || attempt > 0 || m.Method != "tools/call" || resp.Stream || resp.Status != http.StatusBadRequest {
			return resp, notTheSession(err)
		}
		body, refused, ok := wire.Peek(resp.Body)
		resp.Body = body
		if !ok || convert.Code(refused.Fault) != mcp.CodeHeaderMismatch || !b.learnParams(c.ctx, c.req, c.client) {
			return resp, nil
		}
		_ = resp.Body.Close() // it was refused before it was processed
	}
}

// asks reports whether an answer is that the server needs to know something first.
func (c *legacyCall) asks(m message) bool {
	return m.Result != nil && mcp.PathText(m.Result, "resultType") == "input_required" && convert.Asks(c.req.Message.Method)
}

// final is the client's answer of the server's.
func (c *legacyCall) final(m message) []byte {
	id, method := c.req.Message.ID, c.req.Message.Method
	if m.Fault != nil {
		return wire.Failure(id, convert.LegacyFault(method, m.Fault))
	}
	switch kind := mcp.PathText(m.Result, "resultType"); kind {
	case "", "complete":
		result := m.Result
		if method == "tools/list" {
			result, _ = c.bridge.legacyTools(keyOf(c.req, nil), result)
		}
		return response(id, convert.LegacyResult(method, result))
	case "task":
		return c.refuse("the server answers with a task, which this client's protocol revision does not have")
	default:
		return c.refuse("the server answers in a way that this client's protocol revision does not have")
	}
}

// refuse is the client's answer where the server's cannot be had: of a tool, a
// result, so that whoever called can read it.
func (c *legacyCall) refuse(why string) []byte {
	m := c.req.Message
	if m.Method != "tools/call" {
		return mcp.Errorf(0, mcp.CodeInternal, "%s", why).Append(nil, m.ID)
	}
	return response(m.ID, convert.ToolError(why))
}

// cancelled is the client's answer to a request that it has cancelled itself.
func (c *legacyCall) cancelled() []byte {
	return mcp.Errorf(0, mcp.CodeInternal, "the request was cancelled").Append(nil, c.req.Message.ID)
}
