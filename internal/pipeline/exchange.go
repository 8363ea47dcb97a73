package pipeline

import (
	"net/http"
	"time"

	"github.com/sallyport-dev/sallyport/internal/audit"
	"github.com/sallyport-dev/sallyport/internal/authn"
	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/keep"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/policy"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/trace"
	"github.com/sallyport-dev/sallyport/internal/upstream"
)

// Exchange is one HTTP request, or one message of a connection, on its way through an
// endpoint. Each field says which step sets it; a step reads only what earlier ones
// set.
type Exchange struct {
	// Set by the surface, before the first step.
	Client    Client
	Request   *http.Request       // of a WebSocket's message: the handshake, as if it were a POST
	WebSocket bool                // for spans
	Plain     bool                // the client knows HTTP alone, no messages: a refusal has to be a status
	Via       string              // what of the gateway itself sends it; "" for a client
	Sent      func(*backend.Sent) // hears of what goes out for it; nil for nobody

	Endpoint *Endpoint // of a connection's message: that of the connection, once it is found
	start    time.Time
	ID       string // correlation id: in the audit event and in the log
	within   string // the exchange that this one is a part of; "" for one of a client's own
	part     string // which part

	Caller *identity.Caller // identify; see [Client.Receive]
	Token  secret.Value     // identify: what proved the caller, where the inner door may need it
	// callerKey is kept by CallerKey.
	callerKey string
	Denied    *authn.Denied // identify, forward: why another credential has to be shown

	Body []byte     // parse: the whole message; nil where there is none (GET and DELETE)
	Held *keep.Held // parse: what the message takes of the room for all

	Message  mcp.Envelope // parse: the message, pointing into Body; zero where there is none
	Revision mcp.Revision // parse: what the client speaks; "" when an old client did not say

	span *trace.Span // parse: of the message; nil when it is not traced

	holding   holding // limit: the places that this exchange holds
	unaudited bool    // limit: there is no room for an event, and it was refused for that

	Session Session // session: the session the client presented; zero when none

	target  string    // resolve: the server's own name of the tool, prompt, resource or task
	member  string    // resolve: which of several servers; "" for the only one
	hints   mcp.Hints // resolve: of a tool, as its server gives them
	renamed bool      // resolve: the message's target is not as the client sent it
	lists   bool      // resolve: the gateway answers, as a list of tools would

	decision string        // authorize, forward: the decision by which it is found, if it was no
	asked    *policy.Query // authorize: what policies said no to, without arguments

	Call upstream.Call // resolve: whose call it is; forward: what the target is asked

	// What became of it, for finish. Whoever answers the client sets them.
	Status  int // of HTTP; once it is set, the answer has begun
	Told    http.Header
	outcome audit.Outcome
	reason  string
	cause   error
	refused *mcp.Error // what the gateway itself answered
	// said is what the server's answer says of failure, in a traced exchange.
	said     trace.Answer
	detached bool
}

// ViaConsole is how what comes from an operator at the console is marked in the audit.
const ViaConsole = "console"

// Session is what a client presents of its session.
type Session struct {
	ID    string // as the client sent it; "" when there is no session
	State []byte // what the target wanted to have kept
	// Captured are the passthrough values that the session began with; they do not
	// change in it (REQ E-4).
	Captured http.Header
	Elicits  bool // the client can be sent to a URL
}

// CallerKey is the caller's key.
func (x *Exchange) CallerKey() string {
	if x.callerKey == "" {
		x.callerKey = x.Caller.Key()
	}
	return x.callerKey
}

// IsRequest reports whether the client waits for a JSON-RPC answer.
func (x *Exchange) IsRequest() bool { return x.Message.Kind == mcp.KindRequest }

// Tell adds a header to what the client is told with a refusal.
func (x *Exchange) Tell(name, value string) {
	if x.Told == nil {
		x.Told = http.Header{}
	}
	x.Told[name] = []string{value}
}

// method is what metrics, audit and log call this exchange: the MCP method, or
// the HTTP method where the request carries no message.
func (x *Exchange) method() string {
	switch {
	case x.Message.Method != "":
		return x.Message.Method
	case x.Message.Kind == mcp.KindResponse:
		return "response"
	default:
		return x.Request.Method
	}
}
