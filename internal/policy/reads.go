package policy

import (
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"

	"github.com/sallyport-dev/sallyport/internal/policy/schema"
)

// maxIsIn bounds `is … in …` inside one another: the validator doubles the errors
// of what is inside.
const maxIsIn = 6

// reads is what a policy looks at besides its scope. Only what some policy of a set
// looks at is made for a decision.
type reads struct {
	names  map[types.String]bool // attributes, of whatever they are asked
	args   bool                  // an argument among them
	hints  bool                  // an annotation among them
	all    bool                  // the context as a whole, which holds any name
	nested int                   // how deep `is … in …` stands inside itself
}

func readsOf(p *ast.Policy) reads {
	r := reads{names: map[types.String]bool{}}
	for _, c := range p.Conditions {
		r.visit(c.Body)
		r.nested = max(r.nested, nestedIsIn(c.Body))
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

func nestedIsIn(n ast.IsNode) (deepest int) {
	ast.Inspect(ast.NewNode(n), func(n ast.IsNode) bool {
		isIn, ok := n.(ast.NodeTypeIsIn)
		if !ok {
			return true
		}
		deepest = max(deepest, 1+nestedIsIn(isIn.Left), 1+nestedIsIn(isIn.Entity))
		return false
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
