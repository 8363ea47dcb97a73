package gateway

import (
	"context"
	"errors"
	"sync"
)

// errEndpointChanged ends the streams that only listen, when the configuration
// they began with is no longer served or the gateway drains. Their clients open
// them again, and then get the new one.
var errEndpointChanged = errors.New("the endpoint's configuration changed")

// listening keeps the streams that only listen, so that a configuration change or
// a drain can end them. Its zero value is ready.
type listening struct {
	mu   sync.Mutex
	open map[*listener]struct{}
	done bool
}

type listener struct {
	endpoint *Endpoint
	end      context.CancelCauseFunc
}

// begin gives a listening stream its context, which ends with parent, with done,
// or when the stream is told to end.
func (l *listening) begin(parent context.Context, e *Endpoint) (ctx context.Context, done func()) {
	ctx, cancel := context.WithCancelCause(parent)
	entry := &listener{endpoint: e, end: cancel}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.done {
		cancel(errEndpointChanged)
		return ctx, func() {}
	}
	if l.open == nil {
		l.open = map[*listener]struct{}{}
	}
	l.open[entry] = struct{}{}
	return ctx, func() {
		l.mu.Lock()
		delete(l.open, entry)
		l.mu.Unlock()
		cancel(nil)
	}
}

// endWhere ends the streams whose endpoint is stale.
func (l *listening) endWhere(stale func(*Endpoint) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for entry := range l.open {
		if stale(entry.endpoint) {
			entry.end(errEndpointChanged)
		}
	}
}

// drain ends every stream and those that begin from now on.
func (l *listening) drain() {
	l.mu.Lock()
	l.done = true
	l.mu.Unlock()
	l.endWhere(func(*Endpoint) bool { return true })
}
