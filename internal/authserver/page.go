package authserver

import (
	"net/http"

	"github.com/sallyport-dev/sallyport/internal/authserver/page"
)

// showPage writes a whole page.
func (s *Server) showPage(w http.ResponseWriter, status int, title string, content func(p *page.Page)) {
	page.Write(w, status, s.endpoint(pathStyle), title, content)
}

// refusePage tells a person that something does not go on, and what to do.
func (s *Server) refusePage(w http.ResponseWriter, status int, title, text string) {
	s.showPage(w, status, title, func(p *page.Page) { p.Element("p", text, "role", "alert") })
}
