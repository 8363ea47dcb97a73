package policy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go"
	publicast "github.com/cedar-policy/cedar-go/ast"
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
	"github.com/cedar-policy/cedar-go/x/exp/eval"

	"github.com/sallyport-dev/sallyport/internal/policy/schema"
)

// Explanation is a decision with what led to it, for the operator: it names
// policies, groups and claims, though no claim's value.
type Explanation struct {
	Decision  Decision    `json:"decision"`
	Principal string      `json:"principal"`
	In        []string    `json:"in,omitempty"` // what the principal is in
	Action    string      `json:"action"`
	Resource  string      `json:"resource"`
	Decided   []Explained `json:"decided,omitempty"` // the policies that decided
	Near      []Explained `json:"near,omitempty"`    // those that did not, though little was missing; nearest first
	// Missing are the attributes that policies near or failed looked for and did not
	// find.
	Missing []string `json:"missing,omitempty"`
	// Reason is why it is so where no policy was asked.
	Reason string `json:"reason,omitempty"`
}

// Explained is one policy of an Explanation.
type Explained struct {
	Name   string   `json:"name"`
	Effect string   `json:"effect"` // permit or forbid
	Policy int      `json:"policy"` // index in Config.Policies
	Line   int      `json:"line"`
	Why    []string `json:"why,omitempty"` // why it did not apply, or how it failed; empty where it applied
}

// maxNear is how many policies that are near an Explanation shows.
const maxNear = 10

// Explain answers a query and says why.
func (s *Set) Explain(p *Principal, q *Query) Explanation {
	p = s.own(p)
	w := s.world(p, q)
	e := Explanation{
		Decision: s.Decide(p, q), Principal: w.request.Principal.String(),
		Action: q.Action.String(), Resource: w.request.Resource.String(),
	}
	for _, uid := range p.above {
		e.In = append(e.In, uid.String())
	}
	if e.Reason = e.Decision.Reason; e.Reason != "" {
		return e
	}
	if q.Action.HasArguments() {
		arguments := cedar.RecordMap{}
		if s.arguments(q.Arguments, arguments) != nil {
			return e // the decision says so
		}
		w.with(arguments)
	}
	groups := ancestors(s.static, s.static[w.request.Action].Parents)
	var near []miss
	missing := map[string]bool{}
	permitted := q.Action.Lists() // needs no permit
	for _, r := range s.rules {
		if !inActions(r.ast.Action, w.request.Action, groups) {
			continue
		}
		m := w.whyNot(r)
		applies := len(m.why) == 0
		permitted = permitted || applies && !r.forbid
		if (applies || m.failed && r.forbid) && slices.Contains(e.Decision.Policies, r.name) {
			e.Decided = append(e.Decided, r.explained(m.why))
			w.missing(m.culprits, missing)
		} else if m.failed || !r.forbid && len(m.why) == 1 {
			near = append(near, m)
		}
	}
	slices.SortStableFunc(near, func(a, b miss) int { return cmp.Compare(a.distance, b.distance) })
	for _, m := range near {
		if len(e.Near) < maxNear && (m.failed || !permitted) {
			e.Near = append(e.Near, m.rule.explained(m.why))
			w.missing(m.culprits, missing)
		}
	}
	e.Missing = slices.Sorted(maps.Keys(missing))
	return e
}

// miss is a rule that does not apply.
type miss struct {
	rule     *rule
	why      []string
	culprits []ast.IsNode // the expressions to blame
	failed   bool         // in its evaluation
	distance int          // from applying; the scope counts for more than a condition
}

func (r *rule) explained(why []string) Explained {
	effect := "permit"
	if r.forbid {
		effect = "forbid"
	}
	return Explained{Name: r.name, Effect: effect, Policy: r.source, Line: r.line, Why: why}
}

// whyNot says which parts of a rule do not hold; none if it applies.
func (w *world) whyNot(r *rule) miss {
	m := miss{rule: r}
	env := eval.Env{
		Entities: w, Principal: w.request.Principal, Action: w.request.Action,
		Resource: w.request.Resource, Context: w.request.Context,
	}
	for _, part := range []struct {
		variable string
		scope    ast.IsScopeNode
		node     ast.Node
	}{{"principal", r.ast.Principal, ast.Principal()}, {"resource", r.ast.Resource, ast.Resource()}} {
		test, text, anything := scopeTest(part.variable, part.node, part.scope)
		if anything {
			continue
		}
		if v, err := eval.Eval(test.AsIsNode(), env); err != nil || v != cedar.True {
			m.why = append(m.why, text+" is false")
			m.distance += 2
		}
	}
	for _, c := range r.ast.Conditions {
		v, err := eval.Eval(c.Body, env)
		switch blamed := culprit(c.Body, env); {
		case err != nil:
			m.failed = m.failed || len(m.why) == 0 // else Cedar does not come to look at it
			m.why = append(m.why, fmt.Sprintf("%s fails: %v", textOf(blamed), err))
			m.culprits = append(m.culprits, blamed)
		case v == cedar.Boolean(c.Condition):
			continue
		case c.Condition == ast.ConditionUnless:
			m.why = append(m.why, "unless "+textOf(c.Body))
		default:
			m.why = append(m.why, textOf(blamed)+" is false")
			m.culprits = append(m.culprits, blamed)
		}
		m.distance++
	}
	return m
}

// scopeTest is the test that a scope makes, and its text.
func scopeTest(variable string, v ast.Node, scope ast.IsScopeNode) (test ast.Node, text string, anything bool) {
	switch n := scope.(type) {
	case ast.ScopeTypeEq:
		test = v.Equal(ast.Value(n.Entity))
	case ast.ScopeTypeIn:
		test = v.In(ast.Value(n.Entity))
	case ast.ScopeTypeIs:
		test = v.Is(n.Type)
	case ast.ScopeTypeIsIn:
		return v.IsIn(n.Type, ast.Value(n.Entity)), fmt.Sprintf("%s is %s in %s", variable, n.Type, n.Entity), false
	default:
		return ast.Node{}, "", true
	}
	return test, textOf(test.AsIsNode()), false
}

// culprit is the part of a condition that makes it false, or fail.
func culprit(n ast.IsNode, env eval.Env) ast.IsNode {
	for {
		and, ok := n.(ast.NodeTypeAnd)
		if !ok {
			return n
		}
		if v, err := eval.Eval(and.Left, env); err != nil || v != cedar.True {
			n = and.Left
		} else {
			n = and.Right
		}
	}
}

// textOf is an expression in Cedar's own words.
func textOf(n ast.IsNode) string {
	policy := cedar.NewPolicyFromAST((*publicast.Policy)(ast.Permit().When(ast.NewNode(n))))
	text := string(policy.MarshalCedar())
	_, text, _ = strings.Cut(text, "when {")
	return strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(text), "};"))
}

// missing adds what expressions look for and do not find.
func (w *world) missing(in []ast.IsNode, into map[string]bool) {
	look := func(of ast.IsNode, name types.String) {
		v, ok := of.(ast.NodeTypeVariable)
		if ok && !w.attributeOf(v.Name, name) {
			into[string(v.Name)+"."+string(name)+": "+w.whyMissing(string(name))] = true
		}
	}
	for _, n := range in {
		ast.Inspect(ast.NewNode(n), func(n ast.IsNode) bool {
			switch n := n.(type) {
			case ast.NodeTypeAccess:
				look(n.Arg, n.Value)
			case ast.NodeTypeHas:
				look(n.Arg, n.Value)
			}
			return true
		})
	}
}

func (w *world) attributeOf(variable, name types.String) bool {
	record := w.request.Context
	switch variable {
	case "principal":
		record = w.principal.entity.Attributes
	case "resource":
		record = w.resource.Attributes
	case "action":
		record = w.set.static[w.request.Action].Attributes
	}
	_, ok := record.Get(name)
	return ok
}

func (w *world) whyMissing(name string) string {
	if claim, ok := strings.CutPrefix(name, schema.ClaimPrefix); ok {
		return "the caller has no claim " + claim
	}
	if claim, ok := strings.CutPrefix(name, schema.ClaimSetPrefix); ok {
		return "the caller has no claim " + claim + " that is text or a list"
	}
	if arg, ok := strings.CutPrefix(name, schema.ArgPrefix); ok {
		if !w.query.Action.HasArguments() {
			return w.query.Action.String() + " has no arguments"
		}
		if arg, ok := strings.CutSuffix(arg, schema.PresentSuffix); ok {
			return "the call has no argument " + arg + " that is a list or an object"
		}
		return "the call has no argument " + arg + " that is text, a number or a boolean"
	}
	if schema.IsHint(types.String(name)) {
		return "its server does not say it of the tool"
	}
	return "nothing gives it one"
}

// String is the explanation as text of several lines.
func (e Explanation) String() string {
	var b strings.Builder
	verdict := "allowed"
	switch {
	case e.Decision.Shadow:
		verdict = "allowed by shadow mode, else denied"
	case !e.Decision.Allow:
		verdict = "denied"
	}
	if e.Reason != "" {
		return fmt.Sprintf("%s\n%s\n", verdict, e.Reason)
	}
	fmt.Fprintf(&b, "%s\n  principal  %s\n", verdict, e.Principal)
	for _, group := range e.In {
		fmt.Fprintf(&b, "    in       %s\n", group)
	}
	fmt.Fprintf(&b, "  action     %s\n  resource   %s\n", e.Action, e.Resource)
	switch {
	case len(e.Decided) > 0:
		b.WriteString("decided by\n")
	case e.Decision.Allow && !e.Decision.Shadow:
		b.WriteString("lists need no permit; their items are decided one by one\n")
	case len(e.Decision.Errors) == 1 && len(e.Near) == 0:
		fmt.Fprintf(&b, "%s\n", e.Decision.Errors[0])
	default:
		b.WriteString("no policy permits it\n")
	}
	for _, p := range e.Decided {
		p.write(&b)
	}
	if len(e.Near) > 0 {
		b.WriteString("near\n")
	}
	for _, p := range e.Near {
		p.write(&b)
	}
	if len(e.Missing) > 0 {
		b.WriteString("missing\n")
	}
	for _, m := range e.Missing {
		fmt.Fprintf(&b, "  %s\n", m)
	}
	return b.String()
}

func (p Explained) write(b *strings.Builder) {
	fmt.Fprintf(b, "  %s %q, policies[%d] line %d\n", p.Effect, p.Name, p.Policy, p.Line)
	for _, why := range p.Why {
		fmt.Fprintf(b, "    %s\n", why)
	}
}
