package gateway

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/authn"
)

// link makes the addresses that clients are told.
type link struct {
	prefix       string         // spec.endpointPrefix
	trustHeaders bool           // spec.trustProxyHeaders
	proxies      []netip.Prefix // spec.trustedProxy.trustedProxies
}

// trusts reports whether a request comes from a proxy whose X-Forwarded-* count.
func (l link) trusts(r *http.Request) bool {
	return l.trustHeaders && authn.Within(peer(r), l.proxies)
}

// publicURL is the address under which clients reach the gateway: scheme, host and
// path prefix, without a slash at the end. What a client is told of addresses must
// equal what it used (RFC 9728 §3.3), so behind a reverse proxy the gateway has to
// be told, by --public-url or by the proxy's headers.
func (s *Server) publicURL(r *http.Request, l link) string {
	if s.opts.PublicURL != "" {
		return strings.TrimRight(s.opts.PublicURL, "/")
	}
	u := url.URL{Scheme: "http", Host: strings.ToLower(r.Host)}
	if r.TLS != nil {
		u.Scheme = "https"
	}
	prefix := l.prefix
	if l.trusts(r) {
		if proto := forwarded(r.Header, "X-Forwarded-Proto"); proto == "https" || proto == "http" {
			u.Scheme = proto
		}
		if host := forwarded(r.Header, "X-Forwarded-Host"); host != "" && validHost(host) {
			u.Host = strings.ToLower(host)
		}
		if prefix == "" {
			prefix = forwardedPrefix(r.Header)
		}
	}
	return u.String() + prefix
}

// forwarded is a forwarding header's value, as the nearest proxy wrote it: the last
// of several.
func forwarded(h http.Header, name string) string {
	values := h[name]
	if len(values) == 0 {
		return ""
	}
	last := values[len(values)-1]
	return strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:])
}

// validHost reports whether a host can stand in a URL as it is.
func validHost(host string) bool {
	u, err := url.Parse("http://" + host)
	return err == nil && u.Host == host && u.User == nil && u.Path == "" && u.RawQuery == "" && u.Hostname() != ""
}

// forwardedPrefix is X-Forwarded-Prefix, if it is a plain absolute path.
func forwardedPrefix(h http.Header) string {
	v := h["X-Forwarded-Prefix"]
	if len(v) != 1 || !strings.HasPrefix(v[0], "/") || strings.HasPrefix(v[0], "//") {
		return ""
	}
	p := strings.TrimRight(v[0], "/")
	if strings.ContainsFunc(p, func(c rune) bool {
		return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("/-._~", c))
	}) {
		return ""
	}
	return p
}
