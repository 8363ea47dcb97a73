package gateway_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// configured are manifests with more in config of their virtual server.
func configured(docs, more string) string {
	return strings.Replace(docs, "  config:\n", "  config:\n    "+more+"\n", 1)
}

// listed are the names of the tools that a client lists.
func (c *caller) listed(t *testing.T) (names []string) {
	t.Helper()
	list, err := c.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range list.Tools {
		names = append(names, tool.Name)
	}
	return names
}

// REPORT 30: without output the last step's result is the result, as the tool returned it.
// REPORT 31: steps may call what the virtual server hides from clients, by the member's own name and by the one that clients
// would see.
func TestCompositeCallsWhatIsHidden(t *testing.T) {
	t.Parallel()
	d := newDesk(t, testkit.Stateless)
	const tool = `{name: made, description: Of hidden tools., steps: [{id: a, tool: desk.list}, {id: b, tool: %s, dependsOn: [a], arguments: {a: "{{(index .steps.a.output.items 0).n}}", b: 6}}]}`
	for name, tt := range map[string]struct {
		aggregation, tool string
		listed            []string
	}{
		"filter":            {"{tools: [{workload: desk, filter: [say]}]}", "desk.add", []string{"made", "desk_say"}},
		"filter, public":    {"{tools: [{workload: desk, filter: [say]}]}", "desk_add", []string{"made", "desk_say"}},
		"excludeAll":        {"{tools: [{workload: desk, excludeAll: true}]}", "desk.add", []string{"made"}},
		"excludeAllTools":   {"{excludeAllTools: true}", "desk_add", []string{"made"}},
		"manual":            {"{conflictResolution: manual, excludeAllTools: true}", "add", []string{"made"}},
		"an override":       {"{tools: [{workload: desk, filter: [add, say], overrides: {add: {name: plus}}}]}", "desk_plus", []string{"made", "desk_plus", "desk_say"}},
		"an override, real": {"{tools: [{workload: desk, filter: [add, say], overrides: {add: {name: plus}}}]}", "desk.add", []string{"made", "desk_plus", "desk_say"}},
		"hidden, renamed":   {"{tools: [{workload: desk, filter: [say], overrides: {add: {name: plus}}}]}", "desk_plus", []string{"made", "desk_say"}},
	} {
		r := newRig(t, configured(composites(d, "", fmt.Sprintf(tool, tt.tool)), "aggregation: "+tt.aggregation), nil)
		for _, era := range []string{"2025-11-25", "2026-07-28"} {
			c := connect(t, r, era, nil)
			if diff := cmp.Diff(tt.listed, c.listed(t)); diff != "" {
				t.Errorf("%s, %s: listed (-want +got):\n%s", name, era, diff)
			}
			if text, structured := c.ask(t, "made", nil); !cmp.Equal(structured, any(map[string]any{"sum": 7.0, "of": []any{1.0, 6.0}})) {
				t.Errorf("%s, %s: %s, %v", name, era, text, structured)
			}
		}
	}
}

// REPORT 32: a search finds composite tools among others, and neither it nor a call by its tools leads to what policy forbids.
func TestCompositeSearched(t *testing.T) {
	t.Parallel()
	d := newDesk(t, testkit.Stateless)
	r := newRig(t, configured(composites(d, `'permit(principal, action, resource);', 'forbid(principal, action, resource == Tool::"secret");', 'forbid(principal, action, resource == Tool::"say");'`,
		`{name: pledge, description: Signs a pledge., parameters: {type: object, properties: {x: {type: integer}}}, steps: [{id: a, tool: desk.add, arguments: {a: "{{.params.x}}", b: 1}}]}`,
		`{name: secret, description: Signs a secret pledge., steps: [{id: a, tool: desk.add, arguments: {a: 1, b: 1}}]}`,
		`{name: loud, description: Signs a loud pledge., steps: [{id: a, tool: desk.say, arguments: {text: x}}]}`), "optimizer: {}"), nil)
	for _, era := range eras {
		c := connect(t, r, era, nil)
		if names := c.listed(t); !slices.Equal(names, []string{"find_tool", "call_tool"}) {
			t.Errorf("%s: listed %v", era, names)
		}
		found, err := c.CallTool(t.Context(), &mcp.CallToolParams{Name: "find_tool", Arguments: map[string]any{"tool_description": "sign a pledge"}})
		if err != nil {
			t.Fatal(err)
		}
		text := found.Content[0].(*mcp.TextContent).Text
		if !strings.Contains(text, `"pledge"`) || !strings.Contains(text, `"loud"`) || strings.Contains(text, "secret") || strings.Contains(text, "desk_say") {
			t.Errorf("%s: found %s", era, text)
		}
		d.took()
		call := func(name string) string {
			text, _ := c.ask(t, "call_tool", map[string]any{"tool_name": name, "parameters": map[string]any{"x": 4}})
			return text
		}
		if text := call("pledge"); !strings.Contains(text, `"sum":5`) {
			t.Errorf("%s: pledge: %s", era, text)
		}
		if calls := d.took(); !slices.Equal(calls, []string{`add {"a":4,"b":1}`}) {
			t.Errorf("%s: the server was called %v", era, calls)
		}
		for name, want := range map[string]string{"secret": "not allowed by policy", "loud": "step a: desk.say: not allowed by policy", "desk_say": "not allowed by policy"} {
			if text := call(name); !strings.Contains(text, want) {
				t.Errorf("%s: %s: %s", era, name, text)
			}
		}
		if calls := d.took(); len(calls) > 0 {
			t.Errorf("%s: the server was called %v", era, calls)
		}
	}
}
