package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"sync"
	"time"

	"go.etcd.io/bbolt"
)

// File is a Store in one file, for one process at a time. What an operation has
// written is on the disk when it returns: a process that is killed, or a machine
// that loses power, loses nothing of it, and leaves nothing that is in the way of
// the next one.
//
// A file that was damaged is refused when it is opened. What is damaged later fails the
// operations that meet it; it ends no process.
type File struct {
	path string
	db   *bbolt.DB
	stop chan struct{}
	done sync.WaitGroup
	once sync.Once

	mu      sync.Mutex
	waiting []write
	some    chan struct{} // 1: something waits to be written
	closed  bool
	broken  error // of a write that met damage: none follows
}

// The two buckets: values by key, and for those that expire an entry by time, so
// that what has expired is found without looking at the rest.
var (
	valuesBucket  = []byte("values")
	expiresBucket = []byte("expires")
)

const (
	lockTimeout  = 2 * time.Second
	writesAtOnce = 1000 // in one transaction
	// writeWindow is how long the first of several writers waits for others, so that
	// they share one sync of the disk.
	writeWindow = time.Millisecond
	purgeAtMost = 1000 // expired values in one transaction, which others wait for
)

// Close waits for what is under way and closes the file.
func (f *File) Close() (err error) {
	f.once.Do(func() {
		f.mu.Lock()
		f.closed = true
		f.mu.Unlock()
		close(f.stop)
		f.done.Wait()
		if f.broken == nil { // else a transaction may be held for ever
			err = f.db.Close()
		}
	})
	return err
}

// Get implements Store.
func (f *File) Get(_ context.Context, key string) (value []byte, err error) {
	err = f.view(func(tx *bbolt.Tx) error {
		v, ok := read(tx, key, time.Now())
		if !ok {
			return ErrNotFound
		}
		value = bytes.Clone(v) // it is the file's own memory
		return nil
	})
	return value, err
}

// Put implements Store.
func (f *File) Put(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	_, err := f.write(ctx, key, value, ttl, func([]byte, bool) bool { return true })
	return err
}

// Add implements Store.
func (f *File) Add(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
	return f.write(ctx, key, value, ttl, func(_ []byte, there bool) bool { return !there })
}

// Swap implements Store.
func (f *File) Swap(ctx context.Context, key string, old, value []byte, ttl time.Duration) (bool, error) {
	return f.write(ctx, key, value, ttl, func(now []byte, there bool) bool { return there && bytes.Equal(now, old) })
}

// write writes value if what is there now is as wanted.
func (f *File) write(ctx context.Context, key string, value []byte, ttl time.Duration, wanted func(now []byte, there bool) bool) (written bool, err error) {
	if err := fits(key, value, ttl); err != nil {
		return false, err
	}
	if err := ctx.Err(); err != nil {
		return false, err
	}
	err = f.update(func(tx *bbolt.Tx) error { // it may be called again
		now := time.Now()
		written = wanted(read(tx, key, now))
		if !written {
			return nil
		}
		if err := remove(tx, key); err != nil {
			return err
		}
		var expires uint64
		if ttl > 0 {
			expires = uint64(now.Add(ttl).UnixNano())
			if err := tx.Bucket(expiresBucket).Put(expiryKey(expires, key), nil); err != nil {
				return err
			}
		}
		return tx.Bucket(valuesBucket).Put([]byte(key), append(binary.BigEndian.AppendUint64(nil, expires), value...))
	})
	return written && err == nil, err
}

// Take implements Store.
func (f *File) Take(ctx context.Context, key string) (value []byte, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var found bool
	err = f.update(func(tx *bbolt.Tx) error {
		v, ok := read(tx, key, time.Now())
		value, found = bytes.Clone(v), ok
		return remove(tx, key)
	})
	if err == nil && !found {
		err = ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return value, nil
}

// Delete implements Store.
func (f *File) Delete(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return f.update(func(tx *bbolt.Tx) error { return remove(tx, key) })
}

// scanAtOnce bounds how long a scan holds on to the file's old state, which cannot be
// used again meanwhile.
const scanAtOnce = 256

// Scan implements Store.
func (f *File) Scan(ctx context.Context, prefix string, each func(key string, value []byte) bool) error {
	type pair struct {
		key   string
		value []byte
	}
	for next := []byte(prefix); next != nil; {
		var page []pair
		err := f.view(func(tx *bbolt.Tx) error {
			now, c := time.Now(), tx.Bucket(valuesBucket).Cursor()
			k, v := c.Seek(next)
			for ; k != nil && bytes.HasPrefix(k, []byte(prefix)) && len(page) < scanAtOnce; k, v = c.Next() {
				if value, ok := live(v, now); ok {
					page = append(page, pair{string(k), bytes.Clone(value)})
				}
			}
			next = nil
			if k != nil && bytes.HasPrefix(k, []byte(prefix)) {
				next = bytes.Clone(k)
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, p := range page {
			if ctx.Err() != nil || !each(p.key, p.value) {
				return ctx.Err()
			}
		}
	}
	return nil
}

// read returns a value that has not expired. It is valid within the transaction.
func read(tx *bbolt.Tx, key string, now time.Time) ([]byte, bool) {
	return live(tx.Bucket(valuesBucket).Get([]byte(key)), now)
}

// live takes the expiry off a stored value.
func live(v []byte, now time.Time) ([]byte, bool) {
	if len(v) < 8 {
		return nil, false
	}
	expires := binary.BigEndian.Uint64(v)
	return v[8:], expires == 0 || uint64(now.UnixNano()) < expires
}

// remove removes a value with its entry by time.
func remove(tx *bbolt.Tx, key string) error {
	v := tx.Bucket(valuesBucket).Get([]byte(key))
	if len(v) < 8 {
		return nil
	}
	if expires := binary.BigEndian.Uint64(v); expires != 0 {
		if err := tx.Bucket(expiresBucket).Delete(expiryKey(expires, key)); err != nil {
			return err
		}
	}
	return tx.Bucket(valuesBucket).Delete([]byte(key))
}

func expiryKey(expires uint64, key string) []byte {
	return append(binary.BigEndian.AppendUint64(nil, expires), key...)
}

// purge removes what has expired, now and then.
func (f *File) purge() {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		for f.purgeSome(time.Now()) == purgeAtMost {
			continue
		}
		select {
		case <-f.stop:
			return
		case <-tick.C:
		}
	}
}

// purgeSome removes some of what expired before now, and says how much.
func (f *File) purgeSome(now time.Time) (n int) {
	var old [][]byte
	_ = f.view(func(tx *bbolt.Tx) error { // a file that cannot be read is told to whoever needs it
		c := tx.Bucket(expiresBucket).Cursor()
		for k, _ := c.First(); len(k) > 8 && binary.BigEndian.Uint64(k) <= uint64(now.UnixNano()) && len(old) < purgeAtMost; k, _ = c.Next() {
			old = append(old, bytes.Clone(k))
		}
		return nil
	})
	if len(old) == 0 {
		return 0
	}
	err := f.update(func(tx *bbolt.Tx) error {
		for _, k := range old {
			key := string(k[8:])
			v := tx.Bucket(valuesBucket).Get(k[8:])
			if len(v) >= 8 && binary.BigEndian.Uint64(v) == binary.BigEndian.Uint64(k) { // not written anew meanwhile
				if err := remove(tx, key); err != nil {
					return err
				}
				continue
			}
			if err := tx.Bucket(expiresBucket).Delete(k); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0
	}
	return len(old)
}
