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
	agent   string
	public  http.Header
	private http.Header // nil where the origin must not see it
	session string      // "" where the origin did not issue it
	body    []byte      // nil for GET and DELETE

	repeatable bool      // a POST that may be sent again
	deadline   time.Time // for the head of the answer, of all hops together
	sent       func(*Sent)
}

// send sends a hop and brings the head of the answer.
func (b *HTTP) send(ctx context.Context, h *hop) (resp *http.Response, err error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	b.logRequest(ctx, h)
	if h.sent != nil {
		h.sent(&Sent{h.method, h.to.shown, h.header(), h.body})
	}
	if h.to.scheme == "https" {
		resp, err = b.sendPatiently(ctx, h)
	} else {
		var usual [usualFields]h1.Field
		resp, err = b.plain.Send(ctx, &h1.Request{
			Method: h.method, Addr: h.to.addr, Host: h.to.authority, URI: h.to.uri,
			Body: h.body, Repeatable: h.repeatable,
		}, h.fields(usual[:0]), h.deadline)
	}
	if err == nil {
		b.logAnswer(ctx, h, resp)
	}
	return resp, err
}

// usualFields is how many lines most headers have no more than.
const usualFields = 12

// fields appends all that the hop says besides Host and Content-Length. A private header
// stands in place of a public one of its name.
func (h *hop) fields(to []h1.Field) []h1.Field {
	for name, values := range h.public {
		if _, taken := h.private[name]; protocolHeader(name) && !taken {
			to = appendFields(to, name, values)
		}
	}
	if h.session != "" {
		to = append(to, h1.Field{Name: mcp.HeaderSessionID, Value: h.session})
	}
	if _, taken := h.private["User-Agent"]; !taken {
		to = append(to, h1.Field{Name: "User-Agent", Value: h.agent})
	}
	for name, values := range h.private {
		name = http.CanonicalHeaderKey(name)
		switch {
		case neverSent(name):
		case name == "Idempotency-Key", name == "X-Idempotency-Key":
			to = appendFields(to, strings.ToLower(name), values) // by its usual spelling net/http would take a POST for repeatable
		default:
			to = appendFields(to, name, values)
		}
	}
	return append(to, h1.Field{Name: "Accept-Encoding", Value: "identity"}) // what is compressed could not be checked on the way back
}

func appendFields(to []h1.Field, name string, values []string) []h1.Field {
	for _, v := range values {
		to = append(to, h1.Field{Name: name, Value: v})
	}
	return to
}

// header is the same as a map.
func (h *hop) header() http.Header {
	header := make(http.Header, usualFields)
	for _, f := range h.fields(make([]h1.Field, 0, usualFields)) {
		header[f.Name] = append(header[f.Name], f.Value)
	}
	return header
}

// request is the hop as net/http wants it.
func (h *hop) request(ctx context.Context) *http.Request {
	header := h.header()
	if h.repeatable {
		header["Idempotency-Key"] = nil // which net/http takes for that, and sends nothing of
	}
	req := &http.Request{
		Method: h.method, URL: h.to.url, Host: h.to.authority,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header,
	}
	if body := h.body; body != nil {
		req.ContentLength = int64(len(body))
		// Of what it does not know to be in memory, net/http sends the head by itself.
		req.Body = io.NopCloser(bytes.NewReader(body))
		// This lets it send again what provably was not sent at all.
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	}
	return req.WithContext(ctx)
}

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

// sendPatiently sends a hop over TLS, by a transport that knows no time limits.
func (b *HTTP) sendPatiently(ctx context.Context, h *hop) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	req := h.request(ctx)
	if err := check(req.Header); err != nil {
		cancel(nil)
		return nil, err
	}
	patience := time.AfterFunc(time.Until(h.deadline), func() { cancel(h1.ErrTimeout) })
	resp, err := b.secure.RoundTrip(req)
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
