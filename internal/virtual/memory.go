package virtual

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/keep"
	"github.com/sallyport-dev/sallyport/internal/upstream"
)

// Memory is what a virtual server knows of its clients. It outlives a change of
// configuration. Its zero value is ready.
type Memory struct {
	mu       sync.Mutex
	sessions map[string]*clientSession
	seen     keep.Recent[seen]
	links    keep.Recent[string]
	gone     keep.Recent[struct{}] // sessions that their clients have ended
	closed   bool
}

// digest is of a list as clients see it; the zero digest of one that nobody has seen.
type digest [sha256.Size]byte

type digests [kindCount]digest

// seen is what a client has seen of the lists.
type seen struct {
	last  digests
	other [kindCount]time.Time // when it was another one than the time before
}

const (
	maxClientSessions = 16384
	clientIdle        = 30 * time.Minute // after which a session's own at members end
)

// Close ends all sessions at members.
func (m *Memory) Close() error {
	m.mu.Lock()
	m.closed = true
	all := m.sessions
	m.sessions = nil
	m.mu.Unlock()
	for _, s := range all {
		s.end()
	}
	return nil
}

// session is what is kept of a client's session; made where there is nothing yet.
func (m *Memory) session(of session) *clientSession {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.sessions[of.id]
	if s == nil {
		s = &clientSession{session: of, memory: m}
		if m.closed { // it serves this one call
			return s
		}
		if m.sessions == nil {
			m.sessions = map[string]*clientSession{}
		}
		if len(m.sessions) >= maxClientSessions {
			m.makeRoom()
		}
		m.sessions[of.id] = s
	}
	s.touch()
	return s
}

// makeRoom ends the session that was used longest ago. m.mu is held.
func (m *Memory) makeRoom() {
	var oldest *clientSession
	for _, s := range m.sessions {
		if oldest == nil || s.lastUse().Before(oldest.lastUse()) {
			oldest = s
		}
	}
	delete(m.sessions, oldest.id)
	go oldest.end()
}

// end ends a client's session at every member.
func (m *Memory) end(id string) {
	m.mu.Lock()
	s := m.sessions[id]
	delete(m.sessions, id)
	m.mu.Unlock()
	if s != nil {
		s.end()
	}
}

// terminate ends a client's session for good.
func (m *Memory) terminate(id string) {
	m.mu.Lock()
	m.gone.Put(id, struct{}{})
	m.mu.Unlock()
	m.end(id)
}

func (m *Memory) terminated(id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.gone.Get(id)
	return ok
}

// client tells clients apart: by session, or by caller where there are none.
func client(c *upstream.Call) string {
	if s := sessionOf(c.State); s.id != "" {
		return s.id
	}
	return c.Caller.Key() + "\x00" + c.Sharer
}

// saw notes that a client has seen a list.
func (m *Memory) saw(client string, k kind, d digest) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, _ := m.seen.Get(client)
	if s.last[k] == d {
		return
	}
	if s.last[k] != (digest{}) {
		s.other[k] = time.Now()
	}
	s.last[k] = d
	m.seen.Put(client, s)
}

// lastSeen is what a client has seen last. Clients without sessions may be several of
// one name, of which one has seen what the other has not: where it changed a moment ago
// they are taken to have seen something else.
func (m *Memory) lastSeen(client string, several bool) digests {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, _ := m.seen.Get(client)
	for k := range s.last {
		if several && time.Since(s.other[k]) < time.Minute {
			s.last[k] = digest{1}
		}
	}
	return s.last
}

// link notes which member has told a client of a URI that stands in no list.
func (m *Memory) link(client, uri, member string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.links.Put(client+"\x00"+uri, member)
}

func (m *Memory) linked(client, uri string) (member string, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.links.Get(client + "\x00" + uri)
}

// linked finds URIs: those of the lists and templates, and those that a member has
// mentioned to this client.
func (t *Target) linked(c *upstream.Call, v *view) func(string) (Own, bool) {
	return func(uri string) (Own, bool) {
		if own, ok := v.uris.Own(uri); ok {
			return own, true
		}
		name, ok := t.Memory.linked(client(c), uri)
		i := t.member(name)
		return Own{Member: i, Name: uri}, ok && i >= 0
	}
}

const closeTimeout = 5 * time.Second
