package accounts

import (
	"context"
	"errors"
	"hash/maphash"
	"time"

	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/store"
)

// Token is a person's access token at a provider, fresh: from memory while it is,
// else from the store, else renewed. While a token is good, a provider that is slow or
// down holds nobody up. What it returns is shared and not to be changed; it has no
// refresh token. The error is a *NotLinked or an *Unavailable, or the context's.
func (b *Book) Token(ctx context.Context, person, provider string) (*oauth.Tokens, error) {
	a := account{person, provider}
	if t := b.mem.fresh(a, b.cfg.Now()); t != nil {
		return t, nil
	}
	return b.look(ctx, a)
}

const storePause = 5 * time.Second // before a store that failed is asked again, by those who can wait

// look reads the account, and renews its token when that is due.
func (b *Book) look(ctx context.Context, a account) (*oauth.Tokens, error) {
	mark := b.mem.mark()
	rec, raw, err := b.load(ctx, a)
	now := b.cfg.Now()
	switch {
	case errors.Is(err, store.ErrNotFound):
		b.mem.drop(a)
		return nil, &NotLinked{Provider: a.provider}
	case err != nil && ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		if e, ok := b.mem.last(a, now); ok {
			e.until = now.Add(storePause)
			b.mem.put(a, e, mark, now)
			return e.tokens, nil
		}
		return nil, &Unavailable{Provider: a.provider, Cause: err}
	case rec.ended(now):
		b.mem.drop(a)
		return nil, &NotLinked{Provider: a.provider, Ended: true}
	}
	b.touch(ctx, a, rec, raw, now)
	due := rec.due(b.jitter(a))
	if due.IsZero() || now.Before(due) {
		return b.remember(a, rec, mark, now, due), nil
	}
	if rec.usable(now) {
		// The renewal goes on without the caller and exchanges what is remembered here; if
		// it failed a moment ago, this token serves until the next attempt.
		t := b.remember(a, rec, mark, now, now.Add(time.Second))
		_, _ = b.renew(a, rec.Access, now, false)
		return t, nil
	}
	f, err := b.renew(a, rec.Access, now, true)
	if err != nil {
		return nil, err
	}
	return f.wait(ctx)
}

// Renew gets another token than the one that a backend did not take: it may have been
// revoked before its time. A token that was renewed just now is not renewed again, nor
// one of an account in doubt: then it is the grant that does not suffice, and the
// person has to sign in again.
func (b *Book) Renew(ctx context.Context, person, provider string, refused secret.Value) (*oauth.Tokens, error) {
	a := account{person, provider}
	b.mem.drop(a)
	rec, _, err := b.load(ctx, a)
	now := b.cfg.Now()
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, &NotLinked{Provider: provider}
	case err != nil && ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, &Unavailable{Provider: provider, Cause: err}
	case !refused.Equal(secret.New(rec.Access)) && !rec.ended(now):
		return b.look(ctx, a)
	case rec.Refresh == "" || rec.Renewed.After(rec.Linked) && now.Sub(rec.Renewed) < renewPause || !rec.Doubted.IsZero():
		return nil, &NotLinked{Provider: provider, Ended: true}
	}
	f, err := b.renew(a, rec.Access, now, true)
	if err != nil {
		return nil, err
	}
	return f.wait(ctx)
}

const renewPause = 30 * time.Second

// remember puts a token into memory until it is time to look again.
func (b *Book) remember(a account, rec *record, mark uint64, now, until time.Time) *oauth.Tokens {
	e := entry{tokens: rec.shown(), until: now.Add(lookEvery), usable: rec.Expires}
	if !until.IsZero() && until.Before(e.until) {
		e.until = until
	}
	if !rec.Expires.IsZero() && rec.Expires.Before(e.until) {
		e.until = rec.Expires
	}
	b.mem.put(a, e, mark, now)
	return e.tokens
}

// jitter is this replica's, from 0 to 1, for an account.
func (b *Book) jitter(a account) float64 {
	return float64(maphash.Comparable(b.seed, a)%1024) / 1024
}

// touch writes an account again that is in use, before the store lets it go.
func (b *Book) touch(ctx context.Context, a account, rec *record, raw []byte, now time.Time) {
	if now.Sub(rec.Written) < touch {
		return
	}
	again := *rec
	again.Written = now
	_, err := b.cfg.Store.Swap(ctx, b.key(a), raw, b.sealed(a, &again), again.keep(now))
	if err == nil {
		err = b.index(ctx, a.person, a.provider, true)
	}
	if err != nil {
		b.cfg.Log.Warn("a linked account's time in the store was not extended; it is tried again", "provider", a.provider, "error", err)
	}
}
