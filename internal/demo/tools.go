package demo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // the clock works on a machine without a zone database

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

func addTools(s *mcp.Server) {
	readOnly := func(title string) *mcp.ToolAnnotations {
		closed := false
		return &mcp.ToolAnnotations{Title: title, ReadOnlyHint: true, OpenWorldHint: &closed}
	}
	mcp.AddTool(s, &mcp.Tool{
		Name: "echo", Annotations: readOnly("Echo"),
		Description: "Returns the text it is given, unchanged.",
	}, echo)
	mcp.AddTool(s, &mcp.Tool{
		Name: "add", Annotations: readOnly("Add"),
		Description: "Adds two numbers and returns the sum as structured content.",
	}, add)
	mcp.AddTool(s, &mcp.Tool{
		Name: "clock", Annotations: readOnly("Clock"),
		Description: "Tells the current time in a time zone, UTC unless one is named.",
	}, clock)
	mcp.AddTool(s, &mcp.Tool{
		Name: "count", Annotations: readOnly("Count slowly"),
		Description: "Counts slowly and reports progress at each step; cancelling the call stops it. " +
			"Shows that streams pass through the gateway as they happen.",
	}, count)
	mcp.AddTool(s, &mcp.Tool{
		Name: "ask_name", Annotations: readOnly("Ask for a name"),
		Description: "Asks the person for a name in the middle of the call and greets them. Needs a client that supports elicitation.",
	}, askName)
	mcp.AddTool(s, &mcp.Tool{
		Name: "received_headers", Annotations: readOnly("Received headers"),
		Description: "Lists the HTTP headers that reached this server, and whether a credential was among them. " +
			"Values of headers that could identify somebody are hidden.",
	}, receivedHeaders)
}

func text(format string, args ...any) *mcp.CallToolResult {
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: fmt.Sprintf(format, args...)}}}
}

type echoInput struct {
	Text string `json:"text" jsonschema:"what to return"`
}

func echo(_ context.Context, _ *mcp.CallToolRequest, in echoInput) (*mcp.CallToolResult, any, error) {
	return text("%s", in.Text), nil, nil
}

type addInput struct {
	A float64 `json:"a" jsonschema:"the first number"`
	B float64 `json:"b" jsonschema:"the second number"`
}

type addOutput struct {
	Sum float64 `json:"sum" jsonschema:"a plus b"`
}

func add(_ context.Context, _ *mcp.CallToolRequest, in addInput) (*mcp.CallToolResult, addOutput, error) {
	return nil, addOutput{Sum: in.A + in.B}, nil
}

type clockInput struct {
	Zone string `json:"zone,omitempty" jsonschema:"IANA name of a time zone, like Europe/Vienna"`
}

func clock(_ context.Context, _ *mcp.CallToolRequest, in clockInput) (*mcp.CallToolResult, any, error) {
	if in.Zone == "Local" { // means the server's own zone to LoadLocation, which is nobody's business
		return nil, nil, errors.New("name a zone, like Europe/Vienna")
	}
	zone, err := time.LoadLocation(in.Zone)
	if err != nil {
		return nil, nil, fmt.Errorf("unknown time zone %q: use an IANA name, like Europe/Vienna", in.Zone)
	}
	return text("%s", time.Now().In(zone).Format("Monday, 2 January 2006, 15:04:05 MST")), nil, nil
}

const (
	maxCount   = 100
	maxDelayMS = 10_000
)

type countInput struct {
	To      int `json:"to,omitempty" jsonschema:"how far to count, 1 to 100; 5 if left out"`
	DelayMS int `json:"delay_ms,omitempty" jsonschema:"milliseconds between steps, up to 10000; 500 if left out"`
}

func count(ctx context.Context, req *mcp.CallToolRequest, in countInput) (*mcp.CallToolResult, any, error) {
	if in.To == 0 {
		in.To = 5
	}
	if in.DelayMS == 0 {
		in.DelayMS = 500
	}
	if in.To < 0 || in.To > maxCount || in.DelayMS < 0 || in.DelayMS > maxDelayMS {
		return nil, nil, fmt.Errorf("to must be 1 to %d and delay_ms 1 to %d", maxCount, maxDelayMS)
	}
	step := time.NewTicker(time.Duration(in.DelayMS) * time.Millisecond)
	defer step.Stop()
	token := req.Params.GetProgressToken()
	for i := 1; i <= in.To; i++ {
		select {
		case <-step.C:
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
		if token == nil { // a client that did not ask gets none
			continue
		}
		err := req.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{
			ProgressToken: token, Progress: float64(i), Total: float64(in.To), Message: fmt.Sprintf("%d of %d", i, in.To),
		})
		if err != nil {
			return nil, nil, fmt.Errorf("report progress: %w", err)
		}
	}
	return text("counted to %d", in.To), nil, nil
}

// askName works in both eras: the SDK turns the input request into
// elicitation/create for a client with a session.
func askName(_ context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
	const question = "name"
	if caps := req.ClientCapabilities(); caps == nil || caps.Elicitation == nil {
		return nil, nil, errors.New("this tool asks the person something, and the client does not support elicitation")
	}
	answer, ok := req.Params.InputResponses[question].(*mcp.ElicitResult)
	if !ok || answer == nil {
		return &mcp.CallToolResult{InputRequests: mcp.InputRequestMap{question: &mcp.ElicitParams{
			Message: "What is your name?",
			RequestedSchema: &jsonschema.Schema{
				Type:       "object",
				Properties: map[string]*jsonschema.Schema{"name": {Type: "string", Description: "How you want to be greeted"}},
				Required:   []string{"name"},
			},
		}}}, nil, nil
	}
	name, _ := answer.Content["name"].(string)
	if answer.Action != "accept" || strings.TrimSpace(name) == "" {
		return text("No name given. That is fine."), nil, nil
	}
	return text("Hello, %s!", name), nil, nil
}
