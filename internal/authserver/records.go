package authserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport-dev/sallyport/internal/seal"
	"github.com/sallyport-dev/sallyport/internal/store"
)

// records are the server's own part of the store. What is secret in a key is hashed
// with everything before it length-prefixed, so that no crafted name or token meets
// another one's key (REQ D-6). A value is sealed together with its key: one that was
// moved in the store does not open.
type records struct {
	store  store.Store
	ring   *seal.Ring
	prefix string
}

const recordPurpose = "authserver record"

// errGone means that a record is not there, or not any more.
var errGone = errors.New("it is unknown, used or expired")

func (r *records) key(kind string, parts ...string) string {
	return r.prefix + kind + "/" + store.Digest(parts...)
}

func (r *records) seal(key string, v any) ([]byte, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("write record: %w", err)
	}
	return r.ring.SealValue(recordPurpose, key, body), nil
}

func (r *records) open(key string, sealed []byte, v any) error {
	body, ok := r.ring.OpenValue(recordPurpose, key, sealed)
	if !ok || json.Unmarshal(body, v) != nil {
		return errGone // sealed under a key that was retired, or moved here from elsewhere
	}
	return nil
}

// put writes a record whatever was there.
func (r *records) put(ctx context.Context, key string, v any, ttl time.Duration) error {
	sealed, err := r.seal(key, v)
	if err != nil {
		return err
	}
	return r.store.Put(ctx, key, sealed, ttl)
}

// add writes a record if there is none.
func (r *records) add(ctx context.Context, key string, v any, ttl time.Duration) (bool, error) {
	sealed, err := r.seal(key, v)
	if err != nil {
		return false, err
	}
	return r.store.Add(ctx, key, sealed, ttl)
}

// get reads a record. What is stored is returned for swap. The error is errGone, or
// the store's.
func (r *records) get(ctx context.Context, key string, v any) (stored []byte, err error) {
	stored, err = r.store.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return nil, errGone
	}
	if err != nil {
		return nil, err
	}
	return stored, r.open(key, stored, v)
}

// take reads a record and removes it: of several that try, one gets it.
func (r *records) take(ctx context.Context, key string, v any) error {
	stored, err := r.store.Take(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return errGone
	}
	if err != nil {
		return err
	}
	return r.open(key, stored, v)
}

// swap writes a record if what was read is still there.
func (r *records) swap(ctx context.Context, key string, stored []byte, v any, ttl time.Duration) (bool, error) {
	sealed, err := r.seal(key, v)
	if err != nil {
		return false, err
	}
	return r.store.Swap(ctx, key, stored, sealed, ttl)
}

func (r *records) remove(ctx context.Context, key string) { _ = r.store.Delete(ctx, key) } // it expires anyway
