package ratelimit_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/ratelimit"
)

// REQ B-26
func TestTake(t *testing.T) {
	t.Parallel()
	l := ratelimit.New(ratelimit.Rate{Burst: 3, Period: 3 * time.Second})
	now := time.Now()
	for i := range 3 {
		if _, ok := l.Take(t.Context(), "a", now); !ok {
			t.Fatalf("token %d of 3 was refused", i+1)
		}
	}
	if wait, ok := l.Take(t.Context(), "a", now); ok || wait != time.Second {
		t.Errorf("a fourth token: %v, wait %v; want a second's wait", ok, wait)
	}
	if _, ok := l.Take(t.Context(), "b", now); !ok {
		t.Error("another key was refused")
	}
	if _, ok := l.Take(t.Context(), "a", now.Add(999*time.Millisecond)); ok {
		t.Error("a token came too early")
	}
	if _, ok := l.Take(t.Context(), "a", now.Add(time.Second)); !ok {
		t.Error("no token after the time it takes to make one")
	}
	later := now.Add(time.Minute)
	for i := range 3 {
		if _, ok := l.Take(t.Context(), "a", later); !ok {
			t.Fatalf("after a rest, token %d of 3 was refused", i+1)
		}
	}
	if _, ok := l.Take(t.Context(), "a", later); ok {
		t.Error("a rest saved more tokens than the bucket holds")
	}
	l.Give(t.Context(), "a")
	if _, ok := l.Take(t.Context(), "a", later); !ok {
		t.Error("a token given back was not there")
	}
}

func TestNothingIsAdmittedWithoutARate(t *testing.T) {
	t.Parallel()
	for _, r := range []ratelimit.Rate{{}, {Burst: 1}, {Period: time.Second}, {Burst: -1, Period: time.Second}} {
		if _, ok := ratelimit.New(r).Take(t.Context(), "a", time.Now()); ok {
			t.Errorf("%+v admits", r)
		}
	}
}

func TestManyKeysStayBounded(t *testing.T) {
	t.Parallel()
	l := ratelimit.New(ratelimit.Rate{Burst: 1, Period: time.Hour})
	now := time.Now()
	for i := range 150_000 {
		if _, ok := l.Take(t.Context(), fmt.Sprint(i), now.Add(time.Duration(i))); !ok {
			t.Fatalf("key %d was refused its first token", i)
		}
	}
	if n := l.Len(); n > 100_000 {
		t.Errorf("%d keys are kept", n)
	}
}

func BenchmarkTake(b *testing.B) {
	l := ratelimit.New(ratelimit.Rate{Burst: 1 << 30, Period: time.Second})
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		l.Take(b.Context(), "jwt\x00https://idp.example.com\x00alice", now)
	}
}
