package authserver

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"

	"github.com/sallyport-dev/sallyport/internal/page"
)

// showPage writes a whole page.
func (s *Server) showPage(w http.ResponseWriter, title string, content func(p *page.Page)) {
	s.site.Write(w, http.StatusOK, title, "", content)
}

// refusePage tells a person that something does not go on, and what to do; and the
// operator why, under the id that the person can tell them.
func (s *Server) refusePage(w http.ResponseWriter, status int, title, text string, cause error) {
	s.explain(w, status, title, cause, func(p *page.Page) { p.Element("p", text, "role", "alert") })
}

// explain is a refusePage with more to say.
func (s *Server) explain(w http.ResponseWriter, status int, title string, cause error, content func(p *page.Page)) {
	id, level := rand.Text()[:12], slog.LevelInfo
	switch {
	case status >= http.StatusInternalServerError:
		level = slog.LevelError
	case status == http.StatusForbidden:
		level = slog.LevelWarn
	}
	s.log.Log(context.Background(), level, "error page shown", "issuer", s.issuer, "id", id, "status", status, "page", title, "error", cause)
	s.site.Write(w, status, title, id, content)
}
