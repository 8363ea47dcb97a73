package gateway

import (
	"context"
	"crypto/rand"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/audit"
	"github.com/sallyport-dev/sallyport/internal/authn"
	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// front is one client of the HTTP+SSE transport (MCP 2024-11-05 transports): the
// stream that carries every answer to it, and what a Streamable HTTP client would
// have remembered of its session with the backend. It lives as long as the stream.
type front struct {
	id       string
	endpoint *Endpoint
	who      *identity.Caller // whoever opened the stream
	caller   string           // its Key
	token    secret.Value     // that proved it, where the inner door may need it
	captured http.Header      // passthrough values of the stream's request (REQ E-4)
	out      *streamWriter
	ctx      context.Context // of the calls: the client's stream
	calls    sync.WaitGroup  // exchanges under way
	// listening ends with ctx, and already when the stream is only listened to any
	// more: on a change of the configuration and on a drain.
	listening context.Context

	mu       sync.Mutex
	session  backend.Session
	revision mcp.Revision // as negotiated with the backend
	closing  bool
	listens  bool // the backend's own stream is open, or was refused
}

// fronts are the open ones, by id.
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
	listening, done := e.server.listening.begin(x.r.Context(), e)
	defer done()
	f := &front{
		id: rand.Text(), endpoint: e, who: x.caller, caller: x.caller.Key(), token: x.token, captured: captured,
		ctx: x.r.Context(), listening: listening,
		out: &streamWriter{w: x.w, rc: http.NewResponseController(x.w)},
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
		e.server.fronts.remove(f)
		f.close()
		e.metrics.StreamClosed()
	}()
	first := mcp.AppendEvent(nil, mcp.Event{Name: "endpoint", Data: []byte(e.link.messages(x.r, e.name, f.id))})
	if f.out.write(first, true) != nil {
		x.left()
		return nil
	}
	f.out.startHeartbeat(e.server.opts.Heartbeat)
	<-listening.Done() // the client left, or is to come again; its running calls end first
	return nil
}

// begin runs an exchange of the front, unless the front is closing.
func (f *front) begin(run func()) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closing {
		f.calls.Go(run)
	}
	return !f.closing
}

// close ends the front: it takes no new exchange, those under way end, by
// themselves or because the client has left, and the backend's session with them.
func (f *front) close() {
	f.mu.Lock()
	f.closing = true
	f.mu.Unlock()
	f.calls.Wait()
	f.out.stopHeartbeat()
	f.mu.Lock()
	session := f.session
	f.mu.Unlock()
	if session.ID == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(f.ctx), 5*time.Second)
	defer cancel()
	private, denied := f.private(ctx)
	if denied != nil {
		return // the backend would not know whose session it is to end
	}
	req := &backend.Request{Method: http.MethodDelete, Header: http.Header{}, Private: private, Session: session}
	if resp, err := f.endpoint.backend.Do(ctx, req); err == nil {
		_ = resp.Body.Close()
	}
}

// private are the headers for requests that no client message stands behind. The
// credential is that of whoever opened the stream.
func (f *front) private(ctx context.Context) (http.Header, error) {
	e := f.endpoint
	h, err := e.outgoing.headers(ctx, f.who, f.token, f.captured)
	if err != nil {
		e.log.Warn("no credential for a stream of HTTP+SSE", "cause", err)
	}
	return h, err
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

// postFront takes a posted message: 202 now, and the answer on the stream later
// (S3). Notifications go to the backend before the 202, so that their order holds.
func (e *Endpoint) postFront(x *Exchange, req *backend.Request) *mcp.Error {
	f := x.front
	e = f.endpoint // the stream goes on with the configuration it began with
	req.Header["Accept"] = []string{"application/json, text/event-stream"}
	f.mu.Lock()
	req.Session = f.session
	if f.revision >= mcp.Rev20250618 {
		req.Header[mcp.HeaderProtocolVersion] = []string{string(f.revision)}
	}
	f.mu.Unlock()
	x.ctx = f.ctx
	if !x.isRequest() {
		call := e.beginCall(x, req)
		defer call.end()
		resp, err := e.backend.Do(f.ctx, req)
		if err != nil {
			return e.failed(x, err)
		}
		_ = resp.Body.Close()
		if x.message.Method == "notifications/initialized" {
			f.listen()
		}
		x.status = http.StatusAccepted
		x.w.WriteHeader(http.StatusAccepted)
		return nil
	}
	if x.message.Meta.HasVersion { // some clients try this before they initialize
		x.status = http.StatusAccepted
		x.w.WriteHeader(http.StatusAccepted)
		x.outcome, x.reason = audit.Denied, "revision"
		_ = f.send(mcp.LegacyOnly(x.message.Meta.ProtocolVersion).Append(nil, x.message.ID)) // nobody else to tell
		return nil
	}
	accepted := make(chan struct{}) // the answer to the post comes before that to the request
	if !f.begin(func() {
		<-accepted
		defer e.finish(x)
		f.call(x, req)
	}) {
		return unknownSession()
	}
	defer close(accepted)
	x.detached = true
	x.status = http.StatusAccepted
	x.w.WriteHeader(http.StatusAccepted)
	return nil
}

// call carries one request to the backend and its answer to the stream.
func (f *front) call(x *Exchange, req *backend.Request) {
	e := f.endpoint
	call := e.beginCall(x, req)
	defer call.end()
	resp, err := e.backend.Do(f.ctx, req)
	if err == nil {
		defer resp.Body.Close()
		e.metrics.Up(true)
		call.answeredBy(resp)
		if x.message.Method == "initialize" && resp.Session.ID != "" {
			f.mu.Lock()
			f.session = resp.Session
			f.mu.Unlock()
		}
		if err = e.reshape(x, resp); err == nil {
			err = f.pass(x, resp)
		}
	}
	switch {
	case err == nil:
	case f.ctx.Err() != nil:
		x.left()
	default:
		public := e.failed(x, err)
		_ = f.send(public.Append(nil, x.message.ID))
	}
}

// pass sends every message of an answer down the client's stream.
func (f *front) pass(x *Exchange, resp *backend.Response) error {
	limit := f.endpoint.server.opts.MaxEventBytes
	if resp.Stream {
		return f.passStream(x, resp.Body, limit)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, int64(limit)+1))
	switch {
	case err != nil:
		return truncated(f.endpoint.name, err)
	case len(body) > limit:
		return truncated(f.endpoint.name, errEventTooLarge)
	case len(body) == 0:
		return nil
	}
	f.noteInitialized(x, body)
	return f.send(body)
}

func (f *front) passStream(x *Exchange, body io.Reader, limit int) error {
	events := mcp.NewEventReader(body, limit)
	answered := x == nil // nobody waits for anything on the backend's own stream
	for {
		ev, err := events.Next()
		switch {
		case err != nil && answered:
			return nil
		case err == io.EOF:
			return truncated(f.endpoint.name, errNoAnswer)
		case err != nil:
			return truncated(f.endpoint.name, err)
		}
		if len(ev.Data) == 0 || (ev.Name != "" && ev.Name != "message") {
			continue
		}
		f.noteInitialized(x, ev.Data)
		answered = answered || mcp.PeekResponse(ev.Data)
		if err := f.send(ev.Data); err != nil {
			return err
		}
	}
}

func truncated(name string, cause error) error {
	return &backend.Failure{
		Public: mcp.Errorf(http.StatusBadGateway, mcp.CodeInternal, "%s: the backend's answer broke off", name),
		Reason: backend.ReasonBadAnswer,
		Cause:  cause,
	}
}

// noteInitialized remembers the revision that the backend chose.
func (f *front) noteInitialized(x *Exchange, msg []byte) {
	if x == nil || x.message.Method != "initialize" {
		return
	}
	if rev, ok := mcp.NegotiatedRevision(msg); ok {
		f.mu.Lock()
		f.revision = rev
		f.mu.Unlock()
	}
}

// send writes one message as an event.
func (f *front) send(msg []byte) error {
	return f.out.write(mcp.AppendEvent(nil, mcp.Event{Name: "message", Data: msg}), true)
}

// listen opens the backend's own stream, once, and passes on what comes by it. A
// backend that offers none answers 405. One that ends is opened again.
func (f *front) listen() {
	f.mu.Lock()
	first := !f.listens
	f.listens = true
	req := &backend.Request{Method: http.MethodGet, Session: f.session, Header: http.Header{"Accept": {"text/event-stream"}}}
	if f.revision >= mcp.Rev20250618 {
		req.Header[mcp.HeaderProtocolVersion] = []string{string(f.revision)}
	}
	f.mu.Unlock()
	if !first {
		return
	}
	f.begin(func() {
		for wait := time.Second; ; wait = min(2*wait, 30*time.Second) {
			// Each time anew: a credential may have ended with the last stream.
			private, denied := f.private(f.listening)
			if denied != nil {
				return
			}
			req.Private = private
			resp, err := f.endpoint.backend.Do(f.listening, req)
			if err == nil {
				ok := resp.Stream && resp.Status == http.StatusOK && f.endpoint.reshape(&Exchange{r: &http.Request{Method: http.MethodGet}, caller: f.who}, resp) == nil
				if ok {
					_ = f.passStream(nil, resp.Body, f.endpoint.server.opts.MaxEventBytes)
				}
				_ = resp.Body.Close()
				if !ok {
					return
				}
			}
			select {
			case <-f.listening.Done():
				return
			case <-time.After(wait):
			}
		}
	})
}

// link makes the addresses that clients are told.
type link struct {
	prefix       string         // spec.endpointPrefix
	trustHeaders bool           // spec.trustProxyHeaders
	proxies      []netip.Prefix // spec.trustedProxy.trustedProxies
}

// trusts reports whether a request comes from a proxy whose X-Forwarded-* count.
func (l link) trusts(r *http.Request) bool {
	return l.trustHeaders && authn.Within(peer(r), l.proxies)
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

// forwardedPrefix is X-Forwarded-Prefix, if it is a plain absolute path.
func forwardedPrefix(h http.Header) string {
	v := h["X-Forwarded-Prefix"]
	if len(v) != 1 || !strings.HasPrefix(v[0], "/") || strings.HasPrefix(v[0], "//") {
		return ""
	}
	p := strings.TrimRight(v[0], "/")
	if strings.ContainsFunc(p, func(c rune) bool {
		return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("/-._~", c))
	}) {
		return ""
	}
	return p
}
