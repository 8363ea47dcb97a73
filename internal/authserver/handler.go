package authserver

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/authserver/page"
)

// The server's paths below its issuer.
const (
	pathAuthorize   = "/oauth/authorize"
	pathConsent     = "/oauth/consent"
	pathCallback    = "/oauth/callback"
	pathRedeem      = "/oauth/token"
	pathRevoke      = "/oauth/revoke"
	pathIntrospect  = "/oauth/introspect"
	pathRegister    = "/oauth/register"
	pathConnections = "/oauth/connections"
	pathConnect     = "/oauth/connect"
	pathLogout      = "/oauth/logout"
	pathStyle       = "/oauth/style.css"
	pathKeys        = "/.well-known/jwks.json"
)

// The documents about a server (RFC 8414 §3, OpenID Discovery §4).
const (
	documentOAuth  = "/.well-known/oauth-authorization-server"
	documentOpenID = "/.well-known/openid-configuration"
)

// Split takes a request's path apart: the path of the issuer that it belongs to, and
// the server's own path below it. ok is false for a path that no server has. The
// issuer's path stands before the server's, or behind a document's (RFC 8414 §3.1).
func Split(path string) (issuer, local string, ok bool) {
	for _, document := range []string{documentOAuth, documentOpenID} {
		if rest, found := strings.CutPrefix(path, document); found && (rest == "" || rest[0] == '/') {
			return strings.TrimSuffix(rest, "/"), document, true
		}
		if rest, found := strings.CutSuffix(path, document); found {
			return rest, document, true
		}
	}
	if rest, found := strings.CutSuffix(path, pathKeys); found {
		return rest, pathKeys, true
	}
	if i := strings.LastIndex(path, "/oauth/"); i >= 0 {
		return path[:i], path[i:], true
	}
	return "", "", false
}

// ServeHTTP serves the server's paths, whatever stands before or behind them: which
// server a path belongs to has been decided above.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, local, _ := Split(r.URL.Path)
	if strings.HasPrefix(local, pathRegister+"/") {
		local = pathRegister
	}
	switch local {
	case documentOAuth, documentOpenID, pathKeys:
		s.public(w, r, http.MethodGet, s.document(local))
	case pathStyle:
		s.public(w, r, http.MethodGet, page.ServeStyle)
	case pathRedeem:
		s.public(w, r, http.MethodPost, s.serveToken)
	case pathRevoke:
		s.public(w, r, http.MethodPost, s.serveRevoke)
	case pathIntrospect:
		s.public(w, r, http.MethodPost, s.serveIntrospect)
	case pathRegister:
		s.public(w, r, "GET, POST, PUT, DELETE", s.clients.ServeRegistration)
	case pathAuthorize:
		s.page(w, r, http.MethodGet, s.serveAuthorize)
	case pathConsent:
		s.page(w, r, http.MethodPost, s.serveConsent)
	case pathCallback:
		s.page(w, r, http.MethodGet, s.serveCallback)
	case pathConnections:
		s.page(w, r, "GET, POST", s.serveConnections)
	case pathConnect:
		s.page(w, r, "GET, POST", s.serveConnect)
	case pathLogout:
		s.page(w, r, "GET, POST", s.serveLogout)
	default:
		s.page(w, r, http.MethodGet, func(w http.ResponseWriter, _ *http.Request) {
			s.refusePage(w, http.StatusNotFound, "There is nothing here", "The address is not one of this sign-in service.")
		})
	}
}

// Handler serves every path of the server.
func (s *Server) Handler() http.Handler { return s }

// maxForm bounds what a stranger can post.
const maxForm = 64 << 10

// public serves what is for programs: any web page may call it, since it goes by what
// is in the request alone and no cookie counts (RS11).
func (s *Server) public(w http.ResponseWriter, r *http.Request, methods string, serve http.HandlerFunc) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", "WWW-Authenticate")
	h.Set("X-Content-Type-Options", "nosniff")
	if r.Method == http.MethodOptions {
		h.Set("Access-Control-Allow-Methods", methods)
		h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, MCP-Protocol-Version")
		h.Set("Access-Control-Max-Age", "600")
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if !allowed(w, r, methods) {
		http.Error(w, "method not allowed; use "+methods, http.StatusMethodNotAllowed)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	serve(w, r)
}

// page serves what is for people. No other page may frame it or post to it, and
// nothing of it is kept or runs a script.
func (s *Server) page(w http.ResponseWriter, r *http.Request, methods string, serve http.HandlerFunc) {
	h := w.Header()
	h.Set("Content-Security-Policy", contentPolicy)
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	if !allowed(w, r, methods) {
		s.refusePage(w, http.StatusMethodNotAllowed, "This is not how it works", "Go back to your application and try again.")
		return
	}
	if r.Method == http.MethodPost {
		if !s.ownOrigin(r) {
			s.log.Warn("form refused, another page sent it", "issuer", s.issuer, "path", r.URL.Path)
			s.refusePage(w, http.StatusForbidden, "Another page sent this", "The form was not sent by this service's own page. Go back to your application and try again.")
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	}
	serve(w, r)
}

// contentPolicy has no form-action: browsers apply it to redirects that follow a form
// too, and those lead to providers and to clients' own schemes, of which nobody has a
// list. What is shown is escaped, so there is no form but ours.
const contentPolicy = "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'"

func allowed(w http.ResponseWriter, r *http.Request, methods string) bool {
	for m := range strings.SplitSeq(methods, ", ") {
		if r.Method == m || r.Method == http.MethodHead && m == http.MethodGet {
			return true
		}
	}
	w.Header().Set("Allow", methods)
	return false
}

// ownOrigin tells whether a form comes from the server's own pages, as far as the
// browser says. Every browser says so in Origin or Sec-Fetch-Site; what does not is
// none, and meets the token in the form all the same.
func (s *Server) ownOrigin(r *http.Request) bool {
	if origin := r.Header.Get("Origin"); origin != "" && origin != s.origin() {
		return false
	}
	site := r.Header.Get("Sec-Fetch-Site")
	return site == "" || site == "same-origin" || site == "none"
}

// origin is the issuer without its path.
func (s *Server) origin() string {
	i := strings.Index(s.issuer, "://") + len("://")
	if j := strings.IndexByte(s.issuer[i:], '/'); j >= 0 {
		return s.issuer[:i+j]
	}
	return s.issuer
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil { // plain data
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
