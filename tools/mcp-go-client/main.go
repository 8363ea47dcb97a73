// Command mcp-go-client drives clients of mcp-go through one of everything: it reads the jobs of e2e/clients_test.go as
// JSON from stdin, and prints what each client saw.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"
)

// job and sight are those of e2e/clients_test.go.
type job struct {
	Label, Revision, Transport, URL, Column string
	Skip                                    []string
}

type sight struct {
	Label, Server, Instructions, Revision string
	Tools, Prompts, Resources             []string
	Prompt, Read                          string
	Completion                            []string
	Echo                                  string
	Failed                                bool
	Unknown                               int
	Greet, Think, Look, Said, Count       string
	Progress                              []float64
	Updated                               string
	ListChanged                           bool
	Cancelled, Ended                      string
	Errors                                map[string]string
}

const (
	modern   = "2026-07-28"
	patience = 3 * time.Minute
)

func main() {
	var jobs []job
	if err := json.NewDecoder(os.Stdin).Decode(&jobs); err != nil {
		fmt.Fprintln(os.Stderr, "read the jobs:", err)
		os.Exit(1)
	}
	columns := map[string][]job{}
	for _, j := range jobs {
		columns[j.Column] = append(columns[j.Column], j)
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	var sights []sight
	places := make(chan struct{}, 4)
	for _, jobs := range columns {
		all.Go(func() {
			for _, j := range jobs {
				places <- struct{}{}
				s := drive(j)
				<-places
				mu.Lock()
				sights = append(sights, s)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if err := json.NewEncoder(os.Stdout).Encode(sights); err != nil {
		fmt.Fprintln(os.Stderr, "print what was seen:", err)
		os.Exit(1)
	}
}

// run is one client.
type run struct {
	job
	client *client.Client
	sight  sight

	mu       sync.Mutex // of progress
	progress []float64
	updated  chan string
	changed  chan bool
	said     chan string
	began    chan bool
	listens  chan bool
}

func drive(j job) sight {
	r := run{
		job: j, updated: make(chan string, 1), changed: make(chan bool, 1), said: make(chan string, 1), began: make(chan bool, 1), listens: make(chan bool, 1),
		sight: sight{Label: j.Label, Errors: map[string]string{}},
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r.try("connect", func(context.Context) error { return r.connect(ctx) })
	if r.client == nil || r.sight.Errors["connect"] != "" {
		return r.sight
	}
	defer r.client.Close()
	r.lists()
	r.reads()
	r.calls()
	r.notifications(ctx)
	r.cancellation()
	return r.sight
}

// try notes what went wrong with a feature.
func (r *run) try(feature string, do func(context.Context) error) {
	if slices.Contains(r.Skip, feature) || r.sight.Errors[feature] != "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := do(ctx); err != nil {
		r.sight.Errors[feature] = err.Error()
	}
}

func (r *run) connect(ctx context.Context) (err error) {
	var t transport.Interface
	switch {
	case r.Transport == "sse":
		t, err = transport.NewSSE(r.URL)
	case r.Revision >= modern:
		t, err = transport.NewStreamableHTTP(r.URL)
	default:
		t, err = transport.NewStreamableHTTP(r.URL, transport.WithContinuousListening())
	}
	if err != nil {
		return err
	}
	c := client.NewClient(t, client.WithProtocolVersion(r.Revision), client.WithDiscoverTimeout(patience), client.WithElicitationHandler(r), client.WithSamplingHandler(r), client.WithRootsHandler(r))
	c.OnNotification(r.notified)
	if err := c.Start(ctx); err != nil {
		return err
	}
	r.client = c
	is, err := c.Initialize(ctx, mcp.InitializeRequest{Params: mcp.InitializeParams{ProtocolVersion: r.Revision, ClientInfo: mcp.Implementation{Name: "e2e", Version: "1"}}})
	if err != nil {
		return err
	}
	r.sight.Server, r.sight.Instructions, r.sight.Revision = is.ServerInfo.Name, is.Instructions, is.ProtocolVersion
	return nil
}

// Elicit, CreateMessage and ListRoots answer what servers ask.
func (r *run) Elicit(context.Context, mcp.ElicitationRequest) (*mcp.ElicitationResult, error) {
	return &mcp.ElicitationResult{ElicitationResponse: mcp.ElicitationResponse{Action: mcp.ElicitationResponseActionAccept, Content: map[string]any{"name": "Ada"}}}, nil
}

func (r *run) CreateMessage(context.Context, mcp.CreateMessageRequest) (*mcp.CreateMessageResult, error) {
	return &mcp.CreateMessageResult{Model: "m", SamplingMessage: mcp.SamplingMessage{Role: mcp.RoleAssistant, Content: mcp.NewTextContent("hm")}}, nil
}

func (r *run) ListRoots(context.Context, mcp.ListRootsRequest) (*mcp.ListRootsResult, error) {
	return &mcp.ListRootsResult{Roots: []mcp.Root{{URI: "file:///home/ada", Name: "home"}}}, nil
}

// tell gives the first of what arrives to whoever waits for it.
func tell[T any](to chan T, v T) {
	select {
	case to <- v:
	default:
	}
}

func (r *run) notified(n mcp.JSONRPCNotification) {
	fields := n.Params.AdditionalFields
	switch n.Method {
	case "notifications/progress":
		if fields["progressToken"] == "token of wait" {
			tell(r.began, true)
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		progress, _ := fields["progress"].(float64)
		r.progress = append(r.progress, progress)
	case "notifications/resources/updated":
		uri, _ := fields["uri"].(string)
		tell(r.updated, uri)
	case "notifications/tools/list_changed":
		tell(r.changed, true)
	case "notifications/message":
		said, _ := fields["data"].(string)
		tell(r.said, said)
	case "notifications/subscriptions/acknowledged":
		tell(r.listens, true)
	}
}

func (r *run) lists() {
	r.try("list", func(ctx context.Context) error {
		tools, err := r.client.ListTools(ctx, mcp.ListToolsRequest{})
		prompts, err2 := r.client.ListPrompts(ctx, mcp.ListPromptsRequest{})
		resources, err3 := r.client.ListResources(ctx, mcp.ListResourcesRequest{})
		if err := cmp.Or(err, err2, err3); err != nil {
			return err
		}
		for _, tool := range tools.Tools {
			r.sight.Tools = append(r.sight.Tools, tool.Name)
		}
		for _, prompt := range prompts.Prompts {
			r.sight.Prompts = append(r.sight.Prompts, prompt.Name)
		}
		for _, resource := range resources.Resources {
			r.sight.Resources = append(r.sight.Resources, resource.URI)
		}
		return nil
	})
}

func (r *run) reads() {
	r.try("read", func(ctx context.Context) error {
		read, err := r.client.ReadResource(ctx, mcp.ReadResourceRequest{Params: mcp.ReadResourceParams{URI: "test://watched"}})
		if err == nil && len(read.Contents) > 0 {
			if text, ok := mcp.AsTextResourceContents(read.Contents[0]); ok {
				r.sight.Read = text.Text
			}
		}
		return err
	})
	r.try("prompt", func(ctx context.Context) error {
		prompt, err := r.client.GetPrompt(ctx, mcp.GetPromptRequest{Params: mcp.GetPromptParams{Name: "hello", Arguments: map[string]string{"who": "Ada"}}})
		if err == nil && len(prompt.Messages) > 0 {
			r.sight.Prompt = mcp.GetTextFromContent(prompt.Messages[0].Content)
		}
		return err
	})
	r.try("completion", func(ctx context.Context) error {
		completion, err := r.client.Complete(ctx, mcp.CompleteRequest{Params: mcp.CompleteParams{
			Ref: mcp.PromptReference{Type: "ref/prompt", Name: "hello"}, Argument: mcp.CompleteArgument{Name: "who"},
		}})
		if err == nil {
			r.sight.Completion = completion.Completion.Values
		}
		return err
	})
}

func (r *run) callTool(ctx context.Context, tool string, args map[string]any) (*mcp.CallToolResult, error) {
	return r.client.CallTool(ctx, mcp.CallToolRequest{Params: mcp.CallToolParams{Name: tool, Arguments: args, Meta: &mcp.Meta{ProgressToken: "token of " + tool}}})
}

// call gives the text that a tool answers.
func (r *run) call(feature, tool string, args map[string]any) (text string) {
	r.try(feature, func(ctx context.Context) error {
		result, err := r.callTool(ctx, tool, args)
		if err == nil && len(result.Content) > 0 {
			text = mcp.GetTextFromContent(result.Content[0])
		}
		return err
	})
	return text
}

func (r *run) calls() {
	r.sight.Echo = r.call("call", "echo", map[string]any{"text": "grüße 😀\u2028"})
	r.try("call", func(ctx context.Context) error {
		result, err := r.callTool(ctx, "fail", nil)
		r.sight.Failed = err == nil && result.IsError
		if _, unknown := r.callTool(ctx, "no-such-tool", nil); errors.Is(unknown, mcp.ErrInvalidParams) {
			r.sight.Unknown = mcp.INVALID_PARAMS
		}
		return err
	})
	r.sight.Greet = r.call("elicitation", "greet", nil)
	r.sight.Think = r.call("sampling", "think", nil)
	r.sight.Look = r.call("roots", "look", nil)
	r.sight.Count = r.call("progress", "count", nil)
	r.try("progress", func(ctx context.Context) error { // what it reports is handled beside the answer
		return r.again(ctx, func() bool { r.mu.Lock(); defer r.mu.Unlock(); return len(r.progress) >= 3 }, nil)
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sight.Progress = slices.Clone(r.progress)
}

// again does something, if it is not nil, until what it should bring about is there: nobody
// says when the stream is open on which it comes.
func (r *run) again(ctx context.Context, done func() bool, do func(context.Context) error) error {
	for tick := time.NewTicker(50 * time.Millisecond); ; {
		if do != nil {
			if err := do(ctx); err != nil {
				tick.Stop()
				return err
			}
		}
		for range 20 {
			if done() {
				tick.Stop()
				return nil
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				tick.Stop()
				return ctx.Err()
			}
		}
	}
}

func came[T any](from chan T, to *T) func() bool {
	return func() bool {
		select {
		case *to = <-from:
			return true
		default:
			return false
		}
	}
}

func (r *run) notifications(ctx context.Context) {
	tool := func(name string) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := r.callTool(ctx, name, nil)
			return err
		}
	}
	r.try("log", func(ctx context.Context) error {
		if err := r.client.SetLevel(ctx, mcp.SetLevelRequest{Params: mcp.SetLevelParams{Level: mcp.LoggingLevelInfo}}); err != nil {
			return err
		}
		return r.again(ctx, came(r.said, &r.sight.Said), tool("say"))
	})
	r.try("subscription", func(do context.Context) error {
		if r.sight.Revision < modern {
			return r.client.Subscribe(do, mcp.SubscribeRequest{Params: mcp.SubscribeParams{URI: "test://watched"}})
		}
		filter := mcp.SubscriptionFilter{ToolsListChanged: true, ResourceSubscriptions: []string{"test://watched"}}
		if _, err := r.client.ListenAsync(ctx, filter, nil); err != nil {
			return err
		}
		var acknowledged bool
		return r.again(do, came(r.listens, &acknowledged), nil)
	})
	r.try("subscription", func(ctx context.Context) error { return r.again(ctx, came(r.updated, &r.sight.Updated), tool("touch")) })
	r.try("list change", func(ctx context.Context) error {
		return r.again(ctx, came(r.changed, &r.sight.ListChanged), tool("grow"))
	})
}

// cancellation cancels a call that has reached its tool: the tool reports progress first.
func (r *run) cancellation() {
	r.try("cancellation", func(ctx context.Context) error {
		call, cancel := context.WithCancel(ctx)
		defer cancel()
		rejected := make(chan string, 1)
		go func() {
			_, err := r.callTool(call, "wait", map[string]any{"label": r.Label})
			rejected <- map[bool]string{true: "rejected", false: "answered"}[err != nil]
		}()
		select {
		case <-r.began:
			cancel()
		case r.sight.Cancelled = <-rejected:
			return errors.New("the call ended before it was cancelled")
		case <-ctx.Done():
			return ctx.Err()
		}
		select {
		case r.sight.Cancelled = <-rejected:
		case <-ctx.Done():
			return ctx.Err()
		}
		return nil
	})
	r.sight.Ended = r.call("cancellation", "cancelled", map[string]any{"label": r.Label})
}
