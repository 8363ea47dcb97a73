package duplex

import (
	"math/rand/v2"
	"time"
)

const (
	firstBackoff = 100 * time.Millisecond
	maxBackoff   = 30 * time.Second
	// settled is how long a connection must have lived for its end to count as the
	// first again.
	settled = time.Minute
	// maxBackoffWait is how long a request waits for the end of a back-off before
	// it is told to come again.
	maxBackoffWait = 3 * time.Second
)

// backoff spaces attempts to start something that keeps failing. The zero backoff
// has not failed yet.
type backoff struct {
	delay time.Duration // the next one
	until time.Time     // no attempt before
}

// failed notes an end at now, after a generation of lived.
func (b *backoff) failed(now time.Time, lived time.Duration) {
	if b.delay == 0 || lived >= settled {
		b.delay = firstBackoff
	}
	// Up to half of it is left to chance, so that sessions that fell together do
	// not rise together.
	b.until = now.Add(b.delay/2 + rand.N(b.delay/2+1))
	b.delay = min(2*b.delay, maxBackoff)
}

// wait is how long to wait at now before the next attempt.
func (b *backoff) wait(now time.Time) time.Duration {
	return max(0, b.until.Sub(now))
}
