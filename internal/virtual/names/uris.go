package names

import (
	"cmp"
	"slices"
	"strings"

	"github.com/yosida95/uritemplate/v3"
)

// A URI that one member alone has passes through. One that several have is listed
// once for each of them, wrapped: with the member's name before it, so that it leads
// to that member without a table, also where a tool's result mentions it.
//
//	docs://readme         of member a is  sallyport+a:docs://readme
//	ui://app/main.html    of member a is  ui://sallyport+a/app/main.html
//
// Clients give what begins with ui:// to their renderer of MCP Apps, so it stays one.
const (
	wrapScheme = "sallyport+"
	uiScheme   = "ui://"
)

// wrap puts a member's name before a URI or a URI template.
func wrap(member, uri string) string {
	if rest, ok := strings.CutPrefix(uri, uiScheme); ok {
		return uiScheme + wrapScheme + member + "/" + rest
	}
	return wrapScheme + member + ":" + uri
}

// unwrap takes a wrapped URI apart; ok is false for one that is not wrapped.
func unwrap(uri string) (member, own string, ok bool) {
	if rest, ok := strings.CutPrefix(uri, uiScheme+wrapScheme); ok {
		member, own, ok := strings.Cut(rest, "/")
		return member, uiScheme + own, ok
	}
	rest, ok := strings.CutPrefix(uri, wrapScheme)
	if !ok {
		return "", "", false
	}
	return strings.Cut(rest, ":")
}

// URIs lead from the URIs and URI templates that clients know to members and back.
type URIs struct {
	members   []string
	own       map[string]Own // by public URI
	public    map[Own]string
	several   map[string]bool // URIs that more than one member has
	templates []template
}

// template is a URI template of one member, wrapped or not.
type template struct {
	Own       // its own text
	public    string
	literal   int // length of the text before its first expression
	parsed    *uritemplate.Template
	unwrapped *uritemplate.Template // nil where its member alone has it
}

// MakeURIs reads what members have. A template that does not parse leads nowhere; it is
// still listed.
func MakeURIs(members []string, resources, templates []Own) *URIs {
	u := &URIs{members: members, own: map[string]Own{}, public: map[Own]string{}, several: map[string]bool{}}
	for own, alone := range sharing(resources) {
		public := own.Name
		if !alone {
			public = wrap(members[own.Member], own.Name)
			u.several[own.Name] = true
		}
		u.own[public], u.public[own] = own, public
	}
	for own, alone := range sharing(templates) {
		t := template{Own: own, public: own.Name}
		if !alone {
			t.public = wrap(members[own.Member], own.Name)
			t.unwrapped, _ = uritemplate.New(own.Name)
		}
		t.literal = strings.IndexByte(t.public+"{", '{')
		t.parsed, _ = uritemplate.New(t.public)
		u.templates = append(u.templates, t)
	}
	// The template that says most of the URI is meant (longest literal beginning).
	slices.SortFunc(u.templates, func(a, b template) int {
		return cmp.Or(b.literal-a.literal, compareOwn(a.Own, b.Own))
	})
	return u
}

// sharing tells of each thing whether its member alone has it.
func sharing(all []Own) map[Own]bool {
	holders := make(map[string]int, len(all))
	alone := make(map[Own]bool, len(all))
	for _, o := range all {
		if _, ok := alone[o]; !ok {
			alone[o] = true
			holders[o.Name]++
		}
	}
	for o := range alone {
		alone[o] = holders[o.Name] == 1
	}
	return alone
}

// Own finds the member that a URI leads to, and what the member calls it.
func (u *URIs) Own(uri string) (Own, bool) {
	if o, ok := u.own[uri]; ok {
		return o, true
	}
	if name, own, ok := unwrap(uri); ok {
		if member := slices.Index(u.members, name); member >= 0 {
			return Own{member, own}, true
		}
	}
	for _, t := range u.templates {
		if t.parsed != nil && strings.HasPrefix(uri, t.public[:t.literal]) && t.parsed.Match(uri) != nil {
			return Own{t.Member, uri}, true
		}
	}
	return Own{}, false
}

// Public is how clients know a URI of a member, one of its lists or another that a
// result of its mentions. listed is false for a URI that leads nowhere by itself: it
// stays as it is, and whoever passes it on has to remember whose it is.
func (u *URIs) Public(o Own) (uri string, listed bool) {
	if public, ok := u.public[o]; ok {
		return public, true
	}
	switch back, ok := u.Own(o.Name); {
	case ok && back == o:
		return o.Name, true
	case ok || u.several[o.Name] || u.ofSeveral(o.Name):
		return wrap(u.members[o.Member], o.Name), true
	}
	return o.Name, false
}

// ofSeveral reports whether a member's URI is of a template that others have too.
func (u *URIs) ofSeveral(uri string) bool {
	return slices.ContainsFunc(u.templates, func(t template) bool { return t.unwrapped != nil && t.unwrapped.Match(uri) != nil })
}

// PublicTemplate is how clients know a template of a member.
func (u *URIs) PublicTemplate(o Own) string {
	for _, t := range u.templates {
		if t.Own == o {
			return t.public
		}
	}
	return wrap(u.members[o.Member], o.Name)
}

// OwnTemplate finds the member whose template clients know by a text, and its own.
func (u *URIs) OwnTemplate(public string) (Own, bool) {
	for _, t := range u.templates {
		if t.public == public {
			return t.Own, true
		}
	}
	return Own{}, false
}
