package gateway

import (
	"sync"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// toolHints remembers what a backend said of its tools, for policies that look at
// their annotations: a call names a tool and nothing else. A tool that no list has
// shown yet has none, so that a policy that needs them does not permit it.
type toolHints struct {
	mu    sync.RWMutex
	known map[string]mcp.Hints
}

// maxHints bounds how many tools of one backend are remembered.
const maxHints = 10_000

// newToolHints makes a memory; nil where no policy looks.
func newToolHints(wanted bool) *toolHints {
	if !wanted {
		return nil
	}
	return &toolHints{known: map[string]mcp.Hints{}}
}

// learn takes in the tools of a list.
func (h *toolHints) learn(items []mcp.Item) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, it := range items {
		if _, ok := h.known[it.Name]; ok || len(h.known) < maxHints {
			h.known[it.Name] = it.Hints
		}
	}
}

func (h *toolHints) of(tool string) mcp.Hints {
	if h == nil {
		return mcp.Hints{}
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.known[tool]
}
