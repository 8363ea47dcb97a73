package surface

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/keep"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/pipeline"
	"github.com/sallyport-dev/sallyport/internal/upstream"
)

var copyBuffers = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}

// stream passes an event stream on, byte for byte and as it comes, and writes a
// comment now and then so that proxies on the way do not take it for dead.
func (q *request) stream(ctx context.Context, a *upstream.Answer) {
	streamHead(q.w.Header())
	q.w.WriteHeader(a.Status)
	out := q.s.newStreamWriter(q.w)
	if q.Request.Method == http.MethodGet {
		q.e.Metrics.StreamOpened()
		defer q.e.Metrics.StreamClosed()
		if out.comment() != nil {
			q.Left()
			return
		}
	}
	out.startHeartbeat(q.s.Heartbeat)
	defer out.stopHeartbeat()
	q.relay(ctx, out, a)
}

// streamHead sets the headers of an event stream.
func streamHead(h http.Header) {
	h["X-Accel-Buffering"] = []string{"no"}
	if _, ok := h["Cache-Control"]; !ok {
		h["Cache-Control"] = []string{"no-cache"}
	}
}

// relay passes a stream on whose head is written.
func (q *request) relay(ctx context.Context, out *streamWriter, a *upstream.Answer) {
	err := relay(a.Body, out, q.s.MaxEventBytes)
	if err == nil && q.IsRequest() && out.awaitsAnswer() && !out.mayPoll(q.Revision) {
		err = errNoAnswer
	}
	switch {
	case err == nil:
	case q.IsRequest() && out.answered() && (out.clientGone() || ctx.Err() != nil): // it has what it came for
	case out.clientGone():
		abandoned(&q.Exchange, a.Body)
	default:
		q.broken(ctx, out, err)
	}
}

// relay copies until the backend's stream ends, which is nil, or breaks.
func relay(body io.Reader, out *streamWriter, maxEvent int) error {
	small := make([]byte, 2<<10) // what an idle stream holds on to
	buf := small
	for first := true; ; first = false {
		n, err := body.Read(buf)
		if n > 0 {
			p := buf[:n]
			if first && out.opened {
				p = bytes.TrimPrefix(p, byteOrderMark) // which is one at the very beginning alone
			}
			if werr := out.write(p, err != io.EOF); werr != nil {
				return werr
			}
			if out.eventBytes() > maxEvent {
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

var byteOrderMark = []byte("\ufeff")

var (
	errEventTooLarge = errors.New("an event is larger than the limit")
	// errNoAnswer stands for a stream that ended in order, but said nothing to the
	// request. Without a length, that is what a truncated one looks like.
	errNoAnswer = errors.New("the stream ended without an answer")
)

// abandoned reads on when a legacy client left its stream: leaving is not
// cancelling (MCP 2025-11-25 transports). A modern client's context has ended the
// exchange already.
func abandoned(x *pipeline.Exchange, body io.Reader) {
	x.Left()
	if x.Request.Method == http.MethodPost && !x.Revision.Modern() {
		_, _ = io.Copy(io.Discard, body) // lifetime bounds it
	}
}

// broken ends a client's stream whose backend stream broke. A client that cannot
// resume is first told so as the answer to its request; and the connection is
// broken, never ended as if all were said.
func (q *request) broken(ctx context.Context, out *streamWriter, cause error) {
	switch {
	case toldToEnd(ctx): // a listening stream may end any time
		if q.IsRequest() && out.awaitsAnswer() {
			out.last(listenEnded(q.Message.ID))
		}
		return
	case context.Cause(q.Request.Context()) == pipeline.ErrCutOff:
		q.Fail("shutdown", pipeline.ErrCutOff)
		if q.IsRequest() && out.awaitsAnswer() {
			out.last(pipeline.ShuttingDown().Append(nil, q.Message.ID))
		}
		panic(http.ErrAbortHandler)
	case ctx.Err() != nil:
		q.Left()
		return
	}
	reason, text := "truncated", "the backend's stream ended before its answer"
	if errors.Is(cause, errEventTooLarge) {
		reason, text = "too_large", "the backend's answer is larger than the gateway passes on"
	}
	q.Broke(reason, cause)
	if q.IsRequest() && out.awaitsAnswer() {
		out.last(mcp.Errorf(http.StatusBadGateway, mcp.CodeInternal, "%s: %s", q.e.Name, text).Append(nil, q.Message.ID))
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
	told    bool  // the answer to the request is written
	wrote   bool  // since the last heartbeat
	flushed bool  // the head, at least, is out
	opened  bool  // a comment of the gateway's is its first line; set before anything else is
	stopped bool

	heads *keep.Patience // with a head that nothing follows
	head  keep.Waiting
	beat  *time.Timer
}

func (s *Surfaces) newStreamWriter(w http.ResponseWriter) *streamWriter {
	return &streamWriter{w: w, rc: http.NewResponseController(w), heads: s.heads}
}

// write passes bytes on. What ends the stream needs no flush of its own: it goes
// out with the end.
func (s *streamWriter) write(p []byte, more bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = s.tracker.Write(p) // a Tracker's Write cannot fail
	s.wrote = true
	err := s.send(p, more)
	s.told = s.told || err == nil && s.tracker.Answered()
	return err
}

// answered reports whether the client of a request was sent its answer.
func (s *streamWriter) answered() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.told
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

// comment says at once that there is a stream: hops on the way pass a head on with the
// first byte behind it.
func (s *streamWriter) comment() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened = true
	return s.send(keepAlive, true)
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
	b = mcp.AppendEvent(b, mcp.Event{Name: "message", Data: msg})
	_, _ = s.tracker.Write(b)
	_ = s.send(b, true) // the stream is at its end either way
}

// headDelay is how long an answer's head waits for its first event, so that both
// go out in one write.
const headDelay = 50 * time.Millisecond

var keepAlive = []byte(": keep-alive\n\n")

func (s *streamWriter) startHeartbeat(every time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flushed {
		s.beatAfter(every)
		return
	}
	s.heads.Wait(&s.head, func() { s.heartbeat(every) })
}

// beatAfter sets the timer of the next heartbeat, if there is to be one; mu is held.
func (s *streamWriter) beatAfter(every time.Duration) {
	switch {
	case every <= 0:
	case s.beat == nil:
		s.beat = time.AfterFunc(every, func() { s.heartbeat(every) })
	default:
		s.beat.Reset(every)
	}
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
		_ = s.send(keepAlive, true) // whoever writes next sees the error
	}
	s.wrote = false
	s.beatAfter(every)
}

func (s *streamWriter) stopHeartbeat() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	s.heads.Stop(&s.head)
	if s.beat != nil {
		s.beat.Stop()
	}
}
