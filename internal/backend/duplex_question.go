package backend

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// A server that was started again counts its requests from the beginning. A person
// who has taken their time over a question of the one before would then answer
// another question than they were asked: "yes" to the wrong one. So the ids of a
// server's requests say which start they are of, from the second on.

// question makes of a message to the client what it has to be after a restart;
// locked.
func (s *session) question(m message) []byte {
	if s.lives <= 1 {
		return m.raw
	}
	at := mcp.Span{}
	switch {
	case m.kind == mcp.KindRequest:
		at = m.id
	case m.method == "notifications/cancelled":
		at = member(m.raw, m.params, "requestId")
	}
	if !at.Present() {
		return m.raw
	}
	id, _ := json.Marshal(s.questionPrefix() + string(m.bytes(at))) // a string: cannot fail
	return mcp.Splice(m.raw, mcp.Edit{Span: at, New: id})
}

// answerTo makes of a client's answer what the server waits for; false when that
// server is gone.
func (s *session) answerTo(e *mcp.Envelope) ([]byte, bool) {
	s.mu.Lock()
	lives, prefix := s.lives, s.questionPrefix()
	s.mu.Unlock()
	if lives <= 1 {
		return e.Raw, true
	}
	text, _ := unquote(e.ID)
	text, ok := strings.CutPrefix(text, prefix)
	id := []byte(text)
	// The client wrote it: if it were more than an id, it could make another message
	// of the answer, one that nobody has looked at.
	if !ok || !json.Valid(id) || idKey(id) == "" {
		return nil, false
	}
	return mcp.Splice(e.Raw, mcp.Edit{Span: member(e.Raw, whole(e.Raw), "id"), New: id}), true
}

// questionPrefix marks the ids of the present life; locked.
func (s *session) questionPrefix() string { return "start " + strconv.Itoa(s.lives) + ": " }
