package mcp

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
)

// NegotiatedRevision is the revision that the answer to an initialize settles on:
// its result.protocolVersion. It is false for a message that has none.
func NegotiatedRevision(msg []byte) (Revision, bool) {
	if tooMuch, _ := scan(msg, answerLimits()); tooMuch != nil {
		return "", false
	}
	dec := jsontext.NewDecoder(bytes.NewReader(msg))
	if !enterMember(dec, "result") || !enterMember(dec, "protocolVersion") {
		return "", false
	}
	tok, err := dec.ReadToken()
	if err != nil || tok.Kind() != '"' {
		return "", false
	}
	return Revision(tok.String()), true
}

// enterMember reads an object up to the value of a member.
func enterMember(dec *jsontext.Decoder, name string) bool {
	if tok, err := dec.ReadToken(); err != nil || tok.Kind() != '{' {
		return false
	}
	for dec.PeekKind() == '"' {
		tok, err := dec.ReadToken()
		if err != nil {
			return false
		}
		if tok.String() == name {
			return true
		}
		if dec.SkipValue() != nil {
			return false
		}
	}
	return false
}
