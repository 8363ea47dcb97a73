package e2e_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// The codes of the protocol that refusals carry.
const (
	parseError      = -32700
	invalidRequest  = -32600
	invalidParams   = -32602
	headerMismatch  = -32020
	unsupportedRev  = -32022
	internalFailure = -32603
)

// refused runs cases against one gateway and proves of each that it was refused
// as said, that the backend heard nothing, and that the next request is served.
type refusal struct {
	name    string
	request request
	status  int
	code    int
	id      string // of the error; "" where it may be either
}

func checkRefusals(t *testing.T, g *testkit.Gateway, backend *testkit.Recorder, cases []refusal) {
	t.Helper()
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			backend.Reset()
			tt.request.do(t).wantError(t, tt.status, tt.code, tt.id)
			if got := backend.Requests(); len(got) != 0 {
				t.Errorf("the backend got %s", got[0].Body)
			}
			call(g.MCP(), "tool", "").do(t).wantResult(t, `{"ok":true}`)
		})
	}
}

// TestHostileMessages sends bodies that two readers could read differently, or that no reader should.
//
// REQ F-5: they are refused, not interpreted, by the protocol's own code, in every revision and on every surface.
func TestHostileMessages(t *testing.T) {
	t.Parallel()
	backend := testkit.Record(t, ok)
	g := serve(t, remote("docs", backend.URL))
	const head = `{"jsonrpc":"2.0","id":7,"method":"tools/call",`
	tool := head + `"params":{"name":"a","arguments":{}}}`
	var cases []refusal
	for _, tt := range []struct {
		name, body string
		code       int
	}{
		{"empty", ``, parseError},
		{"no JSON", `tools/call`, parseError},
		{"unfinished", tool[:len(tool)-1], parseError},
		{"trailing data", tool + tool, parseError},
		{"trailing brace", tool + `}`, parseError},
		{"byte order mark", "\ufeff" + tool, parseError},
		{"invalid UTF-8", head + "\"params\":{\"name\":\"a\xff\"}}", parseError},
		{"invalid UTF-8 in a key", head + "\"params\":{\"na\xc0\xaeme\":\"a\"}}", parseError},
		{"unpaired surrogate", head + `"params":{"name":"\ud800"}}`, parseError},
		{"control character", head + "\"params\":{\"name\":\"a\x00b\"}}", parseError},
		{"single quotes", strings.ReplaceAll(tool, `"`, `'`), parseError},
		{"comment", head + `/* x */"params":{}}`, parseError},
		{"NaN", head + `"params":{"name":"a","x":NaN}}`, parseError},
		{"leading zero", head + `"params":{"name":"a","x":01}}`, parseError},
		{"UTF-16", "{\x00\"\x00}\x00", parseError},
		{"duplicate method", head + `"method":"tools/list","params":{}}`, parseError},
		{"duplicate id", head + `"id":8,"params":{}}`, parseError},
		{"duplicate params", head + `"params":{"name":"a"},"params":{"name":"b"}}`, parseError},
		{"duplicate name", head + `"params":{"name":"a","name":"b"}}`, parseError},
		{"duplicate name, one escaped", head + `"params":{"name":"a","n\u0061me":"b"}}`, parseError},
		{"duplicate key in arguments", head + `"params":{"name":"a","arguments":{"x":1,"x":2}}}`, parseError},
		{"duplicate key deep in arguments", head + `"params":{"name":"a","arguments":{"x":[{"y":{"z":1,"\u007a":2}}]}}}`, parseError},
		{"case variant of method", `{"jsonrpc":"2.0","id":7,"method":"tools/list","Method":"tools/call","params":{"name":"a"}}`, invalidRequest},
		{"case variant of method alone", `{"jsonrpc":"2.0","id":7,"METHOD":"tools/call"}`, invalidRequest},
		{"case variant of id", `{"jsonrpc":"2.0","id":7,"ID":8,"method":"ping"}`, invalidRequest},
		{"case variant of jsonrpc", `{"jsonrpc":"2.0","JsonRpc":"2.0","id":7,"method":"ping"}`, invalidRequest},
		{"case variant of params", `{"jsonrpc":"2.0","id":7,"method":"tools/call","Params":{"name":"b"},"params":{"name":"a"}}`, invalidRequest},
		{"case variant of name", head + `"params":{"name":"a","Name":"b"}}`, invalidRequest},
		{"escaped case variant of name", head + `"params":{"name":"a","\u004eame":"b"}}`, invalidRequest},
		{"case variant by Unicode folding", head + `"params":{"name":"a","argumentſ":{}}}`, invalidRequest},
		{"case variant of uri", `{"jsonrpc":"2.0","id":7,"method":"resources/read","params":{"uri":"a:b","URI":"a:c"}}`, invalidRequest},
		{"case variant of _meta", head + `"params":{"name":"a","_Meta":{}}}`, invalidRequest},
		{"case variant of the version in _meta", head + `"params":{"name":"a","_meta":{"io.modelcontextprotocol/ProtocolVersion":"2026-07-28"}}}`, invalidRequest},
		{"case variant of result", `{"jsonrpc":"2.0","id":7,"result":{},"Result":{}}`, invalidRequest},
		{"batch", `[` + tool + `]`, invalidRequest},
		{"batch of two", `[` + tool + `,{"jsonrpc":"2.0","method":"notifications/initialized"}]`, invalidRequest},
		{"empty batch", `[]`, invalidRequest},
		{"string", `"tools/call"`, invalidRequest},
		{"null", `null`, invalidRequest},
		{"no version", `{"id":7,"method":"ping"}`, invalidRequest},
		{"wrong version", `{"jsonrpc":"1.0","id":7,"method":"ping"}`, invalidRequest},
		{"number as version", `{"jsonrpc":2.0,"id":7,"method":"ping"}`, invalidRequest},
		{"no method", `{"jsonrpc":"2.0","id":7}`, invalidRequest},
		{"empty method", `{"jsonrpc":"2.0","id":7,"method":""}`, invalidRequest},
		{"method is no string", `{"jsonrpc":"2.0","id":7,"method":{"x":1}}`, invalidRequest},
		{"method and result", `{"jsonrpc":"2.0","id":7,"method":"ping","result":{}}`, invalidRequest},
		{"result and error", `{"jsonrpc":"2.0","id":7,"result":{},"error":{"code":1,"message":"x"}}`, invalidRequest},
		{"null id", `{"jsonrpc":"2.0","id":null,"method":"ping"}`, invalidRequest},
		{"fraction as id", `{"jsonrpc":"2.0","id":1.5,"method":"ping"}`, invalidRequest},
		{"object as id", `{"jsonrpc":"2.0","id":{},"method":"ping"}`, invalidRequest},
		{"boolean as id", `{"jsonrpc":"2.0","id":true,"method":"ping"}`, invalidRequest},
		{"huge id", `{"jsonrpc":"2.0","id":` + strings.Repeat("9", 200) + `,"method":"ping"}`, invalidRequest},
		{"long id", `{"jsonrpc":"2.0","id":"` + strings.Repeat("x", 2000) + `","method":"ping"}`, invalidRequest},
		{"params is a list", head + `"params":["a"]}`, invalidRequest},
		{"params is a string", head + `"params":"a"}`, invalidRequest},
		{"too deep", head + `"params":{"name":"a","arguments":{"x":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}}}`, invalidRequest},
		{"much too deep", strings.Repeat(`{"a":`, 200_000), invalidRequest},
		{"much too deep list", strings.Repeat(`[`, 1_000_000), invalidRequest},
		{"huge number", head + `"params":{"name":"a","x":1e999}}`, invalidRequest},
		{"huge negative number", head + `"params":{"name":"a","x":-1e400}}`, invalidRequest},
		{"long number", head + `"params":{"name":"a","x":0.` + strings.Repeat("1", 10_000) + `}}`, invalidRequest},
		{"name is no string", head + `"params":{"name":["a"]}}`, invalidParams},
		{"_meta is no object", head + `"params":{"name":"a","_meta":[]}}`, invalidParams},
	} {
		cases = append(cases, refusal{name: tt.name, request: message(g.MCP(), tt.body), status: 400, code: tt.code})
	}
	checkRefusals(t, g, backend, cases)
}

// REQ F-5: keys that only look like the protocol's are fine inside arguments, and unusual but clear JSON passes as it is.
func TestUnusualMessagesPass(t *testing.T) {
	t.Parallel()
	backend := testkit.Record(t, ok)
	g := serve(t, remote("docs", backend.URL))
	for _, body := range []string{
		`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"a","arguments":{"Name":"x","NAME":"y","method":"z","_Meta":1,"URI":2}}}`,
		"\t{ \"params\" : { \"name\" : \"\\u0061\" } ,\r\n \"method\":\"tools\\/call\", \"id\" : 7, \"jsonrpc\":\"2.0\" }\n",
		`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"a","arguments":{"n":9007199254740993,"f":1.10,"e":1E2,"z":-0}}}`,
		`{"jsonrpc":"2.0","id":7,"method":"vendor/new","params":{"x":{"y":[]}},"extension":true}`,
	} {
		backend.Reset()
		message(g.MCP(), body).do(t).wantResult(t, `{"ok":true}`)
		if got := backend.Requests()[0].Body; string(got) != body {
			t.Errorf("the backend got %s, want %s", got, body)
		}
	}
}

// TestHeaderAgreement proves that headers and body cannot say different things.
//
// REQ F-5: -32020 for header and body that disagree, -32022 for a revision nobody knows.
func TestHeaderAgreement(t *testing.T) {
	t.Parallel()
	backend := testkit.Record(t, ok)
	g := serve(t, remote("docs", backend.URL))
	url := g.MCP()
	tool := call(url, "a", "")
	read := modern(url, "resources/read", "file:///a", "")
	checkRefusals(t, g, backend, []refusal{
		{"other name", tool.without("Mcp-Name").with("Mcp-Name", "b"), 400, headerMismatch, "7"},
		{"name in other case", tool.without("Mcp-Name").with("Mcp-Name", "A"), 400, headerMismatch, "7"},
		{"no name", tool.without("Mcp-Name"), 400, headerMismatch, "7"},
		{"two names", tool.with("Mcp-Name", "b"), 400, headerMismatch, "7"},
		{"the same name twice", tool.with("Mcp-Name", "a"), 400, headerMismatch, "7"},
		{"other name, encoded", tool.without("Mcp-Name").with("Mcp-Name", "=?base64?Yg==?="), 400, headerMismatch, "7"},
		{"bad encoding of a name", tool.without("Mcp-Name").with("Mcp-Name", "=?base64?%%%?="), 400, headerMismatch, "7"},
		{"other method", tool.without("Mcp-Method").with("Mcp-Method", "tools/list"), 400, headerMismatch, "7"},
		{"method in other case", tool.without("Mcp-Method").with("Mcp-Method", "TOOLS/CALL"), 400, headerMismatch, "7"},
		{"no method", tool.without("Mcp-Method"), 400, headerMismatch, "7"},
		{"two methods", tool.with("Mcp-Method", "tools/list"), 400, headerMismatch, "7"},
		{"other URI", read.without("Mcp-Name").with("Mcp-Name", "file:///b"), 400, headerMismatch, "7"},
		{"no URI", read.without("Mcp-Name"), 400, headerMismatch, "7"},
		{"no version in _meta", legacy(url, "tools/call", `"name":"a"`).without("Mcp-Protocol-Version").
			with("Mcp-Protocol-Version", "2026-07-28", "Mcp-Method", "tools/call", "Mcp-Name", "a"), 400, invalidParams, "7"},
		{"no version header", tool.without("Mcp-Protocol-Version"), 400, headerMismatch, "7"},
		{"legacy version header, modern _meta", tool.without("Mcp-Protocol-Version").with("Mcp-Protocol-Version", "2025-11-25"), 400, headerMismatch, "7"},
		{"two versions", tool.with("Mcp-Protocol-Version", "2025-11-25"), 400, headerMismatch, "7"},
		{"unknown version", legacy(url, "ping", "").without("Mcp-Protocol-Version").with("Mcp-Protocol-Version", "1999-01-01"), 400, unsupportedRev, "7"},
		{"a word as version", legacy(url, "ping", "").without("Mcp-Protocol-Version").with("Mcp-Protocol-Version", "latest"), 400, unsupportedRev, "7"},
		{"legacy client, lying method header", legacy(url, "tools/call", `"name":"a"`).with("Mcp-Method", "tools/list"), 400, headerMismatch, "7"},
		{"legacy client, lying name header", legacy(url, "tools/call", `"name":"a"`).with("Mcp-Name", "b"), 400, headerMismatch, "7"},
	})
	for _, r := range []request{
		tool.without("Mcp-Name").with("Mcp-Name", "=?base64?YQ==?="),
		modern(url, "tools/call", "grüße", "").without("Mcp-Name").with("Mcp-Name", "=?base64?Z3LDvMOfZQ==?="),
		legacy(url, "tools/call", `"name":"a"`).with("Mcp-Name", "a", "Mcp-Method", "tools/call"),
	} {
		r.do(t).wantResult(t, `{"ok":true}`)
	}
}

// REQ F-5: the answer to an unknown revision names those that there are.
func TestUnsupportedRevision(t *testing.T) {
	t.Parallel()
	backend := testkit.Record(t, ok)
	g := serve(t, remote("docs", backend.URL))
	r := call(g.MCP(), "a", "")
	r.body = strings.Replace(r.body, "2026-07-28", "2030-01-01", 1)
	got := r.without("Mcp-Protocol-Version").with("Mcp-Protocol-Version", "2030-01-01").do(t)
	got.wantError(t, 400, unsupportedRev, "7")
	for _, want := range []string{`"requested":"2030-01-01"`, `"supported":[`, `"2026-07-28"`, `"2025-11-25"`} {
		if !strings.Contains(got.Body, want) {
			t.Errorf("%s is not in %s", want, got.Body)
		}
	}
}

// REQ F-5, REQ B-24: wrong method, type, origin and host are refused on every surface, before the body counts for anything.
func TestWrongEnvelope(t *testing.T) {
	t.Parallel()
	backend := testkit.Record(t, ok)
	g := serve(t, remote("docs", backend.URL))
	url := g.MCP()
	hello := legacy(url, "ping", "")
	var cases []refusal
	for _, ct := range []string{
		"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json-rpc",
		"application/jsonx", "text/json", "application/json; charset=utf-16", "",
	} {
		cases = append(cases, refusal{"type " + ct, hello.without("Content-Type").with("Content-Type", ct), 415, invalidRequest, ""})
	}
	cases = append(cases,
		refusal{"no type", hello.without("Content-Type"), 415, invalidRequest, ""},
		refusal{"two types", hello.with("Content-Type", "text/plain"), 415, invalidRequest, ""},
		refusal{"foreign origin", hello.with("Origin", "https://evil.example"), 403, invalidRequest, ""},
		refusal{"null origin", hello.with("Origin", "null"), 403, invalidRequest, ""},
		refusal{"two origins", hello.with("Origin", g.URL, "Origin", "https://evil.example"), 403, invalidRequest, ""},
		refusal{"origin that looks alike", hello.with("Origin", strings.Replace(g.URL, "http://", "http://x@", 1)), 403, invalidRequest, ""},
		refusal{"foreign origin of GET", listen(url).with("Origin", "https://evil.example"), 403, invalidRequest, ""},
		refusal{"foreign origin of DELETE", request{method: "DELETE", url: url}.with("Origin", "https://evil.example"), 403, invalidRequest, ""},
		refusal{"foreign origin of SSE", request{method: "GET", url: g.SSE()}.with("Origin", "https://evil.example"), 403, invalidRequest, ""},
		refusal{"foreign origin of messages", message(g.URL+"/messages?session=x", "{}").with("Origin", "https://evil.example"), 403, invalidRequest, ""},
		refusal{"PUT", request{method: "PUT", url: url}, 405, invalidRequest, ""},
		refusal{"PATCH", request{method: "PATCH", url: url}, 405, invalidRequest, ""},
		refusal{"TRACE", request{method: "TRACE", url: url}, 405, invalidRequest, ""},
		refusal{"invented method", request{method: "POSTX", url: url}, 405, invalidRequest, ""},
		refusal{"POST to the SSE endpoint", message(g.SSE(), "{}"), 405, invalidRequest, ""},
		refusal{"GET of messages", request{method: "GET", url: g.URL + "/messages"}, 405, invalidRequest, ""},
		refusal{"message without a stream", message(g.URL+"/messages?session=x", hello.body), 404, invalidRequest, ""},
		refusal{"unknown path", message(g.URL+"/", hello.body), 404, invalidRequest, ""},
		refusal{"unknown resource", message(g.URL+"/servers/other/mcp", hello.body), 404, invalidRequest, ""},
		refusal{"path below the endpoint", message(url+"/x", hello.body), 404, invalidRequest, ""},
		refusal{"path with dots", message(g.URL+"/servers/x/../docs/mcp", hello.body), 404, invalidRequest, ""},
		refusal{"two sessions", hello.with("Mcp-Session-Id", "a", "Mcp-Session-Id", "b"), 400, invalidRequest, ""},
		refusal{"two Authorization headers", hello.with("Authorization", "Bearer a", "Authorization", "Bearer b"), 400, invalidRequest, ""},
	)
	checkRefusals(t, g, backend, cases)
	if got := (request{method: "HEAD", url: url}).do(t); got.Status != 405 || !strings.Contains(got.Header.Get("Allow"), "GET, POST, DELETE") {
		t.Errorf("HEAD: status %d, Allow %q", got.Status, got.Header.Get("Allow"))
	}
	hello.with("Origin", g.URL).do(t).wantResult(t, `{"ok":true}`)
	hello.without("Content-Type").with("Content-Type", "Application/JSON; charset=UTF-8").do(t).wantResult(t, `{"ok":true}`)
}

// REQ B-24: a name that a DNS server turned to loopback does not reach the gateway, nor its metrics, unless it is allowed.
func TestRebinding(t *testing.T) {
	t.Parallel()
	backend := testkit.Record(t, ok)
	g := serve(t, remote("docs", backend.URL), "--allowed-hosts", "mcp.internal", "--allowed-origins", "https://app.example")
	get := func(base, path, host, extra string) string {
		return exchange(t, base, "GET "+path+" HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n"+extra+"\r\n")
	}
	post := func(host, extra string) string {
		body := legacy("", "ping", "").body
		return exchange(t, g.URL, fmt.Sprintf("POST /mcp HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n%s\r\n%s", host, len(body), extra, body))
	}
	for _, host := range []string{"evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example", "169.254.169.254"} {
		if got := statuses(post(host, "")); len(got) != 1 || got[0] != "403" {
			t.Errorf("POST with Host %s: %v", host, got)
		}
		want := "403"
		if host == "169.254.169.254" { // no name leads to the admin listener by an address
			want = "200"
		}
		if got := statuses(get(g.Admin, "/metrics", host, "")); len(got) != 1 || got[0] != want {
			t.Errorf("metrics with Host %s: %v", host, got)
		}
	}
	if len(backend.Requests()) != 0 {
		t.Errorf("the backend got %d requests", len(backend.Requests()))
	}
	for _, host := range []string{"localhost", "LOCALHOST:8080", "[::1]:80", "127.0.0.5", "mcp.internal", "mcp.internal:443"} {
		if got := statuses(post(host, "")); len(got) != 1 || got[0] != "200" {
			t.Errorf("POST with Host %s: %v", host, got)
		}
	}
	if got := statuses(post("mcp.internal", "Origin: https://app.example\r\n")); len(got) != 1 || got[0] != "200" {
		t.Errorf("POST with an allowed Origin: %v", got)
	}
	if got := statuses(exchange(t, g.URL, "GET http://evil.example/mcp HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")); len(got) != 1 || got[0] != "403" {
		t.Errorf("absolute form with another host: %v", got)
	}
}

// TestSmuggling sends heads that two servers in a row could read differently.
//
// REQ F-5: each is refused, or read in one way with the connection closed behind it; what is hidden in it is never served.
func TestSmuggling(t *testing.T) {
	t.Parallel()
	backend := testkit.Record(t, ok)
	g := serve(t, remote("docs", backend.URL, "passthroughHeaders: [X-Tenant]"))
	good := legacy("", "ping", "").body
	hidden := strings.Replace(good, "ping", "smuggled", 1)
	smuggled := fmt.Sprintf("POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(hidden), hidden)
	const head = "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
	length := fmt.Sprintf("Content-Length: %d\r\n", len(good))
	chunked := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(good), good)
	for _, tt := range []struct{ name, raw string }{
		{"length and chunks", head + fmt.Sprintf("Content-Length: %d\r\n", len(chunked)+len(smuggled)) + "Transfer-Encoding: chunked\r\n\r\n" + chunked},
		{"two lengths", head + length + "Content-Length: 5\r\n\r\n" + good},
		{"two lengths in one", head + strings.Replace(length, "\r", ", 5\r", 1) + "\r\n" + good},
		{"length with a sign", head + strings.Replace(length, ": ", ": +", 1) + "\r\n" + good},
		{"negative length", head + "Content-Length: -1\r\n\r\n" + good},
		{"hexadecimal length", head + "Content-Length: 0x10\r\n\r\n" + good},
		{"space before the colon", head + strings.Replace(length, ":", " :", 1) + "\r\n" + good},
		{"two encodings", head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" + chunked},
		{"unknown encoding", head + "Transfer-Encoding: xchunked\r\n\r\n" + chunked},
		{"encodings in a list", head + "Transfer-Encoding: chunked, identity\r\n\r\n" + chunked},
		{"bad chunk", head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n" + good},
		{"chunk longer than said", head + "Transfer-Encoding: chunked\r\n\r\n5\r\n" + good + "\r\n0\r\n\r\n"},
		{"two hosts", head + "Host: evil.example\r\n" + length + "\r\n" + good},
		{"NUL in a value", head + "X-Tenant: a\x00b\r\n" + length + "\r\n" + good},
		{"name with a space", head + "X Tenant: a\r\n" + length + "\r\n" + good},
		{"line without a colon", head + "X-Tenant\r\n" + length + "\r\n" + good},
		{"no host", strings.Replace(head, "Host: localhost\r\n", "", 1) + length + "\r\n" + good},
		{"future version", strings.Replace(head, "HTTP/1.1", "HTTP/3.0", 1) + length + "\r\n" + good},
		{"no version", "POST /mcp\r\n\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			// Whatever the gateway makes of the first message, the second must not be served: it may be part of somebody's body.
			got := exchange(t, g.URL, tt.raw+smuggled)
			if codes := statuses(got); len(codes) > 1 || len(codes) == 1 && codes[0] == "200" && tt.name != "length and chunks" {
				t.Errorf("answers %v to\n%s", codes, tt.raw)
			}
		})
	}
	t.Run("folded line", func(t *testing.T) {
		t.Parallel() // RFC 9112 §5.2: refuse it, or read it as one line with a space
		got := statuses(exchange(t, g.URL, head+"X-Tenant: folded\r\n X-Secret: injected\r\nConnection: close\r\n"+length+"\r\n"+good))
		for _, r := range backend.Requests() {
			if v := r.Header.Get("X-Tenant"); len(got) == 1 && got[0] == "200" && strings.HasPrefix(v, "folded") && v != "folded X-Secret: injected" {
				t.Errorf("the backend got X-Tenant %q", v)
			}
			if r.Header.Get("X-Secret") != "" {
				t.Errorf("a folded line became a header")
			}
		}
	})
	t.Cleanup(func() {
		if strings.Contains(backend.Wire(), "smuggled") || strings.Contains(backend.Wire(), "\r\n X-Secret") {
			t.Error("the backend got what was smuggled")
		}
	})
}

// REQ B-24: more than 64 KiB of headers is 431, and costs nobody else anything.
func TestLargeHead(t *testing.T) {
	t.Parallel()
	backend := testkit.Record(t, ok)
	g := serve(t, remote("docs", backend.URL))
	for _, r := range []request{
		legacy(g.MCP(), "ping", "").with("X-Large", strings.Repeat("x", 100<<10)),
		legacy(g.MCP()+"?"+strings.Repeat("x", 100<<10), "ping", ""),
	} {
		if got := r.do(t); got.Status != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("status %d, want 431", got.Status)
		}
	}
	legacy(g.MCP(), "ping", "").with("X-Large", strings.Repeat("x", 50<<10)).do(t).wantResult(t, `{"ok":true}`)
}

// REQ F-5: a body of 100 MB is 413 whether its length is announced or not, for clients that read while they write and for
// those that do not; and it is not held in memory.
func TestHugeBody(t *testing.T) {
	t.Parallel()
	backend := testkit.Record(t, ok)
	g := serve(t, remote("docs", backend.URL))
	before := g.Metric(t, "go_memstats_sys_bytes")
	const size = 100 << 20
	for _, announced := range []bool{true, false} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.MCP(), io.LimitReader(endless{}, size))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		head := "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
		if announced {
			req.ContentLength = size
			head += fmt.Sprintf("Content-Length: %d\r\n\r\n", size)
		} else {
			head += fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n", size)
		}
		resp, err := client.Do(req)
		if err != nil || resp.StatusCode != http.StatusRequestEntityTooLarge {
			t.Fatalf("announced %v: %v %v, want 413", announced, resp, err)
		}
		resp.Body.Close()

		conn := dial(t, g.URL)
		_ = conn.SetDeadline(time.Now().Add(testkit.Patience))
		began := time.Now()
		n, err := io.Copy(conn, io.MultiReader(strings.NewReader(head), io.LimitReader(endless{}, size), strings.NewReader("\r\n0\r\n\r\n")))
		got, _ := io.ReadAll(conn)
		conn.Close()
		if err != nil && time.Since(began) > 4*time.Second {
			continue // on a machine so slow the gateway does not listen to the end
		}
		if err != nil {
			t.Errorf("announced %v: the connection broke after %d bytes: %v", announced, n, err)
		}
		if codes := statuses(string(got)); len(codes) != 1 || codes[0] != "413" {
			t.Errorf("announced %v: a client that writes first got %q", announced, got)
		}
	}
	if grown := g.Metric(t, "go_memstats_sys_bytes") - before; grown > 128<<20 {
		t.Errorf("the process grew by %v bytes", grown)
	}
	if len(backend.Requests()) != 0 {
		t.Error("the backend got something")
	}
	call(g.MCP(), "tool", "").do(t).wantResult(t, `{"ok":true}`)
}

// endless reads as JSON that never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return copy(p, blanks), nil }

var blanks = strings.Repeat(" ", 32<<10)

// TestSlowClients opens connections that never finish what they say.
//
// REQ B-24: they hold up nobody, are let go of, and leave nothing behind.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	backend := testkit.Record(t, ok)
	g := serve(t, remote("docs", backend.URL))
	call(g.MCP(), "tool", "").do(t)
	base := g.Metric(t, "go_goroutines")
	var slow []net.Conn
	for i := range 40 {
		conn := dial(t, g.URL)
		defer conn.Close()
		head := "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{\"jsonrpc\""
		if i%2 == 0 {
			head = head[:40]
		}
		_, _ = io.WriteString(conn, head)
		slow = append(slow, conn)
	}
	for range 20 {
		call(g.MCP(), "tool", "").do(t).wantResult(t, `{"ok":true}`)
	}
	// A head that does not come is given up after ten seconds; the client sees it.
	_ = slow[0].SetReadDeadline(time.Now().Add(testkit.Patience))
	if _, err := io.Copy(io.Discard, slow[0]); err != nil {
		t.Errorf("a connection without a head is still open: %v", err)
	}
	for _, conn := range slow {
		conn.Close()
	}
	g.SettlesAt(t, base, 4)
	if len(backend.Requests()) != 21 {
		t.Errorf("the backend got %d requests, want 21", len(backend.Requests()))
	}
}
