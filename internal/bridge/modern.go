package bridge

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/bridge/convert"
	"github.com/sallyport-dev/sallyport/internal/bridge/wire"
	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// This file serves modern clients of a legacy server.

// modernToLegacy answers one request.
func (b *Bridge) modernToLegacy(ctx context.Context, req *backend.Request) (*backend.Response, error) {
	m := req.Message
	if m.Kind != mcp.KindRequest {
		return backend.StatusResponse(http.StatusAccepted), nil // whoever cancels closes its stream (MCP 2026-07-28 cancellation)
	}
	switch m.Method {
	case "initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe",
		"tasks/get", "tasks/update", "tasks/cancel", "tasks/list", "tasks/result":
		return backend.Refusal(m.ID, mcp.Errorf(http.StatusNotFound, mcp.CodeMethodNotFound, "%s is not there in this revision", m.Method)), nil
	case "server/discover":
		if req.Probe {
			if err := b.ping(ctx, req); err != nil {
				return nil, err
			}
		}
		s, err := b.pool.get(ctx, req)
		if err != nil {
			return nil, err
		}
		defer s.leave()
		return backend.JSONResponse(http.StatusOK, response(m.ID, convert.DiscoverResult(s.now().initialized))), nil
	case "subscriptions/listen":
		return b.listen(ctx, req)
	}
	if convert.Asks(m.Method) {
		if state := mcp.PathText(m.Bytes(m.Params), "requestState"); state != "" {
			return b.resume(ctx, req, state)
		}
	}
	return b.callLegacy(ctx, req)
}

// ping asks the server itself whether it is there, in the caller's session: what is known of
// it, which answers server/discover, says nothing of today.
func (b *Bridge) ping(ctx context.Context, of *backend.Request) error {
	req, err := b.post(of, request([]byte("1"), "ping", of.Message.Bytes(of.Message.Params)))
	if err != nil {
		return err
	}
	resp, err := b.callLegacy(ctx, req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// modernCall is a modern client's request on its way at a legacy server.
type modernCall struct {
	bridge  *Bridge
	session *session
	at      *conversation    // in which it is made
	req     *backend.Request // of the client, the last one where a question has been answered
	wireID  []byte
	token   []byte // the client's progress token; nil for none
	level   string // of log messages that the client wants; "" for none

	ctx    context.Context // of the request at the server, which a question outlives
	cancel context.CancelFunc
	unlink func() bool // takes it from the client's

	asked, refused int // questions of the server's

	from   source     // the stream of the server's answer
	beside *elsewhere // where the server may ask by its listening stream; nil where it does not
}

// callLegacy sends a request in the caller's session. One that the server has lost is
// opened anew, once: it has not processed the request, then.
func (b *Bridge) callLegacy(ctx context.Context, req *backend.Request) (*backend.Response, error) {
	level := mcp.PathText(req.Message.Bytes(req.Message.Meta.Span), convert.MetaLogLevel)
	if level != "" && convert.LevelRank(level) < 0 {
		return backend.Refusal(req.Message.ID, mcp.Errorf(http.StatusBadRequest, mcp.CodeInvalidParams, "params._meta: the log level is none of %v", convert.Levels())), nil
	}
	for attempt := 0; ; attempt++ {
		s, err := b.pool.get(ctx, req)
		if err != nil {
			return nil, err
		}
		c := &modernCall{bridge: b, session: s, req: req, wireID: s.nextID(), level: level}
		if level != "" {
			s.now().setLevel(ctx, level)
		}
		c.at = s.now()
		c.follow(ctx)
		resp, asked, err := c.begin()
		if asked != nil {
			st := &modernStream{call: c}
			st.asked(*asked)
			return backend.StreamResponse(st), nil
		}
		if attempt == 0 && (c.at.lost(resp, err) || b.hasUpgraded(resp)) {
			if resp != nil {
				_ = resp.Body.Close()
			}
			err = s.renew(ctx, c.at)
			c.done()
			if err != nil {
				return nil, err
			}
			continue
		}
		if attempt > 0 && c.at.lost(resp, err) && !convert.Common(req.Message.Method) {
			// The session is new: it is the method that the server does not know.
			if resp != nil {
				_ = resp.Body.Close()
			}
			c.done()
			return backend.Refusal(req.Message.ID, mcp.Errorf(http.StatusNotFound, mcp.CodeMethodNotFound, "the server does not know the method %q", req.Message.Method)), nil
		}
		if err != nil {
			if ctx.Err() != nil {
				c.tellCancelled()
			}
			c.done()
			return nil, err
		}
		return c.answer(resp)
	}
}

// follow has the request at the server end with the client's.
func (c *modernCall) follow(ctx context.Context) {
	c.ctx, c.cancel = context.WithCancel(context.WithoutCancel(ctx))
	c.link(ctx)
}

func (c *modernCall) link(ctx context.Context) { c.unlink = context.AfterFunc(ctx, c.cancel) }

// done gives back what the call holds.
func (c *modernCall) done() {
	c.unlink()
	c.cancel()
	s := c.session
	s.mu.Lock()
	delete(s.asking, c)
	s.mu.Unlock()
	s.leave()
}

func (c *modernCall) send() (*backend.Response, error) {
	m := c.req.Message
	var token []byte
	if m.Meta.ProgressToken.Present() {
		c.token, token = m.Bytes(m.Meta.ProgressToken), c.wireID
	}
	out, err := c.at.prepare(request(c.wireID, m.Method, convert.LegacyParams(m.Bytes(m.Params), token)))
	if err != nil {
		return nil, err
	}
	return c.bridge.Next.Do(c.ctx, out)
}

// answer converts what the server answers.
func (c *modernCall) answer(resp *backend.Response) (*backend.Response, error) {
	if resp.Stream {
		if c.beside == nil { // else it is read already
			c.from = c.source(resp)
		}
		return backend.StreamResponse(&modernStream{call: c}), nil
	}
	defer c.done()
	status := resp.Status
	m, err := c.bridge.answerTo(resp, nil)
	if err != nil {
		if status >= http.StatusBadRequest {
			return nil, c.bridge.bad(errors.New(http.StatusText(status)), "the backend refuses the request")
		}
		return nil, err
	}
	raw, status := c.final(m)
	return backend.JSONResponse(status, raw), nil
}

// final is the client's answer of the server's.
func (c *modernCall) final(m message) (raw []byte, status int) {
	id, method := c.req.Message.ID, c.req.Message.Method
	switch {
	case m.Fault == nil:
		return response(id, convert.ModernResult(method, m.Result, mcp.Path(c.at.initialized, "serverInfo"))), http.StatusOK
	case convert.Code(m.Fault) == mcp.CodeURLElicitationRequired:
		return c.visit(m.Fault)
	case method == "tools/call" && convert.Code(m.Fault) == mcp.CodeMethodNotFound && mcp.Path(c.at.initialized, "capabilities", "tasks") != nil:
		e := mcp.Errorf(http.StatusOK, mcp.CodeInvalidParams,
			"%s: the server runs this tool as a task only, and tasks cannot be had between this client's protocol revision and %s", c.bridge.Name, c.at.revision)
		return e.Append(nil, id), e.Status
	}
	fault, status := convert.ModernFault(m.Fault, c.req.Message.Target)
	return wire.Failure(id, fault), status
}

// capabilities are those that the client declared.
func (c *modernCall) capabilities() []byte {
	return mcp.Path(c.req.Message.Bytes(c.req.Message.Meta.Span), convert.MetaCapabilities)
}

// tellCancelled tells the server that nobody waits any more (MCP 2025-11-25
// cancellation: there, going away says nothing).
func (c *modernCall) tellCancelled() {
	params := wire.With(nil, wire.Field("requestId", c.wireID), wire.Field("reason", []byte(`"the client is gone"`)))
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), closeTimeout)
	defer cancel()
	_ = c.at.say(ctx, notification("notifications/cancelled", params)) // the server may be gone too
}

// modernStream is a server's stream as the client's.
type modernStream struct {
	wire.Pulled
	call   *modernCall
	handed bool // the call waits for an answer of the client, by another request
	closed bool
}

func (s *modernStream) Read(p []byte) (int, error) { return s.Pull(p, s.next) }

// next reads one event of the server's.
func (s *modernStream) next() {
	raw, m, ok, err := s.call.next()
	switch {
	case err != nil:
		s.Err = err
	case !ok:
	case m.Kind == mcp.KindRequest:
		s.asked(m)
	case m.Kind == mcp.KindNotification:
		if raw := s.call.notified(m, raw); raw != nil {
			s.Emit(raw)
		}
	case bytes.Equal(m.ID, s.call.wireID):
		raw, _ := s.call.final(m)
		s.Finish(raw)
	}
}

// notified is what the client hears of a notification; nil for nothing.
func (c *modernCall) notified(m message, raw []byte) []byte {
	switch m.Method {
	case "notifications/progress":
		if c.token == nil || !bytes.Equal(mcp.Path(m.Params, "progressToken"), c.wireID) {
			return nil
		}
		return notification(m.Method, wire.With(m.Params, wire.Field("progressToken", c.token)))
	case "notifications/message":
		if c.level == "" || convert.LevelRank(mcp.PathText(m.Params, "level")) < convert.LevelRank(c.level) {
			return nil
		}
		return raw
	case "notifications/cancelled", "notifications/elicitation/complete":
		return nil // of the server's own requests; who answers those comes back anyway
	}
	if c.session.overheard(m); convert.IsSubscribed(m.Method) {
		return nil
	}
	return raw
}

// asked handles a question of the server's.
func (s *modernStream) asked(m message) {
	c := s.call
	if m.Method == "ping" {
		s.reply(response(m.ID, []byte("{}")))
		return
	}
	can := convert.ClientCapabilities(c.capabilities(), c.at.revision)
	if !convert.IsQuestion(m.Method) || !convert.Asks(c.req.Message.Method) || !convert.Can(can, m.Method, m.Params) {
		s.refuse(m, mcp.Errorf(0, mcp.CodeMethodNotFound, "this client cannot be asked for %s here: it has not declared that it can, or %s has it not", m.Method, c.at.revision))
		return
	}
	if c.asked++; c.asked > maxRounds {
		s.refuse(m, mcp.Errorf(0, mcp.CodeInternal, "one call may ask %d times at most", maxRounds))
		return
	}
	raw, err := c.suspend(m)
	if err != nil {
		s.refuse(m, mcp.Errorf(0, mcp.CodeInternal, "too many questions wait for answers"))
		return
	}
	s.handed = true
	s.Finish(raw)
}

// refuse tells the server that its question is not asked. One that asks again and again
// is not waited for.
func (s *modernStream) refuse(m message, why *mcp.Error) {
	c := s.call
	if c.refused++; c.refused > maxQuestions {
		c.tellCancelled()
		s.Finish(mcp.Errorf(0, mcp.CodeInternal, "%s: the server asks again and again, and does not answer", c.bridge.Name).Append(nil, c.req.Message.ID))
		return
	}
	s.reply(why.Append(nil, m.ID))
}

// reply answers the server. One that does not take it will not go on either.
func (s *modernStream) reply(raw []byte) {
	ctx, cancel := context.WithTimeout(s.call.ctx, openTimeout)
	defer cancel()
	if err := s.call.at.say(ctx, raw); err != nil {
		s.Err = err
	}
}

// Close ends the call at the server, unless it has ended or goes on.
func (s *modernStream) Close() error {
	if s.closed || s.handed {
		return nil
	}
	s.closed = true
	err := s.call.from.Close()
	if s.Err != io.EOF {
		s.call.tellCancelled()
	}
	s.call.done()
	return err
}
