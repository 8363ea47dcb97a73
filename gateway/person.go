package gateway

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/authserver"
	"github.com/sallyport-dev/sallyport/internal/compile"
	"github.com/sallyport-dev/sallyport/internal/page"
)

// endpointsOf are the endpoints that people sign in for at an authorization server, in the configuration of the moment.
func (s *Server) endpointsOf(of compile.Name) func() []authserver.Endpoint {
	return func() (list []authserver.Endpoint) {
		snap := s.take()
		if snap == nil {
			return nil
		}
		defer snap.release()
		for name, e := range snap.endpoints {
			if e.SignIn != nil && e.SignIn.Name == of {
				list = append(list, authserver.Endpoint{Title: e.Title, Description: e.About, Addresses: e.Resources, Tools: s.toolsOf(name)})
			}
		}
		slices.SortFunc(list, func(a, b authserver.Endpoint) int { return strings.Compare(a.Title, b.Title) })
		return list
	}
}

// toolsOf lists the tools of an endpoint, in the configuration of the moment, for whom a token is for.
func (s *Server) toolsOf(name string) func(r *http.Request, token string) ([]page.Item, error) {
	return func(r *http.Request, token string) ([]page.Item, error) {
		snap := s.take()
		if snap == nil {
			return nil, errors.New("the gateway is shutting down")
		}
		defer snap.release()
		if e := snap.served[name]; e != nil {
			return s.surfaces.ToolsFor(r, e, token)
		}
		return nil, errors.New("the endpoint is gone")
	}
}
