package pipeline

import (
	"errors"
	"net/http"
	"sync"

	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// Places are how many exchanges may be under way at a time: over all endpoints, or at
// one. Some of them are one caller's at most (REQ G-15).
type Places struct {
	all  int // negative for any number
	each int // calls of one caller; 0 for any number

	mu        sync.Mutex
	taken     int
	callers   map[string]int
	abandoned int
	closed    bool
}

// NewPlaces makes places for the process. A caller who is known, and any one endpoint of
// several, is to leave some to the others: see [Places.Share].
func NewPlaces(n int64) *Places {
	return &Places{all: int(n), each: share(int(n)), callers: map[string]int{}}
}

// Share makes places for the calls at one endpoint, and for those of one caller there; 0
// for no limit of its own. An endpoint that is not alone gets four fifths of p at most:
// when its backend hangs, the others go on.
func (p *Places) Share(all, each int, alone bool) *Places {
	if all == 0 && !alone {
		all = share(p.all)
	}
	switch {
	case all == 0 && each == 0:
		return nil
	case all == 0:
		all = -1
	}
	return &Places{all: all, each: each, callers: map[string]int{}}
}

// share is what one may take of n.
func share(n int) int { return n - n/5 }

// Close gives no place to exchanges from now on.
func (p *Places) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
}

var (
	errNoPlace   = errors.New("all places are taken")
	errCallers   = errors.New("the caller's places are taken")
	errNoneTaken = errors.New("no place is given any more")
)

// take takes a place, for a caller's call unless caller is "". Its lock is held.
func (p *Places) take(caller string) error {
	switch {
	case p.closed:
		return errNoneTaken
	case p.all >= 0 && p.taken >= p.all:
		return errNoPlace
	case caller != "" && p.each > 0 && p.callers[caller] >= p.each:
		return errCallers
	}
	p.taken++
	if caller != "" && p.each > 0 {
		p.callers[caller]++
	}
	return nil
}

// give gives a place back. Its lock is held.
func (p *Places) give(caller string) {
	p.taken--
	if caller == "" || p.each == 0 {
		return
	}
	if p.callers[caller]--; p.callers[caller] <= 0 {
		delete(p.callers, caller)
	}
}

// holding is what an exchange holds of places. It changes when its client leaves, which
// is noticed beside the exchange: the lock of the process's places is for it too.
type holding struct {
	process   *Places // that a place was taken of; nil for none
	endpoint  *Places // as well
	abandoned *Places // whose count of calls without a client this one is in; nil for none
	caller    string  // at the endpoint; "" where the exchange is no call
	known     string  // in the process: caller, where it is known who that is
}

// take takes what an exchange needs of both.
func (h *holding) take(process, endpoint *Places) error {
	process.mu.Lock()
	defer process.mu.Unlock()
	if err := process.take(h.known); err != nil {
		return err
	}
	h.process = process
	if endpoint == nil || h.caller == "" {
		return nil
	}
	endpoint.mu.Lock()
	defer endpoint.mu.Unlock()
	if err := endpoint.take(h.caller); err != nil {
		return err
	}
	h.endpoint = endpoint
	return nil
}

// give gives back what is held. The lock of the process's places is held.
func (h *holding) give() {
	if h.process != nil {
		h.process.give(h.known)
		h.process = nil
	}
	if h.endpoint != nil {
		h.endpoint.mu.Lock()
		h.endpoint.give(h.caller)
		h.endpoint.mu.Unlock()
		h.endpoint = nil
	}
}

// occupy takes the places that an exchange needs.
func (e *Endpoint) occupy(x *Exchange) *mcp.Error {
	h := &x.holding
	if x.IsRequest() && x.Message.Method != "subscriptions/listen" {
		h.caller = x.CallerKey()
		if x.Caller.Source != identity.SourceAnonymous {
			h.known = h.caller
		}
	}
	err := h.take(e.Places, e.Own)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errNoneTaken):
		x.Note("shutdown")
		return ShuttingDown()
	}
	x.Note("concurrency")
	x.Tell("Retry-After", "1")
	switch {
	case errors.Is(err, errCallers):
		return mcp.Errorf(http.StatusTooManyRequests, mcp.CodeInternal, "you have as many calls under way as you may; try again when one of them has ended")
	case h.process != nil: // so it was the endpoint's that were taken
		return mcp.Errorf(http.StatusServiceUnavailable, mcp.CodeInternal, "%s is at its limit of calls under way; try again soon", e.Name)
	}
	x.Note("limit")
	return mcp.Errorf(http.StatusServiceUnavailable, mcp.CodeInternal, "the gateway is at its limit of open requests and streams; try again soon")
}

// vacate gives back what the exchange holds.
func (e *Endpoint) vacate(x *Exchange) {
	e.Places.mu.Lock()
	defer e.Places.mu.Unlock()
	x.holding.give()
	if p := x.holding.abandoned; p != nil {
		x.holding.abandoned = nil
		p.abandoned--
	}
}

// Abandon says that the client of a call has left while the backend goes on with it. The
// call gives its place to somebody who waits for an answer. It is false when so many
// calls go on for nobody that this one is to end.
func (x *Exchange) Abandon() bool {
	p, h := x.Endpoint.Places, &x.holding
	p.mu.Lock()
	defer p.mu.Unlock()
	if h.process == nil {
		return true // it has ended
	}
	if p.abandoned >= max(8, p.all/20) {
		return false
	}
	h.give()
	h.abandoned = p
	p.abandoned++
	return true
}
