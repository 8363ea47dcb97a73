package demo

import (
	"context"
	"net/http"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const (
	// firstModern is the first revision without sessions. Revisions are dates, so
	// they compare as text.
	firstModern = "2026-07-28"

	idleSession = 30 * time.Minute
	listTTL     = time.Minute
)

// Handler makes the demo server. It answers at every path.
func Handler() http.Handler {
	server := mcp.NewServer(
		&mcp.Implementation{Name: "sallyport-demo", Title: "Sallyport demo", Version: "1.0.0"},
		&mcp.ServerOptions{
			Instructions: "A demo server behind the Sallyport gateway. Call received_headers to see what the gateway lets through.",
			Capabilities: &mcp.ServerCapabilities{},
			// What one caller was told is never served to another, even here.
			SetCacheable: func(_ context.Context, _ mcp.Request, c *mcp.Cacheable) {
				c.CacheScope, c.TTLMs = "private", int(listTTL.Milliseconds())
			},
		})
	addTools(server)
	addContent(server)

	same := func(*http.Request) *mcp.Server { return server }
	legacy := mcp.NewStreamableHTTPHandler(same, &mcp.StreamableHTTPOptions{SessionTimeout: idleSession})
	modern := mcp.NewStreamableHTTPHandler(same, &mcp.StreamableHTTPOptions{Stateless: true, PropagateRequestCancellation: true})
	// The SDK serves sessions or none, one per handler; the header tells which a
	// client speaks. A modern message without it is refused by the legacy handler.
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Mcp-Protocol-Version") >= firstModern {
			modern.ServeHTTP(w, r)
			return
		}
		legacy.ServeHTTP(w, r)
	})
}
