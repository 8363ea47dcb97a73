package surface

import (
	"net/http"
	"regexp"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// Web pages of an allowed origin can be clients (REQ B-27). What they may send and
// read is what the protocol needs; credentials travel in headers, not in cookies,
// so Access-Control-Allow-Credentials is never sent.
var (
	corsMethods = []string{"GET, POST, DELETE"}
	corsAllow   = []string{"Authorization, Content-Type, Accept, Last-Event-ID, Mcp-Session-Id, MCP-Protocol-Version, Mcp-Method, Mcp-Name"}
	corsExpose  = []string{"Mcp-Session-Id, MCP-Protocol-Version, WWW-Authenticate, Retry-After"}
	corsMaxAge  = []string{"600"}
	varyOrigin  = []string{"Origin"}
)

// AllowPage adds what the browser of a page from an allowed origin asks for.
func (s *Surfaces) AllowPage(w http.ResponseWriter, r *http.Request) {
	origin := r.Header["Origin"]
	if len(origin) != 1 || !s.origins[origin[0]] {
		return
	}
	h := w.Header()
	h["Access-Control-Allow-Origin"] = origin
	h["Access-Control-Expose-Headers"] = corsExpose
	h["Vary"] = varyOrigin
}

// preflight answers a browser's question whether a page may send a request. It
// needs no token: browsers send none with it.
func (s *Surfaces) preflight(w http.ResponseWriter, r *http.Request, passthrough []string) {
	if err := s.CheckOrigin(r); err != nil || r.Header.Get("Origin") == "" {
		w.Header().Set("Allow", corsMethods[0])
		http.Error(w, "no cross-origin requests from here; the operator can allow an origin with --allowed-origins", http.StatusForbidden)
		return
	}
	s.AllowPage(w, r)
	h := w.Header()
	h["Access-Control-Allow-Methods"] = corsMethods
	allow := corsAllow[0]
	for _, name := range passthrough {
		allow += ", " + name
	}
	for _, name := range paramHeaders(r) {
		allow += ", " + name
	}
	h["Access-Control-Allow-Headers"] = []string{allow}
	h["Access-Control-Max-Age"] = corsMaxAge
	w.WriteHeader(http.StatusNoContent)
}

// paramHeaders are the Mcp-Param-* headers that a page asks to send; tools name them.
func paramHeaders(r *http.Request) []string {
	var names []string
	for name := range strings.SplitSeq(r.Header.Get("Access-Control-Request-Headers"), ",") {
		name = http.CanonicalHeaderKey(strings.TrimSpace(name))
		if strings.HasPrefix(name, mcp.HeaderParamPrefix) && len(names) < maxParamHeaders && paramHeader.MatchString(name) {
			names = append(names, name)
		}
	}
	return names
}

const maxParamHeaders = 32

var paramHeader = regexp.MustCompile(`^Mcp-Param-[0-9A-Za-z_.-]+$`)
