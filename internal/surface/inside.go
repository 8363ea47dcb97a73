package surface

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/sallyport-dev/sallyport/internal/console"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/pipeline"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// This file is the way in for what the gateway itself sends, for somebody who looks at one
// of its pages: the whole way of a client's request, and no shorter one.

// Inside are the ways in for the console: to list the raw tools of an endpoint, for whom a token is for or for an empty one
// for nobody whom it knows, and to send it a message.
func (s *Surfaces) Inside(e *pipeline.Endpoint) (tools func(*http.Request, secret.Value) ([][]byte, error), send func(*http.Request, *console.Message) (int, http.Header)) {
	tools = func(r *http.Request, shown secret.Value) ([][]byte, error) {
		ctx, cancel := context.WithTimeout(r.Context(), s.CallTimeout)
		defer cancel()
		return s.listTools(r.WithContext(ctx), e, shown, pipeline.ViaConsole)
	}
	return tools, func(r *http.Request, m *console.Message) (int, http.Header) { return s.send(r, e, m) }
}

// send has an endpoint answer a message, as a client's that comes by Streamable HTTP, and returns the head of the
// answer. Of the request that asks for it only the address counts, and its life.
func (s *Surfaces) send(r *http.Request, e *pipeline.Endpoint, m *console.Message) (status int, head http.Header) {
	ctx, cancel := context.WithTimeout(r.Context(), s.CallTimeout)
	defer cancel()
	asking := inside(r.WithContext(ctx), http.MethodPost, "/servers/"+e.Name+"/mcp", m.Token)
	for name, values := range m.Header {
		asking.Header[name] = values
	}
	asking.ContentLength, asking.Body = int64(len(m.Body)), http.NoBody
	w := &taker{header: http.Header{}, to: m.Answer, stop: cancel}
	c := &sent{body: m.Body}
	c.Via, c.Sent = pipeline.ViaConsole, m.Sent
	func() {
		defer func() {
			if p := recover(); p != nil && p != http.ErrAbortHandler { // which breaks the connection, and here there is none
				panic(p)
			}
		}()
		c.serve(s, w, asking, e, c)
	}()
	return w.status, w.header
}

func (s *Surfaces) listTools(r *http.Request, e *pipeline.Endpoint, token secret.Value, via string) ([][]byte, error) {
	asking := inside(r, http.MethodGet, "/servers/"+e.Name+"/tools", token)
	l := newList(asking.URL.Path)
	l.part, l.Via = true, via
	l.serve(s, nil, asking, e, l)
	if refusal := l.Refusal(); refusal != nil {
		return nil, refusal
	}
	return l.items, nil
}

// inside is a request in the course of another one, from where that comes from: without its headers, which have cookies
// among them.
func inside(r *http.Request, method, path string, token secret.Value) *http.Request {
	asking := r.Clone(r.Context())
	asking.Method, asking.URL, asking.Body, asking.ContentLength = method, &url.URL{Path: path}, http.NoBody, 0
	asking.Header = http.Header{}
	if !token.Empty() {
		asking.Header["Authorization"] = []string{"Bearer " + token.Reveal()}
	}
	return asking
}

// sent is a request of Streamable HTTP whose message is at hand.
type sent struct {
	streamable
	body []byte
}

// Read takes the message.
func (q *sent) Read(x *pipeline.Exchange) *mcp.Error {
	x.Body, q.read = q.body, true
	return nil
}

// taker is a response that somebody in the process takes.
type taker struct {
	status int
	header http.Header
	to     func([]byte) bool
	stop   func()
}

func (t *taker) Header() http.Header { return t.header }

func (t *taker) WriteHeader(status int) {
	if t.status == 0 {
		t.status = status
	}
}

func (t *taker) Write(part []byte) (int, error) {
	t.WriteHeader(http.StatusOK)
	if !t.to(part) {
		t.stop()
	}
	return len(part), nil
}

// Flush and the deadlines are a client's that reads at once.
func (t *taker) Flush() {}

// SetWriteDeadline implements what streams ask of a response.
func (t *taker) SetWriteDeadline(time.Time) error { return nil }
