package bridge

import (
	"bytes"
	"context"
	"crypto/sha256"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/bridge/convert"
	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// pool keeps the sessions that the gateway has at a legacy server for clients that
// have none. One is for one caller, with one set of capabilities, and one set of
// headers shown to the server: nothing that the server keeps for one of them is there
// for another. It begins with the first request and ends when it has not been used
// for a while.
type pool struct {
	bridge *Bridge

	mu       sync.Mutex
	sessions map[sessionKey]*session
	closed   bool
}

type sessionKey [sha256.Size]byte

const (
	maxSessions  = 4096            // of one server
	perCaller    = 32              // of one caller: more than anybody needs, fewer than the pool
	sessionIdle  = 5 * time.Minute // after which one ends
	openTimeout  = 30 * time.Second
	closeTimeout = 5 * time.Second
)

// session is one of them.
type session struct {
	bridge *Bridge
	key    sessionKey
	caller string

	capabilities []byte // that the server is told of

	opening sync.Mutex // held while the session is opened, or opened anew

	mu       sync.Mutex
	at       *conversation // nil until it is opened
	ended    bool
	of       *backend.Request // the last request: with what it showed, the session's own are sent
	ids      uint64
	uses     int
	idle     *time.Timer
	listener *listener
	attends  bool                     // it listens as long as it lasts, for what calls are asked
	asking   map[*modernCall]struct{} // calls that can be asked something by the listening stream
}

func (p *pool) init(b *Bridge) { p.bridge, p.sessions = b, map[sessionKey]*session{} }

// keyOf is whose session a request belongs to: everything that reaches the server is
// part of it, but where the request stands in a trace, which differs with each.
func keyOf(req *backend.Request, capabilities []byte) sessionKey {
	h := sha256.New()
	write := func(s string) { _, _ = h.Write(append(strconv.AppendInt(nil, int64(len(s)), 10), ":"+s...)) }
	write(req.Caller)
	write(string(capabilities))
	for _, name := range slices.Sorted(maps.Keys(req.Private)) {
		if name == "Traceparent" {
			continue
		}
		write(name)
		for _, value := range req.Private[name] {
			write(value)
		}
	}
	return sessionKey(h.Sum(nil))
}

// get gives the session for a request, opened. The caller ends its use.
func (p *pool) get(ctx context.Context, req *backend.Request) (*session, error) {
	capabilities := convert.ClientCapabilities(mcp.Path(req.Message.Bytes(req.Message.Meta.Span), convert.MetaCapabilities), mcp.Rev20251125)
	s, err := p.enter(keyOf(req, capabilities), req, capabilities)
	if err != nil {
		return nil, err
	}
	if err := s.renew(ctx, nil); err != nil {
		s.leave()
		return nil, err
	}
	return s, nil
}

func (p *pool) enter(key sessionKey, req *backend.Request, capabilities []byte) (*session, error) {
	p.mu.Lock()
	s := p.sessions[key]
	var evicted *session
	if s == nil {
		if p.closed {
			p.mu.Unlock()
			return nil, p.bridge.gone()
		}
		var full bool
		if evicted, full = p.makeRoom(req.Caller); full {
			p.mu.Unlock()
			return nil, p.bridge.busy()
		}
		s = &session{bridge: p.bridge, key: key, caller: req.Caller, capabilities: bytes.Clone(capabilities)}
		p.sessions[key] = s
	}
	s.use(req)
	p.mu.Unlock()
	if evicted != nil {
		go evicted.end()
	}
	return s, nil
}

// makeRoom takes out a session that nobody uses, one of the same caller where he has
// his share already. full says that there is none. p.mu is held.
func (p *pool) makeRoom(caller string) (evicted *session, full bool) {
	own := 0
	for _, s := range p.sessions {
		if s.caller == caller {
			own++
		}
	}
	if own < perCaller && len(p.sessions) < maxSessions {
		return nil, false
	}
	for _, s := range p.sessions {
		if (own < perCaller || s.caller == caller) && s.unused() {
			delete(p.sessions, s.key)
			return s, false
		}
	}
	return nil, true
}

// drop takes a session out, so that the next request opens another.
func (p *pool) drop(s *session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sessions[s.key] == s {
		delete(p.sessions, s.key)
	}
}

func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	all := p.sessions
	p.sessions = map[sessionKey]*session{}
	p.mu.Unlock()
	var ending sync.WaitGroup
	for _, s := range all {
		ending.Go(s.end)
	}
	ending.Wait()
}

func (b *Bridge) gone() *backend.Failure {
	return &backend.Failure{
		Public: mcp.Errorf(http.StatusServiceUnavailable, mcp.CodeInternal, "%s: the server is no longer configured, or the gateway is shutting down", b.Name),
		Reason: backend.ReasonUnreachable,
	}
}

func (b *Bridge) busy() *backend.Failure {
	return &backend.Failure{
		Public: mcp.Errorf(http.StatusServiceUnavailable, mcp.CodeInternal, "%s: all sessions at this server are in use; try again later", b.Name),
		Reason: backend.ReasonBusy, RetryAfter: 10 * time.Second,
	}
}

func (s *session) use(req *backend.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.of = req
	s.uses++
	if s.idle != nil {
		s.idle.Stop()
	}
}

// leave ends one use. After the last one the session waits for another, and ends.
func (s *session) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.uses--; s.uses > 0 {
		return
	}
	s.idle = time.AfterFunc(sessionIdle, func() {
		if s.unused() {
			s.bridge.pool.drop(s)
			s.end()
		}
	})
}

func (s *session) unused() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.uses == 0
}

// end ends the session at the server.
func (s *session) end() {
	s.mu.Lock()
	of, listener, at := s.of, s.listener, s.at
	s.ended = true
	if s.idle != nil {
		s.idle.Stop()
	}
	s.mu.Unlock()
	if listener != nil {
		listener.stop()
	}
	if at != nil {
		at.end(of)
	}
}
