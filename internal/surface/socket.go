package surface

import (
	"context"
	"encoding/base64"
	"errors"
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
	"github.com/sallyport-dev/sallyport/internal/pipeline"
)

// This file is the WebSocket surface: each text message of a connection is one
// message of the protocol, of any revision, and goes the way of every request. What
// HTTP says in headers, the messages themselves or the handshake say.

// socket is one client's connection.
type socket struct {
	*connection
	conn   *websocket.Conn
	head   *http.Request // the handshake, as what each of its messages is sent with
	hangUp context.CancelCauseFunc
}

// closing is why the gateway ends a connection, as the client hears it.
type closing struct {
	code   websocket.StatusCode
	reason string // at most 123 bytes (RFC 6455 §5.5)
}

func (c *closing) Error() string { return c.reason }

// isHandshake reports whether a request opens a WebSocket (RFC 6455 §4.2.1).
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

// handshake is the request that opens a WebSocket.
type handshake struct{ request }

// Receive refuses what opens no WebSocket. A token in the query moves to where tokens
// are looked for; nobody sees the query any more, wherever it would be written.
func (q *handshake) Receive(x *pipeline.Exchange) *mcp.Error {
	if err := q.receive(http.MethodGet); err != nil {
		return err
	}
	if !isHandshake(x.Request) {
		x.Tell("Upgrade", "websocket")
		x.Tell("Sec-Websocket-Version", "13")
		return mcp.Errorf(http.StatusUpgradeRequired, mcp.CodeInvalidRequest, "this path speaks WebSocket; other clients use the path that ends in /mcp")
	}
	r := x.Request.WithContext(x.Request.Context())
	query := r.URL.RawQuery
	r.URL, r.RequestURI = &url.URL{Path: r.URL.Path}, ""
	x.Request = r
	if !q.e.QueryToken || query == "" {
		return nil
	}
	values, _ := url.ParseQuery(query) // what cannot be read is no token
	r.Header = maps.Clone(r.Header)
	shown := slices.Clone(r.Header["Authorization"])
	for _, token := range values[queryTokenName] {
		shown = append(shown, "Bearer "+token)
	}
	if len(shown) > 0 {
		r.Header["Authorization"] = shown // more than one is for identify to refuse
	}
	return nil
}

// queryTokenName is the query parameter of a token (RFC 6750 §2.3).
const queryTokenName = "access_token"

// upgrade makes a WebSocket of the request. Origin and Host have been looked at.
func (q *handshake) upgrade() (*websocket.Conn, error) {
	conn, err := websocket.Accept(q.w, q.Request, &websocket.AcceptOptions{
		Subprotocols: []string{"mcp"}, InsecureSkipVerify: true, CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(-1) // Receive has the limit of every message
	return conn, nil
}

// Refuse tells a client why it may not in: browsers do not show pages the status of
// a refused handshake, so for want of a credential it is accepted and closed at once
// (REQ C-6).
func (q *handshake) Refuse(x *pipeline.Exchange, err *mcp.Error) {
	if x.Denied == nil {
		q.request.Refuse(x, err)
		return
	}
	conn, cause := q.upgrade()
	if cause != nil {
		return // the answer has been given
	}
	code := websocket.StatusPolicyViolation
	if err.Status == http.StatusServiceUnavailable {
		code = websocket.StatusTryAgainLater
	}
	_ = conn.Close(code, err.Message) // the client may be gone
}

// Forward serves a connection until it ends.
func (q *handshake) Forward(x *pipeline.Exchange) *mcp.Error {
	if err := x.Prepare(); err != nil {
		return err
	}
	conn, err := q.upgrade()
	if err != nil {
		x.Status = http.StatusNotImplemented
		x.Fail("upgrade", err)
		return nil
	}
	x.Status = http.StatusSwitchingProtocols
	ctx, gone := context.WithCancel(x.Request.Context())
	defer gone()
	listening, done := q.s.listening.begin(ctx, q.e, x.Caller)
	defer done()
	listening, hangUp := context.WithCancelCause(listening)
	defer hangUp(nil)
	s := &socket{connection: newConnection(ctx, listening, &q.request, x.ID), conn: conn, head: messageHead(x.Request), hangUp: hangUp}
	s.connection.write = s.write
	q.e.Metrics.StreamOpened()
	defer q.e.Metrics.StreamClosed()
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
		m := &frame{socket: s, body: body, text: kind == websocket.MessageText}
		m.Client, m.WebSocket, m.Request = m, true, s.head.WithContext(s.ctx)
		m.Request.Header = maps.Clone(s.head.Header)
		s.e.Serve(&m.Exchange)
	}
}

var errNotText = errors.New("the message is not valid UTF-8")

// write sends one message. One that is no text would make the client drop the
// connection, with all that others wait for (RFC 6455 §8.1).
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
	if every := s.s.Heartbeat; every > 0 {
		t := time.NewTicker(every)
		defer t.Stop()
		beats = t.C
	}
	for s.listening.Err() == nil {
		select {
		case <-s.listening.Done():
		case <-beats:
			ctx, cancel := context.WithTimeout(s.listening, writeTimeout+s.s.CallTimeout) // pongs are read between messages
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
