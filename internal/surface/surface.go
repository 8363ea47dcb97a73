package surface

import (
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/keep"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/pipeline"
	"github.com/sallyport-dev/sallyport/internal/seal"
)

// Config is what all surfaces of a process have in common.
type Config struct {
	AllowedHosts   []string // names besides loopback ones that a loopback listener answers to
	AllowedOrigins []string // Origins of web pages besides the gateway's own, scheme://host[:port]
	PublicURL      string   // how clients reach the gateway, if not as its requests say

	MaxBodyBytes  int64         // of a client's message
	MaxEventBytes int           // of one event of a backend's
	CallTimeout   time.Duration // from a request to the head of its answer
	Heartbeat     time.Duration // between comments on an idle stream; 0 for none

	Ring *seal.Ring // of session ids
	Log  *slog.Logger
}

// Surfaces serves the endpoints it is given to clients. It is safe for use by many
// goroutines.
type Surfaces struct {
	Config
	hosts      map[string]bool
	publicName string // of PublicURL; "" for none
	origins    map[string]bool
	listening  listening
	streams    sync.Map // *connection of HTTP+SSE, by id
	messages   *keep.Budget
	silent     *keep.Patience // with backends that say nothing
	heads      *keep.Patience // with heads that nothing follows

	otherOrigin sync.Once // of a warning
}

// New makes surfaces without a client.
func New(cfg Config) *Surfaces {
	s := &Surfaces{
		Config: cfg, hosts: map[string]bool{}, origins: map[string]bool{}, messages: newMessageRoom(cfg.MaxBodyBytes),
		silent: keep.NewPatience(cfg.Heartbeat / 2), heads: keep.NewPatience(headDelay),
	}
	for _, h := range cfg.AllowedHosts {
		s.hosts[Hostname(h)] = true
	}
	if u, err := url.Parse(cfg.PublicURL); err == nil {
		s.publicName = Hostname(u.Host)
	}
	for _, o := range cfg.AllowedOrigins {
		s.origins[o] = true
	}
	return s
}

// Kind is one of an endpoint's surfaces.
type Kind uint8

// The kinds.
const (
	HTTP     Kind = iota + 1 // Streamable HTTP, every revision
	SSE                      // the stream of HTTP+SSE, 2024-11-05
	Messages                 // the messages of HTTP+SSE, 2024-11-05
	Socket                   // WebSocket
	List                     // a plain list
)

// At is the kind that the last part of an endpoint's path leads to; 0 for none.
func At(part string) Kind {
	switch part {
	case "/mcp":
		return HTTP
	case "/sse":
		return SSE
	case "/messages":
		return Messages
	case "/ws":
		return Socket
	case "/tools", "/prompts", "/resources":
		return List
	}
	return 0
}

// Serve serves one request to a surface of an endpoint.
func (s *Surfaces) Serve(w http.ResponseWriter, r *http.Request, e *pipeline.Endpoint, k Kind) {
	if r.Method == http.MethodOptions {
		s.preflight(w, r, e.Target.Passthrough())
		return
	}
	s.AllowPage(w, r)
	switch k {
	case HTTP:
		c := new(streamable)
		c.serve(s, w, r, e, c)
	case SSE:
		c := new(opening)
		c.serve(s, w, r, e, c)
	case Messages:
		c := new(posted)
		c.serve(s, w, r, e, c)
	case Socket:
		defer s.listening.hold(e)()
		c := new(handshake)
		c.serve(s, w, r, e, c)
	case List:
		c := newList(r.URL.Path)
		c.serve(s, w, r, e, c)
	}
}

// EndStale ends the streams that only listen, and the connections, of endpoints that
// have changed. Their clients come again.
func (s *Surfaces) EndStale(stale func(*pipeline.Endpoint) bool) {
	s.listening.endWhere(stale, errEndpointChanged)
}

// Drain ends the streams that only listen, and those that begin from now on. The
// channel is closed when they are gone, and the connections that carry requests too
// (HTTP+SSE, WebSocket).
func (s *Surfaces) Drain() <-chan struct{} { return s.listening.drain() }

// request is one HTTP request to an endpoint: what the surfaces have in common.
type request struct {
	pipeline.Exchange
	s *Surfaces
	e *pipeline.Endpoint
	w http.ResponseWriter

	read bool // the message, if there is one, has been read to its end
}

// serve carries the request, as what it is, along its way. It is made where it stays:
// an Exchange on the stack of a stream that is open for hours would double that.
func (q *request) serve(s *Surfaces, w http.ResponseWriter, r *http.Request, e *pipeline.Endpoint, as pipeline.Client) {
	q.s, q.e, q.w, q.Request, q.Client = s, e, w, r, as
	e.Serve(&q.Exchange)
}

// Complete reads the revision out of the headers.
func (q *request) Complete(x *pipeline.Exchange) *mcp.Error { return agree(x) }

// agree sets the revision that the headers say, which have to agree with the message.
func agree(x *pipeline.Exchange) (err *mcp.Error) {
	if x.Revision, err = mcp.Era(x.Request.Header, &x.Message); err != nil || x.Body == nil {
		return err // where there is no message, the headers still have to make sense
	}
	return mcp.CheckHeaders(x.Request.Header, &x.Message)
}

// FindSession finds none.
func (q *request) FindSession(*pipeline.Exchange) *mcp.Error { return nil }

// Refuse writes an error.
func (q *request) Refuse(x *pipeline.Exchange, err *mcp.Error) {
	q.explain(q.w.Header(), err)
	WriteError(q.w, err, x.Message.ID)
	if !q.read && x.Request.Method == http.MethodPost {
		q.linger()
	}
}
