package token

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// KeySetConfig describes where an issuer's keys are.
type KeySetConfig struct {
	// Locate gives the key set's URL. It is asked before each fetch until it has
	// answered once, since discovery may fail at first (RFC 8414, OpenID Discovery).
	Locate func(context.Context) (string, error)

	Client *http.Client // decides which addresses may be dialled, and follows no redirect it should not
	Pin    string       // SHA-256 of a public key in the endpoint's certificate chain, hex; "" for none
	Idle   bool         // do not fetch before a token asks
	Log    *slog.Logger
	Seen   func(Event) // for metrics; may be nil
}

// Event is something that happened to a key set.
type Event string

// The events.
const (
	Refreshed Event = "refreshed" // fetched, nothing new
	Changed   Event = "changed"   // fetched, and the keys are others than before
	Failed    Event = "failed"    // not fetched; the last good keys go on
	Hit       Event = "hit"       // a key was found without a fetch
)

// Unavailable means that nothing can be said about a token, because its issuer
// cannot be asked. It is no fault of the caller's.
type Unavailable struct{ Cause error }

func (e *Unavailable) Error() string { return "the issuer cannot be asked: " + e.Cause.Error() }
func (e *Unavailable) Unwrap() error { return e.Cause }

const (
	refreshEvery = 10 * time.Minute
	retryFirst   = 2 * time.Second // after a fetch failed; doubled up to refreshEvery
	// unknownEvery bounds the fetches that tokens with unknown kids can cause.
	unknownEvery = 10 * time.Second
	fetchTimeout = 10 * time.Second
	maxSetBytes  = 1 << 20
	maxKeys      = 100
)

// KeySet holds the public keys of one issuer: fetched at once, refreshed in the
// background, asked again for a kid nobody has seen. When the issuer cannot be
// reached the last good keys go on. It is safe for use by many goroutines.
type KeySet struct {
	cfg  KeySetConfig
	pin  []byte
	stop context.CancelFunc
	done chan struct{} // closed when the keeper has ended
	wake chan struct{} // lets the keeper fetch for a token

	mu       sync.RWMutex
	keys     []jose.JSONWebKey
	digest   [sha256.Size]byte
	fetched  bool
	err      error         // of the last fetch
	leftOut  string        // of the last set that was fetched
	changes  uint64        // how often the keys changed
	fetching bool          // a fetch is under way
	ended    chan struct{} // closed when that fetch, or the next one, has ended
	askable  time.Time     // tokens cause no fetch before
}

// NewKeySet begins to fetch and keep keys. Close ends it.
func NewKeySet(cfg KeySetConfig) (*KeySet, error) {
	k := &KeySet{cfg: cfg, done: make(chan struct{}), wake: make(chan struct{}, 1), ended: make(chan struct{}), fetching: !cfg.Idle}
	if cfg.Pin != "" {
		pin, err := hex.DecodeString(strings.ReplaceAll(strings.TrimPrefix(strings.ToLower(cfg.Pin), "sha256:"), ":", ""))
		if err != nil || len(pin) != sha256.Size {
			return nil, errors.New("pin is not a SHA-256 fingerprint; write 64 hex digits")
		}
		k.pin = pin
	}
	ctx, stop := context.WithCancel(context.Background())
	k.stop = stop
	go k.keep(ctx)
	return k, nil
}

// Close ends the background refresh, and a fetch that is under way.
func (k *KeySet) Close() error {
	k.stop()
	<-k.done
	return nil
}

// Fetched says whether the keys were ever fetched. If not, the error says why, or is nil
// while the first fetch is under way.
func (k *KeySet) Fetched() (bool, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.fetched, k.err
}

// keep makes all fetches: one at once, then one every while, sooner after a failure
// or when a token asks.
func (k *KeySet) keep(ctx context.Context) {
	defer close(k.done)
	retry := retryFirst
	locate := locator(k.cfg.Locate)
	for idle := k.cfg.Idle; ; idle = false {
		wait := refreshEvery
		if !idle {
			if k.refresh(ctx, locate) != nil {
				wait = retry
				retry = min(2*retry, refreshEvery)
			} else {
				retry = retryFirst
			}
		}
		if !k.rest(ctx, wait) {
			return
		}
	}
}

// rest waits until it is time to fetch again; false when that is never.
func (k *KeySet) rest(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	asked := false
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-k.wake:
		asked = true
		k.mu.RLock()
		pause := time.Until(k.askable)
		k.mu.RUnlock()
		select {
		case <-ctx.Done():
			return false
		case <-time.After(pause):
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fetching = true
	select {
	case <-k.wake: // whoever asked since is served by the fetch that comes now
	default:
	}
	if asked {
		pause := unknownEvery
		if !k.fetched {
			pause = retryFirst // there is nothing to go by; but a failing issuer is not asked for every token
		}
		k.askable = time.Now().Add(pause)
	}
	return true
}

// Find returns the keys that may have signed a token with this kid; all of them
// for a token without one. A kid that is unknown leads to a fetch, at most one per
// unknownEvery, so that strangers cannot make the gateway hammer the issuer. The
// error is an *Unavailable.
func (k *KeySet) Find(ctx context.Context, kid string) ([]jose.JSONWebKey, error) {
	if found := k.look(kid); len(found) > 0 {
		k.seen(Hit)
		return found, nil
	}
	if err := k.Renew(ctx); err != nil {
		return nil, &Unavailable{Cause: err}
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	if !k.fetched {
		cause := k.err
		if cause == nil {
			cause = errors.New("its keys were not fetched yet")
		}
		return nil, &Unavailable{Cause: cause}
	}
	return k.lookLocked(kid), nil
}

// Renew asks for the keys of now, for a token that those at hand do not fit. When
// tokens asked a moment ago it does not wait: the fetch happens when the pause is
// over. The error is the context's.
func (k *KeySet) Renew(ctx context.Context) error {
	k.mu.Lock()
	if !k.fetching {
		select {
		case k.wake <- struct{}{}:
		default: // it knows already
		}
	}
	ended, soon := k.ended, k.fetching || !time.Now().Before(k.askable)
	k.mu.Unlock()
	if !soon {
		return nil
	}
	select {
	case <-ended:
	case <-k.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

func (k *KeySet) look(kid string) []jose.JSONWebKey {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.lookLocked(kid)
}

func (k *KeySet) lookLocked(kid string) (found []jose.JSONWebKey) {
	for _, key := range k.keys {
		if kid == "" || key.KeyID == kid {
			found = append(found, key)
		}
	}
	return found
}

// Changes counts how often the keys changed; whoever keeps results of
// verification forgets them when it does.
func (k *KeySet) Changes() uint64 {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.changes
}

// refresh fetches, and tells those who wait.
func (k *KeySet) refresh(ctx context.Context, locate func(context.Context) (string, error)) error {
	limited, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	keys, leftOut, err := k.fetch(limited, locate)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fetching = false
	close(k.ended)
	k.ended = make(chan struct{})
	if ctx.Err() == nil {
		k.took(keys, leftOut, err)
	}
	return err
}

// took notes what a fetch brought; mu is held.
func (k *KeySet) took(keys []jose.JSONWebKey, leftOut []string, err error) {
	k.err = err
	if err != nil {
		k.seen(Failed)
		k.cfg.Log.Warn("keys not fetched", "error", err, "keeping", len(k.keys))
		return
	}
	if now := strings.Join(leftOut, "; "); now != k.leftOut {
		k.leftOut = now
		if now != "" {
			k.cfg.Log.Warn("keys left out of the issuer's set", "which", now)
		}
	}
	sum := digestOf(keys)
	if k.fetched && sum == k.digest {
		k.seen(Refreshed)
		return
	}
	before, first := ids(k.keys), !k.fetched
	k.keys, k.digest, k.fetched = keys, sum, true
	k.changes++
	if first {
		k.askable = time.Time{} // waiting for the first keys is no unknown kid
		k.seen(Refreshed)
		k.cfg.Log.Info("keys fetched", "kids", ids(keys))
		return
	}
	k.seen(Changed)
	k.cfg.Log.Warn("the issuer's keys changed", "before", before, "now", ids(keys))
}

func (k *KeySet) seen(e Event) {
	if k.cfg.Seen != nil {
		k.cfg.Seen(e)
	}
}

func ids(keys []jose.JSONWebKey) []string {
	list := make([]string, len(keys))
	for i, key := range keys {
		list[i] = shorten(key.KeyID)
	}
	return list
}

// locator asks where the keys are until it has been told.
func locator(ask func(context.Context) (string, error)) func(context.Context) (string, error) {
	known := ""
	return func(ctx context.Context) (_ string, err error) {
		if known == "" {
			known, err = ask(ctx)
		}
		return known, err
	}
}
