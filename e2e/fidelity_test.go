package e2e_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// oddResult is JSON that a decoder into structs, or into floating-point numbers, does not give back.
const oddResult = `{"z":18446744073709551617,"a":1.000,"n":9007199254740993,"s":"\u0041\u2028\/é😀","vendor":[null,{"x":{}}],"resultType":"hologram"}`

// oddParams are params of the same kind, with line breaks between the members, which stdio does not allow.
const oddParams = "\"vendor\":[null,{}],\n\t\"arguments\":{\"n\":9007199254740993,\"x\":1.0e+2,\"s\":\"\\u00e9\\/\\ud83d\\ude00é😀\\u2028\"},\r\n \"name\":\"a\""

// TestDuplexPassesUntouched sends odd messages, of known and unknown methods, to servers that are not reached
// over Streamable HTTP, and looks at what they and the client got.
//
// REQ F-1, REQ F-4: unknown methods, fields and large numbers pass unchanged to and from stdio and HTTP+SSE servers.
func TestDuplexPassesUntouched(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"stdio", "sse"} {
		for _, method := range []string{"tools/call", "vendor/custom"} {
			t.Run(way+"/"+method, func(t *testing.T) {
				t.Parallel()
				g, heard := startEcho(t, way)
				session := initialize(t, g.MCP())
				got := legacy(g.MCP(), method, oddParams).with("Mcp-Session-Id", session).do(t)
				if got.Status != http.StatusOK || !strings.Contains(got.Body, oddResult) {
					t.Errorf("the client got status %d, %s\nwant the result %s", got.Status, got.Body, oddResult)
				}
				for _, member := range strings.FieldsFunc(oddParams, func(r rune) bool { return strings.ContainsRune("\n\r\t", r) }) {
					if request := heard(got.Body); !strings.Contains(request, strings.Trim(member, " ,")) {
						t.Errorf("the backend got %s\nwant %s", request, member)
					}
				}
			})
		}
	}
}

// startEcho starts a gateway before a server that answers everything with oddResult. Heard tells what it got,
// given what the client got.
func startEcho(t *testing.T, way string) (g *testkit.Gateway, heard func(answer string) string) {
	t.Helper()
	if way == "stdio" {
		g = testkit.Start(t, append([]string{"run", "--"}, testkit.EchoBackend(t, oddResult)...)...)
		return g, func(answer string) string {
			_, answer, _ = strings.Cut(answer, `"heard":`)
			var request string
			_ = json.NewDecoder(strings.NewReader(answer)).Decode(&request) // "" is compared too
			return request
		}
	}
	s := &sseServer{}
	backend := testkit.Record(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			s.stream(w, r, "")
			return
		}
		s.message(w, r, func(m rpcRequest) string {
			if m.Method == "initialize" {
				return sessionBackendResult(m)
			}
			return oddResult
		})
	})
	g = testkit.Start(t, "run", "--transport", "sse", backend.URL+"/sse")
	return g, func(string) string {
		all := backend.Requests()
		return string(all[len(all)-1].Body)
	}
}
