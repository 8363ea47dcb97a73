package policy

import (
	"slices"

	"github.com/cedar-policy/cedar-go"

	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/policy/schema"
)

// world is all that the policies can know for one decision: the request, and the
// entities. It implements cedar.EntityGetter over what there is already.
type world struct {
	set       *Set
	principal *Principal
	query     *Query
	around    *surroundings
	request   cedar.Request
	resource  cedar.Entity
	above     []cedar.EntityUID // all that the resource is in
}

// surroundings are what is the same for all that a caller does at one place.
type surroundings struct {
	context cedar.Record       // without arguments
	parents cedar.EntityUIDSet // of everything there: MCP::"server"
	above   []cedar.EntityUID  // all that everything is in
	keys    []uint32           // where the rules for everything are in the index
}

func (s *Set) surroundings(p *Principal, q *Query) *surroundings {
	server := cedar.NewEntityUID("MCP", cedar.String(q.Server))
	a := &surroundings{context: cedar.NewRecord(p.contextMap(q)), parents: cedar.NewEntityUIDSet(server)}
	a.above = ancestors(s.static, a.parents)
	a.keys = s.index.resources.known([]uint32{anyEntity}, a.above...)
	return a
}

func (s *Set) world(p *Principal, q *Query) *world {
	target := q.Target
	if q.Action.Lists() {
		target = q.Action.Feature()
	}
	uid := cedar.NewEntityUID(q.Action.Resource(), cedar.String(target))
	w := &world{set: s, principal: p, query: q, around: p.at(q)}
	w.request = cedar.Request{Principal: p.entity.UID, Action: q.Action.UID(), Resource: uid, Context: w.around.context}
	w.above = w.around.above
	w.resource = cedar.Entity{UID: uid, Parents: w.around.parents}
	static, declared := s.static[uid]
	if declared {
		w.resource.Tags = static.Tags
		w.resource.Parents = cedar.NewEntityUIDSet(slices.Concat(w.around.parents.Slice(), static.Parents.Slice())...)
		w.above = ancestors(s.static, w.resource.Parents)
	}
	if attributes := s.attributes(q, target, static.Attributes); len(attributes) > 0 {
		w.resource.Attributes = cedar.NewRecord(attributes)
	}
	return w
}

// keys appends where the rules are in the index that are for this resource, and for
// what the operator put it in, but not for all resources.
func (w *world) keys(to []uint32) []uint32 {
	to = w.set.index.resources.known(to, w.resource.UID)
	if len(w.above) > len(w.around.above) {
		to = w.set.index.resources.known(to, w.above...)
		to = slices.DeleteFunc(to, func(key uint32) bool { return slices.Contains(w.around.keys, key) })
		slices.Sort(to)
		to = slices.Compact(to) // the operator can put a thing into itself
	}
	return to
}

// rules are those that may apply.
func (w *world) rules(to candidates) candidates {
	var buf [8]uint32
	keys := append(w.keys(buf[:0]), w.around.keys...)
	return w.set.index.find(to, w.query.Action, w.principal.keys, keys)
}

// attributes are those of the resource that policies read.
func (s *Set) attributes(q *Query, target string, static cedar.Record) cedar.RecordMap {
	record := static.Map()
	add := func(name cedar.String, v cedar.Value) {
		if record == nil {
			record = cedar.RecordMap{}
		}
		record[name] = v
	}
	addText := func(name cedar.String, v string) {
		if s.reads.names[name] {
			add(name, cedar.String(v))
		}
	}
	addText("name", target)
	addText("operation", q.Action.Operation())
	addText("feature", q.Action.Feature())
	switch {
	case q.Action == ReadResource:
		addText("uri", target)
	case q.Action.Lists():
		addText("type", q.Action.Feature())
	case q.Action == CallTool && s.reads.hints:
		for name, hint := range schema.Hints(q.Hints) {
			// The operator's word on a tool is worth more than its server's.
			if _, declared := static.Get(name); !declared && hint != mcp.HintUnset {
				add(name, cedar.Boolean(hint == mcp.HintTrue))
			}
		}
	}
	return record
}

// with puts arguments where policies look for them: in the context, and on the
// resource.
func (w *world) with(arguments cedar.RecordMap) {
	context := w.principal.contextMap(w.query)
	attributes := w.resource.Attributes.Map()
	if attributes == nil {
		attributes = make(cedar.RecordMap, len(arguments))
	}
	for name, v := range arguments {
		context[name] = v
		attributes[name] = v
	}
	w.request.Context = cedar.NewRecord(context)
	w.resource.Attributes = cedar.NewRecord(attributes)
}

// Get implements cedar.EntityGetter.
func (w *world) Get(uid cedar.EntityUID) (cedar.Entity, bool) {
	switch uid {
	case w.principal.entity.UID:
		return w.principal.entity, true
	case w.resource.UID:
		return w.resource, true
	}
	e, ok := w.set.static[uid]
	return e, ok
}
