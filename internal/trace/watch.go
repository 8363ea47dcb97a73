package trace

import (
	"bytes"
	"io"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// Answer is what a backend's own answer says of failure.
type Answer struct {
	Code      string // of a JSON-RPC error
	ToolError bool   // a result with isError
}

// Watch keeps the beginning of an answer that passes by. Errors are short;
// of an answer that is not, nothing is claimed.
type Watch struct {
	io.ReadCloser
	stream bool
	head   []byte
}

// NewWatch begins with a body; stream says that it is an event stream.
func NewWatch(body io.ReadCloser, stream bool) *Watch {
	return &Watch{ReadCloser: body, stream: stream}
}

const watchedBytes = 8 << 10

func (w *Watch) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	if room := watchedBytes - len(w.head); room > 0 && n > 0 {
		w.head = append(w.head, p[:min(n, room)]...)
	}
	return n, err
}

// Answer is what has been seen.
func (w *Watch) Answer() Answer {
	if !w.stream {
		return readAnswer(w.head)
	}
	events := mcp.NewEventReader(bytes.NewReader(w.head), watchedBytes)
	for {
		ev, err := events.Next()
		if err != nil {
			return Answer{}
		}
		if a := readAnswer(ev.Data); a != (Answer{}) {
			return a
		}
	}
}

// readAnswer looks for a failure in one message.
func readAnswer(msg []byte) (a Answer) {
	_ = mcp.Members(msg, func(key, value []byte) bool { // what cannot be read says nothing
		switch string(key) {
		case "error":
			code, _ := mcp.Member(value, "code")
			a.Code = string(code[:min(len(code), 20)])
		case "result":
			flag, _ := mcp.Member(value, "isError")
			a.ToolError = string(flag) == "true"
		}
		return true
	})
	return a
}
