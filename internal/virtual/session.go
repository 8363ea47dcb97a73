package virtual

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/upstream"
)

// session is a client's session as its sealed id has it. Whatever replica sees it, it
// can tell members who the client is.
type session struct {
	id       string
	revision mcp.Revision
	params   []byte // of the client's initialize
}

const (
	stateVersion = 1
	maxParams    = 2 << 10 // of a client's initialize, in bytes; what is beyond is not told to members
)

func newSession(rev mcp.Revision, params []byte) session {
	kept := []mcp.Field{{Name: "protocolVersion", Value: mcp.Quote(string(rev))}}
	for _, name := range []string{"capabilities", "clientInfo"} {
		value, err := mcp.Member(params, name)
		if err != nil || value == nil || len(value) > maxParams/2 {
			value = []byte(`{}`)
			if name == "clientInfo" {
				value = []byte(`{"name":"client","version":"0"}`)
			}
		}
		kept = append(kept, mcp.Field{Name: name, Value: value})
	}
	return session{id: rand.Text(), revision: rev, params: mcp.Merge(nil, kept)}
}

func (s session) state() []byte {
	b := []byte{stateVersion}
	for _, f := range []string{s.id, string(s.revision), string(s.params)} {
		b = append(binary.AppendUvarint(b, uint64(len(f))), f...)
	}
	return b
}

// sessionOf is what state was made of; the zero session for anything else.
func sessionOf(state []byte) (s session) {
	if len(state) == 0 || state[0] != stateVersion {
		return s
	}
	var fields [3][]byte
	rest := state[1:]
	for i := range fields {
		n, w := binary.Uvarint(rest)
		if w <= 0 || n > uint64(len(rest)-w) {
			return session{}
		}
		end := w + int(n)
		fields[i], rest = rest[w:end:end], rest[end:]
	}
	return session{string(fields[0]), mcp.Revision(fields[1]), fields[2]}
}

// clientSession is what a client's session has at members, and what of it cannot be in
// its id: that of one client is never another's.
type clientSession struct {
	session
	memory *Memory

	mu        sync.Mutex
	members   []*memberSession    // in no order: few are ever called
	calls     []sent              // the newest, in their order
	level     []byte              // params of the last logging/setLevel; nil for none
	questions map[string]question // that members have asked, by the id the client knows
	stream    *sessionStream      // that listens; nil for none
	used      time.Time
	idle      *time.Timer
	ended     bool
}

// sent is a request of the client's, and where it went.
type sent struct {
	id string // raw
	to *memberSession
}

// maxCalls is how many calls of a session can be cancelled: those that are older have ended,
// or wait for long.
const maxCalls = 256

// sends notes where a request of the client's goes.
func (s *clientSession) sends(id []byte, to *memberSession) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.calls) >= maxCalls {
		s.calls = slices.Delete(s.calls, 0, 1)
	}
	s.calls = append(s.calls, sent{string(id), to})
}

// went is where the newest request of an id went; nil for none that is known.
func (s *clientSession) went(id []byte) *memberSession {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range slices.Backward(s.calls) {
		if c.id == string(id) {
			return c.to
		}
	}
	return nil
}

// question is what a member wants to know of the client.
type question struct {
	member string
	id     []byte // the member's own
}

const maxQuestions = 64

// memberSession is a session at one member, opened when it is first needed.
type memberSession struct {
	member atomic.Pointer[Member] // of the configuration of now

	opening  sync.Mutex // held while it is opened
	opened   bool       // guarded by opening
	at       backend.Session
	revision mcp.Revision
	of       who // guarded by opening: as whom it was opened
}

func (s *clientSession) touch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used = time.Now()
	if s.idle == nil {
		s.idle = time.AfterFunc(clientIdle, s.idled)
		return
	}
	s.idle.Reset(clientIdle)
}

func (s *clientSession) lastUse() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used
}

// idled ends what the session has at members. The session itself goes on: what it
// needs again is opened again.
func (s *clientSession) idled() {
	s.mu.Lock()
	listens := s.stream != nil
	s.mu.Unlock()
	if listens {
		s.touch()
		return
	}
	s.memory.end(s.id)
}

// with is the session at a member; nil for none. mu is held.
func (s *clientSession) with(name string) *memberSession {
	i := slices.IndexFunc(s.members, func(ms *memberSession) bool { return ms.member.Load().Upstream.Name == name })
	if i < 0 {
		return nil
	}
	return s.members[i]
}

// at is the session at a member, opened if it is not.
func (s *clientSession) at(ctx context.Context, m *Member, w who) (*memberSession, error) {
	s.mu.Lock()
	ms := s.with(m.Upstream.Name)
	if ms == nil || ms.member.Load().Upstream.Key != m.Upstream.Key {
		s.members = slices.DeleteFunc(s.members, func(old *memberSession) bool { return old == ms })
		ms = &memberSession{}
		ms.member.Store(m)
		s.members = append(s.members, ms)
	}
	level, stream := s.level, s.stream
	s.mu.Unlock()
	ms.opening.Lock()
	defer ms.opening.Unlock()
	ms.member.Store(m)
	if ms.opened {
		return ms, nil
	}
	if err := ms.open(ctx, w, s.params); err != nil {
		return nil, err
	}
	ms.opened, ms.of = true, w
	if level != nil {
		ms.setLevel(ctx, w, level)
	}
	if stream != nil {
		stream.follow(ms)
	}
	return ms, nil
}

// lost forgets a session that its member does not know any more.
func (s *clientSession) lost(ms *memberSession) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.members = slices.DeleteFunc(s.members, func(known *memberSession) bool { return known == ms })
}

// all are the sessions at members that are open.
func (s *clientSession) all() []*memberSession {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.members)
}

// end ends the session at every member.
func (s *clientSession) end() {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return
	}
	s.ended = true
	if s.idle != nil {
		s.idle.Stop()
	}
	stream := s.stream
	s.mu.Unlock()
	if stream != nil {
		stream.stop()
	}
	var ending sync.WaitGroup
	for _, ms := range s.all() {
		ending.Go(ms.close)
	}
	ending.Wait()
}

// open initializes a session at the member, as the client did here.
func (ms *memberSession) open(ctx context.Context, w who, params []byte) error {
	raw := message(ownID("open"), "initialize", params)
	c, err := ms.call(w, raw)
	if err != nil {
		return err
	}
	a, err := ms.member.Load().Upstream.Do(ctx, c)
	if err != nil {
		return err
	}
	ms.at = a.Session
	ms.at.ID = strings.Clone(ms.at.ID) // without the rest of the head that it came in
	answer, err := ms.member.Load().answer(a)
	a.End("")
	if err != nil {
		return err
	}
	rev, ok := mcp.NegotiatedRevision(answer)
	if !ok {
		return ms.member.Load().bad("refuses a session")
	}
	ms.revision = rev
	return ms.tell(ctx, w, []byte(`{"jsonrpc":"2.0","method":"notifications/initialized"}`))
}

// call makes a call of a message of the gateway's own, in the session.
func (ms *memberSession) call(w who, raw []byte) (*upstream.Call, error) {
	msg, refused := mcp.Parse(raw, mcp.DefaultLimits())
	if refused != nil {
		return nil, refused
	}
	c := w.call()
	c.Method, c.Body, c.Message, c.Revision, c.Session = http.MethodPost, raw, &msg, ms.revision, ms.at
	c.Header["Accept"] = []string{"application/json, text/event-stream"}
	ms.setVersion(c)
	return c, nil
}

func (ms *memberSession) setVersion(c *upstream.Call) {
	delete(c.Header, mcp.HeaderProtocolVersion)
	if ms.revision >= mcp.Rev20250618 {
		c.Header[mcp.HeaderProtocolVersion] = []string{string(ms.revision)}
	}
}

// ownID is the id of a request of the gateway's own in a session that is a client's too:
// whatever ids that one uses, it is another (MCP 2025-11-25 basic).
func ownID(what string) string { return `"id":"sallyport-` + what + "-" + rand.Text() + `",` }

// tell sends what has no answer.
func (ms *memberSession) tell(ctx context.Context, w who, raw []byte) error {
	c, err := ms.call(w, raw)
	if err != nil {
		return err
	}
	a, err := ms.member.Load().Upstream.Do(ctx, c)
	if err != nil {
		return err
	}
	a.End("")
	if a.Status >= http.StatusBadRequest {
		return ms.member.Load().bad("does not take a message of its own session")
	}
	return nil
}

// setLevel tells a member which log messages the client wants, if it has any. A call is
// as good without them.
func (ms *memberSession) setLevel(ctx context.Context, w who, params []byte) {
	c, err := ms.call(w, message(ownID("level"), "logging/setLevel", params))
	if err != nil {
		return
	}
	if a, err := ms.member.Load().Upstream.Do(ctx, c); err == nil {
		_, _ = ms.member.Load().answer(a)
		a.End("")
	}
}

// isOpen reports whether there is a session to listen in.
func (ms *memberSession) isOpen() bool {
	ms.opening.Lock()
	defer ms.opening.Unlock()
	return ms.opened
}

// close ends the session at the member.
func (ms *memberSession) close() {
	ms.opening.Lock()
	defer ms.opening.Unlock()
	if !ms.opened || ms.at.ID == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	c := ms.of.call()
	c.Method, c.Session = http.MethodDelete, ms.at
	ms.setVersion(c)
	if a, err := ms.member.Load().Upstream.Do(ctx, c); err == nil {
		a.End("")
	}
}

// isLost reports whether an answer says that the member does not know the session any
// more. It has not processed the request, then.
func isLost(a *upstream.Answer, err error) bool {
	if err != nil {
		f, ok := errors.AsType[*backend.Failure](err)
		return ok && f.Reason == backend.ReasonSession
	}
	return a.Status == http.StatusNotFound
}
