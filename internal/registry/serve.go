package registry

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Path is where the API begins.
const Path = "/v0.1/servers"

// At reports whether a path is the API's.
func At(path string) bool { return path == Path || strings.HasPrefix(path, Path+"/") }

// How many entries an answer has.
const (
	usualLimit = 30
	maxLimit   = 100
)

// Registry is what a caller may see, as of a time.
type Registry struct {
	Servers []Server
	Since   time.Time // that they are what they are
}

// list is an answer with several entries (registry API v0.1, ServerList).
type list struct {
	Servers  []Entry  `json:"servers"`
	Metadata metadata `json:"metadata"`
}

type metadata struct {
	NextCursor string `json:"nextCursor,omitempty"`
	Count      int    `json:"count"`
}

// Allow lets pages of every origin read: editors are such pages, and nothing a browser sends by itself opens anything
// here. It reports whether that was all that was asked.
func Allow(w http.ResponseWriter, r *http.Request) (preflight bool) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", "GET, OPTIONS")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
	h.Set("Access-Control-Expose-Headers", "WWW-Authenticate")
	if r.Method != http.MethodOptions {
		return false
	}
	w.WriteHeader(http.StatusNoContent)
	return true
}

// ServeHTTP implements http.Handler.
func (g *Registry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD, OPTIONS")
		refuse(w, http.StatusMethodNotAllowed, "this registry is only read; what it has are the servers that the gateway serves")
		return
	}
	if strings.TrimSuffix(r.URL.Path, "/") == Path {
		g.all(w, r.URL.Query())
		return
	}
	// The slash in a name comes as %2F; something on the way may have written it out.
	name, version, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, Path+"/"), "/versions")
	i := slices.IndexFunc(g.Servers, func(s Server) bool { return s.name() == name })
	if !ok || i < 0 {
		refuse(w, http.StatusNotFound, "Server not found")
		return
	}
	e := g.Servers[i].entry(g.Since)
	switch version = strings.TrimPrefix(version, "/"); version {
	case "":
		write(w, list{[]Entry{e}, metadata{Count: 1}})
	case "latest", e.Server.Version:
		write(w, e)
	default:
		refuse(w, http.StatusNotFound, "Version not found")
	}
}

// all answers with a page of what is asked for.
func (g *Registry) all(w http.ResponseWriter, q url.Values) {
	limit := usualLimit
	if text := q.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			refuse(w, http.StatusBadRequest, "limit must be a number from 1 to "+strconv.Itoa(maxLimit))
			return
		}
		limit = min(n, maxLimit)
	}
	after, err := base64.RawURLEncoding.DecodeString(q.Get("cursor"))
	if err != nil {
		refuse(w, http.StatusBadRequest, "cursor is none that this registry made; ask for the list from its beginning")
		return
	}
	since := time.Time{}
	if text := q.Get("updated_since"); text != "" {
		if since, err = time.Parse(time.RFC3339, text); err != nil {
			refuse(w, http.StatusBadRequest, "updated_since must be a time like 2026-01-02T15:04:05Z")
			return
		}
	}
	out := list{Servers: []Entry{}}
	for _, s := range g.sorted() {
		if s.name() <= string(after) && len(after) > 0 || !s.matches(q.Get("search")) || g.Since.Before(since) {
			continue
		}
		e := s.entry(g.Since)
		if v := q.Get("version"); v != "" && v != "latest" && v != e.Server.Version {
			continue
		}
		if len(out.Servers) == limit {
			out.Metadata.NextCursor = base64.RawURLEncoding.EncodeToString([]byte(out.Servers[limit-1].Server.Name))
			break
		}
		out.Servers = append(out.Servers, e)
	}
	out.Metadata.Count = len(out.Servers)
	write(w, out)
}

// sorted are the servers by name, which pages go by.
func (g *Registry) sorted() []Server {
	return slices.SortedFunc(slices.Values(g.Servers), func(a, b Server) int { return strings.Compare(a.name(), b.name()) })
}

// matches reports whether a name or a title has a text in it, of any case.
func (s *Server) matches(text string) bool {
	text = strings.ToLower(text)
	return strings.Contains(strings.ToLower(s.name()), text) || strings.Contains(strings.ToLower(s.Title), text)
}

func write(w http.ResponseWriter, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		refuse(w, http.StatusInternalServerError, "this cannot be written as JSON")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store") // another caller may see something else
	_, _ = w.Write(text)                        // the client may be gone
}

// refuse answers as the API does.
func refuse(w http.ResponseWriter, status int, text string) {
	body, _ := json.Marshal(map[string]string{"error": text})
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may be gone
}
