package surface

import (
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/keep"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/pipeline"
)

// receive looks at the head of a request: the method, which has to be one of allow, and
// the Host and Origin that it names.
func (q *request) receive(allow string) *mcp.Error {
	r := q.Request
	for m := range strings.SplitSeq(allow, ", ") {
		if m == r.Method {
			if q.e.Link.Outside.Has(Hostname(r.Host)) { // its own name, which no page of others has
				return q.s.CheckPage(r)
			}
			if err := q.s.checkName(r, q.e); err != nil {
				return err
			}
			return q.s.CheckOrigin(r)
		}
	}
	q.Tell("Allow", allow)
	return mcp.Errorf(http.StatusMethodNotAllowed, mcp.CodeInvalidRequest, "method not allowed here; use %s", allow)
}

// receiveMessage does that for a request that carries a message, which has to be JSON
// as it is, and not announce more than the limit.
func (q *request) receiveMessage(allow string) *mcp.Error {
	if err := q.receive(allow); err != nil {
		return err
	}
	r := q.Request
	switch coding := r.Header["Content-Encoding"]; {
	case r.Method != http.MethodPost:
	case !isJSON(r.Header["Content-Type"]):
		return mcp.Errorf(http.StatusUnsupportedMediaType, mcp.CodeInvalidRequest, "send messages with Content-Type: application/json")
	case strings.Join(coding, "") != "" && !strings.EqualFold(strings.Join(coding, ","), "identity"):
		return mcp.Errorf(http.StatusUnsupportedMediaType, mcp.CodeInvalidRequest, "send messages without Content-Encoding")
	case r.ContentLength > q.s.MaxBodyBytes:
		return tooLarge(q.s.MaxBodyBytes)
	}
	return nil
}

// Read reads the message that a POST has, within the limits of size and time.
func (q *request) Read(x *pipeline.Exchange) *mcp.Error {
	if x.Request.Method != http.MethodPost {
		return nil
	}
	rc := http.NewResponseController(q.w)
	_ = rc.SetReadDeadline(time.Now().Add(BodyTimeout)) // not every writer has one; then the server's own limits hold
	if err := q.s.readMessage(x, x.Request.Body, x.Request.ContentLength, func() string { return sender(x) }); err != nil {
		q.read = err.Status == http.StatusBadRequest // there is no more of it
		return err
	}
	_ = rc.SetReadDeadline(time.Time{})
	q.read = true
	return nil
}

// readMessage reads the message of an exchange; size is negative where it is not known.
// The length that a client announces is not trusted with memory.
func (s *Surfaces) readMessage(x *pipeline.Exchange, r io.Reader, size int64, who func() string) *mcp.Error {
	var err error
	x.Body, x.Held, err = s.messages.Read(x.Request.Context(), r, size, s.MaxBodyBytes, who)
	if err == nil {
		return nil
	}
	x.Note("receive")
	switch err {
	case keep.ErrTooLarge:
		return tooLarge(s.MaxBodyBytes)
	case keep.ErrNoRoom:
		return mcp.Errorf(http.StatusServiceUnavailable, mcp.CodeInternal, "the gateway is at its limit of bytes in messages; try again soon")
	default:
		return mcp.Errorf(http.StatusBadRequest, mcp.CodeInvalidRequest, "message could not be read to its end")
	}
}

// sender is who has a share of the room for messages: the caller, or of those that are
// anonymous the address, which of IPv6 is that of a network.
func sender(x *pipeline.Exchange) string {
	if a, err := netip.ParseAddr(pipeline.PeerAddress(x.Request)); err == nil && a.Is6() && !a.Is4In6() && x.Caller.Source == identity.SourceAnonymous {
		network, _ := a.WithZone("").Prefix(64)
		return network.String()
	}
	return x.Sharer()
}

// messageRoom is for the messages of all clients that are being read or answered: so
// much in all, and of each sender a quarter.
const (
	messageRoom     = 64 << 20
	messagePatience = 5 * time.Second
)

// newMessageRoom has room for several messages of the largest size.
func newMessageRoom(largest int64) *keep.Budget {
	room := max(messageRoom, 8*largest)
	return keep.NewBudget(room, room/4, messagePatience)
}

func tooLarge(limit int64) *mcp.Error {
	return mcp.Errorf(http.StatusRequestEntityTooLarge, mcp.CodeInvalidRequest, "message is larger than %d bytes", limit)
}

// BodyTimeout is how long a body may take to come.
const BodyTimeout = 30 * time.Second

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

// CheckOrigin keeps web pages out that reach the gateway through a person's
// browser (MCP transports, security): a page's Origin must be the gateway's own or an allowed one,
// and on a loopback address the Host must be a loopback name too, since a rebound
// DNS name gives the page's requests the gateway as "same origin".
func (s *Surfaces) CheckOrigin(r *http.Request) *mcp.Error {
	if err := s.CheckHost(r); err != nil {
		return err
	}
	return s.CheckPage(r)
}

// CheckPage refuses requests of web pages that are not the gateway's own or allowed.
func (s *Surfaces) CheckPage(r *http.Request) *mcp.Error {
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

// CheckHost keeps out a request by a name that is not the gateway's, on loopback.
func (s *Surfaces) CheckHost(r *http.Request) *mcp.Error {
	if a, ok := localAddress(r); ok && a.IsLoopback() && !IsLoopbackHost(r.Host) && !s.Allows(r.Host) {
		return hostNotAllowed()
	}
	return nil
}

func hostNotAllowed() *mcp.Error {
	return mcp.Errorf(http.StatusForbidden, mcp.CodeInvalidRequest, "host name not allowed; the operator can allow it with --allowed-hosts")
}

// checkName does that at any address of a private network, such as that of a container
// with a published port, for an endpoint that asks nobody for a credential: a page's
// requests have none. Names that are somewhere in public DNS could be a page's.
func (s *Surfaces) checkName(r *http.Request, e *pipeline.Endpoint) *mcp.Error {
	if a, ok := localAddress(r); !ok || !a.IsPrivate() && !a.IsLinkLocalUnicast() && !sharedSpace.Contains(a) {
		return nil
	}
	if e.Door.Required() || e.Link.Proxied(r) || s.Names(r.Host) || isInternal(Hostname(r.Host)) {
		return nil
	}
	for _, own := range []*url.URL{e.Link.Origin, e.Link.Resource} {
		if own != nil && strings.EqualFold(own.Hostname(), Hostname(r.Host)) {
			return nil
		}
	}
	return hostNotAllowed()
}

var sharedSpace = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598

// isInternal tells names that nobody can have in public DNS.
func isInternal(name string) bool {
	for _, zone := range []string{".svc", ".local", ".internal", ".home.arpa", ".localdomain"} {
		if strings.HasSuffix(name, zone) {
			return true
		}
	}
	return !strings.Contains(name, ".")
}

// Names reports whether a Host value is the gateway's whatever it listens on: an IP
// address, a loopback name, that of the public URL, or one that the operator allows.
func (s *Surfaces) Names(host string) bool {
	name := Hostname(host)
	_, err := netip.ParseAddr(name)
	return err == nil || IsLoopbackHost(host) || s.hosts[name] || name != "" && name == s.publicName
}

// Allows reports whether a Host value is one that the operator allows besides loopback.
func (s *Surfaces) Allows(host string) bool { return s.hosts[Hostname(host)] }

// localAddress is where a request has arrived.
func localAddress(r *http.Request) (netip.Addr, bool) {
	a, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if !ok {
		return netip.Addr{}, false
	}
	return a.AddrPort().Addr().Unmap(), true
}

// IsLoopbackHost reports whether a Host value names this machine alone (RFC 6761 §6.3).
func IsLoopbackHost(host string) bool {
	h := Hostname(host)
	if h == "localhost" || h == "127.0.0.1" || strings.HasSuffix(h, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(h)
	return err == nil && ip.IsLoopback()
}

// Hostname is the lower-case name in a Host value, without port and brackets.
func Hostname(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.ToLower(strings.Trim(host, "[]"))
}
