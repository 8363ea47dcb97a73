package authn

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/keep"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// memory is a checker that remembers what it found out about a token: verifying it
// again costs a hundred times as much.
type memory struct {
	checker    Checker
	generation func() uint64
	seen       func(Result)

	// Apart, so that a flood of bad tokens does not push the good ones out.
	good, bad *keep.Cache[verdict]

	remote  func(raw string) bool // whether the checker asks somebody about a token
	places  *places
	flights keep.Flights[keep.Hash, *identity.Caller]
}

// verdict is what was found out about a token.
type verdict struct {
	caller     *identity.Caller // nil: it is invalid
	why        string           // it is invalid
	generation uint64           // what it was before the token was looked at
}

// Result is what became of a token, for metrics.
type Result string

// The results.
const (
	Valid       Result = "valid"
	Cached      Result = "cached"
	Invalid     Result = "invalid"
	Unavailable Result = "unavailable"
)

const (
	goodEntries = 20_000
	badEntries  = 2_000
	// cachedFor bounds how long a token that was good is not looked at again.
	cachedFor    = 5 * time.Minute
	badCachedFor = 10 * time.Second
)

// newMemory remembers what c says. Where remote is so of a token, c asks somebody: once
// for all who bring it, and about few strange ones at a time.
func newMemory(c Checker, remote func(raw string) bool, generation func() uint64, seen func(Result)) *memory {
	if generation == nil {
		generation = func() uint64 { return 0 }
	}
	if seen == nil {
		seen = func(Result) {}
	}
	return &memory{
		checker: c, generation: generation, seen: seen,
		good: keep.NewCache[verdict](goodEntries), bad: keep.NewCache[verdict](badEntries),
		remote: remote, places: newPlaces(),
	}
}

// check verifies the token of a request, or remembers that it was verified.
func (m *memory) check(ctx context.Context, r *Request, raw string) (*identity.Caller, *Denied) {
	if len(raw) > token.MaxSize {
		m.seen(Invalid)
		return nil, invalidToken("it is larger than any token")
	}
	now, hash, generation := time.Now(), keep.HashOf(raw), m.generation()
	if v, ok := m.good.Get(hash, now); ok && v.generation == generation {
		m.seen(Cached)
		return v.caller, nil
	}
	if v, ok := m.bad.Get(hash, now); ok && v.generation == generation {
		m.seen(Invalid)
		return nil, invalidToken(v.why)
	}
	var caller *identity.Caller
	var err error
	if m.remote(raw) {
		caller, err = m.flights.Do(ctx, hash, introspectTimeout, func(ctx context.Context) (*identity.Caller, error) {
			leave, err := m.places.take(r.sender(), hash)
			if err != nil {
				return nil, err
			}
			defer leave()
			caller, err := m.checker.Check(ctx, raw, now)
			if err == nil {
				m.places.good(hash)
			}
			return caller, err
		})
	} else {
		caller, err = m.checker.Check(ctx, raw, now)
	}
	if err == nil {
		m.seen(Valid)
		m.good.Put(hash, verdict{caller: caller, generation: generation}, earlier(caller.Expires, now.Add(cachedFor)))
		return caller, nil
	}
	if bad, ok := errors.AsType[*token.Invalid](err); ok {
		m.seen(Invalid)
		m.bad.Put(hash, verdict{why: bad.Reason, generation: generation}, now.Add(badCachedFor))
		return nil, invalidToken(bad.Reason)
	}
	m.seen(Unavailable)
	return nil, &Denied{Status: http.StatusServiceUnavailable, Reason: err.Error()}
}

// earlier is the earlier of two times; a may be zero, which is never.
func earlier(a, b time.Time) time.Time {
	if !a.IsZero() && a.Before(b) {
		return a
	}
	return b
}
