package manifest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Position is a place in a file. Line and Column count from 1; zero means
// unknown. A Position without File belongs to an object that came from no file.
type Position struct {
	File         string
	Line, Column int
}

// String returns file:line:column as far as they are known.
func (p Position) String() string {
	switch {
	case p.Line == 0:
		return p.File
	case p.Column == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	default:
		return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
	}
}

// Problem is one thing that is wrong with a manifest, for a person to read.
type Problem struct {
	Position
	Object  string // "MCPRemoteProxy/docs"; empty where no object could be read
	Field   string // "spec.remoteUrl"; empty where it is about the whole object
	Message string // what is wrong, and what to do; never holds a secret
	Missing string // the kind of what a reference names, where that is not there, and may come
}

// String returns "file:line:column: Kind/name: field: message".
func (p Problem) String() string {
	parts := make([]string, 0, 4)
	for _, part := range []string{p.Position.String(), p.Object, p.Field, p.Message} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Map(printable, strings.Join(parts, ": "))
}

// printable keeps a manifest's names from breaking the line or the terminal
// that they are printed on.
func printable(r rune) rune {
	if unicode.IsControl(r) {
		return utf8.RuneError
	}
	return r
}

// Problems are all the problems found, to be listed together.
type Problems []Problem

// Error returns one line per problem.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Err returns ps as an error, or nil when there is none: a nil Problems in an
// error variable would not compare equal to nil.
func (ps Problems) Err() error {
	if len(ps) == 0 {
		return nil
	}
	return ps
}

// Sort orders by file, line and column, keeping the order of problems at the
// same place, and drops those that say what another has said.
func (ps Problems) Sort() Problems {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(
			cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Object, b.Object), cmp.Compare(a.Field, b.Field),
		)
	})
	said := make(map[Problem]bool, len(ps))
	return slices.DeleteFunc(ps, func(p Problem) bool {
		again := said[p]
		said[p] = true
		return again
	})
}
