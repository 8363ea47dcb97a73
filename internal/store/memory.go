package store

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"time"
)

// Memory is a Store that ends with the process.
type Memory struct {
	mu      sync.Mutex
	entries map[string]entry
	sweep   time.Time // when to look for what has expired
}

type entry struct {
	value   []byte
	expires time.Time // zero for never
}

const sweepEvery = time.Minute

// NewMemory makes an empty store.
func NewMemory() *Memory { return &Memory{entries: map[string]entry{}} }

// Get implements Store.
func (m *Memory) Get(_ context.Context, key string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.live(key)
	if !ok {
		return nil, ErrNotFound
	}
	return bytes.Clone(e.value), nil
}

// Put implements Store.
func (m *Memory) Put(_ context.Context, key string, value []byte, ttl time.Duration) error {
	if err := fits(key, value, ttl); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.set(key, value, ttl)
	return nil
}

// Add implements Store.
func (m *Memory) Add(_ context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
	if err := fits(key, value, ttl); err != nil {
		return false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.live(key); ok {
		return false, nil
	}
	m.set(key, value, ttl)
	return true, nil
}

// Take implements Store.
func (m *Memory) Take(_ context.Context, key string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.live(key)
	if !ok {
		return nil, ErrNotFound
	}
	delete(m.entries, key)
	return e.value, nil
}

// Swap implements Store.
func (m *Memory) Swap(_ context.Context, key string, old, value []byte, ttl time.Duration) (bool, error) {
	if err := fits(key, value, ttl); err != nil {
		return false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if e, ok := m.live(key); !ok || !bytes.Equal(e.value, old) {
		return false, nil
	}
	m.set(key, value, ttl)
	return true, nil
}

// Delete implements Store.
func (m *Memory) Delete(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.entries, key)
	return nil
}

// Scan implements Store.
func (m *Memory) Scan(ctx context.Context, prefix string, each func(key string, value []byte) bool) error {
	m.mu.Lock()
	now := time.Now()
	found := map[string][]byte{}
	for key, e := range m.entries {
		if strings.HasPrefix(key, prefix) && !e.expired(now) {
			found[key] = bytes.Clone(e.value)
		}
	}
	m.mu.Unlock()
	for key, value := range found {
		if ctx.Err() != nil || !each(key, value) {
			return ctx.Err()
		}
	}
	return nil
}

// Close forgets everything.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.entries)
	return nil
}

func (m *Memory) live(key string) (entry, bool) {
	e, ok := m.entries[key]
	if ok && e.expired(time.Now()) {
		delete(m.entries, key)
		return entry{}, false
	}
	return e, ok
}

func (m *Memory) set(key string, value []byte, ttl time.Duration) {
	now := time.Now()
	if now.After(m.sweep) {
		m.sweep = now.Add(sweepEvery)
		for k, e := range m.entries {
			if e.expired(now) {
				delete(m.entries, k)
			}
		}
	}
	e := entry{value: bytes.Clone(value)}
	if ttl > 0 {
		e.expires = now.Add(ttl)
	}
	m.entries[key] = e
}

func (e entry) expired(now time.Time) bool { return !e.expires.IsZero() && !now.Before(e.expires) }
