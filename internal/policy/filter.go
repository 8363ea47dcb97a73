package policy

import (
	"slices"
	"weak"

	"github.com/cedar-policy/cedar-go"
	publicast "github.com/cedar-policy/cedar-go/ast"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
	"github.com/cedar-policy/cedar-go/x/exp/eval"

	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/policy/schema"
)

// Selection says which items of a list a caller sees. It is shared and must not be
// changed.
type Selection struct {
	// Keep has a value for each item; in shadow mode all are true.
	Keep []bool
	// Hidden is how many items the policies hide, or would.
	Hidden int
}

// shown is what a Selection depends on. The items are known by where they are, and
// are not kept alive for it.
type shown struct {
	principal       *Principal
	action          Action
	first           weak.Pointer[mcp.Item]
	count           int
	server, backend string
}

// Filter decides which items of a list the caller sees: those that it may use, by
// the decision on the use itself, where that does not look at arguments; else those
// that it may use with some arguments. The query's action is the one that lists; its
// target, hints and arguments are of no account. The items must not change.
func (s *Set) Filter(p *Principal, q *Query, items []mcp.Item) *Selection {
	if len(items) == 0 {
		return &Selection{}
	}
	p = s.own(p)
	key := shown{p, q.Action, weak.Make(&items[0]), len(items), q.Server, q.Backend}
	if sel, ok := s.selections.get(key); ok {
		return sel
	}
	sel := s.selection(p, q, items)
	s.selections.put(key, sel)
	return sel
}

func (s *Set) selection(p *Principal, q *Query, items []mcp.Item) *Selection {
	sel := &Selection{Keep: make([]bool, len(items))}
	item := Query{Action: q.Action.Item(), Server: q.Server, Backend: q.Backend}
	common := s.commonRules(p, &item, len(items))
	var buf [32]*rule
	for i := range items {
		item.Target, item.Hints = items[i].Name, items[i].Hints
		if ambiguous(&item) != "" {
			sel.Keep[i] = s.shadow
			sel.Hidden++
			continue
		}
		w := s.world(p, &item)
		own := s.index.find(buf[:0], item.Action, p.keys, w.keys(nil))
		shows := s.shows(w, append(own, common...))
		sel.Keep[i] = shows || s.shadow
		if !shows {
			sel.Hidden++
		}
	}
	return sel
}

// worthReducing is how many evaluations it takes until it is cheaper to look first
// at what does not depend on the item.
const worthReducing = 400

// commonRules are the rules that may apply to all items alike. If they are many,
// they are evaluated as far as that goes without the item: most then say no.
//
// What a policy says of one tool by name, such as Tool::"a".name, is then decided by
// what the operator declared alone.
func (s *Set) commonRules(p *Principal, item *Query, items int) candidates {
	w := s.world(p, item)
	rules := s.index.find(nil, item.Action, p.keys, w.around.keys)
	if len(rules)*items < worthReducing {
		return rules
	}
	env := eval.Env{
		Entities: w, Principal: w.request.Principal, Action: w.request.Action,
		Resource: eval.Variable("resource"), Context: w.request.Context,
	}
	var rest candidates
	for _, r := range rules {
		if r.reads.args {
			rest = append(rest, r)
			continue
		}
		tree, keep := eval.PartialPolicy(env, r.ast)
		if !keep {
			continue
		}
		reduced := *r
		reduced.policy = cedar.NewPolicyFromAST((*publicast.Policy)(tree))
		rest = append(rest, &reduced)
	}
	return rest
}

// shows reports whether the caller may use the thing, with some arguments at least.
func (s *Set) shows(w *world, rules candidates) bool {
	var open candidates
	if slices.ContainsFunc(rules, readsArguments) {
		var plain candidates
		for _, r := range rules {
			if r.reads.args {
				open = append(open, r)
			} else {
				plain = append(plain, r)
			}
		}
		rules = plain
	}
	v := s.authorize(w, rules, w.query.Action)
	permitted := v.allow
	if !v.allow && len(v.policies) > 0 {
		return false
	}
	for _, r := range open {
		never, always := s.perhaps(w, r)
		if r.forbid && always {
			return false
		}
		if !r.forbid && !never {
			permitted = true
		}
	}
	return permitted
}

// perhaps reports whether a rule that reads arguments applies to no call, or to
// every call, as far as can be told. It looks at a call without arguments, and at
// one that has all those that policies read, with unknown values.
func (s *Set) perhaps(w *world, r *rule) (never, always bool) {
	bare, diagnostic := cedar.Authorize(candidates{r}, w, w.request)
	failed := len(diagnostic.Errors) > 0
	applies := bare == cedar.Allow || len(diagnostic.Reasons) > 0

	full := *w
	full.with(s.unknownArguments())
	tree, keep := eval.PartialPolicy(eval.Env{
		Entities: &full, Principal: full.request.Principal, Action: full.request.Action,
		Resource: full.request.Resource, Context: full.request.Context,
	}, r.ast)
	fullFails := keep && slices.ContainsFunc(tree.Conditions, func(c ast.ConditionType) bool {
		_, ok := eval.ToPartialError(c.Body)
		return ok
	})
	possible := keep && !fullFails && !slices.ContainsFunc(tree.Conditions, func(c ast.ConditionType) bool {
		return c.Condition == ast.ConditionWhen && !canHold(c.Body)
	})
	never = !applies && !possible
	always = (applies || failed) && keep && (fullFails || len(tree.Conditions) == 0)
	return never, always
}

// canHold reports whether what is left of a condition may come true, whatever the
// arguments are.
func canHold(n ast.IsNode) bool {
	switch n := n.(type) {
	case ast.NodeValue:
		return n.Value == cedar.True
	case ast.NodeTypeAnd:
		return canHold(n.Left) && canHold(n.Right)
	case ast.NodeTypeOr:
		return canHold(n.Left) || canHold(n.Right)
	}
	_, fails := eval.ToPartialError(n)
	return !fails
}

// unknownArguments are all arguments that policies read.
func (s *Set) unknownArguments() cedar.RecordMap {
	record := cedar.RecordMap{}
	for name := range s.reads.names {
		if schema.IsArgument(name) {
			record[name] = eval.Variable(name)
		}
	}
	return record
}
