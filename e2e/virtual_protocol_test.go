package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// REQ F-3, PROTOCOL A7: a long list comes in pages, whose cursors are this server's own and good for one list; they go on where
// they were, whatever has joined or left since.
func TestVirtualPages(t *testing.T) {
	t.Parallel()
	var tools []string
	for i := range 1500 {
		tools = append(tools, toolItem(fmt.Sprintf("t%04d", i)))
	}
	m, other := startMember(t, "m", true), startMember(t, "other", false, "last")
	m.caps = allCapabilities
	m.have("tools/list", tools...)
	g := serve(t, team(nil, m, other))
	inBothEras(t, func(t *testing.T, modern bool) {
		v := visit(t, g.MCP(), modern)
		if all := v.names("tools/list"); len(all) != 1501 || !slices.IsSorted(all) {
			t.Errorf("%d tools in all", len(all))
		}
		first := v.ask("tools/list", "", "")
		cursor := string(first.Result["nextCursor"])
		if cursor == "" || strings.Contains(cursor, "t0999") {
			t.Fatalf("the cursor is %s", cursor)
		}
		for name, wrong := range map[string]struct{ method, cursor string }{
			"none":             {"tools/list", `"x"`},
			"empty":            {"tools/list", `""`},
			"of another list":  {"prompts/list", cursor},
			"changed a little": {"tools/list", cursor[:len(cursor)-2] + `_"`},
		} {
			if a := v.ask(wrong.method, "", `"cursor":`+wrong.cursor); a.Error == nil || a.Error.Code != -32602 {
				t.Errorf("a cursor, %s: %s", name, a.Raw)
			}
		}
	})
	v := visit(t, g.MCP(), true)
	cursor := string(v.ask("tools/list", "", "").Result["nextCursor"])
	m.heard(t, 1)
	m.have("tools/list", append(tools[:900:900], tools[1200:]...)...) // the item that the cursor names is gone
	m.tell("notifications/tools/list_changed", "")
	testkit.Eventually(t, "the list is the shorter one", func() bool { return len(v.names("tools/list")) == 1201 })
	var page []struct{ Name string }
	if err := json.Unmarshal(v.ask("tools/list", "", `"cursor":`+cursor).Result["tools"], &page); err != nil || len(page) != 301 || page[0].Name != "m_t1200" {
		t.Errorf("%d items go on (%v)", len(page), err)
	}
}

// REQ B-21, REQ D-7, REQ G-1, PROTOCOL A19, PROTOCOL A20, PROTOCOL A22: two people see different tools of one catalogue,
// may call those alone, and no list says that it is for everybody. Policies name the members' own tools.
func TestVirtualPeoplesViews(t *testing.T) {
	t.Parallel()
	idp := testkit.StartIdP(t)
	a, b := startMember(t, "a", true, "read", "write"), startMember(t, "b", false, "read")
	g := serve(t, idpObject(idp)+team([]string{ofIDP(docsAudience), `authzConfig: {type: inline, inline: {policies: [` +
		`'permit(principal == Client::"alice", action, resource);', ` +
		`'permit(principal == Client::"bob", action, resource == Tool::"read");']}}`}, a, b))
	as := func(t *testing.T, name string, modern bool) *guest {
		return visit(t, at(g, "team"), modern, bearer(idp.Token(t, testkit.TokenWish{Audience: docsAudience, Subject: name}))...)
	}
	inBothEras(t, func(t *testing.T, modern bool) {
		alice, bob := as(t, "alice", modern), as(t, "bob", modern)
		for range 2 {
			alice.sees("tools/list", "a_read", "a_write", "b_read")
			bob.sees("tools/list", "a_read", "b_read")
		}
		if got := alice.ran("a_write"); got != "a ran write" {
			t.Error(got)
		}
		for _, tool := range []string{"a_read", "b_read"} {
			if got := bob.ran(tool); !strings.HasSuffix(got, "ran read") {
				t.Error(got)
			}
		}
		if got := bob.ask("tools/call", "a_write", `"arguments":{}`); got.Error == nil {
			t.Errorf("what policy forbids: %s", got.Raw)
		}
		if list := bob.ask("tools/list", "", ""); modern && string(list.Result["cacheScope"]) != `"private"` {
			t.Errorf("the list of one person is for %s", list.Result["cacheScope"])
		}
	})
	for _, m := range []*member{a, b} {
		if n := len(m.got("tools/list")); n > 6 {
			t.Errorf("%s was asked for its tools %d times, by people that it cannot tell apart", m.Name, n)
		}
	}
}

// REQ F-2, PROTOCOL A3, PROTOCOL A15, PROTOCOL A18: completions go to the member whose prompt or template it is, under its own name; log messages say which
// member they are of; what nobody has is -32602.
func TestVirtualCompletionsAndLogs(t *testing.T) {
	t.Parallel()
	a, b := startMember(t, "a", true, "one"), startMember(t, "b", false, "two")
	for _, m := range []*member{a, b} {
		m.caps = allCapabilities
		m.have("prompts/list", `{"name":"ask","arguments":[{"name":"x"}]}`)
		m.have("resources/templates/list", `{"uriTemplate":"`+m.Name+`://{id}","name":"t"}`, `{"uriTemplate":"both://{id}","name":"t"}`)
	}
	b.set(func() {
		b.instead = func(w http.ResponseWriter, r asked) bool {
			if r.Method != "tools/call" {
				return false
			}
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = fmt.Fprintf(w, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{\"level\":\"error\",\"logger\":\"db\",\"data\":1.50}}\n\n"+
				"data: {\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{\"content\":[]}}\n\n", r.ID)
			return true
		}
	})
	g := serve(t, team(nil, a, b))
	inBothEras(t, func(t *testing.T, modern bool) {
		v := visit(t, g.MCP(), modern)
		for _, tt := range []struct{ ref, own, by string }{
			{`{"type":"ref/prompt","name":"a_ask"}`, `"name":"ask"`, "a"},
			{`{"type":"ref/prompt","name":"b_ask"}`, `"name":"ask"`, "b"},
			{`{"type":"ref/resource","uri":"a://{id}"}`, `"uri":"a://{id}"`, "a"},
			{`{"type":"ref/resource","uri":"sallyport+b:both://{id}"}`, `"uri":"both://{id}"`, "b"},
		} {
			got := v.ask("completion/complete", "", `"ref":`+tt.ref+`,"argument":{"name":"x","value":"y"}`)
			if !strings.Contains(got.Raw, `"values":["`+tt.by+`"]`) {
				t.Errorf("%s: %s", tt.ref, got.Raw)
			}
			came := map[string]*member{"a": a, "b": b}[tt.by].got("completion/complete")
			if !slices.ContainsFunc(came, func(r asked) bool { return strings.Contains(string(r.Params), tt.own) }) {
				t.Errorf("%s came to its member as %v", tt.ref, came)
			}
		}
		for _, ref := range []string{`{"type":"ref/prompt","name":"ask"}`, `{"type":"ref/resource","uri":"c://{id}"}`, `{"type":"ref/prompt"}`, `7`} {
			if got := v.ask("completion/complete", "", `"ref":`+ref+`,"argument":{"name":"x","value":"y"}`); got.Error == nil || got.Error.Code != -32602 {
				t.Errorf("%s: %s", ref, got.Raw)
			}
		}
		if modern {
			return // hears of it only at the level that it asks for
		}
		got := v.ask("tools/call", "b_two", `"arguments":{}`)
		if len(got.Told) != 1 || !strings.Contains(got.Told[0], `"logger":"b.db"`) || !strings.Contains(got.Told[0], `"data":1.50`) {
			t.Errorf("the client heard %q, and then %s", got.Told, got.Raw)
		}
	})
}
