package schema

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
	"github.com/cedar-policy/cedar-go/x/exp/schema/resolved"
	"github.com/cedar-policy/cedar-go/x/exp/schema/validate"
)

// Finding is a reason why a policy never matches, and the word in it that is to
// blame; "" for none in particular.
type Finding struct{ Word, Message string }

// Check reports why a policy can never match, if that shows: it is looked at for
// each action that it may be about, and is fine if it is for one. What is wrong with
// the actions themselves is always reported.
func (m *Model) Check(p *ast.Policy, u *Uses) []Finding {
	about, unknown := m.actionsOf(p.Action)
	var fewest []Finding
	for _, a := range about {
		found := m.checkFor(p, u, a)
		if len(found) == 0 {
			return unknown
		}
		if fewest == nil || len(found) < len(fewest) {
			fewest = found
		}
	}
	return append(unknown, fewest...)
}

// actionsOf are the actions that a scope takes in, and what is wrong with it.
func (m *Model) actionsOf(n ast.IsActionScopeNode) (about []Action, unknown []Finding) {
	var named []cedar.EntityUID
	switch n := n.(type) {
	case ast.ScopeTypeEq:
		named = []cedar.EntityUID{n.Entity}
	case ast.ScopeTypeIn:
		named = []cedar.EntityUID{n.Entity}
	case ast.ScopeTypeInSet:
		if named = n.Entities; len(named) == 0 {
			return nil, []Finding{{"action", "the policy is about no action"}}
		}
	}
	for _, uid := range named {
		if !m.knowsAction(uid) {
			unknown = append(unknown, unknownAction(uid))
		}
	}
	for a := range ActionCount {
		if named == nil || slices.Contains(named, a.UID()) || slices.ContainsFunc(named, m.isGroup) {
			about = append(about, a)
		}
	}
	return about, unknown
}

func (m *Model) isGroup(uid cedar.EntityUID) bool { return slices.Contains(m.groups, uid) }

func (m *Model) knowsAction(uid cedar.EntityUID) bool {
	for a := range ActionCount {
		if uid == a.UID() {
			return true
		}
	}
	return m.isGroup(uid)
}

func unknownAction(uid cedar.EntityUID) Finding {
	names := make([]string, 0, ActionCount)
	for _, a := range actions {
		names = append(names, a.name)
	}
	word := string(uid.ID)
	meant := closest(word, names)
	for method, action := range map[string]Action{
		"tools/call": CallTool, "prompts/get": GetPrompt, "resources/read": ReadResource,
		"tools/list": ListTools, "prompts/list": ListPrompts, "resources/list": ListResources,
	} {
		if word == method {
			meant = action.String()
		}
	}
	message := fmt.Sprintf("there is no action %s", uid)
	if meant != "" {
		return Finding{word, message + fmt.Sprintf("; did you mean Action::%q?", meant)}
	}
	return Finding{word, message + "; actions are " + strings.Join(names, ", ")}
}

// checkFor looks at a policy for one action: at names first, then at types.
func (m *Model) checkFor(p *ast.Policy, u *Uses, a Action) (found []Finding) {
	c := checker{model: m, uses: u, action: a}
	c.scope("principal", p.Principal, Principal)
	c.scope("resource", p.Resource, a.Resource())
	for _, condition := range p.Conditions {
		if condition.Condition == ast.ConditionWhen {
			c.conjuncts(condition.Body)
		}
		c.names(condition.Body)
	}
	if len(c.found) > 0 {
		return c.found
	}
	narrow := *p
	narrow.Action = ast.ScopeTypeEq{Entity: a.UID()}
	err := validate.New(m.schema(a, u), validate.WithStrict()).Policy("", &narrow)
	if err == nil {
		return nil
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		if f, ok := translate(line, u.mixed); ok {
			found = append(found, f)
		}
	}
	return found
}

// translate turns what the validator says into a finding. It is stricter than the
// evaluation of policies in ways that do not matter here.
func translate(line string, mixed bool) (Finding, bool) {
	word := ""
	if _, rest, ok := strings.Cut(line, "`"); ok {
		word, _, _ = strings.Cut(rest, "`")
	}
	switch {
	case mixed && (strings.HasPrefix(line, "unexpected type") || strings.HasPrefix(line, "the types ")),
		strings.HasPrefix(line, "extension constructors may not be called with non-literal"),
		strings.HasPrefix(line, "empty set literals are forbidden"),
		strings.HasPrefix(line, "attribute `operation` on entity type `Action`"):
		return Finding{}, false
	case strings.HasPrefix(line, "the types "):
		line += ": they are never equal"
	}
	const most = 300
	if len(line) > most {
		line = strings.ToValidUTF8(line[:most], "") + "…"
	}
	line = strings.NewReplacer("__cedar::internal::", "", "OpenRecord{}", "Record").Replace(line)
	return Finding{word, strings.ReplaceAll(line, "`", "")}, true
}

// checker looks at the names in a policy for one action.
type checker struct {
	model  *Model
	uses   *Uses
	action Action
	found  []Finding
}

func (c *checker) say(word, format string, args ...any) {
	c.found = append(c.found, Finding{word, fmt.Sprintf(format, args...)})
}

// typeOfVariable is the type of an entity that a variable stands for, "" for the
// context.
func (c *checker) typeOfVariable(name types.String) types.EntityType {
	switch name {
	case "principal":
		return Principal
	case "action":
		return "Action"
	case "resource":
		return c.action.Resource()
	}
	return ""
}

func (c *checker) scope(variable string, n ast.IsScopeNode, is types.EntityType) {
	if typ, ok := ScopeType(n); ok && c.known(typ) && typ != is {
		c.say(string(typ), "the %s of %s is a %s, never a %s", variable, c.action, is, typ)
	}
	var in cedar.EntityUID
	switch n := n.(type) {
	case ast.ScopeTypeIn:
		in = n.Entity
	case ast.ScopeTypeIsIn:
		in = n.Entity
	default:
		return
	}
	if c.known(in.Type) && !c.model.reaches(is, in.Type) {
		c.say(string(in.Type), "the %s of %s is a %s, which is never in a %s", variable, c.action, is, in.Type)
	}
}

// known reports whether there is such a type, and says so if not.
func (c *checker) known(typ types.EntityType) bool {
	if c.model.shapes[typ] != nil {
		return true
	}
	var names []string
	for name := range c.model.shapes {
		names = append(names, string(name))
	}
	slices.Sort(names)
	if meant := closest(string(typ), names); meant != "" {
		c.say(string(typ), "there is no entity type %s; did you mean %s?", typ, meant)
	} else {
		c.say(string(typ), "there is no entity type %s; entity types are %s", typ, strings.Join(names, ", "))
	}
	return false
}

// conjuncts looks at what a condition says of principal and resource in all cases.
func (c *checker) conjuncts(n ast.IsNode) {
	variable := func(n ast.IsNode) (types.EntityType, bool) {
		v, ok := n.(ast.NodeTypeVariable)
		return c.typeOfVariable(v.Name), ok && (v.Name == "principal" || v.Name == "resource")
	}
	literal := func(n ast.IsNode) (uid cedar.EntityUID) {
		if v, ok := n.(ast.NodeValue); ok {
			uid, _ = v.Value.(cedar.EntityUID)
		}
		return uid
	}
	switch n := n.(type) {
	case ast.NodeTypeAnd:
		c.conjuncts(n.Left)
		c.conjuncts(n.Right)
	case ast.NodeTypeIs:
		if is, ok := variable(n.Left); ok && c.model.shapes[n.EntityType] != nil && n.EntityType != is {
			c.say(string(n.EntityType), "this is always a %s, never a %s", is, n.EntityType)
		}
	case ast.NodeTypeEquals:
		if is, ok := variable(n.Left); ok {
			if e := literal(n.Right); c.model.shapes[e.Type] != nil && e.Type != is {
				c.say(string(e.Type), "this is always a %s, never a %s", is, e.Type)
			}
		}
	case ast.NodeTypeIn:
		if is, ok := variable(n.Left); ok {
			if e := literal(n.Right); c.model.shapes[e.Type] != nil && !c.model.reaches(is, e.Type) {
				c.say(string(e.Type), "this is always a %s, which is never in a %s", is, e.Type)
			}
		}
	}
}

// names looks at all names in a condition.
func (c *checker) names(n ast.IsNode) {
	ast.Inspect(ast.NewNode(n), func(n ast.IsNode) bool {
		switch n := n.(type) {
		case ast.NodeTypeAccess:
			c.attribute(n.Arg, n.Value)
		case ast.NodeTypeHas:
			c.attribute(n.Arg, n.Value)
		case ast.NodeTypeIs:
			c.known(n.EntityType)
		case ast.NodeTypeIsIn:
			c.known(n.EntityType)
		case ast.NodeValue:
			if uid, ok := n.Value.(cedar.EntityUID); ok && c.known(uid.Type) && uid.Type == "Action" && !c.model.knowsAction(uid) {
				c.found = append(c.found, unknownAction(uid))
			}
		}
		return true
	})
}

func (c *checker) attribute(of ast.IsNode, name types.String) {
	v, ok := of.(ast.NodeTypeVariable)
	if !ok {
		return
	}
	typ := c.typeOfVariable(v.Name)
	if t := c.model.attribute(typ, name, c.action, c.uses); t != nil {
		if IsArgument(name) && !scalar(t) {
			c.say(string(name), "arguments that are lists or objects have no value here; %s%s tells whether there is one", name, PresentSuffix)
		}
		return
	}
	has := "a " + string(typ)
	if typ == "" {
		has = "the context of " + c.action.String()
	}
	c.say(string(name), "%s has no attribute %s; %s", has, name, c.instead(typ, string(name)))
}

func scalar(t resolved.IsType) bool {
	switch t.(type) {
	case resolved.SetType, resolved.RecordType:
		return false
	}
	return true
}

// instead says what there is instead of an attribute.
func (c *checker) instead(typ types.EntityType, name string) string {
	var there []string
	shape := c.model.shapes[typ]
	prefixes := []string(nil)
	switch {
	case typ == "":
		shape = c.model.context()
		prefixes = []string{ClaimPrefix, ClaimSetPrefix}
		if c.action.HasArguments() {
			prefixes = append(prefixes, ArgPrefix)
		}
	case typ == Principal:
		prefixes = []string{ClaimPrefix, ClaimSetPrefix}
	case typ == c.action.Resource() && c.action.HasArguments():
		prefixes = []string{ArgPrefix}
	}
	for known := range shape {
		there = append(there, string(known))
	}
	slices.Sort(there)
	if meant := closest(name, there); meant != "" {
		return "did you mean " + meant + "?"
	}
	if first, rest, ok := strings.Cut(name, "_"); ok {
		if meant := closest(first+"_", prefixes); meant != "" {
			return "did you mean " + meant + rest + "?"
		}
	}
	if slices.Contains(prefixes, ClaimPrefix) && !strings.HasPrefix(name, ArgPrefix) {
		return "a claim would be " + ClaimPrefix + name
	}
	for _, p := range prefixes {
		there = append(there, p+"NAME")
	}
	if len(there) == 0 {
		return "it has none"
	}
	return "it has " + strings.Join(there, ", ")
}
