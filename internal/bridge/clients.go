package bridge

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/bridge/convert"
	"github.com/sallyport-dev/sallyport/internal/bridge/wire"
	"github.com/sallyport-dev/sallyport/internal/keep"
	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// clients are the sessions of legacy clients with a modern server, which has none. A
// session's id says what the server has to be told with each request, so that any
// replica can serve it; the pipeline seals it. What cannot be in the id is kept here, while
// there is any: requests under way, questions that wait for answers, the log level, and
// subscriptions.
type clients struct {
	mu     sync.Mutex
	states map[string]*clientState // by session
	ended  *keep.Cache[bool]       // sessions that their clients have ended, here: other replicas do not hear of it
}

// clientSession is what the id of a session says.
type clientSession struct {
	id           string
	revision     mcp.Revision
	capabilities []byte
	info         []byte // nil when the client does not say
}

// clientPrefix begins the ids of these sessions; no server's begin with it by chance.
const clientPrefix = "sallyport-bridge."

const (
	maxStates    = 16384              // of one server; and sessions that have ended
	endedFor     = 7 * 24 * time.Hour // as long as a session's id would be good
	maxURIs      = 256                // of one session
	maxQuestions = 64                 // of one session that wait for answers
)

func isClientSession(s backend.Session) bool { return strings.HasPrefix(s.ID, clientPrefix) }

// newClientSession makes the session that a legacy client's initialize asks for.
func newClientSession(params []byte, rev mcp.Revision) clientSession {
	return clientSession{
		id: rand.Text(), revision: rev, capabilities: convert.ClientCapabilities(mcp.Path(params, "capabilities"), rev), info: mcp.Path(params, "clientInfo"),
	}
}

func (c clientSession) session() backend.Session {
	fields := []mcp.Field{wire.Field("id", mcp.Quote(c.id)), wire.Field("revision", mcp.Quote(string(c.revision))), wire.Field("capabilities", c.capabilities)}
	if mcp.HasObject(c.info) {
		fields = append(fields, wire.Field("info", c.info))
	}
	return backend.Session{ID: clientPrefix + base64.RawURLEncoding.EncodeToString(wire.With(nil, fields...))}
}

// clientOf is the session of a request; one without capabilities where it has none.
func clientOf(req *backend.Request) (clientSession, bool) {
	encoded, ok := strings.CutPrefix(req.Session.ID, clientPrefix)
	if !ok {
		rev := mcp.Revision(req.Header.Get(mcp.HeaderProtocolVersion))
		if rev == "" {
			rev = mcp.Rev20250326
		}
		return clientSession{revision: rev, capabilities: []byte("{}")}, req.Session.ID == ""
	}
	raw, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		return clientSession{}, false
	}
	c := clientSession{id: mcp.PathText(raw, "id"), revision: mcp.Revision(mcp.PathText(raw, "revision")), capabilities: mcp.Path(raw, "capabilities"), info: mcp.Path(raw, "info")}
	return c, c.id != "" && mcp.HasObject(c.capabilities)
}

// clientState is what is kept of a session while there is something to keep.
type clientState struct {
	mu        sync.Mutex
	level     string
	uris      map[string]bool
	running   map[string]context.CancelCauseFunc // requests, by id as it was written
	questions map[string]chan message            // that wait for answers, by id
	listening *clientStream
}

func (c *clients) init(*Bridge) {
	c.states, c.ended = map[string]*clientState{}, keep.NewCache[bool](maxStates)
}

// leave ends a session for good: the same id is that of no session any more (MCP
// 2025-11-25 transports, sessions).
func (c *clients) leave(id string) {
	if id == "" {
		return
	}
	c.ended.Put(keep.HashOf(id), true, time.Now().Add(endedFor))
	c.end(id, errSuperseded)
}

func (c *clients) hasEnded(id string) (is bool) {
	is, _ = c.ended.Get(keep.HashOf(id), time.Now())
	return is
}

var (
	errSuperseded = errors.New("a newer stream took over")
	errCancelled  = errors.New("the client cancelled the request")
	errClosing    = errors.New("the server is no longer configured, or the gateway is shutting down")
)

// change has do work on the state of a session. A state in which nothing is left is
// forgotten. It is false where there is no room for another.
func (c *clients) change(id string, do func(*clientState)) bool {
	if id == "" {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.states[id]
	if s == nil {
		if len(c.states) >= maxStates {
			return false
		}
		s = &clientState{}
		c.states[id] = s
	}
	s.mu.Lock()
	do(s)
	empty := s.level == "" && len(s.uris)+len(s.running)+len(s.questions) == 0 && s.listening == nil
	s.mu.Unlock()
	if empty {
		delete(c.states, id)
	}
	return true
}

// look has do look at the state of a session, if there is one.
func (c *clients) look(id string, do func(*clientState)) {
	c.mu.Lock()
	s := c.states[id]
	c.mu.Unlock()
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	do(s)
}

// end forgets a session, and ends what is under way in it.
func (c *clients) end(id string, why error) {
	c.mu.Lock()
	s := c.states[id]
	delete(c.states, id)
	c.mu.Unlock()
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, cancel := range s.running {
		cancel(why)
	}
	if s.listening != nil {
		s.listening.stop(why)
	}
}

func (c *clients) close() {
	c.mu.Lock()
	var ids []string
	for id := range c.states {
		ids = append(ids, id)
	}
	c.mu.Unlock()
	for _, id := range ids {
		c.end(id, errClosing)
	}
}

// level is the log level that a session wants; "" for none.
func (c *clients) level(id string) (level string) {
	c.look(id, func(s *clientState) { level = s.level })
	return level
}
