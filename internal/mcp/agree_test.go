package mcp_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

func mustParse(t testing.TB, s string) *mcp.Envelope {
	t.Helper()
	e, err := mcp.Parse([]byte(s), mcp.DefaultLimits())
	if err != nil {
		t.Fatalf("Parse(%s): %v", s, err)
	}
	return &e
}

// headers makes a header of "Name: value" lines, as a server receives them.
func headers(lines ...string) http.Header {
	h := http.Header{}
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ":")
		h.Add(name, strings.TrimSpace(value))
	}
	return h
}

const (
	meta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`

	plainList  = `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`
	modernList = `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{` + meta + `}}`
)

func metaVersion(v string) string { return strings.Replace(modernList, "2026-07-28", v, 1) }

func TestEra(t *testing.T) {
	t.Parallel()
	// REQ F-1, F-5
	tests := map[string]struct {
		header http.Header
		body   string
		want   mcp.Revision
		code   int
	}{
		"nothing said":              {headers(), plainList, "", 0},
		"2024-11-05":                {headers("MCP-Protocol-Version: 2024-11-05"), plainList, mcp.Rev20241105, 0},
		"2025-03-26":                {headers("MCP-Protocol-Version: 2025-03-26"), plainList, mcp.Rev20250326, 0},
		"2025-06-18":                {headers("mcp-protocol-version: 2025-06-18"), plainList, mcp.Rev20250618, 0},
		"2025-11-25":                {headers("Mcp-Protocol-Version: 2025-11-25"), plainList, mcp.Rev20251125, 0},
		"2026-07-28":                {headers("MCP-Protocol-Version: 2026-07-28"), modernList, mcp.Rev20260728, 0},
		"legacy in both":            {headers("MCP-Protocol-Version: 2025-11-25"), metaVersion("2025-11-25"), mcp.Rev20251125, 0},
		"modern notification":       {headers("MCP-Protocol-Version: 2026-07-28"), `{"jsonrpc":"2.0","method":"notifications/x"}`, mcp.Rev20260728, 0},
		"legacy response":           {headers("MCP-Protocol-Version: 2025-11-25"), `{"jsonrpc":"2.0","id":1,"result":{}}`, mcp.Rev20251125, 0},
		"initialize, no header":     {headers(), `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2026-07-28"}}`, "", 0},
		"modern, no _meta":          {headers("MCP-Protocol-Version: 2026-07-28"), plainList, "", mcp.CodeInvalidParams},
		"modern initialize":         {headers("MCP-Protocol-Version: 2026-07-28"), `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2026-07-28"}}`, "", mcp.CodeInvalidParams},
		"modern, no capabilities":   {headers("MCP-Protocol-Version: 2026-07-28"), strings.Replace(modernList, "clientCapabilities", "x", 1), "", mcp.CodeInvalidParams},
		"no header, _meta":          {headers(), modernList, "", mcp.CodeHeaderMismatch},
		"no header, legacy _meta":   {headers(), metaVersion("2025-11-25"), "", mcp.CodeHeaderMismatch},
		"older in the header":       {headers("MCP-Protocol-Version: 2025-11-25"), modernList, "", mcp.CodeHeaderMismatch},
		"older in _meta":            {headers("MCP-Protocol-Version: 2026-07-28"), metaVersion("2025-11-25"), "", mcp.CodeHeaderMismatch},
		"notification that differs": {headers("MCP-Protocol-Version: 2025-11-25"), `{"jsonrpc":"2.0","method":"x","params":{` + meta + `}}`, "", mcp.CodeHeaderMismatch},
		"two headers":               {headers("MCP-Protocol-Version: 2025-11-25", "MCP-Protocol-Version: 2025-11-25"), plainList, "", mcp.CodeHeaderMismatch},
		"two in one":                {headers("MCP-Protocol-Version: 2025-11-25, 2025-11-25"), plainList, "", mcp.CodeUnsupportedVersion},
		"from the future":           {headers("MCP-Protocol-Version: 2027-01-01"), metaVersion("2027-01-01"), "", mcp.CodeUnsupportedVersion},
		"future, no _meta":          {headers("MCP-Protocol-Version: 2027-01-01"), plainList, "", mcp.CodeUnsupportedVersion},
		"garbage":                   {headers("MCP-Protocol-Version: latest"), plainList, "", mcp.CodeUnsupportedVersion},
		"never was":                 {headers("MCP-Protocol-Version: 2025-01-01"), plainList, "", mcp.CodeUnsupportedVersion},
		"empty":                     {headers("MCP-Protocol-Version:"), plainList, "", mcp.CodeUnsupportedVersion},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := mcp.Era(tt.header, mustParse(t, tt.body))
			if got != tt.want || codeOf(err) != tt.code {
				t.Errorf("Era = %q, %v; want %q, code %d", got, err, tt.want, tt.code)
			}
			if err != nil && err.Status != http.StatusBadRequest {
				t.Errorf("status %d", err.Status)
			}
		})
	}
}

func codeOf(err *mcp.Error) int {
	if err == nil {
		return 0
	}
	return err.Code
}

func TestCheckHeaders(t *testing.T) {
	t.Parallel()
	// REQ F-5: header and body say the same, or nothing is done.
	modern := func(method, params string) string {
		return `{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":{` + params + `,` + meta + `}}`
	}
	add := modern("tools/call", `"name":"add"`)
	const version = "MCP-Protocol-Version: 2026-07-28"
	tests := map[string]struct {
		header http.Header
		body   string
		ok     bool
	}{
		"tool":                {headers(version, "Mcp-Method: tools/call", "Mcp-Name: add"), add, true},
		"prompt":              {headers(version, "Mcp-Method: prompts/get", "Mcp-Name: p q"), modern("prompts/get", `"name":"p q"`), true},
		"resource":            {headers(version, "Mcp-Method: resources/read", "Mcp-Name: file:///x"), modern("resources/read", `"uri":"file:///x"`), true},
		"task":                {headers(version, "Mcp-Method: tasks/update", "Mcp-Name: t"), modern("tasks/update", `"taskId":"t"`), true},
		"no name to give":     {headers(version, "Mcp-Method: tools/list"), modernList, true},
		"encoded":             {headers(version, "Mcp-Method: tools/call", "Mcp-Name: =?base64?w6k=?="), modern("tools/call", `"name":"\u00e9"`), true},
		"encoded needlessly":  {headers(version, "Mcp-Method: tools/call", "Mcp-Name: =?base64?YWRk?="), add, true},
		"looks encoded":       {headers(version, "Mcp-Method: tools/call", "Mcp-Name: =?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="), modern("tools/call", `"name":"=?base64?literal?="`), true},
		"empty name":          {headers(version, "Mcp-Method: tools/call", "Mcp-Name:"), modern("tools/call", `"name":""`), true},
		"nothing named":       {headers(version, "Mcp-Method: tools/call"), modern("tools/call", `"x":1`), true}, // the backend says so better
		"extension":           {headers(version, "Mcp-Method: x/y", "Mcp-Name: z"), modern("x/y", `"thing":"z"`), true},
		"other headers":       {headers(version, "Mcp-Method: tools/call", "Mcp-Name: add", "Mcp-Param-X: 1", "Mcp-Future: 2"), add, true},
		"notification":        {headers(version), `{"jsonrpc":"2.0","method":"notifications/x"}`, true},
		"notification, said":  {headers(version, "Mcp-Method: notifications/x"), `{"jsonrpc":"2.0","method":"notifications/x"}`, true},
		"legacy":              {headers("MCP-Protocol-Version: 2025-11-25"), call(`{"name":"a"}`), true},
		"legacy, said":        {headers("Mcp-Method: tools/call", "Mcp-Name: a"), call(`{"name":"a"}`), true},
		"legacy subscription": {headers("Mcp-Name: file:///x"), `{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"file:///x"}}`, true},

		"no method":              {headers(version, "Mcp-Name: add"), add, false},
		"no name":                {headers(version, "Mcp-Method: tools/call"), add, false},
		"other method":           {headers(version, "Mcp-Method: tools/list", "Mcp-Name: add"), add, false},
		"method in another case": {headers(version, "Mcp-Method: TOOLS/CALL", "Mcp-Name: add"), add, false},
		"other name":             {headers(version, "Mcp-Method: tools/call", "Mcp-Name: sub"), add, false},
		"name in another case":   {headers(version, "Mcp-Method: tools/call", "Mcp-Name: Add"), add, false},
		"two methods":            {headers(version, "Mcp-Method: tools/call", "Mcp-Method: tools/call", "Mcp-Name: add"), add, false},
		"two names":              {headers(version, "Mcp-Method: tools/call", "Mcp-Name: add", "Mcp-Name: add"), add, false},
		"name of nothing":        {headers(version, "Mcp-Method: tools/list", "Mcp-Name: add"), modernList, false},
		"name not in the body":   {headers(version, "Mcp-Method: tools/call", "Mcp-Name: add"), modern("tools/call", `"x":1`), false},
		"empty, not in the body": {headers(version, "Mcp-Method: tools/call", "Mcp-Name:"), modern("tools/call", `"x":1`), false},
		"wrong base64":           {headers(version, "Mcp-Method: tools/call", "Mcp-Name: =?base64?YWR?="), add, false},
		"raw UTF-8":              {headers(version, "Mcp-Method: tools/call", "Mcp-Name: é"), modern("tools/call", `"name":"é"`), false},
		"sentinel unencoded":     {headers(version, "Mcp-Method: tools/call", "Mcp-Name: =?base64?literal?="), modern("tools/call", `"name":"=?base64?literal?="`), false},
		"sentinel in upper case": {headers(version, "Mcp-Method: tools/call", "Mcp-Name: =?BASE64?YWRk?="), add, false},
		"notification, other":    {headers(version, "Mcp-Method: ping"), `{"jsonrpc":"2.0","method":"notifications/x"}`, false},
		"response with a method": {headers("Mcp-Method: ping"), `{"jsonrpc":"2.0","id":1,"result":{}}`, false},
		"response with a name":   {headers("Mcp-Name: a"), `{"jsonrpc":"2.0","id":1,"result":{}}`, false},
		"legacy, other method":   {headers("MCP-Protocol-Version: 2025-11-25", "Mcp-Method: ping"), call(`{"name":"a"}`), false},
		"legacy, other name":     {headers("Mcp-Name: b"), call(`{"name":"a"}`), false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := mcp.CheckHeaders(tt.header, mustParse(t, tt.body))
			if tt.ok != (err == nil) {
				t.Fatalf("CheckHeaders = %v", err)
			}
			if err != nil && (err.Code != mcp.CodeHeaderMismatch || err.Status != http.StatusBadRequest) {
				t.Errorf("CheckHeaders = %d, %v", err.Status, err)
			}
		})
	}
}
