package policy

import (
	"fmt"

	"github.com/cedar-policy/cedar-go"
)

// Mention is the name of something that a policy speaks of.
type Mention struct {
	Name string
	at   Problem
}

// Problem is what there is to say of it, at its place.
func (m *Mention) Problem(format string, args ...any) Problem {
	p := m.at
	p.Message = fmt.Sprintf(format, args...)
	return p
}

// Tools are those that the policies name, as often as they do.
func (s *Set) Tools() (all []Mention) {
	for _, r := range s.rules {
		r.entities(r.ast.Resource, func(uid cedar.EntityUID) {
			if uid.Type != CallTool.Resource() {
				return
			}
			at := r.find(string(uid.ID))
			all = append(all, Mention{string(uid.ID), Problem{Policy: r.source, Line: at.line, Column: at.column, Warning: true}})
		})
	}
	return all
}

// PermitsNothing reports whether nobody may do anything, since no policy permits.
func (s *Set) PermitsNothing() bool {
	for _, r := range s.rules {
		if !r.forbid {
			return false
		}
	}
	return true
}
