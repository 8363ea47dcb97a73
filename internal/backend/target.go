package backend

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// target is where a hop goes, in the forms in which it is needed.
type target struct {
	scheme    string // http or https
	host      string // lower-case name or address, without brackets and port
	addr      string // host:port to dial
	authority string // what the Host header says
	origin    string // scheme://host:port, the port always there
	uri       string // path and query, as on the request line
	shown     string // for the log: without the query
	url       *url.URL
	pinned    bool // addr is one of several that the host has; authority still says the host
}

// newTarget checks a URL and takes it apart. Its errors do not quote the URL.
func newTarget(u *url.URL) (*target, error) {
	t := &target{scheme: strings.ToLower(u.Scheme), host: strings.ToLower(u.Hostname())}
	port := u.Port()
	switch t.scheme {
	case "http":
		port = orElse(port, "80")
	case "https":
		port = orElse(port, "443")
	default:
		return nil, errors.New("the URL is neither http nor https")
	}
	if u.User != nil {
		return nil, errors.New("the URL holds a user name or password; use a header instead")
	}
	if u.Opaque != "" || !validHost(t.host) {
		return nil, errors.New("the URL's host is not a host name in ASCII (punycode) or an address")
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return nil, errors.New("the URL's port is not a port")
	}
	port = strconv.FormatUint(n, 10) // 0443 is the same origin as 443
	t.addr = net.JoinHostPort(t.host, port)
	t.origin = t.scheme + "://" + t.addr
	t.authority = t.addr
	if t.scheme == "http" && port == "80" || t.scheme == "https" && port == "443" {
		t.authority = strings.TrimSuffix(t.addr, ":"+port)
	}
	path := u.EscapedPath()
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	t.uri = escapeURI(path)
	t.shown = t.scheme + "://" + t.authority + t.uri
	if u.RawQuery != "" || u.ForceQuery {
		t.uri += "?" + escapeURI(u.RawQuery)
	}
	if t.url, err = url.ParseRequestURI(t.uri); err != nil {
		return nil, errors.New("the URL's path is not one that can be requested")
	}
	t.url.Scheme, t.url.Host = t.scheme, t.authority
	return t, nil
}

// parseTarget resolves a Location against the target that gave it.
func (t *target) parseTarget(location string) (*target, error) {
	base, err := url.Parse(t.scheme + "://" + t.authority + t.uri)
	if err != nil {
		return nil, errors.New("the URL cannot be resolved") // the cause would quote it
	}
	u, err := base.Parse(location)
	if err != nil {
		return nil, errors.New("the URL cannot be parsed")
	}
	return newTarget(u)
}

// key names the target for loop detection.
func (t *target) key() string { return t.origin + t.uri }

// validHost admits addresses, and names of the characters that DNS and its users
// put into them. Everything else could be read differently by somebody else.
func validHost(h string) bool {
	if strings.Contains(h, ":") {
		a, err := netip.ParseAddr(h)
		return err == nil && a.Zone() == ""
	}
	if h == "" || len(h) > 253 {
		return false
	}
	for i := range len(h) {
		c := h[i]
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_') {
			return false
		}
	}
	return true
}

// escapeURI percent-encodes what may not stand on a request line, so that nothing
// in it can end the line or look like another one.
func escapeURI(s string) string {
	clean := true
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			fmt.Fprintf(&b, "%%%02X", s[i])
		} else {
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
