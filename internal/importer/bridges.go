package importer

import (
	"encoding/json"
	"maps"
	"path"
	"slices"
	"strings"
)

// bridge turns a command that only connects a stdio client to a remote server into that server: the gateway connects by
// itself, signs in by itself, and needs no process for it.
func (s *server) bridge() {
	for i, word := range s.command {
		tool, ok := bridges[packageName(word)]
		if !ok || i > 0 && !runsPackages[program(s.command[0])] {
			continue
		}
		args := expandShell(s.command[i+1:], s.env)
		remote := server{headers: map[string]string{}}
		tool(&remote, args)
		if remote.url == "" {
			return // it serves something else, or in a way that is not known here: keep the command
		}
		s.note("%s only connected to %s; the gateway does that by itself", packageName(word), withoutQuery(remote.url))
		s.command, s.url, s.transport = nil, remote.url, remote.transport
		s.clientID, s.clientKey = remote.clientID, remote.clientKey
		maps.Copy(s.headers, remote.headers)
		s.notes = append(s.notes, remote.notes...)
		return
	}
}

// runsPackages are programs that run another one, which one of their words names.
var runsPackages = map[string]bool{
	"npx": true, "bunx": true, "pnpm": true, "yarn": true, "npm": true, "node": true, "deno": true, "uvx": true, "uv": true, "pipx": true, "cmd": true, "env": true, "bun": true,
}

// bridges are the programs, and how to read their arguments.
var bridges = map[string]func(remote *server, args []string){
	"mcp-remote":   mcpRemote,
	"supergateway": superGateway,
	"mcp-proxy":    mcpProxy,
	"sallyport":    sallyport,
}

func mcpRemote(remote *server, args []string) {
	for i := 0; i < len(args); i++ {
		value := func() string {
			if i++; i < len(args) {
				return args[i]
			}
			return ""
		}
		switch arg := args[i]; arg {
		case "--header":
			remote.header(value())
		case "--transport":
			if strings.HasPrefix(value(), "sse") {
				remote.transport = "sse"
			}
		case "--static-oauth-client-info":
			var client struct {
				ID     string `json:"client_id"`
				Secret string `json:"client_secret"`
			}
			if text := value(); json.Unmarshal([]byte(text), &client) == nil {
				remote.clientID, remote.clientKey = client.ID, client.Secret
			} else {
				remote.note("%s is left out: it is in a file; set oauth.clientId and oauth.clientSecretRef", arg)
			}
		case "--static-oauth-client-metadata", "--resource", "--ignore-tool":
			value()
			remote.note("%s is left out", arg)
		case "--host", "--auth-timeout":
			value() // about the bridge's own callback
		default:
			if !strings.HasPrefix(arg, "-") && remote.url == "" {
				remote.url = arg
			}
		}
	}
}

func superGateway(remote *server, args []string) {
	for i := 0; i+1 < len(args); i++ {
		switch args[i] {
		case "--sse":
			remote.url, remote.transport = args[i+1], "sse"
		case "--streamableHttp":
			remote.url = args[i+1]
		case "--header":
			remote.header(args[i+1])
		case "--oauth2Bearer":
			remote.headers["Authorization"] = "Bearer " + args[i+1]
		case "--stdio":
			remote.url = ""
			return
		}
	}
}

func mcpProxy(remote *server, args []string) {
	remote.transport = "sse" // unless it says otherwise
	for i := 0; i < len(args); i++ {
		switch arg := args[i]; {
		case arg == "--transport" && i+1 < len(args):
			if i++; args[i] == "streamablehttp" {
				remote.transport = ""
			}
		case (arg == "-H" || arg == "--headers") && i+2 < len(args):
			remote.headers[args[i+1]] = args[i+2]
			i += 2
		case strings.HasPrefix(arg, "http://"), strings.HasPrefix(arg, "https://"):
			remote.url = arg
			return
		case !strings.HasPrefix(arg, "-"):
			return // it serves a command
		}
	}
}

// sallyport reads `sallyport connect`, which is what `sallyport client add` writes for clients that take no URL.
func sallyport(remote *server, args []string) {
	if len(args) == 0 || args[0] != "connect" {
		return
	}
	for i := 1; i < len(args); i++ {
		name, value, whole := strings.Cut(args[i], "=")
		switch {
		case !strings.HasPrefix(name, "-"):
			remote.url = args[i]
			continue
		case slices.Contains([]string{"--no-browser", "--no-oauth", "--allow-private-endpoint", "--oauth-client-credentials"}, name):
			remote.note("%s is left out", name)
			continue
		case !whole:
			if i++; i < len(args) {
				value = args[i]
			}
		}
		switch name {
		case "--header":
			header, text, given := strings.Cut(value, "=")
			if !given { // its value is in a variable of that name
				text = "${" + strings.ReplaceAll(header, "-", "_") + "}"
			}
			remote.headers[header] = text
		case "--transport":
			remote.transport = strings.TrimPrefix(value, "streamable-http")
		case "--oauth-client-id":
			remote.clientID = value
		default:
			remote.note("%s is left out", name)
		}
	}
}

// header reads "Name: value" as curl writes it.
func (s *server) header(text string) {
	if name, value, ok := strings.Cut(text, ":"); ok {
		s.headers[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
}

// expandShell puts the entry's own variables into arguments, where a bridge does so: a value that refers to others is
// left as it is, and expanded with the rest.
func expandShell(args []string, env map[string]string) []string {
	out := slices.Clone(args)
	for i, arg := range out {
		out[i] = reference.ReplaceAllStringFunc(arg, func(ref string) string {
			if v, ok := env[referred(ref)]; ok {
				return v
			}
			return ref
		})
	}
	return out
}

func program(word string) string {
	return strings.TrimSuffix(strings.TrimSuffix(path.Base(strings.ReplaceAll(word, `\`, "/")), ".exe"), ".cmd")
}

// packageName is the package of a word such as @scope/name@1.2.3, or a path to it.
func packageName(word string) string {
	name := program(word)
	name, _, _ = strings.Cut(name, "@")
	return name
}

// withoutQuery is a URL as it may be shown: keys are often in what is left out.
func withoutQuery(address string) string {
	address, _, _ = strings.Cut(address, "?")
	if scheme, rest, ok := strings.Cut(address, "://"); ok {
		if _, host, user := strings.Cut(rest, "@"); user {
			return scheme + "://" + host
		}
	}
	return address
}
