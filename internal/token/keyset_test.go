package token_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/goleak"

	"github.com/sallyport-dev/sallyport/internal/token"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// REQ B-7: an unknown kid leads to a fetch, and many unknown ones to few.
func TestUnknownKidRefreshes(t *testing.T) {
	t.Parallel()
	now := time.Now()
	old, fresh := newSigner(t, "ES256", "old"), newSigner(t, "ES256", "new")
	p := newIDP(t, old.pub)
	v := verifier(t, p.keySet(t), token.Expectations{})
	if _, _, err := v.Verify(t.Context(), old.sign(t, claims(now, nil), nil), now); err != nil {
		t.Fatal(err)
	}
	p.serve(old.pub, fresh.pub)
	if _, _, err := v.Verify(t.Context(), fresh.sign(t, claims(now, nil), nil), now); err != nil {
		t.Errorf("a token of a new key: %v", err)
	}
	before := p.fetches.Load()
	for i := range 200 {
		tok := old.sign(t, claims(now, nil), map[jose.HeaderKey]any{"kid": fmt.Sprint("strange", i)})
		if _, _, err := v.Verify(t.Context(), tok, now); err == nil {
			t.Fatal("a token with a strange kid was accepted")
		}
	}
	if n := p.fetches.Load() - before; n > 1 {
		t.Errorf("200 strange kids led to %d fetches", n)
	}
}

// REQ B-7: the last good keys go on while the issuer fails; without any, it is not
// the token's fault.
func TestIssuerDown(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := newSigner(t, "ES256", "k1")
	many := make([]jose.JSONWebKey, 10_000)
	for i := range many {
		many[i] = s.pub
	}
	down := map[string]http.HandlerFunc{
		"500": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		"a web page": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, "<html>")
		},
		"no JSON": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") },
		"no keys": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"keys":[]}`) },
		"10,000 keys": func(w http.ResponseWriter, _ *http.Request) {
			_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: many})
		},
		"secrets only": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"keys":[{"kty":"oct","kid":"k1","k":"c2VjcmV0"}]}`)
		},
	}
	for name, answer := range down {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newIDP(t, s.pub)
			k := p.keySet(t)
			v := verifier(t, k, token.Expectations{})
			tok := s.sign(t, claims(now, nil), nil)
			if _, _, err := v.Verify(t.Context(), tok, now); err != nil {
				t.Fatal(err)
			}
			p.do(answer)
			_, _ = k.Find(t.Context(), "strange") // makes it fetch
			if _, _, err := v.Verify(t.Context(), tok, now); err != nil {
				t.Errorf("with the last good keys: %v", err)
			}

			p2 := newIDP(t)
			p2.do(answer)
			_, _, err := verifier(t, p2.keySet(t), token.Expectations{}).Verify(t.Context(), tok, now)
			if _, ok := errors.AsType[*token.Unavailable](err); !ok {
				t.Errorf("without any keys: got %v, want Unavailable", err)
			}
		})
	}
}

// REQ B-9: a pin that does not fit fails closed.
func TestPin(t *testing.T) {
	t.Parallel()
	s := newSigner(t, "ES256", "k1")
	body, _ := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{s.pub}})
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) })
	secure, plain := httptest.NewTLSServer(handler), httptest.NewServer(handler)
	t.Cleanup(secure.Close)
	t.Cleanup(plain.Close)
	right := sha256.Sum256(secure.Certificate().RawSubjectPublicKeyInfo)
	wrong := sha256.Sum256([]byte("another"))
	tests := []struct {
		name, pin string
		server    *httptest.Server
		ok        bool
	}{
		{"right", hex.EncodeToString(right[:]), secure, true},
		{"right, as tools write it", "SHA256:" + strings.ToUpper(hex.EncodeToString(right[:])), secure, true},
		{"wrong", hex.EncodeToString(wrong[:]), secure, false},
		{"without TLS", hex.EncodeToString(right[:]), plain, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			k, err := token.NewKeySet(token.KeySetConfig{
				Locate: func(context.Context) (string, error) { return tt.server.URL, nil },
				Client: tt.server.Client(), Pin: tt.pin, Log: slog.New(slog.DiscardHandler),
			})
			if err != nil {
				t.Fatal(err)
			}
			defer k.Close()
			keys, err := k.Find(t.Context(), "k1")
			if (len(keys) == 1) != tt.ok || (err == nil) != tt.ok {
				t.Errorf("got %d keys, %v", len(keys), err)
			}
		})
	}
	if _, err := token.NewKeySet(token.KeySetConfig{Pin: "abc"}); err == nil {
		t.Error("a pin that is no fingerprint was accepted")
	}
}

// The set is refreshed in the background, and a change is told.
func TestBackgroundRefresh(t *testing.T) {
	t.Parallel()
	first, second := newSigner(t, "ES256", "k1"), newSigner(t, "ES256", "k2")
	synctest.Test(t, func(t *testing.T) {
		answers := make(chan []jose.JSONWebKey, 3)
		answers <- []jose.JSONWebKey{first.pub}
		answers <- []jose.JSONWebKey{first.pub}
		answers <- []jose.JSONWebKey{second.pub}
		events := make(chan token.Event, 10)
		k, err := token.NewKeySet(token.KeySetConfig{
			Locate: func(context.Context) (string, error) { return "http://idp.invalid/keys", nil },
			Client: &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
				rec := httptest.NewRecorder()
				err := json.NewEncoder(rec).Encode(jose.JSONWebKeySet{Keys: <-answers})
				return rec.Result(), err
			})},
			Log: slog.New(slog.DiscardHandler), Seen: func(e token.Event) { events <- e },
		})
		if err != nil {
			t.Fatal(err)
		}
		defer k.Close()
		for _, want := range []token.Event{token.Refreshed, token.Refreshed, token.Changed} {
			if got := <-events; got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
		if k.Changes() != 2 {
			t.Errorf("%d changes, want 2: the first keys and the new one", k.Changes())
		}
	})
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestCache(t *testing.T) {
	t.Parallel()
	now := time.Now()
	c := token.NewCache[string](32)
	a := token.HashOf("a")
	c.Put(a, "alice", now.Add(time.Minute))
	if v, ok := c.Get(a, now); !ok || v != "alice" {
		t.Errorf("got %q, %v", v, ok)
	}
	if _, ok := c.Get(a, now.Add(time.Minute)); ok {
		t.Error("an expired entry was found")
	}
	for i := range 1000 {
		c.Put(token.HashOf(fmt.Sprint(i)), "x", now.Add(time.Minute))
	}
	found := 0
	for i := range 1000 {
		if _, ok := c.Get(token.HashOf(fmt.Sprint(i)), now); ok {
			found++
		}
	}
	if found == 0 || found > 32 {
		t.Errorf("%d of 1000 entries are there, want at most 32", found)
	}
	c.Clear()
	if _, ok := c.Get(token.HashOf("999"), now); ok {
		t.Error("an entry survived Clear")
	}
}

func BenchmarkCacheHit(b *testing.B) {
	c := token.NewCache[*int](1000)
	raw := strings.Repeat("a", 900)
	now := time.Now()
	c.Put(token.HashOf(raw), new(int), now.Add(time.Hour))
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := c.Get(token.HashOf(raw), now); !ok {
			b.Fatal()
		}
	}
}
