package policy_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/policy"
)

var update = flag.Bool("update", false, "write the explanations in testdata anew")

// REQ B-21: an operator is told which policies decided, which were near, and what
// was missing.
func TestExplain(t *testing.T) {
	t.Parallel()
	cfg := policies(
		`@id("admins may do all")
permit(principal in THVGroup::"admin", action, resource) when { context.claim_mfa };`,
		`@id("read")
permit(principal, action == Action::"call_tool", resource)
when { resource has readOnlyHint && resource.readOnlyHint };

@id("team tools")
permit(principal, action == Action::"call_tool", resource in MCP::"files")
when { context has claim_team && context.claim_team == "core" }
unless { context has arg_force && context.arg_force };`,
		`@id("ops delete")
permit(principal in THVGroup::"ops", action == Action::"call_tool", resource == Tool::"delete");`,
		`@id("no deleting of the root")
forbid(principal, action == Action::"call_tool", resource == Tool::"delete") when { context has arg_path && context.arg_path == "/" };`,
		`@id("bob")
permit(principal == Client::"bob", action == Action::"call_tool", resource is Tool in MCP::"mail");`,
		`@id("suspended")
forbid(principal, action == Action::"get_prompt", resource) when { principal.claim_suspended };`,
	)
	carol := &identity.Caller{
		Subject: "carol", Source: identity.SourceJWT, Groups: []string{"dev"},
		Claims: map[string]any{"sub": "carol", "team": "core", "mfa": true},
	}
	shadow := cfg
	shadow.Shadow = true
	for name, tt := range map[string]struct {
		cfg    policy.Config
		caller *identity.Caller
		query  policy.Query
	}{
		"allowed":       {cfg, carol, withHints(tool("search"), mcp.Hints{ReadOnly: mcp.HintTrue})},
		"denied":        {cfg, alice(), withArguments(tool("delete"), `{"path":"/tmp"}`)},
		"forbidden":     {cfg, carol, withArguments(tool("delete"), `{"path":"/"}`)},
		"unless":        {cfg, carol, withArguments(tool("write"), `{"force":true}`)},
		"anonymous":     {cfg, identity.Anonymous(), tool("search")},
		"shadow":        {shadow, identity.Anonymous(), tool("search")},
		"failed":        {cfg, carol, query(policy.GetPrompt, "p")},
		"list":          {cfg, identity.Anonymous(), query(policy.ListTools, "")},
		"nothing-near":  {policies(`permit(principal == Client::"x", action, resource == Tool::"y");`), carol, tool("z")},
		"bad-arguments": {cfg, carol, withArguments(tool("write"), `[1]`)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set := compile(t, tt.cfg)
			e := set.Explain(set.Principal(tt.caller), &tt.query)
			if d := set.Decide(set.Principal(tt.caller), &tt.query); d.Allow != e.Decision.Allow {
				t.Errorf("decided %v, explained %v", d.Allow, e.Decision.Allow)
			}
			file := filepath.Join("testdata", "explain", name+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(e.String()), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), e.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// FINDING N17: as JSON an explanation has names like other JSON.
func TestExplanationAsJSON(t *testing.T) {
	t.Parallel()
	set := compile(t, policies(`@id("all") permit(principal, action, resource);`))
	q := tool("search")
	text, err := json.Marshal(set.Explain(set.Principal(alice()), &q))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"decision":{"allow":true,"policies":["all"]},"principal":"Client::\"alice\"",` +
		`"in":["THVGroup::\"admin\"","THVGroup::\"dev\""],"action":"call_tool","resource":"Tool::\"search\"",` +
		`"decided":[{"name":"all","effect":"permit","policy":0,"line":1}]}`
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
