package gateway

import (
	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// identify is the outer door. An endpoint without incoming authentication serves
// anonymous callers (REQ A-1); what a client claims about itself is not believed.
func (e *Endpoint) identify(x *Exchange) *mcp.Error {
	x.caller = identity.Anonymous()
	return nil
}
