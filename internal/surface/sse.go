package surface

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/pipeline"
)

// This file is the surface of HTTP+SSE (MCP 2024-11-05 transports): a stream that
// carries every answer, and an address that messages are posted to.

// opening is the request that opens a stream.
type opening struct{ request }

// Receive takes the request in.
func (q *opening) Receive(*pipeline.Exchange) *mcp.Error { return q.receive(http.MethodGet) }

// Forward sends the address for messages first, then whatever the backend has to say,
// until the client leaves.
func (q *opening) Forward(x *pipeline.Exchange) *mcp.Error {
	if err := x.Prepare(); err != nil {
		return err
	}
	listening, done := q.s.listening.begin(x.Request.Context(), q.e, x.Caller)
	defer done()
	out := q.s.newStreamWriter(q.w)
	c := newConnection(x.Request.Context(), listening, &q.request, rand.Text())
	c.write = func(msg []byte) error {
		return out.write(mcp.AppendEvent(nil, mcp.Event{Name: "message", Data: msg}), true)
	}
	h := q.w.Header()
	h["Content-Type"] = []string{"text/event-stream"}
	h["Cache-Control"] = []string{"no-cache"}
	h["X-Accel-Buffering"] = []string{"no"}
	x.Status = http.StatusOK
	q.w.WriteHeader(http.StatusOK)
	q.s.streams.Store(c.id, c)
	q.e.Metrics.StreamOpened()
	defer func() {
		c.close() // a call may still wait for what its client posts
		q.s.streams.Delete(c.id)
		out.stopHeartbeat()
		q.e.Metrics.StreamClosed()
	}()
	first := mcp.AppendEvent(nil, mcp.Event{Name: "endpoint", Data: []byte(q.s.messagesAddress(x.Request, q.e, c.id))})
	if out.write(first, true) != nil {
		x.Left()
		return nil
	}
	out.startHeartbeat(q.s.Heartbeat)
	<-listening.Done() // the client left, or is to come again; its running calls end first
	return nil
}

// messagesAddress is the address for a connection's messages, as a path: it is on the
// origin the client used, whatever that is (MCP 2024-11-05 transports).
func (s *Surfaces) messagesAddress(r *http.Request, e *pipeline.Endpoint, id string) string {
	prefix := e.Link.Prefix
	switch {
	case prefix != "":
	case s.PublicURL != "":
		if u, err := url.Parse(s.PublicURL); err == nil {
			prefix = strings.TrimRight(u.EscapedPath(), "/")
		}
	case e.Link.Outside.Has(Hostname(r.Host)):
		prefix = e.Link.Outside.Prefix
	case e.Link.Trusts(r):
		prefix = forwardedPrefix(r.Header)
	}
	return prefix + "/servers/" + url.PathEscape(e.Name) + "/messages?session=" + url.QueryEscape(id)
}

// posted is a message, which is answered by the stream that it belongs to.
type posted struct {
	request
	stream   *connection
	accepted bool // the post has its answer; the message has not
}

// Receive takes the request in.
func (q *posted) Receive(*pipeline.Exchange) *mcp.Error { return q.receiveMessage(http.MethodPost) }

// Complete looks at headers where there are any: 2024-11-05 knows none. Forward answers
// who tries a newer revision.
func (q *posted) Complete(x *pipeline.Exchange) *mcp.Error {
	if len(x.Request.Header[mcp.HeaderProtocolVersion]) > 0 {
		return agree(x)
	}
	return mcp.CheckHeaders(x.Request.Header, &x.Message)
}

// FindSession finds the stream that a message belongs to. A stream of another
// endpoint or another caller is as unknown as one that never was.
func (q *posted) FindSession(x *pipeline.Exchange) *mcp.Error {
	found, _ := q.s.streams.Load(x.Request.URL.Query().Get("session"))
	c, ok := found.(*connection)
	if !ok || c.e.Name != q.e.Name || c.caller.Key() != x.Caller.Key() {
		return unknownSession()
	}
	q.stream, x.Endpoint = c, c.e
	x.Session = c.session()
	return nil
}

// Forward leaves the message to its stream.
func (q *posted) Forward(x *pipeline.Exchange) *mcp.Error {
	accept := func() {
		q.accepted = true
		q.w.WriteHeader(http.StatusAccepted)
	}
	if x.IsRequest() && x.Message.Meta.HasVersion { // some clients try this before they initialize
		accept()
		x.Note("revision")
		return mcp.LegacyOnly(x.Message.Meta.ProtocolVersion)
	}
	return q.stream.take(x, passage{ctx: q.stream.ctx, done: func() {}, accept: accept, status: http.StatusAccepted})
}

// Refuse answers the post, or where that has been accepted the message. What is no
// failure of the post is answered like every request, by the stream: nobody looks for
// it elsewhere (MCP 2024-11-05 transports).
func (q *posted) Refuse(x *pipeline.Exchange, err *mcp.Error) {
	if !q.accepted && q.stream != nil && x.IsRequest() && err.Status < http.StatusMultipleChoices {
		q.accepted = true
		q.w.WriteHeader(http.StatusAccepted)
	}
	if !q.accepted {
		q.request.Refuse(x, err)
		return
	}
	x.Status = http.StatusAccepted
	_ = q.stream.last(x, err.Append(nil, x.Message.ID)) // the client may be gone
}
