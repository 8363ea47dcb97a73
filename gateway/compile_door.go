package gateway

import (
	"github.com/sallyport-dev/sallyport/internal/authn"
	"github.com/sallyport-dev/sallyport/internal/manifest"
)

// door compiles an endpoint's outer door. Nothing that authenticates can be
// configured yet, so everybody is anonymous.
func (c *compiler) door(_ *manifest.Object, e *Endpoint) {
	e.door = authn.NewResolver(false)
}
