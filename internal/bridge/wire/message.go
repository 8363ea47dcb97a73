package wire

import (
	"bytes"
	"errors"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// Message is one JSON-RPC message, taken apart. Its parts point into what was read.
type Message struct {
	Kind   mcp.Kind
	ID     []byte // raw; nil for a notification
	Method string
	Params []byte // raw; nil when there are none
	Result []byte // raw; nil unless a response with a result
	Fault  []byte // raw; nil unless a response with an error
}

var errNoMessage = errors.New("read message: it is not one of JSON-RPC")

// Read takes a message apart.
func Read(raw []byte) (m Message, err error) {
	err = mcp.Members(raw, func(key, value []byte) bool {
		switch string(key) {
		case "id":
			m.ID = value
		case "method":
			m.Method, _ = mcp.Text(value)
		case "params":
			m.Params = value
		case "result":
			m.Result = value
		case "error":
			m.Fault = value
		}
		return true
	})
	if bytes.Equal(m.ID, null) {
		m.ID = nil
	}
	switch {
	case err != nil:
		return m, err
	case m.Result != nil || m.Fault != nil:
		m.Kind = mcp.KindResponse
	case m.Method == "":
		return m, errNoMessage
	case m.ID != nil:
		m.Kind = mcp.KindRequest
	default:
		m.Kind = mcp.KindNotification
	}
	return m, nil
}

var null = []byte("null")

// Request makes a request of raw parts; params may be nil.
func Request(id []byte, method string, params []byte) []byte {
	b := append([]byte(`{"jsonrpc":"2.0","id":`), id...)
	return withParams(b, method, params)
}

// Notification makes a notification.
func Notification(method string, params []byte) []byte {
	return withParams([]byte(`{"jsonrpc":"2.0"`), method, params)
}

func withParams(b []byte, method string, params []byte) []byte {
	b = mcp.AppendQuote(append(b, `,"method":`...), method)
	if params != nil {
		b = append(append(b, `,"params":`...), params...)
	}
	return append(b, '}')
}

// Response makes the response with a raw result.
func Response(id, result []byte) []byte {
	b := append([]byte(`{"jsonrpc":"2.0","id":`), id...)
	return append(append(append(b, `,"result":`...), result...), '}')
}

// Failure is the response with a raw error.
func Failure(id, fault []byte) []byte {
	b := append([]byte(`{"jsonrpc":"2.0","id":`), id...)
	return append(append(append(b, `,"error":`...), fault...), '}')
}

// With is an object with members set.
func With(object []byte, fields ...mcp.Field) []byte { return mcp.Merge(object, fields) }

// Field is a member to set.
func Field(name string, value []byte) mcp.Field { return mcp.Field{Name: name, Value: value} }

// IsTrue reports whether a raw value is true.
func IsTrue(value []byte) bool { return string(value) == "true" }

// Split takes an array of messages apart: a server of 2025-03-26 may send batches.
func Split(raw []byte) (messages [][]byte, err error) {
	err = mcp.Elements(raw, func(value []byte) bool {
		messages = append(messages, value)
		return true
	})
	return messages, err
}
