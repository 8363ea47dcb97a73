package backend

import (
	"context"
	"io"
	"maps"
	"net/http"
	"time"

	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/oauth"
)

// Backend is one MCP server behind the gateway. However it is reached, it takes
// and gives exchanges in the shape of Streamable HTTP.
type Backend interface {
	// Do sends one exchange and returns the head of its answer; the body is read
	// from the response. When ctx ends the exchange is cancelled at the backend.
	// Every error is a *Failure.
	Do(ctx context.Context, req *Request) (*Response, error)

	// Close ends every connection, session and process of the backend.
	Close() error
}

// Request is what the gateway wants the backend to see, divided by who may see it.
type Request struct {
	Method string // POST, GET or DELETE

	// Header holds MCP's own headers (Accept, Content-Type, Mcp-*, Last-Event-Id),
	// which any hop of a redirect may see. It never holds Mcp-Session-Id.
	Header http.Header

	// Private holds passthrough headers, headerForward and the outgoing credential, by
	// their canonical names: one stands in place of a header above of the same name.
	// They go to the backend's configured origin and nowhere else.
	Private http.Header

	// Challenges says that whoever gave the credential can act on a backend's
	// challenge: a 403 that asks for more scopes is then a Failure, too.
	Challenges bool

	// Signing makes further private headers of each request that goes out; nil for
	// none. Only a backend by Streamable HTTP heeds it.
	Signing *Signing

	// Caller tells callers apart on connections that several of them share; "" is
	// nobody that is known. It is never shown to anybody.
	Caller string

	Session Session
	Body    []byte        // nil for GET and DELETE
	Message *mcp.Envelope // nil for GET and DELETE

	// Repeatable says that the request may be sent again where a connection ended
	// without an answer, although its method does not say so: a tool's hints do.
	Repeatable bool

	// Probe says that the request asks whether the server is there: nobody may answer it
	// in its place.
	Probe bool

	// Redirected, if not nil, hears of every redirect that is followed: the origin it
	// leads to, and its status.
	Redirected func(to string, status int)

	// Sent, if not nil, hears of every request and message that goes out for this one, of
	// retries and redirects too, just before it does.
	Sent func(*Sent)
}

// Sent is a request as a server gets it, for an operator who looks on. There are
// credentials in it, and it is not to be changed.
type Sent struct {
	Method string      // of HTTP; "" where the server does not speak it
	URL    string      // without a query, and without what of a path is a secret
	Header http.Header // all but Host and Content-Length; nil where there are none
	Body   []byte
}

// Signing is a credential that is made of the request that carries it.
type Signing struct {
	Headers []string // the canonical names of those that Sign makes
	// Sign is given the Host header's value, and path and query as they are sent.
	Sign func(method, host, uri string, body []byte) http.Header
}

// of is what a hop to the backend's own origin carries of private headers.
func (s *Signing) of(h *hop, private http.Header) http.Header {
	all := s.Sign(h.method, h.to.authority, h.to.uri, h.body)
	maps.Copy(all, private)
	return all
}

// Session is the backend's own session: an id and the origin that issued it. The
// id is sent to that origin only.
type Session struct {
	ID     string
	Origin string // scheme://host:port
}

// Response is a backend's answer, already checked and cleaned of everything that
// must not reach a client.
type Response struct {
	Status        int
	Header        http.Header
	Body          io.ReadCloser // never nil; the caller closes it
	Ahead         []byte        // the beginning of Body, as far as it is known; valid until that is read
	ContentLength int64         // -1 when unknown
	Stream        bool          // the body is text/event-stream
	Session       Session       // set when the backend issued a session id
}

// Failure is an exchange that brought no answer a client may see.
type Failure struct {
	// Public is what the client is told: nothing internal, no credential.
	Public *mcp.Error
	// Reason is a short fixed label for metrics, audit and log.
	Reason Reason
	// Cause is for the log alone. It carries no credential and no query string.
	Cause error
	// RetryAfter is when it is worth coming again, for the Retry-After header; 0
	// when nothing is known.
	RetryAfter time.Duration
	// Challenge is what the backend asks of the gateway's credential; nil when it
	// asks nothing. It names somebody else's servers and is never a client's to see.
	// The backend has not processed the request.
	Challenge *oauth.AuthChallenge
}

func (f *Failure) Error() string {
	if f.Cause == nil {
		return f.Public.Message
	}
	return f.Public.Message + ": " + f.Cause.Error()
}

func (f *Failure) Unwrap() error { return f.Cause }

// Reason labels a Failure.
type Reason string

// The reasons, as they appear in metrics and audit.
const (
	ReasonUnreachable    Reason = "unreachable"     // no connection, or it broke before an answer
	ReasonOpenFiles      Reason = "open_files"      // this process may open no more files
	ReasonTimeout        Reason = "timeout"         // no answer within the time limit
	ReasonCanceled       Reason = "canceled"        // the client went away
	ReasonRefusedAddress Reason = "refused_address" // the address guard said no
	ReasonRedirect       Reason = "redirect"        // a redirect that may not be followed
	ReasonCredential     Reason = "credential"      // the backend refused the gateway's credential
	ReasonBadAnswer      Reason = "bad_answer"      // HTML, no JSON, empty, or an error without JSON-RPC
	ReasonTooLarge       Reason = "too_large"       // more than the configured limit
	ReasonBadHeader      Reason = "bad_header"      // a header to send that HTTP cannot carry
	ReasonCrashed        Reason = "crashed"         // the local command ended, or cannot be started
	ReasonBusy           Reason = "busy"            // too many sessions or processes
	ReasonBadRequest     Reason = "bad_request"     // what the client sent cannot be said to the server
	ReasonRefused        Reason = "refused"         // a 4xx that says nothing a client could read
	ReasonSession        Reason = "session"         // unknown or missing session
)
