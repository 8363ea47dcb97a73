package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// This file is about members whose lists are wrong, large, or change.

// REPORT 10, REPORT 11, REPORT 12, REQ F-3: what is wrong with a member costs its own
// items, and no more of them than it must.
func TestVirtualBadLists(t *testing.T) {
	t.Parallel()
	lots := make([]string, 100_000)
	for i := range lots {
		lots[i] = toolItem(fmt.Sprintf("t%05d", i))
	}
	// paged answers with pages: the cursor of each is its number.
	paged := func(pages ...string) func(asked) string {
		return func(a asked) string {
			n := 0
			_, _ = fmt.Sscanf(a.param("cursor"), "p%d", &n)
			return `"result":{` + pages[min(n, len(pages)-1)] + `,"resultType":"complete"}`
		}
	}
	tools := func(names string, more string) string {
		var items []string
		for _, name := range strings.Fields(names) {
			items = append(items, toolItem(name))
		}
		return `"tools":[` + strings.Join(items, ",") + `]` + more
	}
	for name, tt := range map[string]struct {
		caps   string
		answer map[string]func(asked) string
		want   string // its own tools that are listed
		warns  string
	}{
		"claims more than it has": {
			caps: allCapabilities, want: "one",
			answer: map[string]func(asked) string{
				"resources/list":           func(asked) string { return `"error":{"code":-32601,"message":"no"}` },
				"resources/templates/list": func(asked) string { return `"error":{"code":-32601,"message":"no"}` },
				"prompts/list":             func(asked) string { return `"error":{"code":-32601,"message":"no"}` },
				"tools/list":               paged(tools("one", "")),
			},
		},
		"items that are none": {
			answer: map[string]func(asked) string{"tools/list": paged(`"tools":[{"name":"no-schema"},{"name":"null","inputSchema":null},` +
				`{"name":"string","inputSchema":{"type":"string"}},{"inputSchema":{"type":"object"}},{"name":7,"inputSchema":{"type":"object"}},` +
				`{"name":"","inputSchema":{"type":"object"}},"text",null,` + toolItem("good") + `]`)},
			want: "good", warns: "left out",
		},
		"four pages":            {answer: map[string]func(asked) string{"tools/list": paged(tools("a", `,"nextCursor":"p1"`), tools("b", `,"nextCursor":"p2"`), tools("", `,"nextCursor":"p3"`), tools("c", `,"nextCursor":null`))}, want: "a b c"},
		"a cursor that repeats": {answer: map[string]func(asked) string{"tools/list": paged(tools("a", `,"nextCursor":"p1"`), tools("b", `,"nextCursor":"p1"`))}, want: "a b"},
		"pages for ever": {answer: map[string]func(asked) string{"tools/list": func(a asked) string {
			return `"result":{` + tools("a", `,"nextCursor":"`+a.param("cursor")+`x"`) + `,"resultType":"complete"}`
		}}, warns: "cannot be had"},
		"a list that changes between pages": {answer: map[string]func(asked) string{"tools/list": paged(tools("a b", `,"nextCursor":"p1"`), tools("b c", ""))}, want: "a b c"},
		"not a list":                        {answer: map[string]func(asked) string{"tools/list": func(asked) string { return `"result":{"tools":{"a":1}}` }}, warns: "cannot be had"},
		"another answer":                    {answer: map[string]func(asked) string{"tools/list": func(asked) string { return `"result":{"prompts":[]}` }}, warns: ""},
		"no JSON":                           {answer: map[string]func(asked) string{"tools/list": func(asked) string { return `"result":{"tools":[` }}, warns: "cannot be had"},
		"100,000 tools": {answer: map[string]func(asked) string{"tools/list": func(asked) string {
			return `"result":{"tools":[` + strings.Join(lots, ",") + `],"resultType":"complete"}`
		}}, want: "*"},
		"fails at each list": {answer: map[string]func(asked) string{"tools/list": func(asked) string { return `"error":{"code":-32603,"message":"boom"}` }}, warns: "cannot be had"},
	} {
		for _, era := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, modern %v", name, era), func(t *testing.T) {
				t.Parallel()
				bad, good := startMember(t, "bad", era), startMember(t, "good", !era, "one")
				if tt.caps != "" {
					bad.caps = tt.caps
				}
				for method, answer := range tt.answer {
					bad.on(method, answer)
				}
				g := serve(t, team(nil, bad, good))
				for _, modern := range eras {
					v := visit(t, g.MCP(), modern)
					if tt.want == "*" {
						if all := v.names("tools/list"); all[len(all)-1] != "good_one" {
							t.Errorf("the other member's tool is not listed, of %d", len(all))
						}
					} else {
						want := []string{}
						for _, tool := range strings.Fields(tt.want) {
							want = append(want, "bad_"+tool)
						}
						v.sees("tools/list", append(want, "good_one")...)
					}
					if got := v.ran("good_one"); got != "good ran one" {
						t.Error(got)
					}
					if tt.caps != "" {
						v.sees("resources/list")
						v.sees("prompts/list")
					}
				}
				if tt.warns != "" {
					wantLines(t, g, 1, "WARN", tt.warns, "member=bad")
				}
			})
		}
	}
}

// REPORT 14: a member that has no listening stream is not asked for one again and again,
// and nobody hears of changes that there are not.
func TestVirtualQuietMember(t *testing.T) {
	t.Parallel()
	quiet, other := startMember(t, "quiet", false, "one"), startMember(t, "other", false, "two")
	quiet.noStream = true
	g := serve(t, team(nil, quiet, other))
	older, newer := visit(t, g.MCP(), false), visit(t, g.MCP(), true)
	heard := []<-chan asked{older.listens(), newer.listens()}
	for _, v := range []*guest{older, newer} {
		v.sees("tools/list", "other_two", "quiet_one")
		if got := v.ran("quiet_one"); got != "quiet ran one" {
			t.Error(got)
		}
	}
	other.heard(t, 1)
	gets, lists := len(quiet.got("GET")), len(quiet.got("tools/list"))
	for _, name := range []string{"three", "four"} { // so that time passes, in which something happens
		other.have("tools/list", toolItem(name))
		other.tell("notifications/tools/list_changed", "")
		for _, h := range heard {
			if a := testkit.Receive(t, "the change of the other member", h); a.Method != "notifications/tools/list_changed" {
				t.Errorf("heard %s", a.Method)
			}
		}
		for _, v := range []*guest{older, newer} {
			if got := v.names("tools/list"); got[0] != "other_"+name {
				t.Errorf("when the client is told, the list is %q", got)
			}
		}
	}
	other.tell("notifications/tools/list_changed", "") // says so, and has changed nothing
	other.have("tools/list", toolItem("five"))
	other.tell("notifications/tools/list_changed", "")
	for i, h := range heard {
		testkit.Receive(t, "the last change", h)
		select {
		case a := <-h:
			t.Errorf("client %d heard %s, without a change of what it sees", i, a.Method)
		default:
		}
	}
	if n := len(quiet.got("GET")) - gets; n > 1 {
		t.Errorf("the member without a stream was asked for it %d more times", n)
	}
	if n := len(quiet.got("tools/list")) - lists; n > 0 {
		t.Errorf("its lists were fetched %d more times", n)
	}
}

// REPORT 15, REQ F-3: what a member says of changes reaches clients of both eras, and
// the list is fresh when they hear it. A change before a client listens is not lost.
func TestVirtualChanges(t *testing.T) {
	t.Parallel()
	items := map[string]func(string) string{
		"tools/list": toolItem, "prompts/list": func(n string) string { return `{"name":"` + n + `"}` },
		"resources/list": func(n string) string { return `{"uri":"docs://` + n + `","name":"x"}` },
	}
	notes := map[string]string{
		"tools/list": "notifications/tools/list_changed", "prompts/list": "notifications/prompts/list_changed", "resources/list": "notifications/resources/list_changed",
	}
	for _, era := range []bool{false, true} {
		for name, modern := range eras {
			t.Run(fmt.Sprintf("%s, member modern %v", name, era), func(t *testing.T) {
				t.Parallel()
				m := startMember(t, "m", era)
				m.caps = allCapabilities
				for method, item := range items {
					m.have(method, item("a"))
				}
				g := serve(t, team(aggregation("conflictResolution: priority"), m))
				v := visit(t, g.MCP(), modern)
				want := func(method, n string) string {
					return strings.TrimPrefix(map[bool]string{true: "docs://"}[method == "resources/list"]+n, "")
				}
				for method := range items {
					v.sees(method, want(method, "a"))
				}
				m.heard(t, 1)
				m.have("tools/list", items["tools/list"]("b")) // the client does not listen yet
				m.tell(notes["tools/list"], "")
				heard := v.listens()
				if a := testkit.Receive(t, "the change before", heard); a.Method != notes["tools/list"] {
					t.Errorf("heard %s", a.Method)
				}
				v.sees("tools/list", "b")
				for method, item := range items {
					m.have(method, item("c"))
					m.tell(notes[method], "")
					if a := testkit.Receive(t, "a change", heard); a.Method != notes[method] {
						t.Errorf("heard %s after a change of %s", a.Method, method)
					}
					if got := v.names(method); len(got) != 1 || got[0] != want(method, "c") {
						t.Errorf("when the client is told, %s is %q", method, got)
					}
				}
			})
		}
	}
}

// REPORT 15: changes that come while a list is on its way are not lost with it, and a
// member that is slow to let the gateway listen is asked once more when it does.
func TestVirtualChangesInBetween(t *testing.T) {
	t.Parallel()
	m := startMember(t, "m", true, "a")
	listing, goOn := make(chan struct{}, 10), make(chan struct{})
	var slow atomic.Bool
	m.on("tools/list", func(a asked) string {
		answer := m.usual(a)
		if slow.Swap(false) {
			listing <- struct{}{}
			<-goOn
		}
		return answer
	})
	letListen := make(chan struct{})
	m.instead = func(_ http.ResponseWriter, a asked) bool {
		if a.Method == "subscriptions/listen" {
			<-letListen
		}
		return false
	}
	g := serve(t, team(aggregation("conflictResolution: priority"), m))
	v := visit(t, g.MCP(), true)
	v.sees("tools/list", "a")
	heard := v.listens()
	m.have("tools/list", toolItem("b")) // nobody listens at the member
	close(letListen)
	testkit.Receive(t, "what changed before the gateway listened", heard)
	v.sees("tools/list", "b")
	m.heard(t, 1)

	slow.Store(true)
	m.have("tools/list", toolItem("c"))
	m.tell("notifications/tools/list_changed", "")
	testkit.Receive(t, "the list is asked for", listing)
	m.have("tools/list", toolItem("d"))
	m.tell("notifications/tools/list_changed", "")
	close(goOn)
	v.sees("tools/list", "d")
}

// REPORT 16, REPORT 18, REQ F-3: members join and leave while clients are there, and come
// back after they were away.
func TestVirtualMembersComeAndGo(t *testing.T) {
	t.Parallel()
	a, b := startMember(t, "a", true, "one"), startMember(t, "b", false, "two")
	folder := manifests(t, team(nil, a))
	g := testkit.Start(t, "serve", "-f", folder)
	older, newer := visit(t, g.MCP(), false), visit(t, g.MCP(), true)
	heard := []<-chan asked{older.listens(), newer.listens()}
	guests := []*guest{older, newer}
	for _, v := range guests {
		v.sees("tools/list", "a_one")
	}
	writeManifests(t, folder, team(nil, a, b))
	for i, v := range guests {
		v.hearsOfTools(&heard[i], "the client hears of it")
		v.sees("tools/list", "a_one", "b_two")
		if got := v.ran("b_two"); got != "b ran two" {
			t.Error(got)
		}
	}
	writeManifests(t, folder, team(nil, b))
	for _, v := range guests {
		v.sees("tools/list", "b_two")
		if got := v.ask("tools/call", "a_one", `"arguments":{}`); got.Error == nil || got.Error.Code != -32602 {
			t.Errorf("a tool of a member that has left: %s", got.Raw)
		}
	}
}

// REQ F-3, PROTOCOL A8: a member that hangs, and one that is down, cost nobody else's calls and
// lists; partialFailureMode fail refuses lists that would miss something.
func TestVirtualMembersAway(t *testing.T) {
	t.Parallel()
	good, hangs := startMember(t, "good", true, "one"), startMember(t, "hangs", true, "never")
	ended := make(chan struct{})
	t.Cleanup(func() { close(ended) })
	hangs.instead = func(http.ResponseWriter, asked) bool { <-ended; return true }
	down := &member{Name: "down", URL: "http://127.0.0.1:1/mcp"}
	g := serve(t, team([]string{"config: {operational: {timeouts: {perWorkload: {hangs: 2s}}}}"}, good, hangs, down))
	inBothEras(t, func(t *testing.T, modern bool) {
		v := visit(t, g.MCP(), modern)
		v.sees("tools/list", "good_one")
		began := time.Now()
		for range 20 {
			if got := v.ran("good_one"); got != "good ran one" {
				t.Fatal(got)
			}
		}
		t.Logf("20 calls took %s", time.Since(began))
		a := v.ask("tools/list", "", "")
		var meta map[string]map[string]string
		if err := json.Unmarshal(a.Result["_meta"], &meta); err != nil || meta["dev.sallyport/backends"]["down"] != "unavailable" || meta["dev.sallyport/backends"]["hangs"] == "" {
			t.Errorf("the list says of its members: %s (%v)", a.Raw, err)
		}
	})
	strict := serve(t, team([]string{"config: {operational: {failureHandling: {partialFailureMode: fail}}}"}, good, down))
	for _, modern := range eras {
		v := visit(t, strict.MCP(), modern)
		if a := v.ask("tools/list", "", ""); a.Error == nil || !strings.Contains(a.Error.Message, "down") {
			t.Errorf("a list that misses a member: %s", a.Raw)
		}
	}
}
