package surface

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/coder/websocket"

	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/pipeline"
)

// frame is one message of a WebSocket.
type frame struct {
	pipeline.Exchange
	socket *socket
	body   io.Reader
	text   bool
	read   bool // as far as it can be
}

// Receive takes a message in that is text.
func (m *frame) Receive(x *pipeline.Exchange) *mcp.Error {
	s := m.socket
	if !m.text {
		_ = s.conn.Close(websocket.StatusUnsupportedData, "messages are text")
		return mcp.Errorf(http.StatusUnsupportedMediaType, mcp.CodeInvalidRequest, "messages are text")
	}
	if m.lapsed() {
		x.Caller, x.Token = s.caller, s.token
	}
	return nil
}

// Read reads the message within the limits of size and time.
func (m *frame) Read(x *pipeline.Exchange) *mcp.Error {
	m.read = true
	late := time.AfterFunc(BodyTimeout, func() { _ = m.socket.conn.CloseNow() })
	defer late.Stop()
	err := m.socket.s.readMessage(x, m.body, -1, func() string { return m.socket.sharer }) // whoever it is of, this client sent it
	if err != nil {                                                                        // the next message cannot be told from the rest of this one
		code := websocket.StatusTryAgainLater
		if err.Status == http.StatusRequestEntityTooLarge {
			code = websocket.StatusMessageTooBig
		}
		_ = m.socket.conn.Close(code, err.Message)
	}
	return err
}

// lapsed reports whether the caller's token has expired since the connection opened.
func (m *frame) lapsed() bool { return context.Cause(m.socket.listening) == errExpired }

// Complete says in headers what the message says, as a client of Streamable HTTP has
// to: the backend wants them, and they are compared as anybody's.
func (m *frame) Complete(x *pipeline.Exchange) *mcp.Error {
	h, msg := x.Request.Header, &x.Message
	m.socket.mu.Lock()
	revision := m.socket.revision
	m.socket.mu.Unlock()
	if msg.Meta.HasVersion {
		revision = mcp.Revision(msg.Meta.ProtocolVersion)
	}
	if msg.Meta.HasVersion || revision >= mcp.Rev20250618 {
		h[mcp.HeaderProtocolVersion] = []string{string(revision)}
	}
	if revision.Modern() && msg.Kind == mcp.KindRequest {
		h[mcp.HeaderMethod] = []string{msg.Method}
		if msg.TargetSpan.Present() {
			h[mcp.HeaderName] = []string{mcp.EncodeHeaderValue(msg.Target)}
		}
	}
	return agree(x)
}

// FindSession gives a message its connection's session. When the token has expired that
// takes what running calls wait for, and nothing else (REQ B-17).
func (m *frame) FindSession(x *pipeline.Exchange) *mcp.Error {
	s := m.socket
	s.mu.Lock()
	x.Session = pipeline.Session{ID: s.id, State: s.state, Captured: s.captured, Elicits: s.elicits}
	s.mu.Unlock()
	if m.lapsed() && x.Message.Kind != mcp.KindResponse && x.Message.Method != "notifications/cancelled" {
		x.Note("the token has expired")
		return s.refusal()
	}
	return nil
}

// Forward leaves the message to its connection.
func (m *frame) Forward(x *pipeline.Exchange) *mcp.Error {
	p := passage{ctx: m.socket.ctx, done: func() {}, accept: func() {}}
	if x.IsRequest() && x.Message.Method != "subscriptions/listen" {
		p.ctx, p.done = m.socket.s.lifetime(x)
	}
	return m.socket.take(x, p)
}

// Refuse answers a message that is refused, if its client waits for an answer. One
// that is refused before it was read is read for its id, since nothing else tells the
// client which of its requests that was. For want of a credential the connection ends.
func (m *frame) Refuse(x *pipeline.Exchange, err *mcp.Error) {
	if !m.read && m.text {
		_ = m.Read(x)
	}
	msg := x.Message
	if msg.Raw == nil && x.Body != nil {
		msg, _ = mcp.Parse(x.Body, x.Endpoint.Message) // whatever is wrong with it, it is refused already
	}
	if msg.Kind != mcp.KindNotification && msg.Kind != mcp.KindResponse {
		m.socket.unclaim(x)
		_ = m.socket.send(err.Append(nil, msg.ID)) // the client may be gone
	}
	if x.Denied != nil && err.Status != http.StatusServiceUnavailable {
		m.socket.hangUp(&closing{websocket.StatusPolicyViolation, err.Message})
	}
}
