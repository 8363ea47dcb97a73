package gateway

import (
	"io"
	"net/http"
	"net/http/pprof"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/console"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/pipeline"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/surface"
)

// AdminHandler serves what operators look at: /healthz, /readyz, /metrics, /status and
// the console, and with profiling the Go profiles under /debug/pprof/. Where there are
// admin tokens, all but the two probes need one (REQ C-7), for which the console has a
// form.
func (s *Server) AdminHandler(profiling bool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "ok\n")
	})
	mux.HandleFunc("GET /readyz", s.serveReady)
	mux.HandleFunc("GET /status", s.serveStatus)
	mux.Handle("GET /metrics", s.opts.Metrics.Handler())
	if profiling {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isProbe(r) {
			mux.ServeHTTP(w, r)
			return
		}
		if err := s.checkOperator(r); err != nil {
			surface.WriteError(w, err, nil)
			return
		}
		if s.opts.Recent != nil && isConsole(r) {
			s.console.ServeHTTP(w, r)
			return
		}
		if !s.operator(r) {
			// Browsers know what to do with Basic, programs with either.
			w.Header()["Www-Authenticate"] = []string{`Basic realm="sallyport admin", charset="UTF-8"`, `Bearer realm="sallyport admin"`}
			http.Error(w, "the admin token is required, as a bearer token or as a password", http.StatusUnauthorized)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// isProbe tells the questions of balancers, which name any host or none, and learn
// nothing but a yes or no.
func isProbe(r *http.Request) bool {
	return (r.URL.Path == "/healthz" || r.URL.Path == "/readyz") && r.URL.RawQuery == ""
}

// isConsole tells requests of the page for people, and of the bare address, which leads
// there.
func isConsole(r *http.Request) bool {
	return r.URL.Path == "/" || r.URL.Path == console.Path || strings.HasPrefix(r.URL.Path, console.Path+"/")
}

// checkOperator keeps web pages out. Without a token a page must not even reach the
// listener by a name that it has made lead there (DNS rebinding), wherever that is.
func (s *Server) checkOperator(r *http.Request) *mcp.Error {
	if len(s.opts.AdminTokens) > 0 {
		return s.surfaces.CheckOrigin(r)
	}
	if !s.surfaces.Names(r.Host) {
		return mcp.Errorf(http.StatusForbidden, mcp.CodeInvalidRequest, "host name not allowed; use the listener's IP address, ask for a token with --admin-token-file, or allow the name with --allowed-hosts")
	}
	return s.surfaces.CheckPage(r)
}

// operator reports whether a request shows an admin token: as a bearer token, or as
// the password of any user name. It has nothing to do with how clients of MCP
// authenticate.
func (s *Server) operator(r *http.Request) bool {
	if len(s.opts.AdminTokens) == 0 {
		return true
	}
	shown := ""
	if values := r.Header["Authorization"]; len(values) == 1 {
		if _, password, ok := r.BasicAuth(); ok {
			shown = password
		} else if scheme, token, ok := strings.Cut(values[0], " "); ok && strings.EqualFold(scheme, "Bearer") {
			shown = token
		}
	}
	if shown == "" {
		return false
	}
	ok := false
	for _, t := range s.opts.AdminTokens {
		ok = t.Equal(secret.New(shown)) || ok
	}
	if !ok {
		s.opts.Log.Warn("a request for the admin listener has a wrong token", "client", pipeline.PeerAddress(r), "path", r.URL.Path)
	}
	return ok
}
