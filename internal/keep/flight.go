package keep

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Flights makes a value once for everybody who wants it at the same time. The zero
// Flights is ready; it must not be copied. Nothing is remembered: what a flight makes
// is kept by who makes it, before it returns.
type Flights[K comparable, V any] struct {
	mu    sync.Mutex
	under map[K]*flight[V] // way
}

type flight[V any] struct {
	done  chan struct{} // closed when value and err are there
	value V
	err   error
}

// Do joins the flight for key, or begins one. It belongs to nobody: it ends within
// limit, and goes on when who began it leaves. The error is obtain's, or that of ctx.
func (f *Flights[K, V]) Do(ctx context.Context, key K, limit time.Duration, obtain func(context.Context) (V, error)) (V, error) {
	f.mu.Lock()
	fl, joined := f.under[key]
	if !joined {
		if f.under == nil {
			f.under = map[K]*flight[V]{}
		}
		fl = &flight[V]{done: make(chan struct{})}
		f.under[key] = fl
		go f.fly(context.WithoutCancel(ctx), key, limit, fl, obtain)
	}
	f.mu.Unlock()
	select {
	case <-fl.done:
		return fl.value, fl.err
	case <-ctx.Done():
		var none V
		return none, context.Cause(ctx)
	}
}

func (f *Flights[K, V]) fly(ctx context.Context, key K, limit time.Duration, fl *flight[V], obtain func(context.Context) (V, error)) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	defer func() {
		if p := recover(); p != nil { // it is nobody's request that could fail
			fl.err = fmt.Errorf("make shared value: panicked: %v", p)
		}
		f.mu.Lock()
		delete(f.under, key)
		f.mu.Unlock()
		close(fl.done)
	}()
	fl.value, fl.err = obtain(ctx)
}
