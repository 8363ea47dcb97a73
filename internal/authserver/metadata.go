package authserver

import (
	"net/http"
	"slices"

	"github.com/sallyport-dev/sallyport/internal/authserver/delegation"
	"github.com/sallyport-dev/sallyport/internal/oauth"
)

// document serves what clients find the server by, and its keys. Both documents say
// the same, since clients try one or the other (MCP 2025-11-25 authorization).
func (s *Server) document(local string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		// Short: a client that comes after a rotation of keys or a change of settings
		// sees it within minutes.
		w.Header().Set("Cache-Control", "public, max-age=300")
		if local == pathKeys {
			w.Header().Set("Content-Type", "application/jwk-set+json")
			_, _ = w.Write(s.signer.JWKS())
			return
		}
		writeJSON(w, http.StatusOK, s.metadata())
	}
}

func (s *Server) metadata() *oauth.ServerMetadata {
	m := &oauth.ServerMetadata{
		Issuer:                s.issuer,
		AuthorizationEndpoint: s.endpoint(pathAuthorize),
		TokenEndpoint:         s.endpoint(pathRedeem),
		RevocationEndpoint:    s.endpoint(pathRevoke),
		IntrospectionEndpoint: s.endpoint(pathIntrospect),
		JWKSURI:               s.endpoint(pathKeys),
		EndSessionEndpoint:    s.endpoint(pathLogout),
		ScopesSupported:       s.scopes,
		ResponseTypes:         []string{"code"},
		ResponseModes:         []string{"query"},
		CodeChallengeMethods:  []string{"S256"},
		SubjectTypes:          []string{"public"},
		IDTokenAlgorithms:     []string{s.signer.Algorithm()},
		IssParameterSupported: true,
	}
	for name := range s.grants {
		m.GrantTypes = append(m.GrantTypes, name)
	}
	slices.Sort(m.GrantTypes)
	s.clients.Metadata(m)
	m.RevocationAuthMethods = m.TokenAuthMethods
	m.IntrospectionAuthMethods = slices.DeleteFunc(slices.Clone(m.TokenAuthMethods), func(method string) bool { return method == oauth.AuthNone })
	if _, people := s.trust.Assertions(); people {
		m.GrantProfiles = []string{delegation.Profile}
	}
	return m
}
