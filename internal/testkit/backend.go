package testkit

import (
	"net/http"
	"net/http/httptest"
	"sync"
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
	Waits  atomic.Int32 // calls of "wait" that have begun

	closing chan struct{} // closed when the test ends: ends the calls of "wait" that nobody cancelled
	grown   atomic.Int32  // tools added by "grow"

	mu      sync.Mutex
	ended   []string      // labels of calls of "wait" that were cancelled
	changed chan struct{} // closed and replaced when there is one more
}

// StartBackend starts a backend on a free loopback port.
func StartBackend(t testing.TB, era Era) *Backend {
	t.Helper()
	return startBackend(t, era)
}

// StartBackendOf starts a backend that speaks one revision and no other.
func StartBackendOf(t testing.TB, revision string) *Backend {
	t.Helper()
	if revision >= modernRevision {
		return startBackend(t, Stateless, revision)
	}
	return startBackend(t, Sessions, revision)
}

// newBackend makes one that speaks the revisions, or all where there is none.
func newBackend(revisions []string) *Backend {
	b := &Backend{closing: make(chan struct{}), changed: make(chan struct{})}
	b.Server = b.newServer(revisions)
	return b
}

func startBackend(t testing.TB, era Era, revisions ...string) *Backend {
	t.Helper()
	b := newBackend(revisions)
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
