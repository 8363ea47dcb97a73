package gateway

import (
	"net/http"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// limit admits an exchange if the server has a place for it, so that open streams
// and slow backends cannot exhaust the process.
func (e *Endpoint) limit(x *Exchange) *mcp.Error {
	if e.server.inFlight.Add(1) > e.server.opts.MaxInFlight {
		e.server.inFlight.Add(-1)
		return mcp.Errorf(http.StatusServiceUnavailable, mcp.CodeInternal, "the gateway is at its limit of open requests and streams; try again soon")
	}
	x.admitted = true
	return nil
}

// release gives the place back.
func (e *Endpoint) release(x *Exchange) {
	if x.admitted {
		x.admitted = false
		e.server.inFlight.Add(-1)
	}
}
