package duplex

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

func TestReadMessage(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]mcp.Kind{
		`{"jsonrpc":"2.0","id":1,"method":"ping"}`:                             mcp.KindRequest,
		` { "method" : "ping" , "id" : "a" , "jsonrpc" : "2.0" } `:             mcp.KindRequest,
		`{"jsonrpc":"2.0","method":"notifications/x","params":{}}`:             mcp.KindNotification,
		`{"result":{"id":5,"method":"x"},"jsonrpc":"2.0","id":1}`:              mcp.KindResponse,
		`{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"x"}}`:           mcp.KindResponse,
		`{"jsonrpc":"2.0","id":null,"error":{"code":-32700}}`:                  mcp.KindResponse,
		`{"jsonrpc":"2.0","m\u0065thod":"ping","id":1}`:                        mcp.KindRequest,
		`{"jsonrpc":"2.0","id":1,"result":{"a":1,"a":2},"x":"` + "\xff" + `"}`: mcp.KindResponse, // not ours to judge
		`{"jsonrpc":"2.0","id":1}`:                                             0,
		`{"jsonrpc":"1.0","id":1,"result":1}`:                                  0,
		`{"id":1,"result":1}`:                                                  0,
		`{"level":"info","message":"server started"}`:                          0,
		`{"jsonrpc":"2.0","id":1,"result":1}}`:                                 0,
		`{"jsonrpc":"2.0","id":1,"result":1} {}`:                               0,
		`{"jsonrpc":"2.0","id":1,"result":{}`:                                  0,
		`[]`:                                                                   0,
		`"jsonrpc"`:                                                            0,
		`Server listening on stdio`:                                            0,
		``:                                                                     0,
	} {
		m, ok := readMessage([]byte(text))
		if ok != (want != 0) || m.kind != want {
			t.Errorf("%s\nis %v (%v), want %v", text, m.kind, ok, want)
		}
	}
}

func TestMessageParts(t *testing.T) {
	t.Parallel()
	m, ok := readMessage([]byte(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"a":[{"progressToken":1}],"progressToken":"\"t","_meta":{"io.modelcontextprotocol/subscriptionId":[2]}}}`))
	if got := string(m.bytes(m.progressToken())); !ok || got != `"\"t"` {
		t.Errorf("progress token is %s", got)
	}
	if got := string(m.bytes(m.subscription())); got != `[2]` {
		t.Errorf("subscription is %s", got)
	}
	m, ok = readMessage([]byte(`{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"data":{"code":1}}}`))
	if !ok || m.code() != -32601 || !m.failed() {
		t.Errorf("code is %d", m.code())
	}
	m, ok = readMessage([]byte(`{"jsonrpc":"2.0","id":1,"error":"no"}`))
	if !ok || m.code() != 0 || !m.failed() {
		t.Errorf("code is %d", m.code())
	}
}

func TestIDKey(t *testing.T) {
	t.Parallel()
	same := [][]string{
		{`1`, `1.0`, `1e0`, `10E-1`},
		{`0`, `-0`, `0.0`, `-0.0`},
		{`"a"`, `"\u0061"`},
		{`"1"`},
		{`-7`},
		{`9007199254740993`},
		{`9007199254740992`},
		{`123456789012345678901234567890`},
		{`1.5`},
		{`"é"`, `"\u00e9"`, `"\u00E9"`},
	}
	seen := map[string]int{}
	for i, group := range same {
		for _, id := range group {
			key := idKey([]byte(id))
			if other, ok := seen[key]; ok && other != i || key == "" {
				t.Errorf("key of %s is %q, that of %v too", id, key, same[other])
			}
			seen[key] = i
		}
		if len(seen) != i+1 {
			t.Errorf("%v have several keys", group)
		}
	}
	for _, id := range []string{`null`, `true`, `{}`, `[1]`, ``} {
		if key := idKey([]byte(id)); key != "" {
			t.Errorf("key of %s is %q", id, key)
		}
	}
}

func TestSplit(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		`{"a":1}`:                      {`{"a":1}`},
		` [ {"a":[1,2]} , "x,]" ,3 ] `: {`{"a":[1,2]}`, `"x,]"`, `3`},
		`[]`:                           nil,
		`[{"a":1}`:                     {`[{"a":1}`},
		`[log] started`:                {`[log] started`},
	} {
		var got []string
		for one := range split([]byte(text)) {
			got = append(got, string(one))
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", text, d)
		}
	}
}

// The spans of a message are what encoding/json finds there.
func FuzzReadMessage(f *testing.F) {
	for _, seed := range []string{
		initialize, initResult, toolCall("1"), progress("1"), elicit, `[` + elicit + `,` + listChanged + `]`,
		`{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"data":{"code":1}}}`,
		`{"jsonrpc":"2.0","method":"\u006d","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":2}}}`,
		" {\"a\":\t[ ] ,\"jsonrpc\":\"2.0\" , \"id\" :-1.5e+7,\"result\":null}\r",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		for one := range split(raw) {
			m, ok := readMessage(one)
			if !ok {
				continue
			}
			var want struct {
				ID     json.RawMessage `json:"id"`
				Result json.RawMessage `json:"result"`
			}
			members := map[string]json.RawMessage{}
			if err := json.Unmarshal(one, &members); err != nil {
				t.Fatalf("%q is a message and no JSON: %v", one, err)
			}
			// Unlike a struct, a map tells "id" from "ID".
			want.ID, want.Result = members["id"], members["result"]
			if got := m.bytes(m.id); string(got) != string(want.ID) {
				t.Errorf("id of %q is %q, want %q", one, got, want.ID)
			}
			if got := m.bytes(m.result); string(got) != string(want.Result) {
				t.Errorf("result of %q is %q, want %q", one, got, want.Result)
			}
			idKey(m.bytes(m.id))
			m.code()
			m.subscription()
			m.progressToken()
		}
	})
}
