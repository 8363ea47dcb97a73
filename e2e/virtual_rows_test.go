package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// This file goes through what the protocol asks of a server that is made of several, where no other test does.

// PROTOCOL A3: prompts have prefixes as tools have, and are asked for by their member's own name, in header and message.
// What a member writes into questions of its own stays as it is.
func TestVirtualPrompts(t *testing.T) {
	t.Parallel()
	a, b := startMember(t, "a", true), startMember(t, "b", false, "ask")
	for _, m := range []*member{a, b} {
		m.caps = allCapabilities
		m.have("prompts/list", `{"name":"tell"}`)
	}
	const question = `"params":{"messages":[],"maxTokens":1,"tools":[{"name":"ask","inputSchema":{"type":"object"}}],"toolChoice":{"mode":"auto"}}`
	b.instead = func(w http.ResponseWriter, r asked) bool {
		if r.Method == "tools/call" {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = fmt.Fprintf(w, "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"sampling/createMessage\",%s}\n\ndata: {\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{\"content\":[]}}\n\n", question, r.ID)
		}
		return r.Method == "tools/call"
	}
	g := serve(t, team(nil, a, b))
	inBothEras(t, func(t *testing.T, modern bool) {
		v := visit(t, g.MCP(), modern)
		v.sees("prompts/list", "a_tell", "b_tell")
		for _, m := range []*member{a, b} {
			if got := v.ask("prompts/get", m.Name+"_tell", ""); !strings.Contains(got.Raw, m.Name+" gave tell") {
				t.Errorf("of %s: %s", m.Name, got.Raw)
			}
		}
		if got := v.ask("prompts/get", "tell", ""); got.Error == nil || got.Error.Code != -32602 {
			t.Errorf("a prompt of nobody: %s", got.Raw)
		}
		if modern {
			return
		}
		if got := v.ask("tools/call", "b_ask", `"arguments":{}`); len(got.Told) != 1 || !strings.Contains(got.Told[0], question) {
			t.Errorf("the client was asked %q", got.Told)
		}
	})
	if got := a.got("prompts/get"); len(got) == 0 || got[0].Header.Get("Mcp-Name") != "tell" {
		t.Errorf("the member was asked %v", got)
	}
}

// PROTOCOL A5, PROTOCOL A6: a URI leads to the member that lists it, and else to the template that says most of it. What
// several members have is named apart in results, too.
func TestVirtualTemplates(t *testing.T) {
	t.Parallel()
	a, b := startMember(t, "a", true), startMember(t, "b", false, "show")
	for _, m := range []*member{a, b} {
		m.caps = allCapabilities
	}
	a.have("resources/list", `{"uri":"docs://guide/7","name":"seven"}`, `{"uri":"both://x","name":"x"}`)
	a.have("resources/templates/list", `{"uriTemplate":"docs://{+rest}","name":"any"}`)
	b.have("resources/list", `{"uri":"both://x","name":"x"}`)
	b.have("resources/templates/list", `{"uriTemplate":"docs://guide/{id}","name":"guide"}`)
	b.on("tools/call", func(asked) string {
		return `"result":{"content":[{"type":"resource_link","uri":"both://x","name":"x"},{"type":"resource","resource":{"uri":"both://x","text":"t"}}]}`
	})
	g := serve(t, team(nil, a, b))
	inBothEras(t, func(t *testing.T, modern bool) {
		v := visit(t, g.MCP(), modern)
		for uri, want := range map[string]string{
			"docs://guide/7": "a read docs://guide/7", "docs://guide/8": "b read docs://guide/8", "docs://other/8": "a read docs://other/8", "sallyport+b:both://x": "b read both://x",
		} {
			if got := v.ask("resources/read", uri, ""); !strings.Contains(got.Raw, `"text":"`+want+`"`) || !strings.Contains(got.Raw, `"uri":"`+uri+`"`) {
				t.Errorf("%s: %s", uri, got.Raw)
			}
		}
		if got := v.ask("resources/read", "docs:/nothing", ""); got.Error == nil || got.Error.Code != -32602 || !strings.Contains(got.Raw, "docs:/nothing") {
			t.Errorf("a URI of nobody: %s", got.Raw)
		}
		got := v.ask("tools/call", "b_show", `"arguments":{}`)
		if n := strings.Count(got.Raw, `"uri":"sallyport+b:both://x"`); n != 2 {
			t.Errorf("the result names what two members have %d times as clients know it: %s", n, got.Raw)
		}
	})
}

// PROTOCOL A10, PROTOCOL A12, PROTOCOL A16: what a virtual server says of itself is its own: its revisions, and what it
// passes on; a list of a declared kind is there though it is empty, and an unknown method is none.
func TestVirtualSpeaksForItself(t *testing.T) {
	t.Parallel()
	a, b := startMember(t, "a", true), startMember(t, "b", false)
	a.caps = `{"tools":{},"extensions":{"io.modelcontextprotocol/tasks":{}},"experimental":{"x":{}}}`
	b.caps = `{"tools":{"listChanged":false},"tasks":{"list":{}}}`
	g := serve(t, team(nil, a, b))
	inBothEras(t, func(t *testing.T, modern bool) {
		v := visit(t, g.MCP(), modern)
		var said struct {
			Result struct {
				ProtocolVersion   string
				SupportedVersions []string
				Capabilities      map[string]json.RawMessage
			}
		}
		if err := json.Unmarshal([]byte(v.open.Body), &said); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{"tools": `{"listChanged":true}`}
		if modern {
			want["extensions"] = `{"io.modelcontextprotocol/tasks":{}}`
		}
		got := map[string]string{}
		for name, value := range said.Result.Capabilities {
			got[name] = string(value)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("capabilities (-want +got):\n%s", diff)
		}
		if modern && !slices.Equal(said.Result.SupportedVersions, []string{"2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"}) {
			t.Errorf("revisions %q", said.Result.SupportedVersions)
		}
		if !modern {
			r := initialization(v.url)
			r.body = strings.Replace(r.body, "2025-11-25", "2025-06-18", 1)
			if got := r.do(t); !strings.Contains(got.Body, `"protocolVersion":"2025-06-18"`) {
				t.Errorf("initialize: %s", got.Body)
			}
		}
		if got := v.ask("tools/list", "", ""); string(got.Result["tools"]) != "[]" {
			t.Errorf("the empty list: %s", got.Raw)
		}
		for _, method := range []string{"tasks/list", "no/such"} { // tasks/list was one in 2025-11-25
			got := v.ask(method, "", "")
			if got.Error == nil || got.Error.Code != -32601 || got.Status != map[bool]int{true: http.StatusNotFound, false: http.StatusOK}[modern] {
				t.Errorf("%s: status %d, %s", method, got.Status, got.Raw)
			}
		}
	})
}

// PROTOCOL A11: a member is told what the client can do.
func TestVirtualClientsCapabilities(t *testing.T) {
	t.Parallel()
	m := startMember(t, "m", true, "one")
	g := serve(t, team(nil, m))
	v := visit(t, g.MCP(), true)
	v.sees("tools/list", "m_one")
	for given, want := range map[string]string{
		`{}`: `{}`,
		`{"elicitation":{"url":{}},"sampling":{"tools":{}},"roots":{}}`:          `{"elicitation":{"url":{}},"sampling":{"tools":{}},"roots":{}}`,
		`{"extensions":{"com.example/x":{"n":1.50}}}`:                            `{"extensions":{"com.example/x":{"n":1.50}}}`,
		`{"extensions":{"io.modelcontextprotocol/tasks":{},"com.example/x":{}}}`: `{"extensions":{"io.modelcontextprotocol/tasks":{},"com.example/x":{}}}`,
	} {
		r := v.request("tools/call", "m_one", `"arguments":{}`)
		r.body = strings.Replace(r.body, `"io.modelcontextprotocol/clientCapabilities":{}`, `"io.modelcontextprotocol/clientCapabilities":`+given, 1)
		if got := heard(t, r.do(t)); got.Error != nil {
			t.Errorf("%s: %s", given, got.Raw)
		}
		calls := m.got("tools/call")
		if got := string(calls[len(calls)-1].Params); !strings.Contains(got, `"io.modelcontextprotocol/clientCapabilities":`+want+`}`) {
			t.Errorf("%s came as %s", given, got)
		}
	}
}

// PROTOCOL A13: in a session at a member no id is used twice, whichever ids the client uses.
func TestVirtualIDs(t *testing.T) {
	t.Parallel()
	m := startMember(t, "m", false, "one")
	m.caps = allCapabilities
	g := serve(t, team(nil, m))
	v := visit(t, g.MCP(), false)
	v.sees("tools/list", "m_one")
	for id := range 4 {
		if id == 2 {
			v.ask("logging/setLevel", "", `"level":"error"`)
			v.ask("logging/setLevel", "", `"level":"info"`)
		}
		r := v.request("tools/call", "m_one", `"arguments":{}`)
		r.body = strings.Replace(r.body, `"id":7`, fmt.Sprintf(`"id":%d`, id), 1)
		if got := heard(t, r.do(t)); !strings.Contains(got.Raw, fmt.Sprintf(`"id":%d`, id)) || got.Error != nil {
			t.Errorf("call %d: %s", id, got.Raw)
		}
	}
	calls := m.got("tools/call")
	ids := map[string]string{}
	for _, r := range m.got(http.MethodPost) {
		if first, twice := ids[string(r.ID)]; r.ID != nil && r.Session == calls[0].Session {
			if twice {
				t.Errorf("%s and %s have the id %s", first, r.Method, r.ID)
			}
			ids[string(r.ID)] = r.Method
		}
	}
	if len(ids) != 6 {
		t.Errorf("in the session there were %v", ids)
	}
}

// PROTOCOL A14: a call that is cancelled is cancelled at its member, and nobody else hears of it.
func TestVirtualCancellation(t *testing.T) {
	t.Parallel()
	inBothEras(t, func(t *testing.T, modern bool) {
		a, b := startMember(t, "a", false, "hang"), startMember(t, "b", false, "two")
		ended := make(chan struct{})
		t.Cleanup(func() { close(ended) })
		a.on("tools/call", func(r asked) string { <-ended; return a.usual(r) })
		g := serve(t, team(nil, a, b))
		v := visit(t, g.MCP(), modern)
		v.sees("tools/list", "a_hang", "b_two")
		if got := v.ran("b_two"); got != "b ran two" {
			t.Fatal(got)
		}
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		go func() {
			if resp, err := v.request("tools/call", "a_hang", `"arguments":{}`).start(ctx); err == nil {
				_ = resp.Body.Close()
			}
		}()
		testkit.Eventually(t, "the member is called", func() bool { return len(a.got("tools/call")) == 1 })
		if modern {
			leave()
		} else if got := v.request("notifications/cancelled", "", `"requestId":7`).do(t); got.Status != http.StatusAccepted {
			t.Errorf("status %d, %s", got.Status, got.Body)
		}
		testkit.Eventually(t, "the member hears that nobody waits", func() bool { return len(a.got("notifications/cancelled")) == 1 })
		var p struct{ RequestID json.RawMessage }
		if err := json.Unmarshal(a.got("notifications/cancelled")[0].Params, &p); err != nil || string(p.RequestID) != string(a.got("tools/call")[0].ID) {
			t.Errorf("it hears of %s, and was called by %s", p.RequestID, a.got("tools/call")[0].ID)
		}
		if got := v.ran("b_two"); got != "b ran two" || len(b.got("notifications/cancelled")) > 0 {
			t.Errorf("%s; another member heard %v", got, b.got("notifications/cancelled"))
		}
	})
}

// PROTOCOL A15: who may not have a prompt gets no completions for it.
func TestVirtualCompletionsArePolicys(t *testing.T) {
	t.Parallel()
	a, b := startMember(t, "a", true), startMember(t, "b", false)
	for _, m := range []*member{a, b} {
		m.caps = allCapabilities
		m.have("prompts/list", `{"name":"open"}`, `{"name":"secret"}`)
	}
	g := serve(t, team([]string{`authzConfig: {type: inline, inline: {policies: ['permit(principal, action, resource);', 'forbid(principal, action, resource == Prompt::"secret");']}}`}, a, b))
	inBothEras(t, func(t *testing.T, modern bool) {
		v := visit(t, g.MCP(), modern)
		v.sees("prompts/list", "a_open", "b_open")
		for _, m := range []*member{a, b} {
			for prompt, allowed := range map[string]bool{"open": true, "secret": false} {
				got := v.ask("completion/complete", "", `"ref":{"type":"ref/prompt","name":"`+m.Name+"_"+prompt+`"},"argument":{"name":"x","value":"y"}`)
				if allowed != (got.Error == nil) {
					t.Errorf("%s of %s: %s", prompt, m.Name, got.Raw)
				}
			}
			for _, r := range m.got("completion/complete") {
				if strings.Contains(string(r.Params), "secret") {
					t.Errorf("%s was asked %s", m.Name, r.Params)
				}
			}
		}
	})
}

// PROTOCOL A17: a member's requestState comes back to it as it was, with the answers, and to no other member.
func TestVirtualRequestState(t *testing.T) {
	t.Parallel()
	a, b := startMember(t, "a", true, "ask"), startMember(t, "b", true, "ask")
	for _, m := range []*member{a, b} {
		m.on("tools/call", func(r asked) string {
			if r.param("requestState") != "" {
				return m.usual(r)
			}
			return `"result":{"resultType":"input_required","requestState":"of ` + m.Name + ` \u00e9\"","inputRequests":{"k":{"method":"roots/list"}}}`
		})
	}
	g := serve(t, team(nil, a, b))
	v := visit(t, g.MCP(), true)
	able := func(r request) request {
		r.body = strings.Replace(r.body, `clientCapabilities":{}`, `clientCapabilities":{"roots":{}}`, 1)
		return r
	}
	got := heard(t, able(v.request("tools/call", "a_ask", `"arguments":{}`)).do(t))
	if string(got.Result["resultType"]) != `"input_required"` || !strings.Contains(string(got.Result["inputRequests"]), `"k":{"method":"roots/list"}`) {
		t.Fatalf("%s", got.Raw)
	}
	got = heard(t, able(v.request("tools/call", "a_ask", `"arguments":{},"inputResponses":{"k":{"roots":[]}},"requestState":`+string(got.Result["requestState"]))).do(t))
	if !strings.Contains(got.Raw, "a ran ask") {
		t.Errorf("%s", got.Raw)
	}
	calls := a.got("tools/call")
	if last := calls[len(calls)-1]; len(calls) != 2 || last.param("requestState") != `of a é"` || !strings.Contains(string(last.Params), `"inputResponses":{"k":{"roots":[]}}`) {
		t.Errorf("the member was called with %s", last.Params)
	}
	if n := len(b.got("tools/call")); n > 0 {
		t.Errorf("the other member was called %d times", n)
	}
}

// PROTOCOL A16: a task's id says whose it is: what is asked of it goes there, in message and header, and comes back under the
// same id. A member of the other era is not told of tasks, and an id of the client's own making is none.
func TestVirtualTasks(t *testing.T) {
	t.Parallel()
	a, b := startMember(t, "a", true, "make"), startMember(t, "b", true, "make")
	old := startMember(t, "old", false, "make")
	for _, m := range []*member{a, b} {
		m.caps = `{"tools":{},"extensions":{"io.modelcontextprotocol/tasks":{}}}`
		task := `"taskId":"7","status":"working","createdAt":"2026-11-01T00:00:00Z","ttlMs":60000,"pollIntervalMs":500`
		m.on("tools/call", func(r asked) string {
			if !strings.Contains(string(r.Params), "io.modelcontextprotocol/tasks") {
				return m.usual(r)
			}
			return `"result":{"resultType":"task",` + task + `}`
		})
		m.on("tasks/get", func(asked) string {
			return `"result":{"resultType":"complete","taskId":"7","status":"completed","ttlMs":60000,"result":{"content":[{"type":"resource_link","uri":"both://x","name":"of ` + m.Name + `"}]}}`
		})
		m.on("tasks/cancel", func(asked) string { return `"result":{"resultType":"complete"}` })
		m.have("resources/list", `{"uri":"both://x","name":"x"}`)
		m.caps = strings.Replace(m.caps, `"tools":{}`, `"tools":{},"resources":{}`, 1)
	}
	g := serve(t, team([]string{"config: {compositeTools: [{name: whole, description: Makes., steps: [{id: s, tool: a.make}]}]}"}, a, b, old))
	v := visit(t, g.MCP(), true)
	v.sees("resources/list", "sallyport+a:both://x", "sallyport+b:both://x")
	able := func(r request) said {
		r.body = strings.Replace(r.body, `clientCapabilities":{}`, `clientCapabilities":{"extensions":{"io.modelcontextprotocol/tasks":{}}}`, 1)
		return heard(t, r.do(t))
	}
	about := func(method, id string) said {
		return able(v.request(method, "", `"taskId":`+id).with("Mcp-Name", strings.Trim(id, `"`)))
	}
	ids := map[string]bool{}
	for _, m := range []*member{a, b} {
		made := able(v.request("tools/call", m.Name+"_make", `"arguments":{}`))
		id := string(made.Result["taskId"])
		if string(made.Result["resultType"]) != `"task"` || id == `"7"` || ids[id] || string(made.Result["ttlMs"]) != "60000" {
			t.Fatalf("%s", made.Raw)
		}
		ids[id] = true
		got := about("tasks/get", id)
		if string(got.Result["taskId"]) != id || !strings.Contains(got.Raw, `"name":"of `+m.Name+`"`) || !strings.Contains(got.Raw, `"uri":"sallyport+`+m.Name+`:both://x"`) {
			t.Errorf("%s: %s", id, got.Raw)
		}
		if came := m.got("tasks/get"); len(came) != 1 || came[0].param("taskId") != "7" || came[0].Header.Get("Mcp-Name") != "7" {
			t.Errorf("%s was asked %v", m.Name, came)
		}
		if got := about("tasks/cancel", id); got.Error != nil || len(m.got("tasks/cancel")) != 1 {
			t.Errorf("cancel: %s", got.Raw)
		}
		changed := id[:len(id)-2] + map[bool]string{true: `A"`, false: `B"`}[id[len(id)-2] == 'B']
		for _, wrong := range []string{`"7"`, changed} {
			if got := about("tasks/get", wrong); got.Error == nil || got.Error.Code != -32602 {
				t.Errorf("%s: %s", wrong, got.Raw)
			}
		}
	}
	if got := able(v.request("tools/call", "old_make", `"arguments":{}`)); !strings.Contains(got.Raw, "old ran make") {
		t.Errorf("a member without tasks: %s", got.Raw)
	}
	if got := able(v.request("tools/call", "whole", `"arguments":{}`)); !strings.Contains(got.Raw, "a ran make") {
		t.Errorf("a step is done when it is answered: %s", got.Raw)
	}
	for _, r := range old.got("initialize") {
		if strings.Contains(string(r.Params), "tasks") {
			t.Errorf("a member of the other era was told %s", r.Params)
		}
	}
}

// PROTOCOL A19, PROTOCOL A21: who may use something else now hears of it, and of no change that policy hides.
func TestVirtualPolicyChanges(t *testing.T) {
	t.Parallel()
	m := startMember(t, "m", true, "open", "other")
	only := func(tools ...string) string {
		policies := []string{`'permit(principal, action == Action::"list_tools", resource);'`}
		for _, tool := range tools {
			policies = append(policies, `'permit(principal, action, resource == Tool::"`+tool+`");'`)
		}
		return team([]string{`authzConfig: {type: inline, inline: {policies: [` + strings.Join(policies, ", ") + `]}}`}, m)
	}
	folder := manifests(t, only("open", "late"))
	g := testkit.Start(t, "serve", "-f", folder)
	guests := []*guest{visit(t, g.MCP(), false), visit(t, g.MCP(), true)}
	heard := make([]<-chan asked, len(guests))
	for i, v := range guests {
		v.sees("tools/list", "m_open")
		if list := v.ask("tools/list", "", ""); v.modern && (string(list.Result["cacheScope"]) != `"private"` || string(list.Result["ttlMs"]) != "0") {
			t.Errorf("the list is kept: %s", list.Raw)
		}
		heard[i] = v.listens()
	}
	m.heard(t, 1)
	lists := len(m.got("tools/list"))
	m.have("tools/list", toolItem("open"), toolItem("other"), toolItem("hidden"))
	m.tell("notifications/tools/list_changed", "")
	testkit.Eventually(t, "the list is fetched again", func() bool { return len(m.got("tools/list")) > lists })
	m.have("tools/list", toolItem("open"), toolItem("other"), toolItem("hidden"), toolItem("late"))
	m.tell("notifications/tools/list_changed", "")
	for i, v := range guests {
		if n := testkit.Receive(t, "the change that can be seen", heard[i]); n.Method != "notifications/tools/list_changed" {
			t.Errorf("heard %s", n.Method)
		}
		v.sees("tools/list", "m_late", "m_open")
		select {
		case n := <-heard[i]:
			t.Errorf("client modern %v: heard %s of what it may not see", v.modern, n.Method)
		default:
		}
	}
	writeManifests(t, folder, only("open", "late", "other"))
	for i, v := range guests {
		v.hearsOfTools(&heard[i], "the client hears that it may use something else")
		v.sees("tools/list", "m_late", "m_open", "m_other")
	}
}

// PROTOCOL A23: arguments that a member wants in headers come there, from clients of both eras, and a tool that wants what
// cannot be is left out alone.
func TestVirtualParamHeaders(t *testing.T) {
	t.Parallel()
	m := startMember(t, "m", true)
	const good = `{"name":"good","inputSchema":{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"},"n":{"type":"integer"}}}}`
	m.have("tools/list", good, `{"name":"bad","inputSchema":{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"a b"}}}}`,
		`{"name":"worse","inputSchema":{"type":"object","properties":{"list":{"type":"array","items":{"type":"string","x-mcp-header":"Item"}}}}}`)
	m.set(func() {
		m.instead = func(w http.ResponseWriter, r asked) bool { // as a server that checks
			wrong := r.Method == "tools/call" && r.Header.Get("Mcp-Param-Region") != "eu"
			if wrong {
				respond(w, http.StatusBadRequest, r, `"error":{"code":-32020,"message":"Mcp-Param-Region is `+r.Header.Get("Mcp-Param-Region")+`"}`)
			}
			return wrong
		}
	})
	g := serve(t, team(nil, m))
	inBothEras(t, func(t *testing.T, modern bool) {
		v := visit(t, g.MCP(), modern)
		v.sees("tools/list", "m_good")
		if diff := cmp.Diff(strings.Replace(good, `"good"`, `"m_good"`, 1), string(v.items("tools/list")[0])); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		r := v.request("tools/call", "m_good", `"arguments":{"region":"eu","n":1}`)
		if modern {
			if got := heard(t, r.with("Mcp-Param-Region", "us").do(t)); got.Error == nil || got.Error.Code != -32020 {
				t.Errorf("another value in the header: %s", got.Raw)
			}
			r = r.with("Mcp-Param-Region", "eu")
		}
		if got := heard(t, r.do(t)); !strings.Contains(got.Raw, "m ran good") {
			t.Errorf("%s", got.Raw)
		}
	})
	wantLines(t, g, 1, "WARN", "items of a member's list are left out", "x-mcp-header")
}
