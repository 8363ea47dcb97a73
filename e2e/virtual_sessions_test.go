package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// This file is about what a client has at the members of a virtual server: sessions,
// conversations, time, and what only it may see.

// REPORT 17, REPORT 18, REQ G-1: a client's session has one of its own at each legacy
// member that it calls, opened at first use, ended with it, and begun anew when the
// member has forgotten it.
func TestVirtualSessionsAtMembers(t *testing.T) {
	t.Parallel()
	a, b := startMember(t, "a", false, "one"), startMember(t, "b", false, "two")
	g := serve(t, team(nil, a, b))
	in := func(m *member) (ids []string) {
		for _, call := range m.got("tools/call") {
			ids = append(ids, call.Session)
		}
		return slices.Compact(ids)
	}
	v, w := visit(t, g.MCP(), false), visit(t, g.MCP(), false)
	for range 3 {
		if got := v.ran("a_one"); got != "a ran one" {
			t.Error(got)
		}
	}
	if n := in(a); len(n) != 1 || n[0] == "" {
		t.Fatalf("three calls were in the sessions %q", n)
	}
	if got := w.ran("a_one"); got != "a ran one" {
		t.Error(got)
	}
	ids := in(a)
	if len(ids) != 2 {
		t.Fatalf("the calls of two clients were in the sessions %q", ids)
	}
	if n := len(in(b)); n != 0 {
		t.Error("a member that nobody calls got a session")
	}
	if got := (request{method: http.MethodDelete, url: g.MCP()}).with("Mcp-Session-Id", v.session, "Mcp-Protocol-Version", "2025-11-25").do(t); got.Status/100 != 2 {
		t.Errorf("DELETE: status %d, %s", got.Status, got.Body)
	}
	testkit.Eventually(t, "the session ends at the member", func() bool {
		return slices.ContainsFunc(a.got("DELETE"), func(d asked) bool { return d.Session == ids[0] })
	})
	a.restart()
	for range 3 {
		if got := w.ran("a_one"); got != "a ran one" {
			t.Errorf("after the member's restart: %s", got)
		}
	}
	if n := len(slices.Compact(in(a))); n < 3 {
		t.Errorf("the sessions were %q", in(a))
	}
	a.set(func() { // forgets every session at once
		a.instead = func(w http.ResponseWriter, m asked) bool {
			if m.Method == "tools/call" {
				respond(w, http.StatusNotFound, m, `"error":{"code":-32001,"message":"Session not found"}`)
			}
			return m.Method == "tools/call"
		}
	})
	if got := w.ask("tools/call", "a_one", `"arguments":{}`); got.Error == nil || got.Status == http.StatusNotFound {
		t.Errorf("a member that knows no session: status %d, %s", got.Status, got.Raw)
	}
	if got := w.ran("b_two"); got != "b ran two" {
		t.Errorf("the client's session is over: %s", got)
	}
}

// REPORT 19: the limits of time are the members' own.
func TestVirtualTimeouts(t *testing.T) {
	t.Parallel()
	patient, other := startMember(t, "patient", true, "slow"), startMember(t, "other", false, "slow")
	ended := make(chan struct{})
	t.Cleanup(func() { close(ended) })
	patient.on("tools/call", func(a asked) string {
		<-time.After(2500 * time.Millisecond) // more than the others may take
		return patient.usual(a)
	})
	other.on("tools/call", func(a asked) string { <-ended; return other.usual(a) })
	g := serve(t, team([]string{"config: {operational: {timeouts: {default: 1s, perWorkload: {patient: 2m}}}}"}, patient, other))
	inBothEras(t, func(t *testing.T, modern bool) {
		v := visit(t, g.MCP(), modern)
		v.sees("tools/list", "other_slow", "patient_slow")
		if got := v.ran("patient_slow"); got != "patient ran slow" {
			t.Error(got)
		}
		if a := v.ask("tools/call", "other_slow", `"arguments":{}`); a.Error == nil || !strings.Contains(a.Error.Message, "other") || !strings.Contains(a.Error.Message, "1s") {
			t.Errorf("a member that takes too long: %s", a.Raw)
		}
	})
}

// REPORT 20, REPORT 21, REPORT 22, PROTOCOL A5: resources lead to their members, by URI, by template,
// and by what a result has mentioned; pages of MCP Apps stay such.
func TestVirtualResources(t *testing.T) {
	t.Parallel()
	a, b := startMember(t, "a", true, "show"), startMember(t, "b", false, "show", "link")
	for _, m := range []*member{a, b} {
		m.caps = allCapabilities
		m.have("tools/list", `{"name":"show","inputSchema":{"type":"object"},"_meta":{"ui":{"resourceUri":"ui://app/main.html","x":1},"ui/resourceUri":"ui://app/main.html"}}`, toolItem("link"))
		m.have("resources/list", `{"uri":"ui://app/main.html","name":"page"}`, `{"uri":"docs://`+m.Name+`","name":"doc"}`)
		m.on("resources/read", func(r asked) string {
			return fmt.Sprintf(`"result":{"contents":[{"uri":%q,"text":"of %s","mimeType":"text/html;profile=mcp-app","_meta":{"ui":{"x":1.0}}}],"resultType":"complete"}`, r.param("uri"), m.Name)
		})
		m.on("tools/call", func(asked) string {
			return `"result":{"content":[{"type":"resource_link","uri":"made://` + m.Name + `/7","name":"seven"}],"resultType":"complete"}`
		})
	}
	a.have("resources/templates/list", `{"uriTemplate":"data://{id}{?format}","name":"data"}`)
	b.have("resources/templates/list", `{"uriTemplate":"file://docs/{+path}","name":"file"}`)
	g := serve(t, team(nil, a, b))
	inBothEras(t, func(t *testing.T, modern bool) {
		v := visit(t, g.MCP(), modern)
		for uri, owner := range map[string]*member{
			"docs://a": a, "docs://b": b, "data://123?format=xml": a, "file://docs/a/b/c%2Fd.txt": b,
		} {
			got := v.ask("resources/read", uri, "")
			if !strings.Contains(got.Raw, `"text":"of `+owner.Name+`"`) || !strings.Contains(got.Raw, `"uri":"`+uri+`"`) {
				t.Errorf("%s: %s", uri, got.Raw)
			}
			if !slices.ContainsFunc(owner.got("resources/read"), func(r asked) bool { return r.param("uri") == uri }) {
				t.Errorf("%s came to its member as another", uri)
			}
		}
		if got := v.ask("resources/read", "file://elsewhere", ""); got.Error == nil || got.Error.Code != -32602 {
			t.Errorf("a URI of nobody: %s", got.Raw)
		}
		pages := map[string]bool{}
		for _, raw := range v.items("tools/list") {
			var tool struct {
				Name string
				Meta struct {
					UI  struct{ ResourceURI string }
					Old string `json:"ui/resourceUri"`
				} `json:"_meta"`
			}
			if err := json.Unmarshal(raw, &tool); err != nil {
				t.Fatal(err)
			}
			if page := tool.Meta.UI.ResourceURI; strings.HasSuffix(tool.Name, "_show") {
				pages[page] = true
				got := v.ask("resources/read", page, "")
				if !strings.HasPrefix(page, "ui://") || page != tool.Meta.Old ||
					!strings.Contains(got.Raw, "of "+tool.Name[:1]) || !strings.Contains(got.Raw, `"uri":"`+page+`"`) ||
					!strings.Contains(got.Raw, `"mimeType":"text/html;profile=mcp-app","_meta":{"ui":{"x":1.0}}`) {
					t.Errorf("%s: %s leads to %s", raw, page, got.Raw)
				}
			}
		}
		if len(pages) != 2 {
			t.Errorf("two pages are %v", pages)
		}
		if got := v.ask("tools/call", "b_link", `"arguments":{}`); !strings.Contains(got.Raw, "made://b/7") {
			t.Errorf("a link: %s", got.Raw)
		}
		if got := v.ask("resources/read", "made://b/7", ""); !strings.Contains(got.Raw, "of b") {
			t.Errorf("what a result has mentioned: %s", got.Raw)
		}
	})
}

// REPORT 23, REQ G-1: who subscribes to a resource hears of its member's changes, and
// nobody else.
func TestVirtualSubscriptions(t *testing.T) {
	t.Parallel()
	for _, era := range []bool{false, true} {
		for name, modern := range eras {
			t.Run(fmt.Sprintf("%s, member modern %v", name, era), func(t *testing.T) {
				t.Parallel()
				a, b := startMember(t, "a", era, "one"), startMember(t, "b", era, "two")
				for _, m := range []*member{a, b} {
					m.caps = allCapabilities
					m.have("resources/list", `{"uri":"docs://`+m.Name+`","name":"doc"}`, `{"uri":"docs://both","name":"doc"}`)
				}
				g := serve(t, team(nil, a, b))
				subscriber, other := visit(t, g.MCP(), modern), visit(t, g.MCP(), modern)
				const shared = "sallyport+b:docs://both"
				subscriber.sees("resources/list", "docs://a", "sallyport+a:docs://both", "docs://b", shared)
				unheard := other.listens()
				var heard <-chan asked
				if modern {
					heard = subscriber.listens("docs://a", shared)
				} else {
					heard = subscriber.listens()
					for _, uri := range []string{"docs://a", shared} {
						if got := subscriber.ask("resources/subscribe", uri, ""); got.Error != nil {
							t.Fatalf("subscribe: %s", got.Raw)
						}
					}
				}
				testkit.Eventually(t, "the members are listened at for the client", func() bool {
					told := func(m *member, method string) bool {
						for _, r := range m.got(method) {
							if strings.Contains(string(r.Params), "docs://") {
								return true
							}
						}
						return false
					}
					return (told(a, "resources/subscribe") || told(a, "subscriptions/listen")) && (told(b, "resources/subscribe") || told(b, "subscriptions/listen"))
				})
				want := func(uri string) {
					t.Helper()
					n := testkit.Receive(t, uri, heard)
					if n.Method != "notifications/resources/updated" || n.param("uri") != uri {
						t.Errorf("heard %s %s, want %s", n.Method, n.Params, uri)
					}
				}
				tell := func(m *member, uri string) { // until it is heard: the stream may be on its way
					m.heard(t, 1)
					m.tell("notifications/resources/updated", fmt.Sprintf(`"uri":%q`, uri))
				}
				tell(a, "docs://a")
				want("docs://a")
				tell(b, "docs://both")
				for n := range heard {
					if n.param("uri") == shared {
						break
					}
				}
				if !modern {
					if got := subscriber.ask("resources/unsubscribe", "docs://a", ""); got.Error != nil {
						t.Errorf("unsubscribe: %s", got.Raw)
					}
					if n := len(a.got("resources/unsubscribe")); !era && n == 0 {
						t.Error("the member did not hear that it may stop")
					}
				}
				select {
				case n := <-unheard:
					t.Errorf("another client heard %s %s", n.Method, n.Params)
				default:
				}
			})
		}
	}
}

// REPORT 24, REQ G-1, PROTOCOL A13: two clients use the same request id and progress token at once.
// Each hears its own progress, before its answer and nothing after.
func TestVirtualProgress(t *testing.T) {
	t.Parallel()
	for _, era := range []bool{false, true} {
		for name, modern := range eras {
			t.Run(fmt.Sprintf("%s, member modern %v", name, era), func(t *testing.T) {
				t.Parallel()
				m := startMember(t, "m", era, "work")
				var both sync.WaitGroup
				both.Add(2)
				m.instead = func(w http.ResponseWriter, a asked) bool {
					if a.Method != "tools/call" {
						return false
					}
					both.Done()
					both.Wait()
					var p struct {
						Arguments struct{ Who string }
						Meta      struct{ ProgressToken json.RawMessage } `json:"_meta"`
					}
					_ = json.Unmarshal(a.Params, &p)
					w.Header().Set("Content-Type", "text/event-stream")
					for i := range 3 {
						_, _ = fmt.Fprintf(w, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":%s,\"progress\":%d,\"message\":%q}}\n\n", p.Meta.ProgressToken, i, p.Arguments.Who)
						_ = http.NewResponseController(w).Flush()
					}
					_, _ = fmt.Fprintf(w, "data: {\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{\"content\":[{\"type\":\"text\",\"text\":%q}],\"resultType\":\"complete\"}}\n\n", a.ID, p.Arguments.Who)
					return true
				}
				g := serve(t, team(nil, m))
				var calls sync.WaitGroup
				for _, who := range []string{"Ada", "Bob"} {
					v := visit(t, g.MCP(), modern)
					v.sees("tools/list", "m_work")
					calls.Go(func() {
						r := v.request("tools/call", "m_work", `"arguments":{"who":"`+who+`"}`)
						r.body = strings.Replace(r.body, `"id":7`, `"id":101`, 1)
						if modern {
							r.body = strings.Replace(r.body, `"_meta":{`, `"_meta":{"progressToken":7,`, 1)
						} else {
							r.body = strings.Replace(r.body, `"arguments"`, `"_meta":{"progressToken":7},"arguments"`, 1)
						}
						got := heard(t, r.do(t))
						if len(got.Told) != 3 || !strings.Contains(got.Raw, `"id":101`) || !strings.Contains(got.Raw, `"text":"`+who+`"`) {
							t.Errorf("%s was told %q, and then %s", who, got.Told, got.Raw)
						}
						for i, told := range got.Told {
							if !strings.Contains(told, `"progressToken":7`) || !strings.Contains(told, fmt.Sprintf(`"progress":%d,"message":%q`, i, who)) {
								t.Errorf("%s was told %s", who, told)
							}
						}
					})
				}
				calls.Wait()
			})
		}
	}
}

// REPORT 25, REQ G-1: two clients are asked at once, under the same id. Each question is
// on its call's stream, each answer comes to the session that asked.
func TestVirtualQuestions(t *testing.T) {
	t.Parallel()
	m := startMember(t, "m", false, "ask")
	var mu sync.Mutex
	answered := map[string]chan json.RawMessage{}
	var both sync.WaitGroup
	both.Add(2)
	wait := func(session string) chan json.RawMessage {
		mu.Lock()
		defer mu.Unlock()
		if answered[session] == nil {
			answered[session] = make(chan json.RawMessage, 1)
		}
		return answered[session]
	}
	m.instead = func(w http.ResponseWriter, a asked) bool {
		if a.Method == "" && a.ID != nil {
			wait(a.Session) <- a.ID
			w.WriteHeader(http.StatusAccepted)
			return true
		}
		if a.Method != "tools/call" {
			return false
		}
		both.Done()
		both.Wait()
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, `data: {"jsonrpc":"2.0","id":"q","method":"elicitation/create","params":{"message":"of `+a.Session+`","requestedSchema":{"type":"object","properties":{}}}}`+"\n\n")
		_ = http.NewResponseController(w).Flush()
		id := <-wait(a.Session)
		_, _ = fmt.Fprintf(w, "data: {\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{\"content\":[{\"type\":\"text\",\"text\":%q}]}}\n\n", a.ID, a.Session+" "+string(id))
		return true
	}
	g := serve(t, team(nil, m))
	var calls sync.WaitGroup
	for range 2 {
		v := visit(t, g.MCP(), false)
		v.sees("tools/list", "m_ask")
		calls.Go(func() {
			resp := v.request("tools/call", "m_ask", `"arguments":{}`).open(t.Context(), t)
			events := readEvents(resp.Body)
			var question struct {
				ID     json.RawMessage
				Params struct{ Message string }
			}
			event, _ := events.next()
			data := event[strings.Index(event, "data: ")+len("data: "):]
			if err := json.Unmarshal([]byte(data), &question); err != nil {
				t.Errorf("no question: %q", event)
				return
			}
			got := message(v.url, `{"jsonrpc":"2.0","id":`+string(question.ID)+`,"result":{"action":"decline"}}`).
				with("Mcp-Session-Id", v.session, "Mcp-Protocol-Version", "2025-11-25").do(t)
			if got.Status != http.StatusAccepted {
				t.Errorf("the answer: status %d, %s", got.Status, got.Body)
			}
			event, _ = events.next()
			if want := strings.TrimPrefix(question.Params.Message, "of ") + ` \"q\"`; !strings.Contains(event, want) {
				t.Errorf("the answer to %q came as %s", question.Params.Message, event)
			}
		})
	}
	calls.Wait()
}

// REPORT 26, REPORT 27, PROTOCOL A4, PROTOCOL A10: what a virtual server says of itself is what its members can do,
// and no more; a level of log messages reaches the members that log.
func TestVirtualCapabilities(t *testing.T) {
	t.Parallel()
	for _, era := range []bool{false, true} {
		logs, plain := startMember(t, "logs", era, "one"), startMember(t, "plain", !era, "two")
		logs.caps = `{"tools":{},"logging":{}}`
		plain.on("logging/setLevel", func(asked) string { return `"error":{"code":-32601,"message":"no"}` })
		g := serve(t, team(nil, logs, plain))
		for _, modern := range eras {
			v := visit(t, g.MCP(), modern)
			var said struct {
				Result struct {
					Capabilities map[string]json.RawMessage
					Instructions string
				}
			}
			if err := json.Unmarshal([]byte(v.open.Body), &said); err != nil {
				t.Fatal(err)
			}
			var has []string
			for name := range said.Result.Capabilities {
				has = append(has, name)
			}
			slices.Sort(has)
			if diff := cmp.Diff([]string{"logging", "tools"}, has); diff != "" {
				t.Errorf("capabilities (-want +got):\n%s", diff)
			}
			if in := said.Result.Instructions; !strings.Contains(in, "Ask logs.") || !strings.Contains(in, "Ask plain.") {
				t.Errorf("instructions %q", in)
			}
			for _, method := range []string{"prompts/get", "resources/read", "completion/complete"} {
				if got := v.ask(method, "x", ""); got.Error == nil {
					t.Errorf("%s: %s", method, got.Raw)
				}
			}
			if modern {
				continue
			}
			if got := v.ask("logging/setLevel", "", `"level":"error"`); got.Error != nil {
				t.Errorf("setLevel: %s", got.Raw)
			}
			if got := v.ran("logs_one") + ", " + v.ran("plain_two"); got != "logs ran one, plain ran two" {
				t.Error(got)
			}
			if set := logs.got("logging/setLevel"); !era && (len(set) == 0 || set[0].param("level") != "error") {
				t.Errorf("the member that logs heard %v", set)
			}
		}
	}
}
