package e2e_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// saying is a backend whose answers tell which one it is.
func saying(t *testing.T, name string) *testkit.Recorder {
	t.Helper()
	return testkit.Record(t, func(w http.ResponseWriter, r *http.Request) { answer(w, r, fmt.Sprintf("%q", name)) })
}

// A changed file takes effect within five seconds; a broken one is reported and what was served goes on.
//
// REQ E-2 (a configuration that was being served keeps being served), REQ B-6.
func TestReload(t *testing.T) {
	t.Parallel()
	a, b := saying(t, "a"), saying(t, "b")
	good := remote("docs", a.URL)
	folder := manifests(t, good)
	g := testkit.Start(t, "serve", "-f", folder)
	is := func(want string) {
		t.Helper()
		call(at(g, "docs"), "tool", "").do(t).wantResult(t, want)
	}
	is(`"a"`)
	failures := 0
	for _, tt := range []struct{ name, text, says string }{
		{"not YAML", good + "  x: [\n", "main.yaml:"},
		{"unknown field", remote("docs", b.URL, "remoteURL: x"), "main.yaml:8"},
		{"unknown kind", object("MCPRemoteProxies", "docs", "a: b"), "main.yaml:"},
		{"missing reference", remote("docs", b.URL, "externalAuthConfigRef: {name: nobody}"), "nobody"},
		{"one of two wrong", remote("docs", b.URL) + remote("new", "ftp://x"), "MCPRemoteProxy/new"},
		{"empty file", "", "holds no resource"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := len(g.Stderr.String())
			writeManifests(t, folder, tt.text)
			failures++
			testkit.Eventually(t, "the refusal is in the log, with "+tt.says, func() bool {
				return len(lines(g.Stderr.String()[before:], "not reloaded", tt.says)) > 0
			})
			if n := g.Metric(t, "sallyport_config_reloads_total", `result="failure"`); n != float64(failures) {
				t.Errorf("%v refusals counted, want %d", n, failures)
			}
			is(`"a"`)
		})
	}
	writeManifests(t, folder, remote("docs", b.URL)+remote("new", a.URL))
	g.Stderr.WaitFor(t, "configuration reloaded")
	is(`"b"`)
	call(at(g, "new"), "tool", "").do(t).wantResult(t, `"a"`)
	call(g.MCP(), "tool", "").do(t).wantError(t, 404, invalidRequest, "") // two resources: no /mcp

	if err := os.Remove(filepath.Join(folder, "main.yaml")); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "the missing file is reported", func() bool {
		return g.Metric(t, "sallyport_config_reloads_total", `result="failure"`) == float64(failures+1)
	})
	is(`"b"`)
	writeManifests(t, folder, remote("docs", a.URL))
	wantLines(t, g, 2, "configuration reloaded")
	is(`"a"`)
	call(at(g, "new"), "tool", "").do(t).wantError(t, 404, invalidRequest, "")
	if strings.Contains(g.Metrics(t), `server="new"`) {
		t.Error("a removed resource still has metrics")
	}
}

// SIGHUP reloads at once and never ends the process; also where there is nothing to reload. FINDING R12: what the signal
// and the watch tell of both is loaded once.
func TestHangup(t *testing.T) {
	t.Parallel()
	a := saying(t, "a")
	folder := manifests(t, remote("docs", a.URL))
	g := testkit.Start(t, "serve", "-f", folder)
	for i := range 3 {
		g.Signal(t, syscall.SIGHUP)
		wantLines(t, g, i+1, "configuration reloaded")
	}
	writeManifests(t, folder, "broken")
	g.Signal(t, syscall.SIGHUP)
	g.Stderr.WaitFor(t, "not reloaded")
	call(g.MCP(), "tool", "").do(t).wantResult(t, `"a"`)

	run := testkit.Start(t, "run", a.URL)
	run.Signal(t, syscall.SIGHUP)
	run.Stderr.WaitFor(t, "configuration reloaded")
	call(run.MCP(), "tool", "").do(t).wantResult(t, `"a"`)
}

// A call that is under way when the configuration changes ends with the one it began with; a listening stream of
// what changed ends, so that its client comes back to the new one, and others stay.
func TestReloadUnderWay(t *testing.T) {
	t.Parallel()
	begun, finish := make(chan struct{}), make(chan struct{})
	backend := testkit.Record(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			events(w)(": open\n\n")
			<-r.Context().Done()
			return
		}
		close(begun)
		await(r, finish)
		ok(w, r)
	})
	other := saying(t, "other")
	stays := remote("stays", backend.URL)
	folder := manifests(t, remote("docs", backend.URL)+stays)
	g := testkit.Start(t, "serve", "-f", folder)
	changing, staying := readEvents(listen(at(g, "docs")).open(t.Context(), t).Body), readEvents(listen(at(g, "stays")).open(t.Context(), t).Body)
	done := make(chan reply)
	go func() { done <- call(at(g, "docs"), "tool", "").do(t) }()
	receive(t, begun, "the call begins")
	writeManifests(t, folder, remote("docs", other.URL)+stays)
	g.Stderr.WaitFor(t, "configuration reloaded")
	call(at(g, "docs"), "tool", "").do(t).wantResult(t, `"other"`)
	changing.wantEnd(t, true)
	close(finish)
	(<-done).wantResult(t, `{"ok":true}`)

	ended := make(chan error, 1)
	go func() {
		_, err := staying.next()
		ended <- err
	}()
	call(at(g, "docs"), "tool", "").do(t).wantResult(t, `"other"`)
	if n := g.Metric(t, "sallyport_streams", `server="stays"`); n != 1 || len(ended) != 0 {
		t.Errorf("a stream whose endpoint did not change ended; %v are open", n)
	}
	if err := g.Stop(); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != io.EOF {
		t.Errorf("at the end of the process the stream ended with %v", err)
	}
}

// SIGTERM: new calls are refused, those under way end, streams that only listen end, and the exit code is 0.
func TestDrain(t *testing.T) {
	t.Parallel()
	begun, finish := make(chan struct{}, 2), make(chan struct{})
	backend := testkit.Record(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodGet:
			events(w)(": open\n\n")
			<-r.Context().Done()
		case bodyOf(r).Params.Name == "stream":
			send := events(w)
			send(": hello\n\n")
			begun <- struct{}{}
			await(r, finish)
			send("data: " + rpcResult(r, "{}") + "\n\n")
		default:
			begun <- struct{}{}
			await(r, finish)
			ok(w, r)
		}
	})
	g := serve(t, remote("docs", backend.URL)+remote("twin", backend.URL))
	listening := readEvents(listen(at(g, "docs")).open(t.Context(), t).Body)
	front := readEvents(request{method: "GET", url: g.URL + "/servers/twin/sse"}.open(t.Context(), t).Body)
	if _, err := front.next(); err != nil {
		t.Fatal(err)
	}
	plain, stream := make(chan reply, 1), make(chan reply, 1)
	go func() { plain <- call(at(g, "docs"), "plain", "").do(t) }()
	go func() { stream <- call(at(g, "docs"), "stream", "").do(t) }()
	receive(t, begun, "the call begins")
	receive(t, begun, "the call begins")
	kept := dial(t, g.URL) // a connection that a client keeps
	defer kept.Close()
	g.Signal(t, syscall.SIGTERM)
	listening.wantEnd(t, true)
	front.wantEnd(t, true)
	testkit.Eventually(t, "new connections are refused", func() bool {
		conn, err := net.Dial("tcp", strings.TrimPrefix(g.URL, "http://"))
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	if got := (request{method: "GET", url: g.Admin + "/readyz"}).do(t); got.Status != 503 {
		t.Errorf("/readyz while draining: %d", got.Status)
	}
	if got := (request{method: "GET", url: g.Admin + "/healthz"}).do(t); got.Status != 200 {
		t.Errorf("/healthz while draining: %d", got.Status)
	}
	body := call("", "late", "")
	fmt.Fprintf(kept, "POST /servers/docs/mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body.body), body.body)
	if resp, err := http.ReadResponse(bufio.NewReader(kept), nil); err == nil { // else it was closed
		text, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != 503 || !resp.Close || !strings.Contains(string(text), `"id":7`) {
			t.Errorf("a new call got %d %s", resp.StatusCode, text)
		}
	}
	select {
	case <-g.Ended():
		t.Fatal("it ended before its calls")
	default:
	}
	close(finish)
	(<-plain).wantResult(t, `{"ok":true}`)
	if got := <-stream; got.Err != nil || !strings.HasSuffix(got.Body, `"result":{}}`+"\n\n") {
		t.Errorf("the stream ended with %v: %q", got.Err, got.Body)
	}
	receive(t, g.Ended(), "the process ends")
	if g.ExitCode() != 0 {
		t.Errorf("exit code %d", g.ExitCode())
	}
	if len(backend.Requests()) != 3 {
		t.Errorf("the backend got %d requests, want 3", len(backend.Requests()))
	}
}

// A call that outlasts --drain-timeout is cut off, visibly, and the exit code is still 0.
func TestDrainTimeout(t *testing.T) {
	t.Parallel()
	begun := make(chan struct{})
	backend := testkit.Record(t, func(w http.ResponseWriter, r *http.Request) {
		send := events(w)
		send(": hello\n\n")
		close(begun)
		<-r.Context().Done()
	})
	g := serve(t, remote("docs", backend.URL), "--drain-timeout", "300ms")
	done := make(chan reply)
	go func() { done <- call(g.MCP(), "tool", "").do(t) }()
	receive(t, begun, "the call begins")
	g.Signal(t, syscall.SIGTERM)
	receive(t, g.Ended(), "the process ends")
	if g.ExitCode() != 0 {
		t.Errorf("exit code %d", g.ExitCode())
	}
	if got := <-done; got.Err == nil {
		t.Errorf("a call that was cut off looks whole: %q", got.Body)
	}
}

// The admin listener has health, readiness and metrics; the listener for clients has none of them.
//
// REQ B-15
func TestAdmin(t *testing.T) {
	t.Parallel()
	g := serve(t, remote("docs", saying(t, "a").URL))
	call(g.MCP(), "tool", "").do(t)
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/metrics": 200, "/mcp": 404, "/debug/pprof/": 404, "/servers/docs/mcp": 404} {
		if got := (request{method: "GET", url: g.Admin + path}).do(t); got.Status != want {
			t.Errorf("admin %s: %d, want %d", path, got.Status, want)
		}
	}
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/debug/pprof/"} {
		if got := (request{method: "GET", url: g.URL + path}).do(t); got.Status != 404 {
			t.Errorf("clients' %s: %d, want 404", path, got.Status)
		}
	}
	if n := g.Metric(t, "sallyport_requests_total", `server="docs"`, `method="tools/call"`, `status="200"`); n != 1 {
		t.Errorf("%v requests counted, want 1", n)
	}
	for i := range 20 { // what clients make up makes no series
		modern(g.MCP(), fmt.Sprintf("made/up-%d", i), "", "").do(t)
	}
	if n := g.Metric(t, "sallyport_requests_total", `method="other"`); n != 20 || strings.Contains(g.Metrics(t), "made/up") {
		t.Errorf("%v requests of unknown methods counted, want 20", n)
	}
	if !strings.Contains(g.Metrics(t), "go_goroutines") {
		t.Error("the Go runtime's metrics are missing")
	}
}

// REQ B-22: one audit event per request, whatever became of it, with an id of its own.
func TestAudit(t *testing.T) {
	t.Parallel()
	backend := testkit.Record(t, sessionBackend("s"))
	g := serve(t, remote("docs", backend.URL, "audit: {enabled: true}")+remote("quiet", backend.URL)+remote("down", "http://127.0.0.1:1", "audit: {enabled: true}"))
	url := at(g, "docs")
	session := initialize(t, url)
	sent := []struct {
		r       request
		outcome string
		method  string
	}{
		{call(url, "tool", `"secret":1`), "success", "tools/call"},
		{legacy(url, "tools/list", "").with("Mcp-Session-Id", session), "success", "tools/list"},
		{request{method: "DELETE", url: url}.with("Mcp-Session-Id", session), "success", "DELETE"},
		{message(url, `{"jsonrpc":"2.0","method":"notifications/initialized"}`), "success", "notifications/initialized"},
		{call(url, "tool", "").with("Mcp-Name", "x"), "denied", "tools/call"},
		{message(url, `{`), "denied", "POST"},
		{legacy(url, "ping", "").with("Mcp-Session-Id", "x"), "denied", "ping"},
		{listen(url).with("Origin", "https://evil.example"), "denied", "GET"},
		{call(at(g, "down"), "tool", ""), "error", "tools/call"},
	}
	for _, s := range sent {
		s.r.do(t)
	}
	call(at(g, "quiet"), "tool", "").do(t)
	if err := g.Stop(); err != nil {
		t.Error(err)
	}
	ids := map[string]bool{}
	events := strings.Split(strings.TrimSpace(g.Stdout.String()), "\n")
	if len(events) != len(sent)+1 {
		t.Fatalf("%d events, want %d:\n%s", len(events), len(sent)+1, g.Stdout)
	}
	for i, line := range events {
		var e struct{ Time, ID, Server, Method, Tool, Subject, Source, Outcome, Reason string }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if _, err := time.Parse(time.RFC3339, e.Time); err != nil || e.ID == "" || ids[e.ID] || e.Subject != "anonymous" && e.Subject != "" || e.Server == "quiet" {
			t.Errorf("event %s", line)
		}
		ids[e.ID] = true
		if i == 0 {
			continue // initialize
		}
		want := sent[i-1]
		if e.Outcome != want.outcome || e.Method != want.method || e.Outcome != "success" && e.Reason == "" || want.outcome == "error" && e.Tool != "tool" {
			t.Errorf("want %s of %s, got %s", want.outcome, want.method, line)
		}
	}
}

// The exit codes that scripts depend on.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	good := manifests(t, remote("docs", "https://mcp.example.com/mcp"))
	bad := manifests(t, remote("docs", "https://mcp.example.com/mcp", "nonsense: 1"))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	for _, tt := range []struct {
		args []string
		code int
	}{
		{[]string{"version"}, 0},
		{[]string{"--help"}, 0},
		{[]string{"check", "-f", good}, 0},
		{[]string{"check", "-f", bad}, 2},
		{[]string{"check"}, 2},
		{[]string{"check", "-f", "/nonexistent"}, 2},
		{[]string{"check", "-f", t.TempDir()}, 2},
		{[]string{"serve"}, 2},
		{[]string{"serve", "-f", bad}, 2},
		{[]string{"serve", "-f", "/nonexistent"}, 2},
		{[]string{"serve", "-f", t.TempDir()}, 2},
		{[]string{"serve", "-f", good, "--nonsense"}, 2},
		{[]string{"serve", "-f", good, "--log-level", "loud"}, 2},
		{[]string{"serve", "-f", good, "--listen", ln.Addr().String()}, 1},
		{[]string{"nonsense"}, 2},
		{[]string{"help", "nonsense"}, 2},
		{[]string{"audit", "nonsense"}, 2},
		{[]string{"completion", "bash", "nonsense"}, 2},
		{[]string{"--version"}, 0},
		{[]string{"explain", "-f", good}, 2},
		{[]string{"explain", "-f", good, "--server", "nobody"}, 2}, // FINDING N18
		{[]string{"explain", "-f", good, "--server", "docs"}, 0},
		{[]string{"login", "-f", good}, 2},
		{[]string{"login", "-f", good, "--server", "nobody"}, 2},
		{[]string{"run"}, 2},
		{[]string{"run", "not-a-url"}, 2},
		{[]string{"run", "ftp://x"}, 2},
		{[]string{"run", "--", "no-such-command-here"}, 2}, // FINDING N17
		{[]string{"run", "--header", "X-Nobody-Set-This", "https://mcp.example.com"}, 2},
		{[]string{"run", "--header", "Cookie=x", "https://mcp.example.com"}, 2},
		{[]string{"run", "--oauth-client-id", "x", "--", "true"}, 2},
		{[]string{"run", "--no-oauth", "--oauth-scopes", "x", "https://mcp.example.com"}, 2},
		{[]string{"run", "--oauth-client-id", "x", "--oauth-cimd-url", "https://example.com/x", "https://mcp.example.com"}, 2},
		{[]string{"run", "--oauth-client-credentials", "https://mcp.example.com"}, 2},
	} {
		t.Run(strings.Join(tt.args[:min(3, len(tt.args))], " "), func(t *testing.T) {
			t.Parallel()
			got := testkit.Run(t, tt.args...)
			if got.Code != tt.code || tt.code != 0 && got.Stderr == "" || strings.Contains(got.Stderr, "goroutine ") {
				t.Errorf("%q: exit code %d, want %d:\n%s", tt.args, got.Code, tt.code, got.Stderr)
			}
		})
	}
}

// check lists every error with file, line, resource and field; as JSON too.
func TestCheckOutput(t *testing.T) {
	t.Parallel()
	folder := manifests(t,
		remote("one", "https://mcp.example.com/mcp", "nonsense: 1", "transport: carrier-pigeon"), // lines 1 to 9
		remote("two", "http://mcp.example.com", "externalAuthConfigRef: {name: nobody}"),         // lines 10 to 17
		strings.Replace(remote("three", "http://mcp.example.com"), "allowPrivateEndpoint: true", "proxyPort: 70000", 1),
	)
	want := []string{
		"main.yaml:8:MCPRemoteProxy/one: spec.nonsense:",
		"main.yaml:9:MCPRemoteProxy/one: spec.transport:",
		"main.yaml:17:MCPRemoteProxy/two: spec.externalAuthConfigRef.name:",
		"main.yaml:23:MCPRemoteProxy/three: spec.remoteUrl:",
		"main.yaml:24:MCPRemoteProxy/three: spec.proxyPort:",
	}
	got := testkit.Run(t, "check", "-f", folder)
	if got.Code != 2 {
		t.Errorf("exit code %d", got.Code)
	}
	for _, w := range want {
		place, rest, _ := strings.Cut(w, ":MCP")
		if len(lines(got.Stderr, place+":", ": MCP"+rest)) != 1 {
			t.Errorf("no line, or several, for %s", w)
		}
	}
	if t.Failed() {
		t.Logf("check wrote:\n%s", got.Stderr)
	}
	asJSON := testkit.Run(t, "check", "-f", folder, "-o", "json")
	var parsed struct {
		Problems []struct {
			File, Object, Field, Message string
			Line, Column                 int
		}
	}
	if err := json.Unmarshal([]byte(asJSON.Stdout), &parsed); err != nil || asJSON.Code != 2 || len(parsed.Problems) != len(strings.Split(strings.TrimSpace(got.Stderr), "\n")) {
		t.Errorf("exit code %d, %v:\n%s", asJSON.Code, err, asJSON.Stdout)
	}
	for _, p := range parsed.Problems {
		if p.File == "" || p.Line == 0 || p.Object == "" || p.Field == "" || p.Message == "" {
			t.Errorf("a problem without a place: %+v", p)
		}
	}
}

// `demo` and the real `run` need nothing but the binary, and the command that demo prints works.
func TestDemo(t *testing.T) {
	t.Parallel()
	g := testkit.Start(t, "demo")
	g.Stdout.WaitFor(t, g.MCP())
	got := call(g.MCP(), "received_headers", "").with("Authorization", "Bearer my-own-token").do(t)
	if got.Status != 200 || strings.Contains(got.Body, "my-own-token") || !strings.Contains(strings.ToLower(got.Body), "x-demo-tenant") {
		t.Errorf("status %d, %s", got.Status, got.Body)
	}
}
