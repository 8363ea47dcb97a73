package bridge

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/bridge/convert"
	"github.com/sallyport-dev/sallyport/internal/bridge/wire"
	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// This file serves subscriptions/listen of modern clients (MCP 2026-07-28
// subscriptions) by the listening stream of a legacy server's session, which all
// listens of the session share.

// listener is the listening stream of a session, open while somebody listens.
type listener struct {
	session *session
	end     context.CancelFunc
	opened  chan struct{} // closed when the server has answered the first time
	offered bool          // it has such a stream; set before opened is closed

	mu      sync.Mutex
	streams map[*listenStream]struct{}
	uris    map[string]int     // subscribed at the server, with how many listens want them
	restart context.CancelFunc // of the server's stream that is open; nil while none is
	ended   bool
}

const (
	openWait    = 5 * time.Second // for the head of a server's listening stream
	maxWaiting  = 256             // notifications that a client has not read
	maxListens  = 64              // of one session
	reopenFirst = time.Second
	reopenLast  = time.Minute
)

// listen answers subscriptions/listen.
func (b *Bridge) listen(ctx context.Context, req *backend.Request) (*backend.Response, error) {
	m := req.Message
	asked := mcp.Path(m.Bytes(m.Params), "notifications")
	if !mcp.HasObject(asked) {
		return backend.Refusal(m.ID, mcp.Errorf(http.StatusBadRequest, mcp.CodeInvalidParams, "params.notifications is missing")), nil
	}
	s, err := b.pool.get(ctx, req)
	if err != nil {
		return nil, err
	}
	l := s.listening()
	select {
	case <-l.opened:
	case <-time.After(openWait): // it has one, and says nothing until there is something to say
		l.offered = true
	case <-ctx.Done():
		s.leave()
		return nil, b.cancelled(ctx)
	}
	st := &listenStream{ctx: ctx, listener: l, id: m.ID, arrived: make(chan []byte, maxWaiting), broken: make(chan struct{})}
	st.want = s.grant(asked, l.offered)
	if !l.add(st) { // before it subscribes: what changes from then on is told
		s.leave()
		return nil, b.busy()
	}
	l.subscribe(ctx, st)
	st.Emit(notification("notifications/subscriptions/acknowledged", wire.With(nil,
		wire.Field("_meta", st.meta()), wire.Field("notifications", st.want.Raw()))))
	return backend.StreamResponse(st), nil
}

func (b *Bridge) cancelled(ctx context.Context) *backend.Failure {
	const clientClosedRequest = 499
	return &backend.Failure{
		Public: mcp.Errorf(clientClosedRequest, mcp.CodeInternal, "%s: the request was cancelled", b.Name),
		Reason: backend.ReasonCanceled, Cause: context.Cause(ctx),
	}
}

// grant is what of a client's wishes the server can meet.
func (s *session) grant(asked []byte, offered bool) (w convert.Wanted) {
	if !offered {
		return w
	}
	initialized := s.now().initialized
	has := func(kind, what string) bool { return wire.IsTrue(mcp.Path(initialized, "capabilities", kind, what)) }
	w.Tools = wire.IsTrue(mcp.Path(asked, "toolsListChanged")) && has("tools", "listChanged")
	w.Prompts = wire.IsTrue(mcp.Path(asked, "promptsListChanged")) && has("prompts", "listChanged")
	w.Resources = wire.IsTrue(mcp.Path(asked, "resourcesListChanged")) && has("resources", "listChanged")
	if has("resources", "subscribe") {
		w.URIs, _ = mcp.Texts(mcp.Path(asked, "resourceSubscriptions"))
	}
	return w
}

// listening is the session's listener, begun if there is none.
func (s *session) listening() *listener {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		ctx, end := context.WithCancel(context.Background())
		s.listener = &listener{
			session: s, end: end, opened: make(chan struct{}), streams: map[*listenStream]struct{}{}, uris: map[string]int{},
		}
		go s.listener.run(ctx)
	}
	return s.listener
}

// overheard gives a notification that came anywhere in the session to those who
// listen for it.
func (s *session) overheard(m message) {
	s.mu.Lock()
	l := s.listener
	s.mu.Unlock()
	if l != nil && convert.IsSubscribed(m.Method) {
		l.tell(m)
	}
}

// run keeps the server's listening stream open until nobody listens. Where the server
// has lost the session it opens another, and subscribes anew.
func (l *listener) run(ctx context.Context) {
	s := l.session
	subscribed := s.now()
	first := true
	for wait := reopenFirst; ctx.Err() == nil; wait = min(2*wait, reopenLast) {
		at := s.now()
		resp, err := l.open(ctx, at)
		ok := err == nil && resp.Stream && resp.Status == http.StatusOK
		none := err == nil && resp.Status == http.StatusMethodNotAllowed
		if at.lost(resp, err) { // or it has no such stream, and does not know that 405 says so
			if _, err := s.ask(ctx, "ping", nil); err == nil && s.now() != at {
				closeBody(resp)
				continue
			} else if err == nil {
				none = true
			}
		}
		if first {
			l.offered = ok || !none && err != nil && ctx.Err() == nil && !says(err)
			close(l.opened)
		}
		switch {
		case ok:
			if at != subscribed {
				subscribed = at
				l.resubscribe(ctx)
			}
			if !first {
				l.missed()
			}
			wait = reopenFirst
			l.read(ctx, at, resp)
		default:
			closeBody(resp)
		}
		if none {
			return
		}
		if first = false; s.now() != at {
			continue // the session has been opened anew
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

func closeBody(resp *backend.Response) {
	if resp != nil {
		_ = resp.Body.Close()
	}
}

// open asks for the server's stream.
func (l *listener) open(ctx context.Context, at *conversation) (*backend.Response, error) {
	ctx, cancel := context.WithCancel(ctx)
	l.mu.Lock()
	l.restart = cancel
	l.mu.Unlock()
	resp, err := at.listen(ctx, "")
	if err != nil || !resp.Stream {
		cancel()
	}
	return resp, err
}

// reopen has the server's stream, if there is one, opened anew: it is one of a session
// that the server has lost.
func (l *listener) reopen() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.restart != nil {
		l.restart()
	}
}

// read gives what comes by the server's stream to those who listen.
func (l *listener) read(ctx context.Context, at *conversation, resp *backend.Response) {
	defer resp.Body.Close()
	from := l.session.bridge.source(resp)
	for {
		_, m, ok, err := from.Next()
		switch {
		case err != nil:
			return
		case !ok:
		case m.Kind == mcp.KindNotification && convert.IsSubscribed(m.Method):
			l.tell(m)
		case m.Kind == mcp.KindRequest && m.Method == "ping":
			_ = at.say(ctx, response(m.ID, []byte("{}")))
		case m.Kind == mcp.KindRequest && convert.IsQuestion(m.Method) && l.session.askElsewhere(at, m):
		case m.Kind == mcp.KindRequest: // nobody knows whose call it is about
			e := mcp.Errorf(0, mcp.CodeMethodNotFound, "requests to the client are to come by the stream of the call that they are about")
			_ = at.say(ctx, e.Append(nil, m.ID))
		}
	}
}

// tell gives a notification to those who want it.
func (l *listener) tell(m message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for st := range l.streams {
		if !st.want.Hears(m.Method, m.Params) {
			continue
		}
		raw := notification(m.Method, wire.With(m.Params, wire.Field("_meta", wire.With(mcp.Path(m.Params, "_meta"), wire.Field(convert.MetaSubscription, st.id)))))
		select {
		case st.arrived <- raw:
		default: // a client that does not read must not miss some and get others
			delete(l.streams, st)
			close(st.broken)
		}
	}
}

// missed tells everybody of everything, after a time in which the stream was not there.
func (l *listener) missed() {
	for _, kind := range []string{"tools", "prompts", "resources"} {
		l.tell(message{Kind: mcp.KindNotification, Method: "notifications/" + kind + "/list_changed"})
	}
	for _, uri := range l.subscribed() {
		l.tell(message{Kind: mcp.KindNotification, Method: "notifications/resources/updated", Params: wire.With(nil, wire.Field("uri", mcp.Quote(uri)))})
	}
}

// subscribe subscribes to what a listen wants of the resources and nobody has subscribed
// to yet. What the server refuses the listen wants no more.
func (l *listener) subscribe(ctx context.Context, st *listenStream) {
	var granted []string
	for _, uri := range st.want.URIs {
		l.mu.Lock()
		l.uris[uri]++
		first := l.uris[uri] == 1
		l.mu.Unlock()
		if first {
			if m, err := l.session.ask(ctx, "resources/subscribe", wire.With(nil, wire.Field("uri", mcp.Quote(uri)))); err != nil || m.Fault != nil {
				l.unsubscribe([]string{uri})
				continue
			}
		}
		granted = append(granted, uri)
	}
	l.mu.Lock()
	st.want.URIs = granted
	l.mu.Unlock()
}

// resubscribe subscribes in a new session to what was subscribed to in the lost one.
func (l *listener) resubscribe(ctx context.Context) {
	for _, uri := range l.subscribed() {
		_, _ = l.session.ask(ctx, "resources/subscribe", wire.With(nil, wire.Field("uri", mcp.Quote(uri)))) // who listens is told that it may have changed anyway
	}
}

func (l *listener) subscribed() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Keys(l.uris))
}

// unsubscribe gives up resources, at the server those that nobody wants any more.
func (l *listener) unsubscribe(uris []string) {
	for _, uri := range uris {
		l.mu.Lock()
		l.uris[uri]--
		last := l.uris[uri] == 0
		if last {
			delete(l.uris, uri)
		}
		l.mu.Unlock()
		if !last {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		_, _, _ = l.session.now().ask(ctx, "resources/unsubscribe", wire.With(nil, wire.Field("uri", mcp.Quote(uri)))) // it ends with the session anyway
		cancel()
	}
}

func (l *listener) add(st *listenStream) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended || len(l.streams) >= maxListens {
		return false
	}
	l.streams[st] = struct{}{}
	return true
}

// remove takes a stream out. When nobody listens any more, the server's stream ends.
func (l *listener) remove(st *listenStream) {
	l.mu.Lock()
	delete(l.streams, st)
	last := len(l.streams) == 0
	l.mu.Unlock()
	l.unsubscribe(st.want.URIs)
	if !last {
		return
	}
	s := l.session
	s.mu.Lock()
	defer s.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.streams) == 0 && s.listener == l && !s.attends {
		s.listener = nil
		l.ended = true
		l.end()
	}
}

// stop ends all streams, in order.
func (l *listener) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	l.end()
	for st := range l.streams {
		close(st.arrived)
		delete(l.streams, st)
	}
}

// listenStream is one client's listen.
type listenStream struct {
	ctx      context.Context
	listener *listener
	id       []byte
	want     convert.Wanted
	arrived  chan []byte   // closed when the listen ends in order
	broken   chan struct{} // closed when the client does not read

	wire.Pulled
	closed bool
}

var errNotRead = errors.New("the client does not read")

// meta names the listen in a message of its stream.
func (st *listenStream) meta() []byte {
	return wire.With(nil, wire.Field(convert.MetaSubscription, st.id))
}

func (st *listenStream) Read(p []byte) (int, error) { return st.Pull(p, st.next) }

// next waits for something to tell.
func (st *listenStream) next() {
	select {
	case <-st.ctx.Done():
		st.Err = context.Cause(st.ctx)
	case <-st.broken:
		st.Err = errNotRead
	case raw, ok := <-st.arrived:
		if ok {
			st.Emit(raw)
			return
		}
		st.Finish(response(st.id, wire.With(nil, wire.Field("resultType", []byte(`"complete"`)), wire.Field("_meta", st.meta()))))
	}
}

func (st *listenStream) Close() error {
	if !st.closed {
		st.closed = true
		st.listener.remove(st)
		st.listener.session.leave()
	}
	return nil
}
