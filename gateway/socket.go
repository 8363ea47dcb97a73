package gateway

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// This file is the WebSocket surface: each text message of a connection is one
// message of the protocol, of any revision, and goes the way of every request. What
// HTTP says in headers, the messages themselves or the handshake say.

// socket is one client's connection. Its front has the rest.
type socket struct {
	front
	conn   *websocket.Conn
	head   *http.Request // the handshake, as what each of its messages is sent with
	hangUp context.CancelCauseFunc
}

// closing is why the gateway ends a connection, as the client hears it.
type closing struct {
	code   websocket.StatusCode
	reason string // at most 123 bytes (RFC 6455 section 5.5)
}

func (c *closing) Error() string { return c.reason }

// isHandshake reports whether a request opens a WebSocket (RFC 6455 section 4.2.1).
func isHandshake(r *http.Request) bool {
	keys := r.Header["Sec-Websocket-Key"]
	if len(keys) != 1 {
		return false
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(keys[0]))
	return err == nil && len(key) == 16 && r.ProtoAtLeast(1, 1) && r.Header.Get("Sec-Websocket-Version") == "13" &&
		hasToken(r.Header["Connection"], "upgrade") && hasToken(r.Header["Upgrade"], "websocket")
}

func hasToken(values []string, token string) bool {
	for _, v := range values {
		for t := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(t), token) {
				return true
			}
		}
	}
	return false
}

// checkHandshake refuses what opens no WebSocket. A token in the query moves to where
// tokens are looked for; nobody sees the query any more, wherever it would be written.
func (e *Endpoint) checkHandshake(x *Exchange) *mcp.Error {
	if !isHandshake(x.r) {
		x.w.Header()["Upgrade"] = []string{"websocket"}
		x.w.Header()["Sec-Websocket-Version"] = []string{"13"}
		return mcp.Errorf(http.StatusUpgradeRequired, mcp.CodeInvalidRequest, "this path speaks WebSocket; other clients use the path that ends in /mcp")
	}
	query := x.r.URL.RawQuery
	x.r = x.r.WithContext(x.r.Context())
	x.r.URL = &url.URL{Path: x.r.URL.Path}
	x.r.RequestURI = ""
	if !e.queryToken || query == "" {
		return nil
	}
	values, _ := url.ParseQuery(query) // what cannot be read is no token
	x.r.Header = maps.Clone(x.r.Header)
	shown := slices.Clone(x.r.Header["Authorization"])
	for _, token := range values[queryTokenName] {
		shown = append(shown, "Bearer "+token)
	}
	if len(shown) > 0 {
		x.r.Header["Authorization"] = shown // more than one is for identify to refuse
	}
	return nil
}

// queryTokenName is the query parameter of a token (RFC 6750 section 2.3).
const queryTokenName = "access_token"

// upgrade makes a WebSocket of the request. Origin and Host have been looked at.
func (x *Exchange) upgrade() (*websocket.Conn, error) {
	conn, err := websocket.Accept(x.w, x.r, &websocket.AcceptOptions{
		Subprotocols: []string{"mcp"}, InsecureSkipVerify: true, CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(-1) // receive has the limit of every message
	return conn, nil
}

// turnAway tells a client why it may not in: browsers do not show pages the status of
// a refused handshake, so it is accepted and closed at once (REQ C-6).
func (x *Exchange) turnAway(err *mcp.Error) {
	conn, cause := x.upgrade()
	if cause != nil {
		return // the answer has been given
	}
	code := websocket.StatusPolicyViolation
	if err.Status == http.StatusServiceUnavailable {
		code = websocket.StatusTryAgainLater
	}
	_ = conn.Close(code, err.Message) // the client may be gone
}

// openSocket serves a connection until it ends.
func (e *Endpoint) openSocket(x *Exchange, captured http.Header) *mcp.Error {
	conn, err := x.upgrade()
	if err != nil {
		x.status = http.StatusNotImplemented
		x.fail("upgrade", err)
		return nil
	}
	x.status = http.StatusSwitchingProtocols
	ctx, gone := context.WithCancel(x.r.Context())
	defer gone()
	listening, done := e.server.listening.begin(ctx, e, x.caller)
	defer done()
	listening, hangUp := context.WithCancelCause(listening)
	defer hangUp(nil)
	s := &socket{conn: conn, head: messageHead(x.r), hangUp: hangUp}
	s.front = front{
		id: x.id, endpoint: e, who: x.caller, caller: x.caller.Key(), token: x.token, captured: captured,
		write: s.write, ctx: ctx, listening: listening,
	}
	e.metrics.StreamOpened()
	defer e.metrics.StreamClosed()
	var attending sync.WaitGroup
	attending.Go(s.attend)
	s.read()
	gone()
	attending.Wait()
	s.close()
	_ = conn.CloseNow() // it is closed already, but for what went wrong
	return nil
}

// messageHead is the handshake as what a message is sent with: who sends it, and no
// header that is about something else.
func messageHead(r *http.Request) *http.Request {
	head := r.WithContext(r.Context())
	head.Method, head.Body, head.Header = http.MethodPost, http.NoBody, maps.Clone(r.Header)
	for name := range head.Header {
		switch {
		case strings.HasPrefix(name, "Mcp-"), strings.HasPrefix(name, "Sec-Websocket-"), name == mcp.HeaderLastEventID,
			name == "Traceparent", name == "Tracestate", name == "Baggage": // of the handshake; a message has its own in _meta
			delete(head.Header, name)
		}
	}
	return head
}

// read has each message served, one after the other, until the connection ends.
func (s *socket) read() {
	for {
		kind, body, err := s.conn.Reader(s.ctx)
		if err != nil {
			return
		}
		r := s.head.WithContext(s.ctx)
		r.Header = maps.Clone(s.head.Header)
		if kind == websocket.MessageText {
			r.Body = io.NopCloser(body)
		} else {
			r.Body = nil
		}
		s.endpoint.serve(&Exchange{w: noAnswer{}, r: r, surface: surfaceFrame, socket: s})
	}
}

// receive reads a message within the limits of size and time.
func (s *socket) receive(x *Exchange) *mcp.Error {
	if x.r.Body == nil {
		_ = s.conn.Close(websocket.StatusUnsupportedData, "messages are text")
		return mcp.Errorf(http.StatusUnsupportedMediaType, mcp.CodeInvalidRequest, "messages are text")
	}
	limit := s.endpoint.server.opts.MaxBodyBytes
	late := time.AfterFunc(bodyTimeout, func() { _ = s.conn.CloseNow() })
	defer late.Stop()
	body, err := io.ReadAll(io.LimitReader(x.r.Body, limit+1))
	switch {
	case err != nil:
		return mcp.Errorf(http.StatusBadRequest, mcp.CodeInvalidRequest, "message could not be read to its end")
	case int64(len(body)) > limit:
		err := tooLarge(limit)
		_ = s.conn.Close(websocket.StatusMessageTooBig, err.Message)
		return err
	}
	x.body = body
	return nil
}

// describe says in headers what the message says, as a client of Streamable HTTP has
// to: the backend wants them, and later steps compare them.
func (s *socket) describe(x *Exchange) {
	h, m := x.r.Header, &x.message
	s.mu.Lock()
	revision := s.revision
	s.mu.Unlock()
	if m.Meta.HasVersion {
		revision = mcp.Revision(m.Meta.ProtocolVersion)
	}
	if m.Meta.HasVersion || revision >= mcp.Rev20250618 {
		h[mcp.HeaderProtocolVersion] = []string{string(revision)}
	}
	if revision.Modern() && m.Kind == mcp.KindRequest {
		h[mcp.HeaderMethod] = []string{m.Method}
		if m.TargetSpan.Present() {
			h[mcp.HeaderName] = []string{mcp.EncodeHeaderValue(m.Target)}
		}
	}
}

// lapsed reports whether the caller's token has expired since the connection opened.
func (s *socket) lapsed() bool { return context.Cause(s.listening) == errExpired }

// admit gives a message its front. When the token has expired it takes what running
// calls wait for, and nothing else (REQ B-17).
func (s *socket) admit(x *Exchange) *mcp.Error {
	x.front = &s.front
	s.mu.Lock()
	x.session = clientSession{presented: s.id, captured: s.captured, elicits: s.elicits}
	s.mu.Unlock()
	if s.lapsed() && x.message.Kind != mcp.KindResponse && x.message.Method != "notifications/cancelled" {
		x.note("the token has expired")
		return s.refusal()
	}
	return nil
}

// refuse answers a message that is refused, if its client waits for an answer. One
// that is refused before it was read is read for its id, since nothing else tells the
// client which of its requests that was.
func (s *socket) refuse(x *Exchange, err *mcp.Error) {
	m := x.message
	if m.Raw == nil && x.body != nil {
		m, _ = mcp.Parse(x.body, s.endpoint.server.opts.Message) // whatever is wrong with it, it is refused already
	}
	if m.Kind == mcp.KindNotification || m.Kind == mcp.KindResponse {
		return
	}
	_ = s.send(err.Append(nil, m.ID)) // the client may be gone
}

var errNotText = errors.New("the message is not valid UTF-8")

// write sends one message. One that is no text would make the client drop the
// connection, with all that others wait for (RFC 6455 section 8.1).
func (s *socket) write(msg []byte) error {
	if !utf8.Valid(msg) {
		return errNotText
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), writeTimeout)
	defer cancel()
	return s.conn.Write(ctx, websocket.MessageText, msg)
}

// attend sees that the client is still there, and ends the connection when it is only
// to be listened to any more.
func (s *socket) attend() {
	var beats <-chan time.Time
	if every := s.endpoint.server.opts.Heartbeat; every > 0 {
		t := time.NewTicker(every)
		defer t.Stop()
		beats = t.C
	}
	for s.listening.Err() == nil {
		select {
		case <-s.listening.Done():
		case <-beats:
			ctx, cancel := context.WithTimeout(s.listening, writeTimeout+s.endpoint.server.opts.CallTimeout) // pongs are read between messages
			err := s.conn.Ping(ctx)
			cancel()
			if err != nil && s.listening.Err() == nil {
				_ = s.conn.CloseNow()
				return
			}
		}
	}
	if s.ctx.Err() != nil {
		return
	}
	s.finish()
	c := s.why()
	_ = s.conn.Close(c.code, c.reason) // the client may be gone
}

// why is what the client is told when the gateway ends the connection.
func (s *socket) why() *closing {
	cause := context.Cause(s.listening)
	if c, ok := errors.AsType[*closing](cause); ok {
		return c
	}
	switch cause {
	case errExpired:
		return &closing{websocket.StatusPolicyViolation, "token expired"}
	case errEndpointChanged:
		return &closing{websocket.StatusServiceRestart, "the configuration changed; connect again"}
	default:
		return &closing{websocket.StatusGoingAway, "the gateway is shutting down; connect again"}
	}
}

// noAnswer is the ResponseWriter of a message, whose answer comes by the connection.
type noAnswer http.Header

// Header is there to be written to.
func (n noAnswer) Header() http.Header { return http.Header(n) }

// Write drops what the connection does not carry.
func (n noAnswer) Write(p []byte) (int, error) { return len(p), nil }

// WriteHeader has nobody to tell.
func (n noAnswer) WriteHeader(int) {}
