package gateway

import (
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/audit"
	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/trace"
)

// tracing is how an endpoint takes part in traces. Attributes have the names of
// OpenTelemetry's conventions for MCP, or begin with sallyport.; no credential,
// argument, result, session id or passthrough value is among them.
type tracing struct {
	spec   *v1alpha1.Telemetry // nil leaves it to the process
	tracer *trace.Tracer       // nil when nothing is traced

	// Of the backend.
	address string // host name or address; "" for a command
	port    int
	// own says that the backend is on a private address, which a manifest has to
	// admit by name. Only there the gateway tells where it is in a trace by a header
	// of its own making: to a remote server a trace id is no credential, but it would
	// tell which requests to other servers belong together (REQ A-6).
	own bool
}

// setTracing notes what spans say of a backend at an address.
func (t *tracing) setTracing(u string, own bool) {
	t.own = own
	parsed, err := url.Parse(u)
	if err != nil {
		return
	}
	t.address = parsed.Hostname()
	port := parsed.Port()
	if port == "" {
		if port = "443"; parsed.Scheme == "http" {
			port = "80"
		}
	}
	t.port, _ = strconv.Atoi(port) // the manifest was checked; 0 says nothing
}

// begin sets the tracer, as the manifest says.
func (t *tracing) begin(tracer *trace.Tracer) {
	t.tracer = tracer
	if t.spec == nil || t.spec.OpenTelemetry == nil {
		return
	}
	o := t.spec.OpenTelemetry
	if !o.Enabled || o.Tracing == nil || !o.Tracing.Enabled {
		t.tracer = nil
		return
	}
	share, _ := strconv.ParseFloat(o.Tracing.SamplingRate, 64) // the schema lets numbers from 0 to 1 through
	t.tracer = tracer.With(trace.Ratio(share, true))
}

// startSpan begins the span of a message, below the caller's. Of the two places
// where a client can say which that is, the message's own _meta counts (SEP-414;
// OpenTelemetry's conventions for MCP): the header may be that of a proxy on the
// way, and of one connection for many messages. It is linked, then.
func (e *Endpoint) startSpan(x *Exchange) {
	if e.tracing.tracer == nil || x.message.Method == "" {
		return
	}
	parent, ok := trace.OfMessage(&x.message)
	transport, both := trace.OfHeader(x.r.Header)
	if !ok {
		parent, both = transport, false
	}
	s := e.tracing.tracer.Start(parent, trace.Name(&x.message, x.message.Target), x.start)
	if s == nil {
		return
	}
	if both && transport.Span != parent.Span {
		s.Link(transport)
	}
	x.span = s
	s.Describe(&x.message, x.message.Target)
	s.Text("sallyport.server", e.name)
	s.Text("sallyport.request.id", x.id) // the same as in the audit event and the log
	s.Text("sallyport.caller.source", x.caller.Source)
	s.Text("client.address", peerAddress(x.r))
	s.Text("network.transport", "tcp")
	if x.surface == surfaceFrame {
		s.Text("network.protocol.name", "websocket")
		return
	}
	if x.socket != nil {
		s.Text("network.protocol.name", "websocket")
		return
	}
	s.Text("network.protocol.name", "http")
	s.Text("network.protocol.version", strconv.Itoa(x.r.ProtoMajor)+"."+strconv.Itoa(x.r.ProtoMinor))
}

// endSpan closes the books on a traced exchange; finish has settled its outcome.
func (e *Endpoint) endSpan(x *Exchange) {
	s := x.span
	if s == nil {
		return
	}
	s.Text("mcp.protocol.version", string(x.revision))
	s.Int("http.response.status_code", x.status)
	s.Text("sallyport.outcome", string(x.outcome))
	if x.outcome != audit.Success {
		s.Text("sallyport.reason", x.reason)
	}
	switch {
	case x.refused != nil:
		code := strconv.Itoa(x.refused.Code)
		s.Text("rpc.response.status_code", code)
		s.Fail(code, x.refused.Message)
	case x.answered.Code != "":
		s.Text("rpc.response.status_code", x.answered.Code)
		s.Fail(x.answered.Code, "")
	case x.answered.ToolError:
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

// call is one message's way to the backend and back.
type call struct {
	e      *Endpoint
	x      *Exchange
	span   *trace.Span
	began  time.Time
	status int
	watch  *trace.Watch
}

// beginCall goes before a message is sent, and end after its answer has been
// passed on. In a traced exchange the backend is told where it is in the trace: in
// _meta if the client did so, for then it means the server to know.
func (e *Endpoint) beginCall(x *Exchange, req *backend.Request) call {
	c := call{e: e, x: x}
	if x.message.Method == "" {
		return c
	}
	c.began = time.Now()
	if x.span == nil {
		return c
	}
	s := x.span.Child(trace.Client, trace.Name(&x.message, x.target), c.began)
	c.span = s
	s.Describe(&x.message, x.target)
	s.Text("mcp.protocol.version", string(x.revision))
	s.Text("sallyport.server", e.name)
	if t := &e.tracing; t.address != "" {
		s.Text("server.address", t.address)
		s.Int("server.port", t.port)
		s.Text("network.transport", "tcp")
		s.Text("network.protocol.name", "http")
	} else {
		s.Text("network.transport", "pipe")
	}
	e.tellTrace(x, req, s.Context().Traceparent())
	req.Redirected = func(to string, status int) {
		s.Event("redirect", "sallyport.redirect.to", to, "http.response.status_code", strconv.Itoa(status))
	}
	return c
}

// tellTrace puts the gateway's place in the trace where the client's was.
func (e *Endpoint) tellTrace(x *Exchange, req *backend.Request, parent string) {
	if _, ok := trace.OfMessage(&x.message); ok {
		body := mcp.Splice(x.body, mcp.Edit{Span: x.message.Meta.TraceParent, New: mcp.Quote(parent)})
		if msg, err := mcp.Parse(body, e.server.opts.Message); err == nil { // it was read before, and a value of the same kind took another's place
			x.body, x.message = body, msg
			req.Body = body
		}
	}
	// A value that a manifest sets or passes on stays what it is (REQ E-1).
	if _, taken := req.Private["Traceparent"]; taken || !e.tracing.own || req.Body == nil {
		return
	}
	private := make(http.Header, len(req.Private)+1)
	maps.Copy(private, req.Private)
	private["Traceparent"] = []string{parent}
	req.Private = private
}

// answeredBy notes a backend's answer, and looks at what passes of it.
func (c *call) answeredBy(resp *backend.Response) {
	c.status = resp.Status
	if c.span != nil && c.x.isRequest() {
		c.watch = trace.NewWatch(resp.Body, resp.Stream)
		resp.Body = c.watch
	}
}

func (c *call) end() {
	x := c.x
	if x.message.Method == "" {
		return
	}
	failed := ""
	if x.outcome == audit.Error {
		failed = x.reason
	}
	c.e.metrics.BackendOperation(x.message.Method, failed, time.Since(c.began))
	if c.span == nil {
		return
	}
	c.span.Int("http.response.status_code", c.status)
	if c.watch != nil {
		x.answered = c.watch.Answer()
	}
	switch {
	case failed != "":
		c.span.Fail(failed, "")
	case x.answered.Code != "":
		c.span.Text("rpc.response.status_code", x.answered.Code)
		c.span.Fail(x.answered.Code, "")
	case x.answered.ToolError:
		c.span.Fail("tool_error", "")
	}
	c.span.End()
}
