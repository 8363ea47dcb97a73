package token_test

import (
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/sallyport-dev/sallyport/internal/testkit"
	"github.com/sallyport-dev/sallyport/internal/testkit/leaks"
	"github.com/sallyport-dev/sallyport/internal/token"
)

func TestMain(m *testing.M) { leaks.Main(m) }

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

// Keys that do not fit are asked for again, since an issuer may give a new key the
// old kid, or none.
func TestNewKeyUnderTheOldKid(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for _, kid := range []string{"k1", ""} {
		t.Run("kid "+kid, func(t *testing.T) {
			t.Parallel()
			old, fresh := newSigner(t, "ES256", kid), newSigner(t, "ES256", kid)
			p := newIDP(t, old.pub)
			v := verifier(t, p.keySet(t), token.Expectations{})
			if _, _, err := v.Verify(t.Context(), old.sign(t, claims(now, nil), nil), now); err != nil {
				t.Fatal(err)
			}
			p.serve(fresh.pub)
			if _, _, err := v.Verify(t.Context(), fresh.sign(t, claims(now, nil), nil), now); err != nil {
				t.Errorf("a token of the new key: %v", err)
			}
			before := p.fetches.Load()
			for range 50 {
				if _, _, err := v.Verify(t.Context(), old.sign(t, claims(now, nil), nil), now); err == nil {
					t.Fatal("a token of the old key was accepted")
				}
			}
			if n := p.fetches.Load() - before; n > 1 {
				t.Errorf("50 tokens that do not fit led to %d fetches", n)
			}
		})
	}
}

// Sets that differ in order and layout alone are the same, or every refresh would
// empty the caches.
func TestSameKeysInAnotherOrder(t *testing.T) {
	t.Parallel()
	a, b := newSigner(t, "ES256", "a"), newSigner(t, "RS256", "b")
	p := newIDP(t, a.pub, b.pub)
	k := p.keySet(t)
	if _, err := k.Find(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	p.do(func(w http.ResponseWriter, _ *http.Request) {
		body, _ := json.MarshalIndent(map[string]any{"generated": time.Now(), "keys": []any{b.pub, a.pub}}, "", "\t")
		_, _ = w.Write(body)
	})
	before := p.fetches.Load()
	if keys, err := k.Find(t.Context(), "strange"); err != nil || len(keys) != 0 {
		t.Fatalf("got %v, %v", keys, err)
	}
	if p.fetches.Load() == before || k.Changes() != 1 {
		t.Errorf("%d changes, want 1: the first keys", k.Changes())
	}
}

// Keys that are too weak, or so large that verifying is an attack, verify nothing (RFC 7518 §3.3).
func TestKeySizes(t *testing.T) {
	t.Parallel()
	good := newSigner(t, "RS256", "good")
	p := newIDP(t, good.pub, rsaKey("weak", 1024), rsaKey("huge", 16384))
	k := p.keySet(t)
	for kid, want := range map[string]int{"good": 1, "weak": 0, "huge": 0} {
		if keys, err := k.Find(t.Context(), kid); err != nil || len(keys) != want {
			t.Errorf("%s: got %d keys, %v; want %d", kid, len(keys), err, want)
		}
	}
}

func rsaKey(kid string, bits int) jose.JSONWebKey {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	return jose.JSONWebKey{Key: &rsa.PublicKey{N: n.SetBit(n, 0, 1), E: 65537}, KeyID: kid, Use: "sig"}
}

// An issuer that hangs holds up neither the tokens of known keys, nor those who
// leave, nor the end of the process.
func TestIssuerHangs(t *testing.T) {
	t.Parallel()
	s := newSigner(t, "ES256", "k1")
	p := newIDP(t, s.pub)
	k := p.keySet(t)
	if _, err := k.Find(t.Context(), "k1"); err != nil {
		t.Fatal(err)
	}
	asked := make(chan struct{})
	p.do(func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	})
	stranger := make(chan error, 1)
	ctx, leave := context.WithCancel(t.Context())
	go func() {
		_, err := k.Find(ctx, "strange")
		stranger <- err
	}()
	<-asked
	if keys, err := k.Find(t.Context(), "k1"); err != nil || len(keys) != 1 {
		t.Errorf("a known key: %d keys, %v", len(keys), err)
	}
	leave()
	if _, ok := errors.AsType[*token.Unavailable](<-stranger); !ok {
		t.Error("who left while the issuer hung learned something of the token")
	}
	began := time.Now()
	_ = k.Close()
	if took := time.Since(began); took > testkit.Patience/3 {
		t.Errorf("closing took %s", took)
	}
}

// Before the first keys are there, who leaves gets an error that can be printed.
func TestLeftBeforeTheFirstKeys(t *testing.T) {
	t.Parallel()
	p := newIDP(t)
	p.do(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, leave := context.WithCancel(t.Context())
	leave()
	_, err := p.keySet(t).Find(ctx, "k1")
	if err == nil || err.Error() == "" {
		t.Errorf("got %v", err)
	}
}

// REQ B-7: a kid that comes during the pause is looked for when the pause ends,
// asked again or not: within ten seconds.
func TestUnknownKidDuringThePause(t *testing.T) {
	t.Parallel()
	first, second := newSigner(t, "ES256", "k1"), newSigner(t, "ES256", "k2")
	synctest.Test(t, func(t *testing.T) {
		var now atomic.Pointer[[]jose.JSONWebKey]
		now.Store(&[]jose.JSONWebKey{first.pub})
		k, err := token.NewKeySet(token.KeySetConfig{
			Locate: func(context.Context) (string, error) { return "http://idp.invalid/keys", nil },
			Client: &http.Client{Transport: transport(func(*http.Request) (*http.Response, error) {
				rec := httptest.NewRecorder()
				err := json.NewEncoder(rec).Encode(jose.JSONWebKeySet{Keys: *now.Load()})
				return rec.Result(), err
			})},
			Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		defer k.Close()
		if keys, err := k.Find(t.Context(), "strange"); err != nil || len(keys) != 0 {
			t.Fatalf("got %v, %v", keys, err)
		}
		if keys, err := k.Find(t.Context(), "strange"); err != nil || len(keys) != 0 { // begins the pause
			t.Fatalf("got %v, %v", keys, err)
		}
		now.Store(&[]jose.JSONWebKey{first.pub, second.pub})
		began := time.Now()
		if keys, err := k.Find(t.Context(), "k2"); err != nil || len(keys) != 0 || time.Since(began) != 0 {
			t.Fatalf("during the pause: got %v, %v after %s", keys, err, time.Since(began))
		}
		<-time.After(10 * time.Second)
		synctest.Wait()
		if k.Changes() != 2 {
			t.Error("ten seconds after an unknown kid the keys were not fetched")
		}
	})
}

// Without a token nothing is fetched for a mere check of the configuration.
func TestIdle(t *testing.T) {
	t.Parallel()
	s := newSigner(t, "ES256", "k1")
	p := newIDP(t, s.pub)
	k, err := token.NewKeySet(token.KeySetConfig{
		Locate: func(context.Context) (string, error) { return p.server.URL, nil },
		Client: p.server.Client(), Idle: true, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	if n := p.fetches.Load(); n != 0 {
		t.Errorf("%d fetches before anybody asked", n)
	}
	if keys, err := k.Find(t.Context(), "k1"); err != nil || len(keys) != 1 {
		t.Errorf("got %d keys, %v", len(keys), err)
	}
}

// What an error says of the address leaves the query out: some have a key there.
// FINDING 2.5
// REQ G-8: a member that informs only decides nothing, one bad key leaves the others,
// and the log says once what was left out.
func TestKeysAsIssuersWriteThem(t *testing.T) {
	t.Parallel()
	now := time.Now()
	rs, es := newSigner(t, "RS256", "r"), newSigner(t, "ES256", "e")
	members := func(s signer, change map[string]any) map[string]any {
		text, err := s.pub.MarshalJSON()
		m := map[string]any{}
		if err != nil || json.Unmarshal(text, &m) != nil {
			t.Fatal(err)
		}
		for name, value := range change {
			m[name] = value
		}
		return m
	}
	modulus := base64.StdEncoding.EncodeToString(rs.pub.Key.(*rsa.PublicKey).N.Bytes()) // padded, of the other alphabet
	set := func(more ...any) []byte {
		text, err := json.Marshal(map[string]any{"keys": append([]any{
			members(rs, map[string]any{"x5t": "Zm9yZWlnbg==", "x5c": []string{"MIIB"}, "n": modulus, "e": "AQAB", "use": nil, "key_ops": "verify"}),
			members(es, map[string]any{"x5t#S256": 5, "x5u": []int{1}, "alg": nil}),
		}, more...)})
		if err != nil {
			t.Fatal(err)
		}
		return append([]byte("\ufeff"), text...)
	}
	p := newIDP(t)
	bad := set(nil, 5, map[string]any{"kty": "oct", "kid": "shared", "k": "c2VjcmV0"}, map[string]any{"kty": "EC", "kid": "odd", "crv": "P-256", "x": "AA", "y": "AA"},
		map[string]any{"kty": "RSA", "kid": "theirs", "use": "enc"})
	p.do(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(bad) })
	log := &testkit.Output{}
	k, err := token.NewKeySet(token.KeySetConfig{
		Locate: func(context.Context) (string, error) { return p.server.URL, nil }, Client: p.server.Client(), Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	v := verifier(t, k, token.Expectations{})
	for _, s := range []signer{rs, es} {
		if _, _, err := v.Verify(t.Context(), s.sign(t, claims(now, nil), nil), now); err != nil {
			t.Errorf("%s: %v", s.alg, err)
		}
	}
	_, _ = k.Find(t.Context(), "strange") // makes it fetch
	text := log.String()
	for _, want := range []string{`\"shared\"`, `\"odd\"`, `\"theirs\"`, "left out"} {
		if strings.Count(text, want) != 1 {
			t.Errorf("the log names %s %d times, want once:\n%s", want, strings.Count(text, want), text)
		}
	}
}

func TestErrorsWithoutQuery(t *testing.T) {
	t.Parallel()
	var logged strings.Builder
	failed := make(chan struct{}, 1)
	k, err := token.NewKeySet(token.KeySetConfig{
		Locate: func(context.Context) (string, error) { return "http://127.0.0.1:1/keys?key=canary", nil },
		Client: &http.Client{}, Log: slog.New(slog.NewTextHandler(&logged, nil)),
		Seen: func(token.Event) { failed <- struct{}{} },
	})
	if err != nil {
		t.Fatal(err)
	}
	<-failed
	_ = k.Close()
	if text := logged.String(); strings.Contains(text, "canary") || !strings.Contains(text, "http://127.0.0.1:1/keys") {
		t.Errorf("the log has: %s", text)
	}
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
