package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// NewSSE prepares a backend that speaks HTTP+SSE of revision 2024-11-05: its URL is
// that of the event stream. It connects to nothing yet. Limits.MaxAnswerBytes has
// no meaning for it.
func NewSSE(cfg HTTPConfig) (*Duplex, error) {
	b, err := NewHTTP(cfg)
	if err != nil {
		return nil, err
	}
	return newDuplex(duplexConfig{
		name: b.name, origin: b.target.origin, opener: &eventServer{b}, answer: b.limits.AnswerTimeout, closer: b,
	}, b.log), nil
}

// eventServer opens event streams. Redirects, headers and the address guard are
// the HTTP kind's.
type eventServer struct{ b *HTTP }

// modern implements opener: revision 2026-07-28 is not defined over this transport.
func (s *eventServer) modern() bool { return false }

// open implements opener.
func (s *eventServer) open(ctx context.Context, first outbound, to receiver) (link, *Failure) {
	b := s.b
	// The stream outlives the request that wanted it; only its opening ends with ctx.
	life, cancel := context.WithCancel(context.Background())
	stop := context.AfterFunc(ctx, cancel)
	resp, from, f := b.follow(life, &Request{
		Method:  http.MethodGet,
		Header:  http.Header{"Accept": {"text/event-stream"}, "Cache-Control": {"no-store"}},
		Private: first.private,
	})
	if f != nil {
		cancel()
		if ctx.Err() != nil {
			f = ended(ctx, b.name)
		}
		return nil, f
	}
	e := &eventLink{
		b: b, to: to, cancel: cancel, body: resp.Body, gone: make(chan struct{}),
		events: mcp.NewEventReader(resp.Body, b.limits.MaxEventBytes),
	}
	if f := e.begin(resp, from); f != nil {
		cancel()
		closeBody(resp.Body)
		if ctx.Err() != nil {
			f = ended(ctx, b.name)
		}
		return nil, f
	}
	if !stop() { // ctx has ended, and life with it
		closeBody(resp.Body)
		return nil, ended(ctx, b.name)
	}
	go e.run()
	return e, nil
}

// eventLink is one event stream, and the link that it makes with the posts to its
// endpoint.
type eventLink struct {
	b      *HTTP
	to     receiver
	cancel context.CancelFunc
	body   io.Closer
	events *mcp.EventReader
	gone   chan struct{} // closed when nothing is left
	wanted atomic.Bool   // close was called

	posts   *HTTP // b with the endpoint as its target
	trusted bool  // the endpoint is of the configured origin
}

var _ link = (*eventLink)(nil)

// begin checks the head of the stream and waits for the event that names the
// endpoint.
func (e *eventLink) begin(resp *http.Response, from *target) *Failure {
	bad := func(cause error, text string) *Failure {
		return fail(e.b.name, http.StatusBadGateway, ReasonBadAnswer, cause, text+"; check that remoteUrl leads to the event stream of an HTTP+SSE server")
	}
	switch {
	case resp.StatusCode != http.StatusOK:
		return e.refused(resp, from.origin)
	case !isEventStream(resp.Header):
		return bad(errors.New("answer to GET is no event stream"), "the backend's answer is not an event stream")
	}
	timer := time.AfterFunc(e.b.limits.AnswerTimeout, e.cancel)
	defer timer.Stop()
	ev, err := e.events.Next()
	if err != nil {
		if !timer.Stop() {
			return timedOut(e.b.name, errNoAnswer)
		}
		return bad(fmt.Errorf("read endpoint: %w", scrub(err)), "the backend's event stream ended before it named its endpoint")
	}
	if ev.Name != "endpoint" {
		return bad(errors.New("the first event is no endpoint event"), "the backend's event stream does not begin with its endpoint")
	}
	to, err := from.parseTarget(string(ev.Data))
	if err != nil {
		return bad(fmt.Errorf("read endpoint: %w", err), "the backend names an endpoint that is not a plain http or https URL")
	}
	// What is posted there carries credentials and people's data (S7).
	if to.origin != from.origin {
		return bad(fmt.Errorf("the endpoint is at %s, the stream at %s", to.origin, from.origin), "the backend names an endpoint at another origin than its event stream")
	}
	to.shown = to.origin + "/[endpoint of the event stream]" // path and query are as good as a session id
	b := e.b
	e.posts = &HTTP{
		name: b.name, target: to, redirects: b.redirects, limits: b.limits,
		log: b.log, metrics: b.metrics, agent: b.agent, plain: b.plain, secure: b.secure,
	}
	e.trusted = to.origin == b.target.origin
	return nil
}

// refused maps the status of a GET or POST that is not a success, by its origin.
func (e *eventLink) refused(resp *http.Response, by string) *Failure {
	status := resp.StatusCode
	cause := fmt.Errorf("status %d", status)
	if status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusProxyAuthRequired {
		return e.b.challenged(refusedCredential(e.b.name, resp), by)
	}
	return fail(e.b.name, http.StatusBadGateway, ReasonBadAnswer, cause,
		fmt.Sprintf("the backend answered with status %d; check that remoteUrl leads to the event stream of an HTTP+SSE server", status))
}

// run reads the stream to its end.
func (e *eventLink) run() {
	defer close(e.gone)
	err := e.read()
	e.cancel()
	closeBody(e.body)
	reason, text := ReasonUnreachable, "the backend's event stream broke before it answered; the request may or may not have been carried out; send it again"
	if errors.Is(err, mcp.ErrEventTooLarge) {
		reason, text = ReasonTooLarge, fmt.Sprintf("the backend sent an event of more than %d bytes, which the gateway does not take", e.b.limits.MaxEventBytes)
		e.b.log.Warn("event of backend is too long; its stream was closed", "limit", e.b.limits.MaxEventBytes)
	}
	if !e.wanted.Load() {
		e.b.log.Warn("event stream of backend ended", "error", scrub(err))
	}
	e.to.ended(fail(e.b.name, http.StatusBadGateway, reason, scrub(err), text))
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
			e.b.log.Log(context.Background(), level, "event of backend is no message and was dropped", "bytes", len(ev.Data))
			level = slog.LevelDebug
		}
	}
}

// send implements link: a POST to the endpoint, whose answer says only whether the
// message was taken (S3).
func (e *eventLink) send(ctx context.Context, out outbound) error {
	req := &Request{Method: http.MethodPost, Header: out.public, Body: out.body}
	if e.trusted {
		req.Private = out.private
	}
	resp, _, f := e.posts.follow(ctx, req)
	if f != nil {
		return f
	}
	if isEventStream(resp.Header) {
		closeBody(resp.Body) // it may never end
	} else {
		discard(resp.Body)
	}
	switch status := resp.StatusCode; {
	case status < 300:
		return nil
	case status == http.StatusNotFound, status == http.StatusGone:
		// The server has forgotten the stream: so do we, and begin a new one.
		e.cancel()
		return errEndpointGone
	default:
		return e.refused(resp, e.posts.target.origin)
	}
}

var errEndpointGone = errors.New("the endpoint of the event stream is gone")

// close implements link.
func (e *eventLink) close() {
	e.wanted.Store(true)
	e.cancel()
	closeBody(e.body)
	<-e.gone
}
