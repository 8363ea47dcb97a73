package pipeline

import (
	"errors"
	"net/http"
	"time"

	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/ratelimit"
)

// Rate is one limit on calls of tools.
type Rate struct {
	Limiter *ratelimit.Limiter
	Tool    string // the tool's public name; "" for all
	PerUser bool
}

// ErrCutOff is why a request ends that is still under way at the end of a drain.
var ErrCutOff = errors.New("the gateway ended")

// ShuttingDown is what is said to who comes too late.
func ShuttingDown() *mcp.Error {
	return mcp.Errorf(http.StatusServiceUnavailable, mcp.CodeInternal, "the gateway is shutting down")
}

// limit admits an exchange if there is a place for it, so that open streams and slow
// backends cannot exhaust the process, nor one caller or backend what is for all; and if
// its caller does not call too often.
func (e *Endpoint) limit(x *Exchange) *mcp.Error {
	if err := e.occupy(x); err != nil {
		return err
	}
	if err := e.reserve(x); err != nil {
		return err
	}
	if len(e.Rates) == 0 || x.Message.Method != "tools/call" {
		return nil
	}
	tool := x.Message.Target
	if e.Called != nil {
		tool = e.Called(&x.Message)
	}
	return e.limitRate(x, tool)
}

// reserve makes sure that what becomes of the exchange can be recorded, before anything
// is done. An exchange that is refused for this leaves no event: nothing happened.
func (e *Endpoint) reserve(x *Exchange) *mcp.Error {
	if e.Audit == nil {
		return nil
	}
	err := e.Audit.Reserve(x.Request.Context())
	if err == nil {
		return nil
	}
	x.unaudited, x.cause = true, err
	x.Note("audit")
	return mcp.Errorf(http.StatusServiceUnavailable, mcp.CodeInternal, "the call was not carried out, since it cannot be audited now; try again, and tell the operator, whose log says why")
}

// limitRate takes a token of every bucket that a call of the tool falls under, by its
// public name, or of none.
func (e *Endpoint) limitRate(x *Exchange, tool string) *mcp.Error {
	now := time.Now()
	for i := range e.Rates {
		key, ok := e.Rates[i].key(x, tool)
		if !ok {
			continue
		}
		wait, ok := e.Rates[i].Limiter.Take(x.Request.Context(), key, now)
		if ok {
			continue
		}
		for _, taken := range e.Rates[:i] {
			if key, ok := taken.key(x, tool); ok {
				taken.Limiter.Give(x.Request.Context(), key)
			}
		}
		x.Note("rate_limit")
		x.Tell("Retry-After", seconds(wait))
		return mcp.Errorf(http.StatusTooManyRequests, mcp.CodeInternal, "too many calls; try again in %s s", seconds(wait))
	}
	return nil
}

// key is whose bucket the call of a tool takes from; false when the limit is not about it.
func (r *Rate) key(x *Exchange, tool string) (string, bool) {
	if r.Tool != "" && r.Tool != tool {
		return "", false
	}
	if r.PerUser {
		return x.CallerKey(), true
	}
	return "", true
}
