package credential

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/token"
)

// memory keeps what was obtained for callers until shortly before it expires, and
// what was refused for a moment. One obtains, however many ask for the same; when
// the place that is asked is down, one at a time finds out.
//
// Keys are hashes of tokens. What is kept is as good as a password and stays in
// this process's memory.
type memory[V any] struct {
	good *token.Cache[kept[V]]
	bad  *token.Cache[error] // apart, so that a flood of refusals pushes nothing good out

	mu       sync.Mutex
	flights  map[token.Hash]*flight[V]
	failures int       // in a row, of reaching the place at all
	blocked  time.Time // until then nobody tries
	last     error     // why
}

// kept is what was obtained, and when.
type kept[V any] struct {
	value V
	since time.Time
}

// flight is an attempt under way.
type flight[V any] struct {
	done  chan struct{}
	value V
	err   error
}

const (
	goodEntries = 10_000
	badEntries  = 1_000

	// obtainWithin bounds one attempt; together with the outer door it keeps a call
	// whose token endpoint hangs below fifteen seconds (REQ B-5).
	obtainWithin = 10 * time.Second

	refusedFor     = 2 * time.Second // how long a refusal is not asked for again
	unavailableFor = time.Second
	patience       = 3               // failures in a row before the place counts as down
	blockedFor     = 2 * time.Second // how long nobody tries then
)

var errAbandoned = errors.New("obtaining the credential broke off")

func newMemory[V any]() *memory[V] {
	return &memory[V]{
		good: token.NewCache[kept[V]](goodEntries), bad: token.NewCache[error](badEntries),
		flights: map[token.Hash]*flight[V]{},
	}
}

// get returns what is kept under key, or obtains it. The attempt goes on when the
// client that began it leaves, since others may wait for it. seen hears of the
// attempt, not of what was kept.
func (m *memory[V]) get(ctx context.Context, key token.Hash, seen func(error), obtain func(context.Context) (V, time.Time, error)) (V, error) {
	now := time.Now()
	if k, ok := m.good.Get(key, now); ok {
		return k.value, nil
	}
	if err, ok := m.bad.Get(key, now); ok {
		var none V
		return none, err
	}
	f, first, err := m.enter(key, now)
	switch {
	case err != nil:
		var none V
		return none, err
	case first:
		m.fly(ctx, key, f, seen, obtain)
	default:
		select {
		case <-f.done:
		case <-ctx.Done():
			var none V
			return none, &Failure{Kind: Unavailable, Public: "the request was cancelled", Cause: context.Cause(ctx)}
		}
	}
	return f.value, f.err
}

// enter joins the attempt for a key, or begins it, unless nobody may try.
func (m *memory[V]) enter(key token.Hash, now time.Time) (f *flight[V], first bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f := m.flights[key]; f != nil {
		return f, false, nil
	}
	// Somebody's attempt may have ended since the caller looked.
	if k, ok := m.good.Get(key, now); ok {
		f = &flight[V]{done: make(chan struct{}), value: k.value}
		close(f.done)
		return f, false, nil
	}
	if m.failures >= patience {
		if now.Before(m.blocked) {
			return nil, false, m.last
		}
		m.blocked = now.Add(obtainWithin) // this one tries for all
	}
	f = &flight[V]{done: make(chan struct{}), err: &Failure{Kind: Unavailable, Public: "internal error", Cause: errAbandoned}}
	m.flights[key] = f
	return f, true, nil
}

// fly makes the attempt and keeps what came of it.
func (m *memory[V]) fly(ctx context.Context, key token.Hash, f *flight[V], seen func(error), obtain func(context.Context) (V, time.Time, error)) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), obtainWithin)
	defer cancel()
	var until time.Time
	defer func() { // also when obtain panics: then f.err is still what enter put there
		m.land(key, f, until)
		close(f.done)
	}()
	f.value, until, f.err = obtain(ctx)
	seen(f.err)
}

func (m *memory[V]) land(key token.Hash, f *flight[V], until time.Time) {
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.flights, key)
	switch {
	case f.err == nil:
		m.failures = 0
		m.good.Put(key, kept[V]{f.value, now}, until)
	case isRefusal(f.err):
		m.failures = 0
		m.bad.Put(key, f.err, now.Add(refusedFor))
	default:
		m.failures++
		m.last, m.blocked = f.err, now.Add(blockedFor)
		m.bad.Put(key, f.err, now.Add(unavailableFor))
	}
}

// refused drops what is kept under key, if it is what the backend did not accept. The
// error means that another one would be refused too: this one was made just now.
func (m *memory[V]) refused(key token.Hash, shown func(V) bool) error {
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
