package trace

import (
	"encoding/hex"
	"math/rand/v2"
)

// Context is a place in a trace, as W3C Trace Context hands it on.
type Context struct {
	Trace   [16]byte
	Span    [8]byte
	Sampled bool
	State   string // tracestate, as it came; "" when there is none, or it is unfit to be passed on
}

// Valid reports whether c is a place at all.
func (c Context) Valid() bool { return c.Trace != [16]byte{} && c.Span != [8]byte{} }

const (
	parentLen = len("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	maxState  = 512 // what everybody has to pass on (W3C Trace Context §3.3.1.5)
)

// Parse reads a traceparent and the tracestate that came with it. It takes later
// versions for the one it knows, as far as they begin like it (§4.3); what is no
// traceparent is no context, and then its state counts for nothing.
func Parse(parent, state string) (c Context, ok bool) {
	if len(parent) < parentLen || parent[2] != '-' || parent[35] != '-' || parent[52] != '-' {
		return Context{}, false
	}
	var version, flags [1]byte
	if !lowerHex(version[:], parent[:2]) || !lowerHex(c.Trace[:], parent[3:35]) ||
		!lowerHex(c.Span[:], parent[36:52]) || !lowerHex(flags[:], parent[53:55]) || !c.Valid() {
		return Context{}, false
	}
	switch {
	case version[0] == 0xff:
		return Context{}, false
	case version[0] == 0 && len(parent) != parentLen:
		return Context{}, false
	case len(parent) > parentLen && parent[parentLen] != '-':
		return Context{}, false
	}
	c.Sampled = flags[0]&1 != 0
	if len(state) <= maxState && printable(state) {
		c.State = state
	}
	return c, true
}

// lowerHex decodes s if it is hexadecimal in lower case, as the header must be.
func lowerHex(dst []byte, s string) bool {
	for i := range len(s) {
		if c := s[i]; !('0' <= c && c <= '9' || 'a' <= c && c <= 'f') {
			return false
		}
	}
	_, err := hex.Decode(dst, []byte(s))
	return err == nil
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// Traceparent is c in the text form that is handed on.
func (c Context) Traceparent() string {
	b := make([]byte, 0, parentLen)
	b = hex.AppendEncode(append(b, "00-"...), c.Trace[:])
	b = hex.AppendEncode(append(b, '-'), c.Span[:])
	if c.Sampled {
		return string(append(b, "-01"...))
	}
	return string(append(b, "-00"...))
}

// newTrace and newSpan make ids: they have to be unique, and hide nothing.
func newTrace() (id [16]byte) {
	for id == [16]byte{} {
		putUint64(id[:8], rand.Uint64()) //nolint:gosec // see above
		putUint64(id[8:], rand.Uint64()) //nolint:gosec // see above
	}
	return id
}

func newSpan() (id [8]byte) {
	for id == [8]byte{} {
		putUint64(id[:], rand.Uint64()) //nolint:gosec // see above
	}
	return id
}
