package authserver

import (
	"context"
	"slices"
	"time"

	"github.com/sallyport-dev/sallyport/internal/accounts"
	"github.com/sallyport-dev/sallyport/internal/authserver/wanted"
)

func (s *Server) wanted() *wanted.Notes {
	return &wanted.Notes{Records: &s.records, Log: s.log, Issuer: s.issuer}
}

// Want notes that a client's call lacked its person's account at a provider, and that
// the client was told to sign the person in again: the next sign-in visits the
// provider, even one that is visited on demand only. Clients that can be sent to
// [Server.ConnectURL] need no such note.
func (s *Server) Want(ctx context.Context, person, client, provider string) {
	if s.upstream(provider) != nil {
		s.wanted().Add(ctx, person, client, provider)
	}
}

// lacks reports whether a client's calls lack an account of its person. Its refresh
// tokens are of no use then: many clients go to the authorization endpoint only when
// they cannot refresh.
func (s *Server) lacks(ctx context.Context, person, client string) (bool, error) {
	noted := s.wanted().Of(ctx, person)
	if len(noted) == 0 {
		return false, nil
	}
	linked, err := s.accounts.List(ctx, person)
	for provider, clients := range noted {
		if err == nil && slices.Contains(clients, client) && !usable(linked, provider) {
			return true, nil
		}
	}
	return false, err
}

// usable tells whether a person's account at a provider can give tokens.
func usable(linked []accounts.Account, provider string) bool {
	return slices.ContainsFunc(linked, func(a accounts.Account) bool {
		return a.Provider == provider && !a.Ended && (a.CanRefresh || a.Expires.IsZero() || time.Now().Before(a.Expires))
	})
}
