package bridge_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/bridge"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/seal"
	"github.com/sallyport-dev/sallyport/internal/testkit"
	"github.com/sallyport-dev/sallyport/internal/testkit/schema"
)

// server is a server of the official SDK that does all that crosses the bridge.
type server struct {
	*sdk.Server
	asked atomic.Int32 // calls of ask
}

func newServer() *server {
	s := &server{}
	s.Server = sdk.NewServer(&sdk.Implementation{Name: "sdk", Version: "1"}, &sdk.ServerOptions{
		Instructions:       "be kind",
		SubscribeHandler:   func(context.Context, *sdk.SubscribeRequest) error { return nil },
		UnsubscribeHandler: func(context.Context, *sdk.UnsubscribeRequest) error { return nil },
		CompletionHandler: func(context.Context, *sdk.CompleteRequest) (*sdk.CompleteResult, error) {
			return &sdk.CompleteResult{Completion: sdk.CompletionResultDetails{Values: []string{"one", "two"}}}, nil
		},
	})
	s.tool("echo", func(_ context.Context, _ *sdk.CallToolRequest, a args) (*sdk.CallToolResult, error) {
		return said("%s", a.Text), nil
	})
	s.tool("fail", func(context.Context, *sdk.CallToolRequest, args) (*sdk.CallToolResult, error) {
		return nil, errors.New("it failed")
	})
	s.tool("ask", func(ctx context.Context, req *sdk.CallToolRequest, a args) (*sdk.CallToolResult, error) {
		s.asked.Add(1)
		elicit := &sdk.ElicitParams{Message: "which colour?", RequestedSchema: map[string]any{
			"type": "object", "properties": map[string]any{"colour": map[string]any{"type": "string"}},
		}}
		if req.Params.InputResponses == nil && req.ProtocolVersion() >= string(mcp.Rev20260728) {
			return &sdk.CallToolResult{InputRequests: sdk.InputRequestMap{"c": elicit}, RequestState: "state"}, nil
		}
		res, ok := req.Params.InputResponses["c"].(*sdk.ElicitResult)
		if !ok {
			var err error
			if res, err = req.Session.Elicit(ctx, elicit); err != nil {
				return nil, err
			}
		}
		return said("%s %v", res.Action, res.Content["colour"]), nil
	})
	s.tool("progress", func(ctx context.Context, req *sdk.CallToolRequest, _ args) (*sdk.CallToolResult, error) {
		for i := range 3 {
			if err := req.Session.NotifyProgress(ctx, &sdk.ProgressNotificationParams{
				ProgressToken: req.Params.GetProgressToken(), Progress: float64(i + 1), Total: 3,
			}); err != nil {
				return nil, err
			}
		}
		return said("done"), nil
	})
	s.tool("grow", func(context.Context, *sdk.CallToolRequest, args) (*sdk.CallToolResult, error) {
		s.tool("grown", func(context.Context, *sdk.CallToolRequest, args) (*sdk.CallToolResult, error) {
			return said("grown"), nil
		})
		return said("done"), nil
	})
	s.AddResource(&sdk.Resource{Name: "r", URI: "mem://r"}, func(context.Context, *sdk.ReadResourceRequest) (*sdk.ReadResourceResult, error) {
		return &sdk.ReadResourceResult{Contents: []*sdk.ResourceContents{{URI: "mem://r", Text: "content"}}}, nil
	})
	s.tool("update", func(ctx context.Context, _ *sdk.CallToolRequest, _ args) (*sdk.CallToolResult, error) {
		return said("done"), s.ResourceUpdated(ctx, &sdk.ResourceUpdatedNotificationParams{URI: "mem://r"})
	})
	s.AddPrompt(&sdk.Prompt{Name: "p"}, func(context.Context, *sdk.GetPromptRequest) (*sdk.GetPromptResult, error) {
		return &sdk.GetPromptResult{Messages: []*sdk.PromptMessage{{Role: "user", Content: &sdk.TextContent{Text: "hello"}}}}, nil
	})
	return s
}

type args struct {
	Text string `json:"text,omitempty"`
}

func (s *server) tool(name string, do func(context.Context, *sdk.CallToolRequest, args) (*sdk.CallToolResult, error)) {
	sdk.AddTool(s.Server, &sdk.Tool{Name: name}, func(ctx context.Context, req *sdk.CallToolRequest, a args) (*sdk.CallToolResult, any, error) {
		res, err := do(ctx, req, a)
		return res, nil, err
	})
}

func said(format string, a ...any) *sdk.CallToolResult {
	return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: fmt.Sprintf(format, a...)}}}
}

// start serves a server in one era, and returns a bridge before it.
func start(t *testing.T, s *server, modern bool) *bridge.Bridge {
	t.Helper()
	handler := sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return s.Server },
		&sdk.StreamableHTTPOptions{Stateless: modern, PropagateRequestCancellation: true})
	srv := httptest.NewServer(schema.Watch(t, schema.Requests, onlyEra(handler, modern)))
	t.Cleanup(srv.Close)
	t.Cleanup(srv.CloseClientConnections)
	u, _ := url.Parse(srv.URL)
	b, err := backend.NewHTTP(backend.HTTPConfig{Name: "b", URL: u, AllowPrivate: true})
	if err != nil {
		t.Fatal(err)
	}
	ring, err := seal.NewRing()
	if err != nil {
		t.Fatal(err)
	}
	br := bridge.New(bridge.Config{Name: "b", Next: b, Ring: ring, MaxBytes: 1 << 20, Limits: mcp.DefaultLimits(), Patience: time.Minute})
	t.Cleanup(func() { _ = br.Close() })
	return br
}

// onlyEra has a server that would speak both eras speak one.
func onlyEra(next http.Handler, modern bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if modern && !mcp.Revision(r.Header.Get(mcp.HeaderProtocolVersion)).Modern() {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write(mcp.UnsupportedVersion("").Append(nil, nil))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// serve has clients reach a bridge over HTTP, as the gateway does, without all that the
// gateway is there for.
func serve(t *testing.T, b backend.Backend) string {
	t.Helper()
	srv := httptest.NewServer(schema.Watch(t, schema.Answers, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req := &backend.Request{Method: r.Method, Header: http.Header{}, Caller: r.Header.Get("X-Caller")}
		for _, name := range []string{"Accept", "Content-Type", mcp.HeaderProtocolVersion, mcp.HeaderMethod, mcp.HeaderName} {
			if v := r.Header.Get(name); v != "" {
				req.Header.Set(name, v)
			}
		}
		if id, origin, ok := strings.Cut(r.Header.Get(mcp.HeaderSessionID), "@"); ok {
			req.Session = backend.Session{ID: id, Origin: origin}
		}
		var id []byte
		if r.Method == http.MethodPost {
			body, _ := io.ReadAll(r.Body)
			e, err := mcp.Parse(body, mcp.DefaultLimits())
			if err != nil {
				t.Errorf("client sent %s: %v", body, err)
			}
			req.Body, req.Message, id = body, &e, e.ID
		}
		resp, err := b.Do(r.Context(), req)
		if err != nil {
			f, _ := errors.AsType[*backend.Failure](err)
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(f.Public.Status)
			_, _ = w.Write(f.Public.Append(nil, id))
			return
		}
		defer resp.Body.Close()
		for name, v := range resp.Header {
			w.Header()[name] = v
		}
		if resp.Session.ID != "" {
			w.Header().Set(mcp.HeaderSessionID, resp.Session.ID+"@"+resp.Session.Origin)
		}
		w.WriteHeader(resp.Status)
		_ = http.NewResponseController(w).Flush()
		buf := make([]byte, 4<<10)
		for {
			n, err := resp.Body.Read(buf)
			_, _ = w.Write(buf[:n])
			_ = http.NewResponseController(w).Flush()
			if err != nil {
				return
			}
		}
	})))
	t.Cleanup(srv.Close)
	t.Cleanup(srv.CloseClientConnections)
	return srv.URL
}

// heard is what a client is told without having asked.
type heard struct {
	progress atomic.Int32
	changed  atomic.Int32
	updated  atomic.Int32
}

func connect(t *testing.T, address string, rev mcp.Revision) (*sdk.ClientSession, *heard) {
	t.Helper()
	h := &heard{}
	c := sdk.NewClient(&sdk.Implementation{Name: "client", Version: "1"}, &sdk.ClientOptions{
		ElicitationHandler: func(context.Context, *sdk.ElicitRequest) (*sdk.ElicitResult, error) {
			return &sdk.ElicitResult{Action: "accept", Content: map[string]any{"colour": "blue"}}, nil
		},
		ProgressNotificationHandler: func(context.Context, *sdk.ProgressNotificationClientRequest) { h.progress.Add(1) },
		ToolListChangedHandler:      func(context.Context, *sdk.ToolListChangedRequest) { h.changed.Add(1) },
		ResourceUpdatedHandler:      func(context.Context, *sdk.ResourceUpdatedNotificationRequest) { h.updated.Add(1) },
	})
	session, err := c.Connect(t.Context(), &sdk.StreamableClientTransport{Endpoint: address, MaxRetries: -1}, &sdk.ClientSessionOptions{ProtocolVersion: string(rev)})
	if err != nil {
		t.Fatalf("connect in %s: %v", rev, err)
	}
	t.Cleanup(func() { _ = session.Close() })
	return session, h
}

// Clients of each revision work with servers of each era (REQ F-3).
func TestEveryRevision(t *testing.T) {
	t.Parallel()
	for _, modern := range []bool{true, false} {
		for _, rev := range mcp.Supported()[:4] {
			t.Run(fmt.Sprintf("%s/modern server %v", rev, modern), func(t *testing.T) {
				t.Parallel()
				s := newServer()
				client, h := connect(t, serve(t, start(t, s, modern)), rev)
				if got := client.InitializeResult(); got != nil && (got.ServerInfo == nil || got.ServerInfo.Name != "sdk" || got.Instructions != "be kind") {
					t.Errorf("the server says of itself %+v", got)
				}
				if got := client.InitializeResult().ProtocolVersion; got != string(rev) {
					t.Fatalf("the client speaks %s", got)
				}
				exercise(t, client, h, rev)
				if want := map[bool]int32{true: 2, false: 1}[modern]; rev >= mcp.Rev20250618 && s.asked.Load() != want {
					t.Errorf("the tool that asks was run %d times, want %d", s.asked.Load(), want)
				}
			})
		}
	}
}

func exercise(t *testing.T, client *sdk.ClientSession, h *heard, rev mcp.Revision) {
	t.Helper()
	ctx := t.Context()
	tools, err := client.ListTools(ctx, nil)
	if err != nil || len(tools.Tools) != 6 {
		t.Fatalf("tools: %v, %v", tools, err)
	}
	call := func(name, text string) string {
		t.Helper()
		params := &sdk.CallToolParams{Name: name, Arguments: map[string]any{"text": text}}
		params.SetProgressToken("p")
		res, err := client.CallTool(ctx, params)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(res.Content) == 0 {
			t.Fatalf("%s: no content", name)
		}
		return res.Content[0].(*sdk.TextContent).Text
	}
	if got := call("echo", "hello"); got != "hello" {
		t.Errorf("echo says %q", got)
	}
	if got := call("fail", ""); got != "it failed" {
		t.Errorf("fail says %q", got)
	}
	if rev >= mcp.Rev20250618 {
		if got := call("ask", ""); got != "accept blue" {
			t.Errorf("ask says %q", got)
		}
	}
	call("progress", "")
	testkit.Eventually(t, "progress", func() bool { return h.progress.Load() == 3 })
	if res, err := client.ReadResource(ctx, &sdk.ReadResourceParams{URI: "mem://r"}); err != nil || res.Contents[0].Text != "content" {
		t.Errorf("read: %v, %v", res, err)
	}
	if _, err := client.ReadResource(ctx, &sdk.ReadResourceParams{URI: "mem://none"}); err == nil {
		t.Error("a resource that there is not can be read")
	}
	if res, err := client.GetPrompt(ctx, &sdk.GetPromptParams{Name: "p"}); err != nil || len(res.Messages) != 1 {
		t.Errorf("prompt: %v, %v", res, err)
	}
	if res, err := client.Complete(ctx, &sdk.CompleteParams{Ref: &sdk.CompleteReference{Type: "ref/prompt", Name: "p"}, Argument: sdk.CompleteParamsArgument{Name: "a", Value: "o"}}); err != nil || len(res.Completion.Values) != 2 {
		t.Errorf("completion: %v, %v", res, err)
	}
	if _, err := client.CallTool(ctx, &sdk.CallToolParams{Name: "none"}); err == nil {
		t.Error("a tool that there is not can be called")
	}
	if err := client.Subscribe(ctx, &sdk.SubscribeParams{URI: "mem://r"}); err != nil {
		t.Errorf("subscribe: %v", err)
	}
	testkit.Eventually(t, "an update of the resource", func() bool {
		call("update", "")
		return h.updated.Load() > 0
	})
	call("grow", "")
	testkit.Eventually(t, "a change of the tools", func() bool { return h.changed.Load() > 0 })
	if got := call("grown", ""); got != "grown" {
		t.Errorf("grown says %q", got)
	}
}
