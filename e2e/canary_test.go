package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// TestCanaries plants a distinct value in every place where a secret can be, on
// both sides of the gateway, drives every method over every surface into answers
// and errors of every kind, and looks for the values in all that came out.
//
// REQ A-3, REQ A-5, REQ A-6, REQ A-7, REQ E-1, REQ E-5, REQ B-18, REQ B-22: nothing
// that opened one door is shown at the other, and no output holds a credential.
func TestCanaries(t *testing.T) {
	t.Parallel()
	rig := newCanaryRig(t)
	for _, name := range rig.endpoints {
		t.Run(name, func(t *testing.T) { rig.drive(t, name) }) // not parallel: the checks below come after all
	}
	rig.reload(t)
	rig.drive(t, "mcp")
	rig.check(t)
}

// atBackend are the canaries that a backend is meant to receive, each on its own
// origin. Everything else is for somebody else.
var atBackend = append([]string{
	"passthrough value", "plain header", "secret header", "bearer token", "injected header",
	"new bearer token", "remoteUrl query", "backend session", "own location query",
}, inMessage...)

// inMessage are the canaries that are part of what the client says to whoever
// answers: the message, and the protocol's own headers.
var inMessage = []string{"arguments", "uri password", "uri query", "client result", "Mcp-Param-Secret"}

// outerHeaders are what a client, a browser or a proxy before the gateway may
// send, and what no backend may see. Each value is the canary of its name.
var outerHeaders = []string{
	"Authorization", "Proxy-Authorization", "Cookie", "X-Api-Key", "X-Unlisted", "X-Tenant-Id", "User-Agent", "Referer",
	"Accept-Language", "Traceparent",
	"X-Authenticated-User", "X-Forwarded-User", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto",
	"X-Forwarded-Prefix", "X-Forwarded-Access-Token", "X-Real-Ip", "Forwarded", "Via", "True-Client-Ip",
	"X-Auth-Request-User", "X-Auth-Request-Email", "X-Auth-Request-Access-Token", "Remote-User", "Remote-Groups",
	"Cf-Access-Jwt-Assertion", "X-Amzn-Oidc-Data", "X-Amzn-Oidc-Accesstoken", "X-Goog-Iap-Jwt-Assertion",
	"X-Plain", "X-Secret", "X-Inject", // the gateway's own values win
}

type canaryRig struct {
	testkit.Canaries
	backend, target *testkit.Recorder
	collector       *testkit.Recorder // of traces and metrics
	g               *testkit.Gateway
	folder          string
	endpoints       []string
	sse             sseServer

	mu    sync.Mutex
	heard bytes.Buffer // all that clients received, heads included
}

func newCanaryRig(t *testing.T) *canaryRig {
	t.Helper()
	rig := &canaryRig{}
	rig.target = testkit.Record(t, rig.targetHandler)
	rig.backend = testkit.Record(t, rig.backendHandler)
	rig.endpoints = []string{
		"mcp", "inject", "sse", "moved", "back", "away", "refused", "loop",
		"500", "401", "html", "garbage", "truncated", "empty", "broken-stream", "broken-head", "down",
	}
	rig.folder = manifests(t, rig.manifest("bearer token"))
	rig.collector = newCollector(t)
	env := []string{"OTEL_EXPORTER_OTLP_PROTOCOL=http/json", "OTEL_EXPORTER_OTLP_ENDPOINT=" + rig.collector.URL, "OTEL_TRACES_SAMPLER=always_on"}
	rig.g = testkit.StartWith(t, testkit.Options{Env: env}, "serve", "-f", rig.folder, "--log-level", "debug", "--call-timeout", "5s", "--heartbeat", "100ms")
	return rig
}

// manifest has one proxy per endpoint; all show the same credentials.
func (rig *canaryRig) manifest(token string) string {
	docs := secretObject("s", "header", rig.Value("secret header"), "token", rig.Value(token), "inject", rig.Value("injected header")) +
		object("MCPExternalAuthConfig", "bearer", "type: bearerToken", "bearerToken: {tokenSecretRef: {name: s, key: token}}") +
		object("MCPExternalAuthConfig", "inject", "type: headerInjection",
			"headerInjection: {headerName: X-Inject, valueSecretRef: {name: s, key: inject}}")
	for _, name := range rig.endpoints {
		base, auth := rig.backend.URL, "bearer"
		lines := []string{
			"audit: {enabled: true}",
			"passthroughHeaders: [X-Tenant]",
			"headerForward:",
			"  addPlaintextHeaders: {X-Plain: " + rig.Value("plain header") + "}",
			"  addHeadersFromSecret: [{headerName: X-Secret, valueSecretRef: {name: s, key: header}}]",
		}
		switch name {
		case "inject":
			auth = "inject"
		case "sse":
			lines = append(lines, "transport: sse")
		case "away":
			lines = append(lines, "redirects: {allowedHosts: [localhost]}")
		case "down":
			base = "http://127.0.0.1:1"
		}
		lines = append(lines, "externalAuthConfigRef: {name: "+auth+"}")
		docs += remote("e-"+name, base+"/"+name+"?key="+rig.Value("remoteUrl query"), lines...)
	}
	return docs
}

// tell is what a backend adds to each of its answers: secrets of its own, and an
// echo of all that it was shown.
func (rig *canaryRig) tell(w http.ResponseWriter, r *http.Request) (echo string) {
	h := w.Header()
	h.Set("Set-Cookie", "sid="+rig.Value("backend cookie"))
	h.Set("Www-Authenticate", `Bearer realm="`+rig.Value("backend challenge")+`"`)
	h.Set("Proxy-Authenticate", "Basic realm="+rig.Value("backend challenge"))
	h.Set("Authentication-Info", "nextnonce="+rig.Value("backend challenge"))
	h.Set("Content-Location", "/x?"+rig.Value("backend location"))
	h.Set("Link", "<https://127.0.0.1/"+rig.Value("backend location")+">; rel=next")
	for _, name := range []string{"X-Plain", "X-Secret", "X-Inject", "X-Tenant", "Authorization", "Mcp-Session-Id"} {
		if v := r.Header.Get(name); v != "" {
			h.Set(name, v)
		}
	}
	dump, _ := httputil.DumpRequest(r, false)
	return string(dump)
}

func (rig *canaryRig) backendHandler(w http.ResponseWriter, r *http.Request) {
	echo := rig.tell(w, r)
	away := strings.Replace(rig.target.URL, "127.0.0.1", "localhost", 1)
	query := "?lq=" + rig.Value("location query")
	redirect := func(to string) {
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusTemporaryRedirect)
		_, _ = io.WriteString(w, echo)
	}
	switch r.URL.Path {
	case "/mcp", "/inject":
		rig.speak(w, r, "backend session")
	case "/sse":
		rig.sse.stream(w, r, "sid="+rig.Value("backend session"))
	case "/messages":
		rig.sse.message(w, r, sessionBackendResult)
	case "/moved":
		redirect(rig.target.URL + "/mcp" + query)
	case "/back":
		redirect(rig.target.URL + "/back" + query)
	case "/away", "/refused":
		redirect(away + "/mcp" + query)
	case "/loop":
		redirect("/loop?lq=" + rig.Value("own location query"))
	case "/500":
		http.Error(w, echo, http.StatusInternalServerError)
	case "/401":
		http.Error(w, echo, http.StatusUnauthorized)
	case "/html":
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<html>"+echo)
	case "/garbage":
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0",`+echo)
	case "/truncated":
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "100000")
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":7,"result":"`)
	case "/empty":
		w.WriteHeader(http.StatusOK)
	case "/broken-stream":
		events(w)(": \n\ndata: {\"jsonrpc\":\"2.0\",\"met")
		panic(http.ErrAbortHandler)
	case "/broken-head":
		hijack(w, "HTTP/1.1 200 OK\r\nbad header "+rig.Value("bearer token")+"\r\n\r\n").Close()
	}
}

func (rig *canaryRig) targetHandler(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/back" {
		w.Header().Set("Location", rig.backend.URL+"/mcp?returned")
		w.WriteHeader(http.StatusTemporaryRedirect)
		return
	}
	rig.speak(w, r, "target session")
}

// speak answers as a server would, and as a stream where the tool is "stream".
func (rig *canaryRig) speak(w http.ResponseWriter, r *http.Request, session string) {
	if bodyOf(r).Params.Name == "stream" {
		events(w)("id: 1\ndata: " + rpcResult(r, `{"ok":true}`) + "\n\n")
		return
	}
	sessionBackend(rig.Value(session))(w, r)
}

// outer is what arrives with every request at the outer door.
func (rig *canaryRig) outer(r request) request {
	for _, name := range outerHeaders {
		r = r.with(name, rig.Value("outer "+name))
	}
	r = r.with("X-Tenant", rig.Value("passthrough value"), "Mcp-Param-Secret", rig.Value("Mcp-Param-Secret"))
	r.header["Authorization"] = []string{"Bearer " + rig.Value("outer Authorization")}
	r.header["Cookie"] = []string{"session=" + rig.Value("outer Cookie")}
	sep := "?"
	if strings.Contains(r.url, "?") {
		sep = "&"
	}
	r.url += sep + "access_token=" + rig.Value("outer query")
	return r
}

// hear sends a request and keeps all that comes back. Of a stream that stays open
// it takes what comes until wanted is there.
func (rig *canaryRig) hear(t *testing.T, r request, wanted string) (header http.Header, body string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	resp, err := rig.outer(r).start(ctx)
	if err != nil {
		t.Fatalf("%s %s: %v", r.method, r.url, err)
	}
	defer resp.Body.Close()
	head, _ := httputil.DumpResponse(resp, false)
	var got strings.Builder
	buf := make([]byte, 1<<10)
	for err == nil && (wanted == "" || !strings.Contains(got.String(), wanted)) {
		var n int
		n, err = resp.Body.Read(buf)
		got.Write(buf[:n])
	}
	rig.keep(string(head) + got.String())
	return resp.Header, got.String()
}

func (rig *canaryRig) keep(text string) {
	rig.mu.Lock()
	defer rig.mu.Unlock()
	rig.heard.WriteString(text)
}

// drive sends everything a client can send to one endpoint.
func (rig *canaryRig) drive(t *testing.T, name string) {
	t.Helper()
	url := at(rig.g, "e-"+name)
	secretArg := fmt.Sprintf(`"secret":%q`, rig.Value("arguments"))
	uri := "db://user:" + rig.Value("uri password") + "@host/table?key=" + rig.Value("uri query")
	clientSession := []string{"Mcp-Session-Id", rig.Value("client session")} // no session of this gateway's
	for _, r := range []request{
		call(url, "tool", secretArg).with(clientSession...),
		call(url, "stream", secretArg),
		modern(url, "resources/read", uri, ""),
		modern(url, "prompts/get", "prompt", `"arguments":{`+secretArg+`}`),
		modern(url, "tools/list", "", ""),
		modern(url, "vendor/method", "", secretArg),
		message(url, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7,`+secretArg+`}}`),
		legacy(url, "tools/call", `"name":"tool","arguments":{`+secretArg+`}`),
		legacy(url, "tools/list", "").with(clientSession...),
		{method: http.MethodGet, url: strings.TrimSuffix(url, "mcp") + "tools"},
	} {
		rig.hear(t, r, "")
	}
	rig.driveSession(t, url, secretArg)
	rig.driveFront(t, name, secretArg)
	rig.driveSocket(t, name, secretArg)
	rig.driveHostile(t, url)
}

func (rig *canaryRig) driveSession(t *testing.T, url, secretArg string) {
	t.Helper()
	head, _ := rig.hear(t, initialization(url), "")
	session := []string{"Mcp-Session-Id", head.Get("Mcp-Session-Id")}
	if session[1] == "" {
		session = nil
	}
	result := fmt.Sprintf(`{"jsonrpc":"2.0","id":"s1","result":{"secret":%q}}`, rig.Value("client result"))
	for _, r := range []request{
		message(url, `{"jsonrpc":"2.0","method":"notifications/initialized"}`),
		legacy(url, "tools/call", `"name":"tool","arguments":{`+secretArg+`}`),
		legacy(url, "tools/call", `"name":"stream","arguments":{`+secretArg+`}`),
		message(url, result).with("Mcp-Protocol-Version", "2025-11-25"),
	} {
		rig.hear(t, r.with(session...), "")
	}
	rig.hear(t, listen(url).with(session...), "\n\n")
	rig.hear(t, listen(url).with("Last-Event-Id", rig.Value("event id")).with(session...), "\n\n")
	rig.hear(t, request{method: http.MethodDelete, url: url}.with(session...), "")
}

// driveFront speaks HTTP+SSE of 2024-11-05 with the gateway.
func (rig *canaryRig) driveFront(t *testing.T, name, secretArg string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	stream := rig.outer(request{method: http.MethodGet, url: rig.g.URL + "/servers/e-" + name + "/sse"}).open(ctx, t)
	head, _ := httputil.DumpResponse(stream, false)
	rig.keep(string(head))
	in := readEvents(io.TeeReader(stream.Body, lockedWriter{rig}))
	first, err := in.next()
	if err != nil {
		t.Fatalf("the SSE endpoint says nothing: %v", err)
	}
	post := rig.g.URL + strings.TrimSpace(first[strings.Index(first, "data: ")+len("data: "):])
	for _, body := range []string{
		initialization("").body,
		`{"jsonrpc":"2.0","method":"notifications/initialized"}`,
		`{"jsonrpc":"2.0","id":8,"method":"tools/call","params":{"name":"tool","arguments":{` + secretArg + `}}}`,
		`{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"tool","arguments":{},"name":"` + rig.Value("arguments") + `"}}`,
	} {
		rig.hear(t, message(post, body), "")
	}
	for { // until the answer to the call, however it went
		if event, err := in.next(); err != nil || strings.Contains(event, `"id":8`) {
			return
		}
	}
}

// driveSocket speaks WebSocket with the gateway, in both eras.
func (rig *canaryRig) driveSocket(t *testing.T, name, secretArg string) {
	t.Helper()
	handshake := rig.outer(request{url: rig.g.URL + "/servers/e-" + name + "/ws"})
	var headers []string
	for name, values := range handshake.header {
		headers = append(headers, name, values[0])
	}
	s, resp, err := dialSocket(t, nil, handshake.url, headers...)
	if err != nil {
		t.Fatal(err)
	}
	head, _ := httputil.DumpResponse(resp, false)
	rig.keep(string(head))
	for _, m := range []struct{ message, until string }{
		{initialization("").body, `"id":0`},
		{`{"jsonrpc":"2.0","method":"notifications/initialized"}`, ""},
		{legacy("", "tools/call", `"name":"tool","arguments":{`+secretArg+`}`).body, `"id":7`},
		{call("", "stream", secretArg).body, `"id":7`},
		{modern("", "resources/read", "db://host/table?key="+rig.Value("uri query"), "").body, `"id":7`},
		{`{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"a","arguments":{` + secretArg + `},"name":"b"}}`, `"error"`},
		{`{"` + rig.Value("refused") + `"`, `"error"`},
	} {
		s.say(t, m.message)
		for got := ""; !strings.Contains(got, m.until); {
			got = s.hear(t)
			rig.keep(got)
		}
	}
	_ = s.conn.CloseNow()
}

// lockedWriter keeps what a stream carried.
type lockedWriter struct{ rig *canaryRig }

func (w lockedWriter) Write(p []byte) (int, error) {
	w.rig.keep(string(p))
	return len(p), nil
}

// driveHostile sends what is refused before any backend hears of it, with secrets in it.
func (rig *canaryRig) driveHostile(t *testing.T, url string) {
	t.Helper()
	secret := rig.Value("refused")
	for _, r := range []request{
		message(url, `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"`+secret+`","name":"b"}}`),
		message(url, `{"jsonrpc":"2.0","id":7,"method":"tools/list","METHOD":"`+secret+`"}`),
		message(url, `{"`+secret+`"`),
		message(url, `[{"jsonrpc":"2.0","id":7,"method":"tools/list","params":{"cursor":"`+secret+`"}}]`),
		call(url, "tool", "").without("Mcp-Name").with("Mcp-Name", secret),
		call(url, "tool", "").without("Mcp-Method").with("Mcp-Method", secret),
		call(url, "tool", "").without("Mcp-Protocol-Version").with("Mcp-Protocol-Version", secret),
		message(url, secret).without("Content-Type").with("Content-Type", "text/"+secret),
		legacy(url, "ping", "").with("Origin", "https://"+secret+".example"),
		{method: http.MethodPut, url: url + "?" + secret, body: secret},
		{method: http.MethodGet, url: rig.g.URL + "/servers/" + secret + "/mcp"},
	} {
		head, body := rig.hear(t, r, "")
		if strings.Contains(body, `"result"`) || head.Get("Mcp-Session-Id") != "" {
			t.Errorf("a hostile request got a result: %s", body)
		}
	}
}

// reload has a configuration refused whose secrets must not be quoted, and then
// takes one with a new token.
func (rig *canaryRig) reload(t *testing.T) {
	t.Helper()
	bad := strings.Replace(rig.manifest("bearer token"), `token: "`, `token: "two\nlines `, 1) +
		secretObject("t", "key", rig.Value("refused")) + "  bad: [" + rig.Value("refused") + "\n"
	writeManifests(t, rig.folder, bad)
	rig.g.Stderr.WaitFor(t, "configuration not reloaded")
	writeManifests(t, rig.folder, strings.Replace(rig.manifest("bearer token"), `token: "`, `token: "two\nlines `, 1))
	rig.g.Stderr.WaitFor(t, "control character")
	writeManifests(t, rig.folder, rig.manifest("new bearer token"))
	rig.g.Stderr.WaitFor(t, "configuration reloaded")
}

// check looks for every canary in everything that came out.
func (rig *canaryRig) check(t *testing.T) {
	t.Helper()
	metrics := rig.g.Metrics(t)
	if err := rig.g.Stop(); err != nil { // now all audit events are written
		t.Error(err)
	}
	// An event id passes where there is no session that it could have come in.
	rig.Check(t, "what the backend received", rig.backend.Wire(), append([]string{"event id"}, atBackend...)...)
	rig.Check(t, "what the redirect target received", rig.target.Wire(), append([]string{"location query", "target session", "event id"}, inMessage...)...)
	rig.Check(t, "the log", rig.g.Stderr.String())
	rig.Check(t, "the audit", rig.g.Stdout.String())
	rig.Check(t, "the metrics", metrics)
	rig.Check(t, "the traces", rig.collector.Wire())
	rig.Check(t, "what the clients received", rig.heard.String())

	// The rest proves that the above looked at something.
	arrived := rig.Find(rig.backend.Wire())
	for _, name := range atBackend {
		if !slices.Contains(arrived, name) {
			t.Errorf("the canary %q did not arrive at the backend; the test proves nothing of it", name)
		}
	}
	for _, name := range append([]string{"location query", "target session"}, inMessage...) {
		if !slices.Contains(rig.Find(rig.target.Wire()), name) {
			t.Errorf("the canary %q did not arrive at the redirect target", name)
		}
	}
	for _, r := range rig.backend.Requests() {
		if strings.HasSuffix(r.Target, "?returned") && (r.Header.Get("X-Secret") != "" || r.Header.Get("Authorization") != "" ||
			r.Header.Get("X-Tenant") != "" || r.Header.Get("Mcp-Session-Id") != "") {
			t.Errorf("a credential came back by way of another origin: %v", r.Header)
		}
	}
	if n := len(lines(rig.g.Stderr.String(), "request to backend", "[redacted]")); n < 50 {
		t.Errorf("only %d requests to the backend in the debug log", n)
	}
	if n := len(lines(rig.g.Stdout.String(), `"outcome":`)); n < 200 {
		t.Errorf("only %d audit events", n)
	}
	if servers, clients := spansOf(t, rig.collector); len(servers) < 200 || len(clients) < 100 {
		t.Errorf("only %d and %d spans", len(servers), len(clients))
	}
	if n := strings.Count(rig.heard.String(), `"ok":true`); n < 20 {
		t.Errorf("only %d results reached clients", n)
	}
	if strings.Contains(metrics, "sallyport_requests_total") == false {
		t.Error("the metrics count nothing")
	}
}
