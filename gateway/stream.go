package gateway

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/mcp"
)

var copyBuffers = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}

// stream passes an event stream on, byte for byte and as it comes, and writes a
// comment now and then so that proxies on the way do not take it for dead (M26).
func (e *Endpoint) stream(x *Exchange, resp *backend.Response) {
	h := x.w.Header()
	h["X-Accel-Buffering"] = []string{"no"}
	if _, ok := h["Cache-Control"]; !ok {
		h["Cache-Control"] = []string{"no-cache"}
	}
	x.w.WriteHeader(resp.Status)
	out := &streamWriter{w: x.w, rc: http.NewResponseController(x.w)}
	if x.r.Method == http.MethodGet {
		e.metrics.StreamOpened()
		defer e.metrics.StreamClosed()
	}
	if x.r.Method == http.MethodGet && out.flush() != nil {
		x.left()
		return
	}
	out.startHeartbeat(e.server.opts.Heartbeat)
	defer out.stopHeartbeat()
	err := e.relay(resp.Body, out)
	if err == nil && x.isRequest() && out.awaitsAnswer() && !out.mayPoll(x.revision) {
		err = errNoAnswer
	}
	switch {
	case err == nil:
	case out.clientGone():
		e.abandoned(x, resp.Body)
	default:
		e.broken(x, out, err)
	}
}

// relay copies until the backend's stream ends, which is nil, or breaks.
func (e *Endpoint) relay(body io.Reader, out *streamWriter) error {
	small := make([]byte, 2<<10) // what an idle stream holds on to
	buf := small
	for {
		n, err := body.Read(buf)
		if n > 0 {
			if werr := out.write(buf[:n], err != io.EOF); werr != nil {
				return werr
			}
			if out.eventBytes() > e.server.opts.MaxEventBytes {
				return errEventTooLarge
			}
			if n == len(buf) && &buf[0] == &small[0] { // a big event is coming
				big := copyBuffers.Get().(*[]byte)
				defer copyBuffers.Put(big)
				buf = *big
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

var (
	errEventTooLarge = errors.New("an event is larger than the limit")
	// errNoAnswer stands for a stream that ended in order, but said nothing to the
	// request. Without a length, that is what a truncated one looks like.
	errNoAnswer = errors.New("the stream ended without an answer")
)

// abandoned reads on when a legacy client left its stream: leaving is not
// cancelling (L7). A modern client's context has ended the exchange already.
func (e *Endpoint) abandoned(x *Exchange, body io.Reader) {
	x.left()
	if x.r.Method == http.MethodPost && !x.revision.Modern() {
		_, _ = io.Copy(io.Discard, body) // backendContext bounds it
	}
}

// broken ends a client's stream whose backend stream broke. A client that cannot
// resume is first told so as the answer to its request; and the connection is
// broken, never ended as if all were said.
func (e *Endpoint) broken(x *Exchange, out *streamWriter, cause error) {
	switch {
	case toldToEnd(x.ctx): // a listening stream may end any time (L8)
		if x.isRequest() && out.awaitsAnswer() {
			out.last(listenEnded(x.message.ID))
		}
		return
	case x.ctx.Err() != nil:
		x.left()
		return
	}
	reason, text := "truncated", "the backend's stream ended before its answer"
	if errors.Is(cause, errEventTooLarge) {
		reason, text = "too_large", "the backend's answer is larger than the gateway passes on"
	}
	x.fail(reason, cause)
	e.metrics.Failed(reason)
	if x.isRequest() && out.awaitsAnswer() {
		out.last(mcp.Errorf(http.StatusBadGateway, mcp.CodeInternal, "%s: %s", e.name, text).Append(nil, x.message.ID))
	}
	panic(http.ErrAbortHandler)
}

// listenEnded answers a subscriptions/listen that the gateway ends: the result, and
// then the end of the stream (MCP 2026-07-28 subscriptions).
func listenEnded(id []byte) []byte {
	return fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%s,"result":{"resultType":"complete","_meta":{"io.modelcontextprotocol/subscriptionId":%s}}}`, id, id)
}

// streamWriter writes an event stream to a client. The heartbeat comes from a
// timer's goroutine, so every write holds mu.
type streamWriter struct {
	mu      sync.Mutex
	w       http.ResponseWriter
	rc      *http.ResponseController
	tracker mcp.Tracker
	err     error // the client's side broke
	wrote   bool  // since the last heartbeat
	flushed bool  // the head, at least, is out
	beat    *time.Timer
	stopped bool
}

// write passes bytes on. What ends the stream needs no flush of its own: it goes
// out with the end.
func (s *streamWriter) write(p []byte, more bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = s.tracker.Write(p) // a Tracker's Write cannot fail
	s.wrote = true
	return s.send(p, more)
}

// send writes, and flushes if more is to come; mu is held.
func (s *streamWriter) send(p []byte, more bool) error {
	if s.err != nil {
		return s.err
	}
	_ = s.rc.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, s.err = s.w.Write(p); s.err == nil && more {
		s.err, s.flushed = s.rc.Flush(), true
	}
	return s.err
}

func (s *streamWriter) flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err, s.flushed = s.rc.Flush(), true
	return s.err
}

func (s *streamWriter) clientGone() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err != nil
}

func (s *streamWriter) eventBytes() int { return s.tracker.EventBytes() }

// awaitsAnswer reports whether the client of a request's stream still waits, and
// cannot fetch the rest by Last-Event-ID.
func (s *streamWriter) awaitsAnswer() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.tracker.SeenID() && !s.tracker.Answered()
}

// mayPoll reports whether the stream may end in order before the answer: a server
// of sessions can close it, having said when to come back (2025-11-25).
func (s *streamWriter) mayPoll(rev mcp.Revision) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tracker.SeenRetry() && !rev.Modern()
}

// last sends one more message. If an event has been cut in its middle, the event
// is first given a name that no client listens to, so that its half is not read.
func (s *streamWriter) last(msg []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b []byte
	if !s.tracker.AtBoundary() {
		b = append(b, "\nevent: incomplete\n\n"...)
	}
	_ = s.send(mcp.AppendEvent(b, mcp.Event{Name: "message", Data: msg}), true) // the stream is at its end either way
}

// headDelay is how long an answer's head waits for its first event, so that both
// go out in one write.
const headDelay = 50 * time.Millisecond

func (s *streamWriter) startHeartbeat(every time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := every
	switch {
	case !s.flushed:
		first = headDelay
	case every <= 0:
		return
	}
	s.beat = time.AfterFunc(first, func() { s.heartbeat(every) })
}

// heartbeat writes a comment between two events if nothing else was written; the
// first one sees that the head is out.
func (s *streamWriter) heartbeat(every time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped || s.err != nil {
		return
	}
	switch {
	case !s.flushed:
		s.err, s.flushed = s.rc.Flush(), true
	case !s.wrote && s.tracker.AtBoundary():
		_ = s.send([]byte(": keep-alive\n\n"), true) // whoever writes next sees the error
	}
	s.wrote = false
	if every > 0 {
		s.beat.Reset(every)
	}
}

func (s *streamWriter) stopHeartbeat() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	if s.beat != nil {
		s.beat.Stop()
	}
}
