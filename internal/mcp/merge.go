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
