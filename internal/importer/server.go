package importer

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// readServer reads an entry, whichever client wrote it: none uses a name for what another one means otherwise.
func readServer(m member) *server {
	s := &server{name: m.name, env: map[string]string{}, headers: map[string]string{}}
	fields, err := members(m.value)
	if err != nil {
		s.leftOut = err.Error()
		return s
	}
	var unknown []string
	for _, f := range fields {
		read, ok := serverFields[f.name]
		switch {
		case slices.Contains(aboutTheClient, f.name):
		case !ok:
			unknown = append(unknown, f.name)
		default:
			if err := read(s, f.value); err != nil {
				s.leftOut = fmt.Sprintf("%s: %v", f.name, err)
				return s
			}
		}
	}
	if len(unknown) > 0 {
		s.note("left out, since not known here: %s", strings.Join(unknown, ", "))
	}
	switch {
	case s.leftOut != "":
	case len(s.command) == 0 && s.url == "":
		s.leftOut = "has neither a command nor a URL"
	case len(s.command) > 0 && s.url != "":
		s.leftOut = "has a command and a URL; keep one of them"
	case len(s.command) > 0:
		s.bridge()
	}
	return s
}

// aboutTheClient are fields that say what the client does, and nothing about the server.
var aboutTheClient = []string{
	"alwaysAllow", "autoApprove", "trust", "description", "icon", "gallery", "dev", "version", "timeout", "startup_timeout_sec",
	"startup_timeout_ms", "tool_timeout_sec", "initTimeout", "disabledReason", "source", "settings", "displayName", "metadata", "oauth", "auth_type",
	"experimental_environment", "supports_parallel_tool_calls", "required",
}

// serverFields read the fields of entries.
var serverFields = map[string]func(*server, json.RawMessage) error{
	"command":     (*server).readCommand,
	"args":        func(s *server, v json.RawMessage) error { return s.readArgs(v) },
	"env":         func(s *server, v json.RawMessage) error { return readStrings(v, s.env) },
	"environment": func(s *server, v json.RawMessage) error { return readStrings(v, s.env) },
	"env_vars":    readEnvVars,
	"envFile": func(s *server, _ json.RawMessage) error {
		s.note("envFile is left out: give the variables that the server needs in env")
		return nil
	},
	"cwd":                  func(s *server, v json.RawMessage) error { return json.Unmarshal(v, &s.dir) },
	"url":                  func(s *server, v json.RawMessage) error { return json.Unmarshal(v, &s.url) },
	"serverUrl":            func(s *server, v json.RawMessage) error { return json.Unmarshal(v, &s.url) },
	"httpUrl":              func(s *server, v json.RawMessage) error { return json.Unmarshal(v, &s.url) },
	"type":                 readTransport,
	"transport":            readTransport,
	"headers":              func(s *server, v json.RawMessage) error { return readStrings(v, s.headers) },
	"http_headers":         func(s *server, v json.RawMessage) error { return readStrings(v, s.headers) },
	"env_http_headers":     readEnvHeaders,
	"bearer_token_env_var": readBearerVariable,
	"disabled":             func(s *server, v json.RawMessage) error { return s.readSwitch(v, true) },
	"enabled":              func(s *server, v json.RawMessage) error { return s.readSwitch(v, false) },
	"includeTools":         readTools,
	"enabled_tools":        readTools,
	"tools":                readTools,
	"excludeTools":         readExcluded,
	"disabled_tools":       readExcluded,
	"disabledTools":        readExcluded,
	"sandboxEnabled":       readSandbox,
	"sandbox":              readSandbox,
}

// readCommand reads a program, a whole command line as a list, or Zed's old object.
func (s *server) readCommand(v json.RawMessage) error {
	var words []string
	var object struct {
		Path, Command string
		Args          []string
		Env           map[string]string
	}
	var program string
	switch {
	case json.Unmarshal(v, &program) == nil:
		words = []string{program}
	case json.Unmarshal(v, &words) == nil:
	case json.Unmarshal(v, &object) == nil:
		words = append([]string{object.Path + object.Command}, object.Args...)
		for name, value := range object.Env {
			s.env[name] = value
		}
	}
	if len(words) == 0 || words[0] == "" {
		return fmt.Errorf("must be a program, or a list that begins with one")
	}
	s.command = append(words, s.command...) // args may stand before it
	return nil
}

func (s *server) readArgs(v json.RawMessage) error {
	var args []string
	if err := json.Unmarshal(v, &args); err != nil {
		return fmt.Errorf("must be a list of words")
	}
	s.command = append(s.command, args...)
	return nil
}

// readStrings reads an object of text, numbers and booleans.
func readStrings(v json.RawMessage, into map[string]string) error {
	all, err := members(v)
	if err != nil {
		return err
	}
	for _, m := range all {
		var text string
		switch {
		case json.Unmarshal(m.value, &text) == nil && string(m.value) != "null":
			into[m.name] = text
		case string(m.value) == "null", m.value[0] == '{', m.value[0] == '[':
			return fmt.Errorf("%s must be text", m.name)
		default:
			into[m.name] = string(m.value)
		}
	}
	return nil
}

// readTransport reads what the server speaks; most clients tell it from the other fields.
func readTransport(s *server, v json.RawMessage) error {
	var kind string
	if err := json.Unmarshal(v, &kind); err != nil {
		return fmt.Errorf("must be text")
	}
	switch strings.ToLower(kind) {
	case "", "stdio", "local", "remote", "http", "streamable-http", "streamablehttp", "streamable_http":
	case "sse":
		s.transport = "sse"
	default:
		return fmt.Errorf("%q is no transport known here; stdio, http and sse are", kind)
	}
	return nil
}

// readEnvVars reads names of variables that the client hands down.
func readEnvVars(s *server, v json.RawMessage) error {
	var names []string
	if err := json.Unmarshal(v, &names); err != nil {
		return fmt.Errorf("must be a list of names")
	}
	for _, name := range names {
		s.env[name] = "${" + name + "}"
	}
	return nil
}

func readEnvHeaders(s *server, v json.RawMessage) error {
	from := map[string]string{}
	if err := readStrings(v, from); err != nil {
		return err
	}
	for header, name := range from {
		s.headers[header] = "${" + name + "}"
	}
	return nil
}

func readBearerVariable(s *server, v json.RawMessage) error {
	var name string
	if err := json.Unmarshal(v, &name); err != nil {
		return fmt.Errorf("must be the name of a variable")
	}
	s.headers["Authorization"] = "Bearer ${" + name + "}"
	return nil
}

// readSwitch reads whether an entry is off; such an entry is left out.
func (s *server) readSwitch(v json.RawMessage, off bool) error {
	var on bool
	if err := json.Unmarshal(v, &on); err != nil {
		return fmt.Errorf("must be true or false")
	}
	if on == off {
		s.leftOut = "it is switched off there"
	}
	return nil
}

func readTools(s *server, v json.RawMessage) error {
	if err := json.Unmarshal(v, &s.tools); err != nil {
		s.note("tools is left out: it is no list of names")
		return nil
	}
	s.tools = slices.DeleteFunc(s.tools, func(name string) bool { return name == "*" })
	return nil
}

func readExcluded(s *server, v json.RawMessage) error {
	var names []string
	if json.Unmarshal(v, &names) == nil && len(names) > 0 {
		s.note("the tools %s are switched off there, and here a tool is on or off by a list of those wanted: write an MCPToolConfig with toolsFilter, or a policy that forbids them", strings.Join(names, ", "))
	}
	return nil
}

func readSandbox(s *server, _ json.RawMessage) error {
	s.note("sandbox is left out: a command runs with the gateway's own rights")
	return nil
}
