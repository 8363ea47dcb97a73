package policy_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/policy"
)

// REQ B-21: no method goes round the policies.
func TestNeedOf(t *testing.T) {
	t.Parallel()
	ask := func(a policy.Action, target string) policy.Need {
		return policy.Need{Asks: []policy.Ask{{Action: a, Target: target}}}
	}
	none := policy.Need{}
	denied := policy.Need{Denied: true}
	request := func(method, params string) string {
		return `{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":` + params + `}`
	}
	for raw, want := range map[string]policy.Need{
		request("initialize", `{}`):                              none,
		request("ping", `{}`):                                    none,
		request("server/discover", `{}`):                         none,
		request("logging/setLevel", `{"level":"info"}`):          none,
		`{"jsonrpc":"2.0","method":"notifications/initialized"}`: none,
		`{"jsonrpc":"2.0","method":"notifications/cancelled"}`:   none,
		`{"jsonrpc":"2.0","id":1,"result":{}}`:                   none,
		`{"jsonrpc":"2.0","id":1,"error":{}}`:                    none,

		request("tools/call", `{"name":"a"}`):                           ask(policy.CallTool, "a"),
		`{"jsonrpc":"2.0","method":"tools/call","params":{"name":"a"}}`: ask(policy.CallTool, "a"),
		request("tools/call", `{}`):                                     ask(policy.CallTool, ""),
		request("prompts/get", `{"name":"p"}`):                          ask(policy.GetPrompt, "p"),
		request("resources/read", `{"uri":"file:///a"}`):                ask(policy.ReadResource, "file:///a"),
		request("resources/subscribe", `{"uri":"file:///a"}`):           ask(policy.ReadResource, "file:///a"),
		request("resources/unsubscribe", `{"uri":"file:///a"}`):         ask(policy.ReadResource, "file:///a"),
		request("tools/list", `{}`):                                     ask(policy.ListTools, ""),
		request("prompts/list", `{}`):                                   ask(policy.ListPrompts, ""),
		request("resources/list", `{}`):                                 ask(policy.ListResources, ""),
		request("resources/templates/list", `{}`):                       ask(policy.ListResources, ""),

		request("completion/complete", `{"ref":{"type":"ref/prompt","name":"p"}}`):            ask(policy.GetPrompt, "p"),
		request("completion/complete", `{"ref":{"type":"ref/resource","uri":"file:///{x}"}}`): ask(policy.ReadResource, "file:///{x}"),
		request("completion/complete", `{"ref":{"type":"ref/prompt","uri":"p"}}`):             denied,
		request("completion/complete", `{"ref":{"type":"ref/prompt","name":"p","Name":"q"}}`): denied,
		request("completion/complete", `{"ref":{"type":"ref/prompt","Type":"x","name":"p"}}`): denied,
		request("completion/complete", `{"ref":{"type":"ref/tool","name":"p"}}`):              denied,
		request("completion/complete", `{"ref":"p"}`):                                         denied,
		request("completion/complete", `{}`):                                                  denied,
		`{"jsonrpc":"2.0","id":1,"method":"completion/complete"}`:                             denied,

		request("subscriptions/listen", `{}`):                                          none,
		`{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen"}`:                     none,
		request("subscriptions/listen", `{"notifications":{"toolsListChanged":true}}`): none,
		request("subscriptions/listen", `{"notifications":{"resourceSubscriptions":["file:///a","file:///b"]}}`): {
			Asks: []policy.Ask{{Action: policy.ReadResource, Target: "file:///a"}, {Action: policy.ReadResource, Target: "file:///b"}},
		},
		request("subscriptions/listen", `{"notifications":{"resourceSubscriptions":"file:///a"}}`):   denied,
		request("subscriptions/listen", `{"notifications":{"resourceSubscriptions":[1]}}`):           denied,
		request("subscriptions/listen", `{"notifications":{"ResourceSubscriptions":["file:///a"]}}`): denied,
		request("subscriptions/listen", `{"Notifications":{"resourceSubscriptions":["file:///a"]}}`): denied,
		request("subscriptions/listen", `{"notifications":["a"]}`):                                   denied,

		request("tasks/get", `{"taskId":"t"}`):    denied,
		request("tasks/result", `{"taskId":"t"}`): denied,
		request("tasks/list", `{}`):               denied,
		request("sampling/createMessage", `{}`):   denied,
		request("tools/Call", `{"name":"a"}`):     denied,
		request("tools", `{}`):                    denied,
		request("notifications", `{}`):            denied,
		// FINDING S13
		request("notifications/admin.reset", `{}`): denied,
		request("notifications/initialized", `{}`): denied,
		request("x/y", `{}`):                       denied,
	} {
		e, refused := mcp.Parse([]byte(raw), mcp.DefaultLimits())
		if refused != nil {
			t.Fatalf("%s: %v", raw, refused)
		}
		got := policy.NeedOf(&e)
		if got.Denied && got.Reason == "" {
			t.Errorf("%s: denied without a reason", raw)
		}
		got.Reason = ""
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", raw, diff)
		}
	}
}
