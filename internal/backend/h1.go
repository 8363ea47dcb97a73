package backend

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// h1 sends plain-http hops. It is a small HTTP/1.1 client, because net/http's costs
// more per call than all the rest of the gateway: it works on the caller's own
// goroutine, writes a request at once, and keeps no buffer while it waits.
type h1 struct {
	dialer *dialer
	limits Limits

	mu     sync.Mutex
	idle   map[string][]*h1Conn // by address; the last one used last
	reaper *time.Timer          // nil while there is nothing to close
	closed bool
}

func newH1(d *dialer, l Limits) *h1 {
	return &h1{dialer: d, limits: l, idle: make(map[string][]*h1Conn)}
}

func (t *h1) send(ctx context.Context, h *hop) (*http.Response, error) {
	if err := h.check(); err != nil {
		return nil, err
	}
	if c := t.take(h.to.addr, h.deadline); c != nil {
		resp, unprocessed, err := c.exchange(ctx, h)
		if !unprocessed {
			return resp, err
		}
	}
	c, err := t.dial(ctx, h.to.addr, h.deadline)
	if err != nil {
		return nil, err
	}
	resp, _, err := c.exchange(ctx, h)
	return resp, err
}

// exchange sends one request and reads the head of its answer. On an error the
// connection is closed, and unprocessed says that the request can be sent again.
func (c *h1Conn) exchange(ctx context.Context, h *hop) (resp *http.Response, unprocessed bool, err error) {
	stop := context.AfterFunc(ctx, c.abort)
	writeErr := c.write(h)
	err = writeErr
	if !errors.Is(writeErr, os.ErrDeadlineExceeded) {
		// A backend may answer before it has read everything, and close: the answer
		// is then there although the write failed.
		if resp, err = c.answer(ctx, stop, h.method); err == nil {
			return resp, false, nil
		}
	}
	stop()
	unprocessed = ctx.Err() == nil && c.unprocessed(h, err)
	c.close()
	c.in.release()
	switch {
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = errNoAnswer
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
func (c *h1Conn) write(h *hop) error {
	buf := writeBuffers.Get().(*[]byte)
	defer writeBuffers.Put(buf)
	b := h.appendHead((*buf)[:0])
	var n int64
	var err error
	var size int
	if len(h.body) <= inlineBody {
		b = append(b, h.body...)
		size = len(b)
		var k int
		k, err = c.tcp.Write(b)
		n = int64(k)
	} else {
		size = len(b) + len(h.body)
		parts := net.Buffers{b, h.body}
		n, err = parts.WriteTo(c.tcp)
	}
	*buf = b[:0]
	c.acknowledged = c.sent // an answer came to everything before
	c.sent += uint64(n)
	c.incomplete = n < int64(size)
	return err
}

func (h *hop) appendHead(b []byte) []byte {
	b = append(b, h.method...)
	b = append(b, ' ')
	b = append(b, h.to.uri...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, h.to.authority...)
	b = append(b, "\r\n"...)
	for name, v := range h.fields() {
		b = append(b, name...)
		b = append(b, ": "...)
		b = append(b, v...)
		b = append(b, "\r\n"...)
	}
	if h.body != nil {
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, int64(len(h.body)), 10)
		b = append(b, "\r\n"...)
	}
	return append(b, "\r\n"...)
}

// maxInterim is how many 1xx answers are skipped before the real one.
const maxInterim = 8

// answer reads a head and makes the response that it begins. stop keeps the
// context from closing the connection; it is called when the connection is done.
func (c *h1Conn) answer(ctx context.Context, stop func() bool, method string) (*http.Response, error) {
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
			return nil, protocolError("protocol switched without being asked")
		}
		if head.status < 200 {
			continue
		}
		return c.response(ctx, stop, method, &head), nil
	}
	return nil, protocolError("too many interim answers")
}

func (c *h1Conn) response(ctx context.Context, stop func() bool, method string, head *h1Head) *http.Response {
	resp := &http.Response{
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		StatusCode: head.status, Header: head.header, ContentLength: head.length, Body: http.NoBody,
	}
	c.keep = head.keep && !c.incomplete
	switch {
	case method == http.MethodHead || head.status == http.StatusNoContent || head.status == http.StatusNotModified:
		// RFC 9112 §6.3: no body whatever the header says. If it says there is one,
		// what comes next on the connection is anyone's guess.
		c.keep = c.keep && (method == http.MethodHead || head.length <= 0 && !head.chunked)
		resp.ContentLength = 0
		c.done(stop)
	case head.length == 0:
		c.done(stop)
	default:
		body := &h1Body{c: c, ctx: ctx, stop: stop, left: head.length}
		switch {
		case head.chunked:
			body.framing, body.left = framedByChunks, 0
		case head.length < 0:
			body.framing, c.keep = framedByClose, false
		}
		if isEventStream(head.header) {
			c.in.small = true
			_ = c.tcp.SetDeadline(time.Time{}) // fails only when closed, which the next read says
		} else {
			c.in.patience = c.owner.limits.BodyTimeout
		}
		resp.Body = body
	}
	return resp
}

// unprocessed reports whether the request can be sent again on another connection:
// the kept one turned out to be closed, and the backend cannot have acted on it.
// A proxy must not send a POST twice on a guess (RFC 9110 §9.2.2, MCP 2026-07-28:
// a tools/call whose stream broke is lost).
func (c *h1Conn) unprocessed(h *hop, err error) bool {
	if c.in.got || errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	if c.incomplete || h.idempotent() {
		return true
	}
	return (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)) && c.undelivered()
}
