package gateway

import (
	"maps"
	"net/http"
	"slices"

	"github.com/sallyport-dev/sallyport/internal/registry"
	"github.com/sallyport-dev/sallyport/internal/surface"
)

// serveRegistry answers as a registry.
func (s *Server) serveRegistry(w http.ResponseWriter, r *http.Request, snap *Snapshot) {
	if err := s.surfaces.CheckHost(r); err != nil {
		surface.WriteError(w, err, nil)
		return
	}
	if registry.Allow(w, r) {
		return
	}
	names := slices.Collect(maps.Keys(snap.served))
	if s.opts.Registry == registry.Callers {
		if names = s.surfaces.Admitted(w, r, snap.served); names == nil {
			return
		}
	}
	g := registry.Registry{Since: snap.since}
	for _, name := range names {
		e := snap.endpoints[name]
		g.Servers = append(g.Servers, registry.Server{Name: name, Title: e.Title, Description: e.About, URL: s.surfaces.Address(r, e.Endpoint, "/servers/"+name+"/mcp")})
	}
	g.ServeHTTP(w, r)
}
