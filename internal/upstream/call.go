package upstream

import (
	"context"
	"net/http"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/trace"
)

// Call is one exchange with a server, on behalf of one caller. It is used once.
type Call struct {
	Caller   *identity.Caller
	Token    secret.Value // that proved the caller, where a credential is made of it
	Sharer   string       // tells callers apart on a connection that several share
	Captured http.Header  // passthrough values
	Rights   Rights       // what the caller may use
	Elicits  bool         // the client can send its person to a URL (of sessions; others say so in each message)

	Method   string        // of HTTP: POST, GET or DELETE
	Header   http.Header   // the protocol's own; the call may change it
	Body     []byte        // of the message; nil for GET and DELETE
	Message  *mcp.Envelope // read from Body
	Target   string        // the server's own name of what the message is about
	Member   string        // the server that it goes to, where there are several
	Revision mcp.Revision

	State   []byte          // what the target kept of the client's session; nil for none
	Session backend.Session // the server's, out of State

	Span *trace.Span // of the exchange; nil when it is not traced
	// Sent, if not nil, hears of what goes out for the call; see [backend.Request.Sent].
	Sent func(*backend.Sent)

	// Part begins a call that the target makes in the course of this one, as if the caller
	// had sent it: it is limited, judged and recorded. What comes of it is told to done.
	// A *[Refused] is why it may not be made. nil where there can be none.
	Part func(context.Context, Part) (c *Call, done func(*Answer, error), err error)

	prepared bool
	req      backend.Request
	own      *backend.Response
	answer   Answer
	client   span
}

// isRequest reports whether the client waits for a JSON-RPC answer.
func (c *Call) isRequest() bool { return c.Message != nil && c.Message.Kind == mcp.KindRequest }

// Answered is an answer to the call that no server has given: it was not sent.
func (c *Call) Answered(resp *backend.Response) *Answer {
	c.answer = Answer{Response: *resp, call: c}
	return &c.answer
}

// Answer is what a call brought. End it.
type Answer struct {
	backend.Response
	State []byte // what the target wants to be presented with the session's next call; nil for no session
	// Own is why the gateway itself answered, for log and audit; "" for the server's answer.
	Own string
	// Owners says whose the items of a list are; nil where all are of one server, under
	// its own names.
	Owners Owners

	call *Call
}

// End closes the answer and the books on its call. failed is why what came of it
// failed its client; "" where nothing did.
func (a *Answer) End(failed string) {
	_ = a.Body.Close()
	a.call.end(failed)
}

// Said is what the answer says of failure, in a traced call that has ended.
func (a *Answer) Said() trace.Answer { return a.call.client.said }

// Refused is a call within another that the pipeline does not let through.
type Refused struct{ Public *mcp.Error }

func (r *Refused) Error() string { return r.Public.Message }

// Denied is a call that is not sent, for want of a credential that its caller can
// mend, or may not have.
type Denied struct {
	Reason   string // for log and audit
	Decision string // by which the operator finds it; "" for none
	// Public is what the client is told; nil where it has to sign in again, which the
	// outer door says how.
	Public *mcp.Error
}

func (d *Denied) Error() string { return d.Reason }
