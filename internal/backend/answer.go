package backend

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

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
	origin  string // who gave it

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
		f = a.listening(out)
	case a.req.Method == http.MethodPost && a.req.Message != nil && a.req.Message.Kind == mcp.KindRequest:
		f = a.result(ctx, out)
	default:
		// A notification, a response or a DELETE has no answer but its status (L4).
		if a.req.Method == http.MethodPost {
			out.Status = http.StatusAccepted
		}
		a.drop(out)
	}
	if f != nil {
		a.release()
		return nil, f
	}
	cleanAnswer(out.Header, a.req.Private)
	if s := a.req.Signing; s != nil {
		for _, name := range s.Headers {
			delete(out.Header, name)
		}
	}
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
	f := fail(backend, http.StatusBadGateway, ReasonCredential, fmt.Errorf("status %d", resp.StatusCode),
		"the backend refused the gateway's credential, or wants one; check externalAuthConfigRef, oauth and headerForward")
	if resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden {
		c, _ := oauth.Bearer(resp.Header) // a 401 without one is a challenge all the same
		f.Challenge = &c
	}
	return f
}

func (a *answer) fail(status int, reason Reason, cause error, text string) *Failure {
	return fail(a.backend, status, reason, cause, text)
}

func (a *answer) bad(cause, text string) *Failure {
	err := fmt.Errorf("answer %d: %s", a.resp.StatusCode, cause)
	return a.fail(http.StatusBadGateway, ReasonBadAnswer, err, text+"; check that remoteUrl leads to an MCP server")
}

// session takes the session id out of the answer.
func (a *answer) session() (Session, *Failure) {
	values := a.resp.Header[mcp.HeaderSessionID]
	if len(values) == 0 {
		return Session{}, nil
	}
	if len(values) > 1 || !validSessionID(values[0]) {
		return Session{}, a.bad("an ill-formed session id", "the backend's session id is not one")
	}
	return Session{ID: values[0], Origin: a.origin}, nil
}

// validSessionID admits visible ASCII (L12) up to maxSessionID.
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
	a.pass(out)
	return nil
}

// listening checks the answer to a GET, which is a stream.
func (a *answer) listening(out *Response) *Failure {
	if a.resp.StatusCode != http.StatusOK || !isEventStream(a.resp.Header) {
		return a.bad("not an event stream", "the backend's answer to GET is not an event stream")
	}
	return a.stream(out)
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
	switch isRelated := isJSON(a.resp.Header, true); {
	case a.empty():
		return nil
	case a.encoding() == nil && (isRelated || isType(a.resp.Header, "text/plain")):
		if f := a.readAhead(ctx); f != nil {
			return f
		}
		if isRelated {
			if f := a.mustBeJSON(); f != nil {
				return f
			}
		}
		a.pass(out)
		return nil
	case a.req.Message == nil, a.resp.StatusCode == http.StatusNotFound && a.req.Session.ID != "":
		// The status is the message: no stream here, no such session.
		a.drop(out)
		return nil
	}
	return a.bad("neither JSON nor text", "the backend's answer is not one of an MCP server")
}

// serverError checks a 5xx: a JSON-RPC error is the backend's own word and passes,
// status included; everything else becomes the gateway's.
func (a *answer) serverError(ctx context.Context, out *Response) *Failure {
	status := a.resp.StatusCode
	if isJSON(a.resp.Header, false) && a.encoding() == nil {
		f := a.readAhead(ctx)
		switch {
		case f == nil && a.complete && isRPCError((*a.head)[:a.n]):
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
	return a.fail(public, ReasonBadAnswer, fmt.Errorf("answer %d without a JSON-RPC error", status),
		fmt.Sprintf("the backend failed with status %d; try again, or ask its operator", status))
}

// isRPCError reports whether body is a JSON-RPC error. Its id is not looked at:
// servers that could not read a request answer with null.
func isRPCError(body []byte) bool {
	var m struct {
		JSONRPC string `json:"jsonrpc"`
		Error   *struct {
			Code int `json:"code"`
		} `json:"error"`
	}
	return json.Unmarshal(body, &m) == nil && m.JSONRPC == "2.0" && m.Error != nil
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

var prefixes = sync.Pool{New: func() any { b := make([]byte, readAheadLength); return &b }}

// readAhead reads the whole body if it is short, or the first readAheadLength bytes.
func (a *answer) readAhead(ctx context.Context) *Failure {
	if f := a.encoding(); f != nil {
		return f
	}
	if a.resp.ContentLength > a.limits.MaxAnswerBytes {
		return a.tooLarge()
	}
	a.head = prefixes.Get().(*[]byte)
	buf := *a.head
	for a.n < len(buf) && !a.complete {
		n, err := a.resp.Body.Read(buf[a.n:])
		a.n += n
		switch {
		case err == io.EOF:
			a.complete = true
		case err != nil:
			return a.broke(ctx, err)
		}
	}
	return nil
}

func (a *answer) tooLarge() *Failure {
	return a.fail(http.StatusBadGateway, ReasonTooLarge, errAnswerTooLarge,
		fmt.Sprintf("the backend's answer is larger than the %d bytes that the gateway passes on", a.limits.MaxAnswerBytes))
}

// broke maps a body that ended early.
func (a *answer) broke(ctx context.Context, err error) *Failure {
	switch {
	case ctx.Err() != nil:
		return ended(ctx, a.backend)
	case errors.Is(err, errNoAnswer):
		return timedOut(a.backend, errors.New("the answer stopped in its middle"))
	}
	return a.fail(http.StatusBadGateway, ReasonBadAnswer, fmt.Errorf("read answer: %w", scrub(err)),
		"the backend's answer broke off; the request may have been processed")
}

func (a *answer) mustBeJSON() *Failure {
	if a.complete && a.n == 0 {
		return a.bad("empty", "the backend gave an empty answer")
	}
	text := (*a.head)[:a.n]
	var err error
	if len(text) <= checkedLength {
		err = mcp.CheckAnswer(text, a.complete)
	} else if err = mcp.CheckAnswer(text[:checkedLength], false); err == nil && a.complete && !endsAsJSON(text) {
		err = errors.New("cut off")
	}
	if err != nil {
		return a.bad("not valid JSON", "the backend's answer is not valid JSON")
	}
	return nil
}

// endsAsJSON reports whether an object or array may end as text does.
func endsAsJSON(text []byte) bool {
	text = bytes.TrimRight(text, " \t\r\n")
	return len(text) > 0 && (text[len(text)-1] == '}' || text[len(text)-1] == ']')
}

// pass hands the body on: what was read ahead, and the rest behind it.
func (a *answer) pass(out *Response) {
	body := &checkedBody{head: a.head, ahead: (*a.head)[:a.n], rest: a.resp.Body, allowed: a.limits.MaxAnswerBytes - int64(a.n)}
	out.ContentLength = a.resp.ContentLength
	if a.complete {
		out.ContentLength = int64(a.n)
		body.err = io.EOF
	}
	a.head = nil
	out.Body = body
}

// release gives the buffer of a failed answer back.
func (a *answer) release() {
	if a.head != nil {
		prefixes.Put(a.head)
		a.head = nil
	}
}

func isEventStream(h http.Header) bool { return isType(h, "text/event-stream") }

// isJSON reports a JSON body; related also takes the likes of problem+json.
func isJSON(h http.Header, related bool) bool {
	return isType(h, "application/json") || related && strings.HasSuffix(mediaType(h), "+json")
}

func isType(h http.Header, want string) bool { return strings.EqualFold(mediaType(h), want) }

// mediaType is the type without parameters; "" unless there is exactly one.
func mediaType(h http.Header) string {
	values := h["Content-Type"]
	if len(values) != 1 {
		return ""
	}
	t, _, _ := strings.Cut(values[0], ";")
	return strings.TrimSpace(t)
}
