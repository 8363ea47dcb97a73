package surface

import (
	"cmp"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/pipeline"
)

// publicURL is the address under which clients reach the gateway: scheme, host and
// path prefix, without a slash at the end. What a client is told of addresses must
// equal what it used (RFC 9728 §3.3), so behind a reverse proxy the gateway has to
// be told, by --public-url, by the proxy's headers, by host names that are the
// endpoint's, or by the issuer that is its own: tokens are for addresses at the issuer's
// origin.
func (s *Surfaces) publicURL(r *http.Request, l *pipeline.Link) string {
	if s.PublicURL != "" {
		return strings.TrimRight(s.PublicURL, "/")
	}
	u := url.URL{Scheme: "http", Host: r.Host}
	if r.TLS != nil {
		u.Scheme = "https"
	}
	prefix := l.Prefix
	if l.Trusts(r) {
		readForwarded(r.Header, &u)
		if prefix == "" {
			prefix = forwardedPrefix(r.Header)
		}
	}
	if l.Outside.Has(u.Hostname()) {
		u.Scheme, prefix = l.Outside.Scheme, cmp.Or(l.Outside.Prefix, prefix)
	}
	at := oauth.Origin(&u)
	if l.Origin != nil && strings.EqualFold(u.Hostname(), l.Origin.Hostname()) {
		if own := oauth.Origin(l.Origin); own != at {
			s.otherOrigin.Do(func() {
				s.Log.Warn("requests come by another address than the issuer's; clients are told the issuer's", "requests", at, "issuer", own,
					"remedy", "set --public-url, or trustProxyHeaders with a proxy that sends X-Forwarded-Proto")
			})
			at = own
		}
	}
	return at + prefix
}

// readForwarded takes scheme and host as a proxy says that its client had them:
// X-Forwarded-Proto, -Host and -Port, or Forwarded (RFC 7239) without those.
func readForwarded(h http.Header, u *url.URL) {
	proto, host := forwarded(h, "X-Forwarded-Proto"), forwarded(h, "X-Forwarded-Host")
	if proto == "" && host == "" {
		for pair := range strings.SplitSeq(forwarded(h, "Forwarded"), ";") {
			switch name, value, _ := strings.Cut(strings.TrimSpace(pair), "="); strings.ToLower(name) {
			case "proto":
				proto = strings.Trim(value, `"`)
			case "host":
				host = strings.Trim(value, `"`)
			}
		}
	}
	if proto = strings.ToLower(proto); proto == "https" || proto == "http" {
		u.Scheme = proto
	}
	if host != "" && validHost(host) {
		u.Host = host
	}
	if port, err := strconv.ParseUint(forwarded(h, "X-Forwarded-Port"), 10, 16); err == nil && port != 0 && u.Port() == "" {
		u.Host += ":" + strconv.FormatUint(port, 10)
	}
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
