package bridge

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/bridge/convert"
	"github.com/sallyport-dev/sallyport/internal/bridge/era"
	"github.com/sallyport-dev/sallyport/internal/bridge/wire"
	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// conversation is a session as the server has it, from initialize until the server
// loses it. Then the session gets another, and those who use it do not notice: what they
// have subscribed to and the log level are asked for anew. What the server kept itself
// is lost.
type conversation struct {
	session     *session
	backend     backend.Session
	revision    mcp.Revision
	initialized []byte // the result of initialize
	level       string // that logging/setLevel has set; "" for none; guarded by session.mu
}

// now is the session as the server has it.
func (s *session) now() *conversation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at
}

// renew opens the session, unless it is another than stale already.
func (s *session) renew(ctx context.Context, stale *conversation) error {
	s.opening.Lock()
	defer s.opening.Unlock()
	if s.now() != stale {
		return nil
	}
	at, err := s.open(ctx)
	if err != nil {
		s.bridge.pool.drop(s)
		return err
	}
	s.mu.Lock()
	ended, of, l := s.ended, s.of, s.listener
	s.at = at
	s.mu.Unlock()
	switch {
	case ended:
		at.end(of)
		return s.bridge.gone()
	case l != nil:
		l.reopen()
	}
	return nil
}

// open initializes the session at the server.
func (s *session) open(ctx context.Context) (*conversation, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	s.mu.Lock()
	of := s.of
	s.mu.Unlock()
	info := mcp.Path(of.Message.Bytes(of.Message.Meta.Span), convert.MetaClientInfo)
	if info == nil {
		info = convert.OwnInfo()
	}
	params := wire.With(nil, wire.Field("protocolVersion", mcp.Quote(string(mcp.Rev20251125))), wire.Field("capabilities", s.capabilities), wire.Field("clientInfo", info))
	b := s.bridge
	req, err := b.post(of, request([]byte("0"), "initialize", params))
	if err != nil {
		return nil, err
	}
	resp, err := b.Next.Do(ctx, req)
	if says(err) {
		return nil, b.bad(errors.Join(errNoSession, err), "the server refuses the session")
	}
	if err != nil {
		return nil, err
	}
	issued := resp.Session
	m, err := b.answerTo(resp, nil)
	if err != nil {
		return nil, err
	}
	if m.Fault != nil {
		return nil, b.bad(errNoSession, "the server refuses the session")
	}
	rev := mcp.Revision(mcp.PathText(m.Result, "protocolVersion"))
	if !rev.Known() || rev.Modern() {
		return nil, b.bad(errors.New("initialize answered with another revision"), "the server speaks a protocol revision that the gateway does not")
	}
	at := &conversation{session: s, backend: issued, revision: rev, initialized: m.Result}
	b.eras.Found(era.LegacyKnown | era.LegacyYes)
	b.tell(rev)
	return at, at.say(ctx, notification("notifications/initialized", nil))
}

// end ends the session at the server. of is whose request it goes with.
func (c *conversation) end(of *backend.Request) {
	if c.backend.ID == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if resp, err := c.session.bridge.Next.Do(ctx, c.in(derived(of, http.MethodDelete))); err == nil {
		_ = resp.Body.Close()
	}
}

// in has a request be of the session.
func (c *conversation) in(req *backend.Request) *backend.Request {
	req.Session = c.backend
	if c.revision >= mcp.Rev20250618 {
		req.Header[mcp.HeaderProtocolVersion] = []string{string(c.revision)}
	}
	return req
}

// prepare makes a request of a message, in the session.
func (c *conversation) prepare(raw []byte) (*backend.Request, error) {
	s := c.session
	s.mu.Lock()
	of := s.of
	s.mu.Unlock()
	req, err := s.bridge.post(of, raw)
	if err != nil {
		return nil, err
	}
	return c.in(req), nil
}

// listen asks for the server's listening stream, or for the rest of a stream whose last
// event is given.
func (c *conversation) listen(ctx context.Context, lastID string) (*backend.Response, error) {
	s := c.session
	s.mu.Lock()
	of := s.of
	s.mu.Unlock()
	req := derived(of, http.MethodGet)
	req.Header["Accept"] = []string{"text/event-stream"}
	if lastID != "" {
		req.Header[mcp.HeaderLastEventID] = []string{lastID}
	}
	return s.bridge.Next.Do(ctx, c.in(req))
}

// say sends what has no answer: a notification, or the response to a question.
func (c *conversation) say(ctx context.Context, raw []byte) error {
	req, err := c.prepare(raw)
	if err != nil {
		return err
	}
	resp, err := c.session.bridge.Next.Do(ctx, req)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if resp.Status >= http.StatusBadRequest {
		return c.session.bridge.bad(nil, "the server does not take a message of its own session (status "+strconv.Itoa(resp.Status)+")")
	}
	return nil
}

// lost reports whether an answer says that the server does not know the session any
// more. It has not processed the request, then.
func (c *conversation) lost(resp *backend.Response, err error) bool {
	if c.backend.ID == "" {
		return false
	}
	if err != nil {
		f, ok := errors.AsType[*backend.Failure](err)
		return ok && f.Reason == backend.ReasonSession
	}
	return resp.Status == http.StatusNotFound
}

// ask sends a request of the gateway's own and waits for its answer. lost says that the
// server does not know the session.
func (c *conversation) ask(ctx context.Context, method string, params []byte) (m message, lost bool, err error) {
	req, err := c.prepare(request(c.session.nextID(), method, params))
	if err != nil {
		return m, false, err
	}
	resp, err := c.session.bridge.Next.Do(ctx, req)
	if lost = c.lost(resp, err); lost && err == nil {
		_ = resp.Body.Close()
		return m, true, c.session.bridge.bad(nil, "the server does not know the session any more")
	}
	if err != nil {
		return m, lost, err
	}
	m, err = c.session.bridge.answerTo(resp, c.session.overheard)
	return m, false, err
}

// ask asks the server, in a new session where it has lost the one there was.
func (s *session) ask(ctx context.Context, method string, params []byte) (message, error) {
	at := s.now()
	m, lost, err := at.ask(ctx, method, params)
	if !lost {
		return m, err
	}
	if err := s.renew(ctx, at); err != nil {
		return m, err
	}
	m, _, err = s.now().ask(ctx, method, params)
	return m, err
}

// nextID is an id that no other request in the session has (MCP 2025-11-25 basic).
func (s *session) nextID() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids++
	return strconv.AppendUint(nil, s.ids, 10)
}

// setLevel asks the server for log messages of a level, if it does not send them yet:
// the session's is that of the client that wants most, and each gets what it wants.
func (c *conversation) setLevel(ctx context.Context, level string) {
	rank, s := convert.LevelRank(level), c.session
	if mcp.Path(c.initialized, "capabilities", "logging") == nil {
		return
	}
	s.mu.Lock()
	enough := c.level != "" && convert.LevelRank(c.level) <= rank
	if !enough {
		c.level = level
	}
	s.mu.Unlock()
	if !enough {
		_, _ = s.ask(ctx, "logging/setLevel", wire.With(nil, wire.Field("level", mcp.Quote(level)))) // without log messages the call is as good
	}
}
