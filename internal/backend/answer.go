package backend

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/oauth"
)

// answer is an HTTP answer on its way to becoming a Response: only what an MCP
// server may say gets through (MCP 2025-11-25 and 2026-07-28 transports).
type answer struct {
	backend string
	limits  Limits
	req     *Request
	resp    *http.Response
	origin  string       // who gave it
	shown   http.Header  // the private headers that the exchange has shown
	quiet   *atomic.Bool // the backend was found not to listen, and the log has it
	log     *slog.Logger

	// What was read ahead of the body: complete, or a prefix.
	head     *[]byte // from prefixes; nil when nothing was read
	n        int
	complete bool
}

// check judges the answer. The caller closes resp.Body when it failed.
func (a *answer) check(ctx context.Context) (*Response, *Failure) {
	out := &Response{Status: a.resp.StatusCode, Header: a.resp.Header, Body: http.NoBody}
	var f *Failure
	if out.Session, f = a.session(); f != nil {
		return nil, f
	}
	status := a.resp.StatusCode
	switch {
	case status == http.StatusUnauthorized || status == http.StatusProxyAuthRequired || a.wantsMore():
		// A challenge for the inner door means nothing at the outer one.
		return nil, refusedCredential(a.backend, a.resp)
	case status >= 500:
		f = a.serverError(ctx, out)
	case status >= 400:
		f = a.clientError(ctx, out)
	case a.req.Method == http.MethodGet:
		f = a.listening(ctx, out)
	case a.req.Method == http.MethodPost && a.req.Message != nil && a.req.Message.Kind == mcp.KindRequest:
		f = a.result(ctx, out)
	default:
		// A notification, a response or a DELETE has no answer but its status (MCP 2025-11-25 transports).
		if a.req.Method == http.MethodPost {
			out.Status = http.StatusAccepted
		}
		a.drop(out)
	}
	if f != nil {
		a.release()
		return nil, f
	}
	cleanAnswer(out.Header, a.shown)
	return out, nil
}

// wantsMore reports a backend that asks for more scopes (RFC 6750 §3.1), where
// somebody can get them.
func (a *answer) wantsMore() bool {
	if a.resp.StatusCode != http.StatusForbidden || !a.req.Challenges {
		return false
	}
	c, _ := oauth.Bearer(a.resp.Header)
	return c.Params["error"] == "insufficient_scope"
}

// refusedCredential is the Failure of an answer that refuses the gateway's credential,
// or asks for one.
func refusedCredential(backend string, resp *http.Response) *Failure {
	f := Fail(backend, http.StatusBadGateway, ReasonCredential, fmt.Errorf("status %d", resp.StatusCode),
		"the backend refused the gateway's credential, or wants one; check externalAuthConfigRef, oauth and headerForward")
	if resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden {
		c, _ := oauth.Bearer(resp.Header) // a 401 without one is a challenge all the same
		f.Challenge = &c
	}
	return f
}

func (a *answer) fail(status int, reason Reason, cause error, text string) *Failure {
	return Fail(a.backend, status, reason, cause, text)
}

func (a *answer) bad(cause, text string) *Failure {
	err := fmt.Errorf("answer %d: %s", a.resp.StatusCode, cause)
	return a.fail(http.StatusBadGateway, ReasonBadAnswer, err, text+"; check that remoteUrl leads to an MCP server")
}

// session takes the session id out of the answer.
func (a *answer) session() (Session, *Failure) {
	values := a.resp.Header[mcp.HeaderSessionID]
	if len(values) == 0 || len(values) == 1 && values[0] == "" {
		return Session{}, nil
	}
	if len(values) > 1 || !validSessionID(values[0]) {
		return Session{}, a.bad("an ill-formed session id", "the backend's session id is not one")
	}
	return Session{ID: values[0], Origin: a.origin}, nil
}

// validSessionID admits visible ASCII (MCP 2025-11-25 transports, sessions) up to maxSessionID.
func validSessionID(id string) bool {
	for i := range len(id) {
		if id[i] < 0x21 || id[i] > 0x7e {
			return false
		}
	}
	return id != "" && len(id) <= maxSessionID
}

// result checks the answer to a request that succeeded: one JSON message or a
// stream of them.
func (a *answer) result(ctx context.Context, out *Response) *Failure {
	switch {
	case a.resp.StatusCode == http.StatusOK && isEventStream(a.resp.Header):
		return a.stream(out)
	case a.empty():
		return a.bad("empty", "the backend gave an empty answer")
	case a.resp.StatusCode == http.StatusPartialContent || !isJSON(a.resp.Header, false):
		return a.bad("neither JSON nor an event stream", "the backend's answer is neither JSON nor an event stream")
	}
	if f := a.readAhead(ctx); f != nil {
		return f
	}
	if f := a.mustBeJSON(); f != nil {
		return f
	}
	out.Status = http.StatusOK // clients take other ones for an answer that comes elsewhere
	a.pass(out)
	return nil
}

// listening checks the answer to a GET, which is a stream. A server that has none to
// offer should say 405 (MCP 2025-11-25 transports); what many say instead is nothing
// that a client can do anything about.
func (a *answer) listening(ctx context.Context, out *Response) *Failure {
	if a.resp.StatusCode == http.StatusOK && isEventStream(a.resp.Header) {
		if f := a.stream(out); f != nil {
			return f
		}
		log := a.log
		out.Body = &firstEvent{ReadCloser: out.Body, tracker: new(mcp.Tracker), found: func() {
			log.WarnContext(ctx, "backend speaks HTTP+SSE of 2024-11-05, not Streamable HTTP; set transport: sse")
		}}
		return nil
	}
	if a.quiet.CompareAndSwap(false, true) {
		a.log.WarnContext(ctx, "backend answers GET with neither an event stream nor 405; clients are told 405", "status", a.resp.StatusCode)
	}
	out.Status = http.StatusMethodNotAllowed
	a.drop(out)
	return nil
}

func (a *answer) stream(out *Response) *Failure {
	if f := a.encoding(); f != nil {
		return f
	}
	out.Stream, out.Body, out.ContentLength = true, a.resp.Body, a.resp.ContentLength
	return nil
}

// clientError checks a 4xx. Clients act on the status, so it passes where the
// message was bad; a page for people does not.
func (a *answer) clientError(ctx context.Context, out *Response) *Failure {
	related := isJSON(a.resp.Header, true)
	readable := !a.empty() && a.encoding() == nil && (related || isType(a.resp.Header, "text/plain"))
	if readable {
		if f := a.readAhead(ctx); f != nil {
			return f
		}
	}
	var said *rpcError
	if related && a.complete {
		said = readRPCError((*a.head)[:a.n])
	}
	status := a.resp.StatusCode
	post := a.req.Message != nil
	switch {
	case post && a.sessionLost(said):
		return a.fail(http.StatusNotFound, ReasonSession, fmt.Errorf("answer %d to a request in a session", status),
			"the backend does not know this session any more; initialize again")
	case said != nil:
		a.pass(out)
	case post && !a.passesEmpty() && (!readable || a.complete && a.n == 0 || ownWords(status) != ""):
		return a.refused()
	case readable && related:
		if f := a.mustBeJSON(); f != nil {
			return f
		}
		a.pass(out)
	case readable:
		a.pass(out)
	default:
		// The status is the message: no stream here, no such session.
		a.drop(out)
	}
	return nil
}

// passesEmpty reports an answer without a body to a message that wants none.
func (a *answer) passesEmpty() bool {
	return a.empty() && a.req.Message.Kind != mcp.KindRequest && ownWords(a.resp.StatusCode) == ""
}

// sessionLost reports a backend that has forgotten the session it is asked in: a new
// one helps, and clients begin one at 404 alone (MCP 2025-11-25 transports). Many
// servers say 400, as an error that answers no particular request.
func (a *answer) sessionLost(said *rpcError) bool {
	if a.req.Session.ID == "" || a.req.Message.Method == "initialize" {
		return false
	}
	switch status := a.resp.StatusCode; {
	case status == http.StatusNotFound:
		return said == nil
	case status != http.StatusBadRequest:
		return false
	case said == nil:
		return true
	case strings.Contains(strings.ToLower(said.Message), "session"):
		return true
	case string(said.id) != "null" && said.id != nil:
		return false
	}
	switch said.Code {
	case mcp.CodeParse, mcp.CodeMethodNotFound, mcp.CodeInvalidParams, mcp.CodeHeaderMismatch, mcp.CodeMissingCapability, mcp.CodeUnsupportedVersion:
		return false // it says what is wrong, and that is not the session
	}
	return !strings.Contains(strings.ToLower(said.Message), "version")
}

// refused is the failure of a 4xx that says nothing which a client could read.
func (a *answer) refused() *Failure {
	status := a.resp.StatusCode
	cause := fmt.Errorf("answer %d without a JSON-RPC error", status)
	text := ownWords(status)
	switch {
	case text != "":
	case !a.empty() && !isType(a.resp.Header, "text/plain") && !isJSON(a.resp.Header, true):
		return a.bad("neither JSON nor text", "the backend's answer is not one of an MCP server")
	case status == http.StatusMethodNotAllowed || status == http.StatusNotFound || a.req.Message.Method == "initialize":
		text = fmt.Sprintf("the backend takes no messages at this address (status %d); check that remoteUrl is right, and for a server of HTTP+SSE (2024-11-05) set transport: sse", status)
	default:
		text = fmt.Sprintf("the backend refused the request with status %d and did not say why", status)
	}
	f := a.fail(status, ReasonRefused, cause, text)
	f.RetryAfter = retryAfter(a.resp.Header)
	return f
}

// ownWords are what the gateway says for a status that is clear whatever is in the
// body; "" for other ones.
func ownWords(status int) string {
	switch status {
	case http.StatusForbidden:
		return "the backend does not allow this request"
	case http.StatusRequestEntityTooLarge:
		return "the request is larger than the backend takes; send less"
	case http.StatusTooManyRequests:
		return "the backend takes no more requests for now; try again later"
	}
	return ""
}

// retryAfter is what a Retry-After header says, in seconds or as a date (RFC 9110
// §10.2.3); 0 for nothing that could be waited for.
func retryAfter(h http.Header) time.Duration {
	const longest = 24 * time.Hour
	value := h.Get("Retry-After")
	if n, err := strconv.ParseUint(value, 10, 32); err == nil {
		return min(time.Duration(n)*time.Second, longest)
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, min(time.Until(at), longest))
	}
	return 0
}

// serverError checks a 5xx: a JSON-RPC error is the backend's own word and passes,
// status included; everything else becomes the gateway's.
func (a *answer) serverError(ctx context.Context, out *Response) *Failure {
	status := a.resp.StatusCode
	if isJSON(a.resp.Header, false) && a.encoding() == nil {
		f := a.readAhead(ctx)
		switch {
		case f == nil && a.complete && readRPCError((*a.head)[:a.n]) != nil:
			a.pass(out)
			return nil
		case f != nil && f.Reason == ReasonCanceled:
			return f
		}
	}
	public := http.StatusBadGateway
	if status == http.StatusServiceUnavailable || status == http.StatusGatewayTimeout {
		public = status
	}
	f := a.fail(public, ReasonBadAnswer, fmt.Errorf("answer %d without a JSON-RPC error", status),
		fmt.Sprintf("the backend failed with status %d; try again, or ask its operator", status))
	f.RetryAfter = retryAfter(a.resp.Header)
	return f
}

// rpcError is a JSON-RPC error. Its id may be null: servers that could not read a
// request, or not find its session, answer so.
type rpcError struct {
	Code    int
	Message string
	id      []byte
}

// readRPCError reads a JSON-RPC error; nil for what is none.
func readRPCError(body []byte) *rpcError {
	var m struct {
		JSONRPC string          `json:"jsonrpc"`
		ID      json.RawMessage `json:"id"`
		Error   *struct {
			Code    int    `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	if json.Unmarshal(body, &m) != nil || m.JSONRPC != "2.0" || m.Error == nil {
		return nil
	}
	return &rpcError{Code: m.Error.Code, Message: m.Error.Message, id: m.ID}
}

// drop leaves the body out of the answer.
func (a *answer) drop(out *Response) {
	if isEventStream(a.resp.Header) {
		closeBody(a.resp.Body) // it may never end
	} else {
		discard(a.resp.Body)
	}
	delete(out.Header, "Content-Type") // the map is the answer's own too
}

// empty reports whether there is no body for certain.
func (a *answer) empty() bool { return a.resp.Body == http.NoBody || a.resp.ContentLength == 0 }

// encoding refuses what we did not ask for and could not check.
func (a *answer) encoding() *Failure {
	for _, v := range a.resp.Header["Content-Encoding"] {
		if !strings.EqualFold(v, "identity") {
			return a.bad("Content-Encoding", "the backend compressed its answer, which the gateway did not ask for")
		}
	}
	return nil
}
