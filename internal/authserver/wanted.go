package authserver

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/sallyport-dev/sallyport/internal/accounts"
)

// wantedLife is how long after a call that lacked an account a sign-in asks for it.
const wantedLife = 10 * time.Minute

// wanted are the providers whose accounts a person's calls lacked, and the clients
// that made these calls.
type wanted map[string][]string

// maxWanting bounds what is noted for one provider.
const maxWanting = 16

// Want notes that a client's call lacked its person's account at a provider, and that
// the client was told to sign the person in again: the next sign-in visits the
// provider, even one that is visited on demand only. Clients that can be sent to
// [Server.ConnectURL] need no such note.
func (s *Server) Want(ctx context.Context, person, client, provider string) {
	if s.upstream(provider) == nil {
		return
	}
	noted := s.wantedBy(ctx, person)
	if slices.Contains(noted[provider], client) || len(noted[provider]) >= maxWanting {
		return
	}
	if noted == nil {
		noted = wanted{}
	}
	noted[provider] = append(noted[provider], client)
	if err := s.records.put(ctx, s.wantedKey(person), noted, wantedLife); err != nil {
		s.log.Warn("wish for an account not noted", "issuer", s.issuer, "provider", provider, "error", err)
	}
}

func (s *Server) wantedKey(person string) string { return s.records.key("wanted", person) }

func (s *Server) wantedBy(ctx context.Context, person string) (w wanted) {
	if _, err := s.records.get(ctx, s.wantedKey(person), &w); err != nil && !errors.Is(err, errGone) {
		s.log.Warn("wishes for accounts not read", "issuer", s.issuer, "error", err)
	}
	return w
}

// lacks reports whether a client's calls lack an account of its person. Its refresh
// tokens are of no use then: many clients go to the authorization endpoint only when
// they cannot refresh.
func (s *Server) lacks(ctx context.Context, person, client string) (bool, error) {
	noted := s.wantedBy(ctx, person)
	if len(noted) == 0 {
		return false, nil
	}
	linked, err := s.accounts.List(ctx, person)
	if err != nil {
		return false, err
	}
	for provider, clients := range noted {
		if slices.Contains(clients, client) && !usable(linked, provider) {
			return true, nil
		}
	}
	return false, nil
}

// usable tells whether a person's account at a provider can give tokens.
func usable(linked []accounts.Account, provider string) bool {
	return slices.ContainsFunc(linked, func(a accounts.Account) bool {
		return a.Provider == provider && !a.Ended && (a.CanRefresh || a.Expires.IsZero() || time.Now().Before(a.Expires))
	})
}
