package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// This file is about the search for tools in place of tools.

// deskAndLab is a virtual server over two members: desk, with sessions, and lab, without. Whoever calls says so in a header.
func deskAndLab(t *testing.T, spec ...string) (desk, lab *testkit.Backend, docs string) {
	t.Helper()
	desk, lab = testkit.StartBackend(t, testkit.Sessions), testkit.StartBackend(t, testkit.Stateless)
	answer := func(text string) mcp.ToolHandler {
		return func(_ context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text + string(req.Params.Arguments)}}}, nil
		}
	}
	schema := json.RawMessage(`{"type":"object","properties":{"title":{"type":"string"}}}`)
	desk.Server.AddTool(&mcp.Tool{Name: "create_invoice", Description: "Makes an invoice for a customer", InputSchema: schema}, answer("invoice"))
	desk.Server.AddTool(&mcp.Tool{Name: "refund_invoice", Description: "Gives a customer the money of an invoice back", InputSchema: schema}, answer("refund"))
	lab.Server.AddTool(&mcp.Tool{Name: "start_vm", Description: "Starts a virtual machine", InputSchema: schema}, answer("vm"))
	member := func(name, url string) string {
		return object("MCPServerEntry", name, "remoteUrl: "+url, "allowPrivateEndpoint: true", "transport: streamable-http", "groupRef: {name: team}")
	}
	spec = append([]string{
		"groupRef: {name: team}", "trustedProxy: {clientAuthEnabled: false, trustProxyAuth: true}", "audit: {enabled: true}",
	}, spec...)
	return desk, lab, object("MCPGroup", "team", "description: x") + member("desk", desk.URL) + member("lab", lab.URL) + object("VirtualMCPServer", "team", spec...)
}

const (
	finds       = "config: {optimizer: {maxToolsToReturn: 5}}"
	deskForAnna = `authzConfig: {type: inline, inline: {policies: [` +
		`'permit(principal == Client::"anna", action, resource == Tool::"create_invoice");', 'permit(principal == Client::"bert", action, resource);', ` +
		`'forbid(principal == Client::"bert", action == Action::"call_tool", resource == Tool::"create_invoice");']}}`
)

// as is a client's session for somebody.
func as(t *testing.T, g *testkit.Gateway, name, revision string) *mcp.ClientSession {
	t.Helper()
	c := mcp.NewClient(&mcp.Implementation{Name: "e2e", Version: "1"}, nil)
	via := &http.Client{Transport: userHeader{name, client.Transport}}
	s, err := c.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: at(g, "team"), HTTPClient: via, MaxRetries: -1}, &mcp.ClientSessionOptions{ProtocolVersion: revision})
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

type userHeader struct {
	name string
	http.RoundTripper
}

func (u userHeader) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-Authenticated-User", u.name)
	return u.RoundTripper.RoundTrip(r)
}

func namesListed(t *testing.T, s *mcp.ClientSession) (names []string) {
	t.Helper()
	l, err := s.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range l.Tools {
		names = append(names, tool.Name)
	}
	slices.Sort(names)
	return names
}

// found is what find_tool finds, by name.
func found(t *testing.T, s *mcp.ClientSession, what string) (names []string) {
	t.Helper()
	got, err := s.CallTool(t.Context(), &mcp.CallToolParams{Name: "find_tool", Arguments: map[string]any{"tool_description": what, "tool_keywords": []string{"please"}}})
	if err != nil || got.IsError {
		t.Fatalf("find_tool: %v, %v", got, err)
	}
	var r struct {
		Tools []struct {
			Name        string
			InputSchema json.RawMessage
		}
		TokenMetrics struct {
			Baseline int     `json:"baseline_tokens"`
			Returned int     `json:"returned_tokens"`
			Savings  float64 `json:"savings_percent"`
		} `json:"token_metrics"`
	}
	if err := json.Unmarshal([]byte(got.Content[0].(*mcp.TextContent).Text), &r); err != nil {
		t.Fatal(err)
	}
	structured, err := json.Marshal(got.StructuredContent)
	var same any
	if err != nil || json.Unmarshal(structured, &same) != nil || !strings.Contains(string(structured), "token_metrics") {
		t.Errorf("structured content %s, %v", structured, err)
	}
	if m := r.TokenMetrics; m.Baseline < m.Returned || len(r.Tools) > 0 && m.Returned == 0 {
		t.Errorf("metrics %+v", m)
	}
	for _, tool := range r.Tools {
		names = append(names, tool.Name)
		if len(tool.InputSchema) == 0 {
			t.Errorf("%s has no schema", tool.Name)
		}
	}
	return names
}

func callTool(t *testing.T, s *mcp.ClientSession, name string, parameters map[string]any) (string, error) {
	t.Helper()
	got, err := s.CallTool(t.Context(), &mcp.CallToolParams{Name: "call_tool", Arguments: map[string]any{"tool_name": name, "parameters": parameters}})
	if err != nil {
		return "", err
	}
	text := got.Content[0].(*mcp.TextContent).Text
	if got.IsError {
		return text, fmt.Errorf("isError: %s", text)
	}
	return text, nil
}

// REPORT 32: a search shows what its caller may use and nothing else, a call is judged as the call of the tool itself.
// REQ B-21, REQ B-26, REQ F-3: for clients of both eras, and members of both.
func TestOptimizer(t *testing.T) {
	t.Parallel()
	_, _, docs := deskAndLab(t, finds, deskForAnna, "rateLimiting: {tools: [{name: lab_start_vm, shared: {maxTokens: 2, refillPeriod: 1h}}]}")
	g := serve(t, docs)
	for _, revision := range []string{"2025-06-18", "2026-07-28"} {
		anna, bert := as(t, g, "anna", revision), as(t, g, "bert", revision)
		for _, s := range []*mcp.ClientSession{anna, bert} {
			if diff := cmp.Diff([]string{"call_tool", "find_tool"}, namesListed(t, s)); diff != "" {
				t.Errorf("%s lists (-want +got):\n%s", revision, diff)
			}
		}
		if diff := cmp.Diff([]string{"desk_create_invoice"}, found(t, anna, "an invoice, a refund or a virtual machine")); diff != "" {
			t.Errorf("anna finds (-want +got):\n%s", diff)
		}
		if got := found(t, bert, "an invoice, a refund or a virtual machine"); !slices.Contains(got, "desk_refund_invoice") || !slices.Contains(got, "lab_start_vm") ||
			slices.Contains(got, "desk_create_invoice") {
			t.Errorf("bert finds %v", got)
		}
		if got, err := callTool(t, anna, "desk_create_invoice", map[string]any{"title": "x"}); err != nil || got != `invoice{"title":"x"}` {
			t.Errorf("anna's call brings %q, %v", got, err)
		}
		if got, err := callTool(t, bert, "lab_start_vm", nil); err != nil || got != "vm{}" {
			t.Errorf("bert's call brings %q, %v", got, err)
		}
		for _, refused := range []struct {
			s    *mcp.ClientSession
			name string
			want string
		}{
			{anna, "desk_refund_invoice", "not allowed by policy"},
			{bert, "desk_create_invoice", "not allowed by policy"},
			{bert, "nothing", "unknown tool: nothing"},
			{bert, "call_tool", "unknown tool: call_tool"},
			{bert, "", "tool_name is missing"},
		} {
			if _, err := callTool(t, refused.s, refused.name, nil); err == nil || !strings.Contains(err.Error(), refused.want) {
				t.Errorf("call_tool %q: %v, want %s", refused.name, err, refused.want)
			}
		}
		// What is not listed cannot be called.
		if _, err := bert.CallTool(t.Context(), &mcp.CallToolParams{Name: "desk_refund_invoice"}); err == nil || !strings.Contains(err.Error(), "unknown tool") {
			t.Errorf("a tool that is not listed was called: %v", err)
		}
	}
	// A limit on a tool counts its calls, by whatever name.
	if _, err := callTool(t, as(t, g, "bert", "2026-07-28"), "lab_start_vm", nil); err == nil || !strings.Contains(err.Error(), "Too Many Requests") {
		t.Errorf("the third call: %v", err)
	}
	if diff := cmp.Diff([]string{"call_tool", "find_tool"}, names(list(t, g, "/servers/team/tools", "X-Authenticated-User", "anna").Tools)); diff != "" {
		t.Errorf("the plain list (-want +got):\n%s", diff)
	}
	if err := g.Stop(); err != nil {
		t.Fatal(err)
	}
	// REQ B-22: audited is what ran.
	audited := g.Stdout.String()
	for _, want := range []string{`"tool":"create_invoice"`, `"tool":"start_vm"`, `"tool":"find_tool"`} {
		if !strings.Contains(audited, want) {
			t.Errorf("no event has %s", want)
		}
	}
}

// vectors is an embedding service whose texts mean what they have in common with the words of a few subjects.
func vectors(t *testing.T, fails func() bool) *testkit.Recorder {
	t.Helper()
	subjects := []string{"money,invoice,customer,accounts", "machine,computer", "ask,name,user"}
	return testkit.Record(t, func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Model string
			Input []string
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || fails() || in.Model != "m" {
			http.Error(w, "no", http.StatusInternalServerError)
			return
		}
		type one struct {
			Index     int       `json:"index"`
			Embedding []float64 `json:"embedding"`
		}
		var out struct {
			Data []one `json:"data"`
		}
		for i, text := range in.Input {
			v := []float64{0.01, 0.01, 0.01, 0.01}
			for k, words := range subjects {
				for word := range strings.SplitSeq(words, ",") {
					if strings.Contains(strings.ToLower(text), word) {
						v[k]++
					}
				}
			}
			out.Data = append(out.Data, one{i, v})
		}
		_ = json.NewEncoder(w).Encode(out)
	})
}

// Tools are found by their meaning where a service says what that is, and by their words while it fails.
func TestOptimizerByMeaning(t *testing.T) {
	t.Parallel()
	var broken atomic.Bool
	service := vectors(t, broken.Load)
	_, _, docs := deskAndLab(t, "config: {optimizer: {maxToolsToReturn: 1, embeddingProvider: openai, embeddingService: "+service.URL+"/v1, embeddingModel: m, "+
		"embeddingKeyRef: {name: key, key: value}, embeddingHeaders: {X-Team: a}, allowPrivateIPs: true, hybridSearchSemanticRatio: '1.0', semanticDistanceThreshold: '0.5'}}")
	g := serve(t, docs+secretObject("key", "value", "CANARY-key"))
	s := as(t, g, "anna", "2026-07-28")
	const question = "settle accounts" // no word of it is in any tool
	testkit.Eventually(t, "a tool to be found by its meaning", func() bool {
		got := found(t, s, question)
		return len(got) == 1 && strings.HasSuffix(got[0], "_invoice")
	})
	for _, r := range service.Requests() {
		if r.Target != "/v1/embeddings" || r.Header.Get("Authorization") != "Bearer CANARY-key" || r.Header.Get("X-Team") != "a" {
			t.Errorf("request to %s with %v", r.Target, r.Header)
		}
	}
	testkit.Eventually(t, "a question that was asked before, of tools that are all known, to be no request", func() bool {
		before := len(service.Requests())
		found(t, s, question)
		return len(service.Requests()) == before
	})
	broken.Store(true)
	if got := found(t, s, "start a virtual machine"); !slices.Equal(got, []string{"lab_start_vm"}) {
		t.Errorf("by words alone: %v", got)
	}
	g.Stderr.WaitFor(t, "the embedding service fails")
	if body := (request{method: http.MethodGet, url: g.URL + "/servers"}).do(t).Body; !strings.Contains(body, `{"name":"embedding service","status":"unavailable"}`) {
		t.Errorf("/servers: %s", body)
	}
	if strings.Contains(g.Stdout.String()+g.Stderr.String(), "CANARY") {
		t.Error("the key is in the output")
	}
}
