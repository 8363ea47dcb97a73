package plan_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/compile/plan"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/manifest/strict"
)

// A member with problems of its own is spoken of once, and not again where a virtual server names it.
func TestMemberWithProblems(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "main.yaml")
	docs := object("MCPGroup", "g", "description: x") +
		object("MCPServerEntry", "docs", "groupRef: {name: g}", "remoteUrl: not a URL", "transport: streamable-http") +
		object("VirtualMCPServer", "team", "groupRef: {name: g}", "outgoingAuth: {backends: {docs: {type: discovered}}}", "config:",
			"  aggregation: {conflictResolutionConfig: {priorityOrder: [docs]}, tools: [{workload: docs, filter: [x]}]}",
			"  operational: {timeouts: {perWorkload: {docs: 1s}}}",
			"  compositeTools: [{name: a, description: x, steps: [{id: a, tool: docs.x}]}]")
	if err := os.WriteFile(path, []byte(docs), 0o600); err != nil {
		t.Fatal(err)
	}
	set, err := manifest.Load([]string{path})
	if err != nil {
		t.Fatal(err)
	}
	problems := strict.Validate(set)
	p := plan.Of(set, plan.Process{Checking: true})
	problems = append(append(problems, p.Problems...), p.Warnings...)
	if len(problems) != 1 || problems[0].Object != "MCPServerEntry/docs" || !p.Unsaid {
		t.Errorf("%v", problems)
	}
}

// What is wrong with a composite tool is said where it stands, once, and what is wrong with it beside the members where
// the virtual server names it.
func TestCompositeProblems(t *testing.T) {
	t.Parallel()
	members := object("MCPGroup", "g", "description: x") +
		object("MCPServerEntry", "docs", "groupRef: {name: g}", "remoteUrl: https://docs.example.com", "transport: streamable-http")
	def := func(name, tool, steps string) string {
		return object("VirtualMCPCompositeToolDefinition", name, "name: "+tool, "description: x", "steps: ["+steps+"]")
	}
	team := func(config ...string) string {
		return object("VirtualMCPServer", "team", append([]string{"groupRef: {name: g}", "config:"}, config...)...)
	}
	const fine = `{id: a, tool: docs.x}`
	for name, tt := range map[string]struct {
		docs string
		want []string
	}{
		"fine": {team("  compositeToolRefs: [{name: a}]", "  compositeTools: [{name: in_place, description: x, steps: ["+fine+"]}]") + def("a", "a", fine), nil},
		"in place": {
			team("  compositeTools: [{name: a, description: x, steps: [{id: a, tool: docs.x, dependsOn: [b]}]}]"),
			[]string{`main.yaml:22:90: VirtualMCPServer/team: spec.config.compositeTools[0].steps[0].dependsOn[0]: there is no step "b"; the steps are a`},
		},
		"named by nobody": {
			def("a", "a", `{id: a, tool: docs.x, condition: "{{upper .params}}"}`),
			[]string{`VirtualMCPCompositeToolDefinition/a: spec.steps[0].condition: in {{upper .params}}: there is no function upper`},
		},
		"named by two": {
			team("  compositeToolRefs: [{name: a}]") + strings.Replace(team("  compositeToolRefs: [{name: a}]"), "name: team", "name: other", 1) + def("a", "a", `{id: a, tool: docs.x, timeout: 0s}`),
			[]string{`VirtualMCPCompositeToolDefinition/a: spec.steps[0].timeout: must be more than 0`},
		},
		"no definition": {
			team("  compositeToolRefs: [{name: a}]"),
			[]string{`spec.config.compositeToolRefs[0].name: there is no VirtualMCPCompositeToolDefinition "a"; add it to the manifests`},
		},
		"one name": {
			team("  compositeToolRefs: [{name: a}, {name: b}]") + def("a", "same", fine) + def("b", "same", fine),
			[]string{`spec.config.compositeToolRefs[1].name: "same" is the name of another composite tool of this server; give each its own`},
		},
		"a member's name": {
			team("  aggregation: {tools: [{workload: docs, overrides: {search: {name: find}}}]}", "  compositeTools: [{name: docs_find, description: x, steps: ["+fine+"]}]"),
			[]string{`spec.config.compositeTools[0].name: "docs_find" is the name of a tool of docs too, by config.aggregation; give one of them another`},
		},
		"a name that nobody sees": {team("  aggregation: {tools: [{workload: docs, filter: [fetch], overrides: {search: {name: find}}}]}", "  compositeTools: [{name: docs_find, description: x, steps: ["+fine+"]}]"), nil},
		"an override without prefix": {
			team("  aggregation: {tools: [{workload: docs, overrides: {search: {name: find}}}]}", "  compositeTools: [{name: a, description: x, steps: [{id: a, tool: find}]}]"),
			[]string{`spec.config.compositeTools[0].steps[0].tool: "find" is no tool of a member of MCPGroup "g"; write MEMBER.TOOL with one of docs`},
		},
		"the search's names": {
			team("  optimizer: {}", "  compositeTools: [{name: find_tool, description: x, steps: ["+fine+"]}]", "  compositeToolRefs: [{name: a}]") + def("a", "call_tool", fine),
			[]string{
				`spec.config.compositeTools[0].name: "find_tool" is what clients call by config.optimizer; give the composite tool another name`,
				`spec.config.compositeToolRefs[0].name: "call_tool" is what clients call by config.optimizer; give the composite tool another name`,
			},
		},
		"no search": {team("  compositeTools: [{name: find_tool, description: x, steps: [" + fine + "]}]"), nil},
		"no member": {
			team("  compositeTools: [{name: a, description: x, steps: [{id: a, tool: archive.x}, {id: b, type: forEach, collection: '[]', step: {tool: archive_x}}]}]"),
			[]string{
				`spec.config.compositeTools[0].steps[0].tool: "archive.x" is no tool of a member of MCPGroup "g"; write MEMBER.TOOL with one of docs`,
				`spec.config.compositeTools[0].steps[1].step.tool: "archive_x" is no tool of a member of MCPGroup "g"; write MEMBER.TOOL with one of docs`,
			},
		},
		"names alone": {team("  aggregation: {conflictResolution: manual}", "  compositeTools: [{name: a, description: x, steps: [{id: a, tool: x}]}]"), nil},
	} {
		p := plan.Of(set(t, members, tt.docs), plan.Process{Checking: true})
		if len(p.Problems) != len(tt.want) {
			t.Errorf("%s: %v", name, p.Problems)
			continue
		}
		for i, want := range tt.want {
			if !strings.Contains(p.Problems[i].String(), want) {
				t.Errorf("%s: %s\nwant %s", name, p.Problems[i], want)
			}
		}
	}
}
