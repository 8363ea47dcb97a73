package policy

import (
	"fmt"
	"slices"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"

	"github.com/sallyport-dev/sallyport/internal/policy/schema"
)

// Advice tells of policies that mean what they say, and may not say what was meant: a
// test of an argument that a list or an object escapes, and, where several doors lead
// in, a name that more than one of them may give to somebody.
func (s *Set) Advice(severalDoors bool) (advice []Problem) {
	say := func(r *rule, word, format string, args ...any) {
		at := r.find(word)
		advice = append(advice, Problem{Policy: r.source, Line: at.line, Column: at.column, Warning: true, Message: fmt.Sprintf(format, args...)})
	}
	for _, r := range s.rules {
		for _, name := range r.escapes() {
			say(r, string(name), "%[1]s is not there either where it is a list, an object or null, so that such a call escapes this policy; test %[1]s%[2]s too", name, schema.PresentSuffix)
		}
		if client, ok := r.namesClient(); ok && severalDoors && !r.tellsDoors() {
			say(r, string(client.ID), "%s is whoever any of the endpoint's doors calls so; test context.source or context.issuer too", client)
		}
	}
	return advice
}

// escapes are arguments whose absence helps a caller, where the policy does not look
// whether they are there in another form.
func (r *rule) escapes() (names []types.String) {
	for _, c := range r.ast.Conditions {
		helps := r.forbid == (c.Condition == ast.ConditionWhen)
		r.absent(c.Body, helps, &names)
	}
	return names
}

// absent collects the tests for arguments that help the caller by being false.
func (r *rule) absent(n ast.IsNode, helps bool, names *[]types.String) {
	switch n := n.(type) {
	case ast.NodeTypeAnd:
		r.absent(n.Left, helps, names)
		r.absent(n.Right, helps, names)
	case ast.NodeTypeOr:
		r.absent(n.Left, helps, names)
		r.absent(n.Right, helps, names)
	case ast.NodeTypeNot:
		r.absent(n.Arg, !helps, names)
	case ast.NodeTypeIfThenElse:
		r.absent(n.If, true, names)
		r.absent(n.Then, helps, names)
		r.absent(n.Else, helps, names)
	case ast.NodeTypeHas:
		v, ok := n.Arg.(ast.NodeTypeVariable)
		if !helps || !ok || v.Name == "principal" || !schema.IsArgument(n.Value) || slices.Contains(*names, n.Value) {
			return
		}
		if !schema.IsMark(n.Value) && !r.reads.names[n.Value+schema.PresentSuffix] {
			*names = append(*names, n.Value)
		}
	}
}

// namesClient is the first caller that the policy names, other than the anonymous one.
func (r *rule) namesClient() (client cedar.EntityUID, ok bool) {
	see := func(uid cedar.EntityUID) {
		if uid.Type == schema.Principal && uid.ID != "anonymous" && !ok {
			client, ok = uid, true
		}
	}
	r.entities(r.ast.Principal, see)
	return client, ok
}

// entities are those that the policy names in one of its scopes, and in its conditions.
func (r *rule) entities(scope ast.IsScopeNode, see func(cedar.EntityUID)) {
	switch n := scope.(type) {
	case ast.ScopeTypeEq:
		see(n.Entity)
	case ast.ScopeTypeIn:
		see(n.Entity)
	case ast.ScopeTypeIsIn:
		see(n.Entity)
	}
	for _, c := range r.ast.Conditions {
		ast.Inspect(ast.NewNode(c.Body), func(n ast.IsNode) bool {
			if v, is := n.(ast.NodeValue); is {
				if uid, is := v.Value.(cedar.EntityUID); is {
					see(uid)
				}
			}
			return true
		})
	}
}

// tellsDoors reports whether the policy looks by which door the caller came.
func (r *rule) tellsDoors() bool {
	return r.reads.names[schema.SourceAttribute] || r.reads.names[schema.IssuerAttribute] || r.reads.names[schema.ClaimPrefix+"iss"]
}
