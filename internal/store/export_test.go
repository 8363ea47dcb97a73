package store

import (
	"encoding/binary"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
)

// Fill writes many values in a few transactions.
func (f *File) Fill(n, size int) error {
	const each = 10_000
	for from := 0; from < n; from += each {
		err := f.db.Update(func(tx *bbolt.Tx) error {
			for i := from; i < min(from+each, n); i++ {
				v := append(binary.BigEndian.AppendUint64(nil, 0), make([]byte, size)...)
				if err := tx.Bucket(valuesBucket).Put(fmt.Appendf(nil, "fill/%d", i), v); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Entries is how many values and how many expiries the file holds.
func (f *File) Entries() (values, expiries int) {
	_ = f.db.View(func(tx *bbolt.Tx) error {
		values, expiries = tx.Bucket(valuesBucket).Stats().KeyN, tx.Bucket(expiresBucket).Stats().KeyN
		return nil
	})
	return values, expiries
}

// PurgeSome removes what will have expired by then.
func (f *File) PurgeSome(by time.Time) int { return f.purgeSome(by) }

// FillExpiring writes many values that expire, in one transaction.
func (f *File) FillExpiring(n int, ttl time.Duration) error {
	return f.db.Update(func(tx *bbolt.Tx) error {
		for i := range n {
			key, expires := fmt.Sprint("expiring/", i), uint64(time.Now().Add(ttl).UnixNano())
			if err := tx.Bucket(expiresBucket).Put(expiryKey(expires, key), nil); err != nil {
				return err
			}
			if err := tx.Bucket(valuesBucket).Put([]byte(key), append(binary.BigEndian.AppendUint64(nil, expires), 'v')); err != nil {
				return err
			}
		}
		return nil
	})
}
