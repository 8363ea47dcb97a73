package mcp

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
)

// Field is one member of a JSON object: its name, and its value as raw JSON.
type Field struct {
	Name  string
	Value []byte
}

// Merge returns the JSON object raw with the members set: replaced where they
// stand, else appended in their order. Everything else stays byte for byte. What
// is no object, null or nothing at all, is replaced by one that has the members.
func Merge(raw []byte, members []Field) []byte {
	spans, first, end := memberSpans(raw, members)
	if spans == nil { // it is no object
		raw, spans, first, end = []byte("{}"), make([]Span, len(members)), 1, 1
	}
	empty := len(bytes.Trim(raw[first:end], " \t\r\n")) == 0
	var edits []Edit
	var added []byte
	for i, m := range members {
		if spans[i].Present() {
			edits = append(edits, Edit{Span: spans[i], New: m.Value})
			continue
		}
		if !empty || len(added) > 0 {
			added = append(added, ',')
		}
		added = append(append(AppendQuote(added, m.Name), ':'), m.Value...)
	}
	return Splice(raw, append(edits, Edit{Span: Span{end, end}, New: added})...)
}

// memberSpans finds the values of members, and the offsets behind the object's
// opening brace and of its closing one. The spans are nil for what is no object.
func memberSpans(raw []byte, members []Field) (spans []Span, first, end int) {
	dec := jsontext.NewDecoder(bytes.NewReader(raw))
	if tok, err := dec.ReadToken(); err != nil || tok.Kind() != '{' {
		return nil, 0, 0
	}
	first = int(dec.InputOffset())
	spans = make([]Span, len(members))
	for dec.PeekKind() == '"' {
		tok, err := dec.ReadToken()
		if err != nil {
			return nil, 0, 0
		}
		name := tok.String()
		value, err := dec.ReadValue()
		if err != nil {
			return nil, 0, 0
		}
		at := int(dec.InputOffset())
		for i, m := range members {
			if m.Name == name {
				spans[i] = Span{at - len(value), at}
			}
		}
	}
	if _, err := dec.ReadToken(); err != nil {
		return nil, 0, 0
	}
	end = int(dec.InputOffset()) - 1
	if len(bytes.Trim(raw[end+1:], " \t\r\n")) > 0 {
		return nil, 0, 0
	}
	return spans, first, end
}

// Quote returns s as a JSON string, with what is no UTF-8 replaced.
func Quote(s string) []byte { return AppendQuote(nil, s) }

// Canonical is a value as every JSON writer could have it: members in order, no spaces,
// one way to escape (RFC 8785). Integers stay as they are: two large ones must not
// become one.
func Canonical(value []byte) ([]byte, error) {
	v := jsontext.Value(bytes.Clone(value))
	if err := v.Canonicalize(jsontext.CanonicalizeRawInts(false)); err != nil {
		return nil, err
	}
	return v, nil
}

// QuoteAll is the JSON array of strings.
func QuoteAll(list []string) []byte {
	raw := []byte{'['}
	for i, s := range list {
		if i > 0 {
			raw = append(raw, ',')
		}
		raw = AppendQuote(raw, s)
	}
	return append(raw, ']')
}
