package upstream

import (
	"sync/atomic"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// revision is what a server was last found to speak. Its zero value knows nothing.
type revision struct{ last atomic.Pointer[mcp.Revision] }

// known is the revision, "" when none has been found.
func (r *revision) known() mcp.Revision {
	if last := r.last.Load(); last != nil {
		return *last
	}
	return ""
}

// found remembers a revision; "" forgets it.
func (r *revision) found(rev mcp.Revision) {
	if rev == r.known() {
		return
	}
	r.last.Store(&rev)
}
