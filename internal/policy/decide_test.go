package policy_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/policy"
)

// REQ B-21
func TestDecide(t *testing.T) {
	t.Parallel()
	const callAny = `permit(principal, action == Action::"call_tool", resource)`
	anonymous := identity.Anonymous()
	tests := []struct {
		name   string
		cfg    policy.Config
		caller *identity.Caller // alice unless another is given
		query  policy.Query
		want   bool
	}{
		// Default deny, and forbid before permit.
		{"nothing permits it", policies(`permit(principal, action == Action::"call_tool", resource == Tool::"other");`), nil, tool("x"), false},
		{"the tool is permitted", policies(`permit(principal, action == Action::"call_tool", resource == Tool::"x");`), nil, tool("x"), true},
		{"another action is permitted", policies(`permit(principal, action == Action::"get_prompt", resource);`), nil, tool("x"), false},
		{"forbid wins", policies(callAny+`;`, `forbid(principal, action == Action::"call_tool", resource == Tool::"x");`), nil, tool("x"), false},
		{"several policies in one text", policies(callAny + `; // all
			forbid(principal, action, resource == Tool::"x");`), nil, tool("x"), false},

		// Who.
		{"the subject", policies(`permit(principal == Client::"alice", action, resource);`), nil, tool("x"), true},
		{"another subject", policies(`permit(principal == Client::"bob", action, resource);`), nil, tool("x"), false},
		{"anonymous", policies(`permit(principal == Client::"anonymous", action, resource);`), anonymous, tool("x"), true},
		{"not anonymous", policies(`permit(principal == Client::"anonymous", action, resource);`), nil, tool("x"), false},
		{"a group", policies(`permit(principal in THVGroup::"dev", action, resource);`), nil, tool("x"), true},
		{"a role", policies(`permit(principal in THVGroup::"admin", action, resource);`), nil, tool("x"), true},
		{"a group in a condition", policies(callAny + ` when { principal in THVGroup::"dev" };`), nil, tool("x"), true},
		{"a group it is not in", policies(`permit(principal in THVGroup::"ops", action, resource);`), nil, tool("x"), false},
		{"a group of the type chosen", policy.Config{GroupEntityType: "Team", Policies: []string{`permit(principal in Team::"dev", action, resource);`}}, nil, tool("x"), true},
		{"a group is no person", policies(`permit(principal == Client::"dev", action, resource);`), nil, tool("x"), false},
		{"the type of principals", policies(`permit(principal is Client in THVGroup::"dev", action, resource);`), nil, tool("x"), true},
		{"a group by a claim", policy.Config{GroupClaim: "realm_access.roles", Policies: []string{`permit(principal in THVGroup::"staff", action, resource);`}}, nil, tool("x"), true},
		{"a group by a claim is instead of others", policy.Config{GroupClaim: "realm_access.roles", Policies: []string{`permit(principal in THVGroup::"dev", action, resource);`}}, nil, tool("x"), false},
		{"a claim that is not there leaves the others", policy.Config{GroupClaim: "teams", Policies: []string{`permit(principal in THVGroup::"dev", action, resource);`}}, nil, tool("x"), true},
		{"a role by a claim is besides others", policy.Config{RoleClaim: "realm_access.roles", Policies: []string{`permit(principal in THVGroup::"staff", action, resource) when { principal in THVGroup::"admin" };`}}, nil, tool("x"), true},
		{"a group in a group", policy.Config{
			EntitiesJSON: `[{"uid":{"type":"THVGroup","id":"dev"},"parents":[{"type":"THVGroup","id":"staff"}],"attrs":{}}]`,
			Policies:     []string{`permit(principal in THVGroup::"staff", action, resource);`},
		}, nil, tool("x"), true},

		// Claims.
		{"a claim of the principal", policies(callAny + ` when { principal.claim_name == "Alice" };`), nil, tool("x"), true},
		{"a claim of the context", policies(callAny + ` when { context.claim_email like "*@example.com" };`), nil, tool("x"), true},
		{"a claim with another value", policies(callAny + ` when { context.claim_name == "Bob" };`), nil, tool("x"), false},
		{"a list", policies(callAny + ` when { principal.claim_roles.contains("admin") };`), nil, tool("x"), true},
		{"a number", policies(callAny + ` when { context.claim_clearance_level >= 3 };`), nil, tool("x"), true},
		{"a fraction", policies(callAny + ` when { context.claim_ratio.lessThan(decimal("0.3")) };`), nil, tool("x"), true},
		{"an integer used as a decimal", policies(callAny + ` when { context.claim_clearance_level.greaterThan(decimal("2.5")) };`), nil, tool("x"), true},
		{"a boolean", policies(callAny + ` when { context.claim_active };`), nil, tool("x"), true},
		{"an object", policies(callAny + ` when { context.claim_realm_access.roles.contains("staff") };`), nil, tool("x"), true},
		{"null is not there", policies(callAny + ` when { !(context has claim_nothing) };`), nil, tool("x"), true},
		{"words of text as a set", policies(callAny + ` when { context.claimset_scope.contains("write") };`), nil, tool("x"), true},
		{"a list as a set", policies(callAny + ` when { principal.claimset_roles.containsAll(["admin", "writer"]) };`), nil, tool("x"), true},
		{"a claim that is missing", policies(callAny + ` when { context.claim_team == "a" };`), nil, tool("x"), false},
		{"a claim that is missing, asked for", policies(callAny + ` unless { context has claim_team };`), nil, tool("x"), true},
		{"the subject is a claim where there is no token", policies(callAny + ` when { context.claim_sub == "anonymous" };`), anonymous, tool("x"), true},
		{"the e-mail is a claim wherever it came from", policies(callAny + ` when { context.claim_email == "b@example.com" };`), &identity.Caller{Subject: "b", Source: identity.SourceProxy, Email: "b@example.com"}, tool("x"), true},
		{"the token's claim is before what was mapped", policies(callAny + ` when { context.claim_email == "t@example.com" };`), &identity.Caller{Subject: "b", Email: "b@example.com", Claims: map[string]any{"email": "t@example.com"}}, tool("x"), true},
		{"a number too large to compare", policies(callAny + ` unless { context.claim_huge < 5 };`), nil, tool("x"), false},
		{"the context as a whole", policies(callAny + ` when { [context].contains(context) };`), nil, tool("x"), true},

		// Arguments.
		{"an argument in the context", policies(callAny + ` when { context.arg_city == "Rome" };`), nil, withArguments(tool("x"), `{"city":"Rome"}`), true},
		{"an argument of the resource", policies(callAny + ` when { resource.arg_city == "Rome" };`), nil, withArguments(tool("x"), `{"city":"Ro\u006de"}`), true},
		{"an argument with another value", policies(callAny + ` when { context.arg_city == "Rome" };`), nil, withArguments(tool("x"), `{"city":"Oslo"}`), false},
		{"an argument that is missing", policies(callAny + ` when { context.arg_city == "Rome" };`), nil, withArguments(tool("x"), `{}`), false},
		{"no arguments", policies(callAny + ` when { context.arg_city == "Rome" };`), nil, tool("x"), false},
		{"arguments that are no object", policies(callAny + ` unless { context has arg_city };`), nil, withArguments(tool("x"), `["Rome"]`), false},
		{"an integer", policies(callAny + ` when { context.arg_n <= 10 };`), nil, withArguments(tool("x"), `{"n":10}`), true},
		{"an integer written as a fraction", policies(callAny + ` when { context.arg_n == 1000 };`), nil, withArguments(tool("x"), `{"n":1e3}`), true},
		{"a decimal", policies(callAny + ` when { context.arg_n.lessThan(decimal("0.5")) };`), nil, withArguments(tool("x"), `{"n":0.25}`), true},
		{"a boolean argument", policies(callAny + ` when { context.arg_dry_run };`), nil, withArguments(tool("x"), `{"dry_run":true}`), true},
		{"a list is present", policies(callAny + ` when { context.arg_files_present };`), nil, withArguments(tool("x"), `{"files":[1]}`), true},
		{"an object is present", policies(callAny + ` when { resource has arg_files_present };`), nil, withArguments(tool("x"), `{"files":{}}`), true},
		{"a list has no value", policies(callAny + ` unless { context has arg_files };`), nil, withArguments(tool("x"), `{"files":[1]}`), true},
		{"a mark is no argument's", policies(callAny + `; forbid(principal, action, resource) when { context has arg_a_present && context.arg_a_present };`), nil, withArguments(tool("x"), `{"a":[1],"a_present":false}`), false},
		{"arguments against claims", policies(callAny + ` when { resource.arg_level <= principal.claim_clearance_level };`), nil, withArguments(tool("x"), `{"level":3}`), true},
		{"a prompt has arguments", policies(`permit(principal, action == Action::"get_prompt", resource) when { context.arg_a == "b" };`), nil, withArguments(query(policy.GetPrompt, "p"), `{"a":"b"}`), true},

		// What cannot be evaluated is on the safe side.
		{"a forbid that fails forbids", policies(callAny+`;`, `forbid(principal, action, resource) when { context.claim_banned };`), nil, tool("x"), false},
		{"a permit that fails leaves others", policies(callAny+` when { context.claim_team == "a" };`, callAny+`;`), nil, tool("x"), true},
		{"a number beyond all numbers passes no limit", policies(callAny+`;`, `forbid(principal, action == Action::"call_tool", resource) when { context has arg_n && context.arg_n > 100 };`), nil, withArguments(tool("x"), `{"n":1e30}`), false},
		{"a fraction passes no limit", policies(callAny+`;`, `forbid(principal, action == Action::"call_tool", resource) when { context has arg_n && context.arg_n > 100 };`), nil, withArguments(tool("x"), `{"n":100.5}`), false},

		// What.
		{"a prompt", policies(`permit(principal, action == Action::"get_prompt", resource == Prompt::"p");`), nil, query(policy.GetPrompt, "p"), true},
		{"a resource by its exact URI", policies(`permit(principal, action == Action::"read_resource", resource == Resource::"file:///etc/passwd");`), nil, query(policy.ReadResource, "file:///etc/passwd"), true},
		{"another URI", policies(`permit(principal, action == Action::"read_resource", resource == Resource::"file:///etc/passwd");`), nil, query(policy.ReadResource, "file:///etc_passwd"), false},
		{"a URI's beginning", policies(`permit(principal, action == Action::"read_resource", resource) when { resource.uri like "file:///pub/*" };`), nil, query(policy.ReadResource, "file:///pub/a"), true},
		{"attributes of a tool", policies(callAny + ` when { resource.name == "x" && resource.operation == "call" && resource.feature == "tool" };`), nil, tool("x"), true},
		{"the server", policies(`permit(principal, action, resource in MCP::"files");`), nil, tool("x"), true},
		{"another server", policies(`permit(principal, action, resource in MCP::"mail");`), nil, tool("x"), false},
		{"the server and the backend in the context", policies(callAny + ` when { context.server == "files" && context.backend == "files-1" };`), nil, tool("x"), true},
		{"several actions", policies(`permit(principal, action in [Action::"call_tool", Action::"get_prompt"], resource);`), nil, tool("x"), true},
		{"a group of actions", policy.Config{
			EntitiesJSON: `[{"uid":{"type":"Action","id":"call_tool"},"parents":[{"type":"Action","id":"use"}],"attrs":{}}]`,
			Policies:     []string{`permit(principal, action in Action::"use", resource);`},
		}, nil, tool("x"), true},
		{"the action's own attribute", policies(callAny + ` when { action.operation == "call_tool" };`), nil, tool("x"), true},

		// Annotations.
		{"a hint", policies(callAny + ` when { resource.readOnlyHint };`), nil, withHints(tool("x"), mcp.Hints{ReadOnly: mcp.HintTrue}), true},
		{"a hint that is false", policies(callAny + ` when { resource.readOnlyHint };`), nil, withHints(tool("x"), mcp.Hints{ReadOnly: mcp.HintFalse}), false},
		{"no hint", policies(callAny + ` when { resource.readOnlyHint };`), nil, tool("x"), false},
		{"no hint, asked for", policies(callAny + ` unless { resource has destructiveHint && resource.destructiveHint };`), nil, tool("x"), true},
		{"the other hints", policies(callAny + ` when { resource.idempotentHint && !resource.openWorldHint && !resource.destructiveHint };`), nil, withHints(tool("x"), mcp.Hints{Idempotent: mcp.HintTrue, OpenWorld: mcp.HintFalse, Destructive: mcp.HintFalse}), true},
		{"the operator knows better", policy.Config{
			EntitiesJSON: `[{"uid":"Tool::x","attrs":{"readOnlyHint":false}}]`, Policies: []string{callAny + ` when { resource.readOnlyHint };`},
		}, nil, withHints(tool("x"), mcp.Hints{ReadOnly: mcp.HintTrue}), false},

		// Entities of the operator.
		{"an owner", policy.Config{
			EntitiesJSON: `[{"uid":"Tool::weather","attrs":{"owner":"alice"}}]`, Policies: []string{callAny + ` when { resource.owner == principal.claim_sub };`},
		}, nil, tool("weather"), true},
		{"no owner", policy.Config{
			EntitiesJSON: `[{"uid":"Tool::weather","attrs":{"owner":"alice"}}]`, Policies: []string{callAny + ` when { resource.owner == principal.claim_sub };`},
		}, nil, tool("mail"), false},
		{"a set of tools", policy.Config{
			EntitiesJSON: `[{"uid":{"type":"Tool","id":"x"},"parents":[{"type":"ToolSet","id":"safe"}],"attrs":{}}]`,
			Policies:     []string{`permit(principal, action == Action::"call_tool", resource in ToolSet::"safe");`},
		}, nil, tool("x"), true},
		{"a tool in a set is in its server", policy.Config{
			EntitiesJSON: `[{"uid":{"type":"Tool","id":"x"},"parents":[{"type":"ToolSet","id":"safe"}],"attrs":{}}]`,
			Policies:     []string{`permit(principal, action == Action::"call_tool", resource in MCP::"files");`},
		}, nil, tool("x"), true},
		{"a client that the operator put in a group", policy.Config{
			EntitiesJSON: `[{"uid":{"type":"Client","id":"alice"},"parents":[{"type":"THVGroup","id":"vip"}],"attrs":{"floor":3}}]`,
			Policies:     []string{`permit(principal in THVGroup::"vip", action, resource) when { principal.floor == 3 && principal in THVGroup::"dev" };`},
		}, nil, tool("x"), true},
		{"the operator gives nobody a claim that the token has", policy.Config{
			EntitiesJSON: `[{"uid":{"type":"Client","id":"alice"},"parents":[],"attrs":{"claim_name":"Root"}}]`,
			Policies:     []string{callAny + ` when { principal.claim_name == "Alice" };`},
		}, nil, tool("x"), true},
		{"a thing in itself", policy.Config{
			EntitiesJSON: `[{"uid":{"type":"Tool","id":"x"},"parents":[{"type":"Tool","id":"x"}],"attrs":{}},{"uid":{"type":"Client","id":"alice"},"parents":[{"type":"Client","id":"alice"}],"attrs":{}}]`,
			Policies:     []string{`permit(principal == Client::"alice", action, resource == Tool::"x");`},
		}, nil, tool("x"), true},

		// Lists.
		{"a list needs no permit", policies(`permit(principal, action == Action::"call_tool", resource == Tool::"x");`), nil, query(policy.ListTools, ""), true},
		{"a list can be forbidden", policies(`permit(principal, action, resource);`, `forbid(principal, action == Action::"list_tools", resource);`), nil, query(policy.ListTools, ""), false},
		{"a list by its feature", policies(`forbid(principal, action, resource == FeatureType::"prompt");`), nil, query(policy.ListPrompts, ""), false},
		{"another feature", policies(`forbid(principal, action, resource == FeatureType::"prompt");`), nil, query(policy.ListResources, ""), true},
		{"a forbid of a list that fails", policies(`forbid(principal, action == Action::"list_resources", resource) when { context.claim_team == "a" };`), nil, query(policy.ListResources, ""), false},
		{"a list by its type", policies(`forbid(principal, action == Action::"list_tools", resource) when { resource.type == "tool" };`), nil, query(policy.ListTools, ""), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			caller := tt.caller
			if caller == nil {
				caller = alice()
			}
			set := compile(t, tt.cfg)
			for range 2 { // the second time out of the cache
				d := set.Decide(set.Principal(caller), &tt.query)
				if d.Allow != tt.want {
					t.Fatalf("allowed: %v, want %v\n%s", d.Allow, tt.want, set.Explain(set.Principal(caller), &tt.query))
				}
				if (d.ID == "") != d.Allow {
					t.Errorf("id %q", d.ID)
				}
			}
			tt.cfg.Shadow = true
			shadow := compile(t, tt.cfg)
			if d := shadow.Decide(shadow.Principal(caller), &tt.query); !d.Allow || d.Shadow == tt.want || (d.ID == "") != tt.want {
				t.Errorf("in shadow mode: %+v", d)
			}
		})
	}
}

// The vocabulary is one table for the check of policies and for decisions: what a
// decision test uses must be known to the check, so TestDecide fails on problems.

func TestDecisionNamesPolicies(t *testing.T) {
	t.Parallel()
	set := compile(t, policies(
		`@id("all of them") permit(principal, action, resource);`,
		`permit(principal, action, resource is Tool);
		 @id("not x") forbid(principal, action, resource == Tool::"x");
		 @id("banned") forbid(principal, action, resource == Tool::"y") when { context.claim_banned };
		 @id("odd") permit(principal, action, resource == Tool::"z") when { context.claim_odd };`,
	))
	p := set.Principal(alice())
	for target, want := range map[string]policy.Decision{
		"a": {Allow: true, Policies: []string{"all of them", "policy 2"}},
		"x": {Policies: []string{"not x"}},
		"y": {Policies: []string{"banned"}, Errors: []string{"banned: record does not have the attribute `claim_banned`"}},
		"z": {Allow: true, Policies: []string{"all of them", "policy 2"}, Errors: []string{"odd: record does not have the attribute `claim_odd`"}},
	} {
		q := tool(target)
		got := set.Decide(p, &q)
		if again := set.Decide(p, &q); got.ID == again.ID && got.ID != "" {
			t.Errorf("two denials have the id %s", got.ID)
		}
		if got.ID != "" && len(got.ID) != 10 {
			t.Errorf("id %q", got.ID)
		}
		got.ID = ""
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", target, diff)
		}
	}
	q := query(policy.GetPrompt, "p")
	if d := set.Decide(p, &q); !d.Allow {
		t.Errorf("%+v", d)
	}
}

// A principal made by one set is good for the next: a change of the policies must
// not go on deciding by the old ones.
func TestPrincipalOfAnotherSet(t *testing.T) {
	t.Parallel()
	old := compile(t, policies(`permit(principal in THVGroup::"dev", action, resource);`))
	p := old.Principal(alice())
	q := tool("x")
	if !old.Decide(p, &q).Allow {
		t.Fatal("denied")
	}
	now := compile(t, policy.Config{GroupEntityType: "Team", Policies: []string{`permit(principal in Team::"ops", action, resource);`}})
	if d := now.Decide(p, &q); d.Allow {
		t.Errorf("allowed by the old policies: %+v", d)
	}
}

// A caller is known by itself: the same person with another token is decided anew.
func TestCallersAreToldApart(t *testing.T) {
	t.Parallel()
	set := compile(t, policies(`permit(principal in THVGroup::"dev", action, resource);`))
	q := tool("x")
	in, out := alice(), alice()
	out.Groups = nil
	if !set.Decide(set.Principal(in), &q).Allow || set.Decide(set.Principal(out), &q).Allow {
		t.Error("two tokens of one person are taken for one")
	}
	if first, again := set.Principal(in), set.Principal(in); first != again {
		t.Error("a caller is looked at twice")
	}
	plain := func(change func(*identity.Caller)) *policy.Principal {
		c := &identity.Caller{Subject: "b", Source: identity.SourceProxy, Groups: []string{"x", "y"}, Roles: []string{"z"}}
		change(c)
		return set.Principal(c)
	}
	same := plain(func(*identity.Caller) {})
	if plain(func(*identity.Caller) {}) != same {
		t.Error("an equal caller without a token is looked at twice")
	}
	for i, change := range []func(*identity.Caller){
		func(c *identity.Caller) { c.Subject = "c" },
		func(c *identity.Caller) { c.Issuer = "c" },
		func(c *identity.Caller) { c.Email = "c" },
		func(c *identity.Caller) { c.Name = "c" },
		func(c *identity.Caller) { c.Groups = []string{`x""y`} },
		func(c *identity.Caller) { c.Groups, c.Roles = []string{"x"}, []string{"y", "z"} },
		func(c *identity.Caller) { c.Roles = nil },
	} {
		if plain(change) == same {
			t.Errorf("change %d is not seen", i)
		}
	}
}

// Decisions are remembered by all that they depend on.
func TestDecisionsAreToldApart(t *testing.T) {
	t.Parallel()
	set := compile(t, policies(`permit(principal, action == Action::"call_tool", resource == Tool::"x") when {
		resource has readOnlyHint && resource.readOnlyHint && context.server == "s" && context.backend == "b" &&
		(context has arg_a && context.arg_a == 1 || resource has idempotentHint) };`))
	p := set.Principal(alice())
	right := policy.Query{Action: policy.CallTool, Target: "x", Server: "s", Backend: "b", Hints: mcp.Hints{ReadOnly: mcp.HintTrue, Idempotent: mcp.HintTrue}}
	for range 2 {
		if !set.Decide(p, &right).Allow {
			t.Fatal("denied")
		}
		for name, change := range map[string]func(*policy.Query){
			"action":  func(q *policy.Query) { q.Action = policy.GetPrompt },
			"target":  func(q *policy.Query) { q.Target = "y" },
			"server":  func(q *policy.Query) { q.Server = "b" },
			"backend": func(q *policy.Query) { q.Backend = "s" },
			"hints":   func(q *policy.Query) { q.Hints.ReadOnly = mcp.HintFalse },
			"long":    func(q *policy.Query) { q.Target = strings.Repeat("x", 5000) },
		} {
			q := right
			change(&q)
			if set.Decide(p, &q).Allow {
				t.Errorf("with another %s it is allowed", name)
			}
		}
		q := right
		q.Hints.Idempotent = mcp.HintUnset
		for arguments, want := range map[string]bool{`{"a":1}`: true, `{"a":2}`: false, `{}`: false} {
			if q.Arguments = []byte(arguments); set.Decide(p, &q).Allow != want {
				t.Errorf("with arguments %s: allowed %v", arguments, !want)
			}
		}
	}
}
