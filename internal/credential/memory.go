package credential

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/keep"
)

// memory keeps what was obtained for callers until shortly before it expires, and
// what was refused for a moment. One obtains, however many ask for the same. What the
// place that is asked answers to one caller is that caller's own affair; only when it
// cannot be reached for several, and for nobody else, one at a time finds out whether
// it is back (REQ D-9, G-15).
//
// Keys are hashes of tokens. What is kept is as good as a password and stays in
// this process's memory.
type memory[V any] struct {
	good *keep.Cache[kept[V]]
	bad  *keep.Cache[error] // apart, so that a flood of refusals pushes nothing good out

	flights keep.Flights[keep.Hash, V]

	mu      sync.Mutex
	lost    map[string]bool // callers for whom the place was not reached since it last was
	failed  time.Time       // when that was, last
	probing bool            // somebody tries for all
	last    error           // why
}

// kept is what was obtained, and when.
type kept[V any] struct {
	value V
	since time.Time
}

const (
	goodEntries = 10_000
	badEntries  = 1_000

	// obtainWithin bounds one attempt; together with the outer door it keeps a call
	// whose token endpoint hangs below fifteen seconds (REQ B-5).
	obtainWithin = 10 * time.Second

	refusedFor = 2 * time.Second // how long a refusal is not asked for again
	// laterFor and latest bound how long a caller does not ask again who was told to
	// come later, or did not reach the place.
	laterFor = time.Second
	latest   = time.Minute

	patience = 3  // callers who did not reach the place before it counts as down
	maxLost  = 64 // of them are known
	// probeAfter is the pause before somebody tries again, and a longer one before a
	// caller does who has failed: the fault may be in what that one shows.
	probeAfter      = 500 * time.Millisecond
	probeAgainAfter = 2 * time.Second
)

func newMemory[V any]() *memory[V] {
	return &memory[V]{
		good: keep.NewCache[kept[V]](goodEntries), bad: keep.NewCache[error](badEntries),
		lost: map[string]bool{},
	}
}

// get returns what is kept under key, or obtains it for a caller. The attempt goes on
// when the client that began it leaves, since others may wait for it. seen hears of
// the attempt, not of what was kept.
func (m *memory[V]) get(ctx context.Context, key keep.Hash, who *identity.Caller, seen func(error), obtain func(context.Context) (V, time.Time, error)) (V, error) {
	now := time.Now()
	if k, ok := m.good.Get(key, now); ok {
		return k.value, nil
	}
	if err, ok := m.bad.Get(key, now); ok {
		var none V
		return none, err
	}
	v, err := m.flights.Do(ctx, key, obtainWithin, func(ctx context.Context) (V, error) {
		// Somebody's attempt may have ended since the caller looked.
		if k, ok := m.good.Get(key, time.Now()); ok {
			return k.value, nil
		}
		probe, err := m.enter(who.Key())
		if err != nil {
			var none V
			return none, err
		}
		if probe {
			defer m.probed()
		}
		value, until, err := obtain(ctx)
		seen(err)
		m.land(key, who.Key(), value, until, err)
		return value, err
	})
	if err != nil && ctx.Err() != nil {
		return v, &Failure{Kind: Unavailable, Public: "the request was cancelled", Cause: err}
	}
	return v, err
}

// enter says whether a caller may make an attempt, and whether it is the one that
// tries for all.
func (m *memory[V]) enter(who string) (probe bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	down := len(m.lost) >= patience
	if down && !m.mayProbe(who, time.Now()) {
		return false, m.last
	}
	m.probing = m.probing || down
	return down, nil
}

// mayProbe says whether a caller finds out whether the place is back; mu is held.
func (m *memory[V]) mayProbe(who string, now time.Time) bool {
	pause := probeAfter
	if m.lost[who] {
		pause = probeAgainAfter
	}
	return !m.probing && now.Sub(m.failed) >= pause
}

func (m *memory[V]) probed() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.probing = false
}

// land keeps what came of an attempt.
func (m *memory[V]) land(key keep.Hash, who string, value V, until time.Time, err error) {
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == nil {
		clear(m.lost)
		m.good.Put(key, kept[V]{value, now}, until)
		return
	}
	wait := refusedFor
	if later, ok := errors.AsType[*Failure](err); ok && later.Kind == Unavailable {
		wait = min(max(laterFor, later.RetryAfter), latest)
		if !later.answered {
			if len(m.lost) < maxLost {
				m.lost[who] = true
			}
			m.failed, m.last = now, err
			m.bad.Put(key, err, now.Add(wait))
			return
		}
	}
	clear(m.lost) // it answered
	m.bad.Put(key, err, now.Add(wait))
}

// refused drops what is kept under key, if it is what the backend did not accept. The
// error means that another one would be refused too: this one was made just now.
func (m *memory[V]) refused(key keep.Hash, shown func(V) bool) error {
	now := time.Now()
	k, ok := m.good.Get(key, now)
	if !ok || !shown(k.value) {
		return nil // somebody has obtained another one meanwhile, or will
	}
	m.good.Drop(key)
	if now.Sub(k.since) < justNow {
		return &Failure{
			Kind: Misconfigured, Public: "the backend refused the credential that was just made for it; its operator finds more in the log",
			Cause: errors.New("the backend refused a credential that was obtained just now; is it for this backend?"),
		}
	}
	return nil
}

const justNow = 10 * time.Second

// usableUntil is when something that was given at a time, to live for as long, is no
// longer handed out: a little before its end, so that it is still good when the
// backend looks at it.
func usableUntil(given time.Time, life time.Duration) time.Time {
	return given.Add(life - min(life/10, 30*time.Second))
}
