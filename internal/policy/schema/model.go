package schema

import (
	"maps"
	"slices"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
	"github.com/cedar-policy/cedar-go/x/exp/schema/resolved"
)

// Model is what policies can talk about: the types of entities, what each is in,
// and what attributes it has. The schema that policies are checked against is made
// of it; claims and arguments come in by what a policy takes them for.
type Model struct {
	parents map[types.EntityType][]types.EntityType
	shapes  map[types.EntityType]resolved.RecordType
	groups  []cedar.EntityUID // actions that the operator made, to put others in
}

// New makes the model for entities that the operator declared, and for groups of a
// type.
func New(static cedar.EntityMap, groupType types.EntityType) *Model {
	text := resolved.Attribute{Type: resolved.StringType{}}
	thing := func(more ...types.String) resolved.RecordType {
		shape := resolved.RecordType{"name": text, "operation": text, "feature": text}
		for _, name := range more {
			shape[name] = text
		}
		return shape
	}
	m := &Model{
		parents: map[types.EntityType][]types.EntityType{
			Principal: {groupType}, groupType: {groupType}, "MCP": nil,
			"Tool": {"MCP"}, "Prompt": {"MCP"}, "Resource": {"MCP"}, "FeatureType": {"MCP"},
		},
		shapes: map[types.EntityType]resolved.RecordType{
			Principal: {SourceAttribute: text}, groupType: {}, "MCP": {},
			"Tool": thing(), "Prompt": thing(), "Resource": thing("uri"), "FeatureType": thing("type"),
			"Action": {"operation": text},
		},
	}
	for _, name := range hintNames {
		m.shapes["Tool"][name] = resolved.Attribute{Type: resolved.BoolType{}}
	}
	for uid, e := range static {
		m.declare(uid.Type)
		for parent := range e.Parents.All() {
			m.declare(parent.Type)
			if uid.Type == "Action" {
				m.groups = append(m.groups, parent)
			} else if !slices.Contains(m.parents[uid.Type], parent.Type) {
				m.parents[uid.Type] = append(m.parents[uid.Type], parent.Type)
			}
		}
		for name, v := range e.Attributes.All() {
			m.shapes[uid.Type][name] = resolved.Attribute{Type: typeOfValue(v)}
		}
	}
	return m
}

func (m *Model) declare(typ types.EntityType) {
	if m.shapes[typ] == nil {
		m.shapes[typ] = resolved.RecordType{}
		if typ != "Action" {
			m.parents[typ] = nil
		}
	}
}

// typeOfValue is the type that a value has, of a set that of one of its elements.
func typeOfValue(v cedar.Value) resolved.IsType {
	switch v := v.(type) {
	case cedar.Boolean:
		return resolved.BoolType{}
	case cedar.Long:
		return resolved.LongType{}
	case cedar.EntityUID:
		return resolved.EntityType(v.Type)
	case cedar.Decimal:
		return resolved.ExtensionType("decimal")
	case cedar.IPAddr:
		return resolved.ExtensionType("ipaddr")
	case cedar.Datetime:
		return resolved.ExtensionType("datetime")
	case cedar.Duration:
		return resolved.ExtensionType("duration")
	case cedar.Set:
		for e := range v.All() {
			return resolved.SetType{Element: typeOfValue(e)}
		}
		return resolved.SetType{Element: resolved.StringType{}}
	case cedar.Record:
		shape := resolved.RecordType{}
		for name, e := range v.All() {
			shape[name] = resolved.Attribute{Type: typeOfValue(e)}
		}
		return shape
	}
	return resolved.StringType{}
}

// context is what every context has.
func (m *Model) context() resolved.RecordType {
	text := resolved.Attribute{Type: resolved.StringType{}}
	return resolved.RecordType{"server": text, "backend": text, SourceAttribute: text, IssuerAttribute: text}
}

// attribute is the type of what something of a type is asked for, nil for what it
// never has. The type "" is the context's.
func (m *Model) attribute(of types.EntityType, name types.String, a Action, u *Uses) resolved.IsType {
	shape := m.shapes[of]
	if of == "" {
		shape = m.context()
	}
	if t, ok := shape[name]; ok {
		return t.Type
	}
	arguments := IsArgument(name) && a.HasArguments()
	switch {
	case isClaim(name) && (of == Principal || of == ""), arguments && (of == a.Resource() || of == ""):
		return u.typeOf(name)
	}
	return nil
}

// schema is the schema of one action: what else there is, and what of it the policy
// uses.
func (m *Model) schema(a Action, u *Uses) *resolved.Schema {
	s := &resolved.Schema{
		Entities: make(map[types.EntityType]resolved.Entity, len(m.parents)),
		Actions:  make(map[types.EntityUID]resolved.Action, ActionCount),
	}
	resource := a.Resource()
	for typ, parents := range m.parents {
		shape := m.shapes[typ]
		if typ == Principal || typ == resource {
			shape = m.withUses(shape, typ, a, u)
		}
		s.Entities[typ] = resolved.Entity{Name: typ, ParentTypes: parents, Shape: shape}
	}
	for other := range ActionCount {
		s.Actions[other.UID()] = resolved.Action{Entity: types.Entity{UID: other.UID()}}
	}
	for _, uid := range m.groups {
		s.Actions[uid] = resolved.Action{Entity: types.Entity{UID: uid}}
	}
	s.Actions[a.UID()] = resolved.Action{
		Entity: types.Entity{UID: a.UID(), Parents: types.NewEntityUIDSet(m.groups...)},
		AppliesTo: &resolved.AppliesTo{
			Principals: []types.EntityType{Principal},
			Resources:  []types.EntityType{resource},
			Context:    m.withUses(m.context(), "", a, u),
		},
	}
	return s
}

func (m *Model) withUses(shape resolved.RecordType, of types.EntityType, a Action, u *Uses) resolved.RecordType {
	shape = maps.Clone(shape)
	for name := range u.attributes {
		if t := m.attribute(of, name, a, u); t != nil {
			shape[name] = resolved.Attribute{Type: t}
		}
	}
	return shape
}

// reaches reports whether an entity of one type can be in one of another.
func (m *Model) reaches(from, to types.EntityType) bool {
	if from == to {
		return true
	}
	seen := []types.EntityType{from}
	for i := 0; i < len(seen); i++ {
		for _, parent := range m.parents[seen[i]] {
			if parent == to {
				return true
			}
			if !slices.Contains(seen, parent) {
				seen = append(seen, parent)
			}
		}
	}
	return false
}

// ScopeType is the type that a scope demands, if it does.
func ScopeType(n ast.IsScopeNode) (types.EntityType, bool) {
	switch n := n.(type) {
	case ast.ScopeTypeEq:
		return n.Entity.Type, true
	case ast.ScopeTypeIs:
		return n.Type, true
	case ast.ScopeTypeIsIn:
		return n.Type, true
	}
	return "", false
}
