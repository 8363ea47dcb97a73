package policy

import (
	"fmt"
	"unicode/utf8"
)

// What one statement may be. The parser and the evaluator of policies recurse as
// deep as the text nests, so the text is measured first.
const (
	maxText       = 4 << 20  // bytes of all policies of a set
	maxStatements = 10_000   // of a set
	maxStatement  = 16 << 10 // bytes of one statement
	maxNesting    = 64       // brackets open at once
	maxPath       = 32       // steps of an attribute path, a.b.c
)

// place is where something stands in a source. Lines and columns count from 1,
// columns in characters.
type place struct{ line, column int }

// token is a word, a string, a number or an operator's character of Cedar text.
type token struct {
	text string
	kind tokenKind
	place
}

type tokenKind uint8

const (
	tokenOther tokenKind = iota
	tokenWord
	tokenString
)

// statement is the text of one policy, with its semicolon.
type statement struct {
	text   string
	tokens []token // their places are in the whole source
	place          // of the first token
}

// split cuts a source into its statements. It knows just enough of Cedar's tokens
// for that, and for finding a word again: what is wrong inside is for the parser.
func split(text string) []statement {
	var all []statement
	var tokens []token
	start := -1
	lexer := lexer{text: text, place: place{1, 1}}
	for {
		at := lexer.skip()
		t, ok := lexer.next()
		if !ok {
			break
		}
		if start < 0 {
			start = at
		}
		tokens = append(tokens, t)
		if t.text == ";" {
			all = append(all, statement{text[start:lexer.at], tokens, tokens[0].place})
			tokens, start = nil, -1
		}
	}
	if start >= 0 {
		all = append(all, statement{text[start:], tokens, tokens[0].place})
	}
	return all
}

// tooMuch says which limit the statement exceeds, and where; "" for none.
func (s *statement) tooMuch() (string, place) {
	if len(s.text) > maxStatement {
		return fmt.Sprintf("the policy is longer than %d KiB; split it", maxStatement>>10), s.place
	}
	depth, path := 0, 0
	for i, t := range s.tokens {
		switch t.text {
		case "(", "[", "{":
			if depth++; depth > maxNesting {
				return fmt.Sprintf("more than %d brackets are open here", maxNesting), t.place
			}
		case ")", "]", "}":
			depth--
		}
		switch {
		case t.text == "." && t.kind == tokenOther:
			if path++; path > maxPath {
				return fmt.Sprintf("an attribute path of more than %d steps", maxPath), t.place
			}
		case t.kind != tokenWord || i > 0 && s.tokens[i-1].text != ".":
			path = 0
		}
	}
	return "", place{}
}

// find returns where a word or number stands in the statement, or a string that is
// the word.
func (s *statement) find(word string) place {
	for _, t := range s.tokens {
		if t.text == word || t.text == `"`+word+`"` {
			return t.place
		}
	}
	return s.place
}

type lexer struct {
	text string
	at   int
	place
}

// skip goes over white space and comments, and returns where that ends.
func (l *lexer) skip() int {
	for l.at < len(l.text) {
		switch c := l.text[l.at]; {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			l.advance()
		case c == '/' && l.at+1 < len(l.text) && l.text[l.at+1] == '/':
			for l.at < len(l.text) && l.text[l.at] != '\n' {
				l.advance()
			}
		default:
			return l.at
		}
	}
	return l.at
}

func (l *lexer) next() (token, bool) {
	if l.at >= len(l.text) {
		return token{}, false
	}
	t := token{place: l.place}
	start := l.at
	switch c := l.text[l.at]; {
	case wordByte(c):
		if c < '0' || c > '9' {
			t.kind = tokenWord
		}
		for l.at < len(l.text) && wordByte(l.text[l.at]) {
			l.advance()
		}
	case c == '"':
		t.kind = tokenString
		l.advance()
		for l.at < len(l.text) && l.text[l.at] != '"' {
			if l.text[l.at] == '\\' && l.at+1 < len(l.text) {
				l.advance()
			}
			l.advance()
		}
		l.advance()
	default:
		l.advance()
	}
	t.text = l.text[start:l.at]
	return t, true
}

func wordByte(c byte) bool {
	return c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// advance goes over one character, if there is one.
func (l *lexer) advance() {
	c, size := utf8.DecodeRuneInString(l.text[l.at:])
	l.at += size
	switch {
	case size == 0:
	case c == '\n':
		l.line++
		l.column = 1
	default:
		l.column++
	}
}
