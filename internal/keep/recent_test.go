package keep_test

import (
	"strconv"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/keep"
)

// What was used lately stays, and what was not goes in the end.
func TestRecent(t *testing.T) {
	t.Parallel()
	var r keep.Recent[int]
	if _, ok := r.Get("used"); ok {
		t.Error("an empty one has something")
	}
	r.Put("used", 1)
	r.Put("unused", 2)
	for n := range 1 << 16 {
		r.Put(strconv.Itoa(n), n)
		if n%1000 == 0 {
			if v, ok := r.Get("used"); !ok || v != 1 {
				t.Fatalf("after %d others it is %d, %v", n, v, ok)
			}
		}
	}
	if _, ok := r.Get("unused"); ok {
		t.Error("what nobody used for long is still there")
	}
}
