package demo_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport-dev/sallyport/internal/demo"
	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// eras are the revisions an SDK client can be made to begin with.
func eras() []string { return []string{"2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"} }

// connect starts the demo and a real client of it that speaks the revision.
func connect(t *testing.T, revision string, opts *mcp.ClientOptions) *mcp.ClientSession {
	t.Helper()
	srv := httptest.NewServer(demo.Handler())
	t.Cleanup(srv.Close)
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, opts)
	cs, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{
		Endpoint:   srv.URL + "/mcp",
		HTTPClient: &http.Client{Transport: credentials{srv.Client().Transport}},
	}, &mcp.ClientSessionOptions{ProtocolVersion: revision})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cs.Close() })
	if got := cs.InitializeResult().ProtocolVersion; got != revision {
		t.Fatalf("speaking %s, want %s", got, revision)
	}
	return cs
}

const canary = "canary-77aa"

// credentials plays a gateway that forgot to strip what it should.
type credentials struct{ next http.RoundTripper }

func (c credentials) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+canary)
	r.Header.Set("X-Tenant", canary)
	return c.next.RoundTrip(r)
}

func call(t *testing.T, cs *mcp.ClientSession, p *mcp.CallToolParams) *mcp.CallToolResult {
	t.Helper()
	res, err := cs.CallTool(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func textOf(t *testing.T, res *mcp.CallToolResult) string {
	t.Helper()
	if len(res.Content) != 1 {
		t.Fatalf("%d content blocks, want 1", len(res.Content))
	}
	c, ok := res.Content[0].(*mcp.TextContent)
	if !ok {
		t.Fatalf("content is a %T", res.Content[0])
	}
	return c.Text
}

func TestToolsInEveryRevision(t *testing.T) {
	t.Parallel()
	for _, revision := range eras() {
		t.Run(revision, func(t *testing.T) {
			t.Parallel()
			cs := connect(t, revision, nil)
			for _, tc := range []struct {
				tool, want string
				args       map[string]any
				fails      bool
			}{
				{tool: "echo", args: map[string]any{"text": "ho <&> 🚪"}, want: "ho <&> 🚪"},
				{tool: "add", args: map[string]any{"a": 1.5, "b": 2}, want: `{"sum":3.5}`},
				{tool: "clock", args: map[string]any{"zone": "Europe/Vienna"}, want: "CE"}, // CET or CEST
				{tool: "clock", want: "UTC"},
				{tool: "clock", args: map[string]any{"zone": "Mars/Olympus"}, want: `unknown time zone "Mars/Olympus"`, fails: true},
				{tool: "clock", args: map[string]any{"zone": "Local"}, want: "name a zone", fails: true},
				{tool: "count", args: map[string]any{"to": 2, "delay_ms": 1}, want: "counted to 2"},
				{tool: "count", args: map[string]any{"to": 101}, want: "to must be 1 to 100", fails: true},
				{tool: "ask_name", want: "does not support elicitation", fails: true},
			} {
				res := call(t, cs, &mcp.CallToolParams{Name: tc.tool, Arguments: tc.args})
				if got := textOf(t, res); res.IsError != tc.fails || !strings.Contains(got, tc.want) {
					t.Errorf("%s %v: error %v, %q; want %q in it", tc.tool, tc.args, res.IsError, got, tc.want)
				}
			}
		})
	}
}

func TestProgress(t *testing.T) {
	t.Parallel()
	for _, revision := range eras() {
		t.Run(revision, func(t *testing.T) {
			t.Parallel()
			messages := make(chan string, 10)
			cs := connect(t, revision, &mcp.ClientOptions{
				ProgressNotificationHandler: func(_ context.Context, req *mcp.ProgressNotificationClientRequest) {
					messages <- req.Params.Message
				},
			})
			params := &mcp.CallToolParams{Name: "count", Arguments: map[string]any{"to": 3, "delay_ms": 1}}
			params.SetProgressToken("p1")
			if res := call(t, cs, params); textOf(t, res) != "counted to 3" {
				t.Errorf("got %s", textOf(t, res))
			}
			for _, want := range []string{"1 of 3", "2 of 3", "3 of 3"} {
				select { // the SDK hands notifications on in its own time
				case got := <-messages:
					if got != want {
						t.Errorf("progress %q, want %q", got, want)
					}
				case <-time.After(testkit.Patience):
					t.Fatalf("no progress %q", want)
				}
			}
		})
	}
}

func TestAskName(t *testing.T) {
	t.Parallel()
	for _, revision := range eras()[1:] { // 2025-03-26 has no elicitation
		for _, tc := range []struct {
			answer mcp.ElicitResult
			want   string
		}{
			{mcp.ElicitResult{Action: "accept", Content: map[string]any{"name": "Ada"}}, "Hello, Ada!"},
			{mcp.ElicitResult{Action: "decline"}, "No name given"},
		} {
			t.Run(revision+" "+tc.answer.Action, func(t *testing.T) {
				t.Parallel()
				cs := connect(t, revision, &mcp.ClientOptions{
					ElicitationHandler: func(context.Context, *mcp.ElicitRequest) (*mcp.ElicitResult, error) { return &tc.answer, nil },
				})
				if got := textOf(t, call(t, cs, &mcp.CallToolParams{Name: "ask_name"})); !strings.HasPrefix(got, tc.want) {
					t.Errorf("got %q, want %q", got, tc.want)
				}
			})
		}
	}
}

func TestReceivedHeadersTellsNoSecret(t *testing.T) {
	t.Parallel()
	for _, revision := range []string{"2025-11-25", "2026-07-28"} {
		t.Run(revision, func(t *testing.T) {
			t.Parallel()
			cs := connect(t, revision, nil)
			got := textOf(t, call(t, cs, &mcp.CallToolParams{Name: "received_headers"}))
			if strings.Contains(got, canary) {
				t.Errorf("a secret came back: %s", got)
			}
			var out struct {
				Headers    []struct{ Name, Value string }
				Credential bool
			}
			if err := json.Unmarshal([]byte(got), &out); err != nil {
				t.Fatal(err)
			}
			shown := make(map[string]string)
			for _, h := range out.Headers {
				shown[h.Name] = h.Value
			}
			want := map[string]string{
				"Authorization": "[redacted]", "X-Tenant": "[hidden]", "Content-Type": "application/json", "Mcp-Protocol-Version": revision,
			}
			if revision < "2026" {
				want["Mcp-Session-Id"] = "[redacted]"
			}
			for name, value := range want {
				if shown[name] != value {
					t.Errorf("%s is shown as %q, want %q", name, shown[name], value)
				}
			}
			if !out.Credential {
				t.Error("the credential was not noticed")
			}
		})
	}
}

func TestContentInEveryRevision(t *testing.T) {
	t.Parallel()
	for _, revision := range eras() {
		t.Run(revision, func(t *testing.T) {
			t.Parallel()
			cs := connect(t, revision, nil)
			prompts, err := cs.ListPrompts(t.Context(), nil)
			if err != nil || len(prompts.Prompts) != 1 {
				t.Fatalf("prompts: %v, %v", prompts, err)
			}
			prompt, err := cs.GetPrompt(t.Context(), &mcp.GetPromptParams{Name: "tour", Arguments: map[string]string{"audience": "a child"}})
			if err != nil || !strings.Contains(prompt.Messages[0].Content.(*mcp.TextContent).Text, "explain to a child") {
				t.Errorf("prompt: %v, %v", prompt, err)
			}
			resources, err := cs.ListResources(t.Context(), nil)
			if err != nil || len(resources.Resources) != 1 {
				t.Fatalf("resources: %v, %v", resources, err)
			}
			templates, err := cs.ListResourceTemplates(t.Context(), nil)
			if err != nil || len(templates.ResourceTemplates) != 1 {
				t.Fatalf("templates: %v, %v", templates, err)
			}
			for uri, want := range map[string]string{
				resources.Resources[0].URI:  "# The Sallyport demo",
				"demo://greetings/Ada%20Lo": "Hello, Ada Lo!",
			} {
				res, err := cs.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: uri})
				if err != nil || !strings.HasPrefix(res.Contents[0].Text, want) || res.Contents[0].URI != uri {
					t.Errorf("%s: %v, %v", uri, res, err)
				}
			}
			if _, err := cs.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: "demo://nothing"}); err == nil {
				t.Error("an unknown resource is read")
			}
		})
	}
}

func TestEveryToolIsDescribed(t *testing.T) {
	t.Parallel()
	cs := connect(t, "2026-07-28", nil)
	res, err := cs.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Tools) != 6 {
		t.Errorf("%d tools, want 6", len(res.Tools))
	}
	for _, tool := range res.Tools {
		if tool.Description == "" || tool.Annotations == nil || tool.Annotations.Title == "" || !tool.Annotations.ReadOnlyHint {
			t.Errorf("%s lacks a description or annotations", tool.Name)
		}
	}
	if res.CacheScope != "private" || res.TTLMs <= 0 {
		t.Errorf("cache scope %q for %d ms, want private for a while", res.CacheScope, res.TTLMs)
	}
}

func TestModernMessageWithoutHeaderIsRefused(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(demo.Handler())
	defer srv.Close()
	body := `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",` +
		`"io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"x","version":"1"}}}}`
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	res, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusBadRequest {
		t.Errorf("status %d: %s", res.StatusCode, got)
	}
}
