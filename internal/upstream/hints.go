package upstream

import (
	"sync"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// toolHints is what a server said of its tools, for policies that look at their
// annotations: a call names a tool and nothing else. A tool that no list has shown yet
// has none, so that a policy that needs them does not permit it.
type toolHints struct {
	mu    sync.RWMutex
	known map[string]mcp.Hints
}

// maxHints bounds how many tools of one server are remembered.
const maxHints = 10_000

// Learn takes in what a list of the server's says of its tools, where policies look.
func (u *Upstream) Learn(tools []mcp.Item) {
	if !u.Hints {
		return
	}
	u.hints.mu.Lock()
	defer u.hints.mu.Unlock()
	for _, it := range tools {
		if _, ok := u.hints.known[it.Name]; ok || len(u.hints.known) < maxHints {
			u.hints.known[it.Name] = it.Hints
		}
	}
}

// HintsOf are the annotations of a tool, by the server's own name.
func (u *Upstream) HintsOf(tool string) mcp.Hints {
	if !u.Hints { // none were learnt
		return mcp.Hints{}
	}
	u.hints.mu.RLock()
	defer u.hints.mu.RUnlock()
	return u.hints.known[tool]
}
