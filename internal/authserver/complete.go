package authserver

import (
	"net/http"
	"net/url"
	"slices"

	"github.com/sallyport-dev/sallyport/internal/accounts"
	"github.com/sallyport-dev/sallyport/internal/oauth"
)

// complete ends a chain whose providers have all been visited: only now are accounts
// linked, is the browser signed in, and does a code exist.
func (s *Server) complete(w http.ResponseWriter, r *http.Request, f *flow) {
	ctx := r.Context()
	failed := func(what string, err error) {
		s.log.Error(what, "issuer", s.issuer, "error", err)
		s.abort(w, r, f, refuse(oauth.CodeServerError, "the sign-in cannot be completed now; try again soon"))
	}
	if err := s.link(r, f); err != nil {
		failed("accounts not linked", err)
		return
	}
	if slices.Contains(f.Done, s.upstreams[0].Name) {
		if err := s.signIn(w, r, f.Person, f.At); err != nil {
			failed("browser not signed in", err)
			return
		}
		s.record(r, f.event(eventSignIn, s.upstreams[0].Name))
	}
	if len(f.Done) > 0 {
		s.setCookie(w, flowCookie(f.ID), "", 0)
	}
	if f.Request == nil {
		w.Header().Set("Location", s.endpoint(pathConnections))
		w.WriteHeader(http.StatusSeeOther)
		return
	}
	s.wanted().Forget(ctx, f.Person.Subject)
	if f.Asked {
		s.record(r, f.event(eventConsent, ""))
	}
	value := oauth.NewVerifier()
	c := code{Request: *f.Request, Person: f.Person, Family: s.newFamilyID(), At: f.At}
	if err := s.records.Put(ctx, s.records.Key("code", value), c, s.lifespans.Code); err != nil {
		failed("code not kept", err)
		return
	}
	if err := s.remember(ctx, f, c.Family); err != nil {
		failed("consent not kept", err)
		return
	}
	s.sendBack(w, f.Request, url.Values{"code": {value}})
}

// event is one about who goes through the chain.
func (f *flow) event(method, provider string) event {
	e := event{method: method, subject: f.Person.Subject, provider: provider}
	if f.Request != nil {
		e.client, e.target = f.Request.Client, f.Request.Audience
	}
	return e
}

// link hands what the providers gave over to the person's accounts.
func (s *Server) link(r *http.Request, f *flow) error {
	ctx := r.Context()
	for _, name := range f.Done {
		var h held
		if err := s.records.Take(ctx, s.legKey(f, name), &h); err != nil {
			return err
		}
		who := accounts.Who{Subject: h.Person.Subject, Name: h.Person.Name, Email: h.Person.Email}
		if err := s.accounts.Link(ctx, f.Person.Subject, name, who, h.tokens()); err != nil {
			return err
		}
		s.record(r, f.event(eventLink, name))
	}
	return nil
}
