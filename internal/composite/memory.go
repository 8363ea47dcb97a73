package composite

import (
	"bytes"
	"sync"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// Memory is what is under way of calls of composite tools. It outlives a change of
// configuration. Its zero value is ready.
type Memory struct {
	mu        sync.Mutex
	questions map[string]chan []byte // that clients with sessions have been asked, by client and id
	running   map[string]*run        // calls of those clients, by client and id
	parked    map[string]*run        // calls of others that wait for answers, by requestState
	closed    bool
}

const (
	maxQuestions  = 4096
	maxParked     = 1024
	maxParkedEach = 16 // of one caller
)

// Close ends what waits for clients.
func (m *Memory) Close() error {
	m.mu.Lock()
	m.closed = true
	all := m.parked
	m.parked = nil
	m.mu.Unlock()
	for _, r := range all {
		r.cancel(errLeft)
	}
	return nil
}

// ask notes a question to a client. There may be no room for it.
func (m *Memory) ask(client string, id []byte) (answer chan []byte, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || len(m.questions) >= maxQuestions {
		return nil, false
	}
	if m.questions == nil {
		m.questions = map[string]chan []byte{}
	}
	answer = make(chan []byte, 1)
	m.questions[client+"\x00"+string(id)] = answer
	return answer, true
}

// forget takes a question back.
func (m *Memory) forget(client string, id []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.questions, client+"\x00"+string(id))
}

// answer takes a client's response to the question it is for, if that was asked here.
func (m *Memory) answer(client string, response *mcp.Envelope) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := client + "\x00" + string(response.ID)
	answer, ok := m.questions[key]
	if ok {
		delete(m.questions, key)
		answer <- bytes.Clone(response.Raw) // there is room for one
	}
	return ok
}

// begin notes a call of a client with a session, until end is called.
func (m *Memory) begin(client string, id []byte, r *run) (end func()) {
	key := client + "\x00" + string(id)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.running == nil {
		m.running = map[string]*run{}
	}
	m.running[key] = r
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.running[key] == r {
			delete(m.running, key)
		}
	}
}

// cancel ends a call of a client's.
func (m *Memory) cancel(client string, id []byte) {
	m.mu.Lock()
	r := m.running[client+"\x00"+string(id)]
	m.mu.Unlock()
	if r != nil {
		r.cancel(errCancelled)
	}
}

// park keeps a call for its client to come back to.
func (m *Memory) park(state string, r *run) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	own := 0
	for _, other := range m.parked {
		if other.owner == r.owner {
			own++
		}
	}
	if m.closed || len(m.parked) >= maxParked || own >= maxParkedEach {
		return false
	}
	if m.parked == nil {
		m.parked = map[string]*run{}
	}
	m.parked[state] = r
	return true
}

// waits is a call that waits for its client; nil for none.
func (m *Memory) waits(state, owner string) *run {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.parked[state]; r != nil && r.owner == owner {
		return r
	}
	return nil
}

// take takes a call out. It is false where somebody else has done so.
func (m *Memory) take(state string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.parked[state]
	delete(m.parked, state)
	return ok
}
