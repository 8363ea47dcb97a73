package accounts

import (
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/oauth"
)

// memory holds the tokens of accounts that were used a moment ago, so that a call
// with a fresh token needs no store. Many calls read it at once.
type memory struct {
	max int

	mu      sync.RWMutex
	entries map[account]entry
	forgets uint64
	sweep   time.Time
}

// entry is a token, and until when it is shown without a look at the store.
type entry struct {
	tokens *oauth.Tokens
	until  time.Time
	usable time.Time // after which it is no good at all; zero for never
}

const (
	// lookEvery bounds how long an unlinked or exchanged account goes on at the other
	// replicas.
	lookEvery  = time.Minute
	sweepEvery = 10 * time.Minute
)

// fresh is the token to show now; nil without one.
func (m *memory) fresh(a account, now time.Time) *oauth.Tokens {
	m.mu.RLock()
	e, ok := m.entries[a]
	m.mu.RUnlock()
	if !ok || !now.Before(e.until) {
		return nil
	}
	return e.tokens
}

// last is the token that was shown last, if it is good still, for when nothing better
// can be had.
func (m *memory) last(a account, now time.Time) (entry, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	e, ok := m.entries[a]
	return e, ok && (e.usable.IsZero() || now.Before(e.usable))
}

// mark is for put: what was read before a forget must not be put after it.
func (m *memory) mark() uint64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.forgets
}

// put keeps a token that was read since the mark.
func (m *memory) put(a account, e entry, mark uint64, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.forgets != mark {
		return
	}
	if now.After(m.sweep) {
		m.sweep = now.Add(sweepEvery)
		for k, e := range m.entries {
			if now.Sub(e.until) > sweepEvery {
				delete(m.entries, k)
			}
		}
	}
	if _, there := m.entries[a]; !there && len(m.entries) >= m.max {
		for k := range m.entries { // any one: the others come back with a read of the store
			delete(m.entries, k)
			break
		}
	}
	m.entries[a] = e
}

// drop takes a token out.
func (m *memory) drop(a account) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.entries, a)
}

// forget takes a token out, and keeps out what was read before.
func (m *memory) forget(a account) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forgets++
	delete(m.entries, a)
}
