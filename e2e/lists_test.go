package e2e_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// This file is about the plain lists: GET /servers, /tools, /prompts, /resources.

// plain is what a plain list holds, as a reader of JSON sees it.
type plain struct {
	Servers, Tools, Prompts, Resources []struct{ Name, URI, Server, Status string }
	Errors                             []struct{ Server, Error string }
}

func list(t *testing.T, g *testkit.Gateway, path string, headers ...string) plain {
	t.Helper()
	got := request{method: http.MethodGet, url: g.URL + path}.with(headers...).do(t)
	var p plain
	if err := json.Unmarshal([]byte(got.Body), &p); err != nil || got.Status != http.StatusOK || got.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%s: status %d, %s", path, got.Status, got.Body)
	}
	return p
}

// names are "SERVER NAME" of the items, sorted.
func names(items []struct{ Name, URI, Server, Status string }) (all []string) {
	for _, it := range items {
		all = append(all, strings.TrimSpace(it.Server+" "+it.Name))
	}
	slices.Sort(all)
	return all
}

var testkitTools = []string{"cancelled", "count", "echo", "fail", "greet", "grow", "look", "say", "think", "touch", "wait"}

// REQ C-5, REQ F-3: plain lists of servers of every era, over every transport, and of all of them together.
func TestPlainLists(t *testing.T) {
	t.Parallel()
	old, stateless, dual := testkit.StartBackend(t, testkit.Sessions), testkit.StartBackend(t, testkit.Stateless), testkit.StartBackend(t, testkit.Dual)
	var command []string
	for _, arg := range testkit.StdioBackend(t) {
		command = append(command, string(must[[]byte](t)(json.Marshal(arg))))
	}
	g := serve(t, remote("old", old.URL, "audit: {enabled: true}")+remote("stateless", stateless.URL)+remote("dual", dual.URL)+
		remote("sse", old.SSE, "transport: sse")+object("MCPServer", "command", "command: ["+strings.Join(command, ", ")+"]")+
		remote("down", "http://127.0.0.1:1"))
	for _, s := range list(t, g, "/servers").Servers {
		if s.Status != "unknown" {
			t.Errorf("before anything was asked %s is %s", s.Name, s.Status)
		}
	}
	var all []string
	for _, name := range []string{"old", "stateless", "dual", "sse", "command"} {
		for _, tool := range testkitTools {
			all = append(all, name+" "+tool)
		}
		if diff := cmp.Diff(testkitTools, names(list(t, g, "/servers/"+name+"/tools").Tools)); diff != "" {
			t.Errorf("tools of %s (-want +got):\n%s", name, diff)
		}
		if p := list(t, g, "/servers/"+name+"/prompts").Prompts; len(p) != 1 || p[0].Name != "hello" {
			t.Errorf("prompts of %s: %v", name, p)
		}
		if r := list(t, g, "/servers/"+name+"/resources").Resources; len(r) != 1 || r[0].URI != testkit.WatchedResource {
			t.Errorf("resources of %s: %v", name, r)
		}
	}
	slices.Sort(all)
	got := list(t, g, "/tools")
	if diff := cmp.Diff(all, names(got.Tools)); diff != "" {
		t.Errorf("all tools (-want +got):\n%s", diff)
	}
	if len(got.Errors) != 1 || got.Errors[0].Server != "down" || got.Errors[0].Error == "" {
		t.Errorf("errors %v", got.Errors)
	}
	status := map[string]string{}
	for _, s := range list(t, g, "/servers").Servers {
		status[s.Name] = s.Status
	}
	want := map[string]string{"old": "ready", "stateless": "ready", "dual": "ready", "sse": "ready", "command": "ready", "down": "unavailable"}
	if diff := cmp.Diff(want, status); diff != "" {
		t.Errorf("servers (-want +got):\n%s", diff)
	}
	for path, status := range map[string]int{"/servers/none/tools": 404, "/servers/old/servers": 404, "/servers/down/tools": 502, "/tools/": 404} {
		if got := (request{method: http.MethodGet, url: g.URL + path}).do(t); got.Status != status {
			t.Errorf("%s: status %d, want %d", path, got.Status, status)
		}
	}
	for _, path := range []string{"/tools", "/servers", "/servers/old/tools"} {
		if got := message(g.URL+path, toolsList).do(t); got.Status != 405 {
			t.Errorf("POST %s: status %d", path, got.Status)
		}
		if got := (request{method: http.MethodGet, url: g.URL + path}).with("Origin", "https://evil.example").do(t); got.Status != 403 {
			t.Errorf("%s for a foreign page: status %d", path, got.Status)
		}
	}
	if err := g.Stop(); err != nil {
		t.Fatal(err)
	}
	// REQ B-22: one event for each list of an endpoint.
	if n := strings.Count(strings.Join(methodsOf(t, g), "\n"), "tools/list 200"); n != 2 {
		t.Errorf("%d events for lists of tools, want 2", n)
	}
}

// REQ B-21, REQ B-23, REQ C-5: a plain list shows what the caller may use, under the names that clients know; an endpoint
// whose door refuses the caller is left out.
func TestPlainListsAreTheCallersOwn(t *testing.T) {
	t.Parallel()
	idp := testkit.StartIdP(t)
	backend := testkit.StartBackend(t, testkit.Dual)
	const echoAlone = `authzConfig: {type: inline, inline: {policies: ['permit(principal == Client::"alice", action, resource == Tool::"echo");']}}`
	const other = "https://gw.example.com/servers/other/mcp"
	g := serve(t, idpObject(idp)+
		object("MCPToolConfig", "tools", "toolsFilter: [echo, count]", "toolsOverride: {echo: {name: say}}")+
		remote("free", backend.URL, "toolConfigRef: {name: tools}")+
		remote("policed", backend.URL, ofIDP(docsAudience), echoAlone)+
		remote("forbidden", backend.URL, ofIDP(docsAudience),
			`authzConfig: {type: inline, inline: {policies: ['permit(principal, action, resource);', 'forbid(principal, action == Action::"list_tools", resource);']}}`)+
		remote("other", backend.URL, ofIDP(other)))
	token := func(subject, audience string) []string {
		return bearer(idp.Token(t, testkit.TokenWish{Audience: audience, Subject: subject}))
	}
	for _, tt := range []struct {
		name    string
		headers []string
		tools   []string
		servers []string
	}{
		{"nobody", nil, []string{"free count", "free say"}, []string{"free"}},
		{"alice", token("alice", docsAudience), []string{"free count", "free say", "policed echo"}, []string{"forbidden", "free", "policed"}},
		{"bob", token("bob", docsAudience), []string{"free count", "free say"}, []string{"forbidden", "free", "policed"}},
		{"garbage", bearer("garbage"), []string{"free count", "free say"}, []string{"free"}},
	} {
		got := list(t, g, "/tools", tt.headers...)
		if diff := cmp.Diff(tt.tools, names(got.Tools)); diff != "" || len(got.Errors) > 0 {
			t.Errorf("%s: tools (-want +got):\n%s%v", tt.name, diff, got.Errors)
		}
		if diff := cmp.Diff(tt.servers, names(list(t, g, "/servers", tt.headers...).Servers)); diff != "" {
			t.Errorf("%s: servers (-want +got):\n%s", tt.name, diff)
		}
	}
	one := request{method: http.MethodGet, url: g.URL + "/servers/policed/tools"}
	if md := one.do(t).wantChallenge; md(t, 401, "").Resource != at(g, "policed") {
		t.Error("the challenge leads elsewhere")
	}
	if got := (request{method: http.MethodGet, url: g.URL + "/servers/forbidden/tools"}).with(token("alice", docsAudience)...).do(t); got.Status != 403 {
		t.Errorf("a list that policy forbids: status %d, %s", got.Status, got.Body)
	}

	// Where no endpoint lets the caller in, the list says so, and where to get a token.
	closed := serve(t, idpObject(idp)+remote("a", backend.URL, ofIDP(docsAudience))+remote("b", backend.URL, ofIDP(other)))
	for _, path := range []string{"/tools", "/servers", "/resources"} {
		got := request{method: http.MethodGet, url: closed.URL + path}.do(t)
		if md := got.wantChallenge(t, 401, ""); md.Resource != at(closed, "a") {
			t.Errorf("%s: the challenge leads to %s", path, md.Resource)
		}
	}
}
