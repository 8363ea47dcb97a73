package pipeline

import (
	"strconv"

	"github.com/sallyport-dev/sallyport/internal/audit"
	"github.com/sallyport-dev/sallyport/internal/trace"
)

// startSpan begins the span of a message, below the caller's. Of the two places
// where a client can say which that is, the message's own _meta counts (SEP-414;
// OpenTelemetry's conventions for MCP): the header may be that of a proxy on the
// way, and of one connection for many messages. It is linked, then.
func (e *Endpoint) startSpan(x *Exchange) {
	if e.Tracer == nil || x.Message.Method == "" {
		return
	}
	parent, ok := trace.OfMessage(&x.Message)
	transport, both := trace.OfHeader(x.Request.Header)
	if !ok {
		parent, both = transport, false
	}
	s := e.Tracer.Start(parent, trace.Name(&x.Message, x.Message.Target), x.start)
	if s == nil {
		return
	}
	if both && transport.Span != parent.Span {
		s.Link(transport)
	}
	x.span = s
	s.Describe(&x.Message, x.Message.Target)
	s.Text("sallyport.server", e.Name)
	s.Text("sallyport.request.id", x.ID) // the same as in the audit event and the log
	s.Text("sallyport.caller.source", x.Caller.Source)
	s.Text("client.address", PeerAddress(x.Request))
	s.Text("network.transport", "tcp")
	if x.WebSocket {
		s.Text("network.protocol.name", "websocket")
		return
	}
	s.Text("network.protocol.name", "http")
	s.Text("network.protocol.version", strconv.Itoa(x.Request.ProtoMajor)+"."+strconv.Itoa(x.Request.ProtoMinor))
}

// endSpan closes the books on a traced exchange; finish has settled its outcome.
func (e *Endpoint) endSpan(x *Exchange) {
	s := x.span
	if s == nil {
		return
	}
	s.Text("mcp.protocol.version", string(x.Revision))
	s.Int("http.response.status_code", x.Status)
	s.Text("sallyport.outcome", string(x.outcome))
	if x.outcome != audit.Success {
		s.Text("sallyport.reason", x.reason)
	}
	switch {
	case x.refused != nil:
		code := strconv.Itoa(x.refused.Code)
		s.Text("rpc.response.status_code", code)
		s.Fail(code, x.refused.Message)
	case x.said.Code != "":
		s.Text("rpc.response.status_code", x.said.Code)
		s.Fail(x.said.Code, "")
	case x.said.ToolError:
		s.Fail("tool_error", "")
	case x.outcome != audit.Success:
		s.Fail(x.reason, "")
	}
	s.End()
}

// errorType is what metrics call the way an exchange failed, "" for success. What
// the backend itself says went wrong is not looked for.
func (x *Exchange) errorType() string {
	switch {
	case x.refused != nil:
		return strconv.Itoa(x.refused.Code)
	case x.outcome == audit.Error:
		return x.reason
	}
	return ""
}
