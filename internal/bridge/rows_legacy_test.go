package bridge_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// legacyRow is one thing that a client with sessions can do, with a server that has none.
type legacyRow struct {
	revision string                                                     // "" for 2025-11-25
	caps     string                                                     // of the client; "" for everything
	call     func(n int, req *backend.Request) (status int, raw string) // the server's answer to request n; $id is filled in
	client   []string
	answers  []string   // to what the client is asked
	hears    [][]string // the client, of each answer and what comes before it
	told     []string   // what the server is told in all
}

const ableOld = `{"elicitation":{"form":{},"url":{}},"sampling":{"tools":{}},"roots":{"listChanged":true},"tasks":{"requests":{}},"extensions":{"com.example/x":{}}}`

func complete(raw string) func(int, *backend.Request) (int, string) {
	return func(int, *backend.Request) (int, string) {
		return 200, `{"jsonrpc":"2.0","id":$id,"result":` + raw + `}`
	}
}

func refused(status int, raw string) func(int, *backend.Request) (int, string) {
	return func(int, *backend.Request) (int, string) {
		return status, `{"jsonrpc":"2.0","id":$id,"error":` + raw + `}`
	}
}

// rounds are results, the last one for every further request.
func rounds(results ...string) func(int, *backend.Request) (int, string) {
	return func(n int, _ *backend.Request) (int, string) {
		return 200, `{"jsonrpc":"2.0","id":$id,"result":` + results[min(n, len(results))-1] + `}`
	}
}

// REQ F-3: a client of an older revision with a server of 2026-07-28, row by row.
func TestLegacyClientOfModernServer(t *testing.T) {
	t.Parallel()
	valid(t, "2025-11-25", "ping", []byte(`{"jsonrpc":"2.0","id":1,"result":{}}`)) // outside of a bubble: it starts a program
	const ok = `{"resultType":"complete","content":[{"type":"text","text":"done"}]}`
	call := legacy(1, "tools/call", `"name":"t","arguments":{"a":1}`)
	for name, row := range map[string]legacyRow{
		"what every request says": {
			call:   complete(ok),
			client: []string{legacy(1, "tools/call", `"name":"t","_meta":{"progressToken":"p","traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}`)},
			hears:  [][]string{{`"done"`}},
			told: []string{
				`"io.modelcontextprotocol/protocolVersion":"2026-07-28"`, `"io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"}`, `"progressToken":"p"`,
				`"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"`, `"elicitation":{"form":{},"url":{}}`, `"roots":{}`, `"com.example/x"`, "!tasks", "!listChanged",
			},
		},
		"what an older revision cannot do is not declared": {
			revision: "2025-06-18", call: complete(ok), client: []string{call}, hears: [][]string{{`"done"`}},
			told: []string{`"elicitation":{}`, `"sampling":{}`},
		},
		"what the oldest cannot do is not declared": {
			revision: "2024-11-05", call: complete(ok), client: []string{call}, hears: [][]string{{`"done"`}}, told: []string{"!elicitation"},
		},
		"a result without what the revision does not know": {
			call:   complete(`{"resultType":"complete","ttlMs":5,"cacheScope":"public","resources":[],"nextCursor":"c","x":1}`),
			client: []string{legacy(1, "resources/list", "")},
			hears:  [][]string{{`"nextCursor":"c","x":1`, "!resultType", "!ttlMs", "!cacheScope"}},
		},
		"structured content that is no object": {
			call: complete(`{"resultType":"complete","content":[],"structuredContent":[1,2]}`), client: []string{call},
			hears: [][]string{{`{"type":"text","text":"[1,2]"}`, "!structuredContent"}},
		},
		"tools": {
			call: complete(`{"resultType":"complete","ttlMs":0,"cacheScope":"private","tools":[{"name":"a","inputSchema":{"type":"object"},"outputSchema":{"type":"array"}},
				{"name":"bad","inputSchema":{"type":"object","properties":{"n":{"type":"number","x-mcp-header":"N"}}}},
				{"name":"twice","inputSchema":{"type":"object","properties":{"n":{"type":"string","x-mcp-header":"N"},"m":{"type":"string","x-mcp-header":"n"}}}},
				{"name":"hidden","inputSchema":{"type":"object","properties":{"n":{"type":"array","items":{"type":"string","x-mcp-header":"N"}}}}},
				{"name":"b","inputSchema":{"type":"object"},"outputSchema":{"type":"object"}}]}`),
			client: []string{legacy(1, "tools/list", "")},
			hears:  [][]string{{`"name":"a","inputSchema":{"type":"object"}}`, `"outputSchema":{"type":"object"}`, "!array", "!bad", "!twice", "!hidden"}},
		},
		"several rounds of questions": {
			call: rounds(`{"resultType":"input_required","requestState":"s1","inputRequests":{"k":{"method":"elicitation/create","params":{"message":"?","requestedSchema":{"type":"object","properties":{}}}},"l":{"method":"roots/list"}}}`,
				`{"resultType":"input_required","requestState":"s2","inputRequests":{"m":{"method":"sampling/createMessage","params":{"messages":[],"maxTokens":1}}}}`, ok),
			client:  []string{call},
			answers: []string{`"result":{"action":"accept","content":{"a":1}}`, `"result":{"roots":[]}`, `"result":{"role":"assistant","content":{"type":"text","text":"x"},"model":"m"}`},
			hears:   [][]string{{"elicitation/create", "roots/list", "sampling/createMessage", `"done"`, "!requestState"}},
			told: []string{
				`"requestState":"s1","inputResponses":{"k":{"action":"accept","content":{"a":1}},"l":{"roots":[]}}`, `"requestState":"s2","inputResponses":{"m":{"role"`,
				`"arguments":{"a":1}`,
			},
		},
		"an address to open": {
			call:    rounds(`{"resultType":"input_required","inputRequests":{"k":{"method":"elicitation/create","params":{"mode":"url","message":"go","url":"https://x.example"}}}}`, ok),
			client:  []string{call},
			answers: []string{`"result":{"action":"accept"}`},
			hears:   [][]string{{`"mode":"url"`, `"elicitationId":"`, `"done"`}},
			told:    []string{`"inputResponses":{"k":{"action":"accept"}}`, "!requestState"},
		},
		"an answer that is an error": {
			call: rounds(`{"resultType":"input_required","inputRequests":{"k":{"method":"roots/list"}}}`, ok), client: []string{call},
			answers: []string{`"error":{"code":-32601,"message":"no"}`},
			hears:   [][]string{{`"isError":true`, "could not answer"}},
		},
		"a capability that the client has not": {
			caps: `{}`, call: refused(400, `{"code":-32021,"message":"no","data":{"requiredCapabilities":{"elicitation":{"url":{}},"extensions":{"io.modelcontextprotocol/tasks":{}}}}}`), client: []string{call},
			hears: [][]string{{"-32602", "elicitation.url, extensions.io.modelcontextprotocol/tasks", "!-32021", "!HTTP"}},
		},
		"a server that wants to be asked again": {
			call: rounds(`{"resultType":"input_required","requestState":"s1"}`, `{"resultType":"input_required","requestState":"s2"}`, ok), client: []string{call},
			hears: [][]string{{`"done"`}}, told: []string{`"requestState":"s1"`, `"requestState":"s2"`, "!inputResponses"},
		},
		"the level of log messages": {
			call: complete(ok), client: []string{legacy(1, "logging/setLevel", `"level":"warning"`), call, legacy(3, "logging/setLevel", `"level":"shouting"`)},
			hears: [][]string{{`"result":{}`}, {"done"}, {"-32602"}}, told: []string{`"io.modelcontextprotocol/logLevel":"warning"`, "!logging/setLevel"},
		},
		"what needs no server": {
			client: []string{legacy(1, "ping", ""), legacy(2, "tasks/list", ""), `{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}`, `{"jsonrpc":"2.0","method":"notifications/initialized"}`},
			hears:  [][]string{{`"id":1,"result":{}`}, {"-32601", "tasks"}, {"HTTP 202"}, {"HTTP 202"}}, told: []string{"!ping", "!roots/list_changed", "!notifications"},
		},
		"an unknown method": {
			call: refused(404, `{"code":-32601,"message":"unknown"}`), client: []string{legacy(1, "who/knows", "")}, hears: [][]string{{`"code":-32601`, "!HTTP"}},
		},
		"a resource that there is not": {
			call: refused(200, `{"code":-32602,"message":"none","data":{"uri":"mem://none"}}`), client: []string{legacy(1, "resources/read", `"uri":"mem://none"`), call},
			hears: [][]string{{`"code":-32002`}, {`"code":-32602`}},
		},
		"a misunderstanding of the gateway and the server": {
			call: refused(400, `{"code":-32022,"message":"no","data":{"supported":[]}}`), client: []string{call}, hears: [][]string{{`"code":-32603`, "!HTTP"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := 0
				y := newYoung(young{call: func(_ context.Context, _ *youngServer, req *backend.Request) (*backend.Response, error) {
					n++
					status, raw := row.call(n, req)
					resp := answerJSON(strings.ReplaceAll(raw, "$id", string(req.Message.ID)))
					resp.Status = status
					return resp, nil
				}})
				b := bridged(t, y.scripted, nil)
				if row.revision == "" {
					row.revision = "2025-11-25"
				}
				if row.caps == "" {
					row.caps = ableOld
				}
				session := open(t, b, row.revision, row.caps)
				y.said = nil
				for i, raw := range row.client {
					last, before := ask(t, b, session, raw, row.answers...)
					wants(t, fmt.Sprint("answer ", i+1), strings.Join(append(before, last), "\n"), row.hears[i]...)
				}
				wants(t, "the server", y.all(), row.told...)
				y.validate(t, "2026-07-28")
				seen := map[string]bool{}
				for _, id := range y.idsOf("tools/call") {
					if seen[id] {
						t.Errorf("two requests have the id %s", id)
					}
					seen[id] = true
				}
				_ = b.Close()
			})
		})
	}
}

// initialize is answered by server/discover, in the client's own revision.
func TestInitializeOfModernServer(t *testing.T) {
	t.Parallel()
	for asked, want := range map[string]string{
		"2024-11-05": "2024-11-05", "2025-03-26": "2025-03-26", "2025-06-18": "2025-06-18", "2025-11-25": "2025-11-25", "2026-07-28": "2025-11-25", "1999-01-01": "2025-11-25",
	} {
		b := bridged(t, newYoung(young{}).scripted, nil)
		got, _ := ask(t, b, backend.Session{}, legacy(0, "initialize", fmt.Sprintf(`"protocolVersion":%q,"capabilities":{},"clientInfo":{"name":"c","version":"1"}`, asked)))
		wants(t, asked, got, fmt.Sprintf(`"protocolVersion":%q`, want), `"serverInfo":{"name":"y","version":"1"}`, `"instructions":"be kind"`, `"subscribe":true`, `"com.example/x"`,
			"!tasks", "!ttlMs", "!cacheScope", "!resultType", "!supportedVersions")
	}
}

// x-mcp-header: a legacy client knows nothing of it, and the gateway makes the headers.
func TestHeadersOfArguments(t *testing.T) {
	t.Parallel()
	const tool = `{"name":"t","inputSchema":{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"},"n":{"type":"integer","x-mcp-header":"N"},
		"deep":{"type":"object","properties":{"yes":{"type":"boolean","x-mcp-header":"Yes"}}},"none":{"type":"string","x-mcp-header":"None"}}}}`
	listed := 0
	y := newYoung(young{call: func(_ context.Context, _ *youngServer, req *backend.Request) (*backend.Response, error) {
		if req.Message.Method == "tools/list" {
			listed++
			return result(req, `{"resultType":"complete","ttlMs":0,"cacheScope":"private","tools":[`+tool+`]}`), nil
		}
		got := []string{req.Header.Get("Mcp-Param-Region"), req.Header.Get("Mcp-Param-N"), req.Header.Get("Mcp-Param-Yes")}
		if strings.Join(got, "|") != "=?base64?w7xi?=|42|true" || req.Header["Mcp-Param-None"] != nil {
			return fault(req, http.StatusBadRequest, `{"code":-32020,"message":"headers"}`), nil
		}
		return result(req, `{"resultType":"complete","content":[]}`), nil
	}})
	b := bridged(t, y.scripted, nil)
	session := open(t, b, "2025-06-18", `{}`)
	call := legacy(1, "tools/call", `"name":"t","arguments":{"region":"üb","n":42.0,"deep":{"yes":true},"none":null}`)
	for range 2 { // it learns what the tool wants when it is refused, and remembers
		got, _ := ask(t, b, session, call)
		wants(t, "the call", got, `"content":[]`)
	}
	if listed != 1 || y.count("tools/call") != 3 {
		t.Errorf("tools were listed %d times, the tool called %d times", listed, y.count("tools/call"))
	}
}

// A session that listens: a GET is a subscriptions/listen, and resources that it
// subscribes to later are asked for before the listen that there was ends.
func TestLegacyClientListens(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		y := newYoung(young{})
		b := bridged(t, y.scripted, nil)
		session := open(t, b, "2025-11-25", `{}`)
		resp, err := b.Do(t.Context(), &backend.Request{Method: http.MethodGet, Header: http.Header{}, Caller: "alice", Session: session})
		if err != nil {
			t.Fatal(err)
		}
		heard := make(chan string, 16)
		go func() {
			e := &events{t, resp, mcp.NewEventReader(resp.Body, 1<<20)}
			for m := e.next(); m != ""; m = e.next() {
				heard <- m
			}
			close(heard)
		}()
		one := <-y.listens
		wants(t, "the server", one.req, `"toolsListChanged":true`, "!resourceSubscriptions", `"io.modelcontextprotocol/protocolVersion":"2026-07-28"`)
		one.acknowledge(`{"toolsListChanged":true}`)
		one.say(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":"listen","a":1}}}`)
		wants(t, "the client", <-heard, "tools/list_changed", `"a":1`, "!subscriptionId")

		go func() {
			two := <-y.listens
			if one.ctx.Err() != nil {
				t.Error("the first listen has ended before the second is there")
			}
			two.acknowledge(`{"toolsListChanged":true,"resourceSubscriptions":["mem://r"]}`)
			synctest.Wait()
			two.say(`{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"mem://r"}}`)
			_ = two.w.Close() // and the server goes away
			three := <-y.listens
			three.acknowledge(`{"toolsListChanged":true,"resourceSubscriptions":["mem://r"]}`)
			four := <-y.listens
			four.acknowledge(`{"toolsListChanged":true,"resourceSubscriptions":["mem://r"]}`)
		}()
		got, _ := ask(t, b, session, legacy(2, "resources/subscribe", `"uri":"mem://r"`))
		wants(t, "subscribe", got, `"result":{}`)
		wants(t, "the client", <-heard, `"uri":"mem://r"`)
		wants(t, "the client, of what it may have missed", <-heard+<-heard, "tools/list_changed", `"uri":"mem://r"`, "!prompts/list_changed")

		got, _ = ask(t, b, session, legacy(3, "resources/subscribe", `"uri":"mem://other"`))
		wants(t, "subscribe to what the server does not tell of", got, "-32602", "does not tell")
		_ = b.Close()
		for range heard { // it ends
		}
	})
}

// The client says that it does not want an answer any more: the server's stream is closed.
func TestLegacyClientCancels(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	y := newYoung(young{call: func(ctx context.Context, _ *youngServer, _ *backend.Request) (*backend.Response, error) {
		resp, w := answerStream(ctx)
		context.AfterFunc(ctx, func() { close(ended) })
		go func() { _, _ = w.Write(event(`{"jsonrpc":"2.0","method":"notifications/progress","params":{}}`)) }()
		return resp, nil
	}})
	b := bridged(t, y.scripted, nil)
	session := open(t, b, "2025-11-25", `{}`)
	e := open2(t.Context(), t, b, "alice", session, false, legacy(7, "tools/call", `"name":"t"`))
	e.next()
	got, _ := ask(t, b, session, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}`)
	wants(t, "the notification", got, "HTTP 202")
	<-ended
	wants(t, "the call", e.next(), `"id":7,"error"`, "cancelled")
	if y.count("notifications/cancelled") != 0 {
		t.Error("a server without sessions is told by a notification")
	}
}

// A server without sessions can say nothing that ends a client's session.
func TestNotFoundIsNotTheSession(t *testing.T) {
	t.Parallel()
	y := newYoung(young{call: func(_ context.Context, _ *youngServer, _ *backend.Request) (*backend.Response, error) {
		return nil, &backend.Failure{Public: mcp.Errorf(http.StatusNotFound, mcp.CodeInternal, "b: takes no messages"), Reason: backend.ReasonRefused}
	}})
	b := bridged(t, y.scripted, nil)
	got, _ := ask(t, b, open(t, b, "2025-11-25", `{}`), legacy(1, "tools/list", ""))
	wants(t, "the answer", got, "HTTP 502")
}

// Log messages below what the session wants stay away; and a server that asks by a request
// of its own, which its revision has not, is not waited for.
func TestWhatModernServersMayNot(t *testing.T) {
	t.Parallel()
	y := newYoung(young{call: func(ctx context.Context, _ *youngServer, req *backend.Request) (*backend.Response, error) {
		resp, w := answerStream(ctx)
		go func() {
			for _, level := range []string{"info", "error"} {
				_, _ = w.Write(event(fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":%q,"data":%q}}`, level, "of "+level)))
			}
			_, _ = w.Write(event(`{"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{"message":"?"}}`))
		}()
		return resp, nil
	}})
	b := bridged(t, y.scripted, nil)
	session := open(t, b, "2025-11-25", ableOld)
	ask(t, b, session, legacy(1, "logging/setLevel", `"level":"warning"`))
	last, before := ask(t, b, session, legacy(2, "tools/call", `"name":"t"`))
	wants(t, "the client", strings.Join(before, ""), "of error", "!of info", "!elicitation")
	wants(t, "the answer", last, `"isError":true`, "its protocol revision")
	testkit.Eventually(t, "the end of the call", func() bool { return y.count("tools/call") == 1 })
}
