package backend

import (
	"io"
	"net"
	"net/http"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// This file makes the answers that are made on this side of a server.

// JSONResponse is an answer that is one message.
func JSONResponse(status int, raw []byte) *Response { return JSONParts(status, raw) }

// JSONParts is an answer that is one message, in parts that are not copied.
func JSONParts(status int, parts ...[]byte) *Response {
	size := 0
	for _, p := range parts {
		size += len(p)
	}
	body := net.Buffers(parts)
	return &Response{
		Status:        status,
		Header:        http.Header{"Content-Type": {"application/json"}},
		Body:          io.NopCloser(&body),
		ContentLength: int64(size),
	}
}

// Refusal answers a request that the gateway itself finds wrong.
func Refusal(id []byte, e *mcp.Error) *Response { return JSONResponse(e.Status, e.Append(nil, id)) }

// StreamResponse is an answer that is an event stream.
func StreamResponse(body io.ReadCloser) *Response {
	return &Response{
		Status:        http.StatusOK,
		Header:        http.Header{"Content-Type": {"text/event-stream"}, "Cache-Control": {"no-store"}},
		Body:          body,
		ContentLength: -1,
		Stream:        true,
	}
}

// StatusResponse is an answer without a body.
func StatusResponse(status int) *Response {
	return &Response{Status: status, Header: http.Header{}, Body: http.NoBody}
}
