package duplex_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/duplex"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// peer is a client of a duplex backend.
type peer struct {
	*duplex.Duplex
	t       *testing.T
	logs    *logs
	session backend.Session
	ids     int
}

// stdio makes a backend of the test server.
func stdio(t *testing.T, kind string, change ...func(*duplex.StdioConfig)) *peer {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{t: t, logs: &logs{}}
	cfg := duplex.StdioConfig{
		Name: "local", Command: []string{self}, Env: []string{serverVariable + "=" + kind},
		Log: slog.New(slog.NewTextHandler(p.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, c := range change {
		c(&cfg)
	}
	p.Duplex, err = duplex.NewStdio(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		for _, started := range regexp.MustCompile(`msg="command was started" pid=(\d+)`).FindAllStringSubmatch(p.logs.String(), -1) {
			if pid, _ := strconv.Atoi(started[1]); alive(pid) {
				t.Errorf("process %d is still there after Close", pid)
			}
		}
		if t.Failed() {
			t.Log(p.logs.String())
		}
	})
	return p
}

// legacy makes a backend of the older era, and a session with it.
func legacy(t *testing.T, change ...func(*duplex.StdioConfig)) *peer {
	t.Helper()
	p := stdio(t, "legacy", change...)
	p.initialize()
	return p
}

// other is another client of the same backend.
func (p *peer) other() *peer {
	p.t.Helper()
	o := &peer{Duplex: p.Duplex, t: p.t, logs: p.logs}
	o.initialize()
	return o
}

func (p *peer) initialize() {
	p.t.Helper()
	resp := p.do(p.t.Context(), `{"jsonrpc":"2.0","id":"init","method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`)
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.Session.ID == "" || !strings.Contains(string(body), `"protocolVersion"`) {
		p.t.Fatalf("initialize: %s, %v, session %+v", body, err, resp.Session)
	}
	resp.Body.Close()
	p.session = resp.Session
	if resp := p.do(p.t.Context(), `{"jsonrpc":"2.0","method":"notifications/initialized"}`); resp.Status != http.StatusAccepted {
		p.t.Fatalf("initialized: status %d", resp.Status)
	}
}

func (p *peer) request(body string) *backend.Request {
	p.t.Helper()
	e, err := mcp.Parse([]byte(body), mcp.DefaultLimits())
	if err != nil {
		p.t.Fatalf("%s: %v", body, err)
	}
	req := &backend.Request{
		Method: http.MethodPost, Session: p.session, Body: []byte(body), Message: &e,
		Header: http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}},
	}
	if e.Meta.HasVersion {
		req.Header.Set(mcp.HeaderProtocolVersion, e.Meta.ProtocolVersion)
	}
	return req
}

func (p *peer) do(ctx context.Context, body string) *backend.Response {
	p.t.Helper()
	resp, err := p.Do(ctx, p.request(body))
	if err != nil {
		p.t.Fatalf("Do: %v", err)
	}
	return resp
}

func (p *peer) fails(body string) *backend.Failure {
	p.t.Helper()
	resp, err := p.Do(p.t.Context(), p.request(body))
	return asFailure(p.t, resp, err)
}

// tool is a tools/call.
func (p *peer) tool(name, text string, n int) string {
	p.ids++
	arguments, _ := json.Marshal(map[string]any{"text": text, "n": n})
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":%q,"arguments":%s,"_meta":{"progressToken":%d}}}`, p.ids, name, arguments, p.ids)
}

// call calls a tool that answers with JSON.
func (p *peer) call(name, text string, n int, into any) {
	p.t.Helper()
	resp := p.do(p.t.Context(), p.tool(name, text, n))
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.Stream {
		p.t.Fatalf("%s: stream=%v, %v", name, resp.Stream, err)
	}
	p.result(body, into)
}

func (p *peer) result(body []byte, into any) {
	p.t.Helper()
	var m struct {
		ID     int
		Result json.RawMessage
	}
	if err := json.Unmarshal(body, &m); err != nil || m.ID != p.ids || json.Unmarshal(m.Result, into) != nil {
		p.t.Fatalf("answer to %d is %s (%v)", p.ids, body, err)
	}
}

func (p *peer) pid() int {
	p.t.Helper()
	var pid int
	p.call("pid", "", 0, &pid)
	return pid
}

// stream reads the events of an answer.
func (p *peer) stream(resp *backend.Response) []string {
	p.t.Helper()
	defer resp.Body.Close()
	if !resp.Stream {
		p.t.Fatal("the answer is no stream")
	}
	events := mcp.NewEventReader(resp.Body, 64<<20)
	var all []string
	for {
		ev, err := events.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			p.t.Fatal(err)
		}
		all = append(all, string(ev.Data))
	}
}

// REQ F-1, F-4
func TestStdio(t *testing.T) {
	t.Parallel()
	p := legacy(t)
	// Line breaks between values are no line breaks in a string.
	resp := p.do(t.Context(), "{\"jsonrpc\":\"2.0\",\r\n \"id\":1,\n\t\"method\":\"tools/call\",\"params\":{\"name\":\"line\",\"x\":\"a\\nb\",\"n\":9007199254740993}}")
	body, _ := io.ReadAll(resp.Body)
	var got struct{ Result string }
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatal(err)
	}
	diff(t, "the line", "{\"jsonrpc\":\"2.0\",   \"id\":2, \t\"method\":\"tools/call\",\"params\":{\"name\":\"line\",\"x\":\"a\\nb\",\"n\":9007199254740993}}\n", got.Result)

	p.ids = 1
	events := p.stream(p.do(t.Context(), p.tool("progress", "", 3)))
	if len(events) != 4 || !strings.Contains(events[2], `"progress":2`) || !strings.Contains(events[3], `"result":"done"`) {
		t.Errorf("events are %q", events)
	}
	f := p.fails(`{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"name":"exit","arguments":{"n":3}}}`)
	if f.Public.Status != http.StatusBadGateway || f.Reason != backend.ReasonCrashed ||
		!strings.Contains(f.Public.Message, "local") || !strings.Contains(f.Public.Message, "exit status 3") {
		t.Errorf("failure is %d %s: %v", f.Public.Status, f.Reason, f)
	}
	// The session goes on with another process.
	if pid := p.pid(); !alive(pid) {
		t.Errorf("no process %d", pid)
	}
	if n := strings.Count(p.logs.String(), "the session goes on"); n != 1 {
		t.Errorf("%d lines about the restart", n)
	}
}

func TestStdioSessionsAreApart(t *testing.T) {
	t.Parallel()
	p := legacy(t)
	o := p.other()
	a, b := p.pid(), o.pid()
	if a == b {
		t.Fatal("two people share a process")
	}
	resp, err := p.Do(t.Context(), &backend.Request{Method: http.MethodDelete, Session: p.session})
	if err != nil || resp.Status != http.StatusNoContent {
		t.Fatalf("DELETE: %v, %v", resp, err)
	}
	testkit.Eventually(t, "the process of an ended session is gone", func() bool { return !alive(a) })
	if o.pid() != b {
		t.Error("the other session lost its process")
	}
	if f := p.fails(p.tool("pid", "", 0)); f.Public.Status != http.StatusNotFound {
		t.Errorf("status of an ended session is %d", f.Public.Status)
	}
}

// A server's request goes to the client, and the client's answer back.
func TestStdioServerAsks(t *testing.T) {
	t.Parallel()
	p := legacy(t)
	resp := p.do(t.Context(), p.tool("ask", "", 0))
	events := mcp.NewEventReader(resp.Body, 1<<20)
	ev, err := events.Next()
	if err != nil || !strings.Contains(string(ev.Data), "sampling/createMessage") {
		t.Fatalf("first event is %s, %v", ev.Data, err)
	}
	const reply = `{"jsonrpc":"2.0","id":"question","result":{"x":1}}`
	if resp := p.do(t.Context(), reply); resp.Status != http.StatusAccepted {
		t.Errorf("status is %d", resp.Status)
	}
	ev, err = events.Next()
	var got string
	p.result(ev.Data, &got)
	if err != nil || got != reply+"\n" {
		t.Errorf("the server heard %q, %v", got, err)
	}
	resp.Body.Close()
}

// A command sees a few harmless variables and its own; nothing else of the
// gateway's environment, which may hold secrets.
func TestStdioEnvironment(t *testing.T) {
	t.Setenv("SALLYPORT_UPSTREAM_CLIENT_SECRET_X", "gateway-secret")
	t.Setenv("LC_ALL", "C")
	t.Setenv("XDG_CACHE_HOME", "/nowhere")
	p := legacy(t, func(cfg *duplex.StdioConfig) { cfg.Env = append(cfg.Env, "API_KEY=own=secret", "LC_ALL=en", "EMPTY=") })
	var env []string
	p.call("env", "", 0, &env)
	for _, want := range []string{"API_KEY=own=secret", "LC_ALL=en", "EMPTY=", "XDG_CACHE_HOME=/nowhere", "PATH=" + os.Getenv("PATH")} {
		if !slices.Contains(env, want) {
			t.Errorf("%s is missing in %q", want, env)
		}
	}
	known := []string{serverVariable, "SALLYPORT_PROCESS", "API_KEY", "EMPTY", "PATH", "HOME", "USER", "LOGNAME", "LANG", "TMPDIR", "TZ", "TERM", "SHELL"}
	for _, line := range env {
		name, _, _ := strings.Cut(line, "=")
		if !slices.Contains(known, name) && !strings.HasPrefix(name, "LC_") && !strings.HasPrefix(name, "XDG_") {
			t.Errorf("the command sees %s", line)
		}
	}
}

func TestStdioWorkingDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	script := "#!/bin/sh\npwd >&2\nread line\nexec cat\n"
	if err := os.WriteFile(filepath.Join(dir, "server"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	p := stdio(t, "", func(cfg *duplex.StdioConfig) { cfg.Command, cfg.Dir = []string{"./server"}, dir })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if _, err := p.Do(ctx, p.request(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}`)); err == nil {
			t.Error("cat has answered")
		}
	}()
	testkit.Eventually(t, "the command says where it is", func() bool { return strings.Contains(p.logs.String(), dir) })
	cancel()
	<-done
}

func TestStdioCannotStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	odd := filepath.Join(dir, "odd")
	if err := os.WriteFile(odd, []byte("hello"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		command []string
		dir     string
		want    string
	}{
		"not on the path": {[]string{"no-such-command-here", "--token=argument-secret"}, "", "no-such-command-here was not found"},
		"no such file":    {[]string{filepath.Join(dir, "nothing")}, "", "nothing was not found"},
		"not executable":  {[]string{plain}, "", "plain may not be executed"},
		"no program":      {[]string{odd}, "", "odd is not a program"},
		"no directory":    {[]string{"sh"}, filepath.Join(dir, "nowhere"), "working directory of the command sh"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := stdio(t, "", func(cfg *duplex.StdioConfig) { cfg.Command, cfg.Dir = c.command, c.dir })
			const body = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}`
			f := p.fails(body)
			if f.Public.Status != http.StatusBadGateway || f.Reason != backend.ReasonCrashed || !strings.Contains(f.Public.Message, c.want) {
				t.Errorf("failure is %d %s: %v", f.Public.Status, f.Reason, f)
			}
			if name != "not on the path" {
				return
			}
			for f.RetryAfter == 0 { // the back-off grows until it is not waited for
				f = p.fails(body)
			}
			if f.Public.Status != http.StatusServiceUnavailable || !strings.Contains(f.Public.Message, c.want) {
				t.Errorf("failure is %d: %v", f.Public.Status, f)
			}
			if strings.Contains(p.logs.String()+f.Error(), "argument-secret") {
				t.Error("an argument was shown")
			}
		})
	}
	for name, cfg := range map[string]duplex.StdioConfig{
		"no command":         {},
		"an empty command":   {Command: []string{""}},
		"NUL in an argument": {Command: []string{"sh", "a\x00b"}},
		"no variable":        {Command: []string{"sh"}, Env: []string{"canary"}},
		"no name":            {Command: []string{"sh"}, Env: []string{"=canary"}},
		"NUL in a variable":  {Command: []string{"sh"}, Env: []string{"A=canary\x00"}},
	} {
		if _, err := duplex.NewStdio(cfg); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What is no message is not forwarded, and is logged once at WARN, cut short.
func TestStdioGarbage(t *testing.T) {
	t.Parallel()
	const hidden = "configured-value"
	p := legacy(t, func(cfg *duplex.StdioConfig) { cfg.Env = append(cfg.Env, "KEY="+hidden) })
	var done string
	p.call("print", "\r\n\n  \nServer \x1b[31mready "+hidden+strings.Repeat("y", 300)+"\n{\"level\":\"info\"}\nmore\r\n", 0, &done)
	if done != "done" {
		t.Errorf("answer is %q", done)
	}
	log := p.logs.String()
	if n := strings.Count(log, "level=WARN msg=\"command wrote"); n != 1 {
		t.Errorf("%d warnings, want 1", n)
	}
	if n := strings.Count(log, "level=DEBUG msg=\"command wrote"); n != 2 {
		t.Errorf("%d further lines, want 2", n)
	}
	if strings.Contains(log, hidden) || strings.Contains(log, "\x1b") || strings.Contains(log, strings.Repeat("y", 200)) || !strings.Contains(log, `Server \x1b[31mready [redacted]yyy`) {
		t.Errorf("log is %s", log)
	}
}

func TestStdioLongLine(t *testing.T) {
	t.Parallel()
	p := legacy(t, func(cfg *duplex.StdioConfig) { cfg.MaxMessageBytes = 100 << 10 })
	pid := p.pid()
	f := p.fails(p.tool("long", "", 200<<10))
	if f.Reason != backend.ReasonTooLarge || f.Public.Status != http.StatusBadGateway || !strings.Contains(f.Public.Message, "102400 bytes") {
		t.Errorf("failure is %d %s: %v", f.Public.Status, f.Reason, f)
	}
	f = p.fails(p.tool("endless", "", 200<<10)) // whose answer it is cannot be known
	if f.Reason != backend.ReasonTooLarge {
		t.Errorf("failure is %s: %v", f.Reason, f)
	}
	if p.pid() != pid {
		t.Error("the process did not go on")
	}
	var text string
	p.call("long", "", 90<<10, &text)
	if len(text) != 90<<10 {
		t.Errorf("%d bytes came", len(text))
	}
}

// The last line needs no end, and what was answered before the end counts.
func TestStdioLastWords(t *testing.T) {
	t.Parallel()
	p := legacy(t)
	var text string
	p.call("last words", "", 0, &text)
	if text != "bye" {
		t.Errorf("answer is %q", text)
	}
}

func TestStdioClosedStdout(t *testing.T) {
	t.Parallel()
	p := legacy(t)
	pid := p.pid()
	if f := p.fails(p.tool("mute", "", 0)); f.Reason != backend.ReasonCrashed {
		t.Errorf("failure is %s: %v", f.Reason, f)
	}
	if alive(pid) {
		t.Error("a process that cannot answer is still there")
	}
}

func TestStdioStderr(t *testing.T) {
	t.Parallel()
	const hidden = "configured-value"
	p := legacy(t, func(cfg *duplex.StdioConfig) {
		cfg.Env = append(cfg.Env, "KEY="+hidden, "MULTI=-----BEGIN KEY-----\nsecond-line-of-key\n", "SHORT=1234567")
	})
	pid := p.pid()
	var done string
	p.call("stderr", "hello "+hidden+" second-line-of-key 1234567 \x1b[2J", 1, &done)
	want := fmt.Sprintf(`level=INFO msg="stderr of command" pid=%d text="hello [redacted] [redacted] 1234567 \x1b[2J"`, pid)
	testkit.Eventually(t, "the line is in the log", func() bool { return strings.Contains(p.logs.String(), want) })

	p.call("stderr", strings.Repeat("z", 100<<10), 1, &done)
	p.call("stderr", "after", 1, &done)
	testkit.Eventually(t, "the line is in the log", func() bool { return strings.Contains(p.logs.String(), "text=after") })
	if n := strings.Count(p.logs.String(), "z"); n < 4<<10 || n > 5<<10 {
		t.Errorf("%d bytes of a long line are in the log", n)
	}
	// A flood fills neither the log nor the pipe.
	p.call("stderr", "flood", 50_000, &done)
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	log := p.logs.String()
	if n := strings.Count(log, "text=flood"); n > 2000 {
		t.Errorf("%d lines of a flood were logged", n)
	}
	if !strings.Contains(log, "comes too fast") {
		t.Error("the log does not say that something is missing")
	}
}

// The whole group goes: what the command has started, too.
func TestStdioGrandchildren(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ how, tool string }{
		{"close", "child"},
		{"exit", "child"},
		{"close", "daemon"}, // FINDING R12
		{"exit", "daemon"},
	} {
		t.Run(c.how+", "+c.tool, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath("setsid"); c.tool == "daemon" && (err != nil || runtime.GOOS != "linux") {
				t.Skip("needs Linux and setsid")
			}
			p := legacy(t)
			var children []int
			p.call(c.tool, "", 0, &children)
			if !alive(children[0]) || !alive(children[1]) {
				t.Fatal("no children")
			}
			if c.how == "exit" {
				// The children hold its stdout; nobody waits for them.
				if f := p.fails(p.tool("exit", "", 0)); f.Reason != backend.ReasonCrashed {
					t.Errorf("failure is %v", f)
				}
			} else if err := p.Close(); err != nil {
				t.Fatal(err)
			}
			for _, pid := range children {
				testkit.Eventually(t, "the child is gone", func() bool { return !alive(pid) })
			}
		})
	}
}

// A command that ends before it has said anything says why to whoever starts it.
func TestStdioLastWordsBeforeTheFirst(t *testing.T) {
	t.Parallel()
	p := stdio(t, "legacy", func(cfg *duplex.StdioConfig) {
		cfg.Command = []string{"sh", "-c", "echo first >&2; echo 'TOKEN is wrong: hunter2hunter2' >&2; echo >&2; exit 3"}
		cfg.Env = append(cfg.Env, "TOKEN=hunter2hunter2")
	})
	f := p.fails(initializeBody)
	if want := "(exit status 3); its last words are: TOKEN is wrong: [redacted]"; !strings.HasSuffix(f.Public.Message, want) || f.Reason != backend.ReasonCrashed {
		t.Errorf("failure is %s %v, want …%s", f.Reason, f, want)
	}
}

func TestStdioStubborn(t *testing.T) {
	t.Parallel()
	p := legacy(t)
	pid := p.pid()
	var done string
	p.call("stubborn", "", 0, &done)
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if alive(pid) {
		t.Error("the process is still there")
	}
}

func TestStdioTerminated(t *testing.T) {
	t.Parallel()
	p := legacy(t)
	var done string
	p.call("deaf", "", 0, &done)
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(p.logs.String(), `state="signal: terminated"`) {
		t.Error("the command was not asked to end before it was made to")
	}
}

// A polite command ends by itself when its stdin is closed.
func TestStdioPolite(t *testing.T) {
	t.Parallel()
	p := legacy(t)
	p.pid()
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if log := p.logs.String(); strings.Contains(log, "WARN") || !strings.Contains(log, `state="exit status 0"`) {
		t.Error("an orderly end is neither a warning nor a signal")
	}
}

func TestStdioModern(t *testing.T) {
	t.Parallel()
	p := stdio(t, "modern")
	const meta = `"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}`
	call := func(tool string, n int) string {
		return fmt.Sprintf(`{"jsonrpc":"2.0","id":"mine","method":"tools/call","params":{"name":%q,"arguments":{"n":%d},"_meta":{"progressToken":"t",%s}}}`, tool, n, meta)
	}
	read := func(body string) string {
		resp := p.do(t.Context(), body)
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		return string(text)
	}
	first := read(call("pid", 0))
	if !strings.HasPrefix(first, `{"jsonrpc":"2.0","id":"mine","result":`) || read(call("pid", 0)) != first {
		t.Errorf("answer is %s", first)
	}
	events := p.stream(p.do(t.Context(), call("progress", 2)))
	if len(events) != 3 || !strings.Contains(events[1], `"progressToken":"t"`) || !strings.Contains(events[2], `"id":"mine"`) {
		t.Errorf("events are %q", events)
	}
	if f := p.fails(call("exit", 1)); f.Reason != backend.ReasonCrashed {
		t.Errorf("failure is %v", f)
	}
	if now := read(call("pid", 0)); now == first || !strings.Contains(now, `"result"`) {
		t.Errorf("answer after the crash is %s", now)
	}

	old := stdio(t, "legacy")
	resp := old.do(t.Context(), call("pid", 0))
	body, _ := io.ReadAll(resp.Body)
	if resp.Status != http.StatusBadRequest || !strings.Contains(string(body), "-32022") || strings.Contains(string(body), `"supported":["2026`) {
		t.Errorf("a server of the older era: %d %s", resp.Status, body)
	}
	old.initialize()
	old.pid()
}

// Many people at once, some of whom hang up, crash their server or end.
func TestStdioCrowd(t *testing.T) {
	t.Parallel()
	p := stdio(t, "legacy")
	done := make(chan struct{}, 8)
	for i := range cap(done) {
		go func() {
			defer func() { done <- struct{}{} }()
			for range 3 {
				o := &peer{Duplex: p.Duplex, t: t, logs: p.logs}
				o.initialize()
				pid := o.pid()
				switch i % 3 {
				case 0:
					o.fails(o.tool("exit", "", 1))
				case 1:
					ctx, cancel := context.WithCancel(t.Context())
					resp := o.do(ctx, o.tool("ask", "", 0))
					_, _ = bufio.NewReader(resp.Body).ReadString('\n')
					cancel()
					resp.Body.Close()
					continue
				}
				if now := o.pid(); now == pid != (i%3 != 0) {
					t.Errorf("process %d has become %d", pid, now)
				}
				resp, err := o.Do(t.Context(), &backend.Request{Method: http.MethodDelete, Session: o.session})
				if err != nil || resp.Status != http.StatusNoContent {
					t.Errorf("DELETE: %v", err)
				}
			}
		}()
	}
	for range cap(done) {
		<-done
	}
}
