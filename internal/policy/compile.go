package policy

import (
	"fmt"
	"slices"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"

	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/policy/schema"
)

// Set is a set of policies, ready to decide. It never changes; the caches in it are
// bounded. It is safe for use by several at a time.
type Set struct {
	shadow                bool
	groupType             cedar.EntityType
	groupClaim, roleClaim string

	rules    []*rule
	byID     map[cedar.PolicyID]*rule
	index    *index
	static   cedar.EntityMap // what the operator declared, and the actions
	reads    reads           // of all rules
	decimals map[types.String]bool

	principals *cache[*identity.Caller, *Principal]
	plain      *cache[string, *Principal] // those without claims
	verdicts   *cache[asked, *verdict]
	selections *cache[shown, *Selection]
}

const (
	principalsKept = 4096
	verdictsKept   = 16384
	selectionsKept = 4096
)

// Compile makes a Set of policies. With a problem that is no warning there is none.
func Compile(cfg Config) (*Set, []Problem) {
	s := &Set{
		shadow: cfg.Shadow, groupType: schema.DefaultGroupType,
		groupClaim: cfg.GroupClaim, roleClaim: cfg.RoleClaim,
		byID:       map[cedar.PolicyID]*rule{},
		reads:      reads{names: map[types.String]bool{}},
		decimals:   map[types.String]bool{},
		principals: newCache[*identity.Caller, *Principal](principalsKept),
		plain:      newCache[string, *Principal](principalsKept),
		verdicts:   newCache[asked, *verdict](verdictsKept),
		selections: newCache[shown, *Selection](selectionsKept),
	}
	rules, problems := parse(cfg.Policies)
	if len(cfg.Policies) == 0 {
		problems = append(problems, Problem{Policy: -1, Message: "there are no policies: nobody could do anything"})
	}
	static, problem := readEntities(cfg.EntitiesJSON)
	if problem != nil {
		problems = append(problems, *problem)
	}
	if cfg.GroupEntityType != "" {
		typ, err := types.NewEntityType(cfg.GroupEntityType)
		if err != nil {
			problems = append(problems, Problem{Policy: -1, Message: fmt.Sprintf("%q is not the name of an entity type", cfg.GroupEntityType)})
		}
		s.groupType = typ
	}
	if len(problems) > 0 {
		return nil, problems
	}
	m := schema.New(static, s.groupType)
	for _, r := range rules {
		s.byID[r.id] = r
		s.reads.add(r.reads)
		uses := m.UsesOf(r.ast)
		uses.Decimals(s.decimals)
		for _, f := range m.Check(r.ast, uses) {
			at := r.find(f.Word)
			p := Problem{Policy: r.source, Line: at.line, Column: at.column, Message: f.Message, Warning: true}
			if !slices.Contains(problems, p) {
				problems = append(problems, p)
			}
		}
	}
	s.rules, s.static = rules, static
	s.index = newIndex(rules, static)
	s.addActions()
	return s, append(problems, sameNames(rules)...)
}

// addActions gives the actions the attribute that ToolHive gives them.
func (s *Set) addActions() {
	for a := range schema.ActionCount {
		uid := a.UID()
		e := s.static[uid]
		attributes := e.Attributes.Map()
		if attributes == nil {
			attributes = cedar.RecordMap{}
		}
		attributes["operation"] = cedar.String(a.String())
		e.UID, e.Attributes = uid, cedar.NewRecord(attributes)
		s.static[uid] = e
	}
}

// sameNames warns of policies that explanations and the audit cannot tell apart.
func sameNames(rules []*rule) (problems []Problem) {
	first := map[string]*rule{}
	for _, r := range rules {
		if before, ok := first[r.name]; ok {
			problems = append(problems, Problem{
				Policy: r.source, Line: r.line, Column: r.column, Warning: true,
				Message: fmt.Sprintf("another policy, in line %d, has the name %q too: denials and explanations will not tell which of them it was", before.line, r.name),
			})
			continue
		}
		first[r.name] = r
	}
	return problems
}

// ReadsHints reports whether any policy looks at a tool's annotations, so that
// calls need them too.
func (s *Set) ReadsHints() bool { return s.reads.hints }

// Shadow reports whether nothing is denied, only told.
func (s *Set) Shadow() bool { return s.shadow }

// Names are those of the policies, in their order.
func (s *Set) Names() []string {
	names := make([]string, len(s.rules))
	for i, r := range s.rules {
		names[i] = r.name
	}
	return names
}
