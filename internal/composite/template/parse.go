package template

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Template is a text with expressions. It is immutable.
type Template struct {
	nodes []node
	refs  [][]string
}

// Refs are the fields that the template reads, each as its path from the root.
func (t *Template) Refs() [][]string { return t.refs }

// node is text, an expression whose value is written, or a choice.
type node struct {
	text  string
	value expr // nil for text and choices
	cond  expr // of a choice; nil for others
	then  []node
	other []node
}

// expr is an expression: a constant, a field of the root or of another expression, or a
// function's result.
type expr interface{}

type (
	constant struct{ value any }
	field    struct {
		of   expr // nil for the root
		path []string
	}
	call struct {
		name string
		args []expr
	}
)

const maxDepth = 32 // of parentheses and choices

// Parse reads a template.
func Parse(text string) (*Template, error) {
	p := &parser{template: &Template{}, rest: text}
	nodes, end, err := p.nodes(0)
	if err == nil && end != "" {
		err = fmt.Errorf("{{%s}} has no {{if}} before it", end)
	}
	if err != nil {
		return nil, err
	}
	p.template.nodes = nodes
	return p.template, nil
}

type parser struct {
	template *Template
	rest     string
	trim     bool // what is read next begins without its space

	tokens []string // of the action that is read
	action string   // its text, for errors
}

// nodes reads up to the action that ends a choice, or the end of the text.
func (p *parser) nodes(depth int) (all []node, end string, err error) {
	if depth > maxDepth {
		return nil, "", fmt.Errorf("{{if}} stands in more than %d others", maxDepth)
	}
	for {
		text, more, err := p.text()
		if err != nil {
			return nil, "", err
		}
		if text != "" {
			all = append(all, node{text: text})
		}
		if !more {
			return all, "", nil
		}
		switch word := p.peek(); word {
		case "":
		case "if":
			n, err := p.choice(depth)
			if err != nil {
				return nil, "", err
			}
			all = append(all, n)
		case "else", "end":
			return all, word, nil
		default:
			value, err := p.whole()
			if err != nil {
				return nil, "", err
			}
			all = append(all, node{value: value})
		}
	}
}

// choice reads an {{if}} to its {{end}}.
func (p *parser) choice(depth int) (n node, err error) {
	p.take() // if
	if n.cond, err = p.whole(); err != nil {
		return n, err
	}
	var end string
	if n.then, end, err = p.nodes(depth + 1); err != nil {
		return n, err
	}
	if end == "else" {
		p.take()
		if p.peek() == "if" { // its {{end}} is that of both
			other, err := p.choice(depth + 1)
			n.other = []node{other}
			return n, err
		}
		if err := p.nothingMore(); err != nil {
			return n, err
		}
		if n.other, end, err = p.nodes(depth + 1); err != nil {
			return n, err
		}
	}
	if end != "end" {
		return n, fmt.Errorf("{{if}} has no {{end}}")
	}
	p.take()
	return n, p.nothingMore()
}

// text reads what stands before the next action, and takes that one apart.
func (p *parser) text() (text string, more bool, err error) {
	text, rest, more := strings.Cut(p.rest, "{{")
	if p.trim {
		text, p.trim = strings.TrimLeft(text, space), false
	}
	if !more {
		p.rest = ""
		return text, false, nil
	}
	if marked(rest, "-", 1) {
		text, rest = strings.TrimRight(text, space), rest[1:]
	}
	if comment := strings.TrimLeft(rest, space); strings.HasPrefix(comment, "/*") {
		_, behind, ok := strings.Cut(comment, "*/")
		behind = strings.TrimLeft(behind, space)
		if after, minus := strings.CutPrefix(behind, "-"); minus {
			p.trim, behind = true, after
		}
		if p.rest, more = strings.CutPrefix(behind, "}}"); !ok || !more {
			return "", false, fmt.Errorf("a comment does not end with */}}")
		}
		p.tokens = nil
		return text, true, nil
	}
	return text, true, p.lex(rest)
}

const space = " \t\r\n"

// marked reports whether s has a trim marker: a - with space behind it.
func marked(s, mark string, at int) bool {
	return strings.HasPrefix(s, mark) && len(s) > at && strings.ContainsRune(space, rune(s[at]))
}

// lex takes an action apart, and leaves what is behind it.
func (p *parser) lex(s string) error {
	p.tokens = nil
	from := s
	for {
		trimmed := strings.TrimLeft(s, space)
		spaced := len(trimmed) < len(s) || len(s) == len(from)
		s = trimmed
		switch {
		case s == "":
			return fmt.Errorf("{{ has no }} behind it")
		case strings.HasPrefix(s, "}}"):
			p.action, p.rest = strings.Trim(from[:len(from)-len(s)], space+"-"), s[2:]
			return nil
		case spaced && strings.HasPrefix(s, "-}}"):
			p.action, p.rest, p.trim = strings.Trim(from[:len(from)-len(s)], space+"-"), s[3:], true
			return nil
		}
		token, err := next(s)
		if err != nil {
			return err
		}
		if len(p.tokens) > 0 && !spaced && strings.HasPrefix(token, ".") && p.tokens[len(p.tokens)-1] == ")" {
			token = "\x00" + token // a field of what is in the parentheses
			s = s[len(token)-1:]
		} else {
			s = s[len(token):]
		}
		p.tokens = append(p.tokens, token)
	}
}

// next is the token that s begins with.
func next(s string) (string, error) {
	switch c := s[0]; {
	case c == '(' || c == ')' || c == '|':
		return s[:1], nil
	case c == '"' || c == '`':
		quoted, err := strconv.QuotedPrefix(s)
		if err != nil {
			return "", fmt.Errorf("a text in quotes does not end, or has an escape that is none")
		}
		return quoted, nil
	case c == '.' || c == '_' || isLetter(c):
		return s[:length(s, func(c byte) bool { return c == '.' || c == '_' || isLetter(c) || isDigit(c) })], nil
	case isDigit(c) || c == '-' || c == '+':
		return s[:1+length(s[1:], func(c byte) bool { return c == '.' || c == '+' || c == '-' || isLetter(c) || isDigit(c) })], nil
	case c == '$' || strings.HasPrefix(s, ":="):
		return "", fmt.Errorf("variables are not supported; write the field itself, such as .params.name")
	}
	return "", fmt.Errorf("%q is not understood; functions stand before what they are about, as in {{eq .params.kind \"a\"}}", string([]rune(s)[0]))
}

func length(s string, in func(byte) bool) int {
	n := 0
	for n < len(s) && in(s[n]) {
		n++
	}
	return n
}

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
func isDigit(c byte) bool  { return '0' <= c && c <= '9' }

func (p *parser) peek() string {
	if len(p.tokens) == 0 {
		return ""
	}
	return p.tokens[0]
}

func (p *parser) take() (token string) {
	token, p.tokens = p.tokens[0], p.tokens[1:]
	return token
}

func (p *parser) nothingMore() error {
	if len(p.tokens) > 0 {
		return p.errorf("nothing is expected behind it")
	}
	return nil
}

func (p *parser) errorf(format string, args ...any) error {
	return fmt.Errorf("in {{%s}}: "+format, append([]any{p.action}, args...)...)
}

// whole reads all that is left of an action, as one expression.
func (p *parser) whole() (expr, error) {
	e, err := p.pipeline(0)
	if err == nil && len(p.tokens) > 0 {
		err = p.errorf("a ) has no ( before it")
	}
	return e, err
}

// pipeline reads commands, each of which is the last argument of the next one.
func (p *parser) pipeline(depth int) (e expr, err error) {
	if depth > maxDepth {
		return nil, p.errorf("parentheses are deeper than %d", maxDepth)
	}
	for piped := false; ; piped = true {
		if e, err = p.command(e, piped, depth); err != nil {
			return nil, err
		}
		if p.peek() != "|" {
			return e, nil
		}
		p.take()
	}
}

// command reads a function with its arguments, or one value.
func (p *parser) command(last expr, piped bool, depth int) (expr, error) {
	name := p.peek()
	if name != "" && (isLetter(name[0]) || name[0] == '_') && !slices.Contains(words, name) {
		p.take()
		f, known := functions[name]
		if !known {
			return nil, p.unknown(name)
		}
		c := call{name: name}
		for p.peek() != "" && p.peek() != ")" && p.peek() != "|" {
			arg, err := p.operand(depth)
			if err != nil {
				return nil, err
			}
			c.args = append(c.args, arg)
		}
		if piped {
			c.args = append(c.args, last)
		}
		if len(c.args) < f.min || f.max > 0 && len(c.args) > f.max {
			return nil, p.errorf("%s is to be used as {{%s}}", name, f.usage)
		}
		if name == "printf" {
			format, _ := c.args[0].(constant)
			if text, ok := format.value.(string); !ok || !fits(text, len(c.args)-1) {
				return nil, p.errorf("printf takes a text in quotes with one of %%s, %%v, %%d, %%q, %%t, %%f, %%.2f for each value behind it")
			}
		}
		return c, nil
	}
	e, err := p.operand(depth)
	switch {
	case err != nil:
		return nil, err
	case piped:
		return nil, p.errorf("behind a | stands a function")
	case p.peek() != "" && p.peek() != ")" && p.peek() != "|":
		return nil, p.errorf("two values stand side by side; functions stand before what they are about, as in {{eq .params.kind \"a\"}}")
	}
	return e, nil
}

// words are the constants that are written like functions.
var words = []string{"true", "false", "nil"}

// operand reads one value.
func (p *parser) operand(depth int) (e expr, err error) {
	if p.peek() == "" || p.peek() == ")" || p.peek() == "|" {
		return nil, p.errorf("a value is missing")
	}
	switch token := p.take(); {
	case token == "(":
		if e, err = p.pipeline(depth + 1); err != nil {
			return nil, err
		}
		if p.peek() != ")" {
			return nil, p.errorf("a ( has no ) behind it")
		}
		p.take()
		if at, ok := strings.CutPrefix(p.peek(), "\x00"); ok {
			p.take()
			path, err := p.path(at)
			return field{e, path}, err
		}
		return e, nil
	case token[0] == '.':
		path, err := p.path(token)
		if err != nil {
			return nil, err
		}
		p.template.refs = append(p.template.refs, path)
		return field{nil, path}, nil
	case token[0] == '"' || token[0] == '`':
		text, err := strconv.Unquote(token)
		return constant{text}, err
	case token == "true" || token == "false":
		return constant{token == "true"}, nil
	case token == "nil":
		return constant{nil}, nil
	case isLetter(token[0]) || token[0] == '_':
		if _, known := functions[token]; !known {
			return nil, p.unknown(token)
		}
		return nil, p.errorf("put %s and what it is about into parentheses", token)
	case !json.Valid([]byte(token)):
		return nil, p.errorf("%s is no number", token)
	default:
		return constant{json.Number(token)}, nil
	}
}

// path are the names in .a.b.c.
func (p *parser) path(token string) ([]string, error) {
	path := strings.Split(token[1:], ".")
	for _, name := range path {
		if name == "" || isDigit(name[0]) {
			return nil, p.errorf("%s is no field; one is written like .params.name", token)
		}
	}
	return path, nil
}

// unknown is the error of a word that is nothing here, with the remedy.
func (p *parser) unknown(word string) error {
	if remedy, ok := unsupported[word]; ok {
		return p.errorf("%s is not supported; %s", word, remedy)
	}
	return p.errorf("there is no function %s; there are %s", word, strings.Join(names, ", "))
}

// unsupported are words of text/template that are none here, with what to do instead.
var unsupported = map[string]string{
	"range":    "repeat a call with a step of type forEach, or hand on the whole list with {{json .steps.ID.output.list}}",
	"with":     "write the whole field where it is needed, or use {{if}}",
	"define":   "write out what it stands for",
	"template": "write out what it stands for",
	"block":    "write out what it stands for",
	"break":    "repeat a call with a step of type forEach",
	"continue": "repeat a call with a step of type forEach",
	"print":    "write the values one behind the other, as in {{.params.a}}{{.params.b}}",
	"println":  "write the values one behind the other, as in {{.params.a}}{{.params.b}}",
	"slice":    "use index for one element",
	"call":     "there is nothing to call but functions",
	"html":     "tools take texts as they are",
	"js":       "use json",
	"urlquery": "tools take texts as they are",
	"toJson":   "use json",
}
