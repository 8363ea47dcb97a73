package bridge_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/bridge"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// modernRow is one thing that a client without sessions can do, with a server that has
// them: what the server does, what the client says, and what each of them hears.
type modernRow struct {
	server old
	client []string
	hears  [][]string // the client, of each answer
	told   []string   // what the server is told in all
}

const question = `{"jsonrpc":"2.0","id":"q1","method":"elicitation/create","params":{"message":"?","requestedSchema":{"type":"object","properties":{}}}}`

// REQ F-3: a client of 2026-07-28 with a server of an older revision, row by row.
func TestModernClientOfLegacyServer(t *testing.T) {
	t.Parallel()
	reply := func(raw string) func(context.Context, *oldServer, *backend.Request) (*backend.Response, error) {
		return func(_ context.Context, _ *oldServer, req *backend.Request) (*backend.Response, error) {
			return result(req, raw), nil
		}
	}
	fails := func(status int, raw string) func(context.Context, *oldServer, *backend.Request) (*backend.Response, error) {
		return func(_ context.Context, _ *oldServer, req *backend.Request) (*backend.Response, error) {
			return fault(req, status, raw), nil
		}
	}
	call := modern(1, "tools/call", `"name":"t","arguments":{}`)
	for name, row := range map[string]modernRow{
		"discover is made of initialize": {
			client: []string{modern(1, "server/discover", "")},
			hears: [][]string{{
				`"supportedVersions":["2026-07-28","2025-11-25"`, `"resources":{"subscribe":true,"listChanged":true}`, `"instructions":"be kind"`,
				`"io.modelcontextprotocol/serverInfo":{"name":"s","version":"1"}`, `"ttlMs":0`, `"cacheScope":"private"`, `"com.example/x"`, "!tasks",
			}},
		},
		"the client's capabilities and name are those of the session": {
			client: []string{modern(1, "server/discover", "")},
			hears:  [][]string{{`"result"`}},
			told:   []string{`"elicitation":{"form":{},"url":{}}`, `"sampling":{"tools":{}}`, `"roots":{}`, `"clientInfo":{"name":"c","version":"1"}`, "!listChanged", "!io.modelcontextprotocol/tasks", "notifications/initialized"},
		},
		"what a session alone has is not there": {
			client: []string{modern(1, "ping", ""), modern(2, "logging/setLevel", `"level":"info"`), modern(3, "resources/subscribe", `"uri":"mem://r"`), modern(4, "tasks/get", `"taskId":"x"`)},
			hears:  [][]string{{"-32601"}, {"-32601"}, {"-32601"}, {"-32601"}},
		},
		"a list": {
			server: old{call: reply(`{"tools":[{"name":"t","inputSchema":{"type":"object"},"execution":{"taskSupport":"required"},"x":1}],"nextCursor":"c"}`)},
			client: []string{modern(1, "tools/list", "")},
			hears:  [][]string{{`"resultType":"complete"`, `"ttlMs":0`, `"cacheScope":"private"`, `"x":1`, `"nextCursor":"c"`, `"name":"s"`, "!execution"}},
		},
		"an answer": {
			server: old{call: reply(`{"content":[],"structuredContent":{"a":12345678901234567890}}`)},
			client: []string{modernAs(1, "tools/call", `"name":"t"`, ableAll, `,"com.example/own":1,"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"`)},
			hears:  [][]string{{`"resultType":"complete"`, `"a":12345678901234567890`, "!ttlMs"}},
			told:   []string{`"_meta":{"com.example/own":1,"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}`},
		},
		"several questions, one after the other": {
			server: old{call: says(question,
				`{"jsonrpc":"2.0","id":"q2","method":"sampling/createMessage","params":{"messages":[],"maxTokens":1}}`,
				`{"jsonrpc":"2.0","id":"q3","method":"roots/list"}`, done)},
			client: []string{call, `{"question":{"action":"accept","content":{"a":1}}}`, `{"question":{"role":"assistant","content":{"type":"text","text":"x"},"model":"m"}}`, `{"question":{"roots":[]}}`},
			hears: [][]string{
				{`"input_required"`, `"method":"elicitation/create"`, `"requestedSchema"`},
				{`"input_required"`, `"method":"sampling/createMessage"`, `"maxTokens":1`},
				{`"input_required"`, `"method":"roots/list"`},
				{`"resultType":"complete"`, `"done"`},
			},
			told: []string{`{"jsonrpc":"2.0","id":"q1","result":{"action":"accept","content":{"a":1}}}`, `{"jsonrpc":"2.0","id":"q2","result":{"role"`, `{"jsonrpc":"2.0","id":"q3","result":{"roots":[]}}`, "!inputResponses", "!requestState"},
		},
		"a question with an address": {
			server: old{call: says(`{"jsonrpc":"2.0","id":"q1","method":"elicitation/create","params":{"mode":"url","message":"go","url":"https://x.example","elicitationId":"e"}}`,
				`{"jsonrpc":"2.0","method":"notifications/elicitation/complete","params":{"elicitationId":"e"}}`, done)},
			client: []string{call, `{"question":{"action":"accept"}}`},
			hears:  [][]string{{`"mode":"url"`, `"url":"https://x.example"`, "!elicitationId"}, {`"done"`, "!elicitation/complete"}},
		},
		"pages to open first, and the call is made again": {
			server: old{call: func(_ context.Context, s *oldServer, req *backend.Request) (*backend.Response, error) {
				if s.count("tools/call") > 2 { // the first was of the other era
					return result(req, `{"content":[{"type":"text","text":"done"}]}`), nil
				}
				return fault(req, http.StatusOK, `{"code":-32042,"message":"go","data":{"elicitations":[{"mode":"url","message":"one","url":"https://1.example","elicitationId":"e1"},{"mode":"url","message":"two","url":"https://2.example","elicitationId":"e2"}]}}`), nil
			}},
			client: []string{call, `{"question1":{"action":"accept"},"question2":{"action":"accept"}}`},
			hears:  [][]string{{`"input_required"`, "https://1.example", "https://2.example", "!elicitationId", "!-32042"}, {`"done"`}},
		},
		"pages to open, and the person does not": {
			server: old{call: fails(http.StatusOK, `{"code":-32042,"message":"go","data":{"elicitations":[{"mode":"url","message":"one","url":"https://1.example","elicitationId":"e1"}]}}`)},
			client: []string{call, `{"question1":{"action":"decline"}}`},
			hears:  [][]string{{`"input_required"`}, {`"isError":true`, "declined"}},
		},
		"pages to open, and the client cannot": {
			server: old{call: fails(http.StatusOK, `{"code":-32042,"message":"go","data":{"elicitations":[{"mode":"url","message":"one","url":"https://1.example","elicitationId":"e1"}]}}`)},
			client: []string{modernAs(1, "tools/call", `"name":"t"`, `{"elicitation":{}}`, "")},
			hears:  [][]string{{"-32021", `"requiredCapabilities":{"elicitation":{"url":{}}}`}},
		},
		"a question in the middle of a list": {
			server: old{call: says(question, `{"jsonrpc":"2.0","id":$id,"result":{"tools":[]}}`)},
			client: []string{modern(1, "tools/list", "")},
			hears:  [][]string{{`"tools":[]`, "!input_required"}},
			told:   []string{`"id":"q1","error":{"code":-32601`},
		},
		"log messages, of the level that the request names": {
			server: old{call: says(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"quiet"}}`,
				`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"error","data":"loud"}}`, done)},
			client: []string{
				modernAs(1, "tools/call", `"name":"t"`, ableAll, `,"io.modelcontextprotocol/logLevel":"warning"`), call,
				modernAs(1, "tools/call", `"name":"t"`, ableAll, `,"io.modelcontextprotocol/logLevel":"shouting"`),
			},
			hears: [][]string{{"loud", "!quiet", "done"}, {"!loud", "!quiet", "done"}, {"-32602", "log level"}},
			told:  []string{`"method":"logging/setLevel","params":{"level":"warning"}`, "!io.modelcontextprotocol/logLevel"},
		},
		"progress": {
			server: old{call: says(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":$token,"progress":1}}`,
				`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"other","progress":2}}`, done)},
			client: []string{modernAs(1, "tools/call", `"name":"t"`, ableAll, `,"progressToken":"mine"`)},
			hears:  [][]string{{`"progressToken":"mine","progress":1`, `!"progress":2`, "done"}},
		},
		"a stream that the server has its client come back for": {
			server: old{call: func(ctx context.Context, s *oldServer, req *backend.Request) (*backend.Response, error) {
				if req.Method != http.MethodGet {
					return says("id: 7\ndata:\n\n", "data: \nretry: 1\n\n")(ctx, s, req)
				}
				resp, w := answerStream(ctx)
				go func() {
					ids := s.idsOf("tools/call")
					_, _ = w.Write(event(strings.ReplaceAll(done, "$id", ids[len(ids)-1])))
				}()
				return resp, nil
			}},
			client: []string{call},
			hears:  [][]string{{"done"}},
		},
		"a ping of the server's": {
			server: old{call: says(`{"jsonrpc":"2.0","id":"p","method":"ping"}`, done)},
			client: []string{call},
			hears:  [][]string{{"done", "!ping"}},
			told:   []string{`{"jsonrpc":"2.0","id":"p","result":{}}`},
		},
		"batches of a server of 2025-03-26": {
			server: old{revision: "2025-03-26", call: says(`[{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":$token,"progress":1}},` + done + `]`)},
			client: []string{modernAs(1, "tools/call", `"name":"t"`, ableAll, `,"progressToken":"mine"`)},
			hears:  [][]string{{`"progress":1`, "done"}},
		},
		"a batch that is no stream": {
			server: old{revision: "2025-03-26", call: func(_ context.Context, _ *oldServer, req *backend.Request) (*backend.Response, error) {
				return answerJSON(`[` + strings.ReplaceAll(done, "$id", string(req.Message.ID)) + `]`), nil
			}},
			client: []string{call},
			hears:  [][]string{{`"done"`, `"id":1`}},
		},
		"a tool that is run as a task only": {
			server: old{call: fails(http.StatusOK, `{"code":-32601,"message":"task required"}`)},
			client: []string{call},
			hears:  [][]string{{"-32602", "as a task only"}},
		},
		"a resource that there is not": {
			server: old{call: fails(http.StatusOK, `{"code":-32002,"message":"not found"}`)},
			client: []string{modern(1, "resources/read", `"uri":"mem://none"`)},
			hears:  [][]string{{"-32602", `"uri":"mem://none"`, "!-32002"}},
		},
		"a failure of the server": {
			server: old{call: fails(http.StatusInternalServerError, `{"code":-32603,"message":"oh"}`)},
			client: []string{call},
			hears:  [][]string{{"-32603", `"message":"oh"`}},
		},
		"a notification of a kind that nobody knows": {
			server: old{call: says(`{"jsonrpc":"2.0","method":"notifications/com.example","params":{"a":1}}`, done)},
			client: []string{call},
			hears:  [][]string{{`{"jsonrpc":"2.0","method":"notifications/com.example","params":{"a":1}}`, "done"}},
		},
		// What a server asks in a revision that has it not.
		"a question in a revision without questions": {
			server: old{revision: "2025-03-26", call: says(question, done)},
			client: []string{call},
			hears:  [][]string{{"done", "!input_required"}},
			told:   []string{`"id":"q1","error"`, "2025-03-26"},
		},
		"an address in a revision without addresses": {
			server: old{revision: "2025-06-18", call: says(`{"jsonrpc":"2.0","id":"q1","method":"elicitation/create","params":{"mode":"url","message":"go","url":"https://x.example"}}`, done)},
			client: []string{call},
			hears:  [][]string{{"done", "!input_required"}},
			told:   []string{`"id":"q1","error"`},
		},
		"tools for the model of a client that has none": {
			server: old{call: says(`{"jsonrpc":"2.0","id":"q1","method":"sampling/createMessage","params":{"messages":[],"maxTokens":1,"tools":[]}}`, done)},
			client: []string{modernAs(1, "tools/call", `"name":"t"`, `{"sampling":{}}`, "")},
			hears:  [][]string{{"done", "!input_required"}},
			told:   []string{`"id":"q1","error"`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newOld(row.server)
			b := bridged(t, s.scripted, nil)
			first, state := row.client[0], ""
			for i, raw := range row.client {
				if strings.HasPrefix(raw, `{"question`) { // the first message once more, with answers
					raw = strings.Replace(first, `"params":{`, fmt.Sprintf(`"params":{"inputResponses":%s,"requestState":%q,`, raw, state), 1)
				}
				got := tell(t, b, raw)
				wants(t, fmt.Sprint("answer ", i+1), got, row.hears[i]...)
				if _, rest, ok := strings.Cut(got, `"requestState":"`); ok {
					state, _, _ = strings.Cut(rest, `"`)
				}
			}
			wants(t, "the server", strings.ReplaceAll(s.all(), first, ""), row.told...)
			s.validate(t, s.revision)
		})
	}
}

// Callers, and clients that can do different things, do not share a session; where a
// request stands in a trace makes no other caller of it.
func TestWhoseSession(t *testing.T) {
	t.Parallel()
	s := newOld(old{})
	b := bridged(t, s.scripted, nil)
	say := func(caller, caps, trace string) {
		t.Helper()
		m, _ := mcp.Parse([]byte(modernAs(1, "tools/call", `"name":"t"`, caps, "")), mcp.DefaultLimits())
		resp, err := b.Do(t.Context(), &backend.Request{
			Method: http.MethodPost, Header: http.Header{mcp.HeaderProtocolVersion: {"2026-07-28"}}, Private: http.Header{"Traceparent": {trace}}, Caller: caller, Body: m.Raw, Message: &m,
		})
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
	}
	say("alice", `{}`, "1")
	say("alice", `{}`, "2")
	if n := s.count("initialize"); n != 1 {
		t.Errorf("two requests of one caller opened %d sessions", n)
	}
	say("alice", `{"sampling":{}}`, "3")
	say("bob", `{}`, "4")
	if n := s.count("initialize"); n != 3 {
		t.Errorf("three clients have %d sessions", n)
	}
}

const listenAll = `"notifications":{"toolsListChanged":true,"promptsListChanged":true,"resourceSubscriptions":["mem://r"]}`

// subscriptions/listen by the listening stream and resources/subscribe of one session:
// several listens share both, and each hears what it asked for, under its own id.
func TestListensShare(t *testing.T) {
	t.Parallel()
	s := newOld(old{})
	b := bridged(t, s.scripted, nil)
	one := open2(t.Context(), t, b, "alice", backend.Session{}, true, modern(1, "subscriptions/listen", listenAll))
	ctx, leave := context.WithCancel(t.Context())
	two := open2(ctx, t, b, "alice", backend.Session{}, true, modern(2, "subscriptions/listen", `"notifications":{"resourceSubscriptions":["mem://r"]}`))
	stream := <-s.stream
	wants(t, "the first", one.next(), "notifications/subscriptions/acknowledged", `"toolsListChanged":true`, `"resourceSubscriptions":["mem://r"]`, `subscriptionId":1`, "!promptsListChanged")
	wants(t, "the second", two.next(), `subscriptionId":2`, "!toolsListChanged")
	go func() {
		_, _ = stream.Write(event(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`))
		_, _ = stream.Write(event(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"error","data":"nobody's"}}`))
		_, _ = stream.Write(event(`{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"mem://r","_meta":{"a":1}}}`))
	}()
	wants(t, "the first", one.next(), "tools/list_changed", `subscriptionId":1`)
	wants(t, "the first", one.next(), `"uri":"mem://r"`, `"a":1`, `subscriptionId":1`)
	wants(t, "the second", two.next(), `"uri":"mem://r"`, `subscriptionId":2`)
	leave()
	_ = two.resp.Body.Close()
	if n := s.count("resources/subscribe"); n != 1 || s.count("resources/unsubscribe") != 0 {
		t.Errorf("the server was asked %d times for one resource, and %d times to stop", n, s.count("resources/unsubscribe"))
	}
	_ = one.resp.Body.Close()
	if s.count("resources/unsubscribe") != 1 {
		t.Error("the server still tells of the resource")
	}
}

// A server that loses a session somebody listens in: it is opened anew, subscribed to
// anew, and who listens is told that anything may have changed.
func TestListenOutlivesSession(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newOld(old{})
		b := bridged(t, s.scripted, nil)
		l := open2(t.Context(), t, b, "alice", backend.Session{}, true, modern(1, "subscriptions/listen", listenAll))
		l.next()
		stream := <-s.stream
		s.lose()
		_ = stream.Close()
		wants(t, "the listen", l.next()+l.next(), "tools/list_changed", `"uri":"mem://r"`)
		if n := s.count("initialize"); n != 2 {
			t.Errorf("initialized %d times", n)
		}
		if n := s.count("resources/subscribe"); n != 2 {
			t.Errorf("subscribed %d times", n)
		}
		go func() {
			w := <-s.stream
			_, _ = w.Write(event(`{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"mem://r"}}`))
		}()
		wants(t, "the listen", l.next(), `"uri":"mem://r"`)

		// And where a call finds out.
		s.lose()
		wants(t, "a call", tell(t, b, modern(2, "tools/call", `"name":"t"`)), `"result"`)
		wants(t, "the listen", l.next()+l.next(), "tools/list_changed", `"uri":"mem://r"`)
		_ = l.resp.Body.Close()
		_ = b.Close()
	})
}

// A server whose GET is 404 has no such stream: that is not a lost session.
func TestServerWithoutStream(t *testing.T) {
	t.Parallel()
	s := newOld(old{})
	do := s.do
	s.do = func(ctx context.Context, req *backend.Request) (*backend.Response, error) {
		if req.Method == http.MethodGet {
			return &backend.Response{Status: http.StatusNotFound, Header: http.Header{}, Body: http.NoBody}, nil
		}
		return do(ctx, req)
	}
	b := bridged(t, s.scripted, nil)
	l := open2(t.Context(), t, b, "alice", backend.Session{}, true, modern(1, "subscriptions/listen", listenAll))
	wants(t, "the listen", l.next(), "acknowledged", "!toolsListChanged", "!mem://r")
	if n := s.count("initialize"); n != 1 {
		t.Errorf("initialized %d times", n)
	}
}

// A question by the listening stream is that of the one call that it can be about.
func TestQuestionByListeningStream(t *testing.T) {
	t.Parallel()
	s := newOld(old{call: func(ctx context.Context, s *oldServer, req *backend.Request) (*backend.Response, error) {
		w := <-s.stream
		go func() { _, _ = w.Write(event(question)) }()
		select {
		case <-s.answers:
		case <-ctx.Done():
		}
		return answerJSON(strings.ReplaceAll(done, "$id", string(req.Message.ID))), nil
	}})
	b := bridged(t, s.scripted, nil)
	call := modern(1, "tools/call", `"name":"t"`)
	got := tell(t, b, call)
	wants(t, "the call", got, `"input_required"`, "elicitation/create")
	again := strings.Replace(call, `"params":{`, fmt.Sprintf(`"params":{"inputResponses":{"question":{"action":"cancel"}},"requestState":%q,`, stateOf(t, got)), 1)
	wants(t, "the call", tell(t, b, again), `"done"`)
}

// Where several calls could be meant, none is asked.
func TestQuestionByListeningStreamOfSeveral(t *testing.T) {
	t.Parallel()
	both := make(chan struct{}, 2)
	release := make(chan struct{})
	s := newOld(old{call: func(_ context.Context, _ *oldServer, req *backend.Request) (*backend.Response, error) {
		both <- struct{}{}
		<-release
		return answerJSON(strings.ReplaceAll(done, "$id", string(req.Message.ID))), nil
	}})
	b := bridged(t, s.scripted, nil)
	answers := make(chan string, 2)
	for i := range 2 {
		go func() { answers <- tell(t, b, modern(i, "tools/call", `"name":"t"`)) }()
	}
	<-both
	<-both
	w := <-s.stream
	_, _ = w.Write(event(question))
	wants(t, "the server", <-s.answers, `"id":"q1","error":{"code":-32601`)
	close(release)
	for range 2 {
		wants(t, "a call", <-answers, `"done"`)
	}
}

// A client that goes away cancels, by the rules of the server.
func TestModernClientGoes(t *testing.T) {
	t.Parallel()
	began := make(chan struct{})
	s := newOld(old{call: func(ctx context.Context, s *oldServer, req *backend.Request) (*backend.Response, error) {
		close(began)
		return says(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":$token,"progress":1}}`, question)(ctx, s, req)
	}})
	b := bridged(t, s.scripted, nil)
	ctx, leave := context.WithCancel(t.Context())
	e := open2(ctx, t, b, "alice", backend.Session{}, true, modernAs(1, "tools/call", `"name":"t"`, `{}`, `,"progressToken":1`))
	<-began
	e.next()
	leave()
	_ = e.resp.Body.Close()
	testkit.Eventually(t, "the cancellation", func() bool { return s.count("notifications/cancelled") == 1 })
	ids := s.idsOf("tools/call")
	wants(t, "the server", s.all(), `"requestId":`+ids[len(ids)-1])
}

// Two eras of tasks never meet; between peers of one they pass, and an id is good for its
// caller alone (MCP tasks extension).
func TestTasksBetweenPeers(t *testing.T) {
	t.Parallel()
	const task = `"taskId":"secret","status":"working","createdAt":"x","lastUpdatedAt":"x","ttlMs":null`
	y := newYoung(young{call: func(ctx context.Context, _ *youngServer, req *backend.Request) (*backend.Response, error) {
		switch req.Message.Method {
		case "tools/call":
			return result(req, `{"resultType":"task",`+task+`}`), nil
		case "tasks/get":
			if req.Message.Target != "secret" || req.Header.Get(mcp.HeaderName) != "secret" {
				return failed(req, http.StatusOK, mcp.CodeInvalidParams, "unknown task "+req.Message.Target), nil
			}
			resp, w := answerStream(ctx)
			go func() {
				_, _ = w.Write(event(fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":{"resultType":"complete",%s}}`, req.Message.ID, task)))
			}()
			return resp, nil
		}
		return result(req, `{"resultType":"complete"}`), nil
	}})
	b := bridged(t, y.scripted, nil)
	call := tell(t, b, modern(1, "tools/call", `"name":"t"`))
	wants(t, "the call", call, `"resultType":"task"`, `"status":"working"`, "!secret")
	_, rest, _ := strings.Cut(call, `"taskId":"`)
	id, _, _ := strings.Cut(rest, `"`)

	get := func(caller, id string) string {
		raw := modern(2, "tasks/get", fmt.Sprintf(`"taskId":%q`, id))
		m, _ := mcp.Parse([]byte(raw), mcp.DefaultLimits())
		resp, err := b.Do(t.Context(), &backend.Request{
			Method: http.MethodPost, Header: http.Header{mcp.HeaderProtocolVersion: {"2026-07-28"}, mcp.HeaderName: {id}}, Caller: caller, Body: m.Raw, Message: &m,
		})
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return string(body)
	}
	if got := get("alice", id); !strings.Contains(got, `"status":"working"`) || strings.Contains(got, "secret") {
		t.Errorf("its own task: %s", got)
	}
	for _, tt := range []struct{ name, caller, id string }{{"another caller", "bob", id}, {"the server's own id", "alice", "secret"}, {"a forged one", "alice", id + "x"}} {
		wants(t, tt.name, get(tt.caller, tt.id), "-32602", "unknown task", "!working")
	}
	if n := y.count("tasks/get"); n != 1 {
		t.Errorf("the server was asked %d times", n)
	}

	l := open2(t.Context(), t, b, "alice", backend.Session{}, true, modern(3, "subscriptions/listen", fmt.Sprintf(`"notifications":{"taskIds":[%q,"secret"]}`, id)))
	up := <-y.listens
	wants(t, "the listen", up.req, `"taskIds":["secret"]`)
	go func() {
		up.acknowledge(`{"taskIds":["secret"]}`)
		up.say(`{"jsonrpc":"2.0","method":"notifications/tasks","params":{` + task + `}}`)
	}()
	wants(t, "the acknowledgement", l.next(), `"taskIds":["`, "!secret")
	wants(t, "the news", l.next(), `"status":"working"`, "!secret")
}

// What a client that knows no tasks gets passes byte for byte.
func TestNoTasksNoChange(t *testing.T) {
	t.Parallel()
	const odd = `{ "id" : 1, "jsonrpc":"2.0", "result" : {"resultType":"complete","content":[],"taskId":"x" } }`
	y := newYoung(young{call: func(context.Context, *youngServer, *backend.Request) (*backend.Response, error) {
		return answerJSON(odd), nil
	}})
	b := bridged(t, y.scripted, func(c *bridge.Config) { c.Patience = time.Second })
	for _, caps := range []string{`{}`, ableAll} {
		if got := tell(t, b, modernAs(1, "tools/call", `"name":"t"`, caps, "")); got != odd {
			t.Errorf("%s became %s", odd, got)
		}
	}
}
