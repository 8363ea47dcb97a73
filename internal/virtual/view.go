package virtual

import (
	"bytes"
	"context"
	"crypto/sha256"
	"slices"
	"sync"

	"github.com/sallyport-dev/sallyport/internal/bridge/convert"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/upstream"
	"github.com/sallyport-dev/sallyport/internal/virtual/names"
)

// view is what the members have, joined, for those who see the same catalogues. It is
// never changed, and shared by all of them.
type view struct {
	catalogues []*catalogue // by member; nil for one of which nothing is known
	members    []string     // their names

	tools, prompts *names.Names
	uris           *names.URIs
	lists          [kindCount][]shown
	joined         [kindCount][]byte           // the items of each list, with commas between them
	digests        digests                     // of each list
	groups         [kindCount][]upstream.Group // of each list, whose the items are

	capabilities []byte
	instructions []byte // raw JSON string; nil for none
	tasks        bool   // some member has the extension for tasks

	mu    sync.Mutex
	pages map[*mcp.Item][]upstream.Group // of lists that were read, by their first item
	shown *upstream.Shown                // the tools; nil until somebody asks
}

// shown is an item as clients see it.
type shown struct {
	Own
	public string
	raw    []byte // in joined
	at     int    // its place there
	hints  mcp.Hints
}

// views keeps the newest ones.
type views struct {
	mu     sync.Mutex
	recent []*view
}

const (
	maxViews = 256
	maxSeen  = 4096 // by somebody
)

// seenView is a view that somebody sees, as long as nothing has been fetched since, and
// none of what it is made of is old.
type seenView struct {
	view    *view
	fetched uint64
}

// of gives the view of catalogues, made if it is not there.
func (v *views) of(catalogues []*catalogue, build func([]*catalogue) *view) *view {
	v.mu.Lock()
	defer v.mu.Unlock()
	for i, known := range v.recent {
		if slices.EqualFunc(known.catalogues, catalogues, sameLists) {
			if i > 0 { // the most recent first
				copy(v.recent[1:i+1], v.recent[:i])
				v.recent[0] = known
			}
			return known
		}
	}
	made := build(catalogues)
	if len(v.recent) == maxViews {
		v.recent = v.recent[:maxViews-1]
	}
	v.recent = slices.Insert(v.recent, 0, made)
	return made
}

// sameLists reports whether two catalogues hold the very same lists: a list that has
// not changed keeps its place in memory.
func sameLists(a, b *catalogue) bool {
	if a == b {
		return true
	}
	if a == nil || b == nil {
		return false
	}
	for k := range a.lists {
		x, y := a.lists[k], b.lists[k]
		if len(x) != len(y) || len(x) > 0 && &x[0] != &y[0] {
			return false
		}
	}
	return bytes.Equal(a.server, b.server)
}

// build joins catalogues.
func (t *Target) build(catalogues []*catalogue) *view {
	v := &view{catalogues: catalogues, members: t.Naming.Members, pages: map[*mcp.Item][]upstream.Group{}}
	var have [kindCount][]Own
	for m := range t.members {
		if catalogues[m] == nil {
			continue
		}
		for k := range kinds {
			for _, it := range catalogues[m].lists[k] {
				have[k] = append(have[k], Own{Member: m, Name: it.name})
			}
		}
	}
	var leftOut []Own
	v.tools, leftOut = t.Naming.MakeNames(t.candidates(have[tools]))
	t.warn(leftOut)
	naming := t.Naming
	naming.Strict, naming.Taken = false, nil
	candidates := make([]names.Candidate, len(have[prompts]))
	for i, own := range have[prompts] {
		candidates[i].Own = own
	}
	v.prompts, leftOut = naming.MakeNames(candidates)
	t.warn(leftOut)
	v.uris = names.MakeURIs(v.members, have[resources], have[templates])
	for k := range kinds {
		t.show(v, kind(k))
	}
	v.capabilities, v.instructions = t.union(catalogues)
	v.tasks = slices.ContainsFunc(catalogues, func(c *catalogue) bool {
		return c != nil && mcp.HasObject(c.server, "capabilities", "extensions", convert.MetaTasks)
	})
	return v
}

// candidates are the tools that clients see, with the names that the manifest gives them.
func (t *Target) candidates(all []Own) (candidates []names.Candidate) {
	for _, own := range all {
		m := &t.members[own.Member]
		if m.Hidden || m.Tools != nil && !m.Tools.Shown(own.Name) {
			continue
		}
		c := names.Candidate{Own: own}
		if m.Tools != nil {
			c.Given = m.Tools.Given(own.Name)
		}
		candidates = append(candidates, c)
	}
	return candidates
}

// warn says once which things clients do not see, because another member has the name.
func (t *Target) warn(leftOut []Own) {
	for _, own := range leftOut {
		if _, said := t.warned.LoadOrStore(own, true); !said {
			t.Log.Warn("a name belongs to another tool, so this member's is left out; give it another in config.aggregation.tools[].overrides",
				"member", t.members[own.Member].Upstream.Name, "name", own.Name)
		}
	}
}

// show makes one list as clients see it.
func (t *Target) show(v *view, k kind) {
	sum := sha256.New()
	if k == tools {
		_, _ = sum.Write(t.Beside)
	}
	for m, c := range v.catalogues {
		if c == nil {
			continue
		}
		for _, it := range c.lists[k] {
			s := shown{Own: Own{Member: m, Name: it.name}, hints: it.hints}
			if s.public = v.public(k, s.Own); s.public == "" {
				continue
			}
			s.raw = t.publicItem(v, k, s, it.raw)
			if g := v.groups[k]; len(g) == 0 || g[len(g)-1].Member != v.members[m] {
				v.groups[k] = append(g, upstream.Group{Member: v.members[m]})
			}
			g := &v.groups[k][len(v.groups[k])-1]
			g.Items, g.At = append(g.Items, mcp.Item{Name: s.Name, Hints: s.hints}), append(g.At, len(v.lists[k]))
			v.lists[k] = append(v.lists[k], s)
			_, _ = sum.Write(s.raw)
		}
	}
	copy(v.digests[k][:], sum.Sum(nil))
	v.join(k)
}

// digest is of what a caller sees of a list, who may not use all of it.
func (v *view) digest(k kind, rights upstream.Rights) (d digest) {
	if rights == nil {
		return v.digests[k]
	}
	may := rights.May(kinds[k].method, v.groups[k], len(v.lists[k]))
	if !slices.Contains(may, false) {
		return v.digests[k]
	}
	sum := sha256.New()
	for i, s := range v.lists[k] {
		if may[i] {
			_, _ = sum.Write(s.raw)
		}
	}
	copy(d[:], sum.Sum(nil))
	return d
}

// join puts the items of a list behind one another, as they are sent.
func (v *view) join(k kind) {
	size := 0
	for _, s := range v.lists[k] {
		size += len(s.raw) + 1
	}
	all := make([]byte, 0, size)
	for i := range v.lists[k] {
		s := &v.lists[k][i]
		if i > 0 {
			all = append(all, ',')
		}
		s.at = len(all)
		all = append(all, s.raw...)
		s.raw = all[s.at:len(all):len(all)]
	}
	v.joined[k] = all
}

// items are the raw items of a part of a list.
func (v *view) items(k kind, from, to int) []byte {
	if from == to {
		return nil
	}
	last := &v.lists[k][to-1]
	return v.joined[k][v.lists[k][from].at : last.at+len(last.raw)]
}

// public is how clients know something; "" for what they do not see.
func (v *view) public(k kind, own Own) string {
	switch k {
	case tools:
		return v.tools.Public(own)
	case prompts:
		return v.prompts.Public(own)
	case templates:
		return v.uris.PublicTemplate(own)
	}
	uri, _ := v.uris.Public(own)
	return uri
}

// publicItem is an item under its public name. Everything else in it stays byte for byte
// (REQ F-4), but for what the manifest says of a tool, and where MCP Apps point to a
// page that is known by another URI here.
func (t *Target) publicItem(v *view, k kind, s shown, raw []byte) []byte {
	var fields []mcp.Field
	if s.public != s.Name {
		fields = append(fields, mcp.Field{Name: kinds[k].name, Value: mcp.Quote(s.public)})
	}
	if k == tools {
		if view := t.members[s.Member].Tools; view != nil {
			annotations, _ := mcp.Member(raw, "annotations")
			fields = append(fields, view.Fields(s.Name, annotations)...)
		}
		if meta := v.publicMeta(s.Member, raw); meta != nil {
			fields = append(fields, mcp.Field{Name: "_meta", Value: meta})
		}
	}
	if fields == nil {
		return raw
	}
	return mcp.Merge(raw, fields)
}

// publicMeta is the _meta of a tool whose page (MCP Apps) has another URI here; nil
// where there is nothing to change.
func (v *view) publicMeta(member int, raw []byte) []byte {
	meta, err := mcp.Member(raw, "_meta")
	if err != nil || meta == nil {
		return nil
	}
	var fields []mcp.Field
	if at := v.publicPage(member, meta, "ui/resourceUri"); at != nil {
		fields = append(fields, mcp.Field{Name: "ui/resourceUri", Value: at})
	}
	if ui, err := mcp.Member(meta, "ui"); err == nil && ui != nil {
		if at := v.publicPage(member, ui, "resourceUri"); at != nil {
			fields = append(fields, mcp.Field{Name: "ui", Value: mcp.Merge(ui, []mcp.Field{{Name: "resourceUri", Value: at}})})
		}
	}
	if fields == nil {
		return nil
	}
	return mcp.Merge(meta, fields)
}

func (v *view) publicPage(member int, object []byte, key string) []byte {
	value, err := mcp.Member(object, key)
	uri, ok := mcp.Text(value)
	if err != nil || !ok {
		return nil
	}
	if public, _ := v.uris.Public(Own{Member: member, Name: uri}); public != uri {
		return mcp.Quote(public)
	}
	return nil
}

// union is what the virtual server says of itself: what any member can do, and what
// all say of how they are to be used.
func (t *Target) union(catalogues []*catalogue) (capabilities, instructions []byte) {
	has := func(path ...string) bool {
		return slices.ContainsFunc(catalogues, func(c *catalogue) bool {
			return c != nil && mcp.HasObject(c.server, append([]string{"capabilities"}, path...)...)
		})
	}
	var fields []mcp.Field
	add := func(name, value string) { fields = append(fields, mcp.Field{Name: name, Value: []byte(value)}) }
	if has("tools") || len(catalogues) == 0 || t.Beside != nil {
		add("tools", `{"listChanged":true}`)
	}
	if has("prompts") {
		add("prompts", `{"listChanged":true}`)
	}
	if has("resources") {
		value := `{"listChanged":true}`
		if slices.ContainsFunc(catalogues, subscribes) {
			value = `{"listChanged":true,"subscribe":true}`
		}
		add("resources", value)
	}
	for _, name := range []string{"completions", "logging"} {
		if has(name) {
			add(name, "{}")
		}
	}
	return mcp.Merge(nil, fields), t.instructions(catalogues)
}

func subscribes(c *catalogue) bool {
	if c == nil {
		return false
	}
	value := c.server
	for _, key := range []string{"capabilities", "resources", "subscribe"} {
		var err error
		if value, err = mcp.Member(value, key); err != nil || value == nil {
			return false
		}
	}
	return string(value) == "true"
}

func (t *Target) instructions(catalogues []*catalogue) []byte {
	var b []byte
	for m, c := range catalogues {
		if c == nil {
			continue
		}
		value, err := mcp.Member(c.server, "instructions")
		said, ok := mcp.Text(value)
		if err != nil || !ok || said == "" {
			continue
		}
		if len(b) > 0 {
			b = append(b, "\n\n"...)
		}
		if len(t.members) > 1 {
			b = append(b, "# "+t.members[m].Upstream.Name+"\n\n"...)
		}
		b = append(b, said...)
	}
	if b == nil {
		return nil
	}
	return mcp.Quote(string(b))
}

// owners says, of a list that clients are given, whose the items are and what those
// call them, for policies that name the members' own.
func (v *view) owners(k kind, l *mcp.List) []upstream.Group {
	if len(l.Items) == 0 {
		return nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if known, ok := v.pages[&l.Items[0]]; ok {
		return known
	}
	byName := make(map[string]*shown, len(v.lists[k]))
	for i := range v.lists[k] {
		byName[v.lists[k][i].public] = &v.lists[k][i]
	}
	var groups []upstream.Group
	at := map[int]int{}
	for i, it := range l.Items {
		s := byName[it.Name]
		if s == nil {
			continue
		}
		g, ok := at[s.Member]
		if !ok {
			g = len(groups)
			at[s.Member] = g
			groups = append(groups, upstream.Group{Member: v.members[s.Member]})
		}
		it.Name, it.Hints = s.Name, s.hints
		groups[g].Items, groups[g].At = append(groups[g].Items, it), append(groups[g].At, i)
	}
	if len(v.pages) > 64 {
		clear(v.pages)
	}
	v.pages[&l.Items[0]] = groups
	return groups
}

// Shown are the tools as the call's client sees them.
func (t *Target) Shown(ctx context.Context, c *upstream.Call) *upstream.Shown {
	v := t.view(ctx, whose(c))
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.shown != nil {
		return v.shown
	}
	v.shown = &upstream.Shown{Groups: v.groups[tools]}
	for _, s := range v.lists[tools] {
		v.shown.Items, v.shown.Names = append(v.shown.Items, s.raw), append(v.shown.Names, s.public)
	}
	return v.shown
}
