package main

import (
	"fmt"
	"strings"
)

// scenario is one kind of call, made again and again.
type scenario struct {
	name    string
	modern  bool   // 2026-07-28, without a session; otherwise 2025-11-25 in one
	method  string // tools/call, tools/list or initialize
	tool    string // which answer of the stub
	atLeast int    // bytes an answer must have to count
	guarded bool   // with the token of one user after the other; the only kind that guarded targets answer
	tls     bool   // with TLS on both sides; for the targets that have it, and only for them
	members int    // for the virtual server with so many members only
}

const (
	legacyRevision = "2025-11-25"
	modernRevision = "2026-07-28"

	bigResult = 256 << 10
	manyTools = "many" // a cursor: the list of 200 tools

	manyMembers = 50 // of the largest virtual server
)

func scenarios() []scenario {
	call := "tools/call"
	return []scenario{
		{name: "call-small", method: call, tool: "small", atLeast: 200},
		{name: "call-modern", method: call, tool: "small", atLeast: 200, modern: true},
		{name: "call-sse", method: call, tool: "sse", atLeast: 200},
		{name: "call-sse5", method: call, tool: "sse5", atLeast: 600},
		{name: "call-big", method: call, tool: "big", atLeast: bigResult},
		{name: "call-big-sse", method: call, tool: "big-sse", atLeast: bigResult},
		{name: "list", method: "tools/list", atLeast: 5000},
		{name: "call-guarded", method: call, tool: "small", atLeast: 200, modern: true, guarded: true},
		{name: "call-tls", method: call, tool: "small", atLeast: 200, tls: true},
		{name: "initialize", method: "initialize", atLeast: 50},
		{name: "list-virtual", method: "tools/list", atLeast: 300_000, modern: true, members: manyMembers},
		{name: "list-guarded", method: "tools/list", tool: manyTools, atLeast: 50_000, modern: true, guarded: true},
	}
}

func scenarioNamed(name string) (scenario, bool) {
	for _, s := range scenarios() {
		if s.name == name {
			return s, true
		}
	}
	return scenario{}, false
}

func scenarioNames() []string {
	var names []string
	for _, s := range scenarios() {
		names = append(names, s.name)
	}
	return names
}

// idWidth is the fixed length of a request's id, so that it can be changed in place.
const idWidth = 10

// request renders the whole HTTP request of the scenario, and where in it the id
// stands. The token is "" for none, and prefix stands before the tool's name.
func (s scenario) request(host, path, session, token, prefix string) (raw []byte, idAt int) {
	meta := ""
	var header string
	if s.modern {
		meta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"` + modernRevision + `",` +
			`"io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}`
		header = "Mcp-Protocol-Version: " + modernRevision + "\r\nMcp-Method: " + s.method + "\r\n"
		if s.method == "tools/call" {
			header += "Mcp-Name: " + prefix + s.tool + "\r\n"
		}
	} else {
		header = sessionHeader(session)
	}
	if token != "" {
		header += "Authorization: Bearer " + token + "\r\n"
	}
	params := meta
	switch {
	case s.method == "initialize":
		header, params = "", initializeParams
	case s.method == "tools/list" && s.tool != "":
		params = `"cursor":"` + s.tool + `",` + meta
	case s.tool != "":
		params = strings.TrimSuffix(`"name":"`+prefix+s.tool+`","arguments":{"message":"some text of ordinary length"},`+meta, ",")
	}
	id := "1" + strings.Repeat("0", idWidth-1)
	body := `{"jsonrpc":"2.0","id":` + id + `,"method":"` + s.method + `","params":{` + params + `}}`
	raw = post(host, path, header, body)
	return raw, len(raw) - len(body) + strings.Index(body, id)
}

const initializeParams = `"protocolVersion":"` + legacyRevision + `","capabilities":{},"clientInfo":{"name":"bench","version":"1"}`

func sessionHeader(session string) string {
	h := "Mcp-Protocol-Version: " + legacyRevision + "\r\n"
	if session != "" {
		h += "Mcp-Session-Id: " + session + "\r\n"
	}
	return h
}

func post(host, path, header, body string) []byte {
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nContent-Type: application/json\r\n"+
		"Accept: application/json, text/event-stream\r\nContent-Length: %d\r\n%s\r\n%s", path, host, len(body), header, body)
}
