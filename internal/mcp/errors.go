package mcp

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// JSON-RPC 2.0 §5.1 and MCP 2026-07-28 error codes.
const (
	CodeParse              = -32700 // what came is no JSON
	CodeInvalidRequest     = -32600 // JSON, but not a message
	CodeMethodNotFound     = -32601
	CodeInvalidParams      = -32602
	CodeInternal           = -32603
	CodeHeaderMismatch     = -32020 // header and body disagree
	CodeMissingCapability  = -32021
	CodeUnsupportedVersion = -32022

	// CodeURLElicitationRequired is of 2025-11-25 alone.
	CodeURLElicitationRequired = -32042
)

// Error is a JSON-RPC error together with the HTTP status it travels with. The
// client reads all of it, so none of it is internal.
type Error struct {
	Code    int
	Message string
	Data    []byte // raw JSON; nil when there is none
	Status  int    // HTTP status
}

// Errorf makes an Error without data.
func Errorf(status, code int, format string, args ...any) *Error {
	return &Error{Status: status, Code: code, Message: fmt.Sprintf(format, args...)}
}

// UnsupportedVersion is the answer to a revision the gateway does not speak
// (MCP 2026-07-28 versioning; MCP 2025-11-25 transports): 400 and the list of
// those it does, so that the client can choose.
func UnsupportedVersion(requested string) *Error {
	return unsupported(requested, "this protocol version is not supported; see data.supported", Supported())
}

// LegacyOnly is the answer to a modern message where only the revisions with
// initialize are spoken. A client of both eras then initializes.
func LegacyOnly(requested string) *Error {
	legacy := slices.DeleteFunc(Supported(), Revision.Modern)
	return unsupported(requested, "only revisions with initialize are spoken here; see data.supported", legacy)
}

func unsupported(requested, message string, supported []Revision) *Error {
	data := []byte(`{"supported":[`)
	for i, r := range supported {
		if i > 0 {
			data = append(data, ',')
		}
		data = AppendQuote(data, string(r))
	}
	data = append(data, `],"requested":`...)
	data = append(AppendQuote(data, requested), '}')
	return &Error{Status: http.StatusBadRequest, Code: CodeUnsupportedVersion, Data: data, Message: message}
}

func (e *Error) Error() string {
	return e.Message + " (JSON-RPC error " + strconv.Itoa(e.Code) + ")"
}

// Append appends the whole JSON-RPC error response for id, which is raw JSON; a
// nil id, that of a message whose id could not be read, becomes null.
func (e *Error) Append(dst, id []byte) []byte {
	dst = append(dst, `{"jsonrpc":"2.0","id":`...)
	if id == nil {
		dst = append(dst, "null"...)
	} else {
		dst = append(dst, id...)
	}
	dst = append(dst, `,"error":{"code":`...)
	dst = strconv.AppendInt(dst, int64(e.Code), 10)
	dst = append(dst, `,"message":`...)
	dst = AppendQuote(dst, e.Message)
	if e.Data != nil {
		dst = append(dst, `,"data":`...)
		dst = append(dst, e.Data...)
	}
	return append(dst, "}}"...)
}

// AppendQuote appends s as a JSON string, with what is no UTF-8 replaced.
func AppendQuote(dst []byte, s string) []byte {
	dst, _ = jsontext.AppendQuote(dst, strings.ToValidUTF8(s, "\ufffd")) // fails on invalid UTF-8 alone
	return dst
}
