package upstream

import (
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/telemetry"
	"github.com/sallyport-dev/sallyport/internal/trace"
)

// Address is what spans say of where a server is.
type Address struct {
	Host string // name or address; "" for a command
	Port int
	// Own says that the server is on a private address, which a manifest has to
	// admit by name. Only there the gateway tells where it is in a trace by a header
	// of its own making: to a remote server a trace id is no credential, but it would
	// tell which requests to other servers belong together (REQ A-6).
	Own bool
}

// AddressOf reads an address out of a URL.
func AddressOf(u string, own bool) Address {
	parsed, err := url.Parse(u)
	if err != nil {
		return Address{Own: own}
	}
	port := parsed.Port()
	if port == "" {
		if port = "443"; parsed.Scheme == "http" {
			port = "80"
		}
	}
	n, _ := strconv.Atoi(port) // the manifest was checked; 0 says nothing
	return Address{Host: parsed.Hostname(), Port: n, Own: own}
}

// span is the client span of a call, and its metric. Attributes have the names of
// OpenTelemetry's conventions for MCP, or begin with sallyport.; no credential,
// argument, result, session id or passthrough value is among them.
type span struct {
	*trace.Span
	metrics *telemetry.Server
	began   time.Time // zero for what carries no method
	status  int
	watch   *trace.Watch
	said    trace.Answer
}

// begin goes before a message is sent, and end after its answer has been passed on.
// In a traced exchange the server is told where it is in the trace: in _meta if the
// client did so, for then it means the server to know.
func (u *Upstream) begin(c *Call) {
	if c.Message == nil || c.Message.Method == "" {
		return
	}
	c.client.metrics, c.client.began = u.Metrics, time.Now()
	if c.Span == nil {
		return
	}
	s := c.Span.Child(trace.Client, trace.Name(c.Message, c.Target), c.client.began)
	c.client.Span = s
	s.Describe(c.Message, c.Target)
	s.Text("mcp.protocol.version", string(c.Revision))
	s.Text("sallyport.server", u.Name)
	if at := &u.Address; at.Host != "" {
		s.Text("server.address", at.Host)
		s.Int("server.port", at.Port)
		s.Text("network.transport", "tcp")
		s.Text("network.protocol.name", "http")
	} else {
		s.Text("network.transport", "pipe")
	}
	u.tellTrace(c, s.Context().Traceparent())
	c.req.Redirected = func(to string, status int) {
		s.Event("redirect", "sallyport.redirect.to", to, "http.response.status_code", strconv.Itoa(status))
	}
}

// tellTrace puts the gateway's place in the trace where the client's was.
func (u *Upstream) tellTrace(c *Call, parent string) {
	if _, ok := trace.OfMessage(c.Message); ok {
		body := mcp.Splice(c.Body, mcp.Edit{Span: c.Message.Meta.TraceParent, New: mcp.Quote(parent)})
		if msg, err := mcp.Parse(body, u.Message); err == nil { // it was read before, and a value of the same kind took another's place
			c.req.Body, c.req.Message = body, &msg
		}
	}
	// A value that a manifest sets or passes on stays what it is (REQ E-1).
	if _, taken := c.req.Private["Traceparent"]; taken || !u.Address.Own || c.req.Body == nil {
		return
	}
	private := make(http.Header, len(c.req.Private)+1)
	maps.Copy(private, c.req.Private)
	private["Traceparent"] = []string{parent}
	c.req.Private = private
}

// answeredBy notes a server's answer, and looks at what passes of it.
func (c *Call) answeredBy(a *Answer) {
	c.client.status = a.Status
	if c.client.Span != nil && c.isRequest() {
		c.client.watch = trace.NewWatch(a.Body, a.Stream)
		a.Body = c.client.watch
	}
}

// end closes the books on a call that was sent.
func (c *Call) end(failed string) {
	s := &c.client
	if s.began.IsZero() {
		return
	}
	s.metrics.BackendOperation(c.Message.Method, failed, time.Since(s.began))
	if s.Span == nil {
		return
	}
	s.Int("http.response.status_code", s.status)
	if s.watch != nil {
		s.said = s.watch.Answer()
	}
	switch {
	case failed != "":
		s.Fail(failed, "")
	case s.said.Code != "":
		s.Text("rpc.response.status_code", s.said.Code)
		s.Fail(s.said.Code, "")
	case s.said.ToolError:
		s.Fail("tool_error", "")
	}
	s.End()
}
