package sealed_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/seal"
	"github.com/sallyport-dev/sallyport/internal/store"
	"github.com/sallyport-dev/sallyport/internal/store/sealed"
)

func ring(t *testing.T, keys ...byte) *seal.Ring {
	t.Helper()
	var all [][]byte
	for _, k := range keys {
		all = append(all, bytes.Repeat([]byte{k}, seal.KeySize))
	}
	r, err := seal.NewRing(all...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestValuesAreSealed(t *testing.T) {
	t.Parallel()
	const canary = "canary-value"
	ctx, inner := t.Context(), store.NewMemory()
	s := sealed.New(inner, ring(t, 1))
	if err := s.Put(ctx, "a", []byte(canary), 0); err != nil {
		t.Fatal(err)
	}
	if ok, err := s.Add(ctx, "b", []byte(canary), time.Hour); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if ok, err := s.Swap(ctx, "b", []byte("other"), []byte("x"), 0); ok || err != nil {
		t.Errorf("swapped what was not there: %v, %v", ok, err)
	}
	if ok, err := s.Swap(ctx, "b", []byte(canary), []byte(canary+"2"), 0); !ok || err != nil {
		t.Errorf("not swapped: %v, %v", ok, err)
	}
	if ok, err := s.Swap(ctx, "none", nil, []byte("x"), 0); ok || err != nil {
		t.Errorf("swapped nothing: %v, %v", ok, err)
	}
	_ = inner.Scan(ctx, "", func(key string, value []byte) bool {
		if bytes.Contains(value, []byte("canary")) {
			t.Errorf("%s is kept as %q", key, value)
		}
		return true
	})
	rotated := sealed.New(inner, ring(t, 2, 1))
	if v, err := rotated.Take(ctx, "b"); err != nil || string(v) != canary+"2" {
		t.Errorf("after a rotation: %q, %v", v, err)
	}
	if _, err := sealed.New(inner, ring(t, 2)).Get(ctx, "a"); err == nil {
		t.Error("a key that was taken away opens")
	}
	raw, err := inner.Get(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	if err := inner.Put(ctx, "moved", raw, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(ctx, "moved"); err == nil {
		t.Error("a value opens under another key")
	}
	seen := map[string]string{}
	if err := s.Scan(ctx, "", func(key string, value []byte) bool { seen[key] = string(value); return true }); err != nil || len(seen) != 1 || seen["a"] != canary {
		t.Errorf("scan: %q, %v", seen, err)
	}
}

// REQ B-30: a store that cannot be asked is counted; what is not in it is not.
func TestFailuresAreCounted(t *testing.T) {
	t.Parallel()
	failures := 0
	r, err := store.NewRedis(store.RedisConfig{Addresses: []string{"127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	down := sealed.NewObserved(r, ring(t, 1), func() { failures++ })
	if _, err := down.Get(t.Context(), "a"); err == nil || failures != 1 {
		t.Errorf("%v, %d failures", err, failures)
	}
	if err := down.Put(t.Context(), "a", nil, 0); err == nil || failures != 2 {
		t.Errorf("%v, %d failures", err, failures)
	}
	failures = 0
	up := sealed.NewObserved(store.NewMemory(), ring(t, 1), func() { failures++ })
	if _, err := up.Get(t.Context(), "a"); !errors.Is(err, store.ErrNotFound) {
		t.Error(err)
	}
	if err := up.Put(t.Context(), "a", nil, -1); !errors.Is(err, store.ErrOver) || failures != 0 {
		t.Errorf("%v, %d failures", err, failures)
	}
}
