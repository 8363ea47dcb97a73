package authserver

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/sallyport-dev/sallyport/internal/authserver/people"
)

// Held is something that the server keeps of a person, and that an operator can end.
type Held struct {
	Kind, ID, Name string // the kind is one of the below
	For            string // of an application: the endpoint that it uses; of an account: whose it is there
	Since          time.Time
	Ended          bool // the person has to connect it again
}

// The kinds of what is held.
const (
	HeldApp        = "application"
	HeldAccount    = "account"
	HeldBrowser    = "browser"
	sourceOperator = "operator" // in an event: it was an operator who named the person
)

// Held lists what is kept of a person.
func (s *Server) Held(ctx context.Context, subject string) (all []Held, err error) {
	kept, _, err := s.people().Get(ctx, subject)
	linked, failed := s.accounts.List(ctx, subject)
	s.people().Prune(&kept)
	for _, a := range kept.Apps {
		all = append(all, Held{HeldApp, a.ID(), a.Name, a.Audience, a.Since, false})
	}
	for _, a := range linked {
		all = append(all, Held{HeldAccount, a.Provider, a.Provider, (&identity{Subject: a.Subject, Name: a.Name, Email: a.Email}).title(), a.Linked, a.Ended})
	}
	for _, b := range kept.Browsers {
		all = append(all, Held{HeldBrowser, b.ID(), b.Name, "", b.At, false})
	}
	return all, errors.Join(err, failed)
}

// People lists people who signed in here, at most n of those whose subject or name has a text in it.
func (s *Server) People(ctx context.Context, text string, n int) (people.List, error) {
	return s.people().List(ctx, text, n)
}

// End ends one thing that is held, for an operator.
func (s *Server) End(r *http.Request, subject, kind, id string) error {
	switch kind {
	case HeldApp:
		return s.withdraw(r, sourceOperator, subject, id)
	case HeldBrowser:
		return s.endBrowser(r, sourceOperator, subject, id)
	}
	err := s.accounts.Unlink(r.Context(), subject, id)
	if err == nil {
		s.record(r, event{method: eventUnlink, source: sourceOperator, subject: subject, provider: id})
	}
	return err
}
