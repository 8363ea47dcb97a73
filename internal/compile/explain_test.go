package compile_test

import (
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/compile"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// REQ B-21: the decision, the policies that made it, and what was missing.
func TestExplain(t *testing.T) {
	t.Parallel()
	set := load(t, proxy("docs", "http://127.0.0.1:1/mcp", "toolConfigRef: {name: view}",
		policies("enforce",
			`@id("searchers") permit(principal in THVGroup::"staff", action == Action::"call_tool", resource == Tool::"search");`,
			`@id("readers") permit(principal, action == Action::"call_tool", resource) when { resource.readOnlyHint };`))+object("MCPToolConfig", "view", "toolsFilter: [search, fetch]", "toolsOverride: {search: {name: find}}"),
		proxy("open", "http://127.0.0.1:1/mcp"))
	staff := token.Claims{"sub": "alice", "groups": []any{"staff"}}
	tests := []struct {
		name string
		q    compile.Question
		want []string // in the explanation, or in the error
	}{
		{
			"allowed, by the name that clients know",
			compile.Question{Server: "docs", Claims: staff, Method: "tools/call", Name: "find"},
			[]string{"allowed", `Tool::"search"`, `permit "searchers"`},
		},
		{
			"denied",
			compile.Question{Server: "docs", Claims: token.Claims{"sub": "bob"}, Method: "tools/call", Name: "find"},
			[]string{"denied", `Client::"bob"`, "no policy permits it", "resource.readOnlyHint"},
		},
		{"anonymous", compile.Question{Server: "docs", Method: "tools/call", Name: "find"}, []string{"denied", `Client::"anonymous"`}},
		{"hidden tool", compile.Question{Server: "docs", Method: "tools/call", Name: "search"}, []string{"MCPToolConfig hides or renames it"}},
		{"needs no policy", compile.Question{Server: "docs", Method: "ping"}, []string{"allowed\nping needs no policy"}},
		{"never allowed", compile.Question{Server: "docs", Method: "vendor/x"}, []string{"denied"}},
		{"no policies", compile.Question{Server: "open", Method: "tools/call"}, []string{"has no policies"}},
		{"no such server", compile.Question{Server: "dosc", Method: "tools/call"}, []string{`there is no server "dosc"; there are: docs, open`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e, err := compile.Explain(set, tt.q)
			got := e.String()
			if err != nil {
				got = err.Error()
			}
			for _, want := range tt.want {
				if !strings.Contains(got, want) {
					t.Errorf("got %s\nwant %q in it", got, want)
				}
			}
		})
	}
}
