package h1

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// Config is what a Transport is made of.
type Config struct {
	// Dial makes connections to host:port. One that wraps another should say so by a
	// method NetConn, as tls.Conn does: the inner one is read and written, the outer
	// one closed.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	HeadTimeout time.Duration // from the start of RoundTrip to the head of the answer; 0: none
	// BodyTimeout bounds the wait for more of an answer that is no event stream. A
	// stream may be silent for ever. 0: none.
	BodyTimeout time.Duration
	IdleTimeout time.Duration // of an unused connection; 90 s
	MaxIdle     int           // unused connections per address; 1024
}

// Transport implements [http.RoundTripper] for http URLs. It is safe for use by many
// goroutines. Reading a body fails with io.ErrUnexpectedEOF when it breaks off;
// closing it early cancels the exchange, and is safe while another goroutine reads.
type Transport struct {
	cfg Config

	mu     sync.Mutex
	idle   map[string][]*conn // by address; the last one used last
	reaper *time.Timer        // nil while there is nothing to close
	closed bool
}

var _ http.RoundTripper = (*Transport)(nil)

// New makes a Transport that has no connections yet.
func New(cfg Config) *Transport {
	if cfg.IdleTimeout <= 0 {
		cfg.IdleTimeout = 90 * time.Second
	}
	if cfg.MaxIdle <= 0 {
		cfg.MaxIdle = 1024
	}
	return &Transport{cfg: cfg, idle: make(map[string][]*conn)}
}

// ErrTimeout is an answer that did not come in time, or stopped in its middle.
var ErrTimeout = errors.New("no answer within the time limit")

var errBodyClosed = errors.New("read on closed body")

// ProtocolError is an answer that is not HTTP as it should be. It does not quote the
// answer.
type ProtocolError string

func (e ProtocolError) Error() string { return "malformed HTTP answer: " + string(e) }

// RoundTrip implements [http.RoundTripper], as Send within the transport's HeadTimeout.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	var deadline time.Time
	if t.cfg.HeadTimeout > 0 {
		deadline = time.Now().Add(t.cfg.HeadTimeout)
	}
	r, err := requestOf(req)
	if err != nil {
		return nil, err
	}
	resp, err := t.Send(req.Context(), &r, fieldsOf(req.Header), deadline)
	if err == nil {
		resp.Request = req
	}
	return resp, err
}

// Send sends a request and brings the head of its answer, until deadline if there is one.
// When ctx ends, so does the exchange, and the error is the context's cause. Of fields,
// what is the client's own to write, such as Content-Length, is left out.
func (t *Transport) Send(ctx context.Context, r *Request, fields []Field, deadline time.Time) (*http.Response, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	buf := writeBuffers.Get().(*[]byte)
	defer writeBuffers.Put(buf)
	text, err := r.appendHead((*buf)[:0], fields)
	if err != nil {
		return nil, err
	}
	rest := r.Body
	if len(rest) <= inlineBody {
		text, rest = append(text, rest...), nil
	}
	*buf = text[:0]
	m := message{method: r.Method, repeatable: r.repeatable(), text: text, rest: rest}
	if c := t.take(r.Addr, deadline); c != nil {
		resp, unprocessed, err := c.exchange(ctx, &m)
		if !unprocessed {
			return resp, err
		}
	}
	c, err := t.dial(ctx, r.Addr, deadline)
	if err != nil {
		return nil, err
	}
	resp, _, err := c.exchange(ctx, &m)
	return resp, err
}

// message is a request as it goes on the wire.
type message struct {
	method     string
	repeatable bool
	text       []byte // the head, and a body that is short
	rest       []byte // a body that is not
}

// exchange sends one request and reads the head of its answer. On an error the
// connection is closed, and unprocessed says that the request can be sent again.
func (c *conn) exchange(ctx context.Context, m *message) (resp *http.Response, unprocessed bool, err error) {
	stop := context.AfterFunc(ctx, c.abort)
	writeErr := c.write(m)
	err = writeErr
	if !errors.Is(writeErr, os.ErrDeadlineExceeded) {
		// A backend may answer before it has read everything, and close: the answer
		// is then there although the write failed.
		if resp, err = c.answer(ctx, stop, m.method); err == nil {
			return resp, false, nil
		}
	}
	stop()
	unprocessed = ctx.Err() == nil && c.unprocessed(m, err)
	c.close()
	c.in.release()
	switch {
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = ErrTimeout
	case writeErr != nil:
		err = writeErr
	}
	return nil, unprocessed, err
}

// inlineBody is the size up to which a body is copied behind its head, to be
// written by one plain write.
const inlineBody = 64 << 10

var writeBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 2<<10); return &b }}

// write sends the request: one system call, if the socket takes it all.
func (c *conn) write(m *message) error {
	var n int64
	var err error
	if m.rest == nil {
		var k int
		k, err = c.tcp.Write(m.text)
		n = int64(k)
	} else {
		parts := net.Buffers{m.text, m.rest}
		n, err = parts.WriteTo(c.tcp)
	}
	c.acknowledged = c.sent // an answer came to everything before
	c.sent += uint64(n)
	c.incomplete = n < int64(len(m.text)+len(m.rest))
	return err
}

// maxInterim is how many 1xx answers are skipped before the real one.
const maxInterim = 8

// answer reads a head and makes the response that it begins. stop keeps the
// context from closing the connection; it is called when the connection is done.
func (c *conn) answer(ctx context.Context, stop func() bool, method string) (*http.Response, error) {
	for range maxInterim {
		text, err := c.in.head()
		if err != nil {
			return nil, err
		}
		head, err := parseHead(text)
		if err != nil {
			return nil, err
		}
		if head.status == http.StatusSwitchingProtocols {
			return nil, ProtocolError("protocol switched without being asked")
		}
		if head.status < 200 {
			continue
		}
		return c.response(ctx, stop, method, &head), nil
	}
	return nil, ProtocolError("too many interim answers")
}

func (c *conn) response(ctx context.Context, stop func() bool, method string, h *head) *http.Response {
	resp := &http.Response{
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		StatusCode: h.status, Header: h.header, ContentLength: h.length, Body: http.NoBody,
	}
	c.keep, c.keepFor = h.keep && !c.incomplete, h.keepFor()
	switch {
	case method == http.MethodHead || h.status == http.StatusNoContent || h.status == http.StatusNotModified:
		// RFC 9112 §6.3: no body whatever the header says. If it says there is one,
		// what comes next on the connection is anyone's guess.
		c.keep = c.keep && (method == http.MethodHead || h.length <= 0 && !h.chunked)
		resp.ContentLength = 0
		c.done(stop)
	case h.length == 0:
		c.done(stop)
	default:
		body := &bodyReader{c: c, ctx: ctx, stop: stop, left: h.length}
		switch {
		case h.chunked:
			body.framing, body.left = framedByChunks, 0
		case h.length < 0:
			body.framing, c.keep = framedByClose, false
		}
		c.in.small = isEventStream(h.header)
		if c.in.small || c.owner.cfg.BodyTimeout <= 0 {
			_ = c.tcp.SetDeadline(time.Time{}) // fails only when closed, which the next read says
		} else {
			c.in.patience = c.owner.cfg.BodyTimeout
		}
		resp.Body = body
	}
	return resp
}

// unprocessed reports whether the request can be sent again on another connection:
// the kept one turned out to be closed, and the backend cannot have acted on it, or
// acting twice is acting once. A proxy must not send a POST twice on a guess (RFC
// 9110 §9.2.2). A reset proves nothing, whatever the kernel counts as acknowledged:
// a program that read, acted and closed hard looks the same (REQ G-13).
func (c *conn) unprocessed(m *message, err error) bool {
	switch {
	case c.in.got || errors.Is(err, os.ErrDeadlineExceeded):
		return false
	case m.repeatable, c.sent == c.acknowledged: // not a byte was taken
		return true
	}
	return errors.Is(err, io.EOF) && c.undelivered()
}

func isEventStream(h http.Header) bool {
	t, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(t), "text/event-stream")
}
