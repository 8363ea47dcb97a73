package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport-dev/sallyport/internal/testkit"
	"github.com/sallyport-dev/sallyport/internal/testkit/schema"
)

// socketClient is a raw client by WebSocket.
type socketClient struct{ conn *websocket.Conn }

// dialSocket opens a connection; via is as in [request].
func dialSocket(t *testing.T, via *http.Client, address string, headers ...string) (*socketClient, *http.Response, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	if via == nil {
		via = client
	}
	conn, resp, err := websocket.Dial(ctx, address, &websocket.DialOptions{
		HTTPClient: via, HTTPHeader: request{}.with(headers...).header, Subprotocols: []string{"mcp"},
	})
	if err != nil {
		return nil, resp, err
	}
	conn.SetReadLimit(64 << 20)
	t.Cleanup(func() { _ = conn.CloseNow() })
	return &socketClient{conn}, resp, nil
}

// openSocket opens the connection of a resource, and fails the test if it cannot.
func openSocket(t *testing.T, g *testkit.Gateway, path string, headers ...string) *socketClient {
	t.Helper()
	s, _, err := dialSocket(t, nil, g.URL+path, headers...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *socketClient) say(t *testing.T, message string) {
	t.Helper()
	if err := s.conn.Write(t.Context(), websocket.MessageText, []byte(message)); err != nil {
		t.Fatal(err)
	}
}

// hear returns the next message.
func (s *socketClient) hear(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	_, got, err := s.conn.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return string(got)
}

// wantClosed fails the test unless the connection is closed next, with this code and
// a reason that has the words.
func (s *socketClient) wantClosed(t *testing.T, code websocket.StatusCode, words string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	_, got, err := s.conn.Read(ctx)
	closed, ok := errors.AsType[websocket.CloseError](err)
	if !ok || closed.Code != code || !strings.Contains(closed.Reason, words) {
		t.Errorf("got %q and %v, want the code %d and a reason with %q", got, err, code, words)
	}
}

// begin does the handshake of the protocol.
func (s *socketClient) begin(t *testing.T) {
	t.Helper()
	s.say(t, initialization("").body)
	if got := s.hear(t); !strings.Contains(got, `"protocolVersion"`) {
		t.Fatalf("initialize: %s", got)
	}
	s.say(t, `{"jsonrpc":"2.0","method":"notifications/initialized"}`)
}

// socketTransport is the transport for clients of the Go SDK, which has none of its own.
type socketTransport struct {
	t     *testing.T
	url   string
	heard *schema.Conversation // hears all of it
}

func (s *socketTransport) Connect(context.Context) (mcp.Connection, error) {
	c, _, err := dialSocket(s.t, httpClient(s.t), s.url)
	if err != nil {
		return nil, err
	}
	return socketConnection{c.conn, s.heard}, nil
}

type socketConnection struct {
	conn  *websocket.Conn
	heard *schema.Conversation
}

func (c socketConnection) Read(ctx context.Context) (jsonrpc.Message, error) {
	_, raw, err := c.conn.Read(ctx)
	if err != nil {
		return nil, err
	}
	c.heard.Heard(raw)
	return jsonrpc.DecodeMessage(raw)
}

func (c socketConnection) Write(ctx context.Context, m jsonrpc.Message) error {
	raw, err := jsonrpc.EncodeMessage(m)
	if err != nil {
		return err
	}
	c.heard.Said(raw)
	return c.conn.Write(context.WithoutCancel(ctx), websocket.MessageText, raw) // or a cancelled call would end the connection
}

func (c socketConnection) Close() error      { return c.conn.Close(websocket.StatusNormalClosure, "") }
func (c socketConnection) SessionID() string { return "" }

// REQ F-1: a session by WebSocket: what the backend is shown, what it says on its own stream, and the session's end
// with the connection.
func TestSocketSession(t *testing.T) {
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
	g := serve(t, remote("docs", backend.URL, "passthroughHeaders: [X-Tenant]", "audit: {enabled: true}"))
	s, resp, err := dialSocket(t, nil, g.URL+"/ws?tenant=none", "X-Tenant", "acme", "Cookie", "a=b")
	if err != nil {
		t.Fatal(err)
	}
	if got := resp.Header.Get("Sec-Websocket-Protocol"); got != "mcp" {
		t.Errorf("subprotocol %q", got)
	}
	s.begin(t)
	if got := s.hear(t); got != `{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}` {
		t.Errorf("got %s", got)
	}
	s.say(t, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"stream"}}`)
	for _, want := range []string{
		"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\n\"x\":1}",
		`{"jsonrpc":"2.0","id":1,"result":{"streamed":9007199254740993}}`,
	} {
		if got := s.hear(t); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	s.say(t, `{"jsonrpc":"2.0","id":"two","method":"tools/list"}`)
	if got := s.hear(t); got != `{"jsonrpc":"2.0","id":"two","result":{"ok":true}}` {
		t.Errorf("got %s", got)
	}
	s.say(t, `{"jsonrpc":"2.0","id":"of-the-server","result":{}}`)
	if err := s.conn.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Error(err)
	}
	receive(t, ended, "the session at the backend is ended")
	for i, r := range backend.Requests() {
		if i > 0 && r.Header.Get("Mcp-Session-Id") != "s" || r.Header.Get("X-Tenant") != "acme" {
			t.Errorf("%s %s had session %q, X-Tenant %q", r.Method, r.Body, r.Header.Get("Mcp-Session-Id"), r.Header.Get("X-Tenant"))
		}
		if i > 0 && r.Header.Get("Mcp-Protocol-Version") != "2025-11-25" {
			t.Errorf("%s %s had the version %q", r.Method, r.Body, r.Header.Get("Mcp-Protocol-Version"))
		}
		for name := range r.Header {
			if name == "Cookie" || strings.HasPrefix(name, "Sec-") || name == "Upgrade" {
				t.Errorf("the backend got %s", name)
			}
		}
		if strings.Contains(r.Target, "tenant") {
			t.Errorf("the backend got %s", r.Target)
		}
	}
	if err := g.Stop(); err != nil {
		t.Fatal(err)
	}
	want := []string{ // REQ B-22: an event per message, and one for the connection
		"GET 101", "POST 202", "initialize 200", "notifications/initialized 202", "tools/call 200", "tools/list 200",
	}
	got := methodsOf(t, g)
	slices.Sort(got) // a call's event may come after that of the next message
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("audit (-want +got):\n%s", diff)
	}
}

// methodsOf is method and status of each event in the audit.
func methodsOf(t *testing.T, g *testkit.Gateway) (all []string) {
	t.Helper()
	for line := range strings.Lines(g.Stdout.String()) {
		var event struct {
			Method string
			Status int
		}
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatalf("%v in audit event %s", err, line)
		}
		all = append(all, fmt.Sprint(event.Method, " ", event.Status))
	}
	return all
}

// REQ F-1: requests of 2026-07-28 need no initialize; the backend gets the headers that the revision asks for.
func TestSocketModern(t *testing.T) {
	t.Parallel()
	began, left := make(chan struct{}), make(chan struct{})
	backend := testkit.Record(t, func(w http.ResponseWriter, r *http.Request) {
		switch m := bodyOf(r); {
		case m.Params.Name == "wait":
			events(w)(": waiting\n\n")
			close(began)
			<-r.Context().Done()
			close(left)
		case m.Params.Name == "unknown":
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"jsonrpc":"2.0","id":null,"error":{"code":-32602,"message":"unknown tool"}}`)
		case m.Params.Name == "status":
			w.WriteHeader(http.StatusBadRequest)
		case m.Params.Name == "bytes":
			events(w)("data: " + rpcResult(r, "\"\xff\"") + "\n\n")
		default:
			ok(w, r)
		}
	})
	g := serve(t, remote("docs", backend.URL))
	s := openSocket(t, g, "/servers/docs/ws")
	s.say(t, call("", "grüße", "").body)
	if got := s.hear(t); got != `{"jsonrpc":"2.0","id":7,"result":{"ok":true}}` {
		t.Errorf("got %s", got)
	}
	h := backend.Requests()[0].Header
	got := []string{h.Get("Mcp-Protocol-Version"), h.Get("Mcp-Method"), h.Get("Mcp-Name"), h.Get("Mcp-Session-Id")}
	if diff := cmp.Diff([]string{"2026-07-28", "tools/call", "=?base64?Z3LDvMOfZQ==?=", ""}, got); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	// A backend's error answers whoever asked, even if it does not say so.
	for _, tt := range []struct{ name, want string }{
		{"unknown", `{"jsonrpc":"2.0","id":7,"error":{"code":-32602,"message":"unknown tool"}}`},
		{"status", `"id":7,"error":{"code":-32603`},
		{"bytes", `"id":7,"error":{"code":-32603`},
	} {
		s.say(t, call("", tt.name, "").body)
		if got := s.hear(t); !strings.Contains(got, tt.want) {
			t.Errorf("%s: got %s", tt.name, got)
		}
	}
	// A request that is cancelled leaves the backend, and gets no answer (MCP 2026-07-28 transports).
	s.say(t, call("", "wait", "").body)
	receive(t, began, "the call arrives")
	s.say(t, call("", "tool", "").body) // an id that is taken
	if got := s.hear(t); !strings.Contains(got, `"id":7,"error":{"code":-32600`) {
		t.Errorf("got %s", got)
	}
	s.say(t, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}`)
	receive(t, left, "the cancelled call is left")
	s.say(t, strings.Replace(call("", "tool", "").body, `"id":7`, `"id":8`, 1))
	if got := s.hear(t); got != `{"jsonrpc":"2.0","id":8,"result":{"ok":true}}` {
		t.Errorf("got %s", got)
	}
	for _, r := range backend.Requests() {
		if strings.Contains(string(r.Body), "cancelled") {
			t.Error("the backend was told of a cancellation that it cannot know")
		}
	}
}

// REQ F-1: a client that goes away has cancelled what it asked by 2026-07-28, and nothing of an older revision.
func TestSocketClientLeaves(t *testing.T) {
	t.Parallel()
	for _, modernCall := range []bool{true, false} {
		t.Run(fmt.Sprint("modern ", modernCall), func(t *testing.T) {
			t.Parallel()
			began, goOn, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
			backend := testkit.Record(t, func(w http.ResponseWriter, r *http.Request) {
				if bodyOf(r).Params.Name != "wait" {
					sessionBackend("s")(w, r)
					return
				}
				send := events(w)
				send(": waiting\n\n")
				close(began)
				select {
				case <-goOn:
					send("data: " + rpcResult(r, `{"ok":true}`) + "\n\n")
				case <-r.Context().Done():
				}
				ended <- r.Context().Err()
			})
			g := serve(t, remote("docs", backend.URL, "audit: {enabled: true}"))
			s := openSocket(t, g, "/ws")
			if modernCall {
				s.say(t, call("", "wait", "").body)
			} else {
				s.begin(t)
				s.say(t, legacy("", "tools/call", `"name":"wait"`).body)
			}
			receive(t, began, "the call arrives")
			_ = s.conn.CloseNow()
			if !modernCall {
				testkit.Eventually(t, "the client is gone", func() bool { return g.Metric(t, "sallyport_streams") == 1 })
				close(goOn)
			}
			if err := testkit.Receive(t, "the call ends", ended); (err != nil) != modernCall {
				t.Errorf("the call's context: %v", err)
			}
			g.Stdout.WaitFor(t, `"method":"tools/call"`)
		})
	}
}

// REQ F-1, REQ F-5, REQ B-24: what is refused elsewhere is refused here, with the connection still good.
func TestSocketRefusals(t *testing.T) {
	t.Parallel()
	backend := testkit.Record(t, ok)
	g := serve(t, remote("docs", backend.URL, "audit: {enabled: true}"))
	s := openSocket(t, g, "/ws")
	for name, tt := range map[string]struct{ message, want string }{
		"no JSON":          {`{"jsonrpc"`, `"id":null,"error":{"code":-32700`},
		"no text":          {"\xff", `"id":null,"error":{"code":-32700`},
		"batch":            {`[{"jsonrpc":"2.0","id":1,"method":"ping"}]`, `"id":null,"error":{"code":-32600`},
		"duplicate key":    {`{"jsonrpc":"2.0","id":9,"method":"tools/list","method":"tools/call"}`, `"error":{"code":-32700`},
		"case variant":     {`{"jsonrpc":"2.0","id":9,"Method":"x","method":"tools/list"}`, `"id":9,"error":{"code":-32600`},
		"unknown revision": {strings.Replace(call("", "tool", "").body, "2026-07-28", "2099-01-01", 1), `"id":7,"error":{"code":-32022`},
		"no capabilities":  {`{"jsonrpc":"2.0","id":9,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`, `"id":9,"error":{"code":-32602`},
	} {
		s.say(t, tt.message)
		if got := s.hear(t); !strings.Contains(got, tt.want) {
			t.Errorf("%s: got %s, want %s", name, got, tt.want)
		}
	}
	if n := len(backend.Requests()); n != 0 {
		t.Errorf("the backend got %d requests", n)
	}
	s.say(t, call("", "tool", "").body)
	if got := s.hear(t); !strings.Contains(got, `"result"`) {
		t.Errorf("got %s", got)
	}
	if err := s.conn.Write(t.Context(), websocket.MessageBinary, []byte(call("", "tool", "").body)); err != nil {
		t.Fatal(err)
	}
	s.wantClosed(t, websocket.StatusUnsupportedData, "text")

	small := serve(t, remote("docs", backend.URL, "audit: {enabled: true}"), "--max-body-bytes", "1000")
	s = openSocket(t, small, "/ws")
	s.say(t, call("", "tool", "").body+strings.Repeat(" ", 1000))
	s.wantClosed(t, websocket.StatusMessageTooBig, "larger than 1000 bytes")
	small.Stdout.WaitFor(t, `"status":413`)
}

// REQ B-24: a handshake that is none, or comes from a foreign page, opens nothing.
func TestSocketHandshake(t *testing.T) {
	t.Parallel()
	backend := testkit.Record(t, ok)
	g := serve(t, remote("docs", backend.URL)+remote("twin", backend.URL), "--allowed-origins", "https://page.example")
	upgrade := request{method: http.MethodGet, url: g.URL + "/servers/docs/ws"}.with("Connection", "Upgrade", "Upgrade", "websocket",
		"Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==")
	for name, tt := range map[string]struct {
		r      request
		status int
	}{
		"plain GET":      {request{method: http.MethodGet, url: upgrade.url}, 426},
		"POST":           {message(upgrade.url, toolsList), 405},
		"old version":    {upgrade.without("Sec-WebSocket-Version").with("Sec-WebSocket-Version", "8"), 426},
		"no key":         {upgrade.without("Sec-WebSocket-Key"), 426},
		"short key":      {upgrade.without("Sec-WebSocket-Key").with("Sec-WebSocket-Key", "AAAA"), 426},
		"foreign origin": {upgrade.with("Origin", "https://evil.example"), 403},
		"null origin":    {upgrade.with("Origin", "null"), 403},
		"not there":      {request{method: http.MethodGet, url: g.URL + "/servers/none/ws", header: upgrade.header}, 404},
		"not the only":   {request{method: http.MethodGet, url: g.URL + "/ws", header: upgrade.header}, 404},
	} {
		if got := tt.r.do(t); got.Status != tt.status {
			t.Errorf("%s: status %d, want %d: %s", name, got.Status, tt.status, got.Body)
		}
	}
	for _, origin := range []string{"https://page.example", g.URL} {
		openSocket(t, g, "/servers/docs/ws", "Origin", origin)
	}
}

const toolsList = `{"jsonrpc":"2.0","id":7,"method":"tools/list"}`

// REQ B-24: a changed configuration and a drain end the connection, with a reason, when its calls have ended.
func TestSocketEnds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		do   func(t *testing.T, g *testkit.Gateway, folder, backend string)
		code websocket.StatusCode
	}{
		{"reload", func(t *testing.T, _ *testkit.Gateway, folder, backend string) {
			writeManifests(t, folder, remote("docs", backend, "passthroughHeaders: [X-New]"))
		}, websocket.StatusServiceRestart},
		{"drain", func(t *testing.T, g *testkit.Gateway, _, _ string) { g.Signal(t, syscall.SIGTERM) }, websocket.StatusGoingAway},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			goOn := make(chan struct{})
			backend := testkit.Record(t, func(w http.ResponseWriter, r *http.Request) {
				if bodyOf(r).Params.Name == "wait" {
					<-goOn
				}
				ok(w, r)
			})
			folder := manifests(t, remote("docs", backend.URL))
			g := testkit.Start(t, "serve", "-f", folder)
			idle, busy := openSocket(t, g, "/ws"), openSocket(t, g, "/ws")
			busy.say(t, call("", "wait", "").body)
			testkit.Eventually(t, "the call arrives", func() bool { return len(backend.Requests()) == 1 })
			tt.do(t, g, folder, backend.URL)
			idle.wantClosed(t, tt.code, "connect again")
			busy.say(t, strings.Replace(toolsList, "7", "8", 1))
			if got := busy.hear(t); !strings.Contains(got, `"id":8,"error"`) {
				t.Errorf("a request after the end was announced: %s", got)
			}
			close(goOn)
			if got := busy.hear(t); got != `{"jsonrpc":"2.0","id":7,"result":{"ok":true}}` {
				t.Errorf("got %s", got)
			}
			busy.wantClosed(t, tt.code, "connect again")
			if tt.name == "drain" {
				receive(t, g.Ended(), "the process ends")
			}
		})
	}
}

// A client that does not answer pings is let go.
func TestSocketHeartbeat(t *testing.T) {
	t.Parallel()
	g := serve(t, remote("docs", "http://127.0.0.1:1"), "--heartbeat", "20ms")
	pinged := make(chan struct{}, 100)
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, g.URL+"/ws", &websocket.DialOptions{
		HTTPClient: client, OnPingReceived: func(context.Context, []byte) bool { pinged <- struct{}{}; return true },
	})
	if err != nil {
		t.Fatal(err)
	}
	conn.CloseRead(ctx)
	for range 3 {
		receive(t, pinged, "pings")
	}
	_ = conn.CloseNow()
	testkit.Eventually(t, "the connection is gone", func() bool { return g.Metric(t, "sallyport_streams") == 0 })
}

// REQ C-6: a token comes in the header, or where the manifest says so in the query; without a good one the connection is
// closed with 1008. REQ A-3, REQ E-5: a token in the query is seen nowhere.
func TestSocketTokens(t *testing.T) {
	t.Parallel()
	idp := testkit.StartIdP(t)
	backend := testkit.Record(t, ok)
	g := serve(t, idpObject(idp)+
		remote("docs", backend.URL, ofIDP(docsAudience), "audit: {enabled: true}")+
		remote("open", backend.URL, ofIDP(docsAudience), "webSocket: {queryToken: true}", "audit: {enabled: true}")+
		remote("anybody", backend.URL, "webSocket: {queryToken: true}", "passthroughAuthorization: true", "audit: {enabled: true}"),
		"--log-level", "debug")
	token := idp.Token(t, testkit.TokenWish{Audience: docsAudience, Subject: "alice"})
	expired := idp.Token(t, testkit.TokenWish{Audience: docsAudience, Subject: "alice", TTL: -time.Minute})
	for _, tt := range []struct {
		name, path string
		headers    []string
		reason     string // of 1008; "" for who may in
	}{
		{"header", "/servers/docs/ws", bearer(token), ""},
		{"none", "/servers/docs/ws", nil, "authentication is required"},
		{"expired", "/servers/docs/ws", bearer(expired), "the token is invalid"},
		{"twice", "/servers/docs/ws", append(bearer(token), bearer(token)...), "cannot be understood"},
		{"query, not asked for", "/servers/docs/ws?access_token=" + token, nil, "authentication is required"},
		{"query", "/servers/open/ws?a=b&access_token=" + token, nil, ""},
		{"expired in the query", "/servers/open/ws?access_token=" + expired, nil, "the token is invalid"},
		{"empty in the query", "/servers/open/ws?access_token=", nil, "the token is invalid"},
		{"twice in the query", "/servers/open/ws?access_token=" + token + "&access_token=" + token, nil, "cannot be understood"},
		{"header and query", "/servers/open/ws?access_token=" + token, bearer(token), "cannot be understood"},
		{"where nobody reads tokens", "/servers/anybody/ws?access_token=" + token, nil, ""},
	} {
		s := openSocket(t, g, tt.path, tt.headers...)
		if tt.reason != "" {
			s.wantClosed(t, websocket.StatusPolicyViolation, tt.reason)
			continue
		}
		s.say(t, call("", "tool", "").body)
		if got := s.hear(t); got != `{"jsonrpc":"2.0","id":7,"result":{"ok":true}}` {
			t.Errorf("%s: got %s", tt.name, got)
		}
	}
	call(at(g, "open")+"?access_token="+token, "tool", "").do(t).wantChallenge(t, 401, "")
	metrics := g.Metrics(t)
	if err := g.Stop(); err != nil {
		t.Fatal(err)
	}
	for where, text := range map[string]string{
		"backend": backend.Wire(), "log": g.Stderr.String(), "audit": g.Stdout.String(), "metrics": metrics,
	} {
		if strings.Contains(text, token) || strings.Contains(text, url.QueryEscape(token)) || strings.Contains(text, expired) {
			t.Errorf("a token is in the %s", where)
		}
	}
	if diff := cmp.Diff([]string{"anonymous anonymous success", "denied", "jwt alice success"}, who(t, g)); diff != "" {
		t.Errorf("callers in the audit (-want +got):\n%s", diff)
	}
}

// REQ B-17, REQ C-6: when its token expires a connection takes nothing new, lets a call end together with what it asks
// its client, and is then closed with 1008. Streams that only listen end too, and come again with a new token.
func TestExpiryOfStreams(t *testing.T) {
	t.Parallel()
	idp := testkit.StartIdP(t)
	answered, goOn := make(chan struct{}), make(chan struct{})
	backend := testkit.Record(t, func(w http.ResponseWriter, r *http.Request) {
		m := bodyOf(r)
		switch {
		case m.Params.Name == "ask":
			send := events(w)
			send(`data: {"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{}}` + "\n\n")
			<-answered
			send("data: " + rpcResult(r, `{"done":true}`) + "\n\n")
		case m.Params.Name == "long":
			<-goOn
			ok(w, r)
		case m.Method == "" && r.Method == http.MethodPost:
			close(answered)
			w.WriteHeader(http.StatusAccepted)
		case m.Method == "subscriptions/listen":
			events(w)(`data: {"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged"}` + "\n\n")
			<-r.Context().Done()
		default:
			sessionBackend("s")(w, r)
		}
	})
	g := serve(t, idpObject(idp)+remote("docs", backend.URL, ofIDP(docsAudience), "audit: {enabled: true}"))
	token := bearer(idp.Token(t, testkit.TokenWish{Audience: docsAudience, Subject: "alice", TTL: 15 * time.Second}))
	session := initialize(t, at(g, "docs"), token...)
	get := listen(at(g, "docs")).with(token...).with("Mcp-Session-Id", session).open(t.Context(), t)
	subscribed := modern(at(g, "docs"), "subscriptions/listen", "", `"notifications":{}`).with(token...).open(t.Context(), t)
	sse := openFront(t, g.URL, "/servers/docs/sse", token...)
	long := make(chan reply, 1)
	go func() { long <- call(at(g, "docs"), "long", "").with(token...).do(t) }()
	idle, busy := openSocket(t, g, "/servers/docs/ws", token...), openSocket(t, g, "/servers/docs/ws", token...)
	idle.say(t, modern("", "subscriptions/listen", "", `"notifications":{}`).body)
	if got := idle.hear(t); !strings.Contains(got, "acknowledged") {
		t.Errorf("got %s", got)
	}
	busy.begin(t)
	busy.hear(t) // the backend's own message
	busy.say(t, legacy("", "tools/call", `"name":"ask"`).body)
	if got := busy.hear(t); !strings.Contains(got, "elicitation/create") {
		t.Errorf("got %s", got)
	}

	const listened = `{"jsonrpc":"2.0","id":7,"result":{"resultType":"complete","_meta":{"io.modelcontextprotocol/subscriptionId":7}}}`
	if got := idle.hear(t); got != listened {
		t.Errorf("the end of a subscription: %s", got)
	}
	idle.wantClosed(t, websocket.StatusPolicyViolation, "token expired")
	own := readEvents(get.Body)
	own.want(t, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n")
	own.wantEnd(t, true)
	in := readEvents(subscribed.Body)
	in.want(t, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/subscriptions/acknowledged\"}\n")
	in.want(t, "event: message\ndata: "+listened+"\n")
	in.wantEnd(t, true)
	sse.in.wantEnd(t, true)

	busy.say(t, strings.Replace(toolsList, "7", "8", 1))
	if got := busy.hear(t); !strings.Contains(got, `"id":8,"error"`) || !strings.Contains(got, "expired") {
		t.Errorf("a request after the token's end: %s", got)
	}
	busy.say(t, `{"jsonrpc":"2.0","id":"q","result":{"action":"accept"}}`)
	if got := busy.hear(t); got != `{"jsonrpc":"2.0","id":7,"result":{"done":true}}` {
		t.Errorf("got %s", got)
	}
	busy.wantClosed(t, websocket.StatusPolicyViolation, "token expired")
	close(goOn)
	testkit.Receive(t, "the long call", long).wantResult(t, `{"ok":true}`)
	if err := g.Stop(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
}

// REQ C-5, REQ C-6: through an authenticating nginx, and another that ends TLS and takes a prefix off, the caller is who
// the check says.
func TestSocketBehindNginx(t *testing.T) {
	t.Parallel()
	check := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session, err := r.Cookie("session")
		if err != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("X-User", strings.TrimPrefix(session.Value, "of-"))
	}))
	t.Cleanup(check.Close)
	backend := testkit.Record(t, ok)
	g := serve(t, remote("docs", backend.URL, trusting("missingHeader: reject"), "audit: {enabled: true}"))
	inner := testkit.AuthProxy(t, g.URL, check.URL)
	outer, tls := testkit.TLSProxy(t, inner, "/gate")
	for base, via := range map[string]*http.Client{inner: httpClient(t), outer: tls} {
		if _, resp, err := dialSocket(t, via, base+"/servers/docs/ws", user("mallory")...); err == nil || resp == nil || resp.StatusCode != 401 {
			t.Errorf("without a cookie: %v", err)
		}
		s, _, err := dialSocket(t, via, base+"/servers/docs/ws", append(user("mallory"), "Cookie", "session=of-alice")...)
		if err != nil {
			t.Fatal(err)
		}
		s.say(t, call("", "tool", "").body)
		if got := s.hear(t); !strings.Contains(got, `"result"`) {
			t.Errorf("got %s", got)
		}
		_ = s.conn.CloseNow()
	}
	s := openSocket(t, g, "/ws") // round the proxy, and without its header
	s.wantClosed(t, websocket.StatusPolicyViolation, "authentication is required")
	if err := g.Stop(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"denied", "proxy alice success"}, who(t, g)); diff != "" {
		t.Errorf("callers in the audit (-want +got):\n%s", diff)
	}
}

// REQ B-7, REQ C-6: a token that is no longer good ends its connection with the next message: here the issuer's keys
// have changed meanwhile.
func TestSocketOfAnOldKey(t *testing.T) {
	t.Parallel()
	idp := testkit.StartIdP(t)
	goOn := make(chan struct{})
	backend := testkit.Record(t, func(w http.ResponseWriter, r *http.Request) {
		if bodyOf(r).Params.Name == "wait" {
			<-goOn
		}
		ok(w, r)
	})
	g := serve(t, idpObject(idp)+remote("docs", backend.URL, ofIDP(docsAudience), "audit: {enabled: true}"))
	wish := testkit.TokenWish{Audience: docsAudience, Subject: "alice"}
	s := openSocket(t, g, "/ws", bearer(idp.Token(t, wish))...)
	s.say(t, strings.Replace(call("", "wait", "").body, `"id":7`, `"id":1`, 1))
	testkit.Eventually(t, "the call arrives", func() bool { return len(backend.Requests()) == 1 })
	idp.Restart(t)
	call(g.MCP(), "tool", "").with(bearer(idp.Token(t, wish))...).do(t).wantResult(t, `{"ok":true}`)
	s.say(t, call("", "tool", "").body)
	if got := s.hear(t); !strings.Contains(got, `"id":7,"error"`) || !strings.Contains(got, "the token is invalid") {
		t.Errorf("got %s", got)
	}
	close(goOn)
	if got := s.hear(t); got != `{"jsonrpc":"2.0","id":1,"result":{"ok":true}}` {
		t.Errorf("the call under way: %s", got)
	}
	s.wantClosed(t, websocket.StatusPolicyViolation, "the token is invalid")
}
