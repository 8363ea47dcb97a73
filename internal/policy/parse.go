package policy

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
)

// rule is one policy, parsed.
type rule struct {
	n      int            // its place among all
	id     cedar.PolicyID // n, as text
	name   string         // its @id, else "policy N", N from 1
	source int            // index in Config.Policies
	statement
	policy *cedar.Policy
	ast    *ast.Policy
	forbid bool
	reads  reads
}

// parse reads all sources. Rules come out in the order of the text.
func parse(sources []string) (rules []*rule, problems []Problem) {
	size := 0
	for i, text := range sources {
		if size += len(text); size > maxText {
			return nil, append(problems, Problem{Policy: i, Message: fmt.Sprintf("the policies are longer than %d MiB in all", maxText>>20)})
		}
		statements := split(text)
		if len(statements) == 0 {
			problems = append(problems, Problem{Policy: i, Line: 1, Column: 1, Message: "there is no policy in it"})
		}
		for _, s := range statements {
			r, problem := parseRule(s)
			if problem != nil {
				problem.Policy = i
				problems = append(problems, *problem)
				continue
			}
			r.n, r.source = len(rules), i
			r.id = cedar.PolicyID(strconv.Itoa(r.n))
			if r.name == "" {
				r.name = fmt.Sprintf("policy %d", r.n+1)
			}
			rules = append(rules, r)
			if len(rules) > maxStatements {
				return nil, append(problems, Problem{Policy: i, Message: fmt.Sprintf("more than %d policies", maxStatements)})
			}
		}
	}
	return rules, problems
}

func parseRule(s statement) (*rule, *Problem) {
	fail := func(at place, message string) (*rule, *Problem) {
		return nil, &Problem{Line: at.line, Column: at.column, Message: message}
	}
	if why, at := s.tooMuch(); why != "" {
		return fail(at, why)
	}
	var list cedar.PolicyList
	if err := list.UnmarshalCedar([]byte(s.text)); err != nil {
		return fail(s.explainSyntax(err))
	}
	if len(list) != 1 { // this package and the parser do not agree on where policies end
		return fail(s.place, "expected one policy")
	}
	p := list[0]
	tree := (*ast.Policy)(p.AST())
	r := &rule{statement: s, policy: p, ast: tree, forbid: p.Effect() == cedar.Forbid, reads: readsOf(tree)}
	if r.reads.nested > maxDoubling {
		return fail(s.place, fmt.Sprintf("more than %d tests of the form `is … in …`, or conditionals in the name of a tag, inside one another", maxDoubling))
	}
	for _, a := range tree.Annotations {
		if a.Key == "id" {
			r.name = string(a.Value)
		}
	}
	return r, nil
}

var (
	parserPlace = regexp.MustCompile(`^(?:parse error at )?<input>:(\d+):(\d+)(?: "(?s:.*?)")?: `)
	parserWants = regexp.MustCompile(`^(?s:exact got (.*) want (.*))$`)
)

// explainSyntax says in words what the parser did not like, and where. The parser
// gives the place after the token that it stumbled on.
func (s *statement) explainSyntax(err error) (place, string) {
	text := strings.TrimPrefix(err.Error(), "parser error: ")
	if number, ok := errors.AsType[*strconv.NumError](err); ok {
		return s.find(number.Num), number.Num + " is out of range"
	}
	m := parserPlace.FindStringSubmatch(text)
	if m == nil {
		return s.place, text
	}
	what := text[len(m[0]):]
	line, _ := strconv.Atoi(m[1])
	column, _ := strconv.Atoi(m[2])
	at := s.at(line, column)
	i := s.tokenAt(at)
	if want := parserWants.FindStringSubmatch(what); want != nil {
		if want[1] == "" {
			return at, fmt.Sprintf("expected %s, but the policy ends", want[2])
		}
		if i > 0 && s.tokens[i-1].text == want[1] {
			i--
		}
		return s.placeOf(i, at), fmt.Sprintf("expected %s, found %s", want[2], want[1])
	}
	if strings.HasPrefix(text, "parse error") && !strings.HasPrefix(what, "got ") && i > 0 {
		i--
	}
	if rest, ok := strings.CutPrefix(what, "unexpected effect: "); ok {
		return s.placeOf(i, at), "expected permit or forbid, found " + rest
	}
	if i < len(s.tokens) && strings.HasPrefix(text, "parse error") {
		what += ", found " + s.tokens[i].text
	}
	return s.placeOf(i, at), what
}

// at turns a place in the statement into one in the source.
func (s *statement) at(line, column int) place {
	if line == 1 {
		column += s.column - 1
	}
	return place{s.line + line - 1, column}
}

// tokenAt is the index of the token at a place, len(tokens) if there is none.
func (s *statement) tokenAt(at place) int {
	for i, t := range s.tokens {
		if t.place == at {
			return i
		}
	}
	return len(s.tokens)
}

func (s *statement) placeOf(i int, otherwise place) place {
	if i < len(s.tokens) {
		return s.tokens[i].place
	}
	return otherwise
}
