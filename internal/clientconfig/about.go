package clientconfig

// About is what a client's own documentation says of it, in our words.
type About struct {
	SignIn string   // how a person signs in where a server asks for that
	Own    string   // what the client has itself to take a server out again; "" for nothing
	Notes  []string // what else one should know
	Source string   // the page of its documentation
}

// Checked is the day on which the documentation of every client was last compared with
// this package.
const Checked = "2026-11-29"

// About tells of a client.
func (c *Client) About() About { return about[c.Name] }

var about = map[string]About{
	"claude-code": {
		SignIn: "Type `/mcp`, choose the server, and authenticate: a browser opens.",
		Own:    "`claude mcp remove NAME`",
		Notes: []string{
			"It registers itself, or is known by the address of a document about it (`cimd`): nothing to set at the gateway.",
			"What stands in `.mcp.json` of a project is used once you have approved it.",
		},
		Source: "https://code.claude.com/docs/en/mcp",
	},
	"claude-desktop": {
		SignIn: "`sallyport connect`, which it starts, opens a browser, once.",
		Notes: []string{
			"Its file takes commands and no URLs. `sallyport` has to stay where it is, since its path is in the file.",
			"Connectors of its settings are another thing: they are reached from Anthropic's servers, so that a gateway needs an address on the internet, and nothing of them is in this file.",
		},
		Source: "https://modelcontextprotocol.io/docs/develop/connect-local-servers",
	},
	"codex": {
		SignIn: "`codex mcp login NAME` opens a browser.",
		Own:    "`codex mcp remove NAME`",
		Notes: []string{
			"The command line, the extension for editors and the desktop application read the same file.",
			"A project's file is read once you trust the project, which Codex asks of you when it starts there.",
		},
		Source: "https://developers.openai.com/codex/mcp",
	},
	"cursor": {
		SignIn: "It opens a browser when it first connects; if it does not, its settings have a button beside the server.",
		Notes:  []string{"A project's file wins where both have a server of the same name."},
		Source: "https://cursor.com/docs/mcp",
	},
	"gemini": {
		SignIn: "`/mcp auth NAME` opens a browser.",
		Own:    "`gemini mcp remove NAME`",
		Notes:  []string{"The member is `httpUrl`: `url` means the old HTTP+SSE."},
		Source: "https://geminicli.com/docs/tools/mcp-server/",
	},
	"opencode": {
		SignIn: "In version 1 `opencode mcp auth NAME`, in version 2 `/mcps`, opens a browser.",
		Notes: []string{
			"Version 2 keeps servers in `mcp.servers` and reads the shape of version 1, too: a new file gets that, which both understand, and one that has `mcp.servers` already gets the server there.",
		},
		Source: "https://opencode.ai/docs/mcp-servers",
	},
	"vscode": {
		SignIn: "It asks when the server is started, and opens a browser.",
		Own:    "“MCP: List Servers”, which leads to the file",
		Notes:  []string{"A person's file is one of each profile: that of the default profile is written."},
		Source: "https://code.visualstudio.com/docs/copilot/reference/mcp-configuration",
	},
	"windsurf": {
		SignIn: "It opens a browser when it first connects.",
		Notes: []string{
			"Cascade takes 100 tools in all: [policies](policy.md) and [tool filters](tools.md) make lists shorter, and [a search](find-tools.md) takes their place.",
			"In a company's plan somebody has to turn MCP on first.",
		},
		Source: "https://docs.windsurf.com/windsurf/cascade/mcp",
	},
	"zed": {
		SignIn: "It opens a browser for a server that has no `Authorization` header in its settings and asks for a sign-in.",
		Notes:  []string{"It uses tools and prompts, and hears of changes of the list of tools."},
		Source: "https://zed.dev/docs/ai/mcp",
	},
}
