package accounts_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/accounts"
	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/seal"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/store"
	"github.com/sallyport-dev/sallyport/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// provider rotates refresh tokens. A strict one ends a grant when a refresh token
// comes twice (RFC 9700 §4.14.2); a lenient one takes the old token until the new one
// has been used.
type provider struct {
	life    time.Duration // of access tokens
	lenient bool
	prefix  string // of every token

	mu      sync.Mutex
	n       int
	grants  map[string]*grant // by every refresh token that was issued
	fails   error
	hangs   chan struct{} // answers wait for it to be closed
	asked   int
	reused  int
	revoked []string
}

type grant struct {
	refresh, before string
	ended           bool
}

func newProvider(life time.Duration) *provider {
	return &provider{life: life, grants: map[string]*grant{}}
}

// signIn is what the provider issues when a person comes back from it.
func (p *provider) signIn() *oauth.Tokens {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.issue(&grant{})
}

func (p *provider) issue(g *grant) *oauth.Tokens {
	p.n++
	g.before, g.refresh = g.refresh, fmt.Sprintf("%srefresh-%d", p.prefix, p.n)
	p.grants[g.refresh] = g
	return &oauth.Tokens{
		Access: secret.New(fmt.Sprintf("%saccess-%d", p.prefix, p.n)), Refresh: secret.New(g.refresh), Type: "Bearer",
		Expires: time.Now().Add(p.life), Scopes: []string{"repo"},
	}
}

var errDown = errors.New("the provider is down")

func (p *provider) refresh(ctx context.Context, _ string, refresh secret.Value) (*oauth.Tokens, error) {
	p.mu.Lock()
	p.asked++
	hangs := p.hangs
	p.mu.Unlock()
	if hangs != nil {
		select {
		case <-hangs:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fails != nil {
		return nil, p.fails
	}
	g := p.grants[refresh.Reveal()]
	if g == nil || g.ended {
		return nil, fmt.Errorf("provider: %w", &oauth.Error{Code: oauth.CodeInvalidGrant, Status: 400})
	}
	if refresh.Reveal() != g.refresh {
		if !p.lenient || refresh.Reveal() != g.before {
			p.reused++
			g.ended = true
			return nil, &oauth.Error{Code: oauth.CodeInvalidGrant, Description: "used before", Status: 400}
		}
	}
	return p.issue(g), nil
}

func (p *provider) revoke(_ context.Context, _ string, t *oauth.Tokens) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.revoked = append(p.revoked, t.Refresh.Reveal())
	if g := p.grants[t.Refresh.Reveal()]; g != nil {
		g.ended = true
	}
	return nil
}

// set changes the provider while it is in use.
func (p *provider) set(change func(p *provider)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
}

func (p *provider) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

// shakyStore fails when it is told to.
type shakyStore struct {
	store.Store
	mu    sync.Mutex
	fails func(op, key string) bool
}

var errStore = errors.New("the store is down")

func (s *shakyStore) set(fails func(op, key string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails = fails
}

func (s *shakyStore) down(op, key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fails != nil && s.fails(op, key)
}

func (s *shakyStore) Get(ctx context.Context, key string) ([]byte, error) {
	if s.down("get", key) {
		return nil, errStore
	}
	return s.Store.Get(ctx, key)
}

func (s *shakyStore) Put(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if s.down("put", key) {
		return errStore
	}
	return s.Store.Put(ctx, key, value, ttl)
}

func (s *shakyStore) Add(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
	if s.down("add", key) {
		return false, errStore
	}
	return s.Store.Add(ctx, key, value, ttl)
}

func (s *shakyStore) Swap(ctx context.Context, key string, old, value []byte, ttl time.Duration) (bool, error) {
	if s.down("swap", key) {
		return false, errStore
	}
	return s.Store.Swap(ctx, key, old, value, ttl)
}

func (s *shakyStore) Delete(ctx context.Context, key string) error {
	if s.down("delete", key) {
		return errStore
	}
	return s.Store.Delete(ctx, key)
}

func always(string, string) bool { return true }

// world is a store, a provider, and what replicas logged.
type world struct {
	store    *shakyStore
	ring     *seal.Ring
	provider *provider
	log      *testkit.Output
	mu       sync.Mutex
	seen     map[string]int
}

func newWorld(t testing.TB, s store.Store, p *provider) *world {
	t.Helper()
	ring, err := seal.NewRing(bytes.Repeat([]byte{7}, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return &world{store: &shakyStore{Store: s}, ring: ring, provider: p, log: &testkit.Output{}, seen: map[string]int{}}
}

const issuer = "https://gateway.example.com"

// replica is one more process with the same store. Close it at the end of the test.
func (w *world) replica(change ...func(*accounts.Config)) *accounts.Book {
	cfg := accounts.Config{
		Store: w.store, Ring: w.ring, Issuer: issuer, Refresh: w.provider.refresh, Revoke: w.provider.revoke,
		Log: w.logger(),
		Seen: func(provider, result string) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.seen[provider+" "+result]++
		},
	}
	for _, c := range change {
		c(&cfg)
	}
	return accounts.New(cfg)
}

func (w *world) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func (w *world) count(seen string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen[seen]
}

func link(t testing.TB, b *accounts.Book, person, provider string, tokens *oauth.Tokens) {
	t.Helper()
	if err := b.Link(t.Context(), person, provider, accounts.Who{Subject: "sub-" + person, Name: person}, tokens); err != nil {
		t.Fatal(err)
	}
}

func wantToken(t testing.TB, b *accounts.Book, person, provider, want string) {
	t.Helper()
	got, err := b.Token(t.Context(), person, provider)
	if err != nil || got.Access.Reveal() != want {
		t.Errorf("the token of %s at %s: %q, %v; want %q", person, provider, reveal(got), err, want)
	}
}

func reveal(t *oauth.Tokens) string {
	if t == nil {
		return ""
	}
	return t.Access.Reveal()
}

func wantNotLinked(t testing.TB, err error, ended bool) {
	t.Helper()
	if n, ok := errors.AsType[*accounts.NotLinked](err); !ok || n.Ended != ended {
		t.Errorf("the error is %v, want NotLinked with Ended %v", err, ended)
	}
}

func wantUnavailable(t testing.TB, err error) {
	t.Helper()
	if u, ok := errors.AsType[*accounts.Unavailable](err); !ok || u.Provider == "" {
		t.Errorf("the error is %v, want Unavailable", err)
	}
}

// pass lets time go by, which in a bubble of synctest takes none.
func pass(d time.Duration) { <-time.After(d) }
