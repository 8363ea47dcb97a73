package duplex

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// Duplex is a backend that is reached over duplex connections: a local command
// over stdio, or a server of HTTP+SSE (2024-11-05). Such a connection carries one
// stream of messages each way. Duplex makes exchanges in the shape of Streamable
// HTTP of it: sessions, answers that are JSON or a stream, a listening stream.
//
// Each session has a connection of its own, which keeps people apart from each
// other. Requests of the revision without sessions (2026-07-28) share one, since
// there a server keeps nothing from one request to the next; their ids are made
// unique on the way and put back in the answers.
//
// It is safe for use by many goroutines.
type Duplex struct {
	config
	log    *slog.Logger
	shared *shared
	tasks  sync.WaitGroup

	mu       sync.Mutex
	sessions map[string]*session
	live     int // sessions, those that are still ending included
	closed   bool
}

var _ backend.Backend = (*Duplex)(nil)

type config struct {
	name        string
	origin      string // of session ids
	opener      opener
	maxSessions int
	perCaller   int // of them
	idle        time.Duration
	answer      time.Duration
	metrics     backend.Metrics // may be nil
	closer      io.Closer       // closed after the last link; may be nil
}

// How sessions and streams are bounded where the configuration says nothing.
const (
	defaultMaxSessions = 64
	defaultSessionIdle = 30 * time.Minute
	// slowReader is how long a session's server is held up by a client that does not
	// read what it has asked for.
	slowReader = 10 * time.Second
)

func newDuplex(cfg config, log *slog.Logger) *Duplex {
	cfg.maxSessions = cmp.Or(max(cfg.maxSessions, 0), defaultMaxSessions)
	cfg.perCaller = min(cmp.Or(max(cfg.perCaller, 0), max(cfg.maxSessions/2, 1)), cfg.maxSessions)
	cfg.idle = cmp.Or(max(cfg.idle, 0), defaultSessionIdle)
	cfg.answer = backend.Limits{AnswerTimeout: cfg.answer}.WithDefaults().AnswerTimeout
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	d := &Duplex{config: cfg, log: log, sessions: make(map[string]*session)}
	d.shared = newShared(cfg, log)
	return d
}

// Do implements [Backend].
func (d *Duplex) Do(ctx context.Context, req *backend.Request) (*backend.Response, error) {
	resp, f := d.do(ctx, req)
	if f != nil {
		return nil, f
	}
	return resp, nil
}

func (d *Duplex) do(ctx context.Context, req *backend.Request) (*backend.Response, *backend.Failure) {
	post := req.Method == http.MethodPost
	if post && req.Sent != nil {
		req.Sent(d.sent(req))
	}
	if post && modern(req) {
		return d.shared.post(ctx, req)
	}
	if post && req.Session.ID == "" && req.Message.Kind == mcp.KindRequest && req.Message.Method == "initialize" {
		return d.initialize(ctx, req)
	}
	s, f := d.find(req.Session)
	if f != nil {
		return nil, f
	}
	switch req.Method {
	case http.MethodPost:
		return s.post(ctx, req)
	case http.MethodGet:
		return s.listen(ctx)
	case http.MethodDelete:
		d.drop(s, unknownSession(d.name))
		return backend.StatusResponse(http.StatusNoContent), nil
	}
	return nil, backend.Fail(d.name, http.StatusMethodNotAllowed, backend.ReasonBadAnswer, nil, "this HTTP method is not one of MCP")
}

// sent is a message as its server gets it, but for the id, which is made unique on the way.
func (d *Duplex) sent(req *backend.Request) *backend.Sent {
	s := &backend.Sent{Body: req.Body}
	if d.origin != stdioOrigin {
		s.Method, s.URL, s.Header = req.Method, d.origin+"/[endpoint of the event stream]", http.Header{}
		maps.Copy(s.Header, req.Header)
		maps.Copy(s.Header, req.Private)
	}
	return s
}

// modern reports whether a POST is of the revision without sessions.
func modern(req *backend.Request) bool {
	if m := req.Message.Meta; m.HasVersion {
		return mcp.Revision(m.ProtocolVersion).Modern()
	}
	return mcp.Revision(req.Header.Get(mcp.HeaderProtocolVersion)).Modern()
}

// initialize opens a session.
func (d *Duplex) initialize(ctx context.Context, req *backend.Request) (*backend.Response, *backend.Failure) {
	s, f := d.newSession(req)
	if f != nil {
		return nil, f
	}
	resp, f := s.post(ctx, req)
	if f != nil {
		d.drop(s, unknownSession(d.name))
		return nil, f
	}
	s.mu.Lock()
	established := s.established
	s.mu.Unlock()
	if established || resp.Stream {
		resp.Session = backend.Session{ID: s.id, Origin: d.origin}
	}
	return resp, nil
}

func (d *Duplex) find(id backend.Session) (*session, *backend.Failure) {
	if id.ID == "" {
		return nil, &backend.Failure{
			Public: mcp.Errorf(http.StatusBadRequest, mcp.CodeInvalidRequest, "%s: the Mcp-Session-Id header is missing; initialize first, then send the id that came with the answer", d.name),
			Reason: backend.ReasonSession,
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.sessions[id.ID]
	if s == nil || id.Origin != d.origin {
		return nil, unknownSession(d.name)
	}
	return s, nil
}

// drop makes a session unknown at once and ends it in the background; whoever
// still waits in it is told f. It may be called more than once, and with connection.mu
// held.
func (d *Duplex) drop(s *session, f *backend.Failure) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.sessions[s.id] == s {
		delete(d.sessions, s.id)
		d.tasks.Go(func() { d.end(s, f) })
	}
}

func (d *Duplex) end(s *session, f *backend.Failure) {
	s.end(f)
	d.mu.Lock()
	d.live--
	d.mu.Unlock()
}

func (d *Duplex) gone() *backend.Failure {
	return backend.Fail(d.name, http.StatusServiceUnavailable, backend.ReasonUnreachable, errClosed,
		"the server is no longer configured, or the gateway is shutting down")
}

// Close implements [Backend]. It returns when every connection has ended and every
// process is gone.
func (d *Duplex) Close() error {
	d.mu.Lock()
	d.closed = true
	all := d.sessions
	d.sessions = nil
	d.mu.Unlock()
	f := d.gone()
	for _, s := range all {
		d.tasks.Go(func() { d.end(s, f) })
	}
	d.shared.close(f)
	d.tasks.Wait()
	if d.closer == nil {
		return nil
	}
	return d.closer.Close()
}
