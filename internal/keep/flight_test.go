package keep_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-dev/sallyport/internal/keep"
)

// One value for all who want it, whoever leaves; another key is another flight.
func TestFlights(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var flights keep.Flights[string, int]
		var made atomic.Int64
		get := func(ctx context.Context, key string) (int, error) {
			return flights.Do(ctx, key, time.Minute, func(ctx context.Context) (int, error) {
				<-time.After(10 * time.Second)
				made.Add(1)
				return len(key), ctx.Err()
			})
		}
		ctx, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := get(ctx, "four"); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("who left: %v", err)
			}
		})
		synctest.Wait()
		for _, key := range []string{"four", "four", "three"} {
			all.Go(func() {
				if got, err := get(t.Context(), key); got != len(key) || err != nil {
					t.Errorf("%s: %d, %v", key, got, err)
				}
			})
		}
		all.Wait()
		if made.Load() != 2 {
			t.Errorf("%d made", made.Load())
		}
		if _, _ = get(t.Context(), "four"); made.Load() != 3 {
			t.Error("a flight that has ended was joined")
		}
	})
}

// A flight ends within its limit, and a panic is an error of those who wait.
func TestFlightsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var flights keep.Flights[int, int]
		_, err := flights.Do(t.Context(), 1, time.Second, func(ctx context.Context) (int, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		_, err = flights.Do(t.Context(), 1, time.Second, func(context.Context) (int, error) { panic("oops") })
		if err == nil || !strings.Contains(err.Error(), "oops") {
			t.Errorf("%v", err)
		}
	})
}
