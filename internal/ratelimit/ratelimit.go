package ratelimit

import (
	"context"
	"sync"
	"time"
)

// Rate is a bucket of Burst tokens that fills from empty in Period.
type Rate struct {
	Burst  int
	Period time.Duration
}

// maxKeys bounds the memory of a limiter. When as many keys are limited at a time,
// the ones that would be free soonest are forgotten first.
const maxKeys = 100_000

// Limiter keeps a bucket per key. It is the generic cell rate algorithm: of each
// bucket it remembers only when it will be full again. It is safe for use by many
// goroutines.
type Limiter struct {
	every time.Duration // between two tokens
	most  time.Duration // to fill the bucket

	shared Shared // nil for buckets of this process alone
	name   string // of the limit, in what is shared

	mu   sync.Mutex
	full map[string]time.Time // when the key's bucket is full again; a full one is not kept
	next time.Time            // when to look for full ones again
}

// New makes a limiter of full buckets. A rate below one token per Period, or
// without a Period, admits nothing.
func New(r Rate) *Limiter {
	l := &Limiter{full: map[string]time.Time{}}
	if r.Burst > 0 && r.Period > 0 {
		l.every, l.most = r.Period/time.Duration(r.Burst), r.Period
	}
	return l
}

// Take takes a token of key's bucket. When there is none it takes nothing and says
// how long until there is one.
func (l *Limiter) Take(ctx context.Context, key string, now time.Time) (wait time.Duration, ok bool) {
	if l.shared != nil && l.every > 0 {
		wait, ok, err := l.shared.TakeRate(ctx, l.sharedKey(key), l.every, l.most)
		if err == nil {
			return wait, ok
		}
	}
	return l.take(key, now)
}

func (l *Limiter) take(key string, now time.Time) (wait time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.every <= 0 {
		return time.Hour, false
	}
	l.sweep(now)
	full := l.full[key]
	if full.Before(now) {
		full = now
	}
	full = full.Add(l.every)
	if over := full.Sub(now) - l.most; over > 0 {
		return over, false
	}
	l.full[key] = full
	return 0, true
}

// Give gives back a token that Take took, when nothing came of it.
func (l *Limiter) Give(ctx context.Context, key string) {
	if l.shared != nil && l.shared.GiveRate(ctx, l.sharedKey(key), l.every) == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if full, ok := l.full[key]; ok {
		l.full[key] = full.Add(-l.every)
	}
}

// sweep forgets the buckets that are full, now and then, and when there are too
// many keys all that will be full soon.
func (l *Limiter) sweep(now time.Time) {
	crowded := len(l.full) >= maxKeys
	if now.Before(l.next) && !crowded {
		return
	}
	l.next = now.Add(l.most)
	room := maxKeys
	if crowded {
		room = maxKeys * 3 / 4 // so that the next keys do not make it look again
	}
	horizon := now
	for step := l.every; ; step *= 2 {
		for key, full := range l.full {
			if !full.After(horizon) {
				delete(l.full, key)
			}
		}
		if len(l.full) < room {
			return
		}
		horizon = now.Add(step)
	}
}

// Close does nothing; a limiter can be kept in a pool with what does.
func (l *Limiter) Close() error { return nil }

// Len is how many buckets are not full, or were not when last looked at.
func (l *Limiter) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.full)
}
