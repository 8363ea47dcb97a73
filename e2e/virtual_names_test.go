package e2e_test

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// This file is about the names that clients of a virtual server see, and where they lead.

// aggregation is the line of a manifest.
func aggregation(fields string) []string { return []string{"config: {aggregation: {" + fields + "}}"} }

// inBothEras runs a test as a client of each era.
func inBothEras(t *testing.T, run func(t *testing.T, modern bool)) {
	t.Helper()
	t.Run("eras", func(t *testing.T) { // which returns when both are done
		for name, modern := range eras {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				run(t, modern)
			})
		}
	})
}

// REPORT 1, REQ F-2, PROTOCOL A2: a call goes where the list that it is from has it, never where its
// name seems to point.
func TestVirtualNamesAreNotParsed(t *testing.T) {
	t.Parallel()
	web, scraper := startMember(t, "web", true, "scraper-list", "both"), startMember(t, "web-scraper", false, "go")
	g := serve(t, team(aggregation(`conflictResolution: prefix, conflictResolutionConfig: {prefixFormat: "{workload}-"}`), web, scraper))
	inBothEras(t, func(t *testing.T, modern bool) {
		v := visit(t, g.MCP(), modern)
		v.sees("tools/list", "web-both", "web-scraper-list", "web-scraper-go")
		for public, want := range map[string]string{
			"web-scraper-list": "web ran scraper-list", "web-both": "web ran both", "web-scraper-go": "web-scraper ran go",
		} {
			if got := v.ran(public); got != want {
				t.Errorf("%s: %s, want %s", public, got, want)
			}
		}
		if a := v.ask("tools/call", "web-scraper-both", `"arguments":{}`); a.Error == nil || a.Error.Code != -32602 {
			t.Errorf("a name that no list has: %s", a.Raw)
		}
	})
}

// REPORT 2, PROTOCOL A1, PROTOCOL A2: names that clients refuse become legal ones, which are distinct and the same
// after a restart; the member is called by its own, in header and message.
func TestVirtualNamesAreLegal(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 129)
	own := []string{"docs.search:v2", "naïve tool", long + "a", long + "b"}
	m, other := startMember(t, "docs", true, own...), startMember(t, "other", false, "naïve tool")
	docs := team(nil, m, other)
	g := serve(t, docs)
	v := visit(t, g.MCP(), true)
	v.sees("tools/list", visit(t, serve(t, docs).MCP(), false).names("tools/list")...) // of another process
	names := v.names("tools/list")
	for _, name := range names {
		if !regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`).MatchString(name) {
			t.Errorf("strict clients do not take %q", name)
		}
	}
	if slices.Sort(names); len(slices.Compact(names)) != 5 {
		t.Fatalf("the names are %q", names)
	}
	inBothEras(t, func(t *testing.T, modern bool) {
		v := visit(t, g.MCP(), modern)
		var ran []string
		for _, name := range v.names("tools/list") {
			ran = append(ran, v.ran(name))
		}
		want := []string{"other ran naïve tool"}
		for _, name := range own {
			want = append(want, "docs ran "+name)
		}
		slices.Sort(ran)
		slices.Sort(want)
		if diff := cmp.Diff(want, ran); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	for _, a := range m.got("tools/call") {
		want := a.param("name")
		if want == "naïve tool" {
			want = "=?base64?bmHDr3ZlIHRvb2w=?="
		}
		if got := a.Header.Get("Mcp-Name"); got != want {
			t.Errorf("Mcp-Name is %q for %q", got, a.param("name"))
		}
	}
}

// REPORT 3, REPORT 4, REPORT 5, PROTOCOL A9: doubled names, priority, filters, and tools that are
// hidden. One table serves lists and calls.
func TestVirtualChoiceOfTools(t *testing.T) {
	t.Parallel()
	a, b := startMember(t, "a", true, "search", "alone", "search"), startMember(t, "b", false, "search", "write", "delete")
	for name, tt := range map[string]struct {
		fields string
		want   []string
		search string // who runs what is called search
	}{
		"priority":             {`conflictResolution: priority, conflictResolutionConfig: {priorityOrder: [b, a]}`, []string{"alone", "delete", "search", "write"}, "b ran search"},
		"priority, not in it":  {`conflictResolution: priority, conflictResolutionConfig: {priorityOrder: [b]}`, []string{"alone", "delete", "search", "write"}, "b ran search"},
		"priority by names":    {`conflictResolution: priority`, []string{"alone", "search", "delete", "write"}, "a ran search"},
		"manual":               {`conflictResolution: manual`, []string{"alone", "delete", "write"}, ""},
		"manual, told apart":   {`conflictResolution: manual, tools: [{workload: b, overrides: {search: {name: find}}}]`, []string{"alone", "search", "delete", "find", "write"}, "a ran search"},
		"filter":               {`conflictResolution: priority, tools: [{workload: b, filter: [write]}, {workload: a, filter: [search]}]`, []string{"search", "write"}, "a ran search"},
		"one hidden":           {`conflictResolution: priority, tools: [{workload: a, excludeAll: true}]`, []string{"delete", "search", "write"}, "b ran search"},
		"all hidden":           {`excludeAllTools: true`, nil, ""},
		"hidden unless named":  {`conflictResolution: priority, defaultToolVisibility: deny, tools: [{workload: a}]`, []string{"alone", "search"}, "a ran search"},
		"prefix, doubled once": {`conflictResolution: prefix`, []string{"a_alone", "a_search", "b_delete", "b_search", "b_write"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := serve(t, team(aggregation(tt.fields), a, b))
			for _, modern := range eras {
				v := visit(t, g.MCP(), modern)
				v.sees("tools/list", tt.want...)
				for _, tool := range []string{"alone", "search", "write", "delete", "nothing"} {
					call := v.ask("tools/call", tool, `"arguments":{}`)
					if refused := call.Error != nil && call.Error.Code == -32602; refused == slices.Contains(tt.want, tool) {
						t.Errorf("%s is listed %v; a call: %s", tool, !refused, call.Raw)
					}
				}
				if got := v.ran("search"); tt.search != "" && got != tt.search {
					t.Errorf("%s, want %s", got, tt.search)
				}
			}
		})
	}
}

// REPORT 6, REPORT 7, REQ F-4: what a member says of its things comes as it said it.
func TestVirtualItemsPass(t *testing.T) {
	t.Parallel()
	const rest = `"title":"T","icons":[{"src":"https://x/i.png"}],"_meta":{"k":{"n":2.50}},"x-unknown":9007199254740993`
	items := map[string]string{
		"tools/list": `{"name":"one",` + rest + `,"annotations":{"readOnlyHint":true,"x":1.0},"outputSchema":{"type":"object"},` +
			`"inputSchema":{"type":"object","definitions":{"a":{"type":"string"}},"$defs":{"b":{"minimum":1.50}},"properties":{"a":{"$ref":"#/definitions/a"},"b":{"$ref":"#/$defs/b"}}}}`,
		"prompts/list":             `{"name":"one",` + rest + `,"arguments":[{"name":"a","x":1}]}`,
		"resources/list":           `{"uri":"docs://one","name":"one",` + rest + `,"size":12345678901234567890}`,
		"resources/templates/list": `{"uriTemplate":"docs://{id}","name":"one",` + rest + `}`,
	}
	for _, era := range []bool{false, true} {
		m := startMember(t, "m", era)
		m.caps = allCapabilities
		for method, item := range items {
			m.have(method, item)
		}
		g := serve(t, team(aggregation("conflictResolution: priority"), m))
		for name, modern := range eras {
			v := visit(t, g.MCP(), modern)
			for method, want := range items {
				got := v.items(method)
				if len(got) != 1 || string(got[0]) != want {
					t.Errorf("%s, member modern %v, %s: got %s\nwant %s", name, era, method, got, want)
				}
			}
		}
	}
}

// REPORT 8, REPORT 9, REQ F-4: results and errors of members pass byte for byte.
func TestVirtualResultsPass(t *testing.T) {
	t.Parallel()
	results := map[string]string{
		"structured": `"content":[],"structuredContent":{"a":2.50,"b":9007199254740993}`,
		"failed":     `"content":[{"type":"text","text":"no"}],"structuredContent":{"why":null},"isError":true`,
		"meta":       `"content":[],"_meta":{"x/y":[1.0,{"z":-0}]`,
		"embedded":   `"content":[{"type":"resource","resource":{"uri":"x://1","text":"t","_meta":{"a":1}}}]`,
		"link":       `"content":[{"type":"resource_link","uri":"x://2","name":"two","size":9007199254740993}]`,
		"audio":      `"content":[{"type":"audio","data":"AAAA","mimeType":"audio/wav"},{"type":"brand-new","n":2.50,"m":9007199254740993}]`,
	}
	fails := map[string]string{
		"own code":    `{"code":-31415,"message":"no","data":{"n":2.50,"m":9007199254740993}}`,
		"bad params":  `{"code":-32602,"message":"x must be a number","data":["x"]}`,
		"unspecified": `{"code":-32000,"message":"no"}`,
	}
	for _, era := range []bool{false, true} {
		m := startMember(t, "m", era)
		complete := map[bool]string{true: `,"resultType":"complete"`}[era]
		for name := range results {
			m.lists["tools/list"] = append(m.lists["tools/list"], toolItem(name))
		}
		for name := range fails {
			m.lists["tools/list"] = append(m.lists["tools/list"], toolItem(strings.ReplaceAll(name, " ", "-")))
		}
		m.on("tools/call", func(a asked) string {
			name := a.param("name")
			if fail := fails[strings.ReplaceAll(name, "-", " ")]; fail != "" {
				return `"error":` + fail
			}
			return `"result":{` + results[name] + map[bool]string{true: "}"}[name == "meta"] + complete + `}`
		})
		g := serve(t, team(aggregation("conflictResolution: priority"), m))
		for _, modern := range eras {
			v := visit(t, g.MCP(), modern)
			for name, want := range results {
				if a := v.ask("tools/call", name, `"arguments":{}`); a.Status != http.StatusOK || !strings.Contains(a.Raw, want) {
					t.Errorf("client modern %v, member modern %v: status %d, %s\nwant %s", modern, era, a.Status, a.Raw, want)
				}
			}
			for name, want := range fails {
				a := v.ask("tools/call", strings.ReplaceAll(name, " ", "-"), `"arguments":{}`)
				if !strings.Contains(a.Raw, `"error":`+want) || !modern && a.Status != http.StatusOK {
					t.Errorf("client modern %v, member modern %v: status %d, %s\nwant %s", modern, era, a.Status, a.Raw, want)
				}
			}
			if got := v.ask("tools/call", "meta", `"arguments":{}`); got.Status != http.StatusOK {
				t.Errorf("after errors: %s", got.Raw)
			}
		}
	}
}

// REPORT 13, PROTOCOL A8: members that shuffle their tools and answer when they like; clients see one
// order, over refreshes and in another process.
func TestVirtualOrderIsOne(t *testing.T) {
	t.Parallel()
	var members []*member
	for i := range 3 {
		m := startMember(t, fmt.Sprintf("m%d", 2-i), i%2 == 0)
		var lists atomic.Int32
		m.on("tools/list", func(asked) string {
			turn := i + int(lists.Add(1))
			<-time.After(time.Duration(turn*17%50) * time.Millisecond) // members differ in how slow they are
			var items []string
			for n := range 30 {
				items = append(items, toolItem(fmt.Sprintf("t%02d", (n*7+turn*11)%30))) // every order is another
			}
			return `"result":{"tools":[` + strings.Join(items, ",") + `],"resultType":"complete"}`
		})
		members = append(members, m)
	}
	docs := team(nil, members...)
	g := serve(t, docs)
	v := visit(t, g.MCP(), true)
	want := v.names("tools/list")
	if len(want) != 90 || !slices.IsSorted(want) {
		t.Fatalf("%d tools: %q", len(want), want)
	}
	for range 3 {
		before := len(members[0].got("tools/list"))
		members[0].heard(t, 1)
		members[0].tell("notifications/tools/list_changed", "")
		testkit.Eventually(t, "the lists are fetched again", func() bool { return len(members[0].got("tools/list")) > before })
		v.sees("tools/list", want...)
	}
	visit(t, serve(t, docs).MCP(), false).sees("tools/list", want...)
}
