package trace

import (
	"net/http"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// OfMessage is the place in a trace that a message's _meta names. What is no
// such place is left alone: it is the backend's to read.
func OfMessage(m *mcp.Envelope) (Context, bool) {
	parent, ok := mcp.Text(m.Bytes(m.Meta.TraceParent))
	if !ok {
		return Context{}, false
	}
	state, _ := mcp.Text(m.Bytes(m.Meta.TraceState))
	return Parse(parent, state)
}

// OfHeader is the place in a trace that HTTP headers name.
func OfHeader(h http.Header) (Context, bool) {
	parent := h["Traceparent"]
	if len(parent) != 1 {
		return Context{}, false
	}
	return Parse(parent[0], strings.Join(h["Tracestate"], ","))
}

// Name of a span is the method and, where there are few of them, what it works on.
func Name(m *mcp.Envelope, target string) string {
	switch m.Method {
	case "tools/call", "prompts/get":
		if target != "" {
			return m.Method + " " + target
		}
	}
	return m.Method
}

// Describe says which message the span is about.
func (s *Span) Describe(m *mcp.Envelope, target string) {
	s.Text("mcp.method.name", m.Method)
	switch {
	case m.Method == "tools/call":
		s.Text("gen_ai.operation.name", "execute_tool")
		s.Text("gen_ai.tool.name", target)
	case m.Method == "prompts/get":
		s.Text("gen_ai.prompt.name", target)
	case strings.HasPrefix(m.Method, "resources/"):
		s.Text("mcp.resource.uri", mcp.Shown(target))
	}
	id := string(m.ID)
	if text, ok := mcp.Text(m.ID); ok {
		id = text
	}
	s.Text("jsonrpc.request.id", id)
}
