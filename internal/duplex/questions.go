package duplex

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// questions are the requests that a server has sent to its client, by what must be
// known of them: which start of the server they are of. A server that was started
// again counts its requests from the beginning. A person who has taken their time over
// a question of the one before would then answer another question than they were
// asked: "yes" to the wrong one. So ids say which start they are of, from the second
// on.
//
// It is a value that knows nothing of connections: what goes out by ask comes back by
// answer.
type questions struct{ starts int }

// ask makes of a server's message what its client gets.
func (q questions) ask(m message) []byte {
	if q.starts <= 1 {
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
	id, _ := json.Marshal(q.prefix() + string(m.bytes(at))) // a string: cannot fail
	return mcp.Splice(m.raw, mcp.Edit{Span: at, New: id})
}

// answer makes of a client's answer what the server waits for; false when that server
// is gone.
func (q questions) answer(e *mcp.Envelope) ([]byte, bool) {
	if q.starts <= 1 {
		return e.Raw, true
	}
	text, _ := unquote(e.ID)
	text, ok := strings.CutPrefix(text, q.prefix())
	id := []byte(text)
	// The client wrote it: if it were more than an id, it could make another message
	// of the answer, one that nobody has looked at.
	if !ok || !json.Valid(id) || idKey(id) == "" {
		return nil, false
	}
	return mcp.Splice(e.Raw, mcp.Edit{Span: member(e.Raw, whole(e.Raw), "id"), New: id}), true
}

func (q questions) prefix() string { return "start " + strconv.Itoa(q.starts) + ": " }
