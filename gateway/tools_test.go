package gateway_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

const toolConfig = `---
apiVersion: sallyport.dev/v1alpha1
kind: MCPToolConfig
metadata: {name: view}
spec:
  toolsFilter: [search, fetch, wipe]
  toolsOverride:
    search: {name: find, description: "Finds \"things\"", annotations: {readOnlyHint: true, title: Find}}
    wipe: {name: fetch}
`

const toolList = `{"tools":[
	{"name":"search","description":"d","inputSchema":{"big":9007199254740993},"annotations":{"title":"S","vendor":1},"x":[1,2]},
	{"name":"fetch","inputSchema":{}},
	{"name":"hidden"},
	{"name":"wipe","description":"w"}],"nextCursor":"c"}`

// toolServer is a backend with tools. Its answer to a list whose cursor is "sse" is
// an event stream.
type toolServer struct {
	*httptest.Server
	mu         sync.Mutex
	body, name string // of the last request, and its Mcp-Name
}

func newToolServer(t *testing.T) *toolServer {
	s := &toolServer{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.body, s.name = string(b), r.Header.Get("Mcp-Name")
		s.mu.Unlock()
		result := `{"ok":true}`
		if strings.Contains(string(b), `"tools/list"`) {
			result = toolList
		}
		answer := `{"jsonrpc":"2.0","id":1,"result":` + strings.ReplaceAll(result, "\n", "") + `}`
		if strings.Contains(string(b), `"sse"`) {
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprintf(w, "event: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"}\n\nid: 7\ndata: %s\n\n", answer)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *toolServer) last() (body, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.body, s.name
}

// modernCall is a tools/call of 2026-07-28.
func modernCall(tool string) string {
	return `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"` + tool + `","arguments":{"n":9007199254740993},` +
		`"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`
}

// REQ B-23: filter and overrides apply to calls, by the one name that each tool has.
func TestToolConfigOfCalls(t *testing.T) {
	t.Parallel()
	backend := newToolServer(t)
	r := newRig(t, proxy("docs", backend.URL, "toolConfigRef: {name: view}")+toolConfig, nil)
	calls := []struct{ public, backend string }{ // "" for an unknown tool
		{"find", "search"}, {"fetch", "wipe"}, {"search", ""}, {"wipe", ""}, {"hidden", ""}, {"never was", ""},
	}
	for _, tt := range calls {
		req := httptest.NewRequest(http.MethodPost, "/servers/docs/mcp", strings.NewReader(modernCall(tt.public)))
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Mcp-Protocol-Version", "2026-07-28")
		req.Header.Set("Mcp-Method", "tools/call")
		req.Header.Set("Mcp-Name", tt.public)
		w := r.send(req)
		if tt.backend == "" {
			if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "-32602") {
				t.Errorf("%s: got %d %s, want an unknown tool", tt.public, w.Code, w.Body)
			}
			continue
		}
		body, name := backend.last()
		if want := modernCall(tt.backend); w.Code != http.StatusOK || body != want || name != tt.backend {
			t.Errorf("%s: the backend was called %q with %s, want %s", tt.public, name, body, want)
		}
	}
}

// REQ B-23: they apply to lists, as JSON and as an event stream. REQ F-4: what is
// not overridden stays as it was.
func TestToolConfigOfLists(t *testing.T) {
	t.Parallel()
	r := newRig(t, proxy("docs", newToolServer(t).URL, "toolConfigRef: {name: view}")+toolConfig, nil)
	want := `{"tools":[` +
		`	{"name":"find","description":"Finds \"things\"","inputSchema":{"big":9007199254740993},"annotations":{"title":"Find","vendor":1,"readOnlyHint":true},"x":[1,2]},` +
		`	{"name":"fetch","description":"w"}],"nextCursor":"c"}`
	for _, kind := range []string{"json", "sse"} {
		req := httptest.NewRequest(http.MethodPost, "/servers/docs/mcp",
			strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":"`+kind+`"}}`))
		req.Header.Set("Content-Type", "application/json")
		got := r.send(req).Body.String()
		if kind == "sse" {
			if !strings.Contains(got, "notifications/message") || !strings.Contains(got, "id: 7\n") {
				t.Errorf("the stream lost something: %s", got)
			}
			got = got[strings.LastIndex(got, "data: ")+len("data: "):]
		}
		var msg struct{ Result json.RawMessage }
		if err := json.Unmarshal([]byte(got), &msg); err != nil {
			t.Fatalf("%s: %v in %s", kind, err, got)
		}
		if string(msg.Result) != want {
			t.Errorf("%s list:\ngot  %s\nwant %s", kind, msg.Result, want)
		}
	}
}
