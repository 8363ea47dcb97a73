package gateway_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/audit"
)

// policies is an authzConfig in place.
func policies(mode string, texts ...string) string {
	return "authzConfig: {type: inline, mode: " + mode + ", inline: {policies: ['" + strings.Join(texts, "', '") + "']}}"
}

// postAs sends a message of an older or a modern client to the endpoint docs.
func postAs(r *rig, modern bool, method, target string) *httptest.ResponseRecorder {
	return postTo(r, "docs", modern, method, target)
}

func postTo(r *rig, endpoint string, modern bool, method, target string) *httptest.ResponseRecorder {
	meta := ""
	if modern {
		meta = `,"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`
	}
	body := `{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":{"name":"` + target + `"` + meta + `}}`
	req := httptest.NewRequest(http.MethodPost, "/servers/"+endpoint+"/mcp", strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	if modern {
		req.Header.Set("Mcp-Protocol-Version", "2026-07-28")
		req.Header.Set("Mcp-Method", method)
		req.Header.Set("Mcp-Name", target)
	}
	return r.send(req)
}

// REQ B-21: default deny where policies exist; lists show what may be called, and
// nothing else; a denial is never a result.
func TestPolicy(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxy("docs", newToolServer(t).URL,
		policies("enforce", `@id("search only") permit(principal, action == Action::"call_tool", resource == Tool::"search");`)), nil)
	tests := []struct {
		method, target string
		modern         bool
		status         int
		result         bool
	}{
		{"tools/call", "search", false, 200, true},
		{"tools/call", "search", true, 200, true},
		{"tools/call", "wipe", false, 200, false},
		{"tools/call", "wipe", true, 403, false},
		{"prompts/get", "search", false, 200, false},
		{"vendor/method", "search", false, 200, false},
		{"vendor/method", "search", true, 403, false},
		{"ping", "", false, 200, true},
	}
	for _, tt := range tests {
		w := postAs(r, tt.modern, tt.method, tt.target)
		if got := strings.Contains(w.Body.String(), `"result"`); w.Code != tt.status || got != tt.result {
			t.Errorf("%s %s, modern %v: got %d %s", tt.method, tt.target, tt.modern, w.Code, w.Body)
		}
	}
	list := postAs(r, false, "tools/list", "").Body.String()
	for tool, want := range map[string]bool{"search": true, "fetch": false, "wipe": false, "hidden": false} {
		if strings.Contains(list, `"name":"`+tool+`"`) != want {
			t.Errorf("%s is in the list: %v, want %v: %s", tool, !want, want, list)
		}
	}
	denied := 0
	for _, ev := range r.events.take() {
		if ev.Outcome == audit.Denied {
			denied++
		}
	}
	if denied != 5 {
		t.Errorf("%d denials were audited, want 5", denied)
	}
}

// REQ B-21: in shadow mode everything passes.
func TestPolicyInShadowMode(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxy("docs", newToolServer(t).URL,
		policies("shadow", `permit(principal, action == Action::"call_tool", resource == Tool::"search");`)), nil)
	if w := postAs(r, true, "tools/call", "wipe"); w.Code != http.StatusOK {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if list := postAs(r, false, "tools/list", "").Body.String(); !strings.Contains(list, `"name":"wipe"`) {
		t.Errorf("the list lost something: %s", list)
	}
}

// REQ B-21: policies judge what will run: the backend's own names and annotations.
func TestPolicyAndToolConfig(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxy("docs", newToolServer(t).URL, "toolConfigRef: {name: view}",
		policies("enforce", `permit(principal, action == Action::"call_tool", resource == Tool::"search");`))+toolConfig, nil)
	if w := postAs(r, true, "tools/call", "find"); w.Code != http.StatusOK {
		t.Errorf("find, which is search: got %d %s", w.Code, w.Body)
	}
	if w := postAs(r, true, "tools/call", "fetch"); w.Code != http.StatusForbidden {
		t.Errorf("fetch, which is wipe: got %d %s", w.Code, w.Body)
	}
}

// REQ B-16: proxies of the same server, each with its own policies.
func TestPoliciesOfOneServer(t *testing.T) {
	t.Parallel()
	url := newToolServer(t).URL
	permit := func(tool string) string {
		return policies("enforce", `permit(principal, action == Action::"call_tool", resource == Tool::"`+tool+`");`)
	}
	r := newRig(t, proxy("readers", url, permit("search"))+proxy("writers", url, permit("wipe")), nil)
	for _, tt := range []struct {
		endpoint, tool string
		status         int
	}{
		{"readers", "search", 200}, {"readers", "wipe", 403}, {"writers", "wipe", 200}, {"writers", "search", 403},
	} {
		if w := postTo(r, tt.endpoint, true, "tools/call", tt.tool); w.Code != tt.status {
			t.Errorf("%s calls %s: got %d, want %d", tt.endpoint, tt.tool, w.Code, tt.status)
		}
		shown := strings.Contains(postTo(r, tt.endpoint, false, "tools/list", "").Body.String(), `"name":"`+tt.tool+`"`)
		if shown != (tt.status == 200) {
			t.Errorf("%s sees %s: %v", tt.endpoint, tt.tool, shown)
		}
	}
}

// A policy with an error is refused with its place; one that can never match is
// reported by check, and served.
func TestPolicyProblems(t *testing.T) {
	t.Parallel()
	broken := check(t, proxy("docs", "http://127.0.0.1:1/mcp", policies("enforce", `permit(principal, action, resource;`)))
	if len(broken) == 0 || !strings.Contains(broken.Error(), "spec.authzConfig.inline.policies[0]: line 1, column") {
		t.Errorf("a broken policy: %v", broken)
	}
	typo := proxy("docs", "http://127.0.0.1:1/mcp", policies("enforce", `permit(principal, action == Action::"call_tol", resource);`))
	if problems := check(t, typo); len(problems) == 0 {
		t.Error("a policy that can never match was not reported")
	}
	newRig(t, typo, nil)
}

// FINDING S14, FINDING S13: a resource's URI that a server may read as another one, and a request that is called like a
// notification, are denied however much is permitted, and the operator reads why.
func TestAmbiguousRequests(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "b")
	r := newRig(t, proxy("docs", b.URL, policies("enforce", `permit(principal, action, resource);`)), nil)
	for body, reason := range map[string]string{
		`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///public/../etc/passwd"}}`:      "could be read as another one",
		`{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"file:///public/%2e%2e/passwd"}}`: "could be read as another one",
		`{"jsonrpc":"2.0","id":9,"method":"notifications/admin.reset"}`:                                           "no policy is asked about this method",
	} {
		if w := r.send(post("/mcp", body)); !strings.Contains(w.Body.String(), `"error"`) {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
		if events := r.events.take(); len(events) != 1 || events[0].Outcome != "denied" || !strings.Contains(events[0].Reason, reason) {
			t.Errorf("%s: audited as %+v", body, events)
		}
	}
	if got := b.taken(); len(got) != 0 {
		t.Errorf("the backend was asked %d times", len(got))
	}
	r.send(post("/mcp", `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///public/a"}}`))
	if got := b.taken(); len(got) != 1 {
		t.Errorf("the backend was asked %d times for what is plain", len(got))
	}
}
