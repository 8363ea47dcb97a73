package testkit

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Era is which clients a [Backend] speaks with.
type Era int

const (
	// Sessions serves the revisions up to 2025-11-25, with session ids and streams of the server.
	Sessions Era = iota
	// Stateless serves 2026-07-28.
	Stateless
	// Dual serves both at one URL.
	Dual
)

// modernRevision is the first revision without sessions.
const modernRevision = "2026-07-28"

// Backend is an MCP server of the official Go SDK in the test's own process,
// so that the test sees what arrives at the server's end. Its tools, prompts
// and resources are those of everything.go.
type Backend struct {
	URL    string // of Streamable HTTP
	SSE    string // of HTTP+SSE 2024-11-05
	Server *mcp.Server

	// Events says what happened at the server's end, a line each: [WaitBegan], [WaitCancelled].
	Events *Output

	events  io.Writer
	closing chan struct{} // closed when the test ends: ends the calls of "wait" that nobody cancelled
	grown   atomic.Int32  // tools added by "grow"
}

// What a [Backend] says of calls of its tool "wait".
const (
	WaitBegan     = "testkit: wait began"
	WaitCancelled = "testkit: wait was cancelled"
)

// StartBackend starts a backend on a free loopback port.
func StartBackend(t testing.TB, era Era) *Backend {
	t.Helper()
	b := &Backend{Events: &Output{}, closing: make(chan struct{})}
	b.events = b.Events
	b.Server = b.newServer()
	server := func(*http.Request) *mcp.Server { return b.Server }

	sessions := mcp.NewStreamableHTTPHandler(server, nil)
	stateless := mcp.NewStreamableHTTPHandler(server, &mcp.StreamableHTTPOptions{Stateless: true, PropagateRequestCancellation: true})
	mux := http.NewServeMux()
	mux.Handle("/sse", mcp.NewSSEHandler(server, nil))
	mux.HandleFunc("/mcp", func(w http.ResponseWriter, r *http.Request) {
		if era == Stateless || era == Dual && r.Header.Get("Mcp-Protocol-Version") >= modernRevision {
			stateless.ServeHTTP(w, r)
			return
		}
		sessions.ServeHTTP(w, r)
	})
	h := httptest.NewServer(mux)
	t.Cleanup(func() {
		close(b.closing)
		for session := range b.Server.Sessions() {
			_ = session.Close() // those that their client left open
		}
		h.CloseClientConnections()
		h.Close()
	})
	b.URL, b.SSE = h.URL+"/mcp", h.URL+"/sse"
	return b
}
