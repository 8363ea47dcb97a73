package duplex

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// NewSSE prepares a backend that speaks HTTP+SSE of revision 2024-11-05: its URL is
// that of the event stream. It connects to nothing yet. Limits.MaxAnswerBytes has
// no meaning for it.
func NewSSE(cfg backend.HTTPConfig) (*Duplex, error) {
	b, err := backend.NewHTTP(cfg)
	if err != nil {
		return nil, err
	}
	s := &eventServer{HTTP: b, name: cfg.Name, limits: cfg.Limits.WithDefaults(), log: cfg.Log}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return newDuplex(config{
		name: cfg.Name, origin: b.Origin(), opener: s, answer: s.limits.AnswerTimeout, metrics: cfg.Metrics, closer: b,
	}, s.log), nil
}

// eventServer opens event streams. Redirects, headers and the address guard are
// the HTTP kind's.
type eventServer struct {
	*backend.HTTP
	name   string
	limits backend.Limits
	log    *slog.Logger
}

// modern implements opener: revision 2026-07-28 is not defined over this transport.
func (s *eventServer) modern() bool { return false }

// open implements opener.
func (s *eventServer) open(ctx context.Context, first outbound, to receiver) (link, *backend.Failure) {
	// The stream outlives the request that wanted it; only its opening ends with ctx.
	life, cancel := context.WithCancel(context.Background())
	stop := context.AfterFunc(ctx, cancel)
	e, f := s.begin(life, cancel, first, to)
	switch {
	case f == nil && stop():
		go e.run()
		return e, nil
	case f == nil: // ctx has ended, and life with it
		_ = e.stream.Body.Close()
	}
	cancel()
	if ctx.Err() != nil {
		f = backend.Ended(ctx, s.name)
	}
	return nil, f
}

// begin opens a stream, checks its head and waits for the event that names the
// endpoint.
func (s *eventServer) begin(ctx context.Context, cancel context.CancelFunc, first outbound, to receiver) (*eventLink, *backend.Failure) {
	stream, f := s.Raw(ctx, &backend.Request{
		Method:  http.MethodGet,
		Header:  http.Header{"Accept": {"text/event-stream"}, "Cache-Control": {"no-store"}},
		Private: first.private,
	})
	if f != nil {
		return nil, f
	}
	e := &eventLink{
		server: s, to: to, cancel: cancel, stream: stream, gone: make(chan struct{}),
		events: mcp.NewEventReader(stream.Body, s.limits.MaxEventBytes),
	}
	if f := e.begin(); f != nil {
		_ = stream.Body.Close()
		return nil, f
	}
	return e, nil
}

// refused is the failure of a GET or POST that did not succeed.
func (s *eventServer) refused(r *backend.Raw) *backend.Failure {
	if f := r.Refused(); f != nil {
		return f
	}
	return s.bad(fmt.Errorf("status %d", r.StatusCode), fmt.Sprintf("the backend answered with status %d", r.StatusCode))
}

func (s *eventServer) bad(cause error, text string) *backend.Failure {
	return backend.Fail(s.name, http.StatusBadGateway, backend.ReasonBadAnswer, cause,
		text+"; check that remoteUrl leads to the event stream of an HTTP+SSE server")
}

// eventLink is one event stream, and the link that it makes with the posts to its
// endpoint.
type eventLink struct {
	server *eventServer
	to     receiver
	cancel context.CancelFunc
	stream *backend.Raw
	events *mcp.EventReader
	gone   chan struct{} // closed when nothing is left
	wanted atomic.Bool   // close was called

	posts   *backend.HTTP // to the endpoint
	trusted bool          // the endpoint is of the configured origin
}

var _ link = (*eventLink)(nil)

// begin checks the head of the stream and waits for the event that names the
// endpoint.
func (e *eventLink) begin() *backend.Failure {
	s := e.server
	switch {
	case e.stream.StatusCode != http.StatusOK:
		return s.refused(e.stream)
	case !e.stream.IsEventStream():
		return s.bad(errors.New("answer to GET is no event stream"), "the backend's answer is not an event stream")
	}
	timer := time.AfterFunc(s.limits.AnswerTimeout, e.cancel)
	defer timer.Stop()
	ev, err := e.events.Next()
	if err != nil {
		if !timer.Stop() {
			return backend.TimedOut(s.name, errNoAnswer)
		}
		return s.bad(fmt.Errorf("read endpoint: %w", backend.Scrub(err)), "the backend's event stream ended before it named its endpoint")
	}
	if ev.Name != "endpoint" {
		return s.bad(errors.New("the first event is no endpoint event"), "the backend's event stream does not begin with its endpoint")
	}
	// What is posted there carries credentials and people's data (MCP 2024-11-05
	// transports).
	var f *backend.Failure
	e.posts, e.trusted, f = e.stream.Endpoint(string(ev.Data))
	return f
}

// run reads the stream to its end.
func (e *eventLink) run() {
	defer close(e.gone)
	err := e.read()
	e.cancel()
	_ = e.stream.Body.Close()
	reason, text := backend.ReasonUnreachable, "the backend's event stream broke before it answered; the request may or may not have been carried out; send it again"
	if errors.Is(err, mcp.ErrEventTooLarge) {
		reason, text = backend.ReasonTooLarge, fmt.Sprintf("the backend sent an event of more than %d bytes, which the gateway does not take", e.server.limits.MaxEventBytes)
		e.server.log.Warn("event of backend is too long; its stream was closed", "limit", e.server.limits.MaxEventBytes)
	}
	if !e.wanted.Load() {
		e.server.log.Warn("event stream of backend ended", "error", backend.Scrub(err))
	}
	e.to.ended(backend.Fail(e.server.name, http.StatusBadGateway, reason, backend.Scrub(err), text))
}

func (e *eventLink) read() error {
	level := slog.LevelWarn
	for {
		ev, err := e.events.Next()
		if err != nil {
			return err
		}
		if ev.Name != "" && ev.Name != "message" {
			continue
		}
		if !e.to.received(append([]byte(nil), ev.Data...)) {
			e.server.log.Log(context.Background(), level, "event of backend is no message and was dropped", "bytes", len(ev.Data))
			level = slog.LevelDebug
		}
	}
}

// send implements link: a POST to the endpoint, whose answer says only whether the
// message was taken (MCP 2024-11-05 transports).
func (e *eventLink) send(ctx context.Context, out outbound) error {
	req := &backend.Request{Method: http.MethodPost, Header: out.public, Body: out.body}
	if e.trusted {
		req.Private = out.private
	}
	resp, f := e.posts.Raw(ctx, req)
	if f != nil {
		return f
	}
	resp.Discard()
	switch status := resp.StatusCode; {
	case status < 300:
		return nil
	case status == http.StatusNotFound, status == http.StatusGone:
		// The server has forgotten the stream: so do we, and begin a new one.
		e.cancel()
		return errEndpointGone
	default:
		return e.server.refused(resp)
	}
}

var errEndpointGone = errors.New("the endpoint of the event stream is gone")

// close implements link.
func (e *eventLink) close() {
	e.wanted.Store(true)
	e.cancel()
	_ = e.stream.Body.Close()
	<-e.gone
}
