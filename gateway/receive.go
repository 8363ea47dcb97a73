package gateway

import (
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// receive takes a request in: the method, the Host and Origin it names, the type
// and size of its body. Nothing of the body is kept before all that is in order.
func (e *Endpoint) receive(x *Exchange) *mcp.Error {
	if x.socket != nil {
		return x.socket.receive(x) // its handshake has been here
	}
	if err := e.checkMethod(x); err != nil {
		return err
	}
	if err := e.server.checkOrigin(x.r); err != nil {
		return err
	}
	if x.surface == surfaceSocket {
		return e.checkHandshake(x)
	}
	if x.r.Method != http.MethodPost {
		return nil
	}
	if !isJSON(x.r.Header["Content-Type"]) {
		return mcp.Errorf(http.StatusUnsupportedMediaType, mcp.CodeInvalidRequest, "send messages with Content-Type: application/json")
	}
	return e.readBody(x)
}

// checkMethod refuses HTTP methods that the surface does not know (L1, M1: the
// backend itself decides about GET and DELETE on the MCP endpoint).
func (e *Endpoint) checkMethod(x *Exchange) *mcp.Error {
	allow := "GET, POST, DELETE"
	switch x.surface {
	case surfaceSSE, surfaceSocket, surfaceList:
		allow = http.MethodGet
	case surfaceMessages:
		allow = http.MethodPost
	}
	for m := range strings.SplitSeq(allow, ", ") {
		if m == x.r.Method {
			return nil
		}
	}
	x.w.Header().Set("Allow", allow)
	return mcp.Errorf(http.StatusMethodNotAllowed, mcp.CodeInvalidRequest, "method not allowed here; use %s", allow)
}

// readBody reads the whole body within the size and time limits. The length that
// a client announces is not trusted with memory beyond the first bytes.
func (e *Endpoint) readBody(x *Exchange) *mcp.Error {
	limit := e.server.opts.MaxBodyBytes
	n := x.r.ContentLength
	if n > limit {
		return tooLarge(limit)
	}
	rc := http.NewResponseController(x.w)
	_ = rc.SetReadDeadline(time.Now().Add(bodyTimeout)) // not every writer has one; then the server's own limits hold
	var err error
	if n >= 0 && n <= trustedLength {
		x.body = make([]byte, n)
		_, err = io.ReadFull(x.r.Body, x.body)
	} else {
		x.body, err = io.ReadAll(http.MaxBytesReader(x.w, x.r.Body, limit))
	}
	if err != nil {
		x.body = nil
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return tooLarge(limit)
		}
		return mcp.Errorf(http.StatusBadRequest, mcp.CodeInvalidRequest, "message could not be read to its end")
	}
	_ = rc.SetReadDeadline(time.Time{})
	return nil
}

func tooLarge(limit int64) *mcp.Error {
	return mcp.Errorf(http.StatusRequestEntityTooLarge, mcp.CodeInvalidRequest, "message is larger than %d bytes", limit)
}

const (
	bodyTimeout   = 30 * time.Second
	trustedLength = 64 << 10 // a buffer of the announced length is made up to here
)

func isJSON(values []string) bool {
	if len(values) != 1 {
		return false
	}
	if values[0] == "application/json" {
		return true
	}
	t, params, err := mime.ParseMediaType(values[0])
	if err != nil || t != "application/json" {
		return false
	}
	cs, ok := params["charset"]
	return !ok || strings.EqualFold(cs, "utf-8")
}

// checkOrigin keeps web pages out that reach the gateway through a person's
// browser (L2, M25): a page's Origin must be the gateway's own or an allowed one,
// and on a loopback address the Host must be a loopback name too, since a rebound
// DNS name gives the page's requests the gateway as "same origin".
func (s *Server) checkOrigin(r *http.Request) *mcp.Error {
	if err := s.checkHost(r); err != nil {
		return err
	}
	origins, ok := r.Header["Origin"]
	if !ok {
		return nil
	}
	if len(origins) == 1 {
		u, err := url.Parse(origins[0])
		// A browser's Origin is scheme, host and port, and nothing else (RFC 6454 §6.2).
		whole := err == nil && u.Host != "" && u.Scheme+"://"+u.Host == origins[0]
		if whole && (s.origins[origins[0]] || strings.EqualFold(u.Host, r.Host)) {
			return nil
		}
	}
	return mcp.Errorf(http.StatusForbidden, mcp.CodeInvalidRequest, "origin not allowed; the operator can allow it with --allowed-origins")
}

func (s *Server) checkHost(r *http.Request) *mcp.Error {
	if onLoopback(r) && !isLoopbackHost(r.Host) && !s.hosts[hostname(r.Host)] {
		return mcp.Errorf(http.StatusForbidden, mcp.CodeInvalidRequest, "host name not allowed; the operator can allow it with --allowed-hosts")
	}
	return nil
}

func onLoopback(r *http.Request) bool {
	a, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return ok && a.IP.IsLoopback()
}

func isLoopbackHost(host string) bool {
	h := hostname(host)
	if h == "localhost" || h == "127.0.0.1" {
		return true
	}
	ip, err := netip.ParseAddr(h)
	return err == nil && ip.IsLoopback()
}

// hostname is the lower-case name in a Host value, without port and brackets.
func hostname(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.ToLower(strings.Trim(host, "[]"))
}

// peerAddress is the address the request came from, without the port.
func peerAddress(r *http.Request) string {
	h, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return h
}
