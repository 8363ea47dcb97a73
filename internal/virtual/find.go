package virtual

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/upstream"
	"github.com/sallyport-dev/sallyport/internal/virtual/names"
)

// This file finds tools for whoever serves others made of them.

// Found is a tool of a member, whether or not clients see it.
type Found struct {
	upstream.Resolution
	Public string // what clients call it; "" where they do not see it
	Schema []byte // of its arguments
}

// Find finds a tool by MEMBER.TOOL, by the name that clients see or would see but for the
// manifest hiding it, or by its member's own name where no other member has that.
func (t *Target) Find(ctx context.Context, c *upstream.Call, name string) (Found, bool) {
	v := t.view(ctx, whose(c))
	if own, ok := v.tools.Own(name); ok {
		return t.found(v, own)
	}
	best := -1 // the member with the longest name
	for m := range t.members {
		if strings.HasPrefix(name, t.members[m].Upstream.Name+".") && (best < 0 || len(t.members[m].Upstream.Name) > len(t.members[best].Upstream.Name)) {
			best = m
		}
	}
	if best >= 0 {
		if f, ok := t.found(v, Own{Member: best, Name: name[len(t.members[best].Upstream.Name)+1:]}); ok {
			return f, true
		}
	}
	var hidden []Own
	for m, c := range v.catalogues {
		own, named := name, true
		if t.Naming.Strategy == names.Prefix || t.Naming.Strategy == "" {
			own, named = strings.CutPrefix(name, strings.ReplaceAll(t.Naming.Format, "{workload}", t.members[m].Upstream.Name))
		}
		if !named || c == nil {
			continue
		}
		for _, it := range c.lists[tools] {
			if t.called(m, it.name) == own {
				hidden = append(hidden, Own{Member: m, Name: it.name})
			}
		}
	}
	if len(hidden) != 1 {
		return Found{}, false
	}
	return t.found(v, hidden[0])
}

// called is a tool's name by the manifest, before any prefix.
func (t *Target) called(member int, own string) string {
	if view := t.members[member].Tools; view != nil {
		return cmp.Or(view.Given(own), own)
	}
	return own
}

func (t *Target) found(v *view, own Own) (Found, bool) {
	it, ok := v.item(own)
	if !ok {
		return Found{}, false
	}
	return Found{
		Resolution: upstream.Resolution{Member: t.members[own.Member].Upstream.Name, Name: own.Name, Hints: it.hints},
		Public:     v.tools.Public(own), Schema: mcp.Path(it.raw, "inputSchema"),
	}, true
}

// item is a tool of a member's catalogue, whose lists are in the order of names.
func (v *view) item(own Own) (item, bool) {
	if v.catalogues[own.Member] == nil {
		return item{}, false
	}
	all := v.catalogues[own.Member].lists[tools]
	at, ok := slices.BinarySearchFunc(all, own.Name, func(it item, name string) int { return strings.Compare(it.name, name) })
	if !ok {
		return item{}, false
	}
	return all[at], true
}

// Client tells the clients of calls apart: by session, or by caller where there are none.
func Client(c *upstream.Call) string { return client(c) }

// Declared are the capabilities that the client of a call has declared in its session, and
// the session's revision, which not every message of a client names.
func Declared(c *upstream.Call) (capabilities []byte, rev mcp.Revision) {
	s := sessionOf(c.State)
	return mcp.Path(s.params, "capabilities"), s.revision
}
