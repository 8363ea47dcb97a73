package mcp

import "bytes"

// Tracker follows an event stream that passes by untouched, so that its relay
// knows where events end and whether the answer has been. It keeps no more than
// the first 512 bytes of an event. The zero Tracker is at the beginning of a
// stream. It is not safe for concurrent use.
type Tracker struct {
	lex lexer

	data    [peekSize]byte // the beginning of the event's data
	dataLen int
	hasData bool
	name    [len("endpoint") + 1]byte // enough to tell "message" and "endpoint" from all others
	nameLen int
	id      idState

	first     string // the name of the first event; "" before it
	seenID    bool
	seenRetry bool
	answered  bool
}

// idState is what the event in progress says about the stream's last event id.
type idState struct {
	set, empty         bool // by the last complete id field
	curEmpty, curOfNUL bool // the id field in progress
}

const peekSize = 512

// Write takes the next bytes of the stream. It never fails.
func (t *Tracker) Write(p []byte) (int, error) {
	t.lex.feed(p)
	for {
		tok, value := t.lex.next()
		switch tok {
		case tokenMore:
			t.lex.feed(nil) // p is the writer's again
			return len(p), nil
		case tokenBlank:
			t.dispatch()
		default:
			t.take(tok, value)
		}
	}
}

// AtBoundary reports whether the stream is between two events, where a comment or
// an event of one's own can be put in. (Before the first byte, only a byte order
// mark would be out of place after that.)
func (t *Tracker) AtBoundary() bool { return t.lex.boundary() }

// SeenID reports whether a client of this stream has an event id to resume with.
func (t *Tracker) SeenID() bool { return t.seenID }

// SeenRetry reports whether the stream said when to come back: it may then end, in
// order, before it is done (MCP 2025-11-25 transports, "polling").
func (t *Tracker) SeenRetry() bool { return t.seenRetry }

// FirstEvent is the name of the first event of the stream, "" before it is complete: of
// a long name, the beginning.
func (t *Tracker) FirstEvent() string { return t.first }

// Answered reports whether a complete event was a JSON-RPC response.
func (t *Tracker) Answered() bool { return t.answered }

// EventBytes is the size of the event in progress, in bytes.
func (t *Tracker) EventBytes() int { return t.lex.size }

func (t *Tracker) take(tok token, value []byte) {
	switch t.lex.cur {
	case fieldData:
		if tok == tokenField && t.hasData {
			t.dataLen += copy(t.data[t.dataLen:], "\n")
		}
		t.hasData = true
		t.dataLen += copy(t.data[t.dataLen:], value)
	case fieldEvent:
		if tok == tokenField {
			t.nameLen = 0
		}
		t.nameLen += copy(t.name[t.nameLen:], value)
	case fieldRetry:
		t.seenRetry = true
	case fieldID:
		switch tok {
		case tokenField:
			t.id.curEmpty, t.id.curOfNUL = true, false
		case tokenValue:
			t.id.curEmpty = false
			t.id.curOfNUL = t.id.curOfNUL || bytes.IndexByte(value, 0) >= 0
		case tokenEnd:
			if !t.id.curOfNUL {
				t.id.set, t.id.empty = true, t.id.curEmpty
			}
		}
	}
}

// dispatch ends an event.
func (t *Tracker) dispatch() {
	if t.id.set {
		t.seenID = !t.id.empty
	}
	name := t.name[:t.nameLen]
	ofMessage := t.nameLen == 0 || string(name) == "message"
	switch {
	case !t.hasData || t.first != "":
	case ofMessage:
		t.first = "message"
	default:
		t.first = string(name)
	}
	if t.hasData && !t.answered && ofMessage {
		t.answered = PeekResponse(t.data[:t.dataLen])
	}
	t.dataLen, t.hasData, t.nameLen, t.id = 0, false, 0, idState{}
}
