package bridge

import (
	"context"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/bridge/convert"
	"github.com/sallyport-dev/sallyport/internal/bridge/wire"
	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// clientStream is the listening stream of a legacy client's session, fed by a
// subscriptions/listen at the modern server. When the session subscribes to another
// resource the server is asked anew.
type clientStream struct {
	bridge *Bridge
	client clientSession
	req    *backend.Request
	ctx    context.Context
	stop   context.CancelCauseFunc

	renewing sync.Mutex // one at a time asks anew

	mu     sync.Mutex
	cancel context.CancelFunc // of the listen that is read; nil for none
	next   *clientListen      // takes its place

	from    source
	granted []byte // what the server has said that it will tell of
	missed  bool   // something may have happened while nothing was open
	wait    time.Duration

	wire.Pulled
	closed bool
}

// clientListen is a listen that the server has acknowledged.
type clientListen struct {
	from    source
	cancel  context.CancelFunc
	granted []byte
}

// listenLegacy answers a GET. A session has one such stream: a newer one takes over.
func (b *Bridge) listenLegacy(ctx context.Context, req *backend.Request, c clientSession) (*backend.Response, error) {
	if c.id == "" {
		return backend.StatusResponse(http.StatusMethodNotAllowed), nil
	}
	s := &clientStream{bridge: b, client: c, req: req}
	s.ctx, s.stop = context.WithCancelCause(ctx)
	ok := b.clients.change(c.id, func(st *clientState) {
		if st.listening != nil {
			st.listening.stop(errSuperseded)
		}
		st.listening = s
	})
	if !ok {
		return nil, b.busy()
	}
	return backend.StreamResponse(s), nil
}

func (s *clientStream) Read(p []byte) (int, error) { return s.Pull(p, s.pull) }

// pull reads one event of the server's, from a listen that is opened where none is.
func (s *clientStream) pull() {
	switch why := context.Cause(s.ctx); {
	case why == errSuperseded || why == errClosing:
		s.Err = io.EOF
	case why != nil:
		s.Err = why
	case !s.from.Open():
		s.open()
	default:
		s.take()
	}
}

// ask sends a listen for what the session wants now.
func (s *clientStream) ask(ctx context.Context) (source, error) {
	want := convert.Wanted{Tools: true, Prompts: true, Resources: true, URIs: s.bridge.clients.uris(s.client.id)}
	params := convert.ModernParams(wire.With(nil, wire.Field("notifications", want.Raw())), s.client.capabilities, s.client.info, "")
	req, err := s.bridge.post(s.req, request(mcp.Quote("listen"), "subscriptions/listen", params))
	if err != nil {
		return source{}, err
	}
	setModernHeaders(req)
	resp, err := s.bridge.Next.Do(ctx, req)
	switch {
	case err != nil:
		return source{}, err
	case !resp.Stream:
		_ = resp.Body.Close()
		return source{}, s.bridge.bad(nil, "the server does not listen")
	}
	return s.bridge.source(resp), nil
}

// open begins a listen at the server. Where that fails it waits a while first.
func (s *clientStream) open() {
	if s.wait > 0 {
		select {
		case <-s.ctx.Done():
			return
		case <-time.After(s.wait):
		}
	}
	s.wait = min(max(2*s.wait, 50*time.Millisecond), reopenLast)
	ctx, cancel := context.WithCancel(s.ctx)
	s.mu.Lock()
	s.cancel = cancel
	s.mu.Unlock()
	from, err := s.ask(ctx)
	if !s.follow(cancel) && err == nil {
		s.from, s.wait = from, 0
	}
}

// follow goes on with the listen that takes the place of the one that is cancelled; false
// when there is none.
func (s *clientStream) follow(cancel context.CancelFunc) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.next
	if n == nil {
		return false
	}
	cancel()
	_ = s.from.Close()
	s.from, s.granted, s.cancel, s.next, s.wait = n.from, n.granted, n.cancel, nil, 0
	return true
}

// take passes on one event of the server's.
func (s *clientStream) take() {
	raw, m, ok, err := s.from.Next()
	if err != nil {
		_ = s.from.Close()
		if !s.follow(s.cancel) {
			s.missed, s.wait = true, reopenFirst
		}
		return
	}
	if ok && m.Method == acknowledged {
		s.granted = mcp.Path(m.Params, "notifications")
		if s.missed {
			s.missed = false
			s.tellAll()
		}
	}
	if !ok || m.Kind != mcp.KindNotification || !convert.IsSubscribed(m.Method) {
		return
	}
	if meta := mcp.Path(m.Params, "_meta"); meta != nil {
		meta = mcp.Without(meta, func(key string) bool { return key == convert.MetaSubscription })
		params := mcp.Without(m.Params, func(key string) bool { return key == "_meta" })
		if string(meta) != "{}" {
			params = wire.With(params, wire.Field("_meta", meta))
		}
		raw = notification(m.Method, params)
	}
	s.Emit(raw)
}

const acknowledged = "notifications/subscriptions/acknowledged"

// tellAll tells the client that everything may have changed of what the server tells.
func (s *clientStream) tellAll() {
	for _, kind := range []string{"tools", "prompts", "resources"} {
		if wire.IsTrue(mcp.Path(s.granted, kind+"ListChanged")) {
			s.Emit(notification("notifications/"+kind+"/list_changed", nil))
		}
	}
	uris, _ := mcp.Texts(mcp.Path(s.granted, "resourceSubscriptions"))
	for _, uri := range uris {
		s.Emit(notification("notifications/resources/updated", wire.With(nil, wire.Field("uri", mcp.Quote(uri)))))
	}
}

// renew has the server asked anew, for what the session wants now, and returns what it has
// said that it will tell of; false when it has said nothing in time. The listen that there
// was ends after that, so that nothing is missed between them.
func (s *clientStream) renew(ctx context.Context) (granted []byte, ok bool) {
	s.renewing.Lock()
	defer s.renewing.Unlock()
	own, cancel := context.WithCancel(s.ctx)
	soon := time.AfterFunc(openWait, cancel)
	defer soon.Stop()
	unlink := context.AfterFunc(ctx, cancel)
	n := &clientListen{cancel: cancel}
	var err error
	if n.from, err = s.ask(own); err == nil {
		n.granted, ok = waitAcknowledged(&n.from)
	}
	if !unlink() || !soon.Stop() || !ok {
		cancel()
		_ = n.from.Close()
		ok = false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if ok {
		if s.next != nil {
			s.next.cancel()
			_ = s.next.from.Close()
		}
		s.next = n
	}
	if s.cancel != nil {
		s.cancel() // the reader goes on with the new one, or opens another
	}
	return n.granted, ok
}

// waitAcknowledged waits for what the server says that it will tell of.
func waitAcknowledged(s *source) (granted []byte, ok bool) {
	for {
		_, m, is, err := s.Next()
		if err != nil {
			return nil, false
		}
		if is && m.Method == acknowledged {
			return mcp.Path(m.Params, "notifications"), true
		}
	}
}

// tells reports whether the server has said that it will tell of a resource.
func tells(granted []byte, uri string) bool {
	uris, _ := mcp.Texts(mcp.Path(granted, "resourceSubscriptions"))
	return slices.Contains(uris, uri)
}

func (s *clientStream) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	s.stop(nil)
	s.bridge.clients.change(s.client.id, func(st *clientState) {
		if st.listening == s {
			st.listening = nil
		}
	})
	s.renewing.Lock()
	defer s.renewing.Unlock()
	if s.next != nil {
		_ = s.next.from.Close()
	}
	return s.from.Close()
}
