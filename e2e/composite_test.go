package e2e_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// greeting is a virtual server whose composite tool asks the person, has a member do two things, one of which policy forbids.
const greeting = `
apiVersion: sallyport.dev/v1alpha1
kind: MCPGroup
metadata: {name: group}
---
apiVersion: sallyport.dev/v1alpha1
kind: MCPServerEntry
metadata: {name: member}
spec: {remoteUrl: URL, transport: streamable-http, allowPrivateEndpoint: true, groupRef: {name: group}}
---
apiVersion: sallyport.dev/v1alpha1
kind: VirtualMCPServer
metadata: {name: virtual}
spec:
  groupRef: {name: group}
  audit: {enabled: true}
  authzConfig: {type: inline, inline: {policies: ['permit(principal, action, resource);', 'forbid(principal, action, resource == Tool::"fail");']}}
  config:
    aggregation: {excludeAllTools: true}
    compositeToolRefs: [{name: greeting}]
    compositeTools:
      - {name: forbidden, description: Fails., steps: [{id: try, tool: member.fail}]}
---
apiVersion: sallyport.dev/v1alpha1
kind: VirtualMCPCompositeToolDefinition
metadata: {name: greeting}
spec:
  name: greeting
  description: Asks for a name and says it.
  steps:
    - {id: ask, type: elicitation, message: "Who?", schema: {type: object, properties: {name: {type: string}}, required: [name]}}
    - {id: say, tool: member.echo, dependsOn: [ask], arguments: {text: "Hello {{.steps.ask.output.content.name}}"}}
`

// A virtual server whose members have no tools has its composite ones.
func TestCompositeToolsAlone(t *testing.T) {
	t.Parallel()
	m := startMember(t, "m", true)
	m.caps = `{"prompts":{}}`
	g := serve(t, team([]string{"config: {compositeTools: [{name: agree, description: Asks., steps: [{id: ok, type: elicitation, message: hm}]}]}"}, m))
	inBothEras(t, func(t *testing.T, modern bool) {
		v := visit(t, g.MCP(), modern)
		if !strings.Contains(v.open.Body, `"tools":{`) {
			t.Errorf("it says of itself %s", v.open.Body)
		}
		v.sees("tools/list", "agree")
		if got := v.ran("agree"); !strings.Contains(got, "has not declared the capability elicitation") {
			t.Error(got)
		}
	})
}

// REQ C-5, REQ D-7: a composite tool works alike over every transport and revision: a person is asked, a step that policy
// forbids is not carried out, and clients see it where the member's tools are hidden.
func TestCompositeTools(t *testing.T) {
	t.Parallel()
	b := testkit.StartBackend(t, testkit.Dual)
	g := testkit.Start(t, "serve", "-f", manifests(t, strings.ReplaceAll(greeting, "URL", b.URL)))
	if got := names(list(t, g, "/tools").Tools); !slices.Equal(got, []string{"virtual forbidden", "virtual greeting"}) {
		t.Errorf("the plain list has %v", got)
	}
	for _, client := range []row{
		{transport: "http", revision: "2026-07-28"},
		{transport: "http", revision: "2025-11-25"},
		{transport: "http", revision: "2025-06-18"},
		{transport: "ws", revision: "2025-06-18"},
		{transport: "sse", revision: "2025-06-18"},
		{transport: "ws", revision: "2026-07-28"},
	} {
		t.Run(client.revision+"/"+client.transport, func(t *testing.T) {
			t.Parallel()
			gc := goClient{t: t, job: client.job(column{revision: client.revision, url: g.URL})}
			session, err := gc.client().Connect(t.Context(), gc.transport(), &mcp.ClientSessionOptions{ProtocolVersion: client.revision})
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close()
			call := func(name string) string {
				result := must[*mcp.CallToolResult](t)(session.CallTool(t.Context(), &mcp.CallToolParams{Name: name, Arguments: map[string]any{}}))
				return result.Content[0].(*mcp.TextContent).Text
			}
			if got := call("greeting"); got != "Hello Ada" {
				t.Errorf("greeting: %s", got)
			}
			if got := call("forbidden"); !strings.HasPrefix(got, "step try: member.fail: not allowed by policy") {
				t.Errorf("forbidden: %s", got)
			}
		})
	}
}
