package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// stdioServer is a command line that runs serveTools in a process of its own, given stdioVariable.
func stdioServer() []string { return []string{os.Args[0]} }

// stdioVariable makes the test binary a local MCP server.
const stdioVariable = "E2E_STDIO"

// stdioManifest is an MCPServer that runs it. The lines are further lines of its spec.
func stdioManifest(name string, lines ...string) string {
	quoted, _ := json.Marshal(stdioServer())
	return object("MCPServer", name, append([]string{"command: " + string(quoted)}, lines...)...)
}

// runStdio serves it by `sallyport run`.
func runStdio(t *testing.T, o testkit.Options, flags ...string) *testkit.Gateway {
	t.Helper()
	args := append([]string{"run", "--env", "E2E_STDIO=1", "--env", "GORACE=atexit_sleep_ms=0"}, flags...)
	return testkit.StartWith(t, o, append(append(args, "--"), stdioServer()...)...)
}

// serveTools is the local MCP server, of the official Go SDK, that the gateway runs in the tests below.
func serveTools() error {
	s := mcp.NewServer(&mcp.Implementation{Name: "stdio", Version: "1"}, nil)
	add := func(name string, run func(ctx context.Context, req *mcp.CallToolRequest, text string) (string, error)) {
		tool := &mcp.Tool{Name: name, InputSchema: json.RawMessage(`{"type":"object"}`)}
		s.AddTool(tool, func(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			var in struct{ Text string }
			_ = json.Unmarshal(req.Params.Arguments, &in)
			out, err := run(ctx, req, in.Text)
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: out}}}, err
		})
	}
	add("echo", func(_ context.Context, _ *mcp.CallToolRequest, text string) (string, error) { return text, nil })
	add("env", func(context.Context, *mcp.CallToolRequest, string) (string, error) {
		return strings.Join(os.Environ(), "\n"), nil
	})
	add("pid", func(context.Context, *mcp.CallToolRequest, string) (string, error) {
		return strconv.Itoa(os.Getpid()), nil
	})
	add("crash", func(context.Context, *mcp.CallToolRequest, string) (string, error) {
		os.Exit(3)
		return "", nil
	})
	add("note", func(_ context.Context, _ *mcp.CallToolRequest, text string) (string, error) {
		fmt.Fprintln(os.Stderr, text)
		return "noted", nil
	})
	add("babble", func(_ context.Context, _ *mcp.CallToolRequest, text string) (string, error) {
		fmt.Println(text)
		return "babbled", nil
	})
	add("spawn", func(context.Context, *mcp.CallToolRequest, string) (string, error) {
		cmd := exec.Command("sleep", "1000")
		err := cmd.Start()
		return strconv.Itoa(cmd.Process.Pid), err
	})
	add("stubborn", func(context.Context, *mcp.CallToolRequest, string) (string, error) {
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
		cmd := exec.Command("sh", "-c", "trap '' TERM INT HUP; sleep 1000 & wait; sleep 1000")
		err := cmd.Start()
		return strconv.Itoa(os.Getpid()) + " " + strconv.Itoa(cmd.Process.Pid), err
	})
	add("wait", func(ctx context.Context, _ *mcp.CallToolRequest, _ string) (string, error) {
		fmt.Fprintln(os.Stderr, "waiting")
		<-ctx.Done()
		fmt.Fprintln(os.Stderr, "cancelled")
		return "", ctx.Err()
	})
	add("count", func(ctx context.Context, req *mcp.CallToolRequest, _ string) (string, error) {
		for i := range 3 {
			_ = req.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{ProgressToken: req.Params.GetProgressToken(), Progress: float64(i + 1)})
		}
		return "counted", nil
	})
	if err := s.Run(context.Background(), &mcp.StdioTransport{}); !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// connect connects a real client.
func connect(t *testing.T, g *testkit.Gateway, url, revision string, o *mcp.ClientOptions) *mcp.ClientSession {
	t.Helper()
	c := mcp.NewClient(&mcp.Implementation{Name: "e2e", Version: "1"}, o)
	s, err := c.Connect(t.Context(), &mcp.StreamableClientTransport{Endpoint: url, HTTPClient: client, MaxRetries: -1},
		&mcp.ClientSessionOptions{ProtocolVersion: revision})
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// tool calls a tool and returns its text.
func tool(t *testing.T, s *mcp.ClientSession, name, text string) string {
	t.Helper()
	got, err := s.CallTool(t.Context(), &mcp.CallToolParams{Name: name, Arguments: map[string]any{"text": text}})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return got.Content[0].(*mcp.TextContent).Text
}

// alive reports whether a process exists and is no zombie.
func alive(pid string) bool {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

// REQ F-1: `run -- COMMAND` serves a real stdio server to clients of every kind.
func TestStdioClients(t *testing.T) {
	t.Parallel()
	g := runStdio(t, testkit.Options{})
	for _, revision := range []string{"2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"} {
		t.Run(revision, func(t *testing.T) {
			progress := make(chan float64, 10)
			s := connect(t, g, g.MCP(), revision, &mcp.ClientOptions{
				ProgressNotificationHandler: func(_ context.Context, req *mcp.ProgressNotificationClientRequest) { progress <- req.Params.Progress },
			})
			if got := s.InitializeResult().ProtocolVersion; got != revision {
				t.Errorf("revision %s", got)
			}
			tools, err := s.ListTools(t.Context(), nil)
			if err != nil || len(tools.Tools) != 10 {
				t.Errorf("%v tools (%v)", tools, err)
			}
			if got := tool(t, s, "echo", "grüße \u2028 😀"); got != "grüße \u2028 😀" {
				t.Errorf("echo %q", got)
			}
			params := &mcp.CallToolParams{Name: "count"}
			params.SetProgressToken("p")
			if _, err := s.CallTool(t.Context(), params); err != nil {
				t.Errorf("count: %v", err)
			}
			for want := 1.0; want <= 3; want++ {
				if got := <-progress; got != want {
					t.Errorf("progress %v, want %v", got, want)
				}
			}
		})
	}
	t.Run("2024-11-05", func(t *testing.T) {
		c := mcp.NewClient(&mcp.Implementation{Name: "e2e", Version: "1"}, nil)
		s, err := c.Connect(t.Context(), &mcp.SSEClientTransport{Endpoint: g.SSE(), HTTPClient: client}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := tool(t, s, "echo", "a"); got != "a" {
			t.Errorf("echo %q", got)
		}
		_ = s.Close()
	})
}

// REQ A-3: a command gets the variables that its manifest gives it, and no secret of the gateway's.
func TestStdioEnvironment(t *testing.T) {
	t.Parallel()
	var c testkit.Canaries
	leaks := []string{"SECRET_OF_THE_GATEWAY", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "SALLYPORT_UPSTREAM_CLIENT_SECRET_X", "KUBECONFIG", "SSH_AUTH_SOCK"}
	var env []string
	for _, name := range leaks {
		env = append(env, name+"="+c.Value(name))
	}
	folder := manifests(t, secretObject("s", "k", c.Value("of the manifest"))+
		stdioManifest("local", "env: [{name: E2E_STDIO, value: '1'}, {name: PLAIN, value: plain}]", "secrets: [{name: s, key: k, targetEnvName: FROM_SECRET}]"))
	g := testkit.StartWith(t, testkit.Options{Env: env}, "serve", "-f", folder, "--log-level", "debug")
	s := connect(t, g, g.MCP(), "2025-11-25", nil)
	got := strings.Split(tool(t, s, "env", ""), "\n")
	for _, want := range []string{"PLAIN=plain", "FROM_SECRET=" + c.Value("of the manifest")} {
		if !slices.Contains(got, want) {
			t.Errorf("the command has no %s", want)
		}
	}
	if !slices.ContainsFunc(got, func(v string) bool { return strings.HasPrefix(v, "PATH=") }) {
		t.Error("the command has no PATH")
	}
	c.Check(t, "the command's environment", strings.Join(got, "\n"), "of the manifest")
	for _, v := range got {
		if name, _, _ := strings.Cut(v, "="); slices.Contains(leaks, name) {
			t.Errorf("the command got %s", name)
		}
	}

	// What the command itself says of a secret does not get into the log.
	tool(t, s, "note", "my secret is "+c.Value("of the manifest")+", mind it")
	g.Stderr.WaitFor(t, "mind it")
	c.Check(t, "the log", g.Stderr.String())
	if len(lines(g.Stderr.String(), "my secret is [redacted], mind it")) != 1 {
		t.Error("the command's stderr is not in the log, redacted")
	}
}

// REQ F-1: a crash fails the calls that wait, by id, and is said once; the next session runs a new process.
func TestStdioCrash(t *testing.T) {
	t.Parallel()
	g := runStdio(t, testkit.Options{}, "--name", "local")
	base := g.Metric(t, "go_goroutines")
	for i := range 3 {
		session := []string{"Mcp-Session-Id", initialize(t, g.MCP())}
		message(g.MCP(), `{"jsonrpc":"2.0","method":"notifications/initialized"}`).with(session...).do(t)
		got := legacy(g.MCP(), "tools/call", `"name":"crash"`).with(session...).do(t)
		if got.Header.Get("Content-Type") == "application/json" {
			got.wantError(t, 502, internalFailure, "7")
		} else if !strings.Contains(got.Body, `"id":7,"error":`) {
			t.Errorf("status %d, %s", got.Status, got.Body)
		}
		wantLines(t, g, i+1, "WARN", "request failed", "reason=crashed")
		// The session goes on with a new process, or is unknown; it is never stuck.
		if got := legacy(g.MCP(), "tools/list", "").with(session...).do(t); got.Status != 404 && (got.Status != 200 || !strings.Contains(got.Body, "echo")) {
			t.Errorf("a session whose process is gone: status %d, %s", got.Status, got.Body)
		}
		request{method: "DELETE", url: g.MCP()}.with(session...).do(t)
	}
	s := connect(t, g, g.MCP(), "2026-07-28", nil)
	if got := tool(t, s, "echo", "again"); got != "again" {
		t.Errorf("echo %q", got)
	}
	if _, err := s.CallTool(t.Context(), &mcp.CallToolParams{Name: "crash"}); err == nil {
		t.Error("a crash is a result")
	}
	if got := tool(t, s, "echo", "and again"); got != "and again" {
		t.Errorf("echo %q", got)
	}
	_ = s.Close()
	g.SettlesAt(t, base, 12)
}

// REQ F-1: a command that cannot be started is a clear error for the call, and ends nothing else.
func TestStdioCannotStart(t *testing.T) {
	t.Parallel()
	g := serve(t, object("MCPServer", "missing", "command: [/nonexistent/server]")+
		object("MCPServer", "silent", "command: [sleep, '1000']")+
		object("MCPServer", "ends", "command: ['true']")+
		object("MCPServer", "babbles", "command: [echo, 'hello, I am no MCP server']")+
		stdioManifest("good", "env: [{name: E2E_STDIO, value: '1'}]"), "--call-timeout", "15s") // of the silent one; far more than a process needs to start
	for name, status := range map[string]int{"missing": 502, "silent": 504, "ends": 502, "babbles": 502} {
		if message := initialization(at(g, name)).do(t).wantError(t, status, internalFailure, "0"); !strings.Contains(message, name) {
			t.Errorf("%s: %q", name, message)
		}
		wantLines(t, g, 1, "WARN", "request failed", "server="+name)
	}
	if got := tool(t, connect(t, g, at(g, "good"), "2025-11-25", nil), "echo", "a"); got != "a" {
		t.Errorf("echo %q", got)
	}
}

// REQ F-1: each session has a process of its own, which ends with it.
func TestStdioSessions(t *testing.T) {
	t.Parallel()
	g := runStdio(t, testkit.Options{})
	a, b := connect(t, g, g.MCP(), "2025-11-25", nil), connect(t, g, g.MCP(), "2025-11-25", nil)
	pidA, pidB := tool(t, a, "pid", ""), tool(t, b, "pid", "")
	if pidA == pidB || tool(t, a, "pid", "") != pidA {
		t.Errorf("two sessions have the processes %s and %s", pidA, pidB)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	testkit.Eventually(t, "the process ends with its session", func() bool { return !alive(pidA) })
	if tool(t, b, "pid", "") != pidB {
		t.Error("the other session lost its process")
	}
}

// REQ F-1: lines on stdout that are no messages are said in the log and harm nobody.
func TestStdioBabble(t *testing.T) {
	t.Parallel()
	g := runStdio(t, testkit.Options{})
	s := connect(t, g, g.MCP(), "2025-11-25", nil)
	for _, text := range []string{"hello", "", "{", `{"jsonrpc":"2.0","id":999,"result":{}}`, `"x"`, "[]", "null"} {
		if got := tool(t, s, "babble", text); got != "babbled" {
			t.Errorf("%q: %q", text, got)
		}
	}
	if len(lines(g.Stderr.String(), "WARN")) < 2 {
		t.Error("the log says nothing of it")
	}
}

// REQ F-1: a message beyond the limit fails its call and not the gateway.
func TestStdioHugeMessage(t *testing.T) {
	t.Parallel()
	g := runStdio(t, testkit.Options{}, "--max-event-bytes", "100000")
	s := connect(t, g, g.MCP(), "2026-07-28", nil)
	if _, err := s.CallTool(t.Context(), &mcp.CallToolParams{Name: "echo", Arguments: map[string]any{"text": strings.Repeat("x", 200_000)}}); err == nil {
		t.Error("a message beyond the limit passed")
	}
	if got := tool(t, s, "echo", strings.Repeat("x", 50_000)); len(got) != 50_000 {
		t.Errorf("%d bytes", len(got))
	}
}

// REQ F-1: cancelling reaches the command: by leaving in 2026-07-28, by a notification before.
func TestStdioCancellation(t *testing.T) {
	t.Parallel()
	g := runStdio(t, testkit.Options{})
	for i, revision := range []string{"2025-11-25", "2026-07-28"} {
		s := connect(t, g, g.MCP(), revision, nil)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			_, err := s.CallTool(ctx, &mcp.CallToolParams{Name: "wait"})
			done <- err
		}()
		wantLines(t, g, i+1, "waiting")
		cancel()
		if err := <-done; err == nil {
			t.Error("a cancelled call has a result")
		}
		wantLines(t, g, i+1, "cancelled")
	}
}

// REQ F-1: at SIGTERM the command, what it started, and what does not want to end, are gone.
func TestStdioEndsWithTheGateway(t *testing.T) {
	t.Parallel()
	g := runStdio(t, testkit.Options{}, "--drain-timeout", "1s")
	s := connect(t, g, g.MCP(), "2025-11-25", nil)
	pids := []string{tool(t, s, "pid", ""), tool(t, s, "spawn", "")}
	stubborn := connect(t, g, g.MCP(), "2025-11-25", nil)
	pids = append(pids, strings.Fields(tool(t, stubborn, "stubborn", ""))...)
	for _, pid := range pids {
		if !alive(pid) {
			t.Fatalf("process %s is not there", pid)
		}
	}
	if err := g.Stop(); err != nil {
		t.Error(err)
	}
	for _, pid := range pids {
		testkit.Eventually(t, "process "+pid+" is gone", func() bool { return !alive(pid) })
	}
}

// REQ F-1: a reload that leaves a command as it is leaves its processes too; one that changes it ends them.
func TestStdioReload(t *testing.T) {
	t.Parallel()
	doc := func(value string) string {
		return stdioManifest("local", "env: [{name: E2E_STDIO, value: '"+value+"'}]")
	}
	folder := manifests(t, doc("1"))
	g := testkit.Start(t, "serve", "-f", folder)
	s := connect(t, g, at(g, "local"), "2025-11-25", nil)
	pid := tool(t, s, "pid", "")
	writeManifests(t, folder, doc("1")+remote("other", "http://127.0.0.1:1"))
	wantLines(t, g, 1, "configuration reloaded")
	if got := tool(t, s, "pid", ""); got != pid || !alive(pid) {
		t.Errorf("a reload that did not concern it replaced process %s by %s", pid, got)
	}
	writeManifests(t, folder, doc("2"))
	wantLines(t, g, 2, "configuration reloaded")
	testkit.Eventually(t, "the old process ends", func() bool { return !alive(pid) })
	if got := tool(t, connect(t, g, g.MCP(), "2025-11-25", nil), "pid", ""); got == pid {
		t.Error("the new configuration has the old process")
	}
}
