package authserver

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
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
	case pathRedeem:
		s.public(w, r, http.MethodPost, s.serveToken)
	case pathRevoke:
		s.public(w, r, http.MethodPost, s.serveRevoke)
	case pathIntrospect:
		s.public(w, r, http.MethodPost, s.serveIntrospect)
	case pathRegister:
		s.public(w, r, "GET, POST, PUT, DELETE", s.serveRegistration)
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
			s.refusePage(w, http.StatusNotFound, "There is nothing here", "The address is not one of this sign-in service.", errors.New("no such path"))
		})
	}
}

// Handler serves every path of the server.
func (s *Server) Handler() http.Handler { return s }

func (s *Server) serveRegistration(w http.ResponseWriter, r *http.Request) {
	if !s.reserve(w, r) {
		s.writeError(w, errNoRoom())
		return
	}
	s.clients.ServeRegistration(w, r)
}

// maxForm bounds what a stranger can post.
const maxForm = 64 << 10

// public serves what is for programs: any web page may call it, since it goes by what
// is in the request alone and no cookie counts.
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

// page serves what is for people. No other page may post to it.
func (s *Server) page(w http.ResponseWriter, r *http.Request, methods string, serve http.HandlerFunc) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "same-origin")
	if !allowed(w, r, methods) {
		s.refusePage(w, http.StatusMethodNotAllowed, "This is not how it works", "Go back to your application and try again.", errors.New("the method is "+r.Method))
		return
	}
	if r.Method == http.MethodPost {
		if err := s.forms.Check(r); err != nil {
			s.refusePage(w, http.StatusForbidden, "Another page sent this", "The form was not sent by this service's own page. Go back to your application and try again.", err)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	}
	if err := s.audit.Reserve(r.Context()); err != nil {
		s.refusePage(w, http.StatusServiceUnavailable, "Not now", "What happens here has to be written down, and cannot be. Try again in a moment, or tell who runs this service.", err)
		return
	}
	serve(w, r)
}

func allowed(w http.ResponseWriter, r *http.Request, methods string) bool {
	for m := range strings.SplitSeq(methods, ", ") {
		if r.Method == m || r.Method == http.MethodHead && m == http.MethodGet {
			return true
		}
	}
	w.Header().Set("Allow", methods)
	return false
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
