package e2e_test

import (
	"context"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// typeScriptRows are the two official TypeScript SDKs.
var typeScriptRows = []row{
	{client: "v1", transport: "sse", revision: "2024-11-05"},
	{client: "v1", transport: "http", revision: "2025-03-26"},
	{client: "v1", transport: "http", revision: "2025-06-18"},
	{client: "v1", transport: "http", revision: "2025-11-25"},
	{client: "v2", transport: "sse", revision: "2024-11-05"},
	{client: "v2", transport: "http", revision: "2025-03-26"},
	{client: "v2", transport: "http", revision: "2025-06-18"},
	{client: "v2", transport: "http", revision: "2025-11-25"},
	{client: "v2", transport: "http", revision: "2026-07-28"},
}

func runTypeScript(t *testing.T, jobs []job) []sight {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*testkit.Patience)
	defer cancel()
	return drivenBy(t, testkit.Node(ctx, t, testkit.PlaceScript(t, "js/client.mjs")), jobs)
}
