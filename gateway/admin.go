package gateway

import (
	"io"
	"net/http"
	"net/http/pprof"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/secret"
)

// AdminHandler serves what operators look at: /healthz, /readyz and /metrics, and
// with profiling the Go profiles under /debug/pprof/. Where there are admin tokens,
// all but the two probes need one (REQ C-7).
func (s *Server) AdminHandler(profiling bool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "ok\n")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !s.Ready() {
			http.Error(w, "not ready", http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ready\n")
	})
	mux.Handle("GET /metrics", s.opts.Metrics.Handler())
	if profiling {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.checkOrigin(r); err != nil {
			writeError(w, err, nil)
			return
		}
		if r.URL.Path != "/healthz" && r.URL.Path != "/readyz" && !s.operator(r) {
			// Browsers know what to do with Basic, programs with either.
			w.Header()["Www-Authenticate"] = []string{`Basic realm="sallyport admin", charset="UTF-8"`, `Bearer realm="sallyport admin"`}
			http.Error(w, "the admin token is required, as a bearer token or as a password", http.StatusUnauthorized)
			return
		}
		mux.ServeHTTP(w, r)
	})
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
		s.opts.Log.Warn("a request for the admin listener has a wrong token", "client", peerAddress(r), "path", r.URL.Path)
	}
	return ok
}
