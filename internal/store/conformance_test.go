package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/store"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	testStore(t, func(*testing.T) store.Store { return store.NewMemory() })
}

// testStore is what every store must do.
func testStore(t *testing.T, open func(t *testing.T) store.Store) {
	for name, test := range map[string]func(*testing.T, store.Store){
		"values": testValues, "once": testOnce, "swap": testSwap, "expiry": testExpiry, "scan": testScan, "limits": testLimits, "own": testOwnCopies,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			t.Cleanup(func() { _ = s.Close() })
			test(t, s)
		})
	}
}

func want(t *testing.T, s store.Store, key, value string) {
	t.Helper()
	got, err := s.Get(t.Context(), key)
	switch {
	case value == "" && !errors.Is(err, store.ErrNotFound):
		t.Errorf("%s is %q, %v; want nothing", key, got, err)
	case value != "" && (err != nil || string(got) != value):
		t.Errorf("%s is %q, %v; want %q", key, got, err, value)
	}
}

func testValues(t *testing.T, s store.Store) {
	ctx := t.Context()
	want(t, s, "a", "")
	for _, v := range []string{"1", "2", "with \x00 and \xff"} {
		if err := s.Put(ctx, "a", []byte(v), 0); err != nil {
			t.Fatal(err)
		}
		want(t, s, "a", v)
	}
	if ok, err := s.Add(ctx, "a", []byte("3"), 0); ok || err != nil {
		t.Errorf("added over a value: %v, %v", ok, err)
	}
	if err := s.Delete(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	want(t, s, "a", "")
	if err := s.Delete(ctx, "a"); err != nil {
		t.Errorf("deleting nothing: %v", err)
	}
	if ok, err := s.Add(ctx, "a", []byte("4"), time.Hour); !ok || err != nil {
		t.Errorf("not added: %v, %v", ok, err)
	}
	want(t, s, "a", "4")
}

func testOnce(t *testing.T, s store.Store) {
	var got, added atomic.Int32
	for round := range 20 {
		key := fmt.Sprint("once-", round)
		if err := s.Put(t.Context(), key, []byte("x"), time.Minute); err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if _, err := s.Take(context.Background(), key); err == nil {
					got.Add(1)
				} else if !errors.Is(err, store.ErrNotFound) {
					t.Error(err)
				}
				if ok, err := s.Add(context.Background(), key+"-new", []byte("y"), time.Minute); err != nil {
					t.Error(err)
				} else if ok {
					added.Add(1)
				}
			})
		}
		all.Wait()
	}
	if got.Load() != 20 || added.Load() != 20 {
		t.Errorf("of 20 values %d were taken, of 20 keys %d were added", got.Load(), added.Load())
	}
}

func testSwap(t *testing.T, s store.Store) {
	ctx := t.Context()
	if ok, err := s.Swap(ctx, "n", nil, []byte("1"), 0); ok || err != nil {
		t.Errorf("swapped nothing: %v, %v", ok, err)
	}
	if err := s.Put(ctx, "n", []byte{0}, 0); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for done := 0; done < 5; {
				old, err := s.Get(context.Background(), "n")
				if err != nil {
					t.Error(err)
					return
				}
				ok, err := s.Swap(context.Background(), "n", old, []byte{old[0] + 1}, time.Hour)
				if err != nil {
					t.Error(err)
					return
				}
				if ok {
					done++
				}
			}
		})
	}
	all.Wait()
	want(t, s, "n", "\x28") // 40: none was lost
}

func testExpiry(t *testing.T, s store.Store) {
	ctx := t.Context()
	if err := s.Put(ctx, "short", []byte("x"), 50*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	for {
		_, err := s.Get(ctx, "short")
		if errors.Is(err, store.ErrNotFound) {
			break
		}
		if err != nil || ctx.Err() != nil {
			t.Fatal(err, ctx.Err())
		}
	}
	if _, err := s.Take(ctx, "short"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an expired value was taken: %v", err)
	}
	if ok, err := s.Swap(ctx, "short", []byte("x"), []byte("y"), 0); ok || err != nil {
		t.Errorf("an expired value was swapped: %v, %v", ok, err)
	}
	if ok, err := s.Add(ctx, "short", []byte("z"), 0); !ok || err != nil {
		t.Errorf("an expired value was in the way: %v, %v", ok, err)
	}
	want(t, s, "short", "z")
	// A time that was over before the write is not no time at all.
	if err := s.Put(ctx, "late", []byte("x"), -time.Second); !errors.Is(err, store.ErrOver) {
		t.Errorf("written too late: %v", err)
	}
	if ok, err := s.Add(ctx, "late", []byte("x"), -1); ok || !errors.Is(err, store.ErrOver) {
		t.Errorf("added too late: %v, %v", ok, err)
	}
	if ok, err := s.Swap(ctx, "short", []byte("z"), []byte("x"), -1); ok || !errors.Is(err, store.ErrOver) {
		t.Errorf("swapped too late: %v, %v", ok, err)
	}
	if _, err := s.Get(ctx, "late"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("what was written too late is there: %v", err)
	}
	want(t, s, "short", "z")
}

func testScan(t *testing.T, s store.Store) {
	ctx := t.Context()
	for i := range 300 {
		if err := s.Put(ctx, fmt.Sprintf("p/%03d", i), []byte(fmt.Sprint(i)), time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"p", "q/1", "p*", "p[0-9]/1"} {
		if err := s.Put(ctx, key, []byte("other"), 0); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]string{}
	if err := s.Scan(ctx, "p/", func(key string, value []byte) bool { seen[key] = string(value); return true }); err != nil {
		t.Fatal(err)
	}
	if len(seen) != 300 || seen["p/007"] != "7" {
		t.Errorf("saw %d keys, p/007 is %q", len(seen), seen["p/007"])
	}
	n := 0
	if err := s.Scan(ctx, "p/", func(string, []byte) bool { n++; return n < 3 }); err != nil || n != 3 {
		t.Errorf("stopped after %d, %v", n, err)
	}
	n = 0
	if err := s.Scan(ctx, "p[0-9]/", func(string, []byte) bool { n++; return true }); err != nil || n != 1 {
		t.Errorf("a prefix with special characters found %d, %v", n, err)
	}
}

func testLimits(t *testing.T, s store.Store) {
	ctx := t.Context()
	long, large := string(bytes.Repeat([]byte("k"), store.MaxKey+1)), make([]byte, store.MaxValue+1)
	if err := s.Put(ctx, long, nil, 0); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("a long key: %v", err)
	}
	if _, err := s.Add(ctx, "k", large, 0); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("a large value: %v", err)
	}
	if err := s.Put(ctx, long[1:], large[1:], 0); err != nil {
		t.Errorf("the largest: %v", err)
	}
}

func testOwnCopies(t *testing.T, s store.Store) {
	v := []byte("abc")
	if err := s.Put(t.Context(), "k", v, 0); err != nil {
		t.Fatal(err)
	}
	v[0] = 'X'
	got, err := s.Get(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	got[1] = 'X'
	want(t, s, "k", "abc")
}
