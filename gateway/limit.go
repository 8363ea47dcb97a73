package gateway

import (
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/ratelimit"
)

// rate is one limit on calls of tools.
type rate struct {
	limiter *ratelimit.Limiter
	tool    string // the tool's public name; "" for all
	perUser bool
}

// limit admits an exchange if the server has a place for it, so that open streams
// and slow backends cannot exhaust the process, and if its caller does not call too
// often.
func (e *Endpoint) limit(x *Exchange) *mcp.Error {
	if e.server.inFlight.Add(1) > e.server.opts.MaxInFlight {
		e.server.inFlight.Add(-1)
		return mcp.Errorf(http.StatusServiceUnavailable, mcp.CodeInternal, "the gateway is at its limit of open requests and streams; try again soon")
	}
	x.admitted = true
	if len(e.rates) == 0 || x.message.Method != "tools/call" {
		return nil
	}
	return e.limitRate(x)
}

// limitRate takes a token of every bucket that the call falls under, or of none.
func (e *Endpoint) limitRate(x *Exchange) *mcp.Error {
	now := time.Now()
	for i := range e.rates {
		key, ok := e.rates[i].key(x)
		if !ok {
			continue
		}
		wait, ok := e.rates[i].limiter.Take(x.r.Context(), key, now)
		if ok {
			continue
		}
		for _, taken := range e.rates[:i] {
			if key, ok := taken.key(x); ok {
				taken.limiter.Give(x.r.Context(), key)
			}
		}
		seconds := strconv.Itoa(int(math.Ceil(wait.Seconds())))
		x.note("rate_limit")
		x.w.Header()["Retry-After"] = []string{seconds}
		return mcp.Errorf(http.StatusTooManyRequests, mcp.CodeInternal, "too many calls; try again in %s s", seconds)
	}
	return nil
}

// key is whose bucket the call takes from; false when the limit is not about it.
func (r *rate) key(x *Exchange) (string, bool) {
	if r.tool != "" && r.tool != x.message.Target {
		return "", false
	}
	if r.perUser {
		return x.caller.Key(), true
	}
	return "", true
}

// release gives the place back.
func (e *Endpoint) release(x *Exchange) {
	if x.admitted {
		x.admitted = false
		e.server.inFlight.Add(-1)
	}
}
