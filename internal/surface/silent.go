package surface

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/sallyport-dev/sallyport/internal/keep"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/pipeline"
	"github.com/sallyport-dev/sallyport/internal/upstream"
)

// This file keeps a call alive that is silent for long: hops on the way take a
// connection on which nothing comes for dead, many after a minute.

// ahead is an event stream that begins by itself, if nothing has come for half a
// heartbeat.
type ahead struct {
	q    *request // nil where no stream can begin
	wait keep.Waiting

	mu   sync.Mutex
	over bool
	out  *streamWriter // once it has begun
}

// waits waits for an answer's head. No stream can begin without it where the client takes
// none, or the head of the answer to initialize has the session's id.
func (a *ahead) waits(q *request) {
	if q.s.Heartbeat <= 0 || !q.IsRequest() || q.Message.Method == "initialize" || !takesStream(q.Request.Header["Accept"]) {
		return
	}
	a.q = q
	q.s.silent.Wait(&a.wait, a.begin)
}

func (a *ahead) begin() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over {
		return
	}
	w := a.q.w
	streamHead(w.Header())
	w.Header()["Content-Type"] = []string{"text/event-stream"}
	w.WriteHeader(http.StatusOK)
	a.out = a.q.s.newStreamWriter(w)
	_ = a.out.comment() // whoever writes next sees the error
	a.out.startHeartbeat(a.q.s.Heartbeat)
}

// stream is the stream that has begun; nil if none has, and then none will.
func (a *ahead) stream() *streamWriter {
	if a.q == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.over {
		a.over = true
		a.q.s.silent.Stop(&a.wait)
	}
	return a.out
}

// end ends the stream, if one has begun. Where nothing has become of the call, what should
// have brought its answer has panicked.
func (a *ahead) end() {
	out := a.stream()
	if out == nil {
		return
	}
	out.stopHeartbeat()
	if a.q.Status == 0 {
		a.q.Status = http.StatusOK
		out.last(mcp.Errorf(http.StatusInternalServerError, mcp.CodeInternal, "internal error, see the gateway's log for %s", a.q.ID).Append(nil, a.q.Message.ID))
	}
}

func takesStream(accept []string) bool {
	for _, v := range accept {
		if strings.Contains(v, "text/event-stream") {
			return true
		}
	}
	return false
}

// late brings an answer to the client of a stream that began before it: what would have
// been the response's body is an event. Its head is too late; clients read the message.
func (q *request) late(ctx context.Context, out *streamWriter, a *upstream.Answer) {
	q.Status = http.StatusOK
	if a.Stream {
		q.relay(ctx, out, a)
		return
	}
	if a.Status >= http.StatusBadRequest {
		q.Fail(pipeline.ReasonBackend, nil)
	}
	err := out.message(a.Body)
	switch {
	case out.clientGone():
		q.Left()
	case err != nil:
		q.broken(ctx, out, err)
	case out.awaitsAnswer(): // a refusal in words of HTTP
		out.last(mcp.Errorf(a.Status, mcp.CodeInternal, "%s: the server answered with status %d", q.e.Name, a.Status).Append(nil, q.Message.ID))
	}
}

// message sends a message, as it comes, as an event: a line end in JSON is as good as a
// space.
func (s *streamWriter) message(body io.Reader) error {
	buf := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buf)
	if err := s.write([]byte("event: message\ndata: "), true); err != nil {
		return err
	}
	for {
		n, err := body.Read(*buf)
		for i, c := range (*buf)[:n] {
			if c == '\n' || c == '\r' {
				(*buf)[i] = ' '
			}
		}
		if n > 0 {
			if err := s.write((*buf)[:n], true); err != nil {
				return err
			}
		}
		switch err {
		case nil:
		case io.EOF:
			return s.write([]byte("\n\n"), true)
		default:
			return err
		}
	}
}
