package policy_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/policy"
)

func shownNames(set *policy.Set, a policy.Action, items []mcp.Item) string {
	q := query(a, "")
	sel := set.Filter(set.Principal(alice()), &q, items)
	var names []string
	for i, keep := range sel.Keep {
		if keep {
			names = append(names, items[i].Name)
		}
	}
	return strings.Join(names, " ")
}

func items(names ...string) (all []mcp.Item) {
	for _, n := range names {
		all = append(all, mcp.Item{Name: n})
	}
	return all
}

// REQ B-21: lists show what the caller may use.
func TestFilter(t *testing.T) {
	t.Parallel()
	abc := items("a", "b", "c")
	hints := items("a", "b", "c")
	hints[0].Hints.ReadOnly = mcp.HintTrue
	hints[1].Hints.ReadOnly = mcp.HintFalse
	const call = `permit(principal, action == Action::"call_tool", resource`
	tests := []struct {
		name   string
		cfg    policy.Config
		action policy.Action
		items  []mcp.Item
		want   string
	}{
		{"by name", policies(call + ` == Tool::"b");`), policy.ListTools, abc, "b"},
		{"all but one", policies(call+`);`, `forbid(principal, action, resource == Tool::"b");`), policy.ListTools, abc, "a c"},
		{"by annotation", policies(call + `) when { resource.readOnlyHint };`), policy.ListTools, hints, "a"},
		{"by attribute", policies(call + `) when { resource.name like "*c" };`), policy.ListTools, abc, "c"},
		{"the permit to list shows nothing", policies(`permit(principal, action == Action::"list_tools", resource);`), policy.ListTools, abc, ""},
		{"tools are no prompts", policies(call + `);`), policy.ListPrompts, abc, ""},
		{"prompts", policies(`permit(principal, action == Action::"get_prompt", resource == Prompt::"a");`), policy.ListPrompts, abc, "a"},
		{"resources", policies(`permit(principal, action == Action::"read_resource", resource) when { resource.uri like "file:///pub/*" };`), policy.ListResources, items("file:///pub/{x}", "file:///etc/x"), "file:///pub/{x}"},
		{"a set of tools", policy.Config{
			EntitiesJSON: `[{"uid":"Tool::b","parents":[{"type":"ToolSet","id":"safe"}]}]`,
			Policies:     []string{call + ` in ToolSet::"safe");`},
		}, policy.ListTools, abc, "b"},
		{"the server", policies(call + ` in MCP::"files");`), policy.ListTools, abc, "a b c"},

		// Arguments are not known: what some of them permit is shown.
		{"permitted with some argument", policies(call + ` == Tool::"b") when { context.arg_x == 1 };`), policy.ListTools, abc, "b"},
		{"permitted with some argument of a caller that it is not", policies(call + `) when { context.arg_x == 1 && principal in THVGroup::"ops" };`), policy.ListTools, abc, ""},
		{"permitted with a claim that is missing", policies(call + `) when { context.claim_team == resource.arg_team };`), policy.ListTools, abc, ""},
		{"permitted without an argument", policies(call + `) unless { context has arg_x };`), policy.ListTools, abc, "a b c"},
		{"forbidden with some argument", policies(call+`);`, `forbid(principal, action, resource == Tool::"b") when { context has arg_x && context.arg_x == 1 };`), policy.ListTools, abc, "a b c"},
		{"forbidden with some argument, not looked for", policies(call+`);`, `forbid(principal, action, resource == Tool::"b") when { context.arg_x == 1 };`), policy.ListTools, abc, "a b c"},
		{"forbidden with any argument and without", policies(call+`);`, `forbid(principal, action, resource == Tool::"b") when { principal in THVGroup::"dev" || context.arg_x == 1 };`), policy.ListTools, abc, "a c"},
		{"forbidden unless an argument is right", policies(call+`);`, `forbid(principal, action, resource == Tool::"b") unless { context has arg_x && context.arg_x == 1 };`), policy.ListTools, abc, "a b c"},
		{"forbidden by what fails whatever the argument", policies(call+`);`, `forbid(principal, action, resource == Tool::"b") when { context.claim_team == "x" && context.arg_x == 1 };`), policy.ListTools, abc, "a c"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			set := compile(t, tt.cfg)
			for range 2 {
				if got := shownNames(set, tt.action, tt.items); got != tt.want {
					t.Errorf("shows %q, want %q", got, tt.want)
				}
			}
			tt.cfg.Shadow = true
			shadow, q := compile(t, tt.cfg), query(tt.action, "")
			sel := shadow.Filter(shadow.Principal(alice()), &q, tt.items)
			want := len(tt.items) - len(strings.Fields(tt.want))
			if sel.Hidden != want || strings.Contains(fmt.Sprint(sel.Keep), "false") {
				t.Errorf("in shadow mode: %+v, want %d that would be hidden", *sel, want)
			}
		})
	}
}

func TestFilterOfNothing(t *testing.T) {
	t.Parallel()
	set, q := compile(t, policies(`permit(principal, action, resource);`)), query(policy.ListTools, "")
	if sel := set.Filter(set.Principal(alice()), &q, nil); len(sel.Keep) != 0 || sel.Hidden != 0 {
		t.Errorf("%+v", *sel)
	}
}

// Selections are remembered by all that they depend on.
func TestSelectionsAreToldApart(t *testing.T) {
	t.Parallel()
	set := compile(t, policies(`permit(principal in THVGroup::"dev", action, resource in MCP::"s") when { context.backend == "b" };`))
	abc := items("a", "b", "c")
	in, out := set.Principal(alice()), alice()
	out.Groups = nil
	right := policy.Query{Action: policy.ListTools, Server: "s", Backend: "b"}
	for range 2 {
		for name, tt := range map[string]struct {
			p      *policy.Principal
			q      policy.Query
			hidden int
		}{
			"all":     {in, right, 0},
			"caller":  {set.Principal(out), right, 3},
			"server":  {in, policy.Query{Action: policy.ListTools, Server: "b", Backend: "b"}, 3},
			"backend": {in, policy.Query{Action: policy.ListTools, Server: "s", Backend: "s"}, 3},
		} {
			if sel := set.Filter(tt.p, &tt.q, abc); sel.Hidden != tt.hidden {
				t.Errorf("%s: %d hidden, want %d", name, sel.Hidden, tt.hidden)
			}
		}
		if sel := set.Filter(in, &right, abc[:2]); len(sel.Keep) != 2 {
			t.Errorf("a part of the list has %d items", len(sel.Keep))
		}
	}
}

// TestListsAndCallsAgree holds the two ways to decide against each other, with
// random policies: enough of them that lists are decided with what is left of the
// policies once the caller is known. REQ B-21
func TestListsAndCallsAgree(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same policies in every run
	pick := func(of ...string) string { return of[random.IntN(len(of))] }
	names := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	tools := items(names...)
	for i := range tools {
		tools[i].Hints = mcp.Hints{ReadOnly: mcp.Hint(random.IntN(3)), Destructive: mcp.Hint(random.IntN(3))}
	}
	condition := func() string {
		return pick(
			`resource.readOnlyHint`, `resource has destructiveHint && resource.destructiveHint`,
			`resource.name like "`+pick("*", "a*", "*b")+`"`, `principal in THVGroup::"`+pick("dev", "ops")+`"`,
			`context.claim_name == "`+pick("Alice", "Bob")+`"`, `context.claim_missing == 1`, `context has claim_missing`,
			`resource == Tool::"`+pick(names...)+`"`, `principal.claim_roles.contains("admin")`, `context.server == "files"`,
			`(if context.claim_active then resource.readOnlyHint else true)`, `resource in MCP::"`+pick("files", "mail")+`"`,
			`["a", "b"].contains(resource.name)`, `resource.level > `+pick("1", "5"), `resource in ToolSet::"safe"`, `resource is Tool`, `resource is Tool in MCP::"files"`, `resource is Prompt`,
			`[resource].contains(Tool::"a")`, `{x: resource}.x.name == "b"`, `!(resource.name == "c")`, `resource.missing`, `resource in [ToolSet::"safe", MCP::"mail"]`,
			`resource.destructiveHint == resource.readOnlyHint`,
		)
	}
	for round := range 100 {
		cfg := policy.Config{EntitiesJSON: `[{"uid":"Tool::a","parents":[{"type":"ToolSet","id":"safe"}],"attrs":{"level":3}}]`}
		for range 1 + random.IntN(200) {
			effect := pick("permit", "permit", "forbid")
			scope := pick("resource", "resource", `resource == Tool::"`+pick(names...)+`"`, `resource in MCP::"files"`, `resource is Tool`)
			who := pick("principal", "principal", `principal in THVGroup::"`+pick("dev", "ops")+`"`)
			text := fmt.Sprintf(`%s(%s, action == Action::"call_tool", %s)`, effect, who, scope)
			for range random.IntN(3) {
				text += pick(" when { ", " unless { ") + condition() + pick(" && ", " || ") + condition() + " }"
			}
			cfg.Policies = append(cfg.Policies, text+";")
		}
		set, _ := policy.Compile(cfg)
		if set == nil {
			t.Fatal(cfg.Policies)
		}
		p, q := set.Principal(alice()), query(policy.ListTools, "")
		var calls []bool
		for _, it := range tools {
			call := withHints(tool(it.Name), it.Hints)
			calls = append(calls, set.Decide(p, &call).Allow)
		}
		if diff := cmp.Diff(calls, set.Filter(p, &q, tools).Keep); diff != "" {
			t.Fatalf("round %d: %s\n%s", round, diff, strings.Join(cfg.Policies, "\n"))
		}
	}
}
