package gateway

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"sync"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// This file is the surface of HTTP+SSE (MCP 2024-11-05 transports): a stream that
// carries every answer, and an address that messages are posted to.

// fronts are those whose messages come by other requests, by id.
type fronts struct {
	mu   sync.Mutex
	open map[string]*front
}

func (fs *fronts) add(f *front) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.open == nil {
		fs.open = map[string]*front{}
	}
	fs.open[f.id] = f
}

func (fs *fronts) remove(f *front) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	delete(fs.open, f.id)
}

func (fs *fronts) get(id string) *front {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return fs.open[id]
}

// openFront answers a GET of the SSE endpoint: the address for messages first
// (S1), then whatever the backend has to say, until the client leaves.
func (e *Endpoint) openFront(x *Exchange, captured http.Header) *mcp.Error {
	listening, done := e.server.listening.begin(x.r.Context(), e, x.caller)
	defer done()
	out := &streamWriter{w: x.w, rc: http.NewResponseController(x.w)}
	f := &front{
		id: rand.Text(), endpoint: e, who: x.caller, caller: x.caller.Key(), token: x.token, captured: captured,
		ctx: x.r.Context(), listening: listening,
		write: func(msg []byte) error {
			return out.write(mcp.AppendEvent(nil, mcp.Event{Name: "message", Data: msg}), true)
		},
	}
	h := x.w.Header()
	h["Content-Type"] = []string{"text/event-stream"}
	h["Cache-Control"] = []string{"no-cache"}
	h["X-Accel-Buffering"] = []string{"no"}
	x.status = http.StatusOK
	x.w.WriteHeader(http.StatusOK)
	e.server.fronts.add(f)
	e.metrics.StreamOpened()
	defer func() {
		f.close() // a call may still wait for what its client posts
		e.server.fronts.remove(f)
		out.stopHeartbeat()
		e.metrics.StreamClosed()
	}()
	first := mcp.AppendEvent(nil, mcp.Event{Name: "endpoint", Data: []byte(e.link.messages(x.r, e.name, f.id))})
	if out.write(first, true) != nil {
		x.left()
		return nil
	}
	out.startHeartbeat(e.server.opts.Heartbeat)
	<-listening.Done() // the client left, or is to come again; its running calls end first
	return nil
}

// findFront finds the stream that a posted message belongs to. A stream of
// another endpoint or another caller is as unknown as one that never was.
func (e *Endpoint) findFront(x *Exchange) *mcp.Error {
	f := e.server.fronts.get(x.r.URL.Query().Get("session"))
	if f == nil || f.endpoint.name != e.name || f.caller != x.caller.Key() {
		return unknownSession()
	}
	x.front = f
	x.session = clientSession{presented: f.id, captured: f.captured}
	return nil
}

// messages is the address for a front's messages, as a path: it is on the origin
// the client used, whatever that is (MCP 2024-11-05 transports).
func (l link) messages(r *http.Request, name, id string) string {
	prefix := l.prefix
	if prefix == "" && l.trusts(r) {
		prefix = forwardedPrefix(r.Header)
	}
	return prefix + "/servers/" + url.PathEscape(name) + "/messages?session=" + url.QueryEscape(id)
}
