package testkit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// WatchedResource is the URI of the resource that the tool "touch" says was updated.
const WatchedResource = "test://watched"

// newServer makes a server with one of everything that a gateway must let pass.
func (b *Backend) newServer(revisions []string) *mcp.Server {
	accept := func(context.Context, *mcp.SubscribeRequest) error { return nil }
	s := mcp.NewServer(&mcp.Implementation{Name: "testkit", Version: "1"}, &mcp.ServerOptions{
		Instructions:              "A server for tests.",
		SupportedProtocolVersions: revisions,
		SubscribeHandler:          accept,
		UnsubscribeHandler:        func(context.Context, *mcp.UnsubscribeRequest) error { return nil },
		CompletionHandler: func(context.Context, *mcp.CompleteRequest) (*mcp.CompleteResult, error) {
			return &mcp.CompleteResult{Completion: mcp.CompletionResultDetails{Values: []string{"one", "two"}, Total: 2}}, nil
		},
	})
	if slices.Equal(revisions, []string{modernRevision}) {
		s.AddReceivingMiddleware(refuseSessions)
	}
	addTool(s, "echo", "Returns its argument text", b.echo)
	addTool(s, "count", "Sends three progress notifications", b.count)
	addTool(s, "greet", "Asks the client's user for a name, by elicitation", b.greet)
	addTool(s, "think", "Asks the client's model for a sentence, by sampling", b.think)
	addTool(s, "look", "Asks the client for its roots", b.look)
	addTool(s, "say", "Logs a message", b.say)
	addTool(s, "wait", "Reports progress, and ends only when it is cancelled", b.wait)
	addTool(s, "cancelled", "Ends when the call of wait with the same label has been cancelled", b.cancelled)
	addTool(s, "touch", "Says that "+WatchedResource+" was updated", b.touch)
	addTool(s, "grow", "Adds a tool, so that the list changes", b.grow)
	addTool(s, "fail", "Fails", func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return &mcp.CallToolResult{IsError: true, Content: text("it failed, as it should")}, nil
	})
	s.AddPrompt(&mcp.Prompt{Name: "hello", Description: "A greeting", Arguments: []*mcp.PromptArgument{{Name: "who"}}},
		func(_ context.Context, req *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
			return &mcp.GetPromptResult{Messages: []*mcp.PromptMessage{
				{Role: "user", Content: &mcp.TextContent{Text: "Hello, " + req.Params.Arguments["who"]}},
			}}, nil
		})
	s.AddResource(&mcp.Resource{URI: WatchedResource, Name: "watched", MIMEType: "text/plain"},
		func(_ context.Context, req *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
			return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: req.Params.URI, Text: "watched"}}}, nil
		})
	return s
}

// refuseSessions has a server know no initialize, which the SDK's answers over stdio whatever it is to speak.
func refuseSessions(next mcp.MethodHandler) mcp.MethodHandler {
	return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
		if method == "initialize" {
			return nil, &jsonrpc.Error{Code: -32601, Message: "there is no initialize in " + modernRevision}
		}
		return next(ctx, method, req)
	}
}

// addTool adds a tool that takes any object: the tests are about what passes, not about schemas.
func addTool(s *mcp.Server, name, description string, handler mcp.ToolHandler) {
	s.AddTool(&mcp.Tool{Name: name, Description: description, InputSchema: json.RawMessage(`{"type":"object"}`)}, handler)
}

func text(s string) []mcp.Content { return []mcp.Content{&mcp.TextContent{Text: s}} }

func (b *Backend) echo(_ context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	var in struct{ Text string }
	if err := json.Unmarshal(req.Params.Arguments, &in); err != nil {
		return nil, err
	}
	return &mcp.CallToolResult{Content: text(in.Text)}, nil
}

func (b *Backend) count(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	for i := range 3 {
		err := req.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{
			ProgressToken: req.Params.GetProgressToken(), Progress: float64(i + 1), Total: 3,
		})
		if err != nil {
			return nil, err
		}
	}
	return &mcp.CallToolResult{Content: text("counted")}, nil
}

// greet and think ask as 2026-07-28 does; for a client of an older revision the SDK sends a request of the server instead.
func (b *Backend) greet(_ context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	if answer, ok := req.Params.InputResponses["name"].(*mcp.ElicitResult); ok && answer.Action == "accept" {
		return &mcp.CallToolResult{Content: text(fmt.Sprintf("Hello, %v!", answer.Content["name"]))}, nil
	}
	schema := json.RawMessage(`{"type":"object","properties":{"name":{"type":"string"}},"required":["name"]}`)
	return &mcp.CallToolResult{InputRequests: mcp.InputRequestMap{
		"name": &mcp.ElicitParams{Message: "Who are you?", RequestedSchema: schema},
	}}, nil
}

func (b *Backend) think(_ context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	if answer, ok := req.Params.InputResponses["thought"].(*mcp.CreateMessageWithToolsResult); ok && len(answer.Content) > 0 {
		if said, ok := answer.Content[0].(*mcp.TextContent); ok {
			return &mcp.CallToolResult{Content: text("The model said: " + said.Text)}, nil
		}
	}
	return &mcp.CallToolResult{InputRequests: mcp.InputRequestMap{
		"thought": &mcp.CreateMessageParams{MaxTokens: 10, Messages: []*mcp.SamplingMessage{
			{Role: "user", Content: &mcp.TextContent{Text: "Say something."}},
		}},
	}}, nil
}

func (b *Backend) look(_ context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	if answer, ok := req.Params.InputResponses["roots"].(*mcp.ListRootsResult); ok && len(answer.Roots) > 0 {
		return &mcp.CallToolResult{Content: text("The client is at " + answer.Roots[0].URI)}, nil
	}
	return &mcp.CallToolResult{InputRequests: mcp.InputRequestMap{"roots": &mcp.ListRootsParams{}}}, nil
}

func (b *Backend) say(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	err := req.Session.Log(ctx, &mcp.LoggingMessageParams{Level: "warning", Logger: "testkit", Data: "said"})
	return &mcp.CallToolResult{Content: text("logged")}, err
}

// Cancelled is how many calls of "wait" were cancelled.
func (b *Backend) Cancelled() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.ended)
}

// wait takes a label, by which the tool "cancelled" finds it.
func (b *Backend) wait(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	b.Waits.Add(1)
	var in struct{ Label string }
	_ = json.Unmarshal(req.Params.Arguments, &in) // there may be none
	if token := req.Params.GetProgressToken(); token != nil {
		_ = req.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{ProgressToken: token, Progress: 1}) // ends below if the client is gone
	}
	select {
	case <-ctx.Done():
		b.mu.Lock()
		defer b.mu.Unlock()
		b.ended = append(b.ended, in.Label)
		close(b.changed)
		b.changed = make(chan struct{})
		return nil, ctx.Err()
	case <-b.closing:
		return nil, errTestOver
	}
}

var errTestOver = errors.New("the test is over")

func (b *Backend) cancelled(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	var in struct{ Label string }
	if err := json.Unmarshal(req.Params.Arguments, &in); err != nil {
		return nil, err
	}
	for {
		b.mu.Lock()
		ended, changed := slices.Contains(b.ended, in.Label), b.changed
		b.mu.Unlock()
		if ended {
			return &mcp.CallToolResult{Content: text("it was cancelled")}, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-b.closing:
			return nil, errTestOver
		}
	}
}

func (b *Backend) touch(ctx context.Context, _ *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	err := b.Server.ResourceUpdated(ctx, &mcp.ResourceUpdatedNotificationParams{URI: WatchedResource})
	return &mcp.CallToolResult{Content: text("touched")}, err
}

func (b *Backend) grow(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	name := fmt.Sprintf("grown-%d", b.grown.Add(1))
	addTool(b.Server, name, "Was added while the server ran", b.echo)
	return &mcp.CallToolResult{Content: text(name)}, nil
}
