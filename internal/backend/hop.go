package backend

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/h1"
	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// hop is one HTTP request of an exchange.
type hop struct {
	method  string
	to      *target
	agent   []string
	public  http.Header
	private http.Header // nil where the origin must not see it
	session string      // "" where the origin did not issue it
	body    []byte      // nil for GET and DELETE

	repeatable bool      // a POST that may be sent again
	followed   bool      // it comes of a redirect
	deadline   time.Time // for the head of the answer, of all hops together
	sent       func(*Sent)
}

// send sends a hop and brings the head of the answer.
func (b *HTTP) send(ctx context.Context, h *hop) (*http.Response, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	req := h.request(ctx)
	b.logRequest(ctx, h, req.Header)
	if h.sent != nil {
		h.sent(&Sent{h.method, h.to.shown, req.Header, h.body})
	}
	var resp *http.Response
	var err error
	switch {
	case h.to.scheme == "https":
		resp, err = b.sendPatiently(b.secure, h, req)
	case h.followed:
		resp, err = b.sendPatiently(b.plain, h, req)
	default:
		resp, err = b.plain.RoundTrip(req) // which has the same time limits
	}
	if err == nil {
		b.logAnswer(ctx, h, resp)
	}
	return resp, err
}

// request is the hop as a transport wants it.
func (h *hop) request(ctx context.Context) *http.Request {
	req := &http.Request{
		Method: h.method, URL: h.to.url, Host: h.to.authority,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h.header(),
	}
	if h.body != nil {
		req.ContentLength = int64(len(h.body))
		if body := h.body; h.to.scheme == "https" {
			// Of what it does not know to be in memory, net/http sends the head by itself.
			req.Body = io.NopCloser(bytes.NewReader(body))
			// This lets it send again what provably was not sent at all.
			req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		} else {
			req.Body = h1.NewBody(body)
		}
	}
	return req.WithContext(ctx)
}

// header is all that the hop says besides Host and Content-Length.
func (h *hop) header() http.Header {
	all := make(http.Header, len(h.public)+len(h.private)+3)
	for name, values := range h.public {
		if protocolHeader(name) {
			all[name] = values
		}
	}
	if h.session != "" {
		all[mcp.HeaderSessionID] = []string{h.session}
	}
	all["User-Agent"] = h.agent
	for name, values := range h.private {
		switch {
		case neverSent(name):
		case strings.EqualFold(name, "Idempotency-Key"), strings.EqualFold(name, "X-Idempotency-Key"):
			// By their usual spelling both transports would take a POST for repeatable.
			all[strings.ToLower(name)] = values
		default:
			all[http.CanonicalHeaderKey(name)] = values
		}
	}
	if h.repeatable {
		all["Idempotency-Key"] = nil // which both transports take for that, and send nothing of
	}
	all["Accept-Encoding"] = identityEncoding // what is compressed could not be checked on the way back
	return all
}

var identityEncoding = []string{"identity"}

// check refuses headers that could end their line or the head (request smuggling).
func check(all http.Header) error {
	for name, values := range all {
		if !h1.ValidName(name) {
			return h1.HeaderError("with an invalid name")
		}
		for _, v := range values {
			if !h1.ValidValue(v) {
				return h1.HeaderError(name)
			}
		}
	}
	return nil
}

// sendPatiently sends a hop by a transport that knows no time limits, or none that
// end when they must.
func (b *HTTP) sendPatiently(t http.RoundTripper, h *hop, req *http.Request) (*http.Response, error) {
	if err := check(req.Header); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(req.Context())
	patience := time.AfterFunc(time.Until(h.deadline), func() { cancel(h1.ErrTimeout) })
	resp, err := t.RoundTrip(req.WithContext(ctx))
	if !patience.Stop() && err == nil {
		closeBody(resp.Body)
		err = h1.ErrTimeout
	}
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		cancel(nil)
		return nil, err
	}
	body := &patientBody{ReadCloser: resp.Body, ctx: ctx, cancel: cancel}
	if !isEventStream(resp.Header) {
		body.patience, body.idle = patience, b.limits.BodyTimeout
	}
	resp.Body = body
	return resp, nil
}

// patientBody ends an answer that stops coming, and reports it as an error.
type patientBody struct {
	io.ReadCloser
	ctx      context.Context // of the exchange; ending it ends the exchange
	cancel   context.CancelCauseFunc
	patience *time.Timer // nil for a stream
	idle     time.Duration
}

func (b *patientBody) Read(p []byte) (int, error) {
	if b.patience != nil {
		b.patience.Reset(b.idle)
		defer b.patience.Stop()
	}
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF && b.ctx.Err() != nil {
		err = context.Cause(b.ctx) // why, and not just that
	}
	return n, err
}

func (b *patientBody) Close() error {
	err := b.ReadCloser.Close()
	b.cancel(errBodyDone)
	return err
}
