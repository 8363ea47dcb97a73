package importer

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
)

// contextForge reads an export of ContextForge: its gateways are remote servers, and become proxies. What it keeps
// encrypted cannot be read by anybody else and has to be given again.
func (in *input) contextForge(raw json.RawMessage) (*Result, error) {
	var entities struct {
		Gateways []struct {
			Name, URL, Transport string
			Active               *bool    `json:"is_active"`
			AuthType             string   `json:"auth_type"`
			Passthrough          []string `json:"passthrough_headers"`
		}
		Servers, Tools, Prompts, Resources, Roots []struct{ Name, URI string }
	}
	if err := json.Unmarshal(raw, &entities); err != nil {
		return nil, fmt.Errorf("entities: %w", err)
	}
	result := &Result{Format: "an export of ContextForge"}
	for _, g := range entities.Gateways {
		s := &server{name: g.Name, url: g.URL, passed: g.Passthrough, headers: map[string]string{}}
		switch strings.ToUpper(g.Transport) {
		case "SSE":
			s.transport = "sse"
		case "", "STREAMABLEHTTP", "HTTP":
		default:
			s.leftOut = fmt.Sprintf("speaks %s, and only Streamable HTTP and HTTP+SSE are remote servers here", g.Transport)
		}
		if g.Active != nil && !*g.Active {
			s.leftOut = "it is switched off there"
		}
		switch g.AuthType {
		case "":
		case "bearer", "basic", "authheaders":
			s.headers["Authorization"] = "${input:credential}"
			s.inputs = map[string]string{"credential": "the whole value of the header: the export has it encrypted"}
			s.note("if its credential (%s) is in another header than Authorization, change headerName", g.AuthType)
		default:
			s.note("its credential (%s) is encrypted in the export; sign in again, or see docs/how-to/credentials.md", g.AuthType)
		}
		result.Entries = append(result.Entries, in.manifests(s)...)
	}
	leave := func(list []struct{ Name, URI string }, why string) {
		for _, o := range list {
			result.Entries = append(result.Entries, Entry{Name: o.Name + o.URI, LeftOut: why})
		}
	}
	leave(entities.Servers, "a virtual server: put its members into an MCPGroup and write a VirtualMCPServer, whose aggregation.tools say which tools it has")
	leave(entities.Tools, "a REST tool of the gateway's own: only MCP servers are served here")
	leave(entities.Prompts, "a prompt of the gateway's own: servers have prompts, the gateway has none")
	leave(entities.Resources, "a resource of the gateway's own: servers have resources, the gateway has none")
	leave(entities.Roots, "a root of the gateway's own: clients have roots")
	return result, nil
}

func decodeBase64(text string) (string, error) {
	plain, err := base64.StdEncoding.DecodeString(text)
	return string(plain), err
}
