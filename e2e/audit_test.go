package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

const audited = "audit: {enabled: true}"

// auditFiles are the files of a chain in its order, the current one last.
func auditFiles(t *testing.T, path string) []string {
	t.Helper()
	rotated, err := filepath.Glob(path + ".*")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(rotated)
	return append(rotated, path)
}

func auditKey(t *testing.T, fill byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "key")
	key := strings.Repeat(string(fill), 43) + "=\n" // 32 bytes in base64
	if err := os.WriteFile(name, []byte(key), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// REQ B-22: a file that is rotated, by us and by others, whose chain shows any change.
func TestAuditFile(t *testing.T) {
	t.Parallel()
	backend := saying(t, "a")
	path, key := filepath.Join(t.TempDir(), "audit.jsonl"), auditKey(t, 'A')
	g := serve(t, remote("docs", backend.URL, audited), "--audit-file", path, "--audit-max-size", "4000", "--audit-key-file", key)
	for i := range 30 {
		call(g.MCP(), fmt.Sprintf("tool-%d", i), "").do(t)
		if i == 15 { // between batches or in one: no event may be lost
			if err := os.Rename(path, path+".moved"); err != nil {
				t.Error(err)
			}
		}
		if i%10 == 9 {
			testkit.Eventually(t, "the events are written", func() bool {
				return g.Metric(t, "sallyport_audit_events_total", `sink="file"`) == float64(i+1)
			})
		}
	}
	if err := g.Stop(); err != nil {
		t.Error(err)
	}
	files := auditFiles(t, path)
	if len(files) < 4 {
		t.Fatalf("files %q, want several", files)
	}
	if g.Stdout.String() != "" {
		t.Errorf("on stdout: %s", g.Stdout)
	}
	tools, head := map[string]bool{}, ""
	for _, name := range files {
		info, err := os.Stat(name)
		if err != nil || info.Mode().Perm() != 0o600 || info.Size() > 4000 {
			t.Errorf("%s: %v, %v, %d bytes", name, err, info.Mode(), info.Size())
		}
		text, _ := os.ReadFile(name)
		for line := range strings.Lines(string(text)) {
			var e struct{ Schema, Tool, Chain string }
			if err := json.Unmarshal([]byte(line), &e); err != nil || e.Schema != "sallyport.audit/v1" || len(e.Chain) != 64 {
				t.Errorf("%v: %s", err, line)
			}
			tools[e.Tool], head = true, e.Chain
		}
	}
	delete(tools, "") // of headers
	if len(tools) != 30 {
		t.Errorf("%d calls in the audit, want 30", len(tools))
	}
	for _, name := range files[:len(files)-1] {
		if strings.HasSuffix(name, ".moved") {
			continue
		}
		if len(lines(g.Stderr.String(), "audit file ended", "file="+name, "head=")) != 1 {
			t.Errorf("the log does not tell the head of %s", name)
		}
	}
	if len(lines(g.Stderr.String(), "audit file closed", "head="+head)) != 1 {
		t.Errorf("the log does not tell the head %s", head)
	}

	verify := func(code int, says string, args ...string) {
		t.Helper()
		got := testkit.Run(t, append([]string{"audit", "verify"}, args...)...)
		if got.Code != code || !strings.Contains(got.Stdout+got.Stderr, says) {
			t.Errorf("verify %q: exit code %d, want %d and %q:\n%s%s", args, got.Code, code, says, got.Stdout, got.Stderr)
		}
	}
	all := append([]string{"--key-file", key}, files...)
	verify(0, fmt.Sprintf("the chain holds (sealed with a key): 30 events in %d files, head %s\n", len(files), head), all...)
	verify(0, "the chain holds", append(all, "--anchor", head)...)
	verify(1, "the anchor", append(all, "--anchor", strings.Repeat("0f", 32))...)
	verify(1, ":1: it is sealed with a key, which was not given", files...)
	verify(1, "is not among those given", append([]string{"--key-file", auditKey(t, 'B')}, files...)...)
	verify(1, "in between are missing", slices.Delete(slices.Clone(all), 3, 4)...)
	verify(2, "no such file", filepath.Join(t.TempDir(), "missing"))
	verify(2, "no such file", "--key-file", "missing", path)
	verify(2, "--anchor", "--anchor", "x", path)
	verify(2, "say which file")
	text, err := os.ReadFile(files[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(files[1], []byte(strings.Replace(string(text), `"outcome":"success"`, `"outcome":"denied!"`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	verify(1, files[1]+":2: the line, or where it stands, was changed", all...)
}

// startRun is for processes that are not to end well; their endpoint is url.
func startRun(t *testing.T, args ...string) (cmd *exec.Cmd, url string, stderr *testkit.Output) {
	t.Helper()
	cmd = exec.CommandContext(t.Context(), testkit.Binary(t), append([]string{"run", "--listen", "127.0.0.1:0", "--admin-listen", ""}, args...)...)
	stderr = &testkit.Output{}
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stderr.WaitFor(t, "MCP endpoint")
	return cmd, regexp.MustCompile(`http://127\.0\.0\.1:\d+/mcp`).FindString(stderr.String()), stderr
}

// REQ B-22, E-2: SIGKILL in the middle of it, and what a loss of power may leave behind. What is left is sound, and
// the next process goes on.
func TestAuditFileAfterCrash(t *testing.T) {
	t.Parallel()
	backend := saying(t, "a")
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	for round := range 3 {
		cmd, url, _ := startRun(t, "--audit-file", path, backend.URL)
		var calling sync.WaitGroup
		enough := make(chan struct{}, 1000)
		for range 4 {
			calling.Go(func() {
				for { // until it is gone
					resp, err := call(url, "tool", "").start(t.Context())
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
					select {
					case enough <- struct{}{}:
					default:
					}
				}
			})
		}
		for range 100 {
			receive(t, enough, "answers")
		}
		testkit.Eventually(t, "events are in the file", func() bool {
			info, err := os.Stat(path)
			return err == nil && info.Size() > int64(round+1)*2000
		})
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // it was killed, and says so
		calling.Wait()
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(f, `{"schema":"sallyport.audit/v1","time":"2026`, strings.Repeat("\x00", round*5000))
		f.Close()
		if got := testkit.Run(t, "audit", "verify", path); got.Code != 0 || !strings.Contains(got.Stdout, "torn") {
			t.Fatalf("after crash %d verify ends with %d:\n%s%s", round, got.Code, got.Stdout, got.Stderr)
		}
	}
	g := testkit.Start(t, "run", "--audit-file", path, backend.URL)
	if len(lines(g.Stderr.String(), "WARN", "torn")) != 1 {
		t.Error("the log does not speak of the torn line")
	}
	second := testkit.Run(t, "run", "--listen", "127.0.0.1:0", "--admin-listen", "", "--audit-file", path, backend.URL)
	if second.Code != 1 || !strings.Contains(second.Stderr, "another process writes it") {
		t.Errorf("a second process with the same file: exit code %d, %s", second.Code, second.Stderr)
	}
	call(g.MCP(), "last", "").do(t)
	if err := g.Stop(); err != nil {
		t.Error(err)
	}
	if got := testkit.Run(t, "audit", "verify", path); got.Code != 0 || strings.Contains(got.Stdout, "torn") {
		t.Errorf("verify ends with %d:\n%s%s", got.Code, got.Stdout, got.Stderr)
	}
}

// logsCollector receives OTLP as far as these tests look at it. While its door is shut, requests wait. A record that
// comes again, because the sender had not waited long enough, is kept once.
type logsCollector struct {
	*httptest.Server
	door    chan struct{} // closed: open
	mu      sync.Mutex
	records []map[string]string
	seen    map[string]bool
	headers http.Header
}

func newLogsCollector(t *testing.T) *logsCollector {
	c := &logsCollector{door: make(chan struct{}), seen: map[string]bool{}}
	c.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-c.door:
		case <-r.Context().Done():
			return
		}
		var req struct {
			ResourceLogs []struct {
				Resource  struct{ Attributes []logAttribute }
				ScopeLogs []struct {
					LogRecords []struct {
						TimeUnixNano string
						Attributes   []logAttribute
					}
				}
			}
		}
		if err := json.Unmarshal(otlpJSON(t, r), &req); err != nil || r.URL.Path != "/v1/logs" || len(req.ResourceLogs) != 1 {
			t.Errorf("%s: %v", r.URL, err)
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.headers = r.Header
		for _, record := range req.ResourceLogs[0].ScopeLogs[0].LogRecords {
			m := map[string]string{}
			for _, a := range append(record.Attributes, req.ResourceLogs[0].Resource.Attributes...) {
				m[strings.TrimPrefix(a.Key, "sallyport.audit.")] = a.Value.StringValue + a.Value.IntValue
			}
			if key := record.TimeUnixNano + " " + m["id"] + m["lost"]; !c.seen[key] {
				c.seen[key] = true
				c.records = append(c.records, m)
			}
		}
	}))
	t.Cleanup(c.Close)
	return c
}

type logAttribute struct {
	Key   string
	Value struct{ StringValue, IntValue string }
}

// taken are the records so far.
func (c *logsCollector) taken() []map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.records)
}

// REQ B-22: events go to a collector, and none is lost on shutdown.
func TestAuditOTLP(t *testing.T) {
	t.Parallel()
	backend := saying(t, "a")
	c := newLogsCollector(t)
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	g := testkit.StartWith(t, testkit.Options{Env: []string{
		"OTEL_EXPORTER_OTLP_HEADERS=x-wrong=1", "OTEL_EXPORTER_OTLP_LOGS_HEADERS=api-key=canary%2d5, x-other=2",
		"OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=test,service.name=x", "OTEL_SERVICE_NAME=door",
	}}, "serve", "-f", manifests(t, remote("docs", backend.URL, audited)), "--audit-otlp-endpoint", c.URL, "--audit-file", path)
	const calls = 50
	for i := range calls {
		call(g.MCP(), fmt.Sprintf("tool-%d", i), "").do(t)
	}
	message(g.MCP(), "{").do(t)
	stopped := make(chan error, 1)
	go func() { stopped <- g.Stop() }()
	g.Stderr.WaitFor(t, "msg=stopped") // all events still have to be sent
	close(c.door)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	got := c.taken()
	if len(got) != calls+1 {
		t.Fatalf("%d events arrived, want %d", len(got), calls+1)
	}
	for i := range calls {
		want := map[string]string{
			"schema": "sallyport.audit/v1", "server": "docs", "method": "tools/call", "tool": fmt.Sprintf("tool-%d", i), "target": fmt.Sprintf("tool-%d", i),
			"subject": "anonymous", "source": "anonymous", "outcome": "success", "status": "200", "client": "127.0.0.1", "protocol_version": "2026-07-28",
			"duration_ms": "", "service.name": "door", "deployment.environment.name": "test", "service.version": got[i]["service.version"],
			"id": got[i]["id"], "host.name": got[i]["host.name"],
		}
		if diff := cmp.Diff(want, got[i]); diff != "" || got[i]["id"] == "" {
			t.Fatalf("event %d:\n%s", i, diff)
		}
	}
	if c.headers.Get("Api-Key") != "canary-5" || c.headers.Get("X-Other") != "2" || c.headers.Get("X-Wrong") != "" {
		t.Errorf("header %v", c.headers)
	}
	if strings.Contains(g.Stderr.String(), "canary-5") || g.Stdout.String() != "" {
		t.Errorf("stdout %s, stderr %s", g.Stdout, g.Stderr)
	}
	if got := testkit.Run(t, "audit", "verify", path); !strings.Contains(got.Stdout, fmt.Sprintf("%d events", calls+1)) {
		t.Errorf("the file has %s%s", got.Stdout, got.Stderr)
	}
}

// REQ B-22: the operator chooses what a receiver that takes nothing costs: requests that wait, or events.
func TestAuditOverflow(t *testing.T) {
	t.Parallel()
	const calls = 2400 // of some 3 KiB: far more than the 4 MiB that may wait
	long := strings.Repeat("x", 1000)
	for _, overflow := range []string{"block", "drop"} {
		t.Run(overflow, func(t *testing.T) {
			t.Parallel()
			c := newLogsCollector(t)
			g := serve(t, remote("docs", "http://127.0.0.1:1", audited), "--audit-otlp-endpoint", c.URL+"/v1/logs", "--audit-overflow", overflow)
			answered := make(chan struct{}, calls)
			keeping := &http.Transport{MaxIdleConnsPerHost: 4} // a connection for each call would be most of the work
			defer keeping.CloseIdleConnections()
			var calling sync.WaitGroup
			for range 4 {
				calling.Go(func() {
					for range calls / 4 {
						r := call(g.MCP(), long, "").with("Mcp-Name", "another") // refused, so that no backend is busy
						r.via = &http.Client{Transport: keeping}
						resp, err := r.start(t.Context())
						if err != nil {
							t.Error(err)
							return
						}
						_, _ = io.Copy(io.Discard, resp.Body)
						resp.Body.Close()
						answered <- struct{}{}
					}
				})
			}
			lost := func() float64 { return g.Metric(t, "sallyport_audit_events_lost_total", `sink="otlp"`) }
			if overflow == "drop" {
				calling.Wait() // though nothing is taken
				if lost() == 0 {
					t.Error("nothing was dropped: the test sends too little")
				}
			} else {
				for range 500 {
					receive(t, answered, "answers as long as events fit")
				}
			}
			close(c.door)
			calling.Wait()
			testkit.Eventually(t, "all events are written or counted as lost", func() bool {
				return g.Metric(t, "sallyport_audit_events_total", `sink="otlp"`)+lost() == calls
			})
			lostNow := lost()
			if err := g.Stop(); err != nil {
				t.Error(err)
			}
			events, missing := 0, 0
			for _, r := range c.taken() {
				if r["lost"] == "" {
					events++
					continue
				}
				var n int
				if _, err := fmt.Sscan(r["lost"], &n); err != nil {
					t.Error(err)
				}
				missing += n
			}
			if events+missing != calls || float64(missing) != lostNow || overflow == "block" && missing > 0 {
				t.Errorf("%d events, %d missing by their own account, %v by the metric; want %d in all", events, missing, lostNow, calls)
			}
			if said := len(lines(g.Stderr.String(), "ERROR", "are dropped", "sink=otlp")) > 0; said != (overflow == "drop") {
				t.Errorf("the log tells of dropped events: %t", said)
			}
		})
	}
}

// A process whose events nobody takes ends all the same, and says what is lost.
func TestAuditNeverTaken(t *testing.T) {
	t.Parallel()
	cmd, url, stderr := startRun(t, "--audit-otlp-endpoint", "http://127.0.0.1:1", "--drain-timeout", "1s", saying(t, "a").URL)
	call(url, "tool", "").do(t)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // its code is looked at
	if cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("exit code %d", cmd.ProcessState.ExitCode())
	}
	if len(lines(stderr.String(), "1 events still unwritten")) != 1 {
		t.Errorf("it does not say what is lost:\n%s", stderr)
	}
}

// REQ B-22
func TestAuditTail(t *testing.T) {
	t.Parallel()
	backend := saying(t, "a")
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	g := serve(t, remote("docs", backend.URL, audited)+remote("twin", backend.URL, audited), "--audit-file", path, "--audit-max-size", "5000")
	written := 0
	send := func(r request) {
		t.Helper()
		r.do(t)
		written++
		testkit.Eventually(t, "the event is written", func() bool {
			return g.Metric(t, "sallyport_audit_events_total", `sink="file"`) == float64(written)
		})
	}
	follow := exec.CommandContext(t.Context(), testkit.Binary(t), "audit", "tail", "-f", "-o", "json", "--server", "docs", path)
	var followed testkit.Output
	follow.Stdout, follow.Stderr = &followed, os.Stderr
	if err := follow.Start(); err != nil {
		t.Fatal(err)
	}
	send(call(at(g, "docs"), "first", ""))
	send(call(at(g, "twin"), "second", ""))
	hostile := call(at(g, "docs"), "two words", "").without("Mcp-Name")
	hostile.body = strings.Replace(hostile.body, "two words", `two words\u001b[2J\u202e`, 1)
	send(hostile)
	tail := func(args ...string) testkit.Result {
		t.Helper()
		return testkit.Run(t, append([]string{"audit", "tail"}, args...)...)
	}
	for _, tt := range []struct {
		args []string
		want string // the events' targets
	}{
		{[]string{path}, "first second \"two words\\x1b[2J\\u202e\""},
		{[]string{"-n", "1", path}, "\"two words\\x1b[2J\\u202e\""},
		{[]string{"-n", "0", path}, ""},
		{[]string{"-n", "-1", "--server", "docs", path}, "first \"two words\\x1b[2J\\u202e\""},
		{[]string{"--outcome", "success", path}, "first second"},
		{[]string{"--subject", "alice", path}, ""},
		{[]string{"--subject", "anonymous", "--server", "twin", path}, "second"},
	} {
		got := tail(tt.args...)
		var targets []string
		for i, line := range strings.Split(strings.TrimSpace(got.Stdout), "\n") {
			if i == 0 && line != "" && !strings.HasPrefix(line, "TIME ") {
				t.Errorf("tail %q begins with %s", tt.args, line)
			}
			if m := regexp.MustCompile(`tools/call +(".*"|\S+)( |$)`).FindStringSubmatch(line); m != nil {
				targets = append(targets, m[1])
			}
		}
		if strings.Join(targets, " ") != tt.want || got.Code != 0 || strings.Contains(got.Stdout, "\x1b") {
			t.Errorf("tail %q: exit code %d, targets %s, want %s:\n%s%s", tt.args, got.Code, targets, tt.want, got.Stdout, got.Stderr)
		}
	}
	if got := tail("-o", "json", "-n", "-1", path); strings.Count(got.Stdout, "\n") != 3 || !json.Valid([]byte(strings.Split(got.Stdout, "\n")[0])) {
		t.Errorf("as JSON: %s", got.Stdout)
	}
	for i := range 20 { // across rotations
		send(call(at(g, "docs"), fmt.Sprintf("more-%d", i), ""))
	}
	testkit.Eventually(t, "tail -f has all", func() bool { return strings.Count(followed.String(), "\n") == 22 })
	if err := follow.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := follow.Wait(); err != nil {
		t.Errorf("tail -f ends with %v", err)
	}
	if strings.Contains(followed.String(), `"twin"`) || !strings.Contains(followed.String(), `"more-19"`) {
		t.Errorf("followed:\n%s", followed.String())
	}
	for _, args := range [][]string{{}, {"a", "b"}, {"-o", "yaml", path}, {"--outcome", "maybe", path}, {path + ".missing"}} {
		if got := tail(args...); got.Code != 2 {
			t.Errorf("tail %q: exit code %d", args, got.Code)
		}
	}
	if got := testkit.Run(t, "audit", "nonsense"); got.Code != 2 {
		t.Errorf("audit nonsense: exit code %d", got.Code)
	}
}

// Settings that cannot be meant are refused at start.
func TestAuditFlags(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	diary := filepath.Join(dir, "diary")
	if err := os.WriteFile(diary, []byte("dear diary\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args []string
		env  string
		code int
		says string
	}{
		{[]string{"--audit-overflow", "lose"}, "", 2, "block, drop"},
		{[]string{"--audit-key-file", auditKey(t, 'A')}, "", 2, "--audit-file"},
		{[]string{"--audit-file", filepath.Join(dir, "a"), "--audit-key-file", diary}, "", 2, "line 1: want 32 bytes in base64"},
		{[]string{"--audit-file", filepath.Join(dir, "a"), "--audit-max-files", "-1"}, "", 2, "at least 0"},
		{[]string{"--audit-file", diary}, "", 2, "it is no audit file"},
		{[]string{"--audit-file", filepath.Join(dir, "no", "folder")}, "", 1, "no such file"},
		{[]string{"--audit-file", dir}, "", 1, "no regular file"},
		{[]string{"--audit-otlp-endpoint", "localhost:4318"}, "", 2, "write it like http://localhost:4318"},
		{[]string{"--audit-otlp-endpoint", "http://localhost:4318"}, "OTEL_EXPORTER_OTLP_HEADERS=canary", 2, "name=value"},
		{[]string{"--audit-otlp-endpoint", "http://localhost:4318"}, "OTEL_EXPORTER_OTLP_HEADERS=a=canary%0d%0ab:c", 2, "name=value"},
		{[]string{"--audit-otlp-endpoint", "http://localhost:4318"}, "OTEL_RESOURCE_ATTRIBUTES=canary", 2, "key=value"},
	} {
		cmd := exec.CommandContext(t.Context(), testkit.Binary(t), append([]string{"run", "--listen", "127.0.0.1:0", "--admin-listen", ""}, append(tt.args, "https://mcp.example.com")...)...)
		cmd.Env = append(os.Environ(), tt.env)
		out, _ := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != tt.code || !strings.Contains(string(out), tt.says) || strings.Contains(string(out), "canary") {
			t.Errorf("%q %s: exit code %d, want %d and %q:\n%s", tt.args, tt.env, cmd.ProcessState.ExitCode(), tt.code, tt.says, out)
		}
	}
	if text, _ := os.ReadFile(diary); string(text) != "dear diary\n" {
		t.Errorf("the diary is now %q", text)
	}
}

// REQ G-5, FINDING N2: what people do at the authorization server is in the same chain
// as their calls, under the names that the docs have, and counted.
func TestAuditSignIn(t *testing.T) {
	t.Parallel()
	idp := testkit.StartIdP(t)
	address := testkit.FreeAddress(t)
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	g := serve(t, authServer(t, "http://"+address, map[string]*testkit.IdP{"default": idp}, []string{"default"})+
		remote("docs", testkit.StartBackend(t, testkit.Dual).URL, "authServerRef: {name: people}", audited), "--listen", address, "--audit-file", path)
	session := signsIn(t, testkit.NewBrowser(t), g.MCP())
	if _, err := session.ListTools(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if n := g.Metric(t, "sallyport_auth_server_events_total", `server="people"`, `event="oauth/token"`, `outcome="success"`); n != 1 {
		t.Errorf("%v tokens are counted, want 1", n)
	}
	_ = session.Close()
	if err := g.Stop(); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	page := read(t, filepath.Join(root, "docs", "reference", "metrics-and-audit.md"))
	seen := map[string]string{}
	for line := range strings.Lines(string(text)) {
		var e struct {
			Method, Server, Outcome, Subject, Provider string
			ClientID                                   string `json:"client_id"`
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(e.Method, "oauth/") || strings.HasPrefix(e.Method, "account/") {
			seen[e.Method] = e.Server + " " + e.Outcome + " " + e.Provider
			if e.ClientID == "" || !strings.Contains(page, "`"+e.Method+"`") {
				t.Errorf("no client, or the docs do not know the event: %s", line)
			}
			continue
		}
		seen["calls"] = "yes"
	}
	if diff := cmp.Diff(map[string]string{
		"oauth/register": "people success ", "oauth/sign_in": "people success default", "oauth/consent": "people success ",
		"oauth/token": "people success ", "account/link": "people success default", "calls": "yes",
	}, seen); diff != "" {
		t.Errorf("(-want +got):\n%s\n%s", diff, text)
	}
	if got := testkit.Run(t, "audit", "verify", path); got.Code != 0 {
		t.Errorf("audit verify: %s%s", got.Stdout, got.Stderr)
	}
}
