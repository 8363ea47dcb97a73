package duplex

import (
	"bytes"
	"encoding/json"
	"iter"
	"math"
	"strconv"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// metaSubscription is the key under which a notification names the listen request
// it belongs to (MCP 2026-07-28, subscriptions).
const metaSubscription = "io.modelcontextprotocol/subscriptionId"

// message is what a server sent, read as far as finding its addressee needs.
//
// It is read by other rules than a client's message: nothing is decided on it that
// a second reader could see differently, and what a server says passes unchanged
// even where it repeats a key or is not quite UTF-8.
type message struct {
	raw    []byte
	kind   mcp.Kind
	id     mcp.Span // zero for a notification, and for an error about nobody knows what
	method string
	params mcp.Span
	result mcp.Span // zero unless a response with a result
	fault  mcp.Span // zero unless a response with an error
}

// readMessage reads one message; false means that raw is none.
func readMessage(raw []byte) (message, bool) {
	if !json.Valid(raw) {
		return message{}, false
	}
	m := message{raw: raw}
	version := false
	ok := eachMember(raw, whole(raw), func(key string, v mcp.Span) bool {
		switch key {
		case "jsonrpc":
			version = string(raw[v.Start:v.End]) == `"2.0"`
		case "id":
			if string(raw[v.Start:v.End]) != "null" {
				m.id = v
			}
		case "method":
			m.method, _ = unquote(raw[v.Start:v.End])
		case "params":
			m.params = v
		case "result":
			m.result = v
		case "error":
			m.fault = v
		}
		return true
	})
	if !ok || !version {
		return message{}, false
	}
	hasID := m.id.Present()
	if m.result.Present() && string(m.bytes(m.fault)) == "null" {
		m.fault = mcp.Span{}
	}
	switch {
	case m.method != "" && hasID:
		m.kind = mcp.KindRequest
	case m.method != "":
		m.kind = mcp.KindNotification
	case hasID && m.result.Present(), m.failed(): // an error may be about what had no id that could be read
		m.kind = mcp.KindResponse
	default:
		return message{}, false
	}
	return m, true
}

func (m *message) bytes(s mcp.Span) []byte { return m.raw[s.Start:s.End] }

// failed reports whether m is a response that brings an error.
func (m *message) failed() bool { return m.fault.Present() }

// code is the error code of a failed response.
func (m *message) code() int {
	text := m.bytes(member(m.raw, m.fault, "code"))
	n, err := strconv.Atoi(string(text))
	if err != nil {
		return 0
	}
	return n
}

// progressToken is where a progress notification names the request's token.
func (m *message) progressToken() mcp.Span {
	if m.method != "notifications/progress" {
		return mcp.Span{}
	}
	return member(m.raw, m.params, "progressToken")
}

// subscription is where a notification or a result names the listen request.
func (m *message) subscription() mcp.Span {
	in := m.params
	if m.kind == mcp.KindResponse {
		in = m.result
	}
	return member(m.raw, member(m.raw, in, "_meta"), metaSubscription)
}

// split takes an array of messages apart: a server of 2025-03-26 may send batches.
func split(raw []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		trimmed := bytes.TrimLeft(raw, " \t\r\n")
		if len(trimmed) == 0 || trimmed[0] != '[' || !json.Valid(raw) {
			yield(raw)
			return
		}
		i := skipSpace(trimmed, 1)
		for i < len(trimmed) && trimmed[i] != ']' {
			end := skipValue(trimmed, i)
			if !yield(trimmed[i:end:end]) {
				return
			}
			i = skipSpace(trimmed, end)
			if i < len(trimmed) && trimmed[i] == ',' {
				i = skipSpace(trimmed, i+1)
			}
		}
	}
}

// idKey names an id or a progress token by its value, so that 7 and 7.0, "a" and
// "\u0061" are the same. It is "" for what can be neither.
func idKey(raw []byte) string {
	if len(raw) == 0 {
		return ""
	}
	switch c := raw[0]; {
	case c == '"':
		s, ok := unquote(raw)
		if !ok {
			return ""
		}
		return "s" + s
	case c == '-' || '0' <= c && c <= '9':
		text := string(raw)
		if !bytes.ContainsAny(raw, ".eE") {
			if text == "-0" {
				text = "0"
			}
			return "n" + text
		}
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || f != math.Trunc(f) || math.Abs(f) >= 1<<63 {
			return "n" + text
		}
		return "n" + strconv.FormatInt(int64(f), 10)
	}
	return ""
}

// The functions below find their way in JSON that is known to be valid.

func whole(raw []byte) mcp.Span {
	return mcp.Span{Start: skipSpace(raw, 0), End: len(bytes.TrimRight(raw, " \t\r\n"))}
}

// member is where the value of a key of the object at in stands, or a zero span. A
// repeated key counts as most readers count it: the last one does.
func member(raw []byte, in mcp.Span, key string) mcp.Span {
	var found mcp.Span
	if in == (mcp.Span{}) {
		return found
	}
	eachMember(raw, in, func(k string, v mcp.Span) bool {
		if k == key {
			found = v
		}
		return true
	})
	return found
}

// eachMember calls f for each member of the object at in until f returns false. It
// reports whether there is an object.
func eachMember(raw []byte, in mcp.Span, f func(key string, value mcp.Span) bool) bool {
	if in.Start >= in.End || raw[in.Start] != '{' {
		return false
	}
	i := skipSpace(raw, in.Start+1)
	for i < in.End && raw[i] == '"' {
		end := skipValue(raw, i)
		key, _ := unquote(raw[i:end])
		i = skipSpace(raw, skipSpace(raw, end)+1) // over the colon
		end = skipValue(raw, i)
		if !f(key, mcp.Span{Start: i, End: end}) {
			return true
		}
		i = skipSpace(raw, end)
		if i < in.End && raw[i] == ',' {
			i = skipSpace(raw, i+1)
		}
	}
	return true
}

func skipSpace(raw []byte, i int) int {
	for i < len(raw) && (raw[i] == ' ' || raw[i] == '\t' || raw[i] == '\r' || raw[i] == '\n') {
		i++
	}
	return i
}

// skipValue returns the end of the value that begins at i.
func skipValue(raw []byte, i int) int {
	depth := 0
	for i < len(raw) {
		switch raw[i] {
		case '"':
			i = skipString(raw, i)
			if depth == 0 {
				return i
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i // the end of a number or word before it
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i
			}
		}
		i++
	}
	return i
}

func skipString(raw []byte, i int) int {
	for i++; i < len(raw); i++ {
		switch raw[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(raw)
}

// unquote decodes a JSON string; false when raw is none.
func unquote(raw []byte) (string, bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return "", false
	}
	if inner := raw[1 : len(raw)-1]; bytes.IndexByte(inner, '\\') < 0 {
		return string(inner), true
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return "", false
	}
	return s, true
}
