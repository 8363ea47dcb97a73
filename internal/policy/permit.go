package policy

import (
	"cmp"
	"slices"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/ast"
	"github.com/cedar-policy/cedar-go/types"

	"github.com/sallyport-dev/sallyport/internal/policy/schema"
)

// Permit is a policy that somebody could add.
type Permit struct {
	Group string // whom it is for: everybody in the group; "" for the caller alone
	Text  string // in Cedar
}

// Permits writes policies that would permit what a query asks for, for the caller and
// for each of the caller's groups. Where several doors lead in, the one for the caller
// says by which, since a name is whoever any of them calls so. There are none where a
// policy forbids it, or permits it already, or nothing could permit it.
func (s *Set) Permits(p *Principal, q *Query, severalDoors bool) []Permit {
	p = s.own(p)
	if d := s.Decide(p, q); d.Reason != "" || q.Action.Lists() || len(d.Policies) > 0 {
		return nil
	}
	w := s.world(p, q)
	resource := w.request.Resource
	write := func(who, name string, scope func(*ast.Policy) *ast.Policy, doors bool) Permit {
		id := cmp.Or(name, who) + " may " + q.Action.Operation() + " " + q.Target
		policy := scope((&ast.Annotations{}).Annotation("id", types.String(id)).Permit()).ActionEq(q.Action.UID()).ResourceEq(resource)
		var conditions []ast.Node
		is := func(attribute, value string) {
			conditions = append(conditions, ast.Context().Access(types.String(attribute)).Equal(ast.String(types.String(value))))
		}
		if q.Backend != q.Server { // one of several, which may have the name too
			is("backend", q.Backend)
		}
		if doors {
			is(schema.SourceAttribute, p.caller.Source)
			if p.caller.Issuer != "" {
				is(schema.IssuerAttribute, p.caller.Issuer)
			}
		}
		if len(conditions) > 0 {
			all := conditions[0]
			for _, c := range conditions[1:] {
				all = all.And(c)
			}
			policy = policy.When(all)
		}
		return Permit{Group: name, Text: string(cedar.NewPolicyFromAST(policy).MarshalCedar())}
	}
	me := p.entity.UID
	permits := []Permit{write(p.caller.Subject, "", func(x *ast.Policy) *ast.Policy { return x.PrincipalEq(me) }, severalDoors)}
	for _, name := range slices.Compact(slices.Sorted(slices.Values(s.groups(p.caller)))) {
		group := cedar.NewEntityUID(s.groupType, cedar.String(name))
		permits = append(permits, write(name, name, func(x *ast.Policy) *ast.Policy { return x.PrincipalIn(group) }, false))
	}
	return permits
}
