package console

import (
	"net"
	"path"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/compile/plan"
	"github.com/sallyport-dev/sallyport/internal/compile/plan/text"
	"github.com/sallyport-dev/sallyport/internal/console/shape"
)

// Server is what a plan says of an endpoint, in the words of the page.
type Server struct {
	Name, Kind, Title, About string

	path, resource, prefix string // that make its address

	who       []string // the outer door lets in
	anonymous bool     // callers who show nothing come in
	doors     int      // ways to prove who one is
	notes     []string
	may       string
	shadow    bool
	policies  []policyText
	behind    []backend
	audited   bool
}

// policyText is one text of policies, and where it stands.
type policyText struct{ text, place string }

// backend is the inner door to one server.
type backend struct {
	name, where string
	shown       []string
	fixed       []fixed // of the headers that are shown, those that are the same for all
	made        string  // what is shown that is obtained for each caller; "" for nothing
	passes      []string
	program     bool
}

// fixed is a header with one value for all callers, of which its shape is kept.
type fixed struct {
	name, from string
	value      shape.Shape
}

// Describe puts a plan into words, of which no secret is one. Nothing of the plan is kept.
func Describe(p *plan.Plan) []*Server {
	all := make([]*Server, 0, len(p.Endpoints))
	for _, e := range p.Endpoints {
		s := &Server{
			Name: e.Name, Kind: e.Kind, About: e.About,
			path: e.Paths[len(e.Paths)-1], resource: e.Link.Resource, prefix: e.Link.Prefix,
			who: text.Who(&e.Door), anonymous: e.Door.Anonymous, doors: len(e.Door.Methods),
			may: text.May(&e.Policy), shadow: e.Policy.Config.Shadow, audited: e.Audit,
		}
		if e.Title != e.Name {
			s.Title = e.Title
		}
		for _, note := range e.Notes {
			if !strings.HasPrefix(note, "serving anonymous clients") { // the doors themselves say so
				s.notes = append(s.notes, strings.TrimPrefix(note, "SECURITY: "))
			}
		}
		for i, policy := range e.Policy.Config.Policies {
			s.policies = append(s.policies, policyText{policy, e.Policy.Place(i)})
		}
		for _, u := range e.Upstreams {
			s.behind = append(s.behind, describeBackend(u))
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *Server) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// describeBackend says where a server is, without what may be a secret there: a query, or
// the arguments of a program.
func describeBackend(u *plan.Upstream) backend {
	if u.Command != nil {
		b := backend{name: u.Name, where: "the program " + path.Base(u.Command.Args[0]), shown: []string{"nothing of the caller"}, program: true}
		for _, v := range u.Command.Env {
			b.shown = append(b.shown, "the variable "+v.Name)
		}
		return b
	}
	b := backend{name: u.Name, where: u.Remote.Address(), shown: text.What(&u.Shown), passes: u.Shown.Passthrough}
	for _, h := range u.Shown.Headers {
		b.fixed = append(b.fixed, fixed{h.Name, h.From, shape.Of(h.Value.Reveal())})
	}
	if u.Shown.Credential != nil {
		b.made = text.Credential(u.Shown.Credential)
	}
	return b
}

// address is where clients find the server.
func (s *Server) address(now *Now) string {
	switch {
	case s.resource != "":
		return s.resource
	case now.PublicURL != "":
		return strings.TrimRight(now.PublicURL, "/") + s.path
	}
	return now.Listener + s.prefix + s.path
}

// backendOf is the inner door to a member, or to the only server; nil for none.
func (s *Server) backendOf(member string) *backend {
	for i := range s.behind {
		if member == s.behind[i].name || member == "" && len(s.behind) == 1 {
			return &s.behind[i]
		}
	}
	return nil
}

// Address is one that clients on this machine reach a listener by; "" where there is none.
func Address(a net.Addr, overTLS bool) string {
	host, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return ""
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "localhost"
	}
	scheme := "http"
	if overTLS {
		scheme = "https"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}
