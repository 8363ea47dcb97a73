package ratelimit_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/ratelimit"
)

// broken is a shared place that cannot be asked.
type broken struct{ asked int }

func (b *broken) TakeRate(context.Context, string, time.Duration, time.Duration) (time.Duration, bool, error) {
	b.asked++
	return 0, true, errors.New("down")
}

func (b *broken) GiveRate(context.Context, string, time.Duration) error { return errors.New("down") }

// REQ B-26: a limit holds, for each process on its own, when what they share is down.
func TestSharedIsDown(t *testing.T) {
	t.Parallel()
	b := &broken{}
	l := ratelimit.NewShared(ratelimit.Rate{Burst: 2, Period: time.Hour}, "x", b)
	now := time.Now()
	for i, want := range []bool{true, true, false} {
		if _, ok := l.Take(t.Context(), "a", now); ok != want {
			t.Errorf("token %d: %v, want %v", i+1, ok, want)
		}
	}
	l.Give(t.Context(), "a")
	if _, ok := l.Take(t.Context(), "a", now); !ok || b.asked != 4 {
		t.Errorf("a token given back: %v, asked %d times", ok, b.asked)
	}
}
