package schema_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/testkit/schema"
)

// What must not pass does not, and what may does.
func TestCheck(t *testing.T) {
	t.Parallel()
	set := schema.Load(t)
	const meta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`
	for name, tt := range map[string]struct{ rev, about, raw, want string }{
		"a call":                          {"2026-07-28", "", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t",` + meta + `}}`, ""},
		"a call that says nothing":        {"2026-07-28", "", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t"}}`, "revision"},
		"a call without a name":           {"2025-11-25", "", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}`, "name"},
		"a call of another era":           {"2026-07-28", "", `{"jsonrpc":"2.0","id":1,"method":"ping","params":{` + meta + `}}`, "has no ping"},
		"a question before there were":    {"2025-03-26", "", `{"jsonrpc":"2.0","id":1,"method":"elicitation/create","params":{"message":"?","requestedSchema":{"type":"object","properties":{}}}}`, "not there before"},
		"a question":                      {"2025-06-18", "", `{"jsonrpc":"2.0","id":1,"method":"elicitation/create","params":{"message":"?","requestedSchema":{"type":"object","properties":{}}}}`, ""},
		"a list":                          {"2026-07-28", "tools/list", `{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","ttlMs":0,"cacheScope":"private","tools":[]}}`, ""},
		"a list without hints":            {"2026-07-28", "tools/list", `{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","tools":[]}}`, "ttlMs"},
		"a list of no kind":               {"2026-07-28", "tools/list", `{"jsonrpc":"2.0","id":1,"result":{"ttlMs":0,"cacheScope":"private","tools":[]}}`, "type"},
		"a list without its items":        {"2025-06-18", "tools/list", `{"jsonrpc":"2.0","id":1,"result":{}}`, "tools"},
		"asking in a list":                {"2026-07-28", "tools/list", `{"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required","requestState":"s"}}`, "may not ask"},
		"asking for what there is not":    {"2026-07-28", "tools/call", `{"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required","inputRequests":{"k":{"method":"ping"}}}}`, "cannot be asked"},
		"asking":                          {"2026-07-28", "tools/call", `{"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required","inputRequests":{"k":{"method":"roots/list"}}}}`, ""},
		"an error of another era":         {"2026-07-28", "tools/call", `{"jsonrpc":"2.0","id":1,"error":{"code":-32042,"message":"go"}}`, "older"},
		"an error of a later era":         {"2025-11-25", "tools/call", `{"jsonrpc":"2.0","id":1,"error":{"code":-32021,"message":"no"}}`, "2026"},
		"result and error":                {"2025-11-25", "ping", `{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":""}}`, "no message"},
		"structured content of no object": {"2025-11-25", "tools/call", `{"jsonrpc":"2.0","id":1,"result":{"content":[],"structuredContent":[1]}}`, "structuredContent"},
		"a listen without its ids":        {"2026-07-28", "", `{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{}}`, "notifications"},
		"what nobody knows":               {"2026-07-28", "", `{"jsonrpc":"2.0","method":"notifications/com.example","params":{"a":1}}`, ""},
	} {
		err := set.Check(tt.rev, tt.about, []byte(tt.raw))
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

// complaints are what a conversation would fail a test with.
type complaints struct {
	testing.TB
	texts []string
}

func (c *complaints) Errorf(format string, args ...any) {
	c.texts = append(c.texts, fmt.Sprintf(format, args...))
}

// What a server says is checked by the revision that was agreed on, and answers by what they answer.
func TestConversation(t *testing.T) {
	t.Parallel()
	schema.Load(t)
	const (
		hello    = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}`
		welcome  = `{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"%s","capabilities":{},"serverInfo":{"name":"s","version":"1"}}}`
		question = `{"jsonrpc":"2.0","id":1,"method":"elicitation/create","params":{"message":"?","requestedSchema":{"type":"object","properties":{}}}}`
		list     = `{"jsonrpc":"2.0","id":2,"method":"tools/list","params":{%s}}`
		meta     = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`
		tools    = `{"jsonrpc":"2.0","id":2,"result":{"tools":[]}}`
	)
	for name, tt := range map[string]struct {
		turns []string // of the client and the server in turn; "" for none
		want  string   // "" for no complaint
	}{
		"a question":                      {[]string{hello, fmt.Sprintf(welcome, "2025-06-18"), "", question}, ""},
		"a question before there were":    {[]string{hello, fmt.Sprintf(welcome, "2025-03-26"), "", question}, "not there before"},
		"an answer":                       {[]string{hello, fmt.Sprintf(welcome, "2025-06-18"), fmt.Sprintf(list, ""), tools}, ""},
		"an answer of another kind":       {[]string{hello, fmt.Sprintf(welcome, "2025-06-18"), fmt.Sprintf(list, ""), `{"jsonrpc":"2.0","id":2,"result":{}}`}, "tools"},
		"an answer of another era":        {[]string{fmt.Sprintf(list, meta), tools}, "of the type"},
		"a notification of another era":   {[]string{fmt.Sprintf(list, meta), `{"jsonrpc":"2.0","method":"notifications/elicitation/complete","params":{"elicitationId":"e"}}`}, "2026-07-28"},
		"an id of both sides' own making": {[]string{hello, question, "", fmt.Sprintf(welcome, "2025-06-18")}, ""},
		"what is no message":              {[]string{hello, `{"id":1}`}, "is not valid"},
	} {
		c := &complaints{TB: t}
		conversation := schema.NewConversation(c)
		for i, turn := range tt.turns {
			switch {
			case turn == "":
			case i%2 == 0:
				conversation.Said([]byte(turn))
			default:
				conversation.Heard([]byte(turn))
			}
		}
		got := strings.Join(c.texts, "\n")
		if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

// By HTTP the messages are the JSON of answers and the events of streams, but for the address with which HTTP+SSE begins.
func TestConversationByHTTP(t *testing.T) {
	t.Parallel()
	schema.Load(t)
	for name, tt := range map[string]struct{ contentType, body, want string }{
		"JSON":     {"application/json", `{"jsonrpc":"2.0","id":1,"result":{"tools":1}}`, "is not valid"},
		"a stream": {"text/event-stream", "event: endpoint\ndata: /messages\n\n: comment\n\nevent: message\ndata: {\"jsonrpc\":\"2.0\"}\n\n", "is not valid"},
		"good":     {"text/event-stream", "event: endpoint\ndata: /messages\n\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"tools\":[]}}\n\n", ""},
	} {
		c := &complaints{TB: t}
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", tt.contentType)
			_, _ = io.WriteString(w, tt.body)
		}))
		client := http.Client{Transport: schema.NewConversation(c).Client(server.Client().Transport)}
		resp, err := client.Post(server.URL, "application/json", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`))
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(resp.Body); string(body) != tt.body || err != nil {
			t.Errorf("%s: the client reads %q, %v", name, body, err)
		}
		_ = resp.Body.Close()
		server.Close()
		if got := strings.Join(c.texts, "\n"); tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}
