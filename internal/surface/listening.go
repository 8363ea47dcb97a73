package surface

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/pipeline"
)

// Why the gateway ends a stream that only listens. Its client comes again, and then
// gets the new configuration, another replica, or is asked for a token that is good.
var (
	errEndpointChanged = errors.New("the endpoint's configuration changed")
	errDraining        = errors.New("the gateway is shutting down")
	errExpired         = errors.New("the caller's token expired")
	errRevoked         = errors.New("the caller's token was revoked")
)

// toldToEnd reports whether a stream's context ended because the gateway said so, as
// opposed to a client that went away.
func toldToEnd(ctx context.Context) bool {
	cause := context.Cause(ctx)
	_, hungUp := errors.AsType[*closing](cause)
	return hungUp || cause == errEndpointChanged || cause == errDraining || cause == errExpired || cause == errRevoked
}

// proofEnds is when what a caller has shown is no longer good; zero for never. A
// token is still taken for the clocks' skew after its expiry, so a stream that opens in
// that time lasts until then, and its client does not come again at once, in a loop.
func proofEnds(who *identity.Caller, now time.Time, skew time.Duration) time.Time {
	if who.Expires.IsZero() || now.Before(who.Expires) {
		return who.Expires
	}
	return who.Expires.Add(skew)
}

// listening keeps the streams that only listen, so that a configuration change or
// a drain can end them. Its zero value is ready.
type listening struct {
	mu   sync.Mutex
	open map[*listener]struct{}
	done bool

	empty chan struct{} // made by drain; closed when it has nothing more to wait for
}

type listener struct {
	endpoint *pipeline.Endpoint
	end      context.CancelCauseFunc
}

// begin gives a listening stream its context, which ends with parent, with done,
// when its caller's proof does (MCP authorization, token expiry; or it is revoked), or
// when the stream is told to end.
func (l *listening) begin(parent context.Context, e *pipeline.Endpoint, who *identity.Caller) (ctx context.Context, done func()) {
	ctx, cancel := context.WithCancelCause(parent)
	if end := proofEnds(who, time.Now(), e.ClockSkew); !end.IsZero() {
		expiry := time.AfterFunc(time.Until(end), func() { cancel(errExpired) })
		context.AfterFunc(ctx, func() { expiry.Stop() })
	}
	if e.Revoked != nil {
		stop := e.Revoked(who.Claims, func() { cancel(errRevoked) })
		context.AfterFunc(ctx, stop)
	}
	leave, ok := l.enter(&listener{endpoint: e, end: cancel})
	if !ok {
		cancel(errDraining)
	}
	return ctx, func() {
		leave()
		cancel(nil)
	}
}

// hold has a drain wait for a connection that net/http knows no more of, until done is
// called: what its client was told last is written down before the process ends.
func (l *listening) hold(e *pipeline.Endpoint) (done func()) {
	done, _ = l.enter(&listener{endpoint: e, end: func(error) {}})
	return done
}

// enter adds an entry, unless a drain has begun.
func (l *listening) enter(entry *listener) (leave func(), ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.done {
		return func() {}, false
	}
	if l.open == nil {
		l.open = map[*listener]struct{}{}
	}
	l.open[entry] = struct{}{}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.open, entry)
		if l.done && len(l.open) == 0 {
			close(l.empty)
		}
	}, true
}

// endWhere ends the streams whose endpoint is stale, for the reason why.
func (l *listening) endWhere(stale func(*pipeline.Endpoint) bool, why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for entry := range l.open {
		if stale(entry.endpoint) {
			entry.end(why)
		}
	}
}

// drain ends every stream and those that begin from now on. The channel is closed
// when the last of them is gone.
func (l *listening) drain() <-chan struct{} {
	l.mu.Lock()
	if !l.done {
		l.done = true
		l.empty = make(chan struct{})
		if len(l.open) == 0 {
			close(l.empty)
		}
	}
	gone := l.empty
	l.mu.Unlock()
	l.endWhere(func(*pipeline.Endpoint) bool { return true }, errDraining)
	return gone
}
