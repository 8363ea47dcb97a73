package duplex_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/duplex"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// sdkServer is a server of the official SDK that uses all that a server may say.
func sdkServer() *sdk.Server {
	s := sdk.NewServer(&sdk.Implementation{Name: "sdk", Version: "1"}, &sdk.ServerOptions{
		SubscribeHandler:   func(context.Context, *sdk.SubscribeRequest) error { return nil },
		UnsubscribeHandler: func(context.Context, *sdk.UnsubscribeRequest) error { return nil },
	})
	type in struct {
		Text string `json:"text"`
	}
	text := func(format string, args ...any) *sdk.CallToolResult {
		return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: fmt.Sprintf(format, args...)}}}
	}
	add := func(name string, do func(context.Context, *sdk.CallToolRequest, in) (*sdk.CallToolResult, error)) {
		sdk.AddTool(s, &sdk.Tool{Name: name}, func(ctx context.Context, req *sdk.CallToolRequest, a in) (*sdk.CallToolResult, any, error) {
			res, err := do(ctx, req, a)
			return res, nil, err
		})
	}
	add("echo", func(_ context.Context, _ *sdk.CallToolRequest, a in) (*sdk.CallToolResult, error) {
		return text("%s", a.Text), nil
	})
	add("ask", func(ctx context.Context, req *sdk.CallToolRequest, a in) (*sdk.CallToolResult, error) {
		res, err := req.Session.CreateMessage(ctx, &sdk.CreateMessageParams{
			MaxTokens: 10, Messages: []*sdk.SamplingMessage{{Role: "user", Content: &sdk.TextContent{Text: a.Text}}},
		})
		if err != nil {
			return nil, err
		}
		return text("%s", res.Content.(*sdk.TextContent).Text), nil
	})
	add("progress", func(ctx context.Context, req *sdk.CallToolRequest, _ in) (*sdk.CallToolResult, error) {
		for i := range 3 {
			if err := req.Session.NotifyProgress(ctx, &sdk.ProgressNotificationParams{
				ProgressToken: req.Params.GetProgressToken(), Progress: float64(i + 1), Total: 3,
			}); err != nil {
				return nil, err
			}
		}
		return text("done"), nil
	})
	add("log", func(ctx context.Context, req *sdk.CallToolRequest, a in) (*sdk.CallToolResult, error) {
		return text("done"), req.Session.Log(ctx, &sdk.LoggingMessageParams{Level: "warning", Data: a.Text})
	})
	add("wait", func(ctx context.Context, _ *sdk.CallToolRequest, _ in) (*sdk.CallToolResult, error) {
		s.RemoveTools("progress") // which the client hears of
		<-ctx.Done()
		s.RemoveTools("log")
		return nil, ctx.Err()
	})
	add("grow", func(context.Context, *sdk.CallToolRequest, in) (*sdk.CallToolResult, error) {
		add("grown", func(context.Context, *sdk.CallToolRequest, in) (*sdk.CallToolResult, error) {
			return text("grown"), nil
		})
		return text("done"), nil
	})
	s.AddResource(&sdk.Resource{Name: "r", URI: "mem://r"}, func(context.Context, *sdk.ReadResourceRequest) (*sdk.ReadResourceResult, error) {
		return &sdk.ReadResourceResult{Contents: []*sdk.ResourceContents{{URI: "mem://r", Text: "content"}}}, nil
	})
	add("update", func(ctx context.Context, _ *sdk.CallToolRequest, _ in) (*sdk.CallToolResult, error) {
		return text("done"), s.ResourceUpdated(ctx, &sdk.ResourceUpdatedNotificationParams{URI: "mem://r"})
	})
	return s
}

// front serves a backend over Streamable HTTP, as the gateway does, without all
// that the gateway is there for.
func front(t *testing.T, b backend.Backend) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req := &backend.Request{Method: r.Method, Header: http.Header{}}
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
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

// heard is what a client of the SDK was told.
type heard struct {
	*sdk.ClientSession
	progress, logs, lists, updates chan string
}

func connect(t *testing.T, address string, revision string) *heard {
	t.Helper()
	h := &heard{progress: make(chan string, 10), logs: make(chan string, 10), lists: make(chan string, 10), updates: make(chan string, 10)}
	client := sdk.NewClient(&sdk.Implementation{Name: "c", Version: "1"}, &sdk.ClientOptions{
		CreateMessageHandler: func(_ context.Context, req *sdk.CreateMessageRequest) (*sdk.CreateMessageResult, error) {
			return &sdk.CreateMessageResult{Role: "assistant", Model: "m", Content: &sdk.TextContent{Text: "reply to " + req.Params.Messages[0].Content.(*sdk.TextContent).Text}}, nil
		},
		ProgressNotificationHandler: func(_ context.Context, req *sdk.ProgressNotificationClientRequest) {
			h.progress <- fmt.Sprint(req.Params.Progress)
		},
		LoggingMessageHandler:      func(_ context.Context, req *sdk.LoggingMessageRequest) { h.logs <- fmt.Sprint(req.Params.Data) },
		ToolListChangedHandler:     func(context.Context, *sdk.ToolListChangedRequest) { h.lists <- "tools" },
		ResourceUpdatedHandler:     func(_ context.Context, req *sdk.ResourceUpdatedNotificationRequest) { h.updates <- req.Params.URI },
		ResourceListChangedHandler: func(context.Context, *sdk.ResourceListChangedRequest) {},
	})
	session, err := client.Connect(t.Context(), &sdk.StreamableClientTransport{Endpoint: address}, &sdk.ClientSessionOptions{ProtocolVersion: revision})
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(func() { _ = session.Close() })
	h.ClientSession = session
	return h
}

func (h *heard) tool(t *testing.T, name, want string) {
	t.Helper()
	params := &sdk.CallToolParams{Name: name, Arguments: map[string]any{"text": "hello"}}
	params.SetProgressToken("token of " + name)
	res, err := h.CallTool(t.Context(), params)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if got := res.Content[0].(*sdk.TextContent).Text; res.IsError || got != want {
		t.Errorf("%s answers %q, want %q", name, got, want)
	}
}

func expect(t *testing.T, c <-chan string, want ...string) {
	t.Helper()
	for _, w := range want {
		select {
		case got := <-c:
			if got != w {
				t.Errorf("heard %q, want %q", got, w)
			}
		case <-time.After(testkit.Patience):
			t.Fatalf("%q was never heard", w)
		}
	}
}

// tryEverything drives a backend with the SDK's client. REQ F-1, F-4
func tryEverything(t *testing.T, b backend.Backend, revision string) {
	t.Helper()
	h := connect(t, front(t, b), revision)
	if got := h.InitializeResult(); revision != "" && got.ProtocolVersion != revision || got.ServerInfo.Name != "sdk" {
		t.Errorf("initialize result is %+v", got)
	}
	h.tool(t, "echo", "hello")
	h.tool(t, "progress", "done")
	expect(t, h.progress, "1", "2", "3")
	if err := h.Subscribe(t.Context(), &sdk.SubscribeParams{URI: "mem://r"}); err != nil {
		t.Fatal(err)
	}
	h.tool(t, "update", "done")
	expect(t, h.updates, "mem://r")
	if r, err := h.ReadResource(t.Context(), &sdk.ReadResourceParams{URI: "mem://r"}); err != nil || r.Contents[0].Text != "content" {
		t.Errorf("read: %+v, %v", r, err)
	}
	if _, err := h.GetPrompt(t.Context(), &sdk.GetPromptParams{Name: "none"}); err == nil {
		t.Error("an unknown prompt is no error")
	}
	if revision != string(mcp.Rev20260728) {
		h.tool(t, "ask", "reply to hello")
		if err := h.Ping(t.Context(), nil); err != nil {
			t.Errorf("ping: %v", err)
		}
		if err := h.ClientSession.SetLoggingLevel(t.Context(), &sdk.SetLoggingLevelParams{Level: "info"}); err != nil {
			t.Errorf("set level: %v", err)
		}
		h.tool(t, "log", "done")
		expect(t, h.logs, "hello")
	}
	h.tool(t, "grow", "done")
	expect(t, h.lists, "tools")
	h.tool(t, "grown", "grown")

	// A client that gives up is heard by the server.
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		_, err := h.CallTool(ctx, &sdk.CallToolParams{Name: "wait", Arguments: map[string]any{"text": ""}})
		gone <- err
	}()
	expect(t, h.lists, "tools")
	h.tool(t, "echo", "hello")
	cancel()
	if err := <-gone; err == nil {
		t.Error("a cancelled call has a result")
	}
	expect(t, h.lists, "tools")
	if err := h.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

func TestStdioWithSDK(t *testing.T) {
	t.Parallel()
	for _, revision := range []string{"2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"} {
		t.Run(revision, func(t *testing.T) {
			t.Parallel()
			p := stdio(t, "sdk")
			tryEverything(t, p, revision)
		})
	}
}

func TestSSEWithSDK(t *testing.T) {
	t.Parallel()
	for _, revision := range []string{"2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", ""} {
		t.Run("revision "+revision, func(t *testing.T) {
			t.Parallel()
			s := sdkServer()
			srv := httptest.NewServer(sdk.NewSSEHandler(func(*http.Request) *sdk.Server { return s }, nil))
			t.Cleanup(srv.Close)
			tryEverything(t, sse(t, srv.URL+"/sse"), revision)
		})
	}
}

// sse makes a backend of an HTTP+SSE server.
func sse(t *testing.T, address string, change ...func(*backend.HTTPConfig)) *duplex.Duplex {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	cfg := backend.HTTPConfig{Name: "docs", URL: u, AllowPrivate: true, UserAgent: "sallyport/test"}
	for _, c := range change {
		c(&cfg)
	}
	b, err := duplex.NewSSE(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}
