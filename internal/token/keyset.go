package token

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"slices"
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

// Unavailable means that nothing can be said about a token, because the issuer's
// keys were never had. It is no fault of the caller's.
type Unavailable struct{ Cause error }

func (e *Unavailable) Error() string {
	return "the issuer's keys are not available: " + e.Cause.Error()
}
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
	done chan struct{}

	mu       sync.RWMutex
	url      string
	keys     []jose.JSONWebKey
	digest   [sha256.Size]byte
	fetched  bool
	err      error         // of the last fetch
	lastAsk  time.Time     // when a token last led to a fetch
	inFlight chan struct{} // closed when the fetch under way has ended; nil when none is
	changes  uint64        // how often the keys changed
}

// NewKeySet begins to fetch and keep keys. Close ends it.
func NewKeySet(cfg KeySetConfig) (*KeySet, error) {
	k := &KeySet{cfg: cfg, done: make(chan struct{})}
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

// Close ends the background refresh.
func (k *KeySet) Close() error {
	k.stop()
	<-k.done
	return nil
}

// keep fetches at once, and again all the time: soon after a failure.
func (k *KeySet) keep(ctx context.Context) {
	defer close(k.done)
	retry := retryFirst
	for {
		wait := refreshEvery
		if k.refresh(ctx) != nil {
			wait = min(retry, refreshEvery)
			retry *= 2
		} else {
			retry = retryFirst
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// Find returns the keys that may have signed a token with this kid; all of them
// for a token without one. A kid that is unknown leads to a fetch, at most one per
// unknownEvery, so that strangers cannot make the gateway hammer the issuer.
func (k *KeySet) Find(ctx context.Context, kid string) ([]jose.JSONWebKey, error) {
	keys, fetched, ask := k.look(kid)
	if len(keys) > 0 {
		k.seen(Hit)
		return keys, nil
	}
	if ask {
		_ = k.refresh(ctx) // what it brought is looked at below; why it failed is in k.err
		keys, fetched, _ = k.look(kid)
	}
	if !fetched {
		k.mu.RLock()
		defer k.mu.RUnlock()
		return nil, &Unavailable{Cause: k.err}
	}
	return keys, nil
}

// look looks among the keys at hand, and says whether a fetch is due.
func (k *KeySet) look(kid string) (found []jose.JSONWebKey, fetched, ask bool) {
	k.mu.RLock()
	for _, key := range k.keys {
		if kid == "" || key.KeyID == kid {
			found = append(found, key)
		}
	}
	fetched = k.fetched
	k.mu.RUnlock()
	if len(found) > 0 {
		return found, fetched, false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	pause := unknownEvery
	if !k.fetched {
		pause = retryFirst // there is nothing to go by; but a failing issuer is not asked for every token
	}
	switch {
	case k.inFlight != nil:
		return nil, fetched, true // somebody asks already; wait for that
	case time.Since(k.lastAsk) < pause:
		return nil, fetched, false
	}
	k.lastAsk = time.Now()
	return nil, fetched, true
}

// Changes counts how often the keys changed; whoever keeps results of
// verification forgets them when it does.
func (k *KeySet) Changes() uint64 {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.changes
}

// refresh fetches, or waits for the fetch that is under way.
func (k *KeySet) refresh(ctx context.Context) error {
	k.mu.Lock()
	if wait := k.inFlight; wait != nil {
		k.mu.Unlock()
		select {
		case <-wait:
			k.mu.RLock()
			defer k.mu.RUnlock()
			return k.err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	done := make(chan struct{})
	k.inFlight = done
	k.mu.Unlock()

	// The fetch serves everybody who waits, so the first caller's leaving ends it not.
	fetchCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
	defer cancel()
	body, err := k.fetch(fetchCtx)
	var keys []jose.JSONWebKey
	if err == nil {
		keys, err = parseKeys(body)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.inFlight = nil
	close(done)
	k.took(body, keys, err)
	return err
}

// took notes what a fetch brought; mu is held.
func (k *KeySet) took(body []byte, keys []jose.JSONWebKey, err error) {
	k.err = err
	if err != nil {
		k.seen(Failed)
		k.cfg.Log.Warn("keys not fetched", "error", err, "keeping", len(k.keys))
		return
	}
	sum := sha256.Sum256(body)
	if k.fetched && sum == k.digest {
		k.seen(Refreshed)
		return
	}
	before := ids(k.keys)
	first := !k.fetched
	k.keys, k.digest, k.fetched = keys, sum, true
	k.changes++
	if first {
		k.lastAsk = time.Time{} // waiting for the first keys is no unknown kid
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

// fetch gets the key set's bytes.
func (k *KeySet) fetch(ctx context.Context) ([]byte, error) {
	url, err := k.locate(ctx)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, errors.New("the key set's URL cannot be used")
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := k.cfg.Client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("fetch keys: %w", err)
	}
	defer resp.Body.Close()
	if err := k.pinned(resp.TLS); err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetch keys: the endpoint answered %d", resp.StatusCode)
	}
	if t, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); t == "text/html" {
		return nil, errors.New("fetch keys: the endpoint answered a web page; is jwksUrl right?")
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxSetBytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("fetch keys: %w", err)
	case len(body) > maxSetBytes:
		return nil, fmt.Errorf("fetch keys: the answer has more than %d bytes", maxSetBytes)
	}
	return body, nil
}

func (k *KeySet) locate(ctx context.Context) (string, error) {
	k.mu.RLock()
	url := k.url
	k.mu.RUnlock()
	if url != "" {
		return url, nil
	}
	url, err := k.cfg.Locate(ctx)
	if err != nil {
		return "", err
	}
	k.mu.Lock()
	k.url = url
	k.mu.Unlock()
	return url, nil
}

// pinned checks that the pinned public key is in the chain that was verified
// (RFC 7469 §2.4 calls it SPKI). Without TLS there is nothing to pin: it fails.
func (k *KeySet) pinned(state *tls.ConnectionState) error {
	if k.pin == nil {
		return nil
	}
	if state == nil {
		return errors.New("fetch keys: a pinned endpoint must be https")
	}
	for _, chain := range state.VerifiedChains {
		if slices.ContainsFunc(chain, func(c *x509.Certificate) bool {
			sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
			return slices.Equal(sum[:], k.pin)
		}) {
			return nil
		}
	}
	return errors.New("fetch keys: the endpoint's certificate does not have the pinned key (jwksCertFingerprint)")
}

// parseKeys reads a key set and keeps what can verify signatures. A key of an
// unknown kind is left out (RFC 7517 §5); too many keys are no key set.
func parseKeys(body []byte) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, errors.New("fetch keys: the answer is no JSON Web Key Set")
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("fetch keys: the set has %d keys, more than %d", len(set.Keys), maxKeys)
	}
	var keys []jose.JSONWebKey
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		if key.UnmarshalJSON(raw) != nil || !key.Valid() {
			continue
		}
		if key.Use != "" && key.Use != "sig" {
			continue
		}
		if key = key.Public(); key.Valid() { // a symmetric key has no public part
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("fetch keys: the set has no key that verifies signatures")
	}
	return keys, nil
}
