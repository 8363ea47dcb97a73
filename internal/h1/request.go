package h1

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// Body is a request's body that is all there, and is sent without being copied.
type Body struct {
	bytes.Reader
	all []byte
}

// NewBody makes a body of b, which must not be changed while the request is under way.
func NewBody(b []byte) *Body {
	body := &Body{all: b}
	body.Reset(b)
	return body
}

// Close implements io.Closer.
func (*Body) Close() error { return nil }

// HeaderError is a header that must not be sent. It names the header alone.
type HeaderError string

func (e HeaderError) Error() string {
	return fmt.Sprintf("send header %s: its name or value holds characters that HTTP does not allow", string(e))
}

// message is a request as it goes on the wire.
type message struct {
	*http.Request
	addr string // host:port to dial
	body []byte
}

// newMessage takes what it needs of a request, its whole body included, and closes
// that.
func newMessage(req *http.Request) (message, error) {
	m := message{Request: req, addr: req.URL.Host}
	if req.URL.Port() == "" {
		m.addr += ":80"
	}
	switch b := req.Body.(type) {
	case nil:
	case *Body:
		m.body = b.all
	default:
		defer b.Close()
		var err error
		if m.body, err = io.ReadAll(b); err != nil {
			return m, fmt.Errorf("read request body: %w", err)
		}
	}
	switch {
	case req.URL.Scheme != "http" || req.URL.Hostname() == "":
		return m, errors.New("send request: its URL is no http URL with a host")
	case !ValidName(req.Method) || !ValidValue(req.Host):
		return m, errors.New("send request: its method or Host is ill-formed")
	}
	for name, values := range req.Header {
		if !ValidName(name) {
			return m, HeaderError("with an invalid name")
		}
		for _, v := range values {
			if !ValidValue(v) {
				return m, HeaderError(name)
			}
		}
	}
	return m, nil
}

// repeatable reports whether sending m twice does what sending it once does.
func (m *message) repeatable() bool {
	switch m.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	_, ok := m.Header["Idempotency-Key"] // as in net/http, the value may be empty
	return ok
}

func (m *message) appendHead(b []byte) []byte {
	b = append(b, m.Method...)
	b = append(b, ' ')
	b = append(b, m.URL.RequestURI()...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	if m.Host != "" {
		b = append(b, m.Host...)
	} else {
		b = append(b, m.URL.Host...)
	}
	b = append(b, "\r\n"...)
	for name, values := range m.Header {
		if ownHeader(name) {
			continue
		}
		for _, v := range values {
			b = append(b, name...)
			b = append(b, ": "...)
			b = append(b, v...)
			b = append(b, "\r\n"...)
		}
	}
	if m.Close {
		b = append(b, "Connection: close\r\n"...)
	}
	if m.Body != nil {
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, int64(len(m.body)), 10)
		b = append(b, "\r\n"...)
	}
	return append(b, "\r\n"...)
}

// ownHeader reports headers that are the client's own to write.
func ownHeader(name string) bool {
	switch len(name) {
	case len("Host"):
		return strings.EqualFold(name, "Host")
	case len("Trailer"):
		return strings.EqualFold(name, "Trailer")
	case len("Connection"):
		return strings.EqualFold(name, "Connection")
	case len("Content-Length"):
		return strings.EqualFold(name, "Content-Length")
	case len("Transfer-Encoding"):
		return strings.EqualFold(name, "Transfer-Encoding")
	}
	return false
}
