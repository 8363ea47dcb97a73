package revoked_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-dev/sallyport/internal/authserver/revoked"
	"github.com/sallyport-dev/sallyport/internal/store"
)

// away is a store that can be away.
type away struct {
	store.Store
	away  atomic.Bool
	reads atomic.Int64
}

func (a *away) Get(ctx context.Context, key string) ([]byte, error) {
	a.reads.Add(1)
	if a.away.Load() {
		return nil, errors.New("away")
	}
	return a.Store.Get(ctx, key)
}

func newList(s store.Store) *revoked.List {
	return revoked.New(revoked.Config{
		Store: s, Key: func(part string) string { return "revoked/" + part }, Life: time.Hour, Log: slog.New(slog.DiscardHandler),
	})
}

func has(t *testing.T, l *revoked.List, id string) bool {
	t.Helper()
	l.Generation()
	ended, err := l.Has(id)
	if err != nil {
		t.Errorf("%s: %v", id, err)
	}
	return ended
}

// What one process ends is ended in another within seconds, and after a restart; and
// forgotten when no token of it can be about.
func TestList(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &away{Store: store.NewMemory()}
		a, b := newList(s), newList(s)
		if has(t, a, "one") || has(t, b, "one") {
			t.Fatal("ended before it was")
		}
		before := b.Generation()
		if err := a.Add(t.Context(), "one"); err != nil {
			t.Fatal(err)
		}
		if !has(t, a, "one") {
			t.Error("not ended where it was")
		}
		time.Sleep(3 * time.Second)
		b.Generation() // begins to look
		synctest.Wait()
		if !has(t, b, "one") || b.Generation() == before {
			t.Error("not ended in the other process")
		}
		if !has(t, newList(s), "one") {
			t.Error("not ended after a restart")
		}
		time.Sleep(15 * time.Minute) // in another part of the list
		for i := range 50 {
			if err := a.Add(t.Context(), fmt.Sprint("more-", i)); err != nil {
				t.Fatal(err)
			}
		}
		if !has(t, b, "more-49") || !has(t, b, "one") {
			t.Error("after an idle quarter of an hour the list is old")
		}
		time.Sleep(2 * time.Hour)
		if has(t, b, "one") || has(t, newList(s), "one") {
			t.Error("kept for ever")
		}
	})
}

// Calls cost no look of their own; and without the store nothing is known after half
// a minute.
func TestStoreAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &away{Store: store.NewMemory()}
		l := newList(s)
		has(t, l, "x")
		reads := s.reads.Load()
		for range 1000 {
			has(t, l, "x")
		}
		if n := s.reads.Load() - reads; n != 0 {
			t.Errorf("1000 calls read the store %d times", n)
		}
		good := l.Generation()
		s.away.Store(true)
		time.Sleep(20 * time.Second)
		if has(t, l, "x") || l.Generation() != good {
			t.Error("a short outage counts")
		}
		time.Sleep(20 * time.Second)
		l.Generation()
		if _, err := l.Has("x"); !errors.Is(err, revoked.ErrUnknown) || l.Generation() == good {
			t.Errorf("a long outage: %v", err)
		}
		s.away.Store(false)
		if l.Generation() != good || has(t, l, "x") {
			t.Error("the store is back, and nobody looks")
		}
	})
}

// FINDING S16: who watches hears within seconds what another process ended, without
// asking, and nobody looks when nobody watches.
func TestWatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &away{Store: store.NewMemory()}
		a, b := newList(s), newList(s)
		var ended, others atomic.Int64
		stop := b.Watch([]string{"one", "two"}, func() { ended.Add(1) })
		stopOther := b.Watch([]string{"three"}, func() { others.Add(1) })
		defer b.Watch(nil, func() { t.Error("nothing was watched") })()
		if err := a.Add(t.Context(), "two"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		if ended.Load() != 1 || others.Load() != 0 {
			t.Errorf("told %d times, others %d times; want 1 and 0", ended.Load(), others.Load())
		}
		stop()
		b.Watch([]string{"two"}, func() { ended.Add(1) })()
		if ended.Load() != 2 {
			t.Error("what has ended already is not told")
		}
		stopOther()
		time.Sleep(time.Minute)
		before := s.reads.Load()
		time.Sleep(time.Minute)
		if s.reads.Load() != before {
			t.Error("the store is read although nobody watches")
		}
	})
}
