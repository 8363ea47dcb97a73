package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// front is a raw client of 2024-11-05.
type front struct {
	in    eventReader
	close func() error
	post  string // address for messages
	path  string // the same, as the gateway said it
}

// openFront opens an SSE endpoint and reads the address for messages.
func openFront(t *testing.T, base, endpoint string, headers ...string) *front {
	t.Helper()
	resp := request{method: http.MethodGet, url: base + endpoint}.with("Accept", "text/event-stream").with(headers...).open(t.Context(), t)
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("status %d, Content-Type %q", resp.StatusCode, resp.Header.Get("Content-Type"))
	}
	f := &front{in: readEvents(resp.Body), close: resp.Body.Close}
	first, err := f.in.next()
	path, ok := strings.CutPrefix(first, "event: endpoint\ndata: ")
	if err != nil || !ok {
		t.Fatalf("the stream began with %q (%v)", first, err)
	}
	f.path = strings.TrimSpace(path)
	f.post = base + f.path
	return f
}

// say posts a message and wants it taken.
func (f *front) say(t *testing.T, body string) {
	t.Helper()
	if got := message(f.post, body).do(t); got.Status != 202 {
		t.Fatalf("status %d, %s", got.Status, got.Body)
	}
}

// hear returns the next message of the stream.
func (f *front) hear(t *testing.T) string {
	t.Helper()
	event, err := f.in.next()
	if err != nil {
		t.Fatal(err)
	}
	data, ok := strings.CutPrefix(strings.TrimPrefix(event, "event: message\n"), "data: ")
	if !ok {
		t.Fatalf("event %q", event)
	}
	return strings.TrimSuffix(data, "\n")
}

// begin does the handshake.
func (f *front) begin(t *testing.T) {
	t.Helper()
	f.say(t, initialization("").body)
	if got := f.hear(t); !strings.Contains(got, `"protocolVersion"`) {
		t.Fatalf("initialize: %s", got)
	}
	f.say(t, `{"jsonrpc":"2.0","method":"notifications/initialized"}`)
}

// REQ F-1: a client of 2024-11-05 works before a Streamable HTTP backend; its session there ends with its stream.
func TestFrontBeforeStreamable(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	backend := testkit.Record(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case bodyOf(r).Params.Name == "stream":
			send := events(w)
			send("data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\ndata: \"x\":1}\n\n")
			send(": comment\n\nevent: other\ndata: no message\n\n")
			send("data: " + rpcResult(r, `{"streamed":9007199254740993}`) + "\n\n")
		case r.Method == http.MethodDelete:
			close(ended)
		default:
			sessionBackend("s")(w, r)
		}
	})
	g := serve(t, remote("docs", backend.URL, "passthroughHeaders: [X-Tenant]"))
	f := openFront(t, g.URL, "/sse", "X-Tenant", "acme")
	if !strings.HasPrefix(f.path, "/servers/docs/messages?") || strings.Contains(f.path, "acme") {
		t.Errorf("address for messages %q", f.path)
	}
	f.begin(t)
	// What the backend says on its own stream comes too.
	if got := f.hear(t); got != `{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}` {
		t.Errorf("got %s", got)
	}
	f.say(t, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"stream"}}`)
	for _, want := range []string{
		"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\ndata: \"x\":1}",
		`{"jsonrpc":"2.0","id":1,"result":{"streamed":9007199254740993}}`,
	} {
		if got := f.hear(t); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	f.say(t, `{"jsonrpc":"2.0","id":"two","method":"tools/list"}`)
	if got := f.hear(t); got != `{"jsonrpc":"2.0","id":"two","result":{"ok":true}}` {
		t.Errorf("got %s", got)
	}
	f.say(t, `{"jsonrpc":"2.0","id":"of-the-server","result":{}}`)
	_ = f.close()
	receive(t, ended, "the session at the backend is ended")
	for i, r := range backend.Requests() {
		if i > 0 && r.Header.Get("Mcp-Session-Id") != "s" || r.Header.Get("X-Tenant") != "acme" {
			t.Errorf("%s %s had session %q, X-Tenant %q", r.Method, r.Body, r.Header.Get("Mcp-Session-Id"), r.Header.Get("X-Tenant"))
		}
		if strings.Contains(r.Target, "session=") {
			t.Errorf("the backend got %s", r.Target)
		}
	}
	if got := message(f.post, `{"jsonrpc":"2.0","id":3,"method":"ping"}`).do(t); got.Status != 404 {
		t.Errorf("a message after the stream's end: status %d, want 404", got.Status)
	}
}

// REQ F-1, REQ B-24: a message goes to the stream it belongs to and to no other; what is refused is refused here too.
func TestFrontsAreApart(t *testing.T) {
	t.Parallel()
	backend := testkit.Record(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		sessionBackend("s")(w, r)
	})
	g := serve(t, remote("docs", backend.URL)+remote("twin", backend.URL))
	a, b := openFront(t, g.URL, "/servers/docs/sse"), openFront(t, g.URL, "/servers/docs/sse")
	if a.post == b.post {
		t.Fatal("two streams have one address")
	}
	a.begin(t)
	b.begin(t)
	a.say(t, `{"jsonrpc":"2.0","id":"a","method":"tools/list"}`)
	b.say(t, `{"jsonrpc":"2.0","id":"b","method":"tools/list"}`)
	if got := b.hear(t); !strings.Contains(got, `"id":"b"`) {
		t.Errorf("b heard %s", got)
	}
	if got := a.hear(t); !strings.Contains(got, `"id":"a"`) {
		t.Errorf("a heard %s", got)
	}
	backend.Reset()
	const list = `{"jsonrpc":"2.0","id":9,"method":"tools/list"}`
	id := a.path[strings.Index(a.path, "?"):]
	for name, tt := range map[string]struct {
		r      request
		status int
	}{
		"another endpoint's":  {message(g.URL+"/servers/twin/messages"+id, list), 404},
		"made up":             {message(g.URL+"/servers/docs/messages?session=x", list), 404},
		"none":                {message(g.URL+"/servers/docs/messages", list), 404},
		"lower case":          {message(strings.ToLower(a.post), list), 404},
		"duplicate key":       {message(a.post, `{"jsonrpc":"2.0","id":9,"id":8,"method":"tools/list"}`), 400},
		"case variant":        {message(a.post, `{"jsonrpc":"2.0","id":9,"Method":"x","method":"tools/list"}`), 400},
		"batch":               {message(a.post, "["+list+"]"), 400},
		"lying header":        {message(a.post, list).with("Mcp-Method", "tools/call"), 400},
		"wrong type":          {message(a.post, list).without("Content-Type").with("Content-Type", "text/plain"), 415},
		"foreign origin":      {message(a.post, list).with("Origin", "https://evil.example"), 403},
		"too large":           {message(a.post, strings.Repeat(" ", 30<<20)+list), 413},
		"GET of the messages": {request{method: "GET", url: a.post}, 405},
	} {
		if got := tt.r.do(t); got.Status != tt.status {
			t.Errorf("%s: status %d, want %d", name, got.Status, tt.status)
		}
	}
	if n := len(backend.Requests()); n != 0 {
		t.Errorf("the backend got %d requests", n)
	}
}

// REQ F-1: what a client sends one after the other reaches the backend in that order, and the answers keep theirs.
func TestFrontKeepsOrder(t *testing.T) {
	t.Parallel()
	backend := testkit.Record(t, sessionBackend("s"))
	g := serve(t, remote("docs", backend.URL))
	f := openFront(t, g.URL, "/sse")
	f.begin(t)
	f.hear(t) // the backend's own message
	backend.Reset()
	var want []string
	for i := range 50 {
		body := fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":%d}}`, i)
		f.say(t, body)
		want = append(want, body)
	}
	var got []string
	for _, r := range backend.Requests() {
		got = append(got, string(r.Body))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("order at the backend (-want +got):\n%s", diff)
	}
}

// REQ F-1: what goes wrong at the backend is an error on the stream for the request that asked.
func TestFrontErrors(t *testing.T) {
	t.Parallel()
	backend := testkit.Record(t, func(w http.ResponseWriter, r *http.Request) {
		switch bodyOf(r).Params.Name {
		case "html":
			plainly(200, "text/html", page)(w, r)
		case "broken":
			events(w)("data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}\n\ndata: {\"half")
			panic(http.ErrAbortHandler)
		case "silent":
			events(w)(": nothing\n\n")
		case "empty":
			w.WriteHeader(http.StatusOK)
		default:
			ok(w, r)
		}
	})
	g := serve(t, remote("docs", backend.URL))
	f := openFront(t, g.URL, "/sse")
	for i, name := range []string{"html", "broken", "silent", "empty"} {
		f.say(t, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":%q}}`, i, name))
		got := f.hear(t)
		if strings.Contains(got, "notifications/progress") {
			got = f.hear(t)
		}
		if !strings.HasPrefix(got, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"error":{"code":-32603`, i)) {
			t.Errorf("%s: got %s", name, got)
		}
		wantLines(t, g, i+1, "WARN", "request failed")
	}
	f.say(t, `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"fine"}}`)
	if got := f.hear(t); got != `{"jsonrpc":"2.0","id":7,"result":{"ok":true}}` {
		t.Errorf("got %s", got)
	}
}

// REQ F-1, REQ F-3: a client that tries 2026-07-28 over HTTP+SSE hears on its stream what works there, at once.
func TestFrontTriesModern(t *testing.T) {
	t.Parallel()
	backend := testkit.Record(t, ok)
	g := serve(t, remote("docs", backend.URL))
	f := openFront(t, g.URL, "/sse")
	f.say(t, modern("", "server/discover", "", "").body)
	got := f.hear(t)
	if !strings.HasPrefix(got, `{"jsonrpc":"2.0","id":7,"error":{"code":-32022,`) || !strings.Contains(got, `"supported":["2025-11-25",`) {
		t.Errorf("got %s", got)
	}
	if n := len(backend.Requests()); n != 0 {
		t.Errorf("the backend got %d requests", n)
	}
}

// REQ F-1: the address for messages is the one that the client can reach: below endpointPrefix, or below the prefix
// that a trusted proxy says.
func TestFrontPrefix(t *testing.T) {
	t.Parallel()
	g := serve(t, remote("fixed", "http://127.0.0.1:1", "endpointPrefix: /mcp/v1")+
		remote("trusting", "http://127.0.0.1:1", "trustProxyHeaders: true")+remote("plain", "http://127.0.0.1:1"))
	for _, tt := range []struct{ name, header, want string }{
		{"fixed", "", "/mcp/v1/servers/fixed/messages?"},
		{"fixed", "/other", "/mcp/v1/servers/fixed/messages?"},
		{"trusting", "/gw", "/gw/servers/trusting/messages?"},
		{"trusting", "/gw/", "/gw/servers/trusting/messages?"},
		{"trusting", "//evil.example", "/servers/trusting/messages?"},
		{"trusting", "https://evil.example", "/servers/trusting/messages?"},
		{"trusting", "/a b", "/servers/trusting/messages?"},
		{"plain", "/gw", "/servers/plain/messages?"},
	} {
		headers := []string{}
		if tt.header != "" {
			headers = []string{"X-Forwarded-Prefix", tt.header}
		}
		f := openFront(t, g.URL, "/servers/"+tt.name+"/sse", headers...)
		if !strings.HasPrefix(f.path, tt.want) {
			t.Errorf("%s with %q: address %q, want %q", tt.name, tt.header, f.path, tt.want)
		}
		_ = f.close()
	}
}

// REQ F-1: real clients of both transports work before a real HTTP+SSE backend, and clients of HTTP+SSE before a
// Streamable HTTP one.
func TestSSEWithRealPeers(t *testing.T) {
	t.Parallel()
	backend := testkit.StartBackend(t, testkit.Sessions)
	g := serve(t, remote("sse", backend.SSE, "transport: sse")+remote("http", backend.URL))
	for _, tt := range []struct {
		name      string
		transport mcp.Transport
		revision  string // "": the client tries 2026-07-28 first
	}{
		{"streamable before sse", &mcp.StreamableClientTransport{Endpoint: at(g, "sse"), HTTPClient: client}, "2025-11-25"},
		{"dual streamable before sse", &mcp.StreamableClientTransport{Endpoint: at(g, "sse"), HTTPClient: client}, ""},
		{"sse before sse", &mcp.SSEClientTransport{Endpoint: g.URL + "/servers/sse/sse", HTTPClient: client}, "2024-11-05"},
		{"dual sse before sse", &mcp.SSEClientTransport{Endpoint: g.URL + "/servers/sse/sse", HTTPClient: client}, ""},
		{"sse before streamable", &mcp.SSEClientTransport{Endpoint: g.URL + "/servers/http/sse", HTTPClient: client}, "2024-11-05"},
		{"dual sse before streamable", &mcp.SSEClientTransport{Endpoint: g.URL + "/servers/http/sse", HTTPClient: client}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			progress := make(chan float64, 10)
			c := mcp.NewClient(&mcp.Implementation{Name: "e2e", Version: "1"}, &mcp.ClientOptions{
				ProgressNotificationHandler: func(_ context.Context, req *mcp.ProgressNotificationClientRequest) {
					progress <- req.Params.Progress
				},
			})
			s, err := c.Connect(t.Context(), tt.transport, &mcp.ClientSessionOptions{ProtocolVersion: tt.revision})
			if err != nil {
				t.Fatal(err)
			}
			tools, err := s.ListTools(t.Context(), nil)
			if err != nil || len(tools.Tools) < 5 {
				t.Fatalf("tools/list: %v", err)
			}
			got, err := s.CallTool(t.Context(), &mcp.CallToolParams{Name: "echo", Arguments: map[string]any{"text": "grüße"}})
			if err != nil || got.Content[0].(*mcp.TextContent).Text != "grüße" {
				t.Errorf("echo: %v", err)
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
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// REQ F-3: a client of 2026-07-28 before a server of 2024-11-05 gets its answer, and so does one that initializes.
func TestModernBeforeSSE(t *testing.T) {
	t.Parallel()
	var server sseServer
	backend := testkit.Record(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			server.stream(w, r, "")
			return
		}
		server.message(w, r, sessionBackendResult)
	})
	g := serve(t, remote("docs", backend.URL+"/sse", "transport: sse"))
	if got := call(g.MCP(), "tool", "").do(t); got.Status != 200 || !strings.Contains(got.Body, `"id":7,"result":{"ok":true,"resultType":"complete"`) {
		t.Errorf("status %d: %s", got.Status, got.Body)
	}
	session := initialize(t, g.MCP())
	legacy(g.MCP(), "tools/call", `"name":"a"`).with("Mcp-Session-Id", session).do(t).wantResult(t, `{"ok":true}`)
}

// REQ A-5: an SSE backend cannot send credentials to another origin by naming it as the address for messages.
func TestSSEEndpointOfAnotherOrigin(t *testing.T) {
	t.Parallel()
	thief := testkit.Record(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) })
	for name, endpoint := range map[string]string{
		"another port":    thief.URL + "/messages",
		"another host":    strings.Replace(thief.URL, "127.0.0.1", "localhost", 1) + "/messages",
		"without scheme":  strings.TrimPrefix(thief.URL, "http:") + "/messages",
		"with userinfo":   strings.Replace(thief.URL, "http://", "http://127.0.0.1@", 1) + "/messages",
		"another scheme":  "https" + strings.TrimPrefix(thief.URL, "http") + "/messages",
		"metadata":        "http://169.254.169.254/messages",
		"no address":      "",
		"scheme of files": "file:///etc/passwd",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			backend := testkit.Record(t, func(w http.ResponseWriter, r *http.Request) {
				events(w)("event: endpoint\ndata: " + endpoint + "\n\n")
				<-r.Context().Done()
			})
			g := serve(t, credentialObjects+remote("docs", backend.URL+"/sse", "transport: sse", credentials), "--call-timeout", "2s")
			if got := initialization(g.MCP()).with("X-Tenant", "acme").do(t); got.Status < 500 || !strings.Contains(got.Body, `"id":0,"error"`) {
				t.Errorf("status %d, %s", got.Status, got.Body)
			}
			wantLines(t, g, 1, "WARN", "request failed")
		})
	}
	t.Cleanup(func() {
		for _, r := range thief.Requests() {
			t.Errorf("another origin got %s %s with %v", r.Method, r.Target, shown(r.Header))
		}
	})
}

// REQ A-3, REQ E-1: every request to an SSE backend carries what the manifest says, and nothing of the client's door.
func TestSSEBackendHeaders(t *testing.T) {
	t.Parallel()
	var server sseServer
	backend := testkit.Record(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			server.stream(w, r, "")
			return
		}
		server.message(w, r, sessionBackendResult)
	})
	g := serve(t, credentialObjects+remote("docs", backend.URL+"/sse", "transport: sse", credentials))
	dirt := []string{"Authorization", "Bearer mine", "Cookie", "a=b", "X-Forwarded-For", "1.2.3.4", "X-Tenant", "acme"}
	session := initialize(t, g.MCP(), dirt...)
	legacy(g.MCP(), "tools/list", "").with(dirt...).with("Mcp-Session-Id", session).do(t).wantResult(t, `{"ok":true}`)
	for _, r := range backend.Requests() {
		if diff := cmp.Diff(allShown, shown(r.Header)); diff != "" || r.Header.Get("Cookie")+r.Header.Get("X-Forwarded-For") != "" {
			t.Errorf("%s: %v\n%s", r.Method, r.Header, diff)
		}
	}
	if n := len(backend.Requests()); n != 3 {
		t.Errorf("%d requests, want a stream and two messages", n)
	}
	request{method: http.MethodDelete, url: g.MCP()}.with("Mcp-Session-Id", session).do(t)
	if got := legacy(g.MCP(), "tools/list", "").with("Mcp-Session-Id", session).do(t); got.Status != 404 {
		t.Errorf("after DELETE: status %d, want 404", got.Status)
	}
}

// REQ F-4: an SSE backend whose stream breaks fails the calls that wait, by id, and the next session works.
func TestSSEBackendBreaks(t *testing.T) {
	t.Parallel()
	var server sseServer
	backend := testkit.Record(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodGet:
			server.stream(w, r, "")
		case bodyOf(r).Params.Name == "break":
			w.WriteHeader(http.StatusAccepted)
			server.end()
		default:
			server.message(w, r, sessionBackendResult)
		}
	})
	g := serve(t, remote("docs", backend.URL+"/sse", "transport: sse"))
	session := initialize(t, g.MCP())
	legacy(g.MCP(), "tools/call", `"name":"break"`).with("Mcp-Session-Id", session).do(t).wantError(t, 502, internalFailure, "7")
	wantLines(t, g, 1, "WARN", "request failed")
	session = initialize(t, g.MCP())
	legacy(g.MCP(), "tools/call", `"name":"fine"`).with("Mcp-Session-Id", session).do(t).wantResult(t, `{"ok":true}`)
}

// A call of an older revision that is cancelled has no answer, whatever the backend says to it (MCP 2025-11-25 cancellation).
//
// FINDING F19
func TestCancelledByOldClients(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(*testing.T, *testkit.Gateway) (say func(*testing.T, string), hear func(*testing.T) string){
		"HTTP+SSE": func(t *testing.T, g *testkit.Gateway) (func(*testing.T, string), func(*testing.T) string) {
			f := openFront(t, g.URL, "/servers/docs/sse")
			return f.say, f.hear
		},
		"WebSocket": func(t *testing.T, g *testkit.Gateway) (func(*testing.T, string), func(*testing.T) string) {
			s := openSocket(t, g, "/servers/docs/ws")
			return s.say, s.hear
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			begun, told, answered := make(chan struct{}), make(chan struct{}), make(chan struct{})
			backend := testkit.Record(t, func(w http.ResponseWriter, r *http.Request) {
				switch m := bodyOf(r); {
				case m.Params.Name == "wait":
					defer close(answered)
					close(begun)
					await(r, told)
					ok(w, r)
				case m.Method == "notifications/cancelled":
					close(told)
					w.WriteHeader(http.StatusAccepted)
				case m.Params.Name == "next":
					await(r, answered)
					ok(w, r)
				default:
					sessionBackend("s")(w, r)
				}
			})
			say, hear := open(t, serve(t, remote("docs", backend.URL)))
			say(t, initialization("").body)
			hear(t)
			say(t, `{"jsonrpc":"2.0","method":"notifications/initialized"}`)
			say(t, legacy("", "tools/call", `"name":"wait"`).body)
			receive(t, begun, "the call arrives")
			say(t, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}`)
			say(t, strings.Replace(legacy("", "tools/call", `"name":"next"`).body, `"id":7`, `"id":8`, 1))
			got := hear(t)
			for strings.Contains(got, "list_changed") { // of the backend's own stream
				got = hear(t)
			}
			if !strings.Contains(got, `"id":8`) {
				t.Errorf("got %s", got)
			}
		})
	}
}
