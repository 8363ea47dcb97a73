package keep

import (
	"errors"
	"io"
	"sync"
)

// Pool holds one value per key for as long as somebody uses it. The zero Pool is
// empty and ready; it must not be copied.
type Pool[K comparable, V io.Closer] struct {
	mu      sync.Mutex
	entries map[K]*entry[V]
}

type entry[V io.Closer] struct {
	refs  int           // guarded by Pool.mu
	made  chan struct{} // closed when value and err are there
	value V
	err   error
}

// errNotMade is what those get who waited for a create that panicked.
var errNotMade = errors.New("make shared value: panicked")

// Acquire returns the value under key, made by create if nobody holds one. Callers
// with the same key wait for one create; callers with other keys do not. A failed
// create is not remembered.
//
// The value stays until every holder has called its release, which may be called
// more than once and by then does nothing. The last release closes the value, and
// drops the error of that: a value that has something to say logs it itself. An
// Acquire after the last release makes a new value, and does not wait until the
// old one is closed.
func (p *Pool[K, V]) Acquire(key K, create func() (V, error)) (value V, release func(), err error) {
	e, first := p.enter(key)
	defer func() {
		if e.err != nil { // also when create panics
			p.leave(key, e)
		}
	}()
	if first {
		e.fill(create)
	} else {
		<-e.made
	}
	if e.err != nil {
		return value, nil, e.err
	}
	return e.value, sync.OnceFunc(func() { p.leave(key, e) }), nil
}

func (e *entry[V]) fill(create func() (V, error)) {
	defer close(e.made)
	e.err = errNotMade
	e.value, e.err = create()
}

// Len is the number of values held.
func (p *Pool[K, V]) Len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.entries)
}

// enter counts the caller in. The first one is to fill the entry.
func (p *Pool[K, V]) enter(key K) (e *entry[V], first bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e, ok := p.entries[key]
	if !ok {
		if p.entries == nil {
			p.entries = map[K]*entry[V]{}
		}
		e = &entry[V]{made: make(chan struct{})}
		p.entries[key] = e
	}
	e.refs++
	return e, !ok
}

func (p *Pool[K, V]) leave(key K, e *entry[V]) {
	p.mu.Lock()
	e.refs--
	last := e.refs == 0
	// A failed entry goes at once, so that whoever comes now tries anew.
	if (last || e.err != nil) && p.entries[key] == e {
		delete(p.entries, key)
	}
	p.mu.Unlock()
	if last && e.err == nil {
		_ = e.value.Close() // see Acquire
	}
}
