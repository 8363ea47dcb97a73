package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport-dev/sallyport/internal/audit"
	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// desk is a server with tools for steps, which notes what it was called for.
type desk struct {
	*testkit.Backend

	mu    sync.Mutex
	calls []string
	fails atomic.Int32 // how often "shaky" fails before it works
	meet  sync.WaitGroup
}

func newDesk(t *testing.T, era testkit.Era) *desk {
	t.Helper()
	d := &desk{Backend: testkit.StartBackend(t, era)}
	add := func(name, schema string, readOnly bool, run func(context.Context, map[string]any) (any, error)) {
		tool := &mcp.Tool{Name: name, Description: name, InputSchema: json.RawMessage(schema), Annotations: &mcp.ToolAnnotations{ReadOnlyHint: readOnly}}
		d.Server.AddTool(tool, func(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			var in map[string]any
			if err := json.Unmarshal(req.Params.Arguments, &in); err != nil {
				return nil, err
			}
			d.note(name + " " + string(req.Params.Arguments))
			out, err := run(ctx, in)
			if err != nil {
				return &mcp.CallToolResult{IsError: true, Content: []mcp.Content{&mcp.TextContent{Text: err.Error()}}}, nil
			}
			if text, ok := out.(string); ok {
				return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}}, nil
			}
			raw, _ := json.Marshal(out)
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: string(raw)}}, StructuredContent: out}, nil
		})
	}
	add("add", `{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"integer"},"note":{"type":"string"}}}`, true, func(_ context.Context, in map[string]any) (any, error) {
		a, okA := in["a"].(float64)
		b, okB := in["b"].(float64)
		if !okA || !okB {
			return nil, fmt.Errorf("a and b must be numbers, and are %T and %T", in["a"], in["b"])
		}
		return map[string]any{"sum": a + b, "of": []any{a, b}}, nil
	})
	add("say", `{"type":"object","properties":{"text":{"type":"string"}}}`, false, func(_ context.Context, in map[string]any) (any, error) {
		return fmt.Sprint(in["text"]), nil
	})
	add("shaky", `{"type":"object"}`, false, func(context.Context, map[string]any) (any, error) {
		if d.fails.Add(-1) >= 0 {
			return nil, fmt.Errorf("it is not ready")
		}
		return "steady", nil
	})
	add("meet", `{"type":"object"}`, false, func(context.Context, map[string]any) (any, error) {
		d.meet.Done()
		d.meet.Wait() // for another
		return "met", nil
	})
	add("list", `{"type":"object"}`, true, func(context.Context, map[string]any) (any, error) {
		return map[string]any{"items": []any{map[string]any{"n": 1}, map[string]any{"n": 2}, map[string]any{"n": 3}}}, nil
	})
	return d
}

func (d *desk) note(call string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls = append(d.calls, call)
}

// took returns the calls since the last time.
func (d *desk) took() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	calls := d.calls
	d.calls = nil
	return calls
}

// composites are the manifests of a virtual server over a desk, with composite tools.
func composites(d *desk, policies string, tools ...string) string {
	docs := object("MCPGroup", "team", "description: for tests") +
		object("MCPServerEntry", "desk", "groupRef: {name: team}", "transport: streamable-http", "remoteUrl: "+d.URL, "allowPrivateEndpoint: true")
	spec := []string{"groupRef: {name: team}", "audit: {enabled: true}"}
	if policies != "" {
		spec = append(spec, "authzConfig: {type: inline, inline: {policies: ["+policies+"]}}")
	}
	spec = append(spec, "config:", "  compositeTools:")
	for _, tool := range tools {
		spec = append(spec, "    - "+strings.ReplaceAll(strings.TrimSpace(tool), "\n", "\n      "))
	}
	return docs + object("VirtualMCPServer", "all", strings.Split(strings.Join(spec, "\n"), "\n")...)
}

// eras are the revisions that clients of these tests speak.
var eras = []string{"2025-06-18", "2025-11-25", "2026-07-28"}

// caller is a client of the SDK, and what its person is asked.
type caller struct {
	*mcp.ClientSession

	mu       sync.Mutex
	asked    []string
	progress []string
}

// told is the progress of which the client has been told.
func (c *caller) told() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.progress)
}

// connect has a client of a revision come to the rig. person answers what is asked; nil
// where nobody can be asked.
func connect(t *testing.T, r *rig, revision string, person func(*mcp.ElicitParams) *mcp.ElicitResult) *caller {
	t.Helper()
	s := httptest.NewServer(r)
	transport := &http.Transport{}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		s.CloseClientConnections()
		s.Close()
	})
	c := &caller{}
	opts := &mcp.ClientOptions{ProgressNotificationHandler: func(_ context.Context, req *mcp.ProgressNotificationClientRequest) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.progress = append(c.progress, fmt.Sprintf("%v/%v %s", req.Params.Progress, req.Params.Total, req.Params.Message))
	}}
	if person != nil {
		opts.ElicitationHandler = func(_ context.Context, req *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
			c.mu.Lock()
			c.asked = append(c.asked, req.Params.Message)
			c.mu.Unlock()
			return person(req.Params), nil
		}
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, opts)
	var err error
	c.ClientSession, err = client.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: s.URL + "/servers/all/mcp", HTTPClient: &http.Client{Transport: transport}, DisableStandaloneSSE: true},
		&mcp.ClientSessionOptions{ProtocolVersion: revision})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// ask calls a tool, and returns its text with "error: " before it where it is one.
func (c *caller) ask(t *testing.T, name string, arguments map[string]any) (text string, structured any) {
	t.Helper()
	result, err := c.CallTool(t.Context(), &mcp.CallToolParams{Name: name, Arguments: arguments})
	if err != nil {
		return "fault: " + err.Error(), nil
	}
	for _, content := range result.Content {
		if part, ok := content.(*mcp.TextContent); ok {
			text += part.Text
		}
	}
	if result.IsError {
		text = "error: " + text
	}
	return text, result.StructuredContent
}

func accepts(content map[string]any) func(*mcp.ElicitParams) *mcp.ElicitResult {
	return func(*mcp.ElicitParams) *mcp.ElicitResult {
		return &mcp.ElicitResult{Action: "accept", Content: maps.Clone(content)}
	}
}

func says(action string) func(*mcp.ElicitParams) *mcp.ElicitResult {
	return func(*mcp.ElicitParams) *mcp.ElicitResult { return &mcp.ElicitResult{Action: action} }
}

const sums = `
name: sums
description: Adds twice, and says so.
parameters: {type: object, properties: {x: {type: integer}, by: {type: integer, default: 10}, note: {type: string}}, required: [x]}
steps:
  - {id: first, tool: desk.add, arguments: {a: "{{.params.x}}", b: "{{.params.by}}", note: "{{.params.note}}"}}
  - {id: second, tool: desk_add, dependsOn: [first], arguments: {a: "{{.steps.first.output.sum}}", b: 1}}
  - {id: third, tool: desk.say, dependsOn: [second], arguments: {text: "{{.params.x}} and {{json .steps.second.output.of}} via {{.steps.first.status}}"}, condition: "{{gt .steps.second.output.sum 15}}", defaultResults: {text: nothing}}
output:
  properties:
    total: {type: integer, value: "{{.steps.second.output.sum}}"}
    said: {type: string, value: "{{.steps.third.output.text}}"}
    all: {type: object, properties: {parts: {type: array, value: "{{.steps.second.output.of}}"}, none: {type: string, value: "{{.steps.second.output.none}}"}}}
    other: {type: boolean, value: "{{.steps.second.output.none}}", default: true}
  required: [total]
`

// REPORT 30: steps follow each other, with results and defaults in the arguments of the next, and make a structured result.
func TestCompositeSteps(t *testing.T) {
	t.Parallel()
	for _, server := range []testkit.Era{testkit.Sessions, testkit.Stateless} {
		d := newDesk(t, server)
		r := newRig(t, composites(d, "", sums), nil)
		for _, era := range eras {
			c := connect(t, r, era, nil)
			r.events.take()
			text, structured := c.ask(t, "sums", map[string]any{"x": 5})
			want := map[string]any{"total": 16.0, "said": "5 and [15,1] via completed", "all": map[string]any{"parts": []any{15.0, 1.0}}, "other": true}
			if diff := cmp.Diff(want, structured); diff != "" {
				t.Fatalf("%s: %s (-want +got):\n%s", era, text, diff)
			}
			calls := []string{`add {"a":5,"b":10}`, `add {"a":15,"b":1}`, `say {"text":"5 and [15,1] via completed"}`}
			if diff := cmp.Diff(calls, d.took()); diff != "" {
				t.Errorf("%s: the server was called (-want +got):\n%s", era, diff)
			}
			compositeAudit(t, r.events.take())
			if _, structured := c.ask(t, "sums", map[string]any{"x": 1, "by": 2, "note": "n"}); structured.(map[string]any)["said"] != "nothing" {
				t.Errorf("%s: a skipped step is %v", era, structured)
			}
			if calls := d.took(); len(calls) != 2 || calls[0] != `add {"a":1,"b":2,"note":"n"}` {
				t.Errorf("%s: the server was called %v", era, calls)
			}
			if text, _ := c.ask(t, "sums", map[string]any{"x": "five"}); !strings.HasPrefix(text, "error: arguments: ") || len(d.took()) > 0 {
				t.Errorf("%s: a wrong argument is %s", era, text)
			}
		}
	}
}

// compositeAudit holds that each step has an event of its own, within that of the call.
func compositeAudit(t *testing.T, events []audit.Event) {
	t.Helper()
	var whole string
	var parts []string
	for _, e := range events {
		switch {
		case e.Method != "tools/call":
		case e.Within == "":
			whole = e.ID
		default:
			parts = append(parts, e.Within+" "+e.Part+" "+e.Member+" "+e.Target+" "+string(e.Outcome))
		}
	}
	want := []string{whole + " first desk add success", whole + " second desk add success", whole + " third desk say success"}
	if diff := cmp.Diff(want, parts); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// The list has composite tools first, with the hints of what is in their steps, and no member's tool takes their names.
func TestCompositeList(t *testing.T) {
	t.Parallel()
	d := newDesk(t, testkit.Stateless)
	r := newRig(t, composites(d, "", sums,
		`{name: desk_say, description: In place of a member's., annotations: {title: Says, readOnlyHint: true, idempotentHint: true}, steps: [{id: a, tool: desk.say}]}`,
		`{name: reads, description: Only reads., steps: [{id: a, tool: desk.list}]}`), nil)
	for _, era := range eras {
		c := connect(t, r, era, nil)
		list, err := c.ListTools(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		named := map[string]*mcp.Tool{}
		for _, tool := range list.Tools {
			if named[tool.Name] != nil {
				t.Errorf("%s: %s is there twice", era, tool.Name)
			}
			named[tool.Name] = tool
		}
		if list.Tools[0].Name != "sums" || named["desk_say"].Description != "In place of a member's." || named["desk_add"] == nil {
			t.Errorf("%s: the list is %v", era, slices.Sorted(maps.Keys(named)))
		}
		for name, want := range map[string][2]bool{"sums": {false, true}, "desk_say": {false, true}, "reads": {true, false}} {
			a := named[name].Annotations
			if a.ReadOnlyHint != want[0] || *a.DestructiveHint != want[1] || a.IdempotentHint != (name == "desk_say") {
				t.Errorf("%s: %s has the annotations %+v", era, name, a)
			}
		}
		if raw, _ := json.Marshal(named["sums"].OutputSchema); !strings.Contains(string(raw), `"required":["total"]`) {
			t.Errorf("%s: the output schema is %s", era, raw)
		}
		if text, _ := c.ask(t, "desk_say", nil); text != "<nil>" {
			t.Errorf("%s: desk_say says %s", era, text)
		}
	}
}

// Steps that do not wait for each other run side by side, and a list's elements too.
func TestCompositeSideBySide(t *testing.T) {
	t.Parallel()
	d := newDesk(t, testkit.Stateless)
	r := newRig(t, composites(d, "", `
name: both
description: Meets.
steps:
  - {id: a, tool: desk.meet}
  - {id: b, tool: desk.meet}
  - {id: c, tool: desk.say, dependsOn: [a, b], arguments: {text: "{{.steps.a.output.text}} {{.steps.b.output.text}}"}}
`, `
name: each
description: Adds one to each.
steps:
  - {id: all, tool: desk.list}
  - id: more
    type: forEach
    dependsOn: [all]
    collection: "{{json .steps.all.output.items}}"
    itemVar: it
    step: {tool: desk.add, arguments: {a: "{{.forEach.it.n}}", b: "{{.forEach.index}}"}}
output: {properties: {done: {type: integer, value: "{{.steps.more.output.completed}}"}, last: {type: integer, value: "{{(index .steps.more.output.iterations 2).output.sum}}"}}}
`), nil)
	for _, era := range eras {
		c := connect(t, r, era, nil)
		d.meet.Add(2)
		if text, _ := c.ask(t, "both", nil); text != "met met" {
			t.Errorf("%s: %s", era, text)
		}
		if text, structured := c.ask(t, "each", nil); !cmp.Equal(structured, any(map[string]any{"done": 3.0, "last": 5.0})) {
			t.Errorf("%s: %s", era, text)
		}
	}
}

const approved = `
name: approved
description: Asks before it says.
steps:
  - {id: first, tool: desk.add, arguments: {a: 1, b: 2}}
  - id: ok
    type: elicitation
    dependsOn: [first]
    message: "Say {{.steps.first.output.sum}}?"
    schema: {type: object, properties: {word: {type: string}}, required: [word]}
    onDecline: {action: continue}
    onCancel: {action: skip_remaining}
  - {id: second, tool: desk.say, dependsOn: [ok], condition: '{{eq .steps.ok.output.action "accept"}}', arguments: {text: "{{.steps.ok.output.content.word}}"}, defaultResults: {text: nope}}
  - {id: third, tool: desk.say, dependsOn: [second], arguments: {text: "it was {{.steps.second.output.text}}"}}
`

// A person is asked in the client's own way, once, and the steps before are not run again.
func TestCompositeElicitation(t *testing.T) {
	t.Parallel()
	d := newDesk(t, testkit.Sessions)
	r := newRig(t, composites(d, "", approved, `
name: greets
description: Has a member ask, and asks.
steps:
  - {id: hello, tool: desk.greet}
  - {id: you, type: elicitation, message: "And you?", schema: {type: object, properties: {name: {type: string}}}}
  - {id: both, tool: desk.say, dependsOn: [hello, you], arguments: {text: "{{.steps.hello.output.text}} {{.steps.you.output.content.name}}"}}
`), nil)
	for _, era := range eras {
		for _, tt := range []struct {
			name   string
			person func(*mcp.ElicitParams) *mcp.ElicitResult
			want   string
			calls  int
		}{
			{"accept", accepts(map[string]any{"word": "hi"}), "it was hi", 3},
			{"decline", says("decline"), "it was nope", 2},
			{"cancel", says("cancel"), `{"action":"cancel","content":{}}`, 1},
			{"nobody", nil, "error: step ok: the person has to be asked, and this client cannot do that: it has not declared the capability elicitation", 0},
		} {
			c := connect(t, r, era, tt.person)
			d.took()
			if text, _ := c.ask(t, "approved", nil); text != tt.want {
				t.Errorf("%s %s: %s", era, tt.name, text)
			}
			if calls := d.took(); len(calls) != tt.calls {
				t.Errorf("%s %s: the server was called %v", era, tt.name, calls)
			}
			if tt.person != nil && !slices.Equal(c.asked, []string{"Say 3?"}) {
				t.Errorf("%s %s: the person was asked %v", era, tt.name, c.asked)
			}
		}
		c := connect(t, r, era, accepts(map[string]any{"name": "Ada"}))
		if text, _ := c.ask(t, "greets", nil); text != "Hello, Ada! Ada" {
			t.Errorf("%s: %s", era, text)
		}
		if slices.Sort(c.asked); !slices.Equal(c.asked, []string{"And you?", "Who are you?"}) {
			t.Errorf("%s: the person was asked %v", era, c.asked)
		}
	}
}

// REQ G-4: a caller who may not call a member's tool cannot call it by a composite tool, and hidden tools are policy's too.
func TestCompositeDenied(t *testing.T) {
	t.Parallel()
	d := newDesk(t, testkit.Stateless)
	twice := `{name: twice, description: Adds and says., steps: [{id: a, tool: desk.add, arguments: {a: 1, b: 1}}, {id: b, tool: desk.say, dependsOn: [a], arguments: {text: x}}]}`
	onward := `{name: onward, description: Goes on., steps: [{id: a, tool: desk.say, onError: {action: continue}, defaultResults: {text: none}}, {id: b, tool: desk.add, dependsOn: [a], arguments: {a: 1, b: "{{len .steps.a.output.text}}"}}]}`
	r := newRig(t, composites(d, `'permit(principal, action, resource);', '@id("no-say") forbid(principal, action == Action::"call_tool", resource == Tool::"say");', '@id("no-hidden") forbid(principal, action, resource == Tool::"hidden");'`,
		twice, onward, `{name: hidden, description: Is denied., steps: [{id: a, tool: desk.add}]}`), nil)
	for _, era := range eras {
		c := connect(t, r, era, nil)
		list, err := c.ListTools(t.Context(), nil)
		if err != nil || slices.ContainsFunc(list.Tools, func(tool *mcp.Tool) bool { return tool.Name == "hidden" }) || list.Tools[0].Name != "twice" {
			t.Errorf("%s: the list is %v (%v)", era, list, err)
		}
		d.took()
		r.events.take()
		if text, _ := c.ask(t, "twice", nil); !strings.HasPrefix(text, "error: step b: desk.say: not allowed by policy; the operator can look up the decision ") {
			t.Errorf("%s: %s", era, text)
		}
		if calls := d.took(); !slices.Equal(calls, []string{`add {"a":1,"b":1}`}) {
			t.Errorf("%s: the server was called %v", era, calls)
		}
		denied := 0
		for _, e := range r.events.take() {
			if e.Part == "b" && e.Outcome == audit.Denied && strings.Contains(e.Reason, "no-say") && e.Target == "say" {
				denied++
			}
		}
		if denied != 1 {
			t.Errorf("%s: %d events say that the step was denied", era, denied)
		}
		if text, structured := c.ask(t, "onward", nil); !cmp.Equal(structured, any(map[string]any{"sum": 5.0, "of": []any{1.0, 4.0}})) {
			t.Errorf("%s: %s", era, text)
		}
		if text, _ := c.ask(t, "hidden", nil); !strings.HasPrefix(text, "fault: ") || !strings.Contains(text, "not allowed by policy") {
			t.Errorf("%s: %s", era, text)
		}
	}
}

// What failed is tried again where the step says so, and no call that may have been carried out.
func TestCompositeErrors(t *testing.T) {
	t.Parallel()
	d := newDesk(t, testkit.Sessions)
	r := newRig(t, composites(d, "",
		`{name: patient, description: Tries., steps: [{id: a, tool: desk.shaky, onError: {action: retry, retryCount: 2, retryDelay: 1ms}}]}`,
		`{name: impatient, description: Does not., steps: [{id: a, tool: desk.shaky}]}`,
		`{name: slow, description: Waits., steps: [{id: a, tool: desk.wait, timeout: 50ms, onError: {action: retry, retryCount: 3, retryDelay: 1ms}}]}`,
		`{name: long, description: Waits., timeout: 50ms, steps: [{id: a, tool: desk.wait}]}`,
		`{name: unknown, description: Is not there., steps: [{id: a, tool: desk.nothing}]}`,
		`{name: texts, description: Has no number., steps: [{id: a, tool: desk.say, arguments: {text: x}}, {id: b, tool: desk.add, dependsOn: [a], arguments: {a: 1, b: "{{.steps.a.output.n}}"}}]}`), nil)
	for _, era := range eras {
		c := connect(t, r, era, nil)
		for _, tt := range []struct {
			tool  string
			fails int32
			want  string
			calls int
		}{
			{"patient", 2, "steady", 3},
			{"patient", 5, "error: step a: desk.shaky: it is not ready", 3},
			{"impatient", 1, "error: step a: desk.shaky: it is not ready", 1},
			{"slow", 0, "error: step a: desk.wait: it took longer than 50ms; the operator can allow more in its timeout", 0},
			{"long", 0, "error: the steps of long took longer than 50ms; the operator can allow more in timeout", 0},
			{"unknown", 0, "error: step a: there is no tool desk.nothing among those of the members now", 0},
			{"texts", 0, "error: step b: desk.add: a and b must be numbers, and are float64 and <nil>", 2},
		} {
			d.took()
			d.fails.Store(tt.fails)
			if text, _ := c.ask(t, tt.tool, nil); text != tt.want {
				t.Errorf("%s %s: %s", era, tt.tool, text)
			}
			if calls := d.took(); len(calls) != tt.calls {
				t.Errorf("%s %s: the server was called %v", era, tt.tool, calls)
			}
		}
	}
	if n := int(d.Waits.Load()); n > 2*len(eras) { // or fewer, where the time was over before
		t.Errorf("a call whose end nobody knows was made %d times in %d", n, 2*len(eras))
	}
}

// A client that leaves ends the steps; one that wants to hear of progress does.
func TestCompositeProgressAndCancel(t *testing.T) {
	t.Parallel()
	d := newDesk(t, testkit.Sessions)
	r := newRig(t, composites(d, "", sums, `{name: waits, description: Waits., steps: [{id: a, tool: desk.wait}, {id: b, tool: desk.say, dependsOn: [a]}]}`), nil)
	for i, era := range eras {
		c := connect(t, r, era, nil)
		params := &mcp.CallToolParams{Name: "sums", Arguments: map[string]any{"x": 1}}
		params.SetProgressToken("p")
		if _, err := c.CallTool(t.Context(), params); err != nil {
			t.Fatal(err)
		}
		want := []string{"1/3 step first: completed", "2/3 step second: completed"} // the SDK tells of it after the result, too
		testkit.Eventually(t, "the client is told of progress", func() bool { return slices.Equal(c.told(), want) })
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			_, err := c.CallTool(ctx, &mcp.CallToolParams{Name: "waits"})
			done <- err
		}()
		testkit.Eventually(t, "the server waits", func() bool { return int(d.Waits.Load()) == i+1 })
		cancel()
		if err := <-done; err == nil {
			t.Errorf("%s: a call that was cancelled has a result", era)
		}
		testkit.Eventually(t, "the server hears that nobody waits", func() bool { return d.Cancelled() == i+1 })
	}
}

// An answer is good for its own caller and call, once.
func TestCompositeStateIsOnce(t *testing.T) {
	t.Parallel()
	d := newDesk(t, testkit.Stateless)
	r := newRig(t, composites(d, "", approved, `{name: other, description: Asks too., steps: [{id: ok, type: elicitation, message: "?"}]}`), nil)
	call := func(tool, more string) (raw map[string]any) {
		w := r.send(post("/servers/all/mcp", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"`+tool+`","arguments":{},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",`+
			`"io.modelcontextprotocol/clientInfo":{"name":"t","version":"1"},"io.modelcontextprotocol/clientCapabilities":{"elicitation":{}}}`+more+`}}`,
			"Accept", "application/json, text/event-stream", "Mcp-Protocol-Version", "2026-07-28", "Mcp-Method", "tools/call", "Mcp-Name", tool))
		if err := json.Unmarshal(w.Body.Bytes(), &raw); err != nil {
			t.Fatalf("%v: %s", err, w.Body)
		}
		return raw
	}
	first, _ := call("approved", "")["result"].(map[string]any)
	requests, _ := first["inputRequests"].(map[string]any)
	if first["resultType"] != "input_required" || requests["ok"] == nil {
		t.Fatalf("it does not ask: %v", first)
	}
	state := fmt.Sprintf(`,"requestState":%q`, first["requestState"])
	const answer = `,"inputResponses":{"ok":{"action":"accept","content":{"word":"yes"}}}`
	for name, tt := range map[string]struct{ tool, more, want string }{
		"no answers":   {"approved", state, `inputResponses has no answer to "ok"`},
		"another tool": {"other", state + answer, "no call of other waits"},
		"made up":      {"approved", `,"requestState":"composite.X"` + answer, "no call of approved waits"},
	} {
		fault, _ := call(tt.tool, tt.more)["error"].(map[string]any)
		if text, _ := fault["message"].(string); !strings.HasPrefix(text, tt.want) {
			t.Errorf("%s: %v", name, fault)
		}
	}
	d.took()
	result, _ := call("approved", state+answer)["result"].(map[string]any)
	if fmt.Sprint(result["content"]) != "[map[text:it was yes type:text]]" || len(d.took()) != 2 {
		t.Errorf("the call goes on to %v", result)
	}
	if fault, _ := call("approved", state+answer)["error"].(map[string]any); fault == nil || len(d.took()) > 0 {
		t.Error("an answer is good twice")
	}
	call("approved", "") // is left waiting, and ends with the gateway
}
