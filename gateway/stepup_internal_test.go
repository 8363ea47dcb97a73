package gateway

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/credential"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/seal"
)

const connectPage = "https://gw.example.com/connect?provider=okta"

// TestStepUp asks for an account in the way that each client understands, and no
// client in a way that it does not.
//
// REQ D-8; MCP 2025-11-25 elicitation; M37
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
		status   int
		want     string // in the answer
	}{
		"modern, able":                   {modern("tools/call", able, ""), mcp.Rev20260728, false, connectPage, 200, `"resultType":"input_required"`},
		"modern, a prompt":               {modern("prompts/get", able, ""), mcp.Rev20260728, false, connectPage, 200, `"resultType":"input_required"`},
		"modern, a resource":             {modern("resources/read", able, ""), mcp.Rev20260728, false, connectPage, 200, `"resultType":"input_required"`},
		"modern, a list":                 {modern("tools/list", able, ""), mcp.Rev20260728, false, connectPage, 401, `"error"`},
		"modern, unable":                 {modern("tools/call", unable, ""), mcp.Rev20260728, true, connectPage, 401, `"error"`},
		"modern, no page":                {modern("tools/call", able, ""), mcp.Rev20260728, true, "", 401, `"error"`},
		"modern, back with a yes":        {modern("tools/call", able, answer("sallyport-connect-okta", "accept")), mcp.Rev20260728, false, connectPage, 200, `"input_required"`},
		"modern, back with a no":         {modern("tools/call", able, answer("sallyport-connect-okta", "decline")), mcp.Rev20260728, false, connectPage, 403, `until an account of okta`},
		"modern, back with another's no": {modern("tools/call", able, answer("theirs", "decline")), mcp.Rev20260728, false, connectPage, 200, `"input_required"`},
		"session, able":                  {call, mcp.Rev20251125, true, connectPage, 200, `"code":-32042`},
		"session, unable":                {call, mcp.Rev20251125, false, connectPage, 401, `"error"`},
		"session, older":                 {call, mcp.Rev20250618, true, connectPage, 401, `"error"`},
		"session, no page":               {call, mcp.Rev20251125, true, "", 401, `"error"`},
		"initialize":                     {`{"jsonrpc":"2.0","id":7,"method":"initialize","params":{}}`, mcp.Rev20251125, true, connectPage, 401, `"error"`},
		"notification":                   {`{"jsonrpc":"2.0","method":"notifications/x"}`, mcp.Rev20251125, true, connectPage, 401, `"error"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, bad := mcp.Parse([]byte(tt.body), mcp.DefaultLimits())
			if bad != nil {
				t.Fatal(bad)
			}
			w := httptest.NewRecorder()
			x := &Exchange{
				w: w, r: httptest.NewRequest(http.MethodPost, "/servers/docs/mcp", nil), message: m, revision: tt.revision,
				session: clientSession{elicits: tt.elicits},
			}
			e := &Endpoint{name: "docs", protection: &protection{}, server: &Server{}}
			err := e.stepUp(x, &credential.StepUp{Provider: "okta", URL: tt.url, Reason: "nothing of okta is connected"})
			got := string(err.Append(nil, m.ID))
			if err.Status != tt.status || !strings.Contains(got, tt.want) || !json.Valid([]byte(got)) {
				t.Errorf("status %d, want %d: %s", err.Status, tt.status, got)
			}
			if asks := strings.Contains(got, connectPage); asks != (tt.status == 200) {
				t.Errorf("the page is told: %v, in %s", asks, got)
			}
			if challenge := w.Header().Get("Www-Authenticate"); strings.Contains(challenge, "resource_metadata=") != (tt.status == 401) {
				t.Errorf("challenge %q", challenge)
			}
			if !strings.Contains(x.reason, "nothing of okta is connected") {
				t.Errorf("the audit is told %q", x.reason)
			}
		})
	}
}

// What a client can do is known for the whole session, from its initialize.
func TestSessionRemembersElicitation(t *testing.T) {
	t.Parallel()
	ring, err := seal.NewRing()
	if err != nil {
		t.Fatal(err)
	}
	s := sealer{ring: ring, endpoint: "docs"}
	for params, want := range map[string]bool{
		`{"capabilities":{"elicitation":{"url":{}}}}`:           true,
		`{"capabilities":{"elicitation":{"form":{},"url":{}}}}`: true,
		`{"capabilities":{"elicitation":{}}}`:                   false,
		`{"capabilities":{"elicitation":{"url":null}}}`:         false,
		`{"capabilities":{"elicitation":{"URL":{}}}}`:           false,
		`{"capabilities":[]}`:                                   false,
		`{}`:                                                    false,
	} {
		m, bad := mcp.Parse([]byte(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":`+params+`}`), mcp.DefaultLimits())
		if bad != nil {
			t.Fatal(bad)
		}
		now := time.Now()
		opened, ok := s.open(s.seal(clientSession{captured: http.Header{"X": {"y"}}, elicits: elicitsURL(&m)}, "alice", now), "alice", now)
		if !ok || opened.elicits != want || opened.captured.Get("X") != "y" {
			t.Errorf("%s: %+v, %v", params, opened, ok)
		}
	}
}
