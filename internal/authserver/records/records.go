package records

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport-dev/sallyport/internal/seal"
	"github.com/sallyport-dev/sallyport/internal/store"
)

// Records are a server's own part of the store. What is secret in a key is hashed
// with everything before it length-prefixed, so that no crafted name or token meets
// another one's key (REQ D-6). A value is sealed together with its key: one that was
// moved in the store does not open.
type Records struct {
	Store  store.Store
	Ring   *seal.Ring
	Prefix string // of keys
}

const recordPurpose = "authserver record"

// ErrGone means that a record is not there, or not any more.
var ErrGone = errors.New("it is unknown, used or expired")

// Key is where a record of a kind is; the parts may be secret.
func (r *Records) Key(kind string, parts ...string) string {
	return r.Prefix + kind + "/" + store.Digest(parts...)
}

func (r *Records) seal(key string, v any) ([]byte, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("write record: %w", err)
	}
	return r.Ring.SealValue(recordPurpose, key, body), nil
}

func (r *Records) open(key string, sealed []byte, v any) error {
	body, ok := r.Ring.OpenValue(recordPurpose, key, sealed)
	if !ok || json.Unmarshal(body, v) != nil {
		return ErrGone // sealed under a key that was retired, or moved here from elsewhere
	}
	return nil
}

// Put writes a record whatever was there.
func (r *Records) Put(ctx context.Context, key string, v any, ttl time.Duration) error {
	sealed, err := r.seal(key, v)
	if err != nil {
		return err
	}
	return r.Store.Put(ctx, key, sealed, ttl)
}

// Add writes a record if there is none.
func (r *Records) Add(ctx context.Context, key string, v any, ttl time.Duration) (bool, error) {
	sealed, err := r.seal(key, v)
	if err != nil {
		return false, err
	}
	return r.Store.Add(ctx, key, sealed, ttl)
}

// Get reads a record. What is stored is returned for swap. The error is ErrGone, or
// the store's.
func (r *Records) Get(ctx context.Context, key string, v any) (stored []byte, err error) {
	stored, err = r.Store.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return nil, ErrGone
	}
	if err != nil {
		return nil, err
	}
	return stored, r.open(key, stored, v)
}

// Take reads a record and removes it: of several that try, one gets it.
func (r *Records) Take(ctx context.Context, key string, v any) error {
	stored, err := r.Store.Take(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return ErrGone
	}
	if err != nil {
		return err
	}
	return r.open(key, stored, v)
}

// Swap writes a record if what was read is still there.
func (r *Records) Swap(ctx context.Context, key string, stored []byte, v any, ttl time.Duration) (bool, error) {
	sealed, err := r.seal(key, v)
	if err != nil {
		return false, err
	}
	return r.Store.Swap(ctx, key, stored, sealed, ttl)
}

// Remove takes a record away.
func (r *Records) Remove(ctx context.Context, key string) { _ = r.Store.Delete(ctx, key) } // it expires anyway

// Each calls each for every record of a kind, in no order, until it returns false. What cannot be opened is as gone as
// for Get.
func (r *Records) Each(ctx context.Context, kind string, each func(open func(v any) error) bool) error {
	return r.Store.Scan(ctx, r.Prefix+kind+"/", func(key string, value []byte) bool {
		return each(func(v any) error { return r.open(key, value, v) })
	})
}
