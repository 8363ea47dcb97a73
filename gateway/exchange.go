package gateway

import (
	"context"
	"net/http"
	"time"

	"github.com/sallyport-dev/sallyport/internal/audit"
	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/trace"
)

// Exchange is one HTTP request, or one message of a WebSocket, on its way through an
// endpoint. Each field says which step sets it; a step reads only what earlier ones
// set.
type Exchange struct {
	// Set by the driver, before the first step.
	w       http.ResponseWriter
	r       *http.Request // of a WebSocket's message: the handshake, as if it were a POST
	surface surface
	socket  *socket    // that a message came by; nil for requests
	list    *plainList // that is asked for; nil for all else
	start   time.Time
	id      string // correlation id: in the audit event and in the log

	body []byte // receive: the whole request body; nil for GET and DELETE

	caller   *identity.Caller // identify
	token    secret.Value     // identify: what proved the caller, where the inner door may need it
	stranger bool             // identify: a WebSocket is to be closed, not refused

	message  mcp.Envelope // parse: the message, pointing into body; zero for GET and DELETE
	revision mcp.Revision // parse: what the client speaks; "" when an old client did not say

	admitted bool // limit: this exchange holds one of the server's places

	session clientSession // session: the session the client presented; zero when none

	span *trace.Span // parse: of the message; nil when it is not traced

	target string // resolve: the backend's own name of the tool, prompt, resource or task

	renamed bool // resolve: the message's target is not as the client sent it

	front *front          // session: the client's open connection, if the transport has one
	ctx   context.Context // forward: the exchange's lifetime at the backend

	cancel context.CancelCauseFunc // forward: ends ctx, where a front's client can ask for that

	// What became of it, for finish. Whoever answers the client sets them.
	status  int
	outcome audit.Outcome
	reason  string
	cause   error
	refused *mcp.Error // what the gateway itself answered
	// answered is what the backend's answer says of failure, in a traced exchange.
	answered trace.Answer
	// detached means that the answer goes on after serve has returned (it comes by the
	// connection that a front holds), which then calls finish.
	detached bool
}

// surface is the transport a request came by.
type surface uint8

const (
	surfaceHTTP     surface = iota + 1 // Streamable HTTP, every revision
	surfaceSSE                         // GET of HTTP+SSE, 2024-11-05
	surfaceMessages                    // POST of HTTP+SSE, 2024-11-05
	surfaceSocket                      // handshake of a WebSocket
	surfaceFrame                       // message of a WebSocket
	surfaceList                        // GET of a plain list
)

// isRequest reports whether the client waits for a JSON-RPC answer.
func (x *Exchange) isRequest() bool { return x.message.Kind == mcp.KindRequest }

// method is what metrics, audit and log call this exchange: the MCP method, or
// the HTTP method where the request carries no message.
func (x *Exchange) method() string {
	switch {
	case x.message.Method != "":
		return x.message.Method
	case x.message.Kind == mcp.KindResponse:
		return "response"
	default:
		return x.r.Method
	}
}
