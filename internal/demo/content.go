package demo

import (
	"context"
	"net/url"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const (
	readmeURI      = "demo://readme"
	greetingPrefix = "demo://greetings/"
)

const readme = `# The Sallyport demo

You are talking to a small MCP server through the Sallyport gateway.

- Call the tool "echo" to see a plain call.
- Call "count" to see progress arrive while the call runs.
- Call "ask_name" to be asked something in the middle of a call.
- Call "received_headers" to see which headers the gateway let through to this
  server: your own Authorization header and cookies are not among them.
`

func addContent(s *mcp.Server) {
	s.AddResource(&mcp.Resource{
		URI: readmeURI, Name: "readme", Title: "About this demo", MIMEType: "text/markdown",
		Description: "What to try in this demo, and what each thing shows.",
	}, func(_ context.Context, req *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
		return contents(req, "text/markdown", readme), nil
	})
	s.AddResourceTemplate(&mcp.ResourceTemplate{
		URITemplate: greetingPrefix + "{name}", Name: "greeting", Title: "A greeting", MIMEType: "text/plain",
		Description: "A greeting for the given name.",
	}, greeting)
	s.AddPrompt(&mcp.Prompt{
		Name: "tour", Title: "Tour of the demo",
		Description: "Asks the assistant to walk through the tools of this demo and explain what each shows.",
		Arguments: []*mcp.PromptArgument{
			{Name: "audience", Description: "Whom to explain it to, like \"a security team\""},
		},
	}, tour)
}

func contents(req *mcp.ReadResourceRequest, mime, body string) *mcp.ReadResourceResult {
	return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: req.Params.URI, MIMEType: mime, Text: body}}}
}

func greeting(_ context.Context, req *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
	name, err := url.PathUnescape(strings.TrimPrefix(req.Params.URI, greetingPrefix))
	if err != nil || name == "" {
		return nil, mcp.ResourceNotFoundError(req.Params.URI)
	}
	return contents(req, "text/plain", "Hello, "+name+"!"), nil
}

func tour(_ context.Context, req *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
	audience := req.Params.Arguments["audience"]
	if audience == "" {
		audience = "a newcomer"
	}
	return &mcp.GetPromptResult{
		Description: "A tour of the demo",
		Messages: []*mcp.PromptMessage{{Role: "user", Content: &mcp.TextContent{
			Text: "Call each tool of this server once, the one named received_headers last. Then explain to " + audience +
				" what a gateway between an assistant and its tools does, using what you saw.",
		}}},
	}, nil
}
