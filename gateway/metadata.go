package gateway

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/oauth"
)

// protection is what an endpoint tells clients about getting a token for it.
type protection struct {
	AuthorizationServers []string
	Scopes               []string
}

// metadataPath is where protected-resource metadata stands: the resource's own path
// follows (RFC 9728 §3.1).
const metadataPath = "/.well-known/oauth-protected-resource"

// serveMetadata answers a request for protected-resource metadata. It needs no
// token and any web page may read it: it is how clients find out about tokens.
func (s *Server) serveMetadata(w http.ResponseWriter, r *http.Request, snap *Snapshot) {
	h := w.Header()
	h["Access-Control-Allow-Origin"] = []string{"*"}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodOptions:
		h["Access-Control-Allow-Methods"] = []string{"GET"}
		h["Access-Control-Allow-Headers"] = []string{"Mcp-Protocol-Version"}
		w.WriteHeader(http.StatusNoContent)
		return
	default:
		h.Set("Allow", "GET")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	e, path := snap.protectedAt(strings.TrimPrefix(r.URL.Path, metadataPath))
	if e == nil {
		http.NotFound(w, r)
		return
	}
	body, err := json.Marshal(oauth.ResourceMetadata{
		Resource:             s.publicURL(r, e.link) + path,
		AuthorizationServers: e.protection.AuthorizationServers,
		BearerMethods:        []string{"header"},
		Scopes:               e.protection.Scopes,
		Name:                 e.name,
	})
	if err != nil { // text and lists of it
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	h["Content-Type"] = jsonType
	h["Cache-Control"] = noStore // it depends on the address that was used
	_, _ = w.Write(body)
}

// protectedAt finds the endpoint that metadata is asked of, and its path as the
// client knows it. A prefix that a proxy adds may stand before the path; of the
// bare address the only endpoint answers.
func (snap *Snapshot) protectedAt(path string) (*Endpoint, string) {
	if path == "" || path == "/" {
		path = "/mcp"
	}
	if i := strings.Index(path, "/servers/"); i > 0 {
		path = path[i:]
	} else if i < 0 && strings.HasSuffix(path, "/mcp") {
		path = "/mcp"
	}
	e, surface := snap.route(path)
	if e == nil || e.protection == nil || surface != surfaceHTTP {
		return nil, ""
	}
	return e, path
}

// challenge is the WWW-Authenticate value of a refusal (RFC 6750 §3, RFC 9728 §5.1).
func (e *Endpoint) challenge(r *http.Request, code string, scopes []string) string {
	var b strings.Builder
	b.WriteString("Bearer ")
	if code != "" {
		b.WriteString(`error="` + code + `", `)
	}
	if len(scopes) == 0 {
		scopes = e.protection.Scopes
	}
	if len(scopes) > 0 {
		b.WriteString(`scope="` + strings.Join(scopes, " ") + `", `)
	}
	b.WriteString(`resource_metadata="` + e.server.publicURL(r, e.link) + metadataPath + e.resourcePath(r) + `"`)
	return b.String()
}

// resourcePath is the path of the endpoint that a request came to, whatever its
// surface: tokens are for the endpoint.
func (e *Endpoint) resourcePath(r *http.Request) string {
	path := r.URL.Path
	if _, all := plainLists[path]; all {
		return "/servers/" + e.name + "/mcp"
	}
	return path[:strings.LastIndexByte(path, '/')] + "/mcp"
}
