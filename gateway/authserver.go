package gateway

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/authserver"
	"github.com/sallyport-dev/sallyport/internal/compile"
	"github.com/sallyport-dev/sallyport/internal/compile/plan"
	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/surface"
)

// authServerAt finds the authorization server that a path belongs to: the one whose
// path it is. A proxy that is configured may have taken the front off, so that a server
// answers under what remains too, if that is no other's. Nothing that it says depends on
// the address it was found at.
func (s *Server) authServerAt(snap *Snapshot, path string) *compile.AuthServer {
	if len(snap.parts.AuthServers) == 0 {
		return nil
	}
	at, _, ok := authserver.Split(path)
	if !ok {
		return nil
	}
	var found *compile.AuthServer
	for _, a := range snap.parts.AuthServers {
		switch front, cut := strings.CutSuffix(a.Path, at); {
		case a.Path == at:
			return a
		case cut && (at == "" || at[0] == '/') && s.takenOff(snap, a, front):
			if found != nil {
				ok = false // it is two servers', unless there is one whose own path it is
			}
			found = a
		}
	}
	if !ok {
		return nil
	}
	return found
}

// takenOff tells whether a proxy before the gateway takes the front of a server's paths
// off: that of --public-url or of endpointPrefix, with what remains of the issuer's path
// or without, or whatever a proxy that is trusted does.
func (s *Server) takenOff(snap *Snapshot, a *compile.AuthServer, front string) bool {
	off := func(prefix string) bool { return prefix != "" && (front == prefix || front == a.Path) }
	if u, err := url.Parse(s.opts.PublicURL); err == nil && off(strings.TrimRight(u.Path, "/")) {
		return true
	}
	for _, e := range snap.endpoints {
		if e.SignIn != nil && e.SignIn.Name == a.Name && (e.Link.TrustHeaders || off(e.Link.Prefix)) {
			return true
		}
	}
	return false
}

// serveAuthServer serves an authorization server's paths. Host is checked as for
// endpoints; Origin is the server's own business, since some of its paths are for
// every page and others for its own alone.
func (s *Server) serveAuthServer(w http.ResponseWriter, r *http.Request, a *compile.AuthServer) {
	if err := s.surfaces.CheckHost(r); err != nil && !strings.EqualFold(r.Host, strings.TrimPrefix(strings.TrimPrefix(a.Origin, "https://"), "http://")) {
		surface.WriteError(w, err, nil)
		return
	}
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(surface.BodyTimeout)) // a form that trickles in must not keep a goroutine
	defer func() { _ = rc.SetReadDeadline(time.Time{}) }()
	a.Handler().ServeHTTP(w, r)
}

// resourceFor gives an authorization server the endpoints that clients may get tokens
// for: those that name it, in the configuration of the moment. The bare origin is the
// only endpoint, as none at all is. Behind a proxy that says which prefix it takes off,
// any prefix may stand before an endpoint's path.
func (s *Server) resourceFor(of compile.Name) func(string) (string, bool) {
	return func(indicator string) (string, bool) {
		snap := s.take()
		if snap == nil {
			return "", false
		}
		defer snap.release()
		var only []string
		for _, e := range snap.endpoints {
			if e.SignIn == nil || e.SignIn.Name != of {
				continue
			}
			origin := e.SignIn.Origin
			if sameResource(origin, indicator) {
				indicator = ""
			}
			if indicator == "" && only != nil {
				return "", false // one of several; which?
			}
			only = e.Resources
			for _, known := range e.Resources {
				if sameResource(known, indicator) {
					return known, true
				}
			}
			if e.Link.TrustHeaders && e.Link.Prefix == "" && slices.ContainsFunc(plan.Spellings("/servers/"+e.Name+"/mcp"), func(path string) bool {
				front, ok := strings.CutSuffix(strings.TrimSuffix(indicator, "/"), path)
				u, err := url.Parse(front)
				return ok && err == nil && sameResource(origin, (&url.URL{Scheme: u.Scheme, Host: u.Host, User: u.User}).String())
			}) {
				return e.Resources[0], true
			}
		}
		if indicator != "" || only == nil {
			return "", false
		}
		return only[0], true
	}
}

// sameResource compares an indicator with an address: scheme and host in any case,
// without a slash at the end (MCP authorization, canonical URIs), and on loopback
// under any of its names.
func sameResource(known, indicator string) bool {
	if known == indicator {
		return true
	}
	a, errA := url.Parse(known)
	b, errB := url.Parse(indicator)
	if errA != nil || errB != nil || b.Fragment != "" || b.RawQuery != "" || b.User != nil {
		return false
	}
	return (oauth.Origin(a) == oauth.Origin(b) || surface.IsLoopbackHost(a.Host) && surface.IsLoopbackHost(b.Host) && strings.EqualFold(a.Scheme, b.Scheme) && a.Port() == b.Port()) &&
		a.EscapedPath() == strings.TrimSuffix(b.EscapedPath(), "/")
}
