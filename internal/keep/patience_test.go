package keep_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-dev/sallyport/internal/keep"
)

// Who waits is called at its time, and nobody who has stopped, wherever in the line.
func TestPatience(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		var mu sync.Mutex
		called := map[int]time.Duration{}
		p := keep.NewPatience(10 * time.Second)
		waiting := make([]keep.Waiting, 12)
		for i := range waiting {
			p.Wait(&waiting[i], func() {
				mu.Lock()
				defer mu.Unlock()
				called[i] = time.Since(begun)
			})
			<-time.After(time.Second)
		}
		// It is 12 s: the first three were called. Those that stop are at either end and in
		// the middle of the line.
		for _, i := range []int{3, 7, 8, 11, 0, 7} {
			p.Stop(&waiting[i])
		}
		<-time.After(time.Minute)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		for i := range waiting {
			stopped := i == 3 || i == 7 || i == 8 || i == 11
			at, ok := called[i]
			if ok == stopped || ok && at != time.Duration(i)*time.Second+10*time.Second {
				t.Errorf("%d: called %v, after %v", i, ok, at)
			}
		}
		var late keep.Waiting
		again := make(chan struct{})
		p.Wait(&late, func() { close(again) }) // the line was empty
		begun = time.Now()
		if <-again; time.Since(begun) != 10*time.Second {
			t.Errorf("after a while: %v", time.Since(begun))
		}
	})
}

// A wait that ends in time allocates nothing but what it would call.
func TestPatienceAllocations(t *testing.T) {
	p := keep.NewPatience(time.Hour)
	late := func() {}
	if n := testing.AllocsPerRun(100, func() {
		var w keep.Waiting
		p.Wait(&w, late)
		p.Stop(&w)
	}); n > 1 {
		t.Errorf("%v allocations, want that of what waits", n)
	}
}
