package accounts

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/store"
)

// flight is a renewal that is under way in this process.
type flight struct {
	done   chan struct{}
	tokens *oauth.Tokens
	err    error
}

func (f *flight) wait(ctx context.Context) (*oauth.Tokens, error) {
	select {
	case <-f.done:
		return f.tokens, f.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// failure is a renewal that failed; the next one waits.
type failure struct {
	err   error
	at    time.Time
	pause time.Duration
}

// over tells whether it is time for another attempt. Those who can go on with the
// token they have wait longer.
func (f failure) over(now time.Time, urgent bool) bool {
	pause := f.pause
	if urgent {
		pause = min(pause, urgentPause)
	}
	return !now.Before(f.at.Add(pause))
}

const (
	flightTimeout  = 2 * time.Minute
	refreshTimeout = 20 * time.Second
	firstPause     = 2 * time.Second
	maxPause       = time.Minute
	urgentPause    = 5 * time.Second
	closePatience  = 10 * time.Second
	lookAgain      = 60 * time.Millisecond // while another replica renews
	maxFailures    = 10_000
)

// errClosed is what callers get while the gateway ends.
var errClosed = errors.New("the gateway is shutting down")

// renew joins the renewal of the access token stale, or begins one. It runs on its
// own, since a caller that goes away must not take with it a refresh token that the
// provider has just exchanged.
func (b *Book) renew(a account, stale string, now time.Time, urgent bool) (*flight, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if f := b.flights[a]; f != nil {
		return f, nil
	}
	if b.closed {
		return nil, &Unavailable{Provider: a.provider, Cause: errClosed}
	}
	if last, ok := b.failed[a]; ok && !last.over(now, urgent) {
		return nil, last.err
	}
	f := &flight{done: make(chan struct{})}
	b.flights[a] = f
	b.running.Go(func() {
		ctx, cancel := context.WithTimeout(b.ctx, flightTimeout)
		defer cancel()
		b.run(ctx, a, stale, f)
	})
	return f, nil
}

// run renews, and tells those who wait.
func (b *Book) run(ctx context.Context, a account, stale string, f *flight) {
	mark := b.mem.mark()
	land := func(rec *record, err error) {
		now := b.cfg.Now()
		f.err = err
		if err == nil {
			f.tokens = b.remember(a, rec, mark, now, rec.due(b.jitter(a)))
		}
		b.mu.Lock()
		delete(b.flights, a)
		b.note(a, err, now)
		b.mu.Unlock()
		close(f.done)
	}
	t, err := b.await(ctx, a, stale)
	defer t.release()
	if err != nil || !t.mine {
		land(t.rec, err)
		return
	}
	limited, cancel := context.WithTimeout(ctx, refreshTimeout)
	tokens, err := b.cfg.Refresh(limited, a.provider, secret.New(t.rec.Refresh))
	cancel()
	if err != nil {
		land(b.refused(ctx, a, t.rec, t.raw, err))
		return
	}
	b.cfg.Seen(a.provider, "success")
	b.cfg.Log.Debug("upstream token renewed", "provider", a.provider, "expires", tokens.Expires)
	next := *t.rec
	next.take(tokens, b.cfg.Now())
	b.keep(ctx, a, t.rec, t.raw, &next, land)
}

// note remembers a failure, for the pause before the next attempt; mu is held.
func (b *Book) note(a account, err error, now time.Time) {
	unavailable, ok := errors.AsType[*Unavailable](err)
	if !ok {
		delete(b.failed, a)
		return
	}
	pause := min(max(firstPause, 2*b.failed[a].pause), maxPause)
	if len(b.failed) >= maxFailures {
		clear(b.failed)
	}
	b.failed[a] = failure{err: unavailable, at: now, pause: pause}
}

// turn is what a flight finds when it may go on.
type turn struct {
	rec     *record
	raw     []byte // of rec, in the store
	mine    bool   // to renew; else somebody else has just done so
	release func()
}

// await waits until this flight is the only one, over all replicas, that renews the
// account, or until somebody else has exchanged the access token stale for one that is
// good. The turn is to be released even with an error.
func (b *Book) await(ctx context.Context, a account, stale string) (t turn, err error) {
	for {
		if t.release, t.mine, err = b.lease(ctx, a); err != nil {
			return t, b.unavailable(a, err)
		}
		t.rec, t.raw, err = b.load(ctx, a)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return t, &NotLinked{Provider: a.provider}
		case err != nil:
			return t, b.unavailable(a, err)
		case t.rec.Ended:
			return t, &NotLinked{Provider: a.provider, Ended: true}
		case t.rec.Access != stale && t.rec.usable(b.cfg.Now()):
			t.mine = false
			return t, nil
		case t.mine:
			return t, nil
		}
		if err := pause(ctx, lookAgain+time.Duration(b.jitter(a)*float64(lookAgain))); err != nil {
			return t, b.unavailable(a, err)
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// refused deals with a provider that gave no tokens.
func (b *Book) refused(ctx context.Context, a account, rec *record, raw []byte, cause error) (*record, error) {
	if refusal, ok := errors.AsType[*oauth.Error](cause); !ok || refusal.Code != oauth.CodeInvalidGrant {
		b.cfg.Seen(a.provider, "failed")
		b.cfg.Log.Warn("upstream token not renewed", "provider", a.provider, "error", cause)
		return nil, b.unavailable(a, cause)
	}
	gone := *rec
	gone.end(b.cfg.Now())
	is, err := b.replace(ctx, a, rec, raw, &gone, b.sealed(a, &gone))
	if _, unlinked := errors.AsType[*NotLinked](err); err != nil && !unlinked {
		return nil, b.unavailable(a, err)
	}
	if err == nil && !is.Ended {
		return is, nil
	}
	b.cfg.Seen(a.provider, "revoked")
	b.cfg.Log.Info("the provider ended the grant; the account must be linked again", "provider", a.provider)
	b.mem.drop(a)
	return nil, &NotLinked{Provider: a.provider, Ended: true}
}

// patience is how long callers wait for the store to take a renewed record. After it
// they get the token from memory, and the store goes on being tried.
const patience = 3 * time.Second

// keep stores a renewed record in place of old, and lands what the account is then.
// The provider may have invalidated the old refresh token, so this goes on for as long
// as there is any use.
func (b *Book) keep(ctx context.Context, a account, old *record, raw []byte, next *record, land func(*record, error)) {
	land = once(land)
	sealed, began := b.sealed(a, next), time.Now()
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		is, err := b.replace(ctx, a, old, raw, next, sealed)
		if err == nil {
			land(is, nil)
			return
		}
		if _, unlinked := errors.AsType[*NotLinked](err); unlinked {
			b.revoke(ctx, a.provider, next.whole()) // the person wanted this grant to end
			land(nil, err)
			return
		}
		if time.Since(began) > patience {
			land(next, nil)
		}
		if pause(ctx, wait) != nil {
			b.cfg.Log.Error("a renewed upstream token was not stored; its person may have to sign in again", "provider", a.provider, "error", err)
			land(next, nil)
			return
		}
	}
}

func once(land func(*record, error)) func(*record, error) {
	landed := false
	return func(rec *record, err error) {
		if !landed {
			landed = true
			land(rec, err)
		}
	}
}

// replace writes next where old was read as the bytes raw, and returns what the
// account is now: next, or what a new sign-in or another replica made of it meanwhile.
// The error is a *NotLinked when it was unlinked, else the store's.
//
// Two replicas can renew with one refresh token when the store could not be reached
// for longer than a lease. The provider refuses one of them, who then notes that the
// grant has ended; the other's tokens win over that.
func (b *Book) replace(ctx context.Context, a account, old *record, raw []byte, next *record, sealed []byte) (*record, error) {
	key := b.key(a)
	for {
		swapped, err := b.cfg.Store.Swap(ctx, key, raw, sealed, next.keep(b.cfg.Now()))
		if err != nil {
			return nil, err
		}
		if swapped {
			return next, nil
		}
		is, now, err := b.load(ctx, a)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return nil, &NotLinked{Provider: a.provider}
		case err != nil:
			return nil, err
		case bytes.Equal(now, sealed):
			return next, nil // an attempt went through that seemed to fail
		case is.Ended != next.Ended && is.Ended, !is.Ended && is.Refresh == old.Refresh && is.Access == old.Access:
			raw = now
		default:
			return is, nil
		}
	}
}

func (b *Book) unavailable(a account, err error) *Unavailable {
	return &Unavailable{Provider: a.provider, Cause: err}
}
