package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/policy"
)

// REQ B-21: a policy that cannot be read is refused with its place.
func TestCompileRefuses(t *testing.T) {
	t.Parallel()
	const good = `permit(principal, action, resource);`
	tests := []struct {
		name string
		cfg  policy.Config
		want string // without the index of the policy where that is 0
	}{
		{"none", policy.Config{}, `-1:0:0: error: there are no policies: nobody could do anything`},
		{"empty", policies(``), `0:1:1: error: there is no policy in it`},
		{"only a comment", policies("// nothing\n"), `0:1:1: error: there is no policy in it`},
		{"no semicolon", policies(`permit(principal, action, resource)`), `0:1:36: error: expected ;, but the policy ends`},
		{"a word for another", policies("\n  allow(principal, action, resource);"), `0:2:3: error: expected permit or forbid, found allow`},
		{"a variable missing", policies(`permit(principal, resource);`), `0:1:19: error: expected action, found resource`},
		{"a list after in", policies("permit(principal, action == Action::\"call_tool\",\n\tresource in Tool::[\"a\", \"b\"]);"), `0:2:20: error: unexpected token, found [`},
		{"a string not closed", policies(`permit(principal, action, resource) when { context.claim_a == "b };`), `0:1:63: error: literal not terminated`},
		{"a dangling operator", policies("// é\npermit(principal, action, resource) when { \"é\" == };"), `0:2:51: error: invalid primary, found }`},
		{"single quotes", policies(`permit(principal == Client::'a', action, resource);`), `0:1:29: error: unexpected token, found '`},
		{"one of several", policies(good, good+"\n"+good+" permit(oops, action, resource);\n"+good), `1:2:45: error: expected principal, found oops`},
		{"each of several", policies(`permit(oops, action, resource); permit(principal, oops, resource);`), "0:1:8: error: expected principal, found oops\n0:1:51: error: expected action, found oops"},
		{"a number too large", policies(`permit(principal, action, resource) when { 1 == 99999999999999999999 };`), `0:1:49: error: 99999999999999999999 is out of range`},
		{"an annotation twice", policies(`@id("a") @id("b") permit(principal, action, resource);`), `0:1:11: error: duplicate annotation: @id, found id`},
		{"too deep", policies(`permit(principal, action, resource) when { ` + strings.Repeat("(", 80) + `true` + strings.Repeat(")", 80) + ` };`), `0:1:107: error: more than 64 brackets are open here`},
		{"a path too long", policies(`permit(principal, action, resource) when { context has a` + strings.Repeat(".b", 40) + ` };`), `0:1:121: error: an attribute path of more than 32 steps`},
		{"too long", policies(`permit(principal, action, resource) when { "` + strings.Repeat("a", 20_000) + `" == "" };`), `0:1:1: error: the policy is longer than 16 KiB; split it`},
		{"too many", policies(strings.Repeat(good, 10_001)), `0:0:0: error: more than 10000 policies`},
		{"too many tests inside one another", policies(`permit(principal, action, resource) when { ` + strings.Repeat("(", 8) + "principal" + strings.Repeat(` is Client in THVGroup::"a").x`, 8) + ` };`), "0:1:1: error: more than 6 tests of the form `is … in …`, or conditionals in the name of a tag, inside one another"},
		{"a type of groups", policy.Config{Policies: []string{good}, GroupEntityType: "my group"}, `-1:0:0: error: "my group" is not the name of an entity type`},

		{"entities that are no array", policy.Config{Policies: []string{good}, EntitiesJSON: `{}`}, `-1:1:1: error: entities: expected a JSON array of entities`},
		{"an entity that is no object", policy.Config{Policies: []string{good}, EntitiesJSON: "[\n  1]"}, `-1:2:3: error: entities: an entity is not a JSON object with every key once`},
		{"an entity's key", policy.Config{Policies: []string{good}, EntitiesJSON: "[{\"uid\":\"Tool::a\"},\n {\"uid\":\"Tool::b\",\"atrs\":{}}]"}, `-1:2:2: error: entities: an entity has uid, parents, attrs and tags, not "atrs"`},
		{"an entity's key twice", policy.Config{Policies: []string{good}, EntitiesJSON: `[{"uid":"Tool::a","uid":"Tool::b"}]`}, `-1:1:2: error: entities: an entity is not a JSON object with every key once`},
		{"an entity twice", policy.Config{Policies: []string{good}, EntitiesJSON: `[{"uid":"Tool::a"},{"uid":{"type":"Tool","id":"a"}}]`}, `-1:1:20: error: entities: duplicate entity Tool::"a"`},
		{"a uid", policy.Config{Policies: []string{good}, EntitiesJSON: `[{"uid":"weather"}]`}, `-1:1:2: error: entities: uid "weather" is not of the form Type::"id"`},
		{"a quoted uid", policy.Config{Policies: []string{good}, EntitiesJSON: `[{"uid":"Tool::\"a"}]`}, `-1:1:2: error: entities: uid "Tool::\"a" is not of the form Type::"id"`},
		{"no uid", policy.Config{Policies: []string{good}, EntitiesJSON: `[{}]`}, `-1:1:2: error: entities: `},
		{"a type that is none", policy.Config{Policies: []string{good}, EntitiesJSON: `[{"uid":{"type":"a b","id":"c"}}]`}, `-1:1:2: error: entities: `},
		{"a parent's type that is none", policy.Config{Policies: []string{good}, EntitiesJSON: `[{"uid":"Tool::a","parents":[{"type":"a b","id":"c"}]}]`}, `-1:1:2: error: entities: `},
		{"half an array", policy.Config{Policies: []string{good}, EntitiesJSON: `[{"uid":"Tool::a"}`}, `-1:1:19: error: entities: EOF`},
		{"more than an array", policy.Config{Policies: []string{good}, EntitiesJSON: `[] []`}, `-1:1:3: error: entities: the array is followed by more`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			set, problems := policy.Compile(tt.cfg)
			if set != nil {
				t.Error("there is a set")
			}
			if got := lines(problems); !strings.HasPrefix(got, tt.want) || strings.Contains(tt.want, ": entities: ") && len(problems) != 1 {
				t.Error(cmp.Diff(tt.want, got))
			}
		})
	}
}

func lines(problems []policy.Problem) string {
	var all []string
	for _, p := range problems {
		kind := "error"
		if p.Warning {
			kind = "warning"
		}
		all = append(all, fmt.Sprintf("%d:%d:%d: %s: %s", p.Policy, p.Line, p.Column, kind, p.Message))
	}
	return strings.Join(all, "\n")
}

// REQ B-21: a policy that can never match is reported with the name that is wrong.
func TestCompileWarns(t *testing.T) {
	t.Parallel()
	const call = `permit(principal, action == Action::"call_tool", resource)`
	tests := []struct{ name, policy, want string }{
		{
			"MCP's name of an action", `permit(principal, action == Action::"tools/call", resource);`,
			`0:1:37: warning: there is no action Action::"tools/call"; did you mean Action::"call_tool"?`,
		},
		{
			"an action", `permit(principal, action in [Action::"call_tools", Action::"get_prompt"], resource);`,
			`0:1:38: warning: there is no action Action::"call_tools"; did you mean Action::"call_tool"?`,
		},
		{
			"an action like no other", `forbid(principal, action == Action::"delete_everything", resource);`,
			`0:1:37: warning: there is no action Action::"delete_everything"; actions are call_tool, get_prompt, read_resource, list_tools, list_prompts, list_resources`,
		},
		{"no action", `permit(principal, action in [], resource);`, `0:1:19: warning: the policy is about no action`},
		{
			"an action in a condition", `permit(principal, action, resource) when { action == Action::"cal_tool" };`,
			`0:1:62: warning: there is no action Action::"cal_tool"; did you mean Action::"call_tool"?`,
		},
		{
			"a type", `permit(principal, action == Action::"call_tool", resource == Tools::"a");`,
			`0:1:62: warning: there is no entity type Tools; did you mean Tool?`,
		},
		{
			"a principal's type", "permit(\n  principal == User::\"alice\",\n  action, resource);",
			`0:2:16: warning: there is no entity type User; entity types are Action, Client, FeatureType, MCP, Prompt, Resource, THVGroup, Tool`,
		},
		{
			"a group's type", `permit(principal in Group::"a", action, resource);`,
			`0:1:21: warning: there is no entity type Group; entity types are Action, Client, FeatureType, MCP, Prompt, Resource, THVGroup, Tool`,
		},
		{
			"a type in a condition", call + ` when { resource is Tol };`,
			`0:1:79: warning: there is no entity type Tol; did you mean Tool?`,
		},
		{
			"a group compared", `permit(principal == THVGroup::"a", action, resource);`,
			`0:1:21: warning: the principal of call_tool is a Client, never a THVGroup`,
		},
		{
			"a group compared in a condition", call + ` when { true && principal == THVGroup::"a" };`,
			`0:1:88: warning: this is always a Client, never a THVGroup`,
		},
		{
			"a resource of another action", `permit(principal, action == Action::"call_tool", resource == Prompt::"p");`,
			`0:1:62: warning: the resource of call_tool is a Tool, never a Prompt`,
		},
		{
			"a resource in what it is never in", `permit(principal, action == Action::"call_tool", resource in THVGroup::"p");`,
			`0:1:62: warning: the resource of call_tool is a Tool, which is never in a THVGroup`,
		},
		{
			"in a condition", call + ` when { resource in THVGroup::"p" };`,
			`0:1:79: warning: this is always a Tool, which is never in a THVGroup`,
		},
		{
			"another type in a condition", call + ` when { resource is Prompt };`,
			`0:1:79: warning: this is always a Tool, never a Prompt`,
		},
		{
			"a claim by its name", call + ` when { principal.role == "admin" };`,
			`0:1:77: warning: a Client has no attribute role; a claim would be claim_role`,
		},
		{
			"a prefix", call + ` when { context.claims_role == "admin" };`,
			`0:1:75: warning: the context of call_tool has no attribute claims_role; did you mean claim_role?`,
		},
		{
			"a claim asked for", call + ` when { context has claims_role && context.claims_role == "admin" };`,
			`0:1:79: warning: the context of call_tool has no attribute claims_role; did you mean claim_role?`,
		},
		{
			"a claim by its name as text", call + ` when { context["e-mail"] == "a" };`,
			`0:1:75: warning: the context of call_tool has no attribute e-mail; a claim would be claim_e-mail`,
		},
		{
			"an argument of nobody", call + ` when { principal.arg_city == "Rome" };`,
			`0:1:77: warning: a Client has no attribute arg_city; it has source, claim_NAME, claimset_NAME`,
		},
		{
			"a claim of a tool", call + ` when { resource.claim_name == "a" };`,
			`0:1:76: warning: a Tool has no attribute claim_name; it has destructiveHint, feature, idempotentHint, name, openWorldHint, operation, readOnlyHint, arg_NAME`,
		},
		{
			"a hint", call + ` when { resource.readonlyHint };`,
			`0:1:76: warning: a Tool has no attribute readonlyHint; did you mean readOnlyHint?`,
		},
		{
			"an attribute that other things have", call + ` when { resource.uri like "file:*" };`,
			`0:1:76: warning: a Tool has no attribute uri; it has destructiveHint, feature, idempotentHint, name, openWorldHint, operation, readOnlyHint, arg_NAME`,
		},
		{
			"arguments of what has none", `permit(principal, action == Action::"read_resource", resource) when { context.arg_a == 1 };`,
			`0:1:79: warning: the context of read_resource has no attribute arg_a; it has backend, issuer, server, source, claim_NAME, claimset_NAME`,
		},
		{
			"a hint that is text", call + ` when { resource.readOnlyHint == "true" };`,
			`0:1:1: warning: the types Bool and String are not compatible: they are never equal`,
		},
		{
			"text that is a condition", call + ` when { resource.name };`,
			`0:1:1: warning: unexpected type: expected Bool but saw String`,
		},
		{
			"text compared by size", call + ` when { resource.name < 3 };`,
			`0:1:1: warning: unexpected type: expected datetime, or duration, or Long but saw String`,
		},
		{
			"an argument that is a list", call + ` when { context has arg_ids && context.arg_ids.contains("x") };`,
			`0:1:79: warning: arguments that are lists or objects have no value here; arg_ids_present tells whether there is one`,
		},
		{
			"an argument that is an object", call + ` when { resource.arg_filter.author == "x" };`,
			`0:1:76: warning: arguments that are lists or objects have no value here; arg_filter_present tells whether there is one`,
		},
		{
			"two of one name", "@id(\"a\")\n" + call + ";\n@id(\"a\")\n" + call + `;`,
			`0:3:1: warning: another policy, in line 1, has the name "a" too: denials and explanations will not tell which of them it was`,
		},

		// What can match is not reported.
		{"one of several actions", `permit(principal, action, resource) when { resource.uri like "file:*" };`, ""},
		{"one of several types", `permit(principal, action, resource) when { resource is Prompt || resource is Tool };`, ""},
		{"a claim asked for that is there", call + ` when { context has claim_a && context.claim_a == 3 };`, ""},
		{"a claim that must not be there", call + ` unless { principal has claim_a };`, ""},
		{"a claim of two forms", call + ` when { context.claim_a == "x" || context.claim_a.contains("x") };`, ""},
		{"a deep claim", call + ` when { context.claim_a.b.c == 1 && context.claim_a has d };`, ""},
		{"an address in an argument", call + ` when { ip(context.arg_a).isInRange(ip("10.0.0.0/8")) };`, ""},
		{"a time in an argument", call + ` when { datetime(context.arg_a) < datetime("2026-01-01") };`, ""},
		{"a decimal", call + ` when { context.arg_a.lessThan(decimal("1.5")) };`, ""},
		{"an empty set", call + ` when { [].containsAll([context.arg_a]) };`, ""},
		{"one of a list", call + ` when { ["a", "b"].contains(context.arg_a) };`, ""},
		{"one of a list of numbers", call + ` when { [1, 2].contains(context.arg_a) };`, ""},
		{"two claims alike", call + ` when { context.claim_a == context.arg_b };`, ""},
		{"if", call + ` when { if context.claim_a then context.arg_b > 3 else resource.arg_c };`, ""},
		{"a sum", call + ` when { context.arg_a + context.arg_b * 2 - 1 < -context.arg_c };`, ""},
		{"a set of claims", call + ` when { context.claim_a.containsAny(["a"]) && context.claim_b.isEmpty() };`, ""},
		{"a set of both", call + ` when { [context.claim_a, context.claim_b].contains("x") };`, ""},
		{"in a list of groups", call + ` when { principal in [THVGroup::"a", THVGroup::"b"] };`, ""},
		{"a mark", call + ` when { context.arg_a_present && context has arg_b_present };`, ""},
		{"a server", call + ` when { resource in MCP::"a" && context.server == "a" };`, ""},
		{"the action", `permit(principal, action, resource) when { action == Action::"call_tool" || action.operation == "x" };`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			set, problems := policy.Compile(policies(tt.policy))
			if set == nil {
				t.Error("there is no set")
			}
			if diff := cmp.Diff(tt.want, lines(problems)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The operator's entities add to what policies can talk about.
func TestEntitiesAreKnown(t *testing.T) {
	t.Parallel()
	cfg := policy.Config{
		EntitiesJSON: `[
			{"uid":{"type":"Tool","id":"a"},"parents":[{"type":"ToolSet","id":"safe"}],"attrs":{
				"owner":{"__entity":{"type":"Client","id":"alice"}},"tags":["x"],"level":3,"public":true,
				"price":{"__extn":{"fn":"decimal","arg":"1.5"}},"net":{"__extn":{"fn":"ip","arg":"10.0.0.1"}},
				"since":{"__extn":{"fn":"datetime","arg":"2026-01-01"}},"ttl":{"__extn":{"fn":"duration","arg":"1h"}},
				"none":[],"place":{"city":"Rome"}}},
			{"uid":{"type":"Action","id":"call_tool"},"parents":[{"type":"Action","id":"use"}],"attrs":{}},
			{"uid":{"type":"THVGroup","id":"dev"},"parents":[{"type":"Org","id":"x"}],"attrs":{"site":"Rome"}}]`,
	}
	for _, good := range []string{
		`resource in ToolSet::"safe"`, `resource.owner == principal`, `resource.owner.claim_team == "a"`, `resource.tags.contains("x")`,
		`resource.level > 2 && resource.public`, `resource.price.lessThan(decimal("2.0"))`, `resource.net.isIpv4()`,
		`resource.since < datetime("2027-01-01") && resource.ttl < duration("2h")`, `resource.none.isEmpty()`,
		`resource.place.city == "Rome"`, `principal in Org::"x"`, `THVGroup::"dev".site == "Rome"`, `action in Action::"use"`,
	} {
		cfg.Policies = []string{`permit(principal, action in Action::"use", resource) when { ` + good + ` };`}
		compile(t, cfg)
	}
	for bad, want := range map[string]string{
		`resource.ownr == principal`:    `there is no set, or no warning: a Tool has no attribute ownr; did you mean owner?`,
		`resource.owner == "alice"`:     `never equal`,
		`resource.owner.owner == "x"`:   `attribute owner on entity type Client not found`,
		`resource.place.town == "Rome"`: `attribute place.town on entity type Tool not found`,
		`resource in Org::"x"`:          `never in a Org`,
	} {
		cfg.Policies = []string{`permit(principal, action == Action::"call_tool", resource) when { ` + bad + ` };`}
		_, problems := policy.Compile(cfg)
		want = want[strings.LastIndex(want, ": ")+1:]
		if len(problems) != 1 || !problems[0].Warning || !strings.Contains(problems[0].Message, strings.TrimSpace(want)) {
			t.Errorf("%s: %q, want %q", bad, lines(problems), want)
		}
	}
}

// Hostile policies cost time in proportion to their length at most. What exceeds
// the limits is refused; what does not must not run into the test's timeout.
func TestHostilePolicies(t *testing.T) {
	t.Parallel()
	many := strings.Repeat
	for name, body := range map[string]string{
		"not":             many("!", 16_000) + "true",
		"minus":           many("-", 16_000) + "1 == 1",
		"plus":            "1" + many("+1", 8000) + " == 1",
		"and":             "context.claim_a" + many("&&context.claim_a", 900),
		"or":              "context.claim_a" + many("||context.claim_a", 900),
		"paths":           "true" + many("&& context has a"+many(".b", 31), 100),
		"else":            many("if true then true else ", 600) + "true",
		"if":              many("if (", 60) + "context.x" + many(") then context.y else context.z", 60),
		"is in":           many("(", 6) + "principal.x" + many(` is A in B::"").x`, 6),
		"sets":            many("[", 60) + "context.claim_a" + many("]", 60) + " == 1",
		"records":         many("{a:", 60) + "context.claim_a" + many("}", 60) + " == 1",
		"large set":       "[" + many("context.claim_a,", 900) + "1].contains(1)",
		"comparisons":     many("(", 60) + "context.claim_a" + many("<context.claim_b)", 60),
		"tags":            many("principal.getTag(", 60) + `"a"` + many(")", 60) + " == 1",
		"tags of choices": "principal.getTag(" + many("if true then (", 50) + `"a"` + many(`) else "b"`, 50) + ") == 1",
		"index":           "context" + many(`["a"]`, 3000) + " == 1",
		"pattern":         `context.claim_name like "` + many("*a", 7000) + `"`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set, problems := policy.Compile(policies("permit(principal, action, resource) when { " + body + " };"))
			for _, p := range problems {
				if len(p.Message) > 500 {
					t.Errorf("a message of %d bytes", len(p.Message))
				}
			}
			if set == nil {
				return
			}
			q, list := tool("x"), query(policy.ListTools, "")
			p := set.Principal(alice())
			set.Explain(p, &q)
			set.Filter(p, &list, items("a", "b"))
		})
	}
}

// FuzzCompile: whatever the text, Compile comes back with a set or with the place of
// an error in the text, and what it takes can decide and explain.
func FuzzCompile(f *testing.F) {
	for _, s := range []string{
		`permit(principal, action, resource);`,
		`@id("a") forbid(principal is Client in THVGroup::"g", action in [Action::"call_tool"], resource in MCP::"s") when { context.claim_a.b like "x*" } unless { resource has arg_x && [1, 2].contains(resource.arg_x) };`,
		`permit(principal == Client::"\u{41}", action == Action::"list_tools", resource is Tool); // end`,
		`permit(principal, action, resource) when { if -1 < 2 * 3 - context.arg_n then ip("10.0.0.1").isLoopback() else decimal("1.0").lessThan(context["arg_m"]) };`,
		`permit(principal, action, resource) when { principal.getTag("a") == {a: [1], "b": principal} || !!!false };`,
		`permit(principal, action, resource) when { ((principal.x is A in B::"").x is A in B::"").x };`,
	} {
		f.Add(s, `[{"uid":"Tool::a","attrs":{"b":1}}]`, `{"n":1,"x":[2]}`)
	}
	f.Fuzz(func(t *testing.T, text, entities, arguments string) {
		set, problems := policy.Compile(policy.Config{Policies: []string{text}, EntitiesJSON: entities})
		fatal := false
		for _, p := range problems {
			fatal = fatal || !p.Warning
			if p.Message == "" || p.Policy == 0 && p.Line > 1+strings.Count(text, "\n") {
				t.Errorf("problem %v", p)
			}
		}
		if fatal != (set == nil) {
			t.Fatalf("set %v with problems %s", set, lines(problems))
		}
		if set == nil {
			return
		}
		p := set.Principal(alice())
		for _, a := range []policy.Action{policy.CallTool, policy.GetPrompt, policy.ReadResource, policy.ListTools} {
			q := withArguments(query(a, "a"), arguments)
			d := set.Decide(p, &q)
			if again := set.Decide(p, &q); again.Allow != d.Allow {
				t.Error("decided anew it is another decision")
			}
			if e := set.Explain(p, &q); e.Decision.Allow != d.Allow || e.String() == "" {
				t.Errorf("explained as %v", e)
			}
		}
	})
}
