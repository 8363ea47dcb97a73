package gateway

import (
	"net/http"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/compile"
	"github.com/sallyport-dev/sallyport/internal/page"
	"github.com/sallyport-dev/sallyport/internal/surface"
)

// visited reports whether a person has opened an endpoint's address in a browser: MCP
// clients ask for JSON and event streams, and never for pages.
func visited(r *http.Request, kind surface.Kind) bool {
	accept := r.Header.Get("Accept")
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && (kind == surface.HTTP || kind == surface.SSE) &&
		strings.Contains(accept, "text/html") && !strings.Contains(accept, "text/event-stream")
}

// welcome tells a person what the address is for. Nothing of the server behind it is
// shown but its title, which the sign-in page shows to everybody too.
func (s *Server) welcome(w http.ResponseWriter, r *http.Request, e *compile.Endpoint) {
	if err := s.surfaces.CheckHost(r); err != nil {
		surface.WriteError(w, err, nil)
		return
	}
	at := s.surfaces.Address(r, e.Endpoint, r.URL.Path)
	(&page.Site{Name: r.Host}).Write(w, http.StatusOK, e.Title, "", func(p *page.Page) {
		p.Element("p", "This is the address of an MCP server. It is for programs: add it to an assistant, an editor or another MCP client.")
		p.Open("dl")
		p.Field("Address", at)
		p.Field("In Claude Code", "claude mcp add --transport http "+e.Name+" "+at)
		p.Close("dl")
		if e.Protection != nil {
			p.Quiet("The client will ask you to sign in, or to give it a token.")
		}
	})
}
