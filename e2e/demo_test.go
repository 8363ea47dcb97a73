package e2e_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// What `demo --sign-in` says to try works: a real client signs in by discovery
// alone, and sees what the policy has for who it is.
func TestDemoSignIn(t *testing.T) {
	t.Parallel()
	g := testkit.Start(t, "demo", "--sign-in", "--listen", testkit.FreeAddress(t))
	g.Stdout.WaitFor(t, "for people who sign in:  "+g.MCP())
	for who, want := range map[string][]string{
		"alice": {"add", "ask_name", "clock", "count", "echo", "received_headers"},
		"bob":   {"add", "echo"},
	} {
		t.Run(who, func(t *testing.T) {
			t.Parallel()
			b := testkit.NewBrowser(t)
			b.Press = "allow " + who
			session := signsIn(t, b, g.MCP())
			tools, err := session.ListTools(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, tool := range tools.Tools {
				got = append(got, tool.Name)
			}
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("tools (-want +got):\n%s", diff)
			}
			result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "add", Arguments: map[string]any{"a": 2, "b": 3}})
			if err != nil || result.IsError {
				t.Errorf("add: %v %v", err, result)
			}
		})
	}
}

func TestDemoSignInIsForThisMachine(t *testing.T) {
	t.Parallel()
	for listen, want := range map[string]string{
		"0.0.0.0:8080": "for this machine alone",
		":8080":        "for this machine alone",
		"127.0.0.1:0":  "name a port",
		"nowhere":      "--listen",
	} {
		if r := testkit.Run(t, "demo", "--sign-in", "--listen", listen); r.Code != 2 || !strings.Contains(r.Stderr, want) {
			t.Errorf("--listen %s: exit code %d, %s", listen, r.Code, r.Stderr)
		}
	}
}
