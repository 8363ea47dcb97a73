package optimizer

import (
	"context"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/bridge/convert"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/upstream"
)

// mirror puts into headers what the called tool wants to have there too (MCP 2026-07-28
// tools, x-mcp-header): a client that calls call_tool cannot know of it.
func (t *Target) mirror(ctx context.Context, c *upstream.Call) {
	if !c.Revision.Modern() {
		return
	}
	for name := range c.Header {
		if strings.HasPrefix(name, mcp.HeaderParamPrefix) { // of call_tool, which has none
			delete(c.Header, name)
		}
	}
	convert.SetParamHeaders(c.Header, mcp.Path(tool(t.Shown(ctx, c), c), "inputSchema"), argumentsOf(c.Message))
}

// tool is the raw tool that a call goes to; nil for one that is not there.
func tool(shown *upstream.Shown, c *upstream.Call) []byte {
	for _, g := range shown.Groups {
		if g.Member != c.Member {
			continue
		}
		if i := slices.IndexFunc(g.Items, func(it mcp.Item) bool { return it.Name == c.Target }); i >= 0 {
			return shown.Items[g.At[i]]
		}
	}
	return nil
}
