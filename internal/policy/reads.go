package policy

import (
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"

	"github.com/sallyport-dev/sallyport/internal/policy/schema"
)

// maxDoubling bounds how often what the validator makes of a policy can double: it
// repeats the errors of an `is … in …` inside another, and the text of a conditional
// inside the name of a tag.
const maxDoubling = 6

// reads is what a policy looks at besides its scope. Only what some policy of a set
// looks at is made for a decision.
type reads struct {
	names  map[types.String]bool // attributes, of whatever they are asked
	args   bool                  // an argument among them
	hints  bool                  // an annotation among them
	all    bool                  // the context as a whole, which holds any name
	nested int                   // see maxDoubling
}

func readsOf(p *ast.Policy) reads {
	r := reads{names: map[types.String]bool{}}
	for _, c := range p.Conditions {
		r.visit(c.Body)
		r.nested = max(r.nested, nested(c.Body, false))
	}
	for name := range r.names {
		r.args = r.args || schema.IsArgument(name)
		r.hints = r.hints || schema.IsHint(name)
	}
	r.args = r.args || r.all
	return r
}

func (r *reads) visit(n ast.IsNode) {
	ast.Inspect(ast.NewNode(n), func(n ast.IsNode) bool {
		var of ast.IsNode
		switch n := n.(type) {
		case ast.NodeTypeAccess:
			r.names[n.Value], of = true, n.Arg
		case ast.NodeTypeHas:
			r.names[n.Value], of = true, n.Arg
		case ast.NodeTypeVariable:
			r.all = r.all || n.Name == "context"
		}
		v, ok := of.(ast.NodeTypeVariable)
		return !ok || v.Name != "context" // asked for one attribute, it is not looked at as a whole
	})
}

// nested is how deep what the validator doubles stands inside itself.
func nested(n ast.IsNode, inTag bool) (deepest int) {
	ast.Inspect(ast.NewNode(n), func(n ast.IsNode) bool {
		switch n := n.(type) {
		case ast.NodeTypeIsIn:
			deepest = max(deepest, 1+nested(n.Left, inTag), 1+nested(n.Entity, inTag))
			return false
		case ast.NodeTypeGetTag:
			deepest = max(deepest, nested(n.Left, inTag), nested(n.Right, true))
			return false
		case ast.NodeTypeIfThenElse:
			if inTag {
				deepest = max(deepest, 1+nested(n.If, inTag), 1+nested(n.Then, inTag), 1+nested(n.Else, inTag))
				return false
			}
		}
		return true
	})
	return deepest
}

// add joins what another policy reads.
func (r *reads) add(other reads) {
	for name := range other.names {
		r.names[name] = true
	}
	r.args, r.hints, r.all = r.args || other.args, r.hints || other.hints, r.all || other.all
}

// has reports whether some policy may look at the attribute.
func (r *reads) has(name types.String) bool { return r.all || r.names[name] }
