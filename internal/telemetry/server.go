package telemetry

import (
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Server counts what happens at one configured server. Its counters are found
// once and kept, so that counting a request looks nothing up by label.
//
// A nil *Server counts nothing. It is safe for use by many goroutines.
type Server struct {
	m    *Metrics
	name string
	gone bool // guarded by m.mu

	methods []atomic.Pointer[methodCounters] // by Metrics.methods, then one for all others

	streams  prometheus.Gauge
	sessions prometheus.Counter
	health   atomic.Pointer[health] // nil until the backend was asked

	rare sync.Map // rareKey → prometheus.Counter
}

// health is what is known of a backend.
type health struct{ up, seen prometheus.Gauge }

// methodCounters is one method's share of a Server.
type methodCounters struct {
	label    string
	duration prometheus.Observer
	statuses [len(hotStatuses)]atomic.Pointer[prometheus.Counter]
}

// hotStatuses are found by place, all others through a map.
var hotStatuses = [...]int{200, 202, 400, 401, 403, 404, 405, 413, 415, 429, 500, 502, 503, 504}

// rareKey names a counter that is not worth a place of its own.
type rareKey struct {
	kind   string // what is counted
	method string
	status int
	reason string
}

// Server returns the counters of a server. Only configured names may be given:
// each makes its own series until Forget.
func (m *Metrics) Server(name string) *Server {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.servers[name]; s != nil {
		return s
	}
	s := &Server{
		m: m, name: name,
		methods:  make([]atomic.Pointer[methodCounters], len(m.methods)+1),
		streams:  m.streams.WithLabelValues(name),
		sessions: m.sessions.WithLabelValues(name),
	}
	m.servers[name] = s
	return s
}

// Forget removes a server's series once it is no longer configured. What still
// counts on it (a stream that is ending) counts into nothing.
func (m *Metrics) Forget(server string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.servers[server]; s != nil {
		s.gone = true
		delete(m.servers, server)
	}
	labels := prometheus.Labels{"server": server}
	for _, v := range []interface {
		DeletePartialMatch(prometheus.Labels) int
	}{m.requests, m.durations, m.redirects, m.failures, m.dropped, m.streams, m.sessions, m.up, m.seen, m.tokens, m.decisions, m.exchanges} {
		v.DeletePartialMatch(labels)
	}
	m.semantic.forget(labels)
}

// Observe counts an answered request. Method is the MCP method, or the HTTP
// method for GET and DELETE; what is not known counts as "other".
func (s *Server) Observe(method string, status int, d time.Duration) {
	if s == nil {
		return
	}
	i, known := s.m.methods[method]
	if !known {
		i = len(s.methods) - 1
	}
	c := s.methods[i].Load()
	if c == nil {
		c = s.makeMethod(i, method, known)
	}
	c.duration.Observe(d.Seconds())
	s.status(c, status).Inc()
}

func (s *Server) makeMethod(i int, method string, known bool) *methodCounters {
	if !known {
		method = otherMethod
	}
	c := &methodCounters{label: method}
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	if made := s.methods[i].Load(); made != nil {
		return made
	}
	if s.gone {
		c.duration = prometheus.NewHistogram(prometheus.HistogramOpts{})
	} else {
		c.duration = s.m.durations.WithLabelValues(s.name, method)
	}
	s.methods[i].Store(c)
	return c
}

func (s *Server) status(c *methodCounters, status int) prometheus.Counter {
	for i, hot := range hotStatuses {
		if status != hot {
			continue
		}
		if p := c.statuses[i].Load(); p != nil {
			return *p
		}
		made := s.count(s.m.requests, s.name, c.label, strconv.Itoa(status))
		c.statuses[i].Store(&made)
		return made
	}
	return s.rarely(rareKey{kind: "status", method: c.label, status: status}, func() prometheus.Counter {
		return s.count(s.m.requests, s.name, c.label, strconv.Itoa(status))
	})
}

// count finds a series, or a counter that nobody sees when the server is gone:
// a late request must not bring a forgotten series back.
func (s *Server) count(vec *prometheus.CounterVec, labels ...string) prometheus.Counter {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	if s.gone {
		return prometheus.NewCounter(prometheus.CounterOpts{})
	}
	return vec.WithLabelValues(labels...)
}

func (s *Server) rarely(key rareKey, find func() prometheus.Counter) prometheus.Counter {
	if c, ok := s.rare.Load(key); ok {
		return c.(prometheus.Counter)
	}
	c, _ := s.rare.LoadOrStore(key, find())
	return c.(prometheus.Counter)
}

// Redirected counts a redirect that was followed, by its status.
func (s *Server) Redirected(status int) {
	if s == nil {
		return
	}
	s.rarely(rareKey{kind: "redirect", status: status}, func() prometheus.Counter {
		return s.count(s.m.redirects, s.name, strconv.Itoa(status))
	}).Inc()
}

// Failed counts an exchange without an answer. The reason is one of a fixed few
// words, never text from outside.
func (s *Server) Failed(reason string) {
	if s == nil {
		return
	}
	s.rarely(rareKey{kind: "failure", reason: reason}, func() prometheus.Counter {
		return s.count(s.m.failures, s.name, reason)
	}).Inc()
}

// Dropped counts a message of the backend that reached nobody. The reason is one of a
// fixed few words.
func (s *Server) Dropped(reason string) {
	if s == nil {
		return
	}
	s.rarely(rareKey{kind: "dropped", reason: reason}, func() prometheus.Counter {
		return s.count(s.m.dropped, s.name, reason)
	}).Inc()
}

// StreamOpened counts an event stream to a client in.
func (s *Server) StreamOpened() {
	if s != nil {
		s.streams.Inc()
	}
}

// StreamClosed counts it out again.
func (s *Server) StreamClosed() {
	if s != nil {
		s.streams.Dec()
	}
}

// SessionOpened counts a session that a client opened.
func (s *Server) SessionOpened() {
	if s != nil {
		s.sessions.Inc()
	}
}

// Up says whether the backend answered just now. Before the first time nothing is
// known of it, and there is no series that would say otherwise.
func (s *Server) Up(ok bool) {
	if s == nil {
		return
	}
	h := s.health.Load()
	if h == nil {
		if h = s.makeHealth(); h == nil {
			return
		}
	}
	value := 0.0
	if ok {
		value = 1
	}
	h.up.Set(value)
	h.seen.SetToCurrentTime()
}

func (s *Server) makeHealth() *health {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	if s.gone {
		return nil
	}
	h := &health{up: s.m.up.WithLabelValues(s.name), seen: s.m.seen.WithLabelValues(s.name)}
	s.health.Store(h)
	return h
}

// TokenChecked counts the check of a client's token by its result.
func (s *Server) TokenChecked(result string) {
	if s == nil {
		return
	}
	s.rarely(rareKey{kind: "token", reason: result}, func() prometheus.Counter {
		return s.count(s.m.tokens, s.name, result)
	}).Inc()
}

// Decided counts a decision of the policies.
func (s *Server) Decided(decision string) {
	if s == nil {
		return
	}
	s.rarely(rareKey{kind: "decision", reason: decision}, func() prometheus.Counter {
		return s.count(s.m.decisions, s.name, decision)
	}).Inc()
}

// TokenExchanged counts an exchange of a caller's token for one of the backend's:
// success, refused when the endpoint said no, failed for every other end. A token
// that was exchanged before and is used again does not count.
func (s *Server) TokenExchanged(result string) {
	if s == nil {
		return
	}
	s.rarely(rareKey{kind: "exchange", reason: result}, func() prometheus.Counter {
		return s.count(s.m.exchanges, s.name, result)
	}).Inc()
}
