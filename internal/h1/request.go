package h1

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// HeaderError is a header that must not be sent. It names the header alone.
type HeaderError string

func (e HeaderError) Error() string {
	return fmt.Sprintf("send header %s: its name or value holds characters that HTTP does not allow", string(e))
}

// Request is a request as [Transport.Send] takes it: whole, and in memory, and apart from
// the rest of its header.
type Request struct {
	Method string
	Addr   string // host:port to dial
	Host   string // what the Host header says
	URI    string // path and query
	Body   []byte // nil for none, which is not the same as an empty one
	Close  bool   // the connection is to be closed after it
	// Repeatable says that it may be sent twice, where its method does not say so.
	Repeatable bool
}

// Field is one line of a header.
type Field struct{ Name, Value string }

// requestOf takes what it needs of a request, its whole body included, and closes that.
func requestOf(req *http.Request) (r Request, err error) {
	if req.Body != nil {
		defer req.Body.Close()
	}
	if req.URL.Scheme != "http" || req.URL.Hostname() == "" {
		return r, errors.New("send request: its URL is no http URL with a host")
	}
	r = Request{
		Method: req.Method, Addr: req.URL.Host, Host: cmp.Or(req.Host, req.URL.Host), URI: req.URL.RequestURI(),
		Close: req.Close,
	}
	if req.URL.Port() == "" {
		r.Addr += ":80"
	}
	_, r.Repeatable = req.Header["Idempotency-Key"] // as in net/http, the value may be empty
	if req.Body == nil {
		return r, nil
	}
	if r.Body, err = io.ReadAll(req.Body); err != nil {
		err = fmt.Errorf("read request body: %w", err)
	}
	return r, err
}

func fieldsOf(h http.Header) []Field {
	fields := make([]Field, 0, len(h))
	for name, values := range h {
		for _, v := range values {
			fields = append(fields, Field{name, v})
		}
	}
	return fields
}

// repeatable reports whether sending r twice does what sending it once does.
func (r *Request) repeatable() bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	return r.Repeatable
}

// appendHead appends the head, or an error for what could end a line of it, or the head
// (request smuggling).
func (r *Request) appendHead(b []byte, fields []Field) ([]byte, error) {
	if !ValidName(r.Method) || !ValidValue(r.Host) || !validURI(r.URI) {
		return b, errors.New("send request: its method, Host or URL is ill-formed")
	}
	b = append(b, r.Method...)
	b = append(b, ' ')
	b = append(b, r.URI...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, r.Host...)
	b = append(b, "\r\n"...)
	for i := range fields {
		f := &fields[i]
		switch {
		case !ValidName(f.Name):
			return b, HeaderError("with an invalid name")
		case !ValidValue(f.Value):
			return b, HeaderError(f.Name)
		case ownHeader(f.Name):
			continue
		}
		b = append(b, f.Name...)
		b = append(b, ": "...)
		b = append(b, f.Value...)
		b = append(b, "\r\n"...)
	}
	if r.Close {
		b = append(b, "Connection: close\r\n"...)
	}
	if r.Body != nil {
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, int64(len(r.Body)), 10)
		b = append(b, "\r\n"...)
	}
	return append(b, "\r\n"...), nil
}

// validURI reports whether s can stand on a request line.
func validURI(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c == 0x7f {
			return false
		}
	}
	return s != ""
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
