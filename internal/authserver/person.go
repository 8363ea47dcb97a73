package authserver

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/sallyport-dev/sallyport/internal/authserver/people"
	"github.com/sallyport-dev/sallyport/internal/page"
)

const (
	usedEvery   = time.Hour // between notes that a client is in use
	maxAllowed  = 10
	maxFamilies = 50
)

// people are all that is kept of them, by the lifespans of the moment.
func (s *Server) people() *people.Book {
	return &people.Book{Records: &s.records, Refresh: s.lifespans.Refresh, Session: s.lifespans.Session}
}

// consented tells whether a person has allowed this already. When in doubt people are
// asked.
func (s *Server) consented(ctx context.Context, subject string, req *request) bool {
	p, _, err := s.people().Get(ctx, subject)
	a := p.App(req.Client, req.Audience)
	return err == nil && a != nil && slices.ContainsFunc(a.Allowed, func(al people.Permission) bool {
		return al.Redirect == req.Redirect && time.Since(al.At) < people.ConsentLife &&
			!slices.ContainsFunc(req.Scopes, func(scope string) bool { return !slices.Contains(al.Scopes, scope) })
	})
}

// remember keeps what a person allowed, and which tokens come of it.
func (s *Server) remember(ctx context.Context, f *flow, family string) error {
	req, now := f.Request, time.Now()
	return s.people().Change(ctx, f.Person.Subject, func(p *people.Person) {
		p.Title = f.Person.title()
		a := p.App(req.Client, req.Audience)
		if a == nil {
			p.Apps = append(p.Apps, people.App{Client: req.Client, Audience: req.Audience, Since: now})
			a = &p.Apps[len(p.Apps)-1]
		}
		a.Name, a.Host, a.Used = req.Title, page.Host(req.Redirect), now
		a.Families = append(a.Families, family)
		a.Families = a.Families[max(0, len(a.Families)-maxFamilies):]
		if !f.Asked { // it was allowed before
			return
		}
		a.Allowed = slices.DeleteFunc(a.Allowed, func(al people.Permission) bool { return al.Redirect == req.Redirect })
		a.Allowed = append(a.Allowed, people.Permission{Redirect: req.Redirect, Scopes: req.Scopes, At: now})
		a.Allowed = a.Allowed[max(0, len(a.Allowed)-maxAllowed):]
	})
}

// stillAllowed tells whether a person has not withdrawn what a client refreshes, and
// notes that it is in use.
func (s *Server) stillAllowed(ctx context.Context, f *family) (bool, error) {
	p, stored, err := s.people().Get(ctx, f.Person.Subject)
	if err != nil || stored == nil {
		return true, err
	}
	a := p.App(f.Client, f.Audience)
	if a == nil || f.Began.Before(a.Since) {
		return false, nil
	}
	if time.Since(a.Used) > usedEvery {
		err = s.people().Change(ctx, f.Person.Subject, func(p *people.Person) {
			if a := p.App(f.Client, f.Audience); a != nil {
				a.Used = time.Now()
			}
		})
	}
	return true, err
}

// withdraw takes back what a person allowed: every token of it ends.
func (s *Server) withdraw(r *http.Request, source, subject, id string) error {
	var gone *people.App
	err := s.people().Change(r.Context(), subject, func(p *people.Person) {
		if i := slices.IndexFunc(p.Apps, func(a people.App) bool { return a.ID() == id }); i >= 0 {
			a := p.Apps[i]
			gone = &a
			p.Apps = slices.Delete(p.Apps, i, i+1)
		}
	})
	if err != nil || gone == nil {
		return err
	}
	for _, family := range gone.Families {
		if err := s.endFamily(r.Context(), family); err != nil {
			return err
		}
	}
	s.record(r, event{method: eventRevoke, source: source, subject: subject, client: gone.Client, target: gone.Audience})
	return nil
}

// endBrowser signs a person out of one of their browsers.
func (s *Server) endBrowser(r *http.Request, source, subject, id string) error {
	ended := false
	err := s.people().Change(r.Context(), subject, func(p *people.Person) {
		p.Browsers = slices.DeleteFunc(p.Browsers, func(b people.Browser) bool {
			if b.ID() != id {
				return false
			}
			s.records.Remove(r.Context(), b.Session)
			ended = true
			return true
		})
	})
	if err == nil && ended {
		s.record(r, event{method: eventSignOut, source: source, subject: subject})
	}
	return err
}
