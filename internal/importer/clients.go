package importer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/tailscale/hujson"
)

// server is an entry of a client's file: a command, or a URL.
type server struct {
	name    string
	command []string
	env     map[string]string
	dir     string

	url       string
	transport string // sse, or "" for Streamable HTTP
	headers   map[string]string
	clientID  string // registered beforehand at the authorization server
	clientKey string // its secret

	tools   []string // the only ones wanted
	group   string   // of a virtual server
	passed  []string // headers of the caller's that are passed on
	inputs  map[string]string
	notes   []string
	leftOut string
}

func (s *server) note(format string, args ...any) {
	s.notes = append(s.notes, fmt.Sprintf(format, args...))
}

// member is one member of a JSON object, in the order of the file.
type member struct {
	name  string
	value json.RawMessage
}

// members takes an object apart; a name that stands twice is an error, since tools differ in which one they take.
func members(object json.RawMessage) ([]member, error) {
	dec := json.NewDecoder(bytes.NewReader(object))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("must be an object")
	}
	var all []member
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, err
		}
		m := member{name: name.(string)}
		if err := dec.Decode(&m.value); err != nil {
			return nil, err
		}
		if slices.ContainsFunc(all, func(o member) bool { return o.name == m.name }) {
			return nil, fmt.Errorf("%q stands there twice; keep one of them", m.name)
		}
		all = append(all, m)
	}
	return all, nil
}

// json reads JSON with comments and trailing commas, as editors keep it.
func (in *input) json(text []byte) (*Result, error) {
	tree, err := hujson.Parse(text)
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "hujson: ")) // with line and column
	}
	tree.Standardize()
	top, err := members(tree.Pack())
	if err != nil {
		return nil, err
	}
	if _, ok := find(top, "apiVersion"); ok {
		return in.toolHive(text)
	}
	if entities, ok := find(top, "entities"); ok {
		return in.contextForge(entities)
	}
	return in.clients(top)
}

// isTOML recognises Codex's file under another name.
func isTOML(text []byte) bool { return bytes.Contains(text, []byte("[mcp_servers.")) }

// toml reads Codex's configuration.
func (in *input) toml(text []byte) (*Result, error) {
	var doc map[string]any
	if err := toml.Unmarshal(text, &doc); err != nil {
		var at *toml.DecodeError
		if errors.As(err, &at) {
			row, column := at.Position()
			return nil, fmt.Errorf("line %d, column %d: %s", row, column, strings.TrimPrefix(at.Error(), "toml: "))
		}
		return nil, err
	}
	plain, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	top, err := members(plain)
	if err != nil {
		return nil, err
	}
	return in.clients(top)
}

func find(all []member, name string) (json.RawMessage, bool) {
	i := slices.IndexFunc(all, func(m member) bool { return m.name == name })
	if i < 0 {
		return nil, false
	}
	return all[i].value, true
}

// containers are where clients keep their servers.
var containers = []struct{ at, client string }{
	{"mcpServers", "mcpServers, as Claude, Cursor, Windsurf, Gemini and others have it"},
	{"mcp_servers", "mcp_servers, as Codex has it"},
	{"context_servers", "context_servers, as Zed has it"},
	{"servers", "servers, as VS Code has it"},
	{"mcp.servers", "mcp.servers, as VS Code's settings have it"},
	{"mcp", "mcp, as opencode has it"},
	{"projects.*.mcpServers", "mcpServers of projects, as Claude Code has it"},
}

// clients reads the servers of a client's file, wherever they stand in it.
func (in *input) clients(top []member) (*Result, error) {
	inputs, err := askedFor(top)
	if err != nil {
		return nil, err
	}
	result := &Result{}
	for _, c := range containers {
		found, err := descend(top, strings.Split(c.at, "."))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.at, err)
		}
		if c.at == "mcp" && result.Format != "" { // VS Code's settings, which were read above
			continue
		}
		for _, m := range found {
			s := readServer(m)
			s.inputs = inputs
			result.Entries = append(result.Entries, in.manifests(s)...)
		}
		if len(found) > 0 && result.Format == "" {
			result.Format = c.client
		}
	}
	if result.Format == "" {
		return nil, errors.New("has no MCP servers: none of mcpServers, servers, mcp, context_servers, mcp_servers; " +
			"nor is it a ToolHive manifest or an export of ContextForge")
	}
	return result, nil
}

// descend finds the members of what stands at a path; * is any name.
func descend(all []member, path []string) ([]member, error) {
	var out []member
	for _, m := range all {
		if m.name != path[0] && path[0] != "*" || len(m.value) == 0 || m.value[0] != '{' {
			continue
		}
		inner, err := members(m.value)
		if err != nil {
			return nil, err
		}
		if len(path) > 1 {
			if inner, err = descend(inner, path[1:]); err != nil {
				return nil, err
			}
		}
		out = append(out, inner...)
	}
	return out, nil
}

// askedFor are VS Code's inputs with their descriptions.
func askedFor(top []member) (map[string]string, error) {
	raw, ok := find(top, "inputs")
	if mcp, inner := find(top, "mcp"); !ok && inner {
		if in, err := members(mcp); err == nil {
			raw, ok = find(in, "inputs")
		}
	}
	if !ok {
		return nil, nil
	}
	var list []struct{ ID, Description string }
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("inputs: must be a list of objects with id and description: %w", err)
	}
	inputs := map[string]string{}
	for _, i := range list {
		inputs[i.ID] = i.Description
	}
	return inputs, nil
}
