package e2e_test

import (
	"encoding/json"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// TestTypeScriptClients drives the two official TypeScript SDKs.
//
// REQ A-1, REQ B-19, REQ F-1: real clients of every revision work with a server behind the gateway, over every transport, anonymously.
func TestTypeScriptClients(t *testing.T) {
	t.Parallel()
	follow(t, []route{
		{"v1-http", testkit.Sessions, "direct http sse stdio", "2025-11-25"},
		{"v1-sse", testkit.Sessions, "direct http sse stdio", "2025-11-25"},
		{"v2-legacy", testkit.Sessions, "direct http sse stdio", "2025-11-25"},
		{"v2-sse", testkit.Sessions, "direct sse", "2025-11-25"},
		{"v2-auto", testkit.Sessions, "direct http sse", "2025-11-25"},
		{"v2-auto", testkit.Dual, "direct http stdio", "2026-07-28"},
		{"v2-pin", testkit.Stateless, "direct http stdio", "2026-07-28"},
	}, runTypeScript)
}

func runTypeScript(t *testing.T, client, url string, events *testkit.Output) sight {
	t.Helper()
	script := testkit.StartScript(t, "js/client.mjs", client, url)
	script.Stderr.WaitFor(t, "calling wait")
	events.WaitFor(t, testkit.WaitBegan)
	script.Cue(t)
	events.WaitFor(t, testkit.WaitCancelled)
	script.Cue(t)
	var got sight
	if err := json.Unmarshal([]byte(script.Wait(t)), &got); err != nil {
		t.Fatal(err)
	}
	return got
}
