package demo

import (
	"context"
	"slices"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

type headersOutput struct {
	Headers    []header `json:"headers" jsonschema:"what reached this server, sorted by name"`
	Credential bool     `json:"credential" jsonschema:"whether something that looks like a credential was among them"`
}

type header struct {
	Name  string `json:"name"`
	Value string `json:"value" jsonschema:"the value, or [redacted] for a credential, or [hidden] for what is not known to be harmless"`
}

// receivedHeaders shows what the gateway strips. It must not become the way by
// which a caller learns the credential that the gateway showed this server.
func receivedHeaders(_ context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, headersOutput, error) {
	out := headersOutput{Headers: []header{}}
	if req.Extra == nil {
		return nil, out, nil
	}
	for name, values := range req.Extra.Header {
		value := "[hidden]"
		switch {
		case isCredential(name):
			value = "[redacted]"
			out.Credential = true
		case name == "Mcp-Session-Id":
			value = "[redacted]"
		case isHarmless(name):
			value = strings.Join(values, ", ")
		}
		out.Headers = append(out.Headers, header{Name: name, Value: value})
	}
	slices.SortFunc(out.Headers, func(a, b header) int { return strings.Compare(a.Name, b.Name) })
	return nil, out, nil
}

func isCredential(name string) bool {
	name = strings.ToLower(name)
	for _, word := range [...]string{"authorization", "cookie", "token", "secret", "key", "password", "credential", "assertion", "jwt"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}

func isHarmless(name string) bool {
	switch name {
	case "Accept", "Accept-Encoding", "Content-Length", "Content-Type", "User-Agent",
		"Mcp-Protocol-Version", "Mcp-Method", "Mcp-Name":
		return true
	}
	return false
}
