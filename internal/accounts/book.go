package accounts

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/seal"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/store"
)

// Config is what a Book works with.
type Config struct {
	Store  store.Store
	Ring   *seal.Ring
	Issuer string // whose people these are: several servers can share a store
	// Refresh gets new tokens from a provider; an *oauth.Error with invalid_grant means
	// that the grant is gone.
	Refresh func(ctx context.Context, provider string, refresh secret.Value) (*oauth.Tokens, error)
	// Revoke ends a grant at a provider; nil where nothing can.
	Revoke func(ctx context.Context, provider string, t *oauth.Tokens) error
	// Seen is told of each renewal: success, revoked or failed. It may be nil.
	Seen func(provider, result string)
	Log  *slog.Logger
	Now  func() time.Time // nil for time.Now

	MaxCached int // accounts whose tokens are in memory; 0 for 10,000
}

// Book keeps the linked accounts of one authorization server's people, sealed in a
// store. It is safe for concurrent use, in this process and in others with the same
// store.
type Book struct {
	cfg  Config
	seed maphash.Seed
	mem  memory

	ctx  context.Context // of renewals, which belong to no caller
	stop context.CancelFunc

	mu      sync.Mutex
	flights map[account]*flight
	failed  map[account]failure
	closed  bool
	running sync.WaitGroup
}

// account is one person's account at one provider.
type account struct{ person, provider string }

// Account describes a linked account. It holds no token, so that pages can show it.
type Account struct {
	Provider, Subject, Name, Email string
	Scopes                         []string
	Linked                         time.Time
	Expires                        time.Time // of the access token; zero for never, or unknown
	CanRefresh                     bool
	Ended                          bool // it has to be linked again: the provider ended the grant, or see Doubt
}

// Who is the person as the provider knows them.
type Who struct{ Subject, Name, Email string }

// NotLinked means that there is no account to take a token from: none was linked, or
// the provider ended the grant. The person can mend it by signing in there.
type NotLinked struct {
	Provider string
	Ended    bool // there was one
}

func (e *NotLinked) Error() string {
	if e.Ended {
		return fmt.Sprintf("the account at provider %s has ended and must be linked again", e.Provider)
	}
	return fmt.Sprintf("no account at provider %s is linked", e.Provider)
}

// Unavailable means that no token can be had now, and that it is no fault of the
// person's: the provider or the store cannot be asked.
type Unavailable struct {
	Provider string
	Cause    error
}

func (e *Unavailable) Error() string {
	return fmt.Sprintf("no token of provider %s can be had now: %v", e.Provider, e.Cause)
}
func (e *Unavailable) Unwrap() error { return e.Cause }

// New makes a Book. Close ends it.
func New(cfg Config) *Book {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Seen == nil {
		cfg.Seen = func(string, string) {}
	}
	if cfg.MaxCached == 0 {
		cfg.MaxCached = 10_000
	}
	ctx, stop := context.WithCancel(context.Background())
	return &Book{
		cfg: cfg, ctx: ctx, stop: stop, seed: maphash.MakeSeed(), mem: memory{max: cfg.MaxCached, entries: map[account]entry{}},
		flights: map[account]*flight{}, failed: map[account]failure{},
	}
}

// Close waits a while for renewals that are under way: a refresh token that was
// rotated and not stored would be lost.
func (b *Book) Close() error {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	timer := time.AfterFunc(closePatience, b.stop)
	b.running.Wait()
	timer.Stop()
	b.stop()
	return nil
}

// Link keeps the tokens that a provider issued for a person, in place of those from
// before.
func (b *Book) Link(ctx context.Context, person, provider string, who Who, t *oauth.Tokens) error {
	a := account{person, provider}
	now := b.cfg.Now()
	rec := &record{Subject: who.Subject, Name: who.Name, Email: who.Email, Linked: now}
	rec.take(t, now)
	if before, _, err := b.load(ctx, a); err == nil && !before.Ended && before.Subject == rec.Subject {
		rec.Mended = before.Doubted
		// Some providers issue a refresh token once, and none when the same person signs
		// in again; the one from before goes on.
		if rec.Refresh == "" {
			rec.Refresh = before.Refresh
		}
	}
	// The index first: an entry without an account is no harm, an account that nobody
	// finds could not be unlinked.
	if err := b.index(ctx, person, provider, true); err != nil {
		return fmt.Errorf("link the account at provider %s: %w", provider, err)
	}
	if err := b.cfg.Store.Put(ctx, b.key(a), b.sealed(a, rec), rec.keep(now)); err != nil {
		return fmt.Errorf("link the account at provider %s: %w", provider, err)
	}
	b.forget(a)
	return nil
}

// List describes a person's accounts, by the providers' names.
func (b *Book) List(ctx context.Context, person string) ([]Account, error) {
	names, err := b.indexed(ctx, person)
	if err != nil {
		return nil, fmt.Errorf("list the linked accounts: %w", err)
	}
	var list []Account
	for _, provider := range names {
		rec, _, err := b.load(ctx, account{person, provider})
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list the linked accounts: %w", err)
		}
		list = append(list, Account{
			Provider: provider, Subject: rec.Subject, Name: rec.Name, Email: rec.Email, Scopes: rec.Scopes,
			Linked: rec.Linked, Expires: rec.Expires, CanRefresh: rec.Refresh != "", Ended: rec.spent(b.cfg.Now()),
		})
	}
	return list, nil
}

// revokeTimeout bounds what a person waits for who disconnects an account.
const revokeTimeout = 5 * time.Second

// Unlink forgets an account, and ends its grant at the provider if that can be done
// now. An account that is not there is no error.
func (b *Book) Unlink(ctx context.Context, person, provider string) error {
	a := account{person, provider}
	rec, _, err := b.load(ctx, a)
	if err == nil || errors.Is(err, store.ErrNotFound) {
		err = b.cfg.Store.Delete(ctx, b.key(a))
	}
	b.forget(a)
	if err == nil {
		err = b.index(ctx, person, provider, false)
	}
	if err != nil {
		return fmt.Errorf("unlink the account at provider %s: %w", provider, err)
	}
	if rec != nil && !rec.Ended {
		b.revoke(ctx, provider, rec.whole())
	}
	return nil
}

// revoke ends a grant at its provider, best effort.
func (b *Book) revoke(ctx context.Context, provider string, t *oauth.Tokens) {
	if b.cfg.Revoke == nil {
		return
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), revokeTimeout)
	defer cancel()
	if err := b.cfg.Revoke(limited, provider, t); err != nil {
		b.cfg.Log.Warn("grant not revoked at the provider; it is forgotten here", "provider", provider, "error", err)
	}
}

// forget drops what this process remembers of an account.
func (b *Book) forget(a account) {
	b.mem.forget(a)
	b.mu.Lock()
	delete(b.failed, a)
	b.mu.Unlock()
}
