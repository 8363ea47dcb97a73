package authserver

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/sallyport-dev/sallyport/internal/authserver/records"
	"github.com/sallyport-dev/sallyport/internal/page"
	"github.com/sallyport-dev/sallyport/internal/store"
)

// person is what the server keeps of one: the applications that they allowed, and the
// browsers in which they are signed in. It is one record, so that its pages can show
// all of it.
type person struct {
	Apps     []app     `json:"a,omitempty"`
	Browsers []browser `json:"b,omitempty"`
}

// app is a client that a person allowed to use an endpoint. Its refresh tokens are good
// as long as it is here (REQ G-10).
type app struct {
	Client   string       `json:"c"`
	Audience string       `json:"u"`
	Name     string       `json:"n,omitempty"` // as people read it
	Host     string       `json:"h,omitempty"` // where its answers go
	Allowed  []permission `json:"o"`           // what was asked about; the newest last
	Since    time.Time    `json:"s"`
	Used     time.Time    `json:"l"`
	Families []string     `json:"f,omitempty"` // of its tokens, the newest last
}

// permission is what a person said yes to. They are asked anew when the client wants more,
// or the answer elsewhere; a loopback address with another port is elsewhere too, since
// another program may listen there (RFC 8252 §8.6).
type permission struct {
	Redirect string    `json:"u"`
	Scopes   []string  `json:"o"`
	At       time.Time `json:"t"`
}

// browser is one in which a person is signed in.
type browser struct {
	Session string    `json:"k"` // the key of its record
	Name    string    `json:"n,omitempty"`
	At      time.Time `json:"t"`
}

const (
	consentLife = 90 * 24 * time.Hour
	usedEvery   = time.Hour // between notes that a client is in use
	maxApps     = 100
	maxAllowed  = 10
	maxFamilies = 50
	maxBrowsers = 20
)

func (a *app) id() string     { return store.Digest(a.Client, a.Audience)[:16] }
func (b *browser) id() string { return store.Digest(b.Session)[:16] }

func (p *person) app(client, audience string) *app {
	for i := range p.Apps {
		if p.Apps[i].Client == client && p.Apps[i].Audience == audience {
			return &p.Apps[i]
		}
	}
	return nil
}

func (s *Server) personKey(subject string) string { return s.records.Key("person", subject) }

// person reads what is kept of one. What is stored is nil when nothing is.
func (s *Server) person(ctx context.Context, subject string) (p person, stored []byte, err error) {
	stored, err = s.records.Get(ctx, s.personKey(subject), &p)
	if errors.Is(err, records.ErrGone) {
		return person{}, stored, nil
	}
	return p, stored, err
}

// changePerson changes what is kept of one, over all replicas.
func (s *Server) changePerson(ctx context.Context, subject string, change func(*person)) error {
	key, life := s.personKey(subject), consentLife+s.lifespans.Refresh
	for range 16 {
		p, stored, err := s.person(ctx, subject)
		if err != nil {
			return err
		}
		change(&p)
		s.prune(&p)
		var done bool
		if stored == nil {
			done, err = s.records.Add(ctx, key, p, life)
		} else {
			done, err = s.records.Swap(ctx, key, stored, p, life)
		}
		if done || err != nil {
			return err
		}
	}
	return errors.New("note what a person allowed: too many at the same time")
}

// prune forgets what is over.
func (s *Server) prune(p *person) {
	now := time.Now()
	p.Apps = slices.DeleteFunc(p.Apps, func(a app) bool { return now.Sub(a.Used) > consentLife+s.lifespans.Refresh })
	p.Browsers = slices.DeleteFunc(p.Browsers, func(b browser) bool { return now.Sub(b.At) > s.lifespans.Session })
	slices.SortFunc(p.Apps, func(a, b app) int { return b.Used.Compare(a.Used) })
	p.Apps = p.Apps[:min(len(p.Apps), maxApps)]
	p.Browsers = p.Browsers[max(0, len(p.Browsers)-maxBrowsers):]
}

// consented tells whether a person has allowed this already. When in doubt people are
// asked.
func (s *Server) consented(ctx context.Context, subject string, req *request) bool {
	p, _, err := s.person(ctx, subject)
	a := p.app(req.Client, req.Audience)
	return err == nil && a != nil && slices.ContainsFunc(a.Allowed, func(al permission) bool {
		return al.Redirect == req.Redirect && time.Since(al.At) < consentLife &&
			!slices.ContainsFunc(req.Scopes, func(scope string) bool { return !slices.Contains(al.Scopes, scope) })
	})
}

// remember keeps what a person allowed, and which tokens come of it.
func (s *Server) remember(ctx context.Context, f *flow, family string) error {
	req, now := f.Request, time.Now()
	return s.changePerson(ctx, f.Person.Subject, func(p *person) {
		a := p.app(req.Client, req.Audience)
		if a == nil {
			p.Apps = append(p.Apps, app{Client: req.Client, Audience: req.Audience, Since: now})
			a = &p.Apps[len(p.Apps)-1]
		}
		a.Name, a.Host, a.Used = req.Title, page.Host(req.Redirect), now
		a.Families = append(a.Families, family)
		a.Families = a.Families[max(0, len(a.Families)-maxFamilies):]
		if !f.Asked { // it was allowed before
			return
		}
		a.Allowed = slices.DeleteFunc(a.Allowed, func(al permission) bool { return al.Redirect == req.Redirect })
		a.Allowed = append(a.Allowed, permission{Redirect: req.Redirect, Scopes: req.Scopes, At: now})
		a.Allowed = a.Allowed[max(0, len(a.Allowed)-maxAllowed):]
	})
}

// stillAllowed tells whether a person has not withdrawn what a client refreshes, and
// notes that it is in use.
func (s *Server) stillAllowed(ctx context.Context, f *family) (bool, error) {
	p, stored, err := s.person(ctx, f.Person.Subject)
	if err != nil || stored == nil {
		return true, err
	}
	a := p.app(f.Client, f.Audience)
	if a == nil || f.Began.Before(a.Since) {
		return false, nil
	}
	if time.Since(a.Used) > usedEvery {
		err = s.changePerson(ctx, f.Person.Subject, func(p *person) {
			if a := p.app(f.Client, f.Audience); a != nil {
				a.Used = time.Now()
			}
		})
	}
	return true, err
}

// withdraw takes back what a person allowed: every token of it ends.
func (s *Server) withdraw(r *http.Request, source, subject, id string) error {
	var gone *app
	err := s.changePerson(r.Context(), subject, func(p *person) {
		if i := slices.IndexFunc(p.Apps, func(a app) bool { return a.id() == id }); i >= 0 {
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
	err := s.changePerson(r.Context(), subject, func(p *person) {
		p.Browsers = slices.DeleteFunc(p.Browsers, func(b browser) bool {
			if b.id() != id {
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
