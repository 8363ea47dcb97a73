package surface

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/pipeline"
)

// MetadataPath is where protected-resource metadata stands: the resource's own path
// follows (RFC 9728 §3.1).
const MetadataPath = "/.well-known/oauth-protected-resource"

// ServeMetadata answers a request for protected-resource metadata of one of the
// endpoints that route leads to. It needs no token and any web page may read it: it is
// how clients find out about tokens.
func (s *Surfaces) ServeMetadata(w http.ResponseWriter, r *http.Request, route func(path string) (*pipeline.Endpoint, Kind)) {
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
	e, path := protectedAt(strings.TrimPrefix(r.URL.Path, MetadataPath), route)
	if e == nil {
		http.NotFound(w, r)
		return
	}
	body, err := json.Marshal(oauth.ResourceMetadata{
		Resource:             s.Address(r, e, path),
		AuthorizationServers: e.Protection.AuthorizationServers,
		BearerMethods:        []string{"header"},
		Scopes:               e.Protection.Scopes,
		Name:                 e.Name,
	})
	if err != nil { // text and lists of it
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	h["Content-Type"] = jsonType
	h["Cache-Control"] = noStore // it depends on the address that was used
	_, _ = w.Write(body)
}

// protectedAt finds the endpoint that metadata is asked of, and the path of the surface
// as the client knows it. A prefix that a proxy adds may stand before the path; of the
// bare address the only endpoint answers.
func protectedAt(path string, route func(path string) (*pipeline.Endpoint, Kind)) (*pipeline.Endpoint, string) {
	if path == "" || path == "/" {
		path = "/mcp"
	}
	if i := strings.Index(path, "/servers/"); i > 0 {
		path = path[i:]
	} else if i < 0 {
		path = path[strings.LastIndexByte(strings.TrimSuffix(path, "/"), '/'):]
	}
	e, kind := route(path)
	if e == nil || e.Protection == nil || !kind.isOpened() {
		return nil, ""
	}
	return e, path
}

// isOpened reports whether clients begin at a surface, so that its address is one of the
// endpoint's.
func (k Kind) isOpened() bool { return k == HTTP || k == SSE || k == Socket }

// challenge is the WWW-Authenticate value of a refusal (RFC 6750 §3, RFC 9728 §5.1).
func (q *request) challenge(code string, scopes []string) string {
	e, r := q.e, q.Request
	var b strings.Builder
	b.WriteString("Bearer ")
	if code != "" {
		b.WriteString(`error="` + code + `", `)
	}
	if len(scopes) == 0 {
		scopes = e.Protection.Scopes
	}
	if len(scopes) > 0 {
		b.WriteString(`scope="` + strings.Join(scopes, " ") + `", `)
	}
	b.WriteString(`resource_metadata="` + q.s.metadataAddress(r, e) + `"`)
	return b.String()
}

// Address is that of a surface at path, as clients are told it.
func (s *Surfaces) Address(r *http.Request, e *pipeline.Endpoint, path string) string {
	if e.Link.Resource == nil {
		return s.publicURL(r, &e.Link) + path
	}
	at := e.Link.Resource.String()
	if front, ok := strings.CutSuffix(at, "/mcp"); ok {
		return front + path[strings.LastIndexByte(strings.TrimSuffix(path, "/"), '/'):]
	}
	return at
}

// metadataAddress is where the document about the surface stands that a request came to.
func (s *Surfaces) metadataAddress(r *http.Request, e *pipeline.Endpoint) string {
	path := resourcePath(e, r)
	if e.Link.Resource == nil {
		return s.publicURL(r, &e.Link) + MetadataPath + path
	}
	at, err := url.Parse(s.Address(r, e, path))
	if err != nil { // it was made of one
		return ""
	}
	return oauth.Origin(at) + MetadataPath + at.Path
}

// resourcePath is the path of the resource that a request came to: that of the surface,
// spelled as the client spells it (RFC 9728 §3.3), or of the endpoint for what belongs
// to one. All of them are one to who makes tokens (REQ G-7).
func resourcePath(e *pipeline.Endpoint, r *http.Request) string {
	path := strings.TrimSuffix(r.URL.Path, "/")
	last := strings.LastIndexByte(path, '/')
	switch {
	case IsListOfAll(path):
		return "/servers/" + e.Name + "/mcp"
	case last >= 0 && At(path[last:]).isOpened():
		return r.URL.Path
	}
	return path[:max(last, 0)] + "/mcp"
}
