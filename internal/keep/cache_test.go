package keep_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/keep"
)

func TestCache(t *testing.T) {
	t.Parallel()
	now := time.Now()
	c := keep.NewCache[string](32)
	a := keep.HashOf("a")
	c.Put(a, "alice", now.Add(time.Minute))
	if v, ok := c.Get(a, now); !ok || v != "alice" {
		t.Errorf("got %q, %v", v, ok)
	}
	if _, ok := c.Get(a, now.Add(time.Minute)); ok {
		t.Error("an expired entry was found")
	}
	for i := range 1000 {
		c.Put(keep.HashOf(fmt.Sprint(i)), "x", now.Add(time.Minute))
	}
	found := 0
	for i := range 1000 {
		if _, ok := c.Get(keep.HashOf(fmt.Sprint(i)), now); ok {
			found++
		}
	}
	if found == 0 || found > 32 {
		t.Errorf("%d of 1000 entries are there, want at most 32", found)
	}
	c.Clear()
	if _, ok := c.Get(keep.HashOf("999"), now); ok {
		t.Error("an entry survived Clear")
	}
}

func BenchmarkCacheHit(b *testing.B) {
	c := keep.NewCache[*int](1000)
	raw := strings.Repeat("a", 900)
	now := time.Now()
	c.Put(keep.HashOf(raw), new(int), now.Add(time.Hour))
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := c.Get(keep.HashOf(raw), now); !ok {
			b.Fatal()
		}
	}
}
