package ratelimit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// Shared keeps buckets that several processes take from. With an error it says that
// it cannot be asked now.
type Shared interface {
	// TakeRate takes a token of key's bucket, into which one comes every so often,
	// and which fills in most; or says how long until there is one.
	TakeRate(ctx context.Context, key string, every, most time.Duration) (wait time.Duration, ok bool, err error)
	// GiveRate gives back a token.
	GiveRate(ctx context.Context, key string, every time.Duration) error
}

// NewShared makes a limiter whose buckets all processes with the same name share.
// While they cannot be asked, each process keeps buckets of its own: calls are still
// limited, and a broken Redis does not stop them.
func NewShared(r Rate, name string, s Shared) *Limiter {
	l := New(r)
	l.shared, l.name = s, name
	return l
}

// sharedKey is where a bucket is kept. It is hashed, since callers choose part of it.
func (l *Limiter) sharedKey(key string) string {
	sum := sha256.Sum256([]byte(l.name + "\x00" + key))
	return "rate/" + hex.EncodeToString(sum[:])
}
