package keep_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/sallyport-dev/sallyport/internal/keep"
)

type thing struct {
	closed atomic.Int32
}

func (c *thing) Close() error {
	c.closed.Add(1)
	return errors.New("nobody reads this")
}

func newThing() (*thing, error) { return &thing{}, nil }

func TestPoolSharesAndCloses(t *testing.T) {
	t.Parallel()
	var p keep.Pool[string, *thing]
	a, releaseA, err := p.Acquire("k", newThing)
	if err != nil {
		t.Fatal(err)
	}
	b, releaseB, err := p.Acquire("k", func() (*thing, error) { t.Error("made twice"); return nil, nil })
	if err != nil {
		t.Fatal(err)
	}
	other, releaseOther, err := p.Acquire("other", newThing)
	if err != nil {
		t.Fatal(err)
	}
	if a != b || a == other {
		t.Fatal("same key must share, other keys must not")
	}
	releaseA()
	releaseA() // must not take b's reference
	if a.closed.Load() != 0 {
		t.Fatal("closed while held")
	}
	releaseB()
	if a.closed.Load() != 1 || other.closed.Load() != 0 || p.Len() != 1 {
		t.Fatalf("after the last release: closed %d times, other %d, held %d", a.closed.Load(), other.closed.Load(), p.Len())
	}
	again, release, err := p.Acquire("k", newThing)
	if err != nil || again == a {
		t.Fatalf("a closed value came back (%v)", err)
	}
	release()
	releaseOther()
	if p.Len() != 0 {
		t.Fatalf("%d values left", p.Len())
	}
}

func TestPoolFailedMake(t *testing.T) {
	t.Parallel()
	var p keep.Pool[int, *thing]
	bad := errors.New("no")
	v, release, err := p.Acquire(1, func() (*thing, error) { return &thing{}, bad })
	if !errors.Is(err, bad) || v != nil || release != nil || p.Len() != 0 {
		t.Fatalf("Acquire = %v, %v; held %d", v, err, p.Len())
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_, _, _ = p.Acquire(1, func() (*thing, error) { panic("make") })
	}()
	if p.Len() != 0 {
		t.Fatal("a panic left an entry behind")
	}
	if _, release, err = p.Acquire(1, newThing); err != nil {
		t.Fatal(err)
	}
	release()
}

func TestPoolConcurrent(t *testing.T) {
	t.Parallel()
	var (
		p    keep.Pool[int, *thing]
		wg   sync.WaitGroup
		made atomic.Int32
	)
	for range 8 {
		wg.Go(func() {
			for i := range 200 {
				v, release, err := p.Acquire(i%3, func() (*thing, error) { made.Add(1); return &thing{}, nil })
				if err != nil {
					t.Error(err)
					return
				}
				if v.closed.Load() != 0 {
					t.Error("got a closed value")
				}
				release()
				release()
				if n := v.closed.Load(); n > 1 {
					t.Errorf("closed %d times", n)
				}
			}
		})
	}
	wg.Wait()
	if p.Len() != 0 {
		t.Errorf("%d values left after %d were made", p.Len(), made.Load())
	}
}

func TestPoolSlowMakeHoldsUpItsKeyOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var p keep.Pool[string, *thing]
		gate := make(chan struct{})
		var got [2]*thing
		for i := range got {
			go func() {
				v, _, err := p.Acquire("slow", func() (*thing, error) { <-gate; return newThing() })
				if err != nil {
					t.Error(err)
				}
				got[i] = v
			}()
		}
		synctest.Wait()
		if _, _, err := p.Acquire("fast", newThing); err != nil {
			t.Error(err)
		}
		close(gate)
		synctest.Wait()
		if got[0] == nil || got[0] != got[1] {
			t.Error("two waiters got different values")
		}
	})
}
