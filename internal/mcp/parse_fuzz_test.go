package mcp_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// message is how a backend in Go may read one: encoding/json takes keys in any
// case, and the last one of several.
type message struct {
	JSONRPC string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Method  string          `json:"method"`
	Params  struct {
		Name   json.RawMessage `json:"name"`
		URI    json.RawMessage `json:"uri"`
		TaskID json.RawMessage `json:"taskId"`
		Meta   struct {
			Version      *string         `json:"io.modelcontextprotocol/protocolVersion"`
			Capabilities json.RawMessage `json:"io.modelcontextprotocol/clientCapabilities"`
			Progress     json.RawMessage `json:"progressToken"`
		} `json:"_meta"`
	} `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  json.RawMessage `json:"error"`
}

// FuzzParse holds Parse against encoding/json: what it accepts, both read alike.
// REQ F-5
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		legacyCall, modernCall,
		`{"jsonrpc":"2.0","id":"x","method":"ping"}`,
		`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`,
		`{"jsonrpc":"2.0","id":1,"result":{"tools":[]}}`,
		`{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no"}}`,
		`{"params":{"ur\u0069":"file:\/\/\/\u00e9"},"jsonrpc":"2.0","method":"resources/read","id":-0}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"Name":"b","name":"a"}}`,
		`{"jsonrpc":"2.0","id":1,"id":2,"method":"tasks/get","params":{"taskId":"t"}}`,
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"param\u017f\":{}}",
		`[{"jsonrpc":"2.0","id":1,"method":"ping"}]`,
		`{"jsonrpc":"2.0","id":1e0,"method":"ping"} `,
		`{"a":[[[[[[1e999,"\"{[",-0.5E-7]]]]]]}`,
		"\ufeff{}", "{", `"`, `{"a":"\`, "",
	} {
		f.Add([]byte(s))
	}
	lim := mcp.Limits{MaxDepth: 16, MaxNumberLen: 40}
	f.Fuzz(func(t *testing.T, raw []byte) {
		before := bytes.Clone(raw)
		e, refused := mcp.Parse(raw, lim)
		if !bytes.Equal(before, raw) {
			t.Fatal("Parse changed its input")
		}
		if refused != nil {
			if refused.Status != http.StatusBadRequest || refused.Message == "" {
				t.Fatalf("refused with %d %q", refused.Status, refused.Message)
			}
			if body := refused.Append(nil, e.ID); !json.Valid(body) {
				t.Fatalf("the error is no JSON: %s", body)
			}
			return
		}
		sameAsEncodingJSON(t, raw, &e)
		again, refused := mcp.Parse(raw, lim)
		if refused != nil {
			t.Fatalf("accepted once, refused twice: %v", refused)
		}
		if diff := cmp.Diff(viewOf(&e), viewOf(&again)); diff != "" {
			t.Fatal(diff)
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, raw); err != nil {
			t.Fatal(err)
		}
		small, refused := mcp.Parse(compact.Bytes(), lim)
		if refused != nil || small.Method != e.Method || small.Target != e.Target || !bytes.Equal(small.ID, e.ID) || small.Kind != e.Kind {
			t.Fatalf("without white space it reads differently: %+v, %v", viewOf(&small), refused)
		}
	})
}

func sameAsEncodingJSON(t *testing.T, raw []byte, e *mcp.Envelope) {
	t.Helper()
	var m message
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatalf("encoding/json refuses it: %v", err)
	}
	if m.JSONRPC != "2.0" || m.Method != e.Method || !bytes.Equal(m.ID, e.ID) {
		t.Fatalf("encoding/json reads method %q, id %s; Parse %q, %s", m.Method, m.ID, e.Method, e.ID)
	}
	kind := mcp.KindResponse
	if m.Method != "" && m.ID != nil {
		kind = mcp.KindRequest
	} else if m.Method != "" {
		kind = mcp.KindNotification
	}
	if e.Kind != kind {
		t.Fatalf("kind %d, want %d", e.Kind, kind)
	}
	target := map[string]json.RawMessage{
		"tools/call": m.Params.Name, "prompts/get": m.Params.Name,
		"resources/read": m.Params.URI, "resources/subscribe": m.Params.URI, "resources/unsubscribe": m.Params.URI,
		"tasks/get": m.Params.TaskID, "tasks/update": m.Params.TaskID, "tasks/cancel": m.Params.TaskID, "tasks/result": m.Params.TaskID,
	}[m.Method]
	var want string
	if target != nil {
		if err := json.Unmarshal(target, &want); err != nil {
			t.Fatal(err)
		}
	}
	if e.Target != want || !bytes.Equal(e.Bytes(e.TargetSpan), target) {
		t.Fatalf("encoding/json reads target %s, Parse %q", target, e.Target)
	}
	meta := m.Params.Meta
	if (meta.Version != nil) != e.Meta.HasVersion || (meta.Version != nil && *meta.Version != e.Meta.ProtocolVersion) {
		t.Fatalf("encoding/json reads version %v, Parse %q", meta.Version, e.Meta.ProtocolVersion)
	}
	if e.Meta.HasClientCapabilities != bytes.HasPrefix(meta.Capabilities, []byte("{")) {
		t.Fatalf("client capabilities: %s, Parse has %v", meta.Capabilities, e.Meta.HasClientCapabilities)
	}
	if !bytes.Equal(meta.Progress, e.Bytes(e.Meta.ProgressToken)) {
		t.Fatalf("progress token: %s, Parse %s", meta.Progress, e.Bytes(e.Meta.ProgressToken))
	}
}
