package store

import (
	"context"
	"errors"
	"time"
)

// Store keeps values by key. A value with a ttl is gone when that is over; one with
// ttl 0 stays until it is deleted, and one with a negative ttl, whose time was over
// before it was written, is refused with ErrOver. Keys are at most MaxKey bytes, values at most
// MaxValue. An error other than ErrNotFound, ErrTooLarge and ErrOver means that the store
// cannot be asked now, and that nothing is known about whether a write happened.
type Store interface {
	// Get returns a value, or ErrNotFound.
	Get(ctx context.Context, key string) ([]byte, error)
	// Put writes a value, whatever was there.
	Put(ctx context.Context, key string, value []byte, ttl time.Duration) error
	// Add writes a value if there is none, and says whether it did.
	Add(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error)
	// Take returns a value and removes it: of several that try, one gets it. It is
	// the gate of everything that may be used once.
	Take(ctx context.Context, key string) ([]byte, error)
	// Swap writes value if old is what is there, and says whether it did.
	Swap(ctx context.Context, key string, old, value []byte, ttl time.Duration) (bool, error)
	// Delete removes a value. One that is not there is no error.
	Delete(ctx context.Context, key string) error
	// Scan calls each for every key with the prefix, in no order, until it returns
	// false. What is written meanwhile may or may not be seen.
	Scan(ctx context.Context, prefix string, each func(key string, value []byte) bool) error
	// Close ends the store.
	Close() error
}

// The limits of a Store, in bytes.
const (
	MaxKey   = 512
	MaxValue = 1 << 20
)

// ErrNotFound means that there is no value under a key, or none any more.
var ErrNotFound = errors.New("not found")

// ErrTooLarge means that a key or a value is over the limits.
var ErrTooLarge = errors.New("key or value is too large")

// ErrOver means that a value was not written, since its time is over.
var ErrOver = errors.New("the time to keep it for is over")

func fits(key string, value []byte, ttl time.Duration) error {
	if len(key) > MaxKey || len(value) > MaxValue {
		return ErrTooLarge
	}
	if ttl < 0 {
		return ErrOver
	}
	return nil
}
