package accounts

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/store"
)

// record is a linked account as it is stored, sealed.
type record struct {
	Subject string    `json:"sub,omitempty"`
	Name    string    `json:"name,omitempty"`
	Email   string    `json:"email,omitempty"`
	Access  string    `json:"at,omitempty"`
	Refresh string    `json:"rt,omitempty"`
	ID      string    `json:"it,omitempty"`
	Type    string    `json:"type,omitempty"`
	Scopes  []string  `json:"scopes,omitempty"`
	Expires time.Time `json:"exp,omitzero"`
	Linked  time.Time `json:"linked,omitzero"`
	Renewed time.Time `json:"renewed,omitzero"` // when the access token was issued
	Written time.Time `json:"written,omitzero"`
	Ended   bool      `json:"ended,omitempty"`
	Doubted time.Time `json:"doubted,omitzero"` // see Book.Doubt
	Mended  time.Time `json:"mended,omitzero"`  // when the account was doubted that this one took the place of
}

const (
	retain  = 180 * 24 * time.Hour // how long an account stays that nobody uses
	touch   = 30 * 24 * time.Hour  // one that is used is written again after
	retainX = 7 * 24 * time.Hour   // an account that has ended, for the person to see
)

// take puts tokens into the record. What a provider leaves out of a renewal goes on:
// the refresh token (RFC 6749 §6), the ID token, the scopes.
func (r *record) take(t *oauth.Tokens, now time.Time) {
	r.Access, r.Type, r.Expires, r.Renewed, r.Written, r.Ended = t.Access.Reveal(), t.Type, t.Expires, now, now, false
	if !t.Refresh.Empty() {
		r.Refresh = t.Refresh.Reveal()
	}
	if !t.ID.Empty() {
		r.ID = t.ID.Reveal()
	}
	if t.Scopes != nil {
		r.Scopes = t.Scopes
	}
}

// end empties the record: of a grant that is gone nothing can be used.
func (r *record) end(now time.Time) {
	r.Access, r.Refresh, r.ID, r.Written, r.Ended = "", "", "", now, true
}

// shown is what a backend may be shown: no refresh token.
func (r *record) shown() *oauth.Tokens {
	return &oauth.Tokens{Access: secret.New(r.Access), ID: secret.New(r.ID), Type: r.Type, Expires: r.Expires, Scopes: r.Scopes}
}

// whole is all of it, for the provider.
func (r *record) whole() *oauth.Tokens {
	t := r.shown()
	t.Refresh = secret.New(r.Refresh)
	return t
}

// ended tells whether only a new sign-in can help.
func (r *record) ended(now time.Time) bool {
	return r.Ended || r.Refresh == "" && !r.Expires.IsZero() && !now.Before(r.Expires)
}

// keep is how long the store keeps the record.
func (r *record) keep(now time.Time) time.Duration {
	switch {
	case r.Ended:
		return retainX
	case r.Refresh == "" && !r.Expires.IsZero():
		return max(0, r.Expires.Sub(now)) + retainX
	}
	return retain
}

// The life of an access token: renewed ahead of its end, in the background while it
// is good, and with the caller waiting when it is about to end on the way.
const (
	maxAhead = 5 * time.Minute
	maxHurry = 10 * time.Second
)

func (r *record) ahead() time.Duration { return min(maxAhead, r.Expires.Sub(r.Renewed)/5) }

// due is when to renew, jitter (from 0 to 1) earlier so that not all replicas, and
// not all who signed in together, do so at the same time. Zero for never.
func (r *record) due(jitter float64) time.Time {
	if r.Expires.IsZero() || r.Refresh == "" {
		return time.Time{}
	}
	ahead := r.ahead()
	return r.Expires.Add(-ahead - time.Duration(jitter*float64(ahead)/4))
}

// hurry is when a caller has to wait for a renewal.
func (r *record) hurry() time.Time { return r.Expires.Add(-min(maxHurry, r.ahead()/2)) }

// spent tells whether the person's next sign-in has to visit the provider.
func (r *record) spent(now time.Time) bool { return r.ended(now) || !r.Doubted.IsZero() }

// usable tells whether the access token can still be shown to somebody.
func (r *record) usable(now time.Time) bool {
	if r.Expires.IsZero() {
		return true
	}
	if r.Refresh == "" {
		return now.Before(r.Expires) // it gets no better
	}
	return now.Before(r.hurry())
}

// purpose of sealing; a record opens under its own key alone.
const purpose = "linked account"

// The kinds of keys. What follows a kind is a digest, since people and providers name
// themselves (REQ D-6).
const (
	accountKind = "account/"
	indexKind   = "accounts/"
	leaseKind   = "refreshing/"
)

func (b *Book) key(a account) string {
	return accountKind + store.Digest(b.cfg.Issuer, a.person, a.provider)
}

func (b *Book) leaseKey(a account) string {
	return leaseKind + store.Digest(b.cfg.Issuer, a.person, a.provider)
}

func (b *Book) sealed(a account, r *record) []byte {
	text, err := json.Marshal(r)
	if err != nil {
		panic(err) // plain data
	}
	return b.cfg.Ring.SealValue(purpose, b.key(a), text)
}

// load reads an account, and its bytes in the store. One that does not open, since
// the keys were changed for others, is as good as none.
func (b *Book) load(ctx context.Context, a account) (*record, []byte, error) {
	key := b.key(a)
	raw, err := b.cfg.Store.Get(ctx, key)
	if err != nil {
		return nil, nil, err
	}
	var r record
	if text, ok := b.cfg.Ring.OpenValue(purpose, key, raw); !ok || json.Unmarshal(text, &r) != nil {
		b.cfg.Log.Warn("a linked account cannot be read with the keys of now and must be linked again", "provider", a.provider)
		return nil, raw, store.ErrNotFound
	}
	return &r, raw, nil
}

// indexed are the providers that a person has, or had, accounts at.
func (b *Book) indexed(ctx context.Context, person string) ([]string, error) {
	list, _, err := b.loadIndex(ctx, indexKind+store.Digest(b.cfg.Issuer, person))
	return list, err
}

func (b *Book) loadIndex(ctx context.Context, key string) ([]string, []byte, error) {
	raw, err := b.cfg.Store.Get(ctx, key)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	var list []string
	if text, ok := b.cfg.Ring.OpenValue(purpose, key, raw); ok {
		_ = json.Unmarshal(text, &list) // what does not open starts anew
	}
	return list, raw, nil
}

// index notes that a person has an account at a provider, or has none any more.
func (b *Book) index(ctx context.Context, person, provider string, has bool) error {
	key := indexKind + store.Digest(b.cfg.Issuer, person)
	for {
		list, raw, err := b.loadIndex(ctx, key)
		if err != nil {
			return err
		}
		at, found := slices.BinarySearch(list, provider)
		switch {
		case !has && !found:
			return nil
		case !has:
			list = slices.Delete(list, at, at+1)
		case !found:
			list = slices.Insert(list, at, provider)
		}
		text, err := json.Marshal(list)
		if err != nil {
			panic(err) // plain data
		}
		next := b.cfg.Ring.SealValue(purpose, key, text)
		var done bool
		if raw == nil {
			done, err = b.cfg.Store.Add(ctx, key, next, retain)
		} else {
			done, err = b.cfg.Store.Swap(ctx, key, raw, next, retain)
		}
		if done || err != nil {
			return err
		}
	}
}
