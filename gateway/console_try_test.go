package gateway_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// try looks, in the console, what would become of a call.
func (c *consoleRig) try(t *testing.T, fields map[string]string, headers ...string) (status int, result string, body string) {
	t.Helper()
	form := url.Values{}
	for name, value := range fields {
		form.Set(name, value)
	}
	r := httptest.NewRequest(http.MethodPost, "/console/try", strings.NewReader(form.Encode()))
	r.Host, r.RemoteAddr = "127.0.0.1:9090", "127.0.0.1:4712"
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := c.ask(r)
	doc, err := html.Parse(strings.NewReader(w.Body.String()))
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, textOf(doc, "tried"), w.Body.String()
}

// An operator sees what would become of a call, as somebody with some claims, as whose
// token it is, or as nobody: what each door says, why, and what the server would get. The
// server gets nothing, and nothing is written down as if the person had called.
func TestConsoleTry(t *testing.T) {
	t.Parallel()
	c := newConsoleRig(t, nil)
	issuer := testkit.NewIssuer(t)
	more := proxy("tokens", c.backend.URL+"/tokens", "toolConfigRef: {name: names}",
		ofIssuer(issuer),
		`authzConfig: {type: inline, inline: {policies: ['permit(principal in THVGroup::"eng", action == Action::"call_tool", resource == Tool::"search");']}}`) +
		object("MCPToolConfig", "names", "toolsOverride: {search: {name: find}}")
	if err := c.Apply(load(t, c.manifests()+more)); err != nil {
		t.Fatal(err)
	}
	token := issuer.Sign(nil, issuer.Claims("ours", map[string]any{"sub": "carol", "groups": []string{"eng"}}))
	c.backend.taken()
	c.events.take()
	for _, tt := range []struct {
		name   string
		fields map[string]string
		want   []string
		not    string
	}{
		{
			"claims that suffice",
			map[string]string{"server": "docs", "tool": "search", "as": "claims", "claims": `{"sub":"alice"}`, "arguments": `{"q": "what I look for"}`},
			[]string{"alice would come through to docs.", "as if a token", "everybody searches", "Authorization: Bearer … (32 characters), from MCPExternalAuthConfig bearer", "X-Tenant, as the client sends it", `"what I look for"`},
			"Allow this",
		},
		{
			"claims that do not",
			map[string]string{"server": "docs", "tool": "delete", "as": "claims", "claims": `{"sub":"alice","groups":["eng"]}`},
			[]string{"alice would be refused: policies do not permit it.", `Client::"alice"`, "Near, but not enough", "Allow this", "For everybody in eng", "Nothing: the call ends before it."},
			"Authorization",
		},
		{"nobody, where a proof is asked for", map[string]string{"server": "docs", "tool": "search", "as": "nobody"}, []string{"The outer door would refuse them.", "Nothing: the call ends before it."}, "policies"},
		{"nobody, where everybody is", map[string]string{"server": "open", "tool": "x", "as": "nobody"}, []string{"An anonymous caller would come through to open.", "no credential", "There are none"}, "Allow this"},
		{"claims, where nobody reads them", map[string]string{"server": "open", "tool": "x", "as": "claims", "claims": `{"sub":"alice"}`}, []string{"all callers are one: anonymous", "would come through"}, "alice would"},
		{
			"a token",
			map[string]string{"server": "tokens", "tool": "find", "as": "token", "token": "Bearer " + token},
			[]string{"carol would come through to tokens.", "The token is good.", issuer.URL, "eng", "The server calls it search.", `"name": "search"`, "Bearer eyJ… (JWT, "},
			token,
		},
		{"a token that is none", map[string]string{"server": "tokens", "tool": "find", "as": "token", "token": "x.y.z"}, []string{"The outer door would refuse them."}, "x.y.z"},
		{"claims of nobody", map[string]string{"server": "tokens", "tool": "find", "as": "claims", "claims": `{"groups":["eng"]}`}, []string{"The outer door would refuse them.", "no subject"}, "search"},
		{"a tool that is not seen", map[string]string{"server": "tokens", "tool": "search", "as": "claims", "claims": `{"sub":"carol","groups":["eng"]}`}, []string{"no such tool"}, "come through"},
	} {
		status, got, body := c.try(t, tt.fields)
		if status != http.StatusOK || !hasAll(got, tt.want) || strings.Contains(got, tt.not) {
			t.Errorf("%s: %d %s\nwant %q, and not %q", tt.name, status, got, tt.want, tt.not)
		}
		if shown := tt.fields["token"]; shown != "" && strings.Contains(body, strings.TrimPrefix(shown, "Bearer ")) {
			t.Errorf("%s: the token is on the page", tt.name)
		}
	}
	if calls, events := c.backend.taken(), c.events.take(); len(calls)+len(events) > 0 {
		t.Errorf("the backend was asked %d times, and there are %d events", len(calls), len(events))
	}
	for name, fields := range map[string]map[string]string{
		"no such server":      {"server": "none", "tool": "x", "as": "nobody"},
		"no tool":             {"server": "open", "as": "nobody"},
		"as nothing":          {"server": "open", "tool": "x"},
		"no token":            {"server": "tokens", "tool": "x", "as": "token"},
		"broken claims":       {"server": "docs", "tool": "x", "as": "claims", "claims": "alice"},
		"arguments of a kind": {"server": "open", "tool": "x", "as": "nobody", "arguments": "[1]"},
		"arguments twice":     {"server": "open", "tool": "x", "as": "nobody", "arguments": `{"a":1,"a":2}`},
		"much":                {"server": "open", "tool": strings.Repeat("x", 1<<17), "as": "nobody"},
	} {
		if status, got, _ := c.try(t, fields); status < 400 || status >= 500 || strings.Contains(got, "would") && name != "arguments twice" {
			t.Errorf("%s: %d %s", name, status, got)
		}
	}
	if status, got, _ := c.try(t, map[string]string{"server": "open", "tool": "x", "as": "nobody"}, "Sec-Fetch-Site", "cross-site"); status != http.StatusForbidden || got != "" {
		t.Errorf("another site can look: %d %s", status, got)
	}
}
