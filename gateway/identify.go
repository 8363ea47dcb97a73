package gateway

import (
	"net/http"

	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// identify is the outer door. An endpoint without incoming authentication serves
// anonymous callers (REQ A-1); what a client claims about itself is not believed.
func (e *Endpoint) identify(x *Exchange) *mcp.Error {
	// Of two credentials, a proxy before the gateway may have checked the other one.
	if len(x.r.Header["Authorization"]) > 1 {
		return mcp.Errorf(http.StatusBadRequest, mcp.CodeInvalidRequest, "Authorization is there more than once")
	}
	x.caller = identity.Anonymous()
	return nil
}
