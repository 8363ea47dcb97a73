package gateway

import (
	"net/http"

	"github.com/sallyport-dev/sallyport/internal/compile"
)

// callerAddress tells an authorization server who sends a request, for its limits:
// the peer, or behind a proxy that one of the server's endpoints trusts (trustProxyHeaders)
// what that proxy says. All who come through it would otherwise share one limit.
func (s *Server) callerAddress(of compile.Name) func(*http.Request) string {
	return func(r *http.Request) string {
		snap := s.take()
		if snap == nil {
			return r.RemoteAddr
		}
		defer snap.release()
		for _, e := range snap.endpoints {
			if e.SignIn != nil && e.SignIn.Name == of && e.Link.Trusts(r) {
				return e.Link.Sender(r).String()
			}
		}
		return r.RemoteAddr
	}
}
