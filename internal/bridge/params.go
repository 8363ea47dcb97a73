package bridge

import (
	"bytes"
	"context"
	"sync"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/bridge/convert"
	"github.com/sallyport-dev/sallyport/internal/bridge/wire"
	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// paramHeaders remembers which arguments of tools a modern server wants in headers
// (x-mcp-header, MCP 2026-07-28 transports). Legacy clients do not know of it, so the
// gateway makes the headers. Tools are remembered for each caller apart.
type paramHeaders struct {
	mu    sync.Mutex
	tools map[paramKey][]convert.ParamHeader
}

type paramKey struct {
	of   sessionKey
	tool string
}

const maxParamTools = 4096 // remembered; when there are more, all are forgotten and learned anew

// learn takes in what a list of tools says, and reports whether one wants headers.
func (p *paramHeaders) learn(of sessionKey, headers map[string][]convert.ParamHeader) (found bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for tool, wants := range headers {
		key := paramKey{of, tool}
		if len(wants) == 0 {
			delete(p.tools, key)
			continue
		}
		if p.tools == nil || len(p.tools) >= maxParamTools {
			p.tools = map[paramKey][]convert.ParamHeader{}
		}
		p.tools[key], found = wants, true
	}
	return found
}

// setParamHeaders adds to a call the headers that its tool wants.
func (b *Bridge) setParamHeaders(req *backend.Request) {
	if req.Message.Method != "tools/call" {
		return
	}
	b.params.mu.Lock()
	var headers []convert.ParamHeader
	if len(b.params.tools) > 0 {
		headers = b.params.tools[paramKey{keyOf(req, nil), req.Message.Target}]
	}
	b.params.mu.Unlock()
	if headers != nil {
		convert.SetHeaders(req.Header, headers, mcp.Path(req.Message.Bytes(req.Message.Params), "arguments"))
	}
}

// legacyTools are a page of a modern server's tools for a legacy client.
func (b *Bridge) legacyTools(of sessionKey, result []byte) (converted []byte, found bool) {
	converted, headers, leftOut := convert.LegacyTools(result)
	for _, why := range leftOut {
		b.Log.Warn("tool of server was left out of the list: its headers cannot be made", "server", b.Name, "error", why)
	}
	return converted, b.params.learn(of, headers)
}

// learnParams asks the server for its tools, as a client would whose headers it has
// refused.
func (b *Bridge) learnParams(ctx context.Context, of *backend.Request, c clientSession) (found bool) {
	var cursor []byte
	for range 20 {
		params := convert.ModernParams(nil, c.capabilities, c.info, "")
		if cursor != nil {
			params = wire.With(params, wire.Field("cursor", cursor))
		}
		req, err := b.post(of, request([]byte("1"), "tools/list", params))
		if err != nil {
			return found
		}
		setModernHeaders(req)
		resp, err := b.Next.Do(ctx, req)
		if err != nil {
			return found
		}
		m, err := b.answerTo(resp, nil)
		if err != nil || m.Result == nil {
			return found
		}
		_, more := b.legacyTools(keyOf(of, nil), m.Result)
		found = found || more
		next := mcp.Path(m.Result, "nextCursor")
		if _, ok := mcp.Text(next); !ok || bytes.Equal(next, cursor) {
			return found
		}
		cursor = bytes.Clone(next)
	}
	return found
}
