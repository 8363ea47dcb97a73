package bridge

import (
	"context"
	"time"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/bridge/convert"
	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// Many legacy servers ask by their listening stream what belongs to a call. Which call it
// is about cannot be known, unless there is just one that can be asked something: then it
// is that one's. While such a call is under way the session listens, and what comes of the
// call is awaited beside what is asked.

// arrival is something that comes of a call at the server: first the head of its answer,
// then messages where that is a stream.
type arrival struct {
	resp *backend.Response // the head; nil for what follows
	raw  []byte
	m    message
	ok   bool // m is a message
	err  error
}

// elsewhere is where a call is reached by what does not come by its own answer.
type elsewhere struct {
	arrivals chan arrival
	asked    chan message
}

// headWait is how long a session's first call waits for the listening stream.
const headWait = time.Second

// listensFor reports whether a call may be asked something by the listening stream, and
// has the session listen.
func (c *modernCall) listensFor() bool {
	capabilities := c.capabilities()
	if !convert.Asks(c.req.Message.Method) || mcp.Path(capabilities, "elicitation") == nil &&
		mcp.Path(capabilities, "sampling") == nil && mcp.Path(capabilities, "roots") == nil {
		return false
	}
	s := c.session
	s.mu.Lock()
	first := !s.attends
	s.attends = true
	s.mu.Unlock()
	l := s.listening()
	if first {
		select {
		case <-l.opened:
		case <-time.After(headWait):
		case <-c.ctx.Done():
		}
	}
	select {
	case <-l.opened:
		return l.offered
	default:
		return true // it has one, and says nothing until there is something to say
	}
}

// begin sends the call. It returns the head of the answer, or what the server asks before
// there is one.
func (c *modernCall) begin() (resp *backend.Response, asked *message, err error) {
	if !c.listensFor() {
		resp, err = c.send()
		return resp, nil, err
	}
	c.beside = &elsewhere{arrivals: make(chan arrival), asked: make(chan message, maxQuestions)}
	s := c.session
	s.mu.Lock()
	if s.asking == nil {
		s.asking = map[*modernCall]struct{}{}
	}
	s.asking[c] = struct{}{}
	s.mu.Unlock()
	go c.pump()
	select {
	case a := <-c.beside.arrivals:
		return a.resp, nil, a.err
	case m := <-c.beside.asked:
		return nil, &m, nil
	case <-c.ctx.Done():
		return nil, nil, c.bridge.cancelled(c.ctx)
	}
}

// pump brings what comes of the call, until it has ended.
func (c *modernCall) pump() {
	resp, err := c.send()
	if !c.arrive(arrival{resp: resp, err: err}) && resp != nil {
		_ = resp.Body.Close()
		return
	}
	if err != nil || !resp.Stream {
		return // whoever has the head reads the rest
	}
	from := c.source(resp)
	defer from.Close()
	for {
		raw, m, ok, err := from.Next()
		if !c.arrive(arrival{raw: raw, m: m, ok: ok, err: err}) || err != nil || m.Kind == mcp.KindResponse {
			return
		}
	}
}

func (c *modernCall) arrive(a arrival) bool {
	select {
	case c.beside.arrivals <- a:
		return true
	case <-c.ctx.Done():
		return false
	}
}

// next is the next message for a call whose stream is read, wherever it comes from.
func (c *modernCall) next() (raw []byte, m message, ok bool, err error) {
	if c.beside == nil {
		return c.from.Next()
	}
	select {
	case m := <-c.beside.asked:
		return nil, m, true, nil
	case a := <-c.beside.arrivals:
		if a.resp == nil || a.resp.Stream {
			return a.raw, a.m, a.ok, a.err
		}
		m, err := c.bridge.answerTo(a.resp, nil)
		return nil, m, err == nil, err
	case <-c.ctx.Done():
		return nil, m, false, context.Cause(c.ctx)
	}
}

// askElsewhere gives a question to the one call that it can be about. It is false where
// that cannot be known.
func (s *session) askElsewhere(at *conversation, m message) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.asking) != 1 {
		return false
	}
	for c := range s.asking {
		if c.at != at {
			return false
		}
		select {
		case c.beside.asked <- m:
			return true
		default:
		}
	}
	return false
}
