package policy

import (
	"iter"
	"slices"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/x/exp/ast"

	"github.com/sallyport-dev/sallyport/internal/policy/schema"
)

// index finds the rules that may apply by what their scopes say, so that a decision
// costs as much as the policies that have to do with it, however many others there
// are. It may find too many, never too few: Cedar looks at the scopes again.
type index struct {
	principals, resources keys
	byAction              [schema.ActionCount]map[scope][]*rule // in their order
}

// scope is what a rule asks of the principal and the resource, as keys.
type scope struct{ principal, resource uint32 }

// keys numbers the entities that scopes name, from 1. 0 is any.
type keys map[cedar.EntityUID]uint32

const anyEntity = 0

func (k keys) of(uid cedar.EntityUID) uint32 {
	key, ok := k[uid]
	if !ok {
		key = uint32(len(k) + 1)
		k[uid] = key
	}
	return key
}

// known appends the keys of those entities that have one.
func (k keys) known(to []uint32, uids ...cedar.EntityUID) []uint32 {
	for _, uid := range uids {
		if key, ok := k[uid]; ok {
			to = append(to, key)
		}
	}
	return to
}

func newIndex(rules []*rule, static cedar.EntityMap) *index {
	x := &index{principals: keys{}, resources: keys{}}
	var groups [schema.ActionCount][]cedar.EntityUID // what the operator put each action in
	for a := range schema.ActionCount {
		groups[a] = ancestors(static, static[a.UID()].Parents)
	}
	for _, r := range rules {
		s := scope{x.principals.scopeOf(r.ast.Principal), x.resources.scopeOf(r.ast.Resource)}
		if typ, ok := schema.ScopeType(r.ast.Principal); ok && typ != schema.Principal {
			continue
		}
		for a := range schema.ActionCount {
			if typ, ok := schema.ScopeType(r.ast.Resource); ok && typ != a.Resource() || !inActions(r.ast.Action, a.UID(), groups[a]) {
				continue
			}
			if x.byAction[a] == nil {
				x.byAction[a] = map[scope][]*rule{}
			}
			x.byAction[a][s] = append(x.byAction[a][s], r)
		}
	}
	return x
}

// scopeOf is the key of the entity that a scope names.
func (k keys) scopeOf(n ast.IsScopeNode) uint32 {
	switch n := n.(type) {
	case ast.ScopeTypeEq:
		return k.of(n.Entity)
	case ast.ScopeTypeIn:
		return k.of(n.Entity)
	case ast.ScopeTypeIsIn:
		return k.of(n.Entity)
	}
	return anyEntity
}

func inActions(n ast.IsActionScopeNode, action cedar.EntityUID, groups []cedar.EntityUID) bool {
	in := func(e cedar.EntityUID) bool { return e == action || slices.Contains(groups, e) }
	switch n := n.(type) {
	case ast.ScopeTypeEq:
		return n.Entity == action
	case ast.ScopeTypeIn:
		return in(n.Entity)
	case ast.ScopeTypeInSet:
		return slices.ContainsFunc(n.Entities, in)
	}
	return true
}

// candidates are rules that may apply, for Cedar to look at.
type candidates []*rule

// All implements cedar.PolicyIterator.
func (c candidates) All() iter.Seq2[cedar.PolicyID, *cedar.Policy] {
	return func(yield func(cedar.PolicyID, *cedar.Policy) bool) {
		for _, r := range c {
			if !yield(r.id, r.policy) {
				return
			}
		}
	}
}

// find appends the rules that may apply to these principals and resources.
func (x *index) find(to candidates, a Action, principals, resources []uint32) candidates {
	rules := x.byAction[a]
	if len(rules) == 0 {
		return to
	}
	for _, p := range principals {
		for _, r := range resources {
			to = append(to, rules[scope{p, r}]...)
		}
	}
	return to
}
