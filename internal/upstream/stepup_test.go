package upstream_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/credential"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/upstream"
)

const connectPage = "https://gw.example.com/connect?provider=okta"

// TestStepUp asks for an account in the way that each client understands, and no
// client in a way that it does not.
//
// REQ D-8; MCP 2025-11-25 elicitation; MCP 2026-07-28, InputRequiredResult
func TestStepUp(t *testing.T) {
	t.Parallel()
	const (
		able   = `"io.modelcontextprotocol/clientCapabilities":{"elicitation":{"form":{},"url":{}}}`
		unable = `"io.modelcontextprotocol/clientCapabilities":{"elicitation":{"form":{}}}`
	)
	modern := func(method, meta, more string) string {
		return `{"jsonrpc":"2.0","id":7,"method":"` + method + `","params":{"name":"a","uri":"x:y",` + more +
			`"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",` + meta + `}}}`
	}
	answer := func(key, action string) string {
		return `"inputResponses":{"` + key + `":{"action":"` + action + `"}},`
	}
	const call = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"a"}}`
	for name, tt := range map[string]struct {
		body     string
		revision mcp.Revision
		elicits  bool
		url      string
		status   int    // of the answer; 401 is for the outer door to say
		want     string // in a result; else in the error
	}{
		"modern, able":                   {modern("tools/call", able, ""), mcp.Rev20260728, false, connectPage, 200, `"resultType":"input_required"`},
		"modern, a prompt":               {modern("prompts/get", able, ""), mcp.Rev20260728, false, connectPage, 200, `"resultType":"input_required"`},
		"modern, a resource":             {modern("resources/read", able, ""), mcp.Rev20260728, false, connectPage, 200, `"resultType":"input_required"`},
		"modern, a list":                 {modern("tools/list", able, ""), mcp.Rev20260728, false, connectPage, 401, ``},
		"modern, unable":                 {modern("tools/call", unable, ""), mcp.Rev20260728, true, connectPage, 401, ``},
		"modern, no page":                {modern("tools/call", able, ""), mcp.Rev20260728, true, "", 401, ``},
		"modern, back with a yes":        {modern("tools/call", able, answer("sallyport-connect-okta", "accept")), mcp.Rev20260728, false, connectPage, 200, `"input_required"`},
		"modern, back with a no":         {modern("tools/call", able, answer("sallyport-connect-okta", "decline")), mcp.Rev20260728, false, connectPage, 403, `until an account of okta`},
		"modern, back with another's no": {modern("tools/call", able, answer("theirs", "decline")), mcp.Rev20260728, false, connectPage, 200, `"input_required"`},
		"session, able":                  {call, mcp.Rev20251125, true, connectPage, 200, ``},
		"session, unable":                {call, mcp.Rev20251125, false, connectPage, 401, ``},
		"session, older":                 {call, mcp.Rev20250618, true, connectPage, 401, ``},
		"session, no page":               {call, mcp.Rev20251125, true, "", 401, ``},
		"initialize":                     {`{"jsonrpc":"2.0","id":7,"method":"initialize","params":{}}`, mcp.Rev20251125, true, connectPage, 401, ``},
		"notification":                   {`{"jsonrpc":"2.0","method":"notifications/x"}`, mcp.Rev20251125, true, connectPage, 401, ``},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, again := &server{}, 0
			u := newUpstream(s, func(c *upstream.Config) {
				c.Credential = &stepUp{credential.StepUp{
					Provider: "okta", URL: tt.url, Reason: "nothing of okta is connected", Again: func(context.Context) { again++ },
				}}
			})
			c := callOf(t, tt.body, tt.revision)
			c.Elicits = tt.elicits
			a, err := u.Do(t.Context(), c)
			status, got, reason := 0, "", ""
			denied, isDenied := errors.AsType[*upstream.Denied](err)
			switch {
			case err == nil:
				status, reason, got = a.Status, a.Own, textOf(t, a)
			case isDenied && denied.Public == nil:
				status, reason = http.StatusUnauthorized, denied.Reason
			case isDenied:
				status, reason, got = denied.Public.Status, denied.Reason, string(denied.Public.Append(nil, c.Message.ID))
			}
			if status != tt.status || !strings.Contains(got, tt.want) {
				t.Errorf("status %d, want %d: %v %s", status, tt.status, err, got)
			}
			if asks := strings.Contains(got, connectPage); asks != (tt.status == 200) {
				t.Errorf("the page is told: %v, in %s", asks, got)
			}
			if result := strings.Contains(got, `"result"`); result != (err == nil) || result && tt.revision != mcp.Rev20260728 {
				t.Errorf("an answer: %v, in %s", err == nil, got)
			}
			if (again == 1) != (tt.status == 401) || s.sent != 0 {
				t.Errorf("signs in again: %d; the server got %d requests", again, s.sent)
			}
			if !strings.Contains(reason, "nothing of okta is connected") {
				t.Errorf("the audit is told %q", reason)
			}
		})
	}
}
