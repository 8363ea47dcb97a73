package token

import (
	"crypto/sha256"
	"sync"
	"time"
)

// Cache remembers what tokens proved, by their hash, until they expire: verifying
// a signature costs a hundred times as much. The values are whatever the caller
// makes of a token. Tokens themselves are not kept. The zero value is not ready;
// use NewCache.
type Cache[V any] struct {
	shards [16]shard[V]
	limit  int // entries of one shard
}

type shard[V any] struct {
	mu         sync.Mutex
	entries    map[Hash]*entry[V]
	head, tail *entry[V] // most and least recently used
}

type entry[V any] struct {
	key        Hash
	value      V
	expires    time.Time
	prev, next *entry[V]
}

// Hash names a token without being it.
type Hash [sha256.Size]byte

// HashOf is the hash of a token.
func HashOf(raw string) Hash { return sha256.Sum256([]byte(raw)) }

// NewCache makes a cache of at most limit entries.
func NewCache[V any](limit int) *Cache[V] {
	c := &Cache[V]{limit: max(1, limit/16)}
	c.Clear()
	return c
}

// Get returns what is remembered of a token, unless it has expired.
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
	e := &entry[V]{key: h, value: v, expires: expires}
	s.entries[h] = e
	s.front(e)
}

// Drop forgets one token.
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
		s.entries, s.head, s.tail = map[Hash]*entry[V]{}, nil, nil
		s.mu.Unlock()
	}
}

func (s *shard[V]) front(e *entry[V]) {
	e.prev, e.next = nil, s.head
	if s.head != nil {
		s.head.prev = e
	}
	s.head = e
	if s.tail == nil {
		s.tail = e
	}
}

func (s *shard[V]) unlink(e *entry[V]) {
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
