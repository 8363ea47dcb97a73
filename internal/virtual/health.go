package virtual

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// Breaker stops calls to a member that fails again and again. Its zero value does not.
type Breaker struct {
	Failures int           // in a row that stop the calls; 0 for never
	Pause    time.Duration // after which one call is let through to try
}

// breaker is that of one member.
type breaker struct {
	mu     sync.Mutex
	count  int       // failures in a row
	until  time.Time // no calls; zero for none
	trying bool
}

// admit refuses a call while calls are stopped.
func (b *breaker) admit(t *Target, m *Member) error {
	if t.Breaker.Failures == 0 {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch left := time.Until(b.until); {
	case b.until.IsZero():
		return nil
	case left <= 0 && !b.trying:
		b.trying = true
		return nil
	default:
		return &backend.Failure{
			Public: mcp.Errorf(http.StatusServiceUnavailable, mcp.CodeInternal, "%s: the server has failed again and again and is left alone for a while", m.Upstream.Name),
			Reason: backend.ReasonUnreachable, RetryAfter: max(left, time.Second),
		}
	}
}

// failed notes a failure of the member's; what its caller did wrong is none.
func (b *breaker) failed(t *Target, m *Member, err error) {
	f, ok := errors.AsType[*backend.Failure](err)
	if t.Breaker.Failures == 0 || !ok {
		return
	}
	switch f.Reason {
	case backend.ReasonUnreachable, backend.ReasonTimeout, backend.ReasonCrashed, backend.ReasonCanceled:
	default:
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count++
	if b.count < t.Breaker.Failures && !b.trying {
		return
	}
	if b.until.IsZero() {
		t.Log.Warn("a member fails again and again and is left alone for a while", "member", m.Upstream.Name, "pause", t.Breaker.Pause)
	}
	b.until, b.trying = time.Now().Add(t.Breaker.Pause), false
}

func (b *breaker) worked() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count, b.until, b.trying = 0, time.Time{}, false
}

// check asks a member again and again whether it is there, with nobody's key, and less
// often while it is not. One that is there again is asked what it has.
func (t *Target) check(ctx context.Context, i int) {
	m := &t.members[i]
	failures := 0
	for {
		wait := t.HealthEvery << min(failures, 4)
		wait += time.Duration(rand.Int64N(int64(wait)/5 + 1)) //nolint:gosec // so that many gateways do not ask at once
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		try, cancel := context.WithTimeout(ctx, t.HealthTimeout)
		before := m.Upstream.Health.String()
		err := m.Upstream.Probe(try, failures+1 >= t.Unhealthy)
		cancel()
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			failures++
			continue
		}
		failures = 0
		if now := m.Upstream.Health.String(); now != before {
			t.Log.Info("a member's state has changed", "member", m.Upstream.Name, "from", before, "to", now)
			t.watch.changed(i, nobody())
		}
	}
}
