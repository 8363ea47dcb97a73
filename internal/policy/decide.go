package policy

import (
	"crypto/rand"
	"encoding/base32"
	"slices"

	"github.com/cedar-policy/cedar-go"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// verdict is what the policies say. It is shared and never changed.
type verdict struct {
	allow    bool
	policies []string
	errors   []string
	reason   string // "" where policies decided
}

// asked is what a verdict depends on where no argument was looked at.
type asked struct {
	principal               *Principal
	action                  Action
	hints                   mcp.Hints
	target, server, backend string
}

// maxTargetKept is the length of the longest target whose verdict is remembered, so
// that nobody fills the memory with names.
const maxTargetKept = 512

// Decide answers a query.
func (s *Set) Decide(p *Principal, q *Query) Decision {
	v := s.verdict(s.own(p), q)
	d := Decision{Allow: v.allow, Policies: v.policies, Errors: v.errors, Reason: v.reason}
	if !v.allow {
		d.ID = newID()
		d.Allow, d.Shadow = s.shadow, s.shadow
	}
	return d
}

// own returns the principal as this set sees it.
func (s *Set) own(p *Principal) *Principal {
	if p.set != s {
		return s.Principal(p.caller)
	}
	return p
}

// newID makes the name of a denial: 50 random bits, easy to read out.
func newID() string {
	var b [7]byte
	_, _ = rand.Read(b[:]) // never fails (Go 1.24)
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b[:])[:10]
}

func (s *Set) verdict(p *Principal, q *Query) *verdict {
	key := asked{principal: p, action: q.Action, target: q.Target, server: q.Server, backend: q.Backend}
	if s.reads.hints {
		key.hints = q.Hints
	}
	if v, ok := s.verdicts.get(key); ok {
		return v
	}
	if why := ambiguous(q); why != "" {
		return &verdict{reason: why}
	}
	var buf [32]*rule
	w := s.world(p, q)
	rules := w.rules(buf[:0])
	withArguments := q.Action.HasArguments() && slices.ContainsFunc(rules, readsArguments)
	if withArguments {
		arguments := cedar.RecordMap{}
		if err := s.arguments(q.Arguments, arguments); err != nil {
			return &verdict{errors: []string{"arguments: " + err.Error()}}
		}
		w.with(arguments)
	}
	v := s.authorize(w, rules, q.Action)
	if !withArguments && len(q.Target) <= maxTargetKept {
		s.verdicts.put(key, v)
	}
	return v
}

func readsArguments(r *rule) bool { return r.reads.args }

// authorize evaluates the rules. Cedar leaves out a policy that fails; here a forbid
// that fails forbids, since what it was to keep out is not known to be outside.
func (s *Set) authorize(w *world, rules candidates, a Action) *verdict {
	decision, diagnostic := cedar.Authorize(rules, w, w.request)
	v := &verdict{allow: decision == cedar.Allow}
	var deciding []*rule
	for _, reason := range diagnostic.Reasons {
		deciding = append(deciding, s.byID[reason.PolicyID])
	}
	if decision == cedar.Deny && len(deciding) == 0 && a.Lists() {
		v.allow = true
	}
	if len(diagnostic.Errors) > 0 {
		var failed []*rule
		for _, e := range diagnostic.Errors {
			r := s.byID[e.PolicyID]
			v.errors = append(v.errors, r.name+": "+e.Message)
			if r.forbid {
				failed = append(failed, r)
			}
		}
		slices.Sort(v.errors)
		if len(failed) > 0 {
			if decision == cedar.Allow {
				deciding = nil
			}
			v.allow, deciding = false, append(deciding, failed...)
		}
	}
	slices.SortFunc(deciding, func(a, b *rule) int { return a.n - b.n })
	for _, r := range deciding {
		v.policies = append(v.policies, r.name)
	}
	return v
}
