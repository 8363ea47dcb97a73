package backend

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

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
	duplexConfig
	log    *slog.Logger
	shared *shared
	tasks  sync.WaitGroup

	mu       sync.Mutex
	sessions map[string]*session
	live     int // sessions, those that are still ending included
	closed   bool
}

var _ Backend = (*Duplex)(nil)

type duplexConfig struct {
	name        string
	origin      string // of session ids
	opener      opener
	maxSessions int
	idle        time.Duration
	answer      time.Duration
	closer      io.Closer // closed after the last link; may be nil
}

// How sessions and streams are bounded where the configuration says nothing.
const (
	defaultMaxSessions = 64
	defaultSessionIdle = 30 * time.Minute
	// slowReader is how long a session's server is held up by a client that does not
	// read what it has asked for.
	slowReader = 10 * time.Second
)

func newDuplex(cfg duplexConfig, log *slog.Logger) *Duplex {
	cfg.maxSessions = orDefault(cfg.maxSessions, defaultMaxSessions)
	cfg.idle = orDefault(cfg.idle, defaultSessionIdle)
	cfg.answer = orDefault(cfg.answer, Limits{}.withDefaults().AnswerTimeout)
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	d := &Duplex{duplexConfig: cfg, log: log, sessions: make(map[string]*session)}
	d.shared = newShared(cfg, log)
	return d
}

// Do implements [Backend].
func (d *Duplex) Do(ctx context.Context, req *Request) (*Response, error) {
	resp, f := d.do(ctx, req)
	if f != nil {
		return nil, f
	}
	return resp, nil
}

func (d *Duplex) do(ctx context.Context, req *Request) (*Response, *Failure) {
	post := req.Method == http.MethodPost
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
		return statusResponse(http.StatusNoContent), nil
	}
	return nil, fail(d.name, http.StatusMethodNotAllowed, ReasonBadAnswer, nil, "this HTTP method is not one of MCP")
}

// modern reports whether a POST is of the revision without sessions.
func modern(req *Request) bool {
	if m := req.Message.Meta; m.HasVersion {
		return mcp.Revision(m.ProtocolVersion).Modern()
	}
	return mcp.Revision(req.Header.Get(mcp.HeaderProtocolVersion)).Modern()
}

// initialize opens a session.
func (d *Duplex) initialize(ctx context.Context, req *Request) (*Response, *Failure) {
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
		resp.Session = Session{ID: s.id, Origin: d.origin}
	}
	return resp, nil
}

func (d *Duplex) newSession(req *Request) (*session, *Failure) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, d.gone()
	}
	if d.live >= d.maxSessions {
		f := fail(d.name, http.StatusServiceUnavailable, ReasonBusy, nil,
			fmt.Sprintf("all %d sessions of this server are in use; try again later, or end one", d.maxSessions))
		f.RetryAfter = 10 * time.Second
		return nil, f
	}
	s := &session{hub: d, id: rand.Text()}
	s.trunk = newTrunk(trunkConfig{
		name: d.name, opener: d.opener, first: remember(nil, outbound{public: req.Header, private: req.Private}).out,
		answer: d.answer, rest: d.idle, patience: slowReader,
	}, d.log, s)
	d.sessions[s.id] = s
	d.live++
	return s, nil
}

func (d *Duplex) find(id Session) (*session, *Failure) {
	if id.ID == "" {
		return nil, &Failure{
			Public: mcp.Errorf(http.StatusBadRequest, mcp.CodeInvalidRequest, "%s: the Mcp-Session-Id header is missing; initialize first, then send the id that came with the answer", d.name),
			Reason: ReasonSession,
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
// still waits in it is told f. It may be called more than once, and with trunk.mu
// held.
func (d *Duplex) drop(s *session, f *Failure) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.sessions[s.id] == s {
		delete(d.sessions, s.id)
		d.tasks.Go(func() { d.end(s, f) })
	}
}

func (d *Duplex) end(s *session, f *Failure) {
	s.end(f)
	d.mu.Lock()
	d.live--
	d.mu.Unlock()
}

func (d *Duplex) gone() *Failure {
	return fail(d.name, http.StatusServiceUnavailable, ReasonUnreachable, errClosed,
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
