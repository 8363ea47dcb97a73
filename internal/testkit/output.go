package testkit

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// Output collects what a process writes while it runs. The zero value is ready
// to use, by any number of goroutines.
type Output struct {
	mu      sync.Mutex
	text    []byte
	changed chan struct{} // closed and replaced on each write; nil while nobody waits
}

// Write implements [io.Writer].
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, p...)
	if o.changed != nil {
		close(o.changed)
		o.changed = nil
	}
	return len(p), nil
}

// String returns what was written so far.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.text)
}

// Wait returns as soon as done says so of what was written so far, or with the
// context's error.
func (o *Output) Wait(ctx context.Context, done func(text string) bool) error {
	for {
		o.mu.Lock()
		if o.changed == nil {
			o.changed = make(chan struct{})
		}
		text, changed := string(o.text), o.changed
		o.mu.Unlock()
		if done(text) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for output: %w", ctx.Err())
		}
	}
}

// Patience is the longest wait for what must come. It tells that a test hangs, not that something is slow: on a machine
// that has much else to do, everything is.
const Patience = 3 * time.Minute

// WaitFor fails the test when want is not written within [Patience].
func (o *Output) WaitFor(t testing.TB, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	if err := o.Wait(ctx, func(text string) bool { return strings.Contains(text, want) }); err != nil {
		t.Fatalf("%q was not written: %v\n%s", want, err, o)
	}
}

// Eventually fails the test when ok is not true within [Patience]. It is for
// conditions that nothing announces; what can be waited for, should be.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(Patience)
	defer deadline.Stop()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for !ok() {
		select {
		case <-poll.C:
		case <-deadline.C:
			t.Fatalf("not within %s: %s", Patience, what)
		}
	}
}

// Receive returns what comes from c next, and fails the test when nothing does within [Patience].
func Receive[T any](t testing.TB, what string, c <-chan T) T {
	t.Helper()
	deadline := time.NewTimer(Patience)
	defer deadline.Stop()
	select {
	case v := <-c:
		return v
	case <-deadline.C:
		t.Fatalf("not within %s: %s", Patience, what)
		panic("unreachable")
	}
}

// InOrder reports whether a text has all words, each behind the one before.
func InOrder(text string, words []string) bool {
	for _, w := range words {
		_, rest, ok := strings.Cut(text, w)
		if !ok {
			return false
		}
		text = rest
	}
	return true
}
