// Package sealed encrypts what a store keeps.
//
// It owns one wrapper around a store.Store: values are sealed under a key list that
// can be rotated, each bound to its key in the store. It does not own the keys, nor
// the names under which values are kept, which anybody who reads the store can see.
package sealed

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/seal"
	"github.com/sallyport-dev/sallyport/internal/store"
)

const purpose = "store-value"

// errForeign means that a value was sealed with a key that is not in the list, or
// was changed.
var errForeign = errors.New("open value: none of the store's keys opens it; was a key taken off the list too soon?")

// Store seals values on their way in and opens them on their way out.
type Store struct {
	inner  store.Store
	ring   *seal.Ring
	failed func() // see NewObserved
}

// New wraps a store, which it closes with itself.
func New(inner store.Store, ring *seal.Ring) *Store { return NewObserved(inner, ring, func() {}) }

// NewObserved is New, and tells of each operation that the store could not be asked for.
func NewObserved(inner store.Store, ring *seal.Ring, failed func()) *Store {
	return &Store{inner, ring, failed}
}

// seen counts err, if it is about the store and not about what is in it.
func (s *Store) seen(err error) error {
	for _, known := range []error{nil, store.ErrNotFound, store.ErrTooLarge, store.ErrOver, context.Canceled} {
		if errors.Is(err, known) {
			return err
		}
	}
	s.failed()
	return err
}

func (s *Store) seal(key string, value []byte) []byte { return s.ring.SealValue(purpose, key, value) }

func (s *Store) open(key string, raw []byte, err error) ([]byte, error) {
	if s.seen(err) != nil {
		return nil, err
	}
	value, ok := s.ring.OpenValue(purpose, key, raw)
	if !ok {
		return nil, errForeign
	}
	return value, nil
}

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {
	raw, err := s.inner.Get(ctx, key)
	return s.open(key, raw, err)
}

// Put implements store.Store.
func (s *Store) Put(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	return s.seen(s.inner.Put(ctx, key, s.seal(key, value), ttl))
}

// Add implements store.Store.
func (s *Store) Add(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
	added, err := s.inner.Add(ctx, key, s.seal(key, value), ttl)
	return added, s.seen(err)
}

// Take implements store.Store.
func (s *Store) Take(ctx context.Context, key string) ([]byte, error) {
	raw, err := s.inner.Take(ctx, key)
	return s.open(key, raw, err)
}

// Swap implements store.Store. Equal values have different seals, so it compares
// what is inside and then swaps the very seal that it looked into.
func (s *Store) Swap(ctx context.Context, key string, old, value []byte, ttl time.Duration) (bool, error) {
	raw, err := s.inner.Get(ctx, key)
	now, err := s.open(key, raw, err)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return false, nil
	case err != nil:
		return false, err
	case !bytes.Equal(now, old):
		return false, nil
	}
	swapped, err := s.inner.Swap(ctx, key, raw, s.seal(key, value), ttl)
	return swapped, s.seen(err)
}

// Delete implements store.Store.
func (s *Store) Delete(ctx context.Context, key string) error {
	return s.seen(s.inner.Delete(ctx, key))
}

// Scan implements store.Store. Values that do not open are left out.
func (s *Store) Scan(ctx context.Context, prefix string, each func(key string, value []byte) bool) error {
	return s.seen(s.inner.Scan(ctx, prefix, func(key string, raw []byte) bool {
		value, err := s.open(key, raw, nil)
		return err != nil || each(key, value)
	}))
}

// Close closes the store inside.
func (s *Store) Close() error { return s.inner.Close() }

// Foreign looks at some of what is kept, and counts how many of that none of the keys
// opens. What stands beside it unsealed is left out, by its prefixes.
func (s *Store) Foreign(ctx context.Context, unsealed ...string) (foreign, looked int, err error) {
	const enough = 20
	err = s.inner.Scan(ctx, "", func(key string, raw []byte) bool {
		if slices.ContainsFunc(unsealed, func(prefix string) bool { return strings.HasPrefix(key, prefix) }) {
			return true
		}
		looked++
		if _, err := s.open(key, raw, nil); err != nil {
			foreign++
		}
		return looked < enough
	})
	return foreign, looked, err
}
