package clientconfig

import (
	"path/filepath"
	"slices"
	"strings"
)

// Place is the person's machine, as far as clients' files depend on it.
type Place struct {
	OS     string // as runtime.GOOS has it
	Home   string
	Getenv func(string) string
}

// Server is what a client is told of a server: its URL, or for clients that only start commands the command that
// bridges to it.
type Server struct {
	URL    string
	Bridge []string
}

// Client is an application that keeps its MCP servers in a file.
type Client struct {
	Name  string // as people type it
	Title string // as it calls itself
	// Project is the file in the folder of a project; "" where the client has none.
	Project string
	// Then is what a person does before the client knows of a change.
	Then string
	// CommandsOnly: its file admits no URL, so that it starts [Server.Bridge].
	CommandsOnly bool

	file      func(Place) string
	container string // the member of the file's object that holds the servers
	within    string // the member of that which does, in files of a newer shape; "" for none
	entry     func(Server) []member
}

// member is a member of an entry: a string, a list of strings or a boolean.
type member struct {
	name  string
	value any
}

// Clients are those that are known, in the order of their names.
func Clients() []Client { return slices.Clone(clients) }

// Find gives the client of a name.
func Find(name string) (Client, bool) {
	i := slices.IndexFunc(clients, func(c Client) bool { return c.Name == name })
	if i < 0 {
		return Client{}, false
	}
	return clients[i], true
}

// Names are what the clients are called on the command line.
func Names() []string {
	var names []string
	for _, c := range clients {
		names = append(names, c.Name)
	}
	return names
}

var clients = []Client{
	{
		Name: "claude-code", Title: "Claude Code", Project: ".mcp.json", container: "mcpServers", entry: typed("http", "url"),
		Then: "start Claude Code again; /mcp shows the server, and signs in where it asks for that",
		file: func(p Place) string {
			return filepath.Join(p.env("CLAUDE_CONFIG_DIR", p.Home), ".claude.json")
		},
	},
	{
		Name: "claude-desktop", Title: "Claude Desktop", CommandsOnly: true, container: "mcpServers", entry: command,
		Then: "quit Claude Desktop, and start it again",
		file: func(p Place) string { return p.application("Claude", "claude_desktop_config.json") },
	},
	{
		Name: "codex", Title: "Codex", Project: filepath.Join(".codex", "config.toml"), container: "mcp_servers", entry: one("url"),
		Then: "start Codex again; codex mcp login NAME signs in where the server asks for that",
		file: func(p Place) string {
			return filepath.Join(p.env("CODEX_HOME", filepath.Join(p.Home, ".codex")), "config.toml")
		},
	},
	{
		Name: "cursor", Title: "Cursor", Project: filepath.Join(".cursor", "mcp.json"), container: "mcpServers", entry: one("url"),
		Then: "Cursor sees the change by itself; its settings, under MCP, show the server",
		file: func(p Place) string { return filepath.Join(p.Home, ".cursor", "mcp.json") },
	},
	{
		Name: "gemini", Title: "Gemini CLI", Project: filepath.Join(".gemini", "settings.json"), container: "mcpServers", entry: one("httpUrl"),
		Then: "start Gemini CLI again; /mcp shows the server",
		file: func(p Place) string { return filepath.Join(p.Home, ".gemini", "settings.json") },
	},
	{
		Name: "opencode", Title: "opencode", Project: "opencode.json", container: "mcp", within: "servers", entry: typed("remote", "url"),
		Then: "start opencode again",
		file: func(p Place) string {
			return filepath.Join(p.env("XDG_CONFIG_HOME", filepath.Join(p.Home, ".config")), "opencode", "opencode.json")
		},
	},
	{
		Name: "vscode", Title: "Visual Studio Code", Project: filepath.Join(".vscode", "mcp.json"), container: "servers", entry: typed("http", "url"),
		Then: "run “MCP: List Servers” in Visual Studio Code, and start the server there",
		file: func(p Place) string { return p.application("Code", "User", "mcp.json") },
	},
	{
		Name: "windsurf", Title: "Windsurf", container: "mcpServers", entry: one("serverUrl"),
		Then: "press the refresh button of Windsurf's MCP servers",
		file: func(p Place) string { return filepath.Join(p.Home, ".codeium", "windsurf", "mcp_config.json") },
	},
	{
		Name: "zed", Title: "Zed", Project: filepath.Join(".zed", "settings.json"), container: "context_servers", entry: one("url"),
		Then: "Zed sees the change by itself; its agent panel's settings show the server",
		file: func(p Place) string {
			if p.OS == "windows" {
				return p.application("Zed", "settings.json")
			}
			return filepath.Join(p.env("XDG_CONFIG_HOME", filepath.Join(p.Home, ".config")), "zed", "settings.json")
		},
	},
}

func one(name string) func(Server) []member {
	return func(s Server) []member { return []member{{name, s.URL}} }
}

func typed(kind, name string) func(Server) []member {
	return func(s Server) []member { return []member{{"type", kind}, {name, s.URL}} }
}

func command(s Server) []member { return []member{{"command", s.Bridge[0]}, {"args", s.Bridge[1:]}} }

// File is where the client keeps what holds for the person everywhere.
func (c *Client) File(p Place) string { return c.file(p) }

// Installed reports whether the client was ever started here: its file is there, or the folder of it.
func (c *Client) Installed(p Place) bool {
	file := c.File(p)
	return exists(file) || filepath.Dir(file) != p.Home && exists(filepath.Dir(file))
}

func (p Place) env(name, otherwise string) string {
	if v := p.Getenv(name); filepath.IsAbs(v) {
		return v
	}
	return otherwise
}

// application is a file in the folder where desktop applications keep their settings.
func (p Place) application(parts ...string) string {
	var folder string
	switch p.OS {
	case "darwin":
		folder = filepath.Join(p.Home, "Library", "Application Support")
	case "windows":
		folder = p.env("APPDATA", filepath.Join(p.Home, "AppData", "Roaming"))
	default:
		folder = p.env("XDG_CONFIG_HOME", filepath.Join(p.Home, ".config"))
	}
	return filepath.Join(folder, filepath.Join(parts...))
}

// isTOML tells the two languages apart.
func isTOML(file string) bool { return strings.HasSuffix(file, ".toml") }
