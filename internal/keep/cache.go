package keep

import (
	"crypto/sha256"
	"sync"
	"time"
)

// Cache remembers what was found out about something, by its hash, for a while each, and
// what was used last where there is no room. What has a name that is secret, such as a
// token, is not kept itself. The zero value is not ready; use NewCache.
type Cache[V any] struct {
	shards [16]shard[V]
	limit  int // entries of one shard
}

type shard[V any] struct {
	mu         sync.Mutex
	entries    map[Hash]*cached[V]
	head, tail *cached[V] // most and least recently used
}

type cached[V any] struct {
	key        Hash
	value      V
	expires    time.Time
	prev, next *cached[V]
}

// Hash names a text without being it.
type Hash [sha256.Size]byte

// HashOf is the hash of a text.
func HashOf(raw string) Hash { return sha256.Sum256([]byte(raw)) }

// NewCache makes a cache of at most limit entries.
func NewCache[V any](limit int) *Cache[V] {
	c := &Cache[V]{limit: max(1, limit/16)}
	c.Clear()
	return c
}

// Get returns what is remembered, unless it has expired.
func (c *Cache[V]) Get(h Hash, now time.Time) (v V, ok bool) {
	s := &c.shards[h[0]%16]
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[h]
	if e == nil {
		return v, false
	}
	s.unlink(e)
	if !now.Before(e.expires) {
		delete(s.entries, h)
		return v, false
	}
	s.front(e)
	return e.value, true
}

// Put remembers v until expires. The least recently used entry goes when there is
// no room.
func (c *Cache[V]) Put(h Hash, v V, expires time.Time) {
	s := &c.shards[h[0]%16]
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.entries[h]; e != nil {
		e.value, e.expires = v, expires
		s.unlink(e)
		s.front(e)
		return
	}
	if len(s.entries) >= c.limit {
		delete(s.entries, s.tail.key)
		s.unlink(s.tail)
	}
	e := &cached[V]{key: h, value: v, expires: expires}
	s.entries[h] = e
	s.front(e)
}

// Drop forgets one entry.
func (c *Cache[V]) Drop(h Hash) {
	s := &c.shards[h[0]%16]
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.entries[h]; e != nil {
		delete(s.entries, h)
		s.unlink(e)
	}
}

// Clear forgets everything, as when the keys changed that it rests on.
func (c *Cache[V]) Clear() {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		s.entries, s.head, s.tail = map[Hash]*cached[V]{}, nil, nil
		s.mu.Unlock()
	}
}

func (s *shard[V]) front(e *cached[V]) {
	e.prev, e.next = nil, s.head
	if s.head != nil {
		s.head.prev = e
	}
	s.head = e
	if s.tail == nil {
		s.tail = e
	}
}

func (s *shard[V]) unlink(e *cached[V]) {
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		s.head = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	} else {
		s.tail = e.prev
	}
}
