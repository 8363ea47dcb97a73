package accounts_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/accounts"
	"github.com/sallyport-dev/sallyport/internal/store"
)

// A token that is fresh costs no store and no memory: every call that is shown one
// asks for it.
func TestFreshTokenIsFree(t *testing.T) {
	w := newWorld(t, store.NewMemory(), newProvider(time.Hour))
	b := w.replica()
	defer b.Close()
	link(t, b, "alice", "hub", w.provider.signIn())
	wantToken(t, b, "alice", "hub", "access-1")
	w.store.set(always)
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() {
		if _, err := b.Token(ctx, "alice", "hub"); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("a fresh token allocates %v times", n)
	}
}

// Memory holds as many accounts as it may, and the others work too.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, store.NewMemory(), newProvider(time.Hour))
	b := w.replica(func(c *accounts.Config) { c.MaxCached = 10 })
	defer b.Close()
	for i := range 100 {
		link(t, b, fmt.Sprint("person-", i), "hub", w.provider.signIn())
	}
	for i := range 100 {
		wantToken(t, b, fmt.Sprint("person-", i), "hub", fmt.Sprint("access-", i+1))
	}
	w.store.set(always)
	inMemory := 0
	for i := range 100 {
		if _, err := b.Token(t.Context(), fmt.Sprint("person-", i), "hub"); err == nil {
			inMemory++
		}
	}
	if inMemory != 10 {
		t.Errorf("%d accounts are in memory, want 10", inMemory)
	}
}

func BenchmarkTokenFromMemory(b *testing.B) {
	w := newWorld(b, store.NewMemory(), newProvider(time.Hour))
	book := w.replica()
	defer book.Close()
	for i := range 1000 {
		link(b, book, fmt.Sprint("person-", i), "hub", w.provider.signIn())
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := book.Token(b.Context(), "person-7", "hub"); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkTokenFromStore(b *testing.B) {
	w := newWorld(b, store.NewMemory(), newProvider(time.Hour))
	book := w.replica(func(c *accounts.Config) { c.MaxCached = 1 })
	defer book.Close()
	for i := range 2 {
		link(b, book, fmt.Sprint("person-", i), "hub", w.provider.signIn())
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := book.Token(b.Context(), []string{"person-0", "person-1"}[i%2], "hub"); err != nil {
			b.Fatal(err)
		}
	}
}
