package authserver

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/sallyport-dev/sallyport/internal/page"
)

// listTime is how long a person waits for a server's tools.
const listTime = 10 * time.Second

// showServers shows a person the servers that they sign in to here, and of the one that they ask for what it offers
// them: it is asked as they themselves.
func (s *Server) showServers(p *page.Page, r *http.Request, sess *session) {
	all := s.endpoints()
	if len(all) == 0 {
		return
	}
	asked := r.URL.Query().Get("server")
	p.Element("h2", "Servers you may use")
	p.Quiet("Add an address to an assistant, an editor or another MCP client; it will send you here to sign in.")
	p.Cards(len(all), func(i int) {
		e := &all[i]
		at := e.Addresses[0]
		p.Element("h3", e.Title)
		if e.Description != "" {
			p.Element("p", e.Description)
		}
		p.Element("code", at)
		switch {
		case e.Tools == nil:
		case slices.Contains(e.Addresses, asked):
			s.showTools(p, r, e, sess)
		default:
			p.Element("a", "What it offers you", "href", s.endpoint(pathConnections)+"?server="+url.QueryEscape(at))
		}
	})
}

// showTools shows the tools that a server lists for the person.
func (s *Server) showTools(p *page.Page, r *http.Request, e *Endpoint, sess *session) {
	ctx, cancel := context.WithTimeout(r.Context(), listTime)
	defer cancel()
	token, err := s.sign(&issue{
		person: sess.Person, at: sess.At, client: s.issuer, audience: e.Addresses[0], scopes: s.scopes, lifetime: time.Minute,
	})
	var tools []page.Item
	if err == nil {
		tools, err = e.Tools(r.WithContext(ctx), token.Access)
	}
	switch {
	case err != nil:
		s.log.Warn("the tools of a server cannot be shown to a person", "issuer", s.issuer, "server", e.Title, "error", err)
		p.Quiet("Its tools cannot be shown now.")
	case len(tools) == 0:
		p.Quiet("It offers you no tools.")
	default:
		p.Items(tools)
	}
}
