package e2e_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport-dev/sallyport/internal/testkit"
	"github.com/sallyport-dev/sallyport/internal/testkit/schema"
)

// goRows are the official Go SDK.
var goRows = []row{
	{client: "go-sdk", transport: "sse", revision: "2024-11-05"},
	{client: "go-sdk", transport: "http", revision: "2025-03-26"},
	{client: "go-sdk", transport: "http", revision: "2025-06-18"},
	{client: "go-sdk", transport: "http", revision: "2025-11-25"},
	{client: "go-sdk", transport: "http", revision: "2026-07-28"},
	{client: "go-sdk", transport: "ws", revision: "2024-11-05"},
	{client: "go-sdk", transport: "ws", revision: "2025-06-18"},
	{client: "go-sdk", transport: "ws", revision: "2026-07-28"},
}

// runGo drives the Go SDK's clients, in the test's own process.
func runGo(t *testing.T, jobs []job) []sight {
	t.Helper()
	return byColumn(jobs, func(j job) sight { return runGoAt(t, j) })
}

func runGoAt(t *testing.T, j job) sight {
	t.Helper()
	g := goClient{t: t, job: j, sight: sight{Label: j.Label, Errors: map[string]string{}}}
	g.run()
	return g.sight
}

// httpClient keeps no connection beyond the test.
func httpClient(t *testing.T) *http.Client {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
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

// goClient is one run of a client and what it saw so far.
type goClient struct {
	t       *testing.T
	job     job
	session *mcp.ClientSession
	sight   sight

	mu       sync.Mutex // of what notifications change
	progress []float64
	updated  chan string
	changed  chan bool
	said     chan string
	began    chan bool
}

// try notes what went wrong with a feature.
func (g *goClient) try(feature string, do func(ctx context.Context) error) {
	if g.job.skips(feature) || g.sight.Errors[feature] != "" {
		return
	}
	ctx, cancel := context.WithTimeout(g.t.Context(), testkit.Patience)
	defer cancel()
	if err := do(ctx); err != nil {
		g.sight.Errors[feature] = err.Error()
	}
}

func (g *goClient) run() {
	transport := g.transport()
	g.updated, g.changed, g.said, g.began = make(chan string, 1), make(chan bool, 1), make(chan string, 1), make(chan bool, 1)
	client := g.client()
	client.AddRoots(&mcp.Root{URI: "file:///home/ada", Name: "home"})
	g.try("connect", func(context.Context) (err error) { // a stream lives as long as the context that opened it
		g.session, err = client.Connect(g.t.Context(), transport, &mcp.ClientSessionOptions{ProtocolVersion: g.job.Revision})
		return err
	})
	if g.session == nil {
		return
	}
	defer g.session.Close()
	is := g.session.InitializeResult()
	g.sight.Server, g.sight.Instructions, g.sight.Revision = is.ServerInfo.Name, is.Instructions, is.ProtocolVersion
	g.lists()
	g.reads()
	g.calls()
	g.notifications()
	g.cancellation()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sight.Progress = slices.Clone(g.progress) // it is handled beside the answer, but long ago
}

// transport checks by the schemas what the gateway says, but for what it passes on as it is of a server that asks its
// clients in each revision.
func (g *goClient) transport() mcp.Transport {
	via := httpClient(g.t)
	var heard *schema.Conversation
	if g.job.bridged() || min(g.job.Revision, g.job.Server) >= "2025-06-18" {
		heard = schema.NewConversation(g.t)
	}
	switch g.job.Transport {
	case "ws":
		return &socketTransport{g.t, g.job.URL, heard}
	case "sse":
		via.Transport = heard.Client(via.Transport)
		return &mcp.SSEClientTransport{Endpoint: g.job.URL, HTTPClient: via}
	}
	via.Transport = heard.Client(via.Transport)
	return &mcp.StreamableClientTransport{Endpoint: g.job.URL, HTTPClient: via}
}

// first gives the first of what arrives to whoever waits for it.
func first[T any](to chan T, v T) {
	select {
	case to <- v:
	default:
	}
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
			if req.Params.ProgressToken == "token of wait" {
				first(g.began, true)
				return
			}
			g.mu.Lock()
			defer g.mu.Unlock()
			g.progress = append(g.progress, req.Params.Progress)
		},
		ResourceUpdatedHandler: func(_ context.Context, req *mcp.ResourceUpdatedNotificationRequest) {
			first(g.updated, req.Params.URI)
		},
		ToolListChangedHandler: func(context.Context, *mcp.ToolListChangedRequest) { first(g.changed, true) },
		LoggingMessageHandler: func(_ context.Context, req *mcp.LoggingMessageRequest) {
			said, _ := req.Params.Data.(string)
			first(g.said, said)
		},
	})
}

func (g *goClient) lists() {
	g.try("list", func(ctx context.Context) error {
		tools, err := g.session.ListTools(ctx, nil)
		prompts, err2 := g.session.ListPrompts(ctx, nil)
		resources, err3 := g.session.ListResources(ctx, nil)
		if err := cmp.Or(err, err2, err3); err != nil {
			return err
		}
		for _, tool := range tools.Tools {
			g.sight.Tools = append(g.sight.Tools, tool.Name)
		}
		for _, prompt := range prompts.Prompts {
			g.sight.Prompts = append(g.sight.Prompts, prompt.Name)
		}
		for _, resource := range resources.Resources {
			g.sight.Resources = append(g.sight.Resources, resource.URI)
		}
		return nil
	})
}

func (g *goClient) reads() {
	g.try("read", func(ctx context.Context) error {
		read, err := g.session.ReadResource(ctx, &mcp.ReadResourceParams{URI: g.job.watched()})
		if err == nil {
			g.sight.Read = read.Contents[0].Text
		}
		return err
	})
	g.try("prompt", func(ctx context.Context) error {
		prompt, err := g.session.GetPrompt(ctx, &mcp.GetPromptParams{Name: g.job.prefix() + "hello", Arguments: map[string]string{"who": "Ada"}})
		if err == nil {
			g.sight.Prompt = prompt.Messages[0].Content.(*mcp.TextContent).Text
		}
		return err
	})
	g.try("completion", func(ctx context.Context) error {
		completion, err := g.session.Complete(ctx, &mcp.CompleteParams{
			Ref:      &mcp.CompleteReference{Type: "ref/prompt", Name: g.job.prefix() + "hello"},
			Argument: mcp.CompleteParamsArgument{Name: "who"},
		})
		if err == nil {
			g.sight.Completion = completion.Completion.Values
		}
		return err
	})
}

// call gives the text that a tool answers.
func (g *goClient) call(feature, tool string, args map[string]any) (text string) {
	g.try(feature, func(ctx context.Context) error {
		params := &mcp.CallToolParams{Name: g.job.prefix() + tool, Arguments: args, Meta: mcp.Meta{}}
		params.SetProgressToken("token of " + tool)
		if tool == "say" && g.sight.Revision >= "2026-07-28" {
			params.Meta[mcp.MetaKeyLogLevel] = "info"
		}
		result, err := g.session.CallTool(ctx, params)
		if err == nil && len(result.Content) > 0 {
			text = result.Content[0].(*mcp.TextContent).Text
		}
		return err
	})
	return text
}

func (g *goClient) calls() {
	g.sight.Echo = g.call("call", "echo", map[string]any{"text": odd})
	g.try("call", func(ctx context.Context) error {
		result, err := g.session.CallTool(ctx, &mcp.CallToolParams{Name: g.job.prefix() + "fail"})
		g.sight.Failed = err == nil && result.IsError
		if _, unknown := g.session.CallTool(ctx, &mcp.CallToolParams{Name: "no-such-tool"}); unknown != nil {
			if refused, ok := errors.AsType[*jsonrpc.Error](unknown); ok {
				g.sight.Unknown = int(refused.Code)
			}
		}
		return err
	})
	g.sight.Greet = g.call("elicitation", "greet", nil)
	g.sight.Think = g.call("sampling", "think", nil)
	g.sight.Look = g.call("roots", "look", nil)
	g.sight.Count = g.call("progress", "count", nil)
}

// arrives waits for what a notification brings.
func arrives[T any](ctx context.Context, from chan T, to *T) error {
	select {
	case *to = <-from:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *goClient) notifications() {
	if g.sight.Revision < "2026-07-28" {
		g.try("log", func(ctx context.Context) error {
			return g.session.SetLoggingLevel(ctx, &mcp.SetLoggingLevelParams{Level: "info"})
		})
	}
	g.call("log", "say", nil)
	g.try("log", func(ctx context.Context) error { return arrives(ctx, g.said, &g.sight.Said) })
	g.try("subscription", func(ctx context.Context) error {
		if err := g.session.Subscribe(ctx, &mcp.SubscribeParams{URI: g.job.watched()}); err != nil {
			return err
		}
		g.call("subscription", "touch", nil)
		return arrives(ctx, g.updated, &g.sight.Updated)
	})
	g.call("list change", "grow", nil)
	g.try("list change", func(ctx context.Context) error { return arrives(ctx, g.changed, &g.sight.ListChanged) })
	g.try("subscription", func(ctx context.Context) error {
		return g.session.Unsubscribe(ctx, &mcp.UnsubscribeParams{URI: g.job.watched()})
	})
}

// cancellation cancels a call that has reached its tool: the tool reports progress first.
func (g *goClient) cancellation() {
	g.try("cancellation", func(ctx context.Context) error {
		call, cancel := context.WithCancel(ctx)
		defer cancel()
		rejected, ended := make(chan string, 1), make(chan error, 1)
		go func() {
			params := &mcp.CallToolParams{Name: g.job.prefix() + "wait", Arguments: map[string]any{"label": g.job.Label}, Meta: mcp.Meta{}}
			params.SetProgressToken("token of wait")
			_, err := g.session.CallTool(call, params)
			rejected <- map[bool]string{true: "rejected", false: "answered"}[err != nil]
			if call.Err() == nil {
				ended <- fmt.Errorf("the call ended before it was cancelled: %w", err)
			}
		}()
		select {
		case <-g.began:
		case err := <-ended:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
		cancel()
		return arrives(ctx, rejected, &g.sight.Cancelled)
	})
	g.sight.Ended = g.call("cancellation", "cancelled", map[string]any{"label": g.job.Label})
}
