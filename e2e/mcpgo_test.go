package e2e_test

import (
	"context"
	"os/exec"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// mcpGoRows are mcp-go, which over HTTP tells servers nothing of a call that it gives up, and in the revisions with
// sessions that is no cancellation. By HTTP+SSE it takes no requests of servers.
var mcpGoRows = []row{
	{client: "mcp-go", transport: "sse", revision: "2024-11-05", lacks: []string{"elicitation", "sampling", "roots", "cancellation"}},
	{client: "mcp-go", transport: "http", revision: "2025-03-26", lacks: []string{"cancellation"}},
	{client: "mcp-go", transport: "http", revision: "2025-06-18", lacks: []string{"cancellation"}},
	{client: "mcp-go", transport: "http", revision: "2025-11-25", lacks: []string{"cancellation"}},
	{client: "mcp-go", transport: "http", revision: "2026-07-28"},
}

func runMCPGo(t *testing.T, jobs []job) []sight {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*testkit.Patience)
	defer cancel()
	return drivenBy(t, exec.CommandContext(ctx, testkit.MCPGoClient(t)), jobs)
}
