package gateway

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/authn"
)

// callerAddress tells an authorization server who sends a request, for its limits:
// the peer, or behind a proxy that one of the server's endpoints trusts (trustProxyHeaders)
// what that proxy says. All who come through it would otherwise share one limit.
func (s *Server) callerAddress(key objectKey) func(*http.Request) string {
	return func(r *http.Request) string {
		snap := s.take()
		if snap == nil {
			return r.RemoteAddr
		}
		defer snap.release()
		for _, e := range snap.endpoints {
			if e.authServer != nil && e.authServer.key == key && e.link.trusts(r) {
				return behind(r, e.link.proxies)
			}
		}
		return r.RemoteAddr
	}
}

// behind reads X-Forwarded-For from the right, over proxies that are trusted: what is
// left of the first one who is not was written by a stranger.
func behind(r *http.Request, proxies []netip.Prefix) string {
	hops := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
	nearest := r.RemoteAddr
	for i := len(hops) - 1; i >= 0; i-- {
		text := strings.TrimSpace(hops[i])
		addr, err := netip.ParseAddr(strings.Trim(text, "[]"))
		if err != nil {
			ap, err := netip.ParseAddrPort(text) // some proxies add the port
			if err != nil {
				return nearest
			}
			addr = ap.Addr()
		}
		nearest = addr.String()
		if !authn.Within(addr, proxies) {
			return nearest
		}
	}
	return nearest
}
