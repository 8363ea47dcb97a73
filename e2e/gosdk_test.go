package e2e_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// TestGoClients drives the official Go SDK. A client "go-REVISION" asks for
// that revision, "go" for the newest.
//
// REQ A-1, REQ B-19, REQ F-1: real clients of every revision work with a server behind the gateway, over every transport, anonymously.
func TestGoClients(t *testing.T) {
	t.Parallel()
	follow(t, []route{
		{"go", testkit.Stateless, "direct http", "2026-07-28"},
		{"go", testkit.Dual, "direct http stdio", "2026-07-28"},
		{"go", testkit.Sessions, "direct http sse", "2025-11-25"},
		{"go-2025-11-25", testkit.Sessions, "direct http sse stdio", "2025-11-25"},
		{"go-2025-06-18", testkit.Sessions, "direct http sse stdio", "2025-06-18"},
		{"go-2025-03-26", testkit.Sessions, "direct http sse stdio", "2025-03-26"},
		{"go-2024-11-05-sse", testkit.Sessions, "direct http sse stdio", "2024-11-05"},
		{"go-ws", testkit.Dual, "http stdio", "2026-07-28"},
		{"go-ws", testkit.Sessions, "http sse", "2025-11-25"},
		{"go-2025-06-18-ws", testkit.Sessions, "http sse stdio", "2025-06-18"},
		{"go-2024-11-05-ws", testkit.Sessions, "http sse stdio", "2024-11-05"},
	}, runGo)
}

func runGo(t *testing.T, client, url string, events *testkit.Output) sight {
	t.Helper()
	g := goClient{t: t, updated: make(chan string, 1), listChanged: make(chan bool, 1)}
	revision, sse := strings.CutSuffix(strings.TrimPrefix(client, "go"), "-sse")
	revision, ws := strings.CutSuffix(revision, "-ws")
	var transport mcp.Transport = &mcp.StreamableClientTransport{Endpoint: url, HTTPClient: httpClient(t)}
	switch {
	case sse:
		transport = &mcp.SSEClientTransport{Endpoint: url, HTTPClient: httpClient(t)}
	case ws:
		transport = &socketTransport{t, url}
	}
	var err error
	g.session, err = g.client().Connect(t.Context(), transport, &mcp.ClientSessionOptions{ProtocolVersion: strings.TrimPrefix(revision, "-")})
	if err != nil {
		t.Fatal(err)
	}
	defer g.session.Close()
	is := g.session.InitializeResult()
	g.sight.Server, g.sight.Instructions, g.sight.Revision = is.ServerInfo.Name, is.Instructions, is.ProtocolVersion
	g.lists()
	g.calls()
	g.notifications()
	g.cancellation(events)
	return g.sight
}

// httpClient keeps no connection beyond the test.
func httpClient(t *testing.T) *http.Client {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// goClient is one run of a client and what it saw so far.
type goClient struct {
	t           *testing.T
	session     *mcp.ClientSession
	sight       sight
	updated     chan string
	listChanged chan bool
}

func (g *goClient) client() *mcp.Client {
	return mcp.NewClient(&mcp.Implementation{Name: "e2e", Version: "1"}, &mcp.ClientOptions{
		ElicitationHandler: func(context.Context, *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
			return &mcp.ElicitResult{Action: "accept", Content: map[string]any{"name": "Ada"}}, nil
		},
		CreateMessageHandler: func(context.Context, *mcp.CreateMessageRequest) (*mcp.CreateMessageResult, error) {
			return &mcp.CreateMessageResult{Model: "m", Role: "assistant", Content: &mcp.TextContent{Text: "hm"}}, nil
		},
		ProgressNotificationHandler: func(_ context.Context, req *mcp.ProgressNotificationClientRequest) {
			g.sight.Progress = append(g.sight.Progress, req.Params.Progress)
		},
		ResourceUpdatedHandler: func(_ context.Context, req *mcp.ResourceUpdatedNotificationRequest) {
			g.updated <- req.Params.URI
		},
		ToolListChangedHandler: func(context.Context, *mcp.ToolListChangedRequest) { g.listChanged <- true },
	})
}

// must is for the calls that have to succeed.
func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func (g *goClient) lists() {
	t, ctx := g.t, g.t.Context()
	for _, tool := range must[*mcp.ListToolsResult](t)(g.session.ListTools(ctx, nil)).Tools {
		g.sight.Tools = append(g.sight.Tools, tool.Name)
	}
	slices.Sort(g.sight.Tools)
	for _, prompt := range must[*mcp.ListPromptsResult](t)(g.session.ListPrompts(ctx, nil)).Prompts {
		g.sight.Prompts = append(g.sight.Prompts, prompt.Name)
	}
	for _, resource := range must[*mcp.ListResourcesResult](t)(g.session.ListResources(ctx, nil)).Resources {
		g.sight.Resources = append(g.sight.Resources, resource.URI)
	}
	prompt := must[*mcp.GetPromptResult](t)(g.session.GetPrompt(ctx, &mcp.GetPromptParams{Name: "hello", Arguments: map[string]string{"who": "Ada"}}))
	g.sight.Prompt = prompt.Messages[0].Content.(*mcp.TextContent).Text
	read := must[*mcp.ReadResourceResult](t)(g.session.ReadResource(ctx, &mcp.ReadResourceParams{URI: testkit.WatchedResource}))
	g.sight.Read = read.Contents[0].Text
	g.sight.Completion = must[*mcp.CompleteResult](t)(g.session.Complete(ctx, &mcp.CompleteParams{
		Ref:      &mcp.CompleteReference{Type: "ref/prompt", Name: "hello"},
		Argument: mcp.CompleteParamsArgument{Name: "who"},
	})).Completion.Values
}

// call returns the text that a tool answers.
func (g *goClient) call(tool string, args map[string]any) string {
	g.t.Helper()
	params := &mcp.CallToolParams{Name: tool, Arguments: args}
	params.SetProgressToken("token of " + tool)
	result := must[*mcp.CallToolResult](g.t)(g.session.CallTool(g.t.Context(), params))
	return result.Content[0].(*mcp.TextContent).Text
}

func (g *goClient) calls() {
	ctx := g.t.Context()
	g.sight.Echo = g.call("echo", map[string]any{"text": odd})
	g.sight.Failed = must[*mcp.CallToolResult](g.t)(g.session.CallTool(ctx, &mcp.CallToolParams{Name: "fail"})).IsError
	_, err := g.session.CallTool(ctx, &mcp.CallToolParams{Name: "no-such-tool"})
	if refused, ok := errors.AsType[*jsonrpc.Error](err); ok {
		g.sight.Unknown = int(refused.Code)
	}
	g.sight.Greet = g.call("greet", nil)
	g.sight.Think = g.call("think", nil)
	g.sight.Count = g.call("count", nil)
}

func (g *goClient) notifications() {
	t, ctx := g.t, g.t.Context()
	if err := g.session.Subscribe(ctx, &mcp.SubscribeParams{URI: testkit.WatchedResource}); err != nil {
		t.Fatal(err)
	}
	g.call("touch", nil)
	g.sight.Updated = testkit.Receive(t, "notifications/resources/updated", g.updated)
	g.call("grow", nil)
	g.sight.ListChanged = testkit.Receive(t, "notifications/tools/list_changed", g.listChanged)
	if err := g.session.Unsubscribe(ctx, &mcp.UnsubscribeParams{URI: testkit.WatchedResource}); err != nil {
		t.Fatal(err)
	}
}

func (g *goClient) cancellation(events *testkit.Output) {
	ctx, cancel := context.WithCancel(g.t.Context())
	defer cancel()
	rejected := make(chan string, 1)
	go func() {
		_, err := g.session.CallTool(ctx, &mcp.CallToolParams{Name: "wait"})
		rejected <- map[bool]string{true: "rejected", false: "answered"}[err != nil]
	}()
	events.WaitFor(g.t, testkit.WaitBegan)
	cancel()
	events.WaitFor(g.t, testkit.WaitCancelled)
	g.sight.Cancelled = testkit.Receive(g.t, "the cancelled call returns", rejected)
}
