package authn

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/keep"
	"github.com/sallyport-dev/sallyport/internal/netguard"
)

// ALBKeys fetches the keys of a region's load balancers by their id. Anybody can name an id,
// so strange ones are bounded: they cost few fetches, and those who have a key
// that has proved itself never wait for them.
type ALBKeys struct {
	client *http.Client
	url    string

	fetches keep.Flights[string, albTry]
	tried   *keep.Cache[albTry] // keys that have verified nothing yet

	mu     sync.Mutex
	good   map[string]*ecdsa.PublicKey // have verified an assertion; a key never changes under its id
	window time.Time                   // when fetches were last counted from
	count  int                         // of fetches since
}

// albTry is what came of a fetch.
type albTry struct {
	key *ecdsa.PublicKey
	err error
}

const (
	albTriedFor = 10 * time.Second // what became of a fetch is not asked again at once
	albFetches  = 10               // within albTriedFor, so that there are as many tries at most
	albMaxGood  = 64
	albTimeout  = 5 * time.Second
	albKeyBytes = 16 << 10
)

// isALBKeyID reports whether an id is one of a key, and nothing else in a URL.
func isALBKeyID(kid string) bool {
	return len(kid) > 0 && len(kid) <= 64 && !strings.ContainsFunc(kid, func(c rune) bool {
		return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-')
	})
}

// NewALBKeys fetches from the region's key endpoint, which is without the key's id:
// [ALBKeysURL]. The client decides which addresses may be dialled.
func NewALBKeys(client *http.Client, url string) *ALBKeys {
	return &ALBKeys{
		client: client, url: strings.TrimRight(url, "/") + "/",
		good: map[string]*ecdsa.PublicKey{}, tried: keep.NewCache[albTry](16 * albFetches),
	}
}

// Close does nothing: no fetch is under way for longer than albTimeout.
func (*ALBKeys) Close() error { return nil }

// proved keeps a key that has verified an assertion.
func (a *ALBKeys) proved(kid string, key *ecdsa.PublicKey) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.good[kid] == nil && len(a.good) >= albMaxGood {
		clear(a.good) // years of rotation
	}
	a.good[kid] = key
}

// find is the public key of an id; nil when there is none.
func (a *ALBKeys) find(ctx context.Context, kid string, now time.Time) (*ecdsa.PublicKey, error) {
	a.mu.Lock()
	key := a.good[kid]
	a.mu.Unlock()
	if key != nil {
		return key, nil
	}
	hash := keep.HashOf(kid)
	if t, ok := a.tried.Get(hash, now); ok {
		return t.key, t.err
	}
	t, err := a.fetches.Do(ctx, kid, albTimeout, func(ctx context.Context) (t albTry, _ error) {
		if !a.mayFetch(now) {
			return t, errors.New("too many keys of load balancers are being asked for")
		}
		t.key, t.err = a.fetch(ctx, kid)
		a.tried.Put(hash, t, now.Add(albTriedFor))
		return t, nil
	})
	if err != nil {
		return nil, err
	}
	return t.key, t.err
}

// mayFetch counts a fetch, if there have not been too many.
func (a *ALBKeys) mayFetch(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now.Sub(a.window) >= albTriedFor {
		a.window, a.count = now, 0
	}
	a.count++
	return a.count <= albFetches
}

func (a *ALBKeys) fetch(ctx context.Context, kid string) (*ecdsa.PublicKey, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.url+kid, nil)
	if err != nil {
		return nil, errors.New("the URL of the load balancer's keys cannot be used")
	}
	answer, err := netguard.Fetch(a.client, req, albKeyBytes)
	if refused, ok := errors.AsType[*netguard.StatusError](err); ok && (refused.Status == http.StatusNotFound || refused.Status == http.StatusForbidden) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(answer.Body)
	if block == nil {
		return nil, errors.New("what is at the URL of the load balancer's keys is no PEM")
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read the load balancer's key: %w", err)
	}
	key, ok := parsed.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("the load balancer's key is none for ES256")
	}
	return key, nil
}
