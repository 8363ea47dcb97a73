package clientconfig_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/clientconfig"
)

var docs = clientconfig.Server{
	URL: "https://gw.example.com/servers/docs/mcp?team=a&b=1", Bridge: []string{"/usr/bin/sallyport", "connect", "https://gw.example.com/servers/docs/mcp"},
}

func client(t *testing.T, name string) *clientconfig.Client {
	t.Helper()
	c, ok := clientconfig.Find(name)
	if !ok {
		t.Fatalf("no client %s", name)
	}
	return &c
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
	return file
}

func text(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Every client gets an entry of its own shape in a file that was not there, and an empty file when it goes.
func TestAddToNothing(t *testing.T) {
	t.Parallel()
	const at = `"https://gw.example.com/servers/docs/mcp?team=a&b=1"`
	want := map[string]string{
		"claude-code": `{"mcpServers": {"docs": {"type": "http", "url": ` + at + `}}}`,
		"claude-desktop": `{"mcpServers": {"docs": {"command": "/usr/bin/sallyport", "args":
			["connect", "https://gw.example.com/servers/docs/mcp"]}}}`,
		"codex":    "[mcp_servers.docs]\nurl = " + at + "\n",
		"cursor":   `{"mcpServers": {"docs": {"url": ` + at + `}}}`,
		"gemini":   `{"mcpServers": {"docs": {"httpUrl": ` + at + `}}}`,
		"opencode": `{"mcp": {"docs": {"type": "remote", "url": ` + at + `}}}`,
		"vscode":   `{"servers": {"docs": {"type": "http", "url": ` + at + `}}}`,
		"windsurf": `{"mcpServers": {"docs": {"serverUrl": ` + at + `}}}`,
		"zed":      `{"context_servers": {"docs": {"url": ` + at + `}}}`,
	}
	if names := clientconfig.Names(); len(names) != len(want) || !slices.IsSorted(names) {
		t.Errorf("clients %v", names)
	}
	for _, c := range clientconfig.Clients() {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			p := clientconfig.Place{OS: "linux", Home: t.TempDir(), Getenv: func(string) string { return "" }}
			if c.Installed(p) {
				t.Error("it is installed before it was")
			}
			file := c.File(p)
			if done, err := c.Add(file, "docs", docs, false); err != nil || done.None || done.Copy != "" {
				t.Fatalf("%+v, %v", done, err)
			}
			got := text(t, file)
			if c.Name == "codex" {
				if got != want[c.Name] {
					t.Errorf("%s", got)
				}
			} else if !sameJSON(t, got, want[c.Name]) {
				t.Errorf("%s\nwant %s", got, want[c.Name])
			}
			if info, err := os.Stat(file); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
				t.Errorf("%v, %v", info.Mode(), err)
			}
			if !c.Installed(p) {
				t.Error("it is not installed")
			}
			if done, err := c.Add(file, "docs", docs, false); err != nil || !done.None {
				t.Errorf("again: %+v, %v", done, err)
			}
			at := "https://gw.example.com/servers/docs/mcp"
			if c.CommandsOnly {
				at = "command /usr/bin/sallyport"
			}
			if list, err := c.List(file); err != nil || !cmp.Equal(list, []clientconfig.Entry{{Name: "docs", At: at}}) {
				t.Errorf("list %v, %v", list, err)
			}
			if done, err := c.Remove(file, "docs"); err != nil || done.None || text(t, done.Copy) != got {
				t.Errorf("remove: %+v, %v", done, err)
			}
			if list, err := c.List(file); err != nil || len(list) != 0 {
				t.Errorf("list %v, %v", list, err)
			}
			if done, err := c.Remove(file, "docs"); err != nil || !done.None {
				t.Errorf("remove again: %+v, %v", done, err)
			}
		})
	}
}

func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var x, y any
	if err := errors.Join(json.Unmarshal([]byte(a), &x), json.Unmarshal([]byte(b), &y)); err != nil {
		t.Errorf("%v in %s", err, a)
	}
	return cmp.Equal(x, y)
}

// What a person wrote around it stays, to the byte, and comes back when the entry goes.
func TestKeepsTheRest(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, client, file, before, after string
		removed                           string // where it is not what was before
	}{
		{
			"others and an indentation of tabs", "cursor", "mcp.json",
			"{\n\t\"mcpServers\": {\n\t\t\"mine\": {\"command\": \"npx\", \"env\": {\"KEY\": \"s3\"}}\n\t},\n\t\"other\": [1,2]\n}\n",
			"{\n\t\"mcpServers\": {\n\t\t\"mine\": {\"command\": \"npx\", \"env\": {\"KEY\": \"s3\"}},\n\t\t\"docs\": {\n\t\t\t\"url\": \"https://gw.example.com/servers/docs/mcp?team=a&b=1\"\n\t\t}\n\t},\n\t\"other\": [1,2]\n}\n",
			"",
		},
		{
			"comments and a comma at the end", "zed", "settings.json",
			"// my settings\n{\n  \"theme\": \"One\", // dark\n  \"context_servers\": {\n    // the one I wrote\n    \"mine\": {\"url\": \"https://a.example\"}, // keep\n  },\n}\n",
			"// my settings\n{\n  \"theme\": \"One\", // dark\n  \"context_servers\": {\n    // the one I wrote\n    \"mine\": {\"url\": \"https://a.example\"}, // keep\n    \"docs\": {\n      \"url\": \"https://gw.example.com/servers/docs/mcp?team=a&b=1\"\n    },\n  },\n}\n",
			"",
		},
		{
			"no servers yet", "gemini", "settings.json",
			"{\n    \"theme\": \"Dark\"\n}\n",
			"{\n    \"theme\": \"Dark\",\n    \"mcpServers\": {\n        \"docs\": {\n            \"httpUrl\": \"https://gw.example.com/servers/docs/mcp?team=a&b=1\"\n        }\n    }\n}\n",
			"{\n    \"theme\": \"Dark\",\n    \"mcpServers\": {\n    }\n}\n",
		},
		{
			"numbers larger than a float", "claude-code", ".claude.json",
			`{"numStartups":12345678901234567890,"mcpServers":{},"html":"<b>&"}`,
			"{\"numStartups\":12345678901234567890,\"mcpServers\":{\n    \"docs\": {\n      \"type\": \"http\",\n      \"url\": \"https://gw.example.com/servers/docs/mcp?team=a&b=1\"\n    }\n  },\"html\":\"<b>&\"}",
			"{\"numStartups\":12345678901234567890,\"mcpServers\":{\n  },\"html\":\"<b>&\"}",
		},
		{
			"the shape of opencode 1", "opencode", "opencode.json",
			"{\n  \"mcp\": {\n    \"servers\": {\"type\": \"remote\", \"url\": \"https://a.example\"}\n  }\n}\n",
			"{\n  \"mcp\": {\n    \"servers\": {\"type\": \"remote\", \"url\": \"https://a.example\"},\n    \"docs\": {\n      \"type\": \"remote\",\n      \"url\": \"https://gw.example.com/servers/docs/mcp?team=a&b=1\"\n    }\n  }\n}\n",
			"",
		},
		{
			"the shape of opencode 2", "opencode", "opencode.json",
			"{\n  \"mcp\": {\n    \"timeout\": {\"startup\": 5},\n    \"servers\": {\n      \"mine\": {\"type\": \"remote\", \"url\": \"https://a.example\"}\n    }\n  }\n}\n",
			"{\n  \"mcp\": {\n    \"timeout\": {\"startup\": 5},\n    \"servers\": {\n      \"mine\": {\"type\": \"remote\", \"url\": \"https://a.example\"},\n      \"docs\": {\n        \"type\": \"remote\",\n        \"url\": \"https://gw.example.com/servers/docs/mcp?team=a&b=1\"\n      }\n    }\n  }\n}\n",
			"",
		},
		{
			"tables", "codex", "config.toml",
			"model = \"o3\" # fast\n\n[mcp_servers.mine]\ncommand = \"npx\"\nargs = [\"-y\", \"x\"]\n\n[mcp_servers.mine.env]\nA = \"b\"\n",
			"model = \"o3\" # fast\n\n[mcp_servers.mine]\ncommand = \"npx\"\nargs = [\"-y\", \"x\"]\n\n[mcp_servers.mine.env]\nA = \"b\"\n\n[mcp_servers.docs]\nurl = \"https://gw.example.com/servers/docs/mcp?team=a&b=1\"\n",
			"",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, file := client(t, tt.client), write(t, tt.file, tt.before)
			done, err := c.Add(file, "docs", docs, false)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.after, text(t, file)); diff != "" {
				t.Error(diff)
			}
			if text(t, done.Copy) != tt.before {
				t.Errorf("the copy has %s", text(t, done.Copy))
			}
			if info, err := os.Stat(file); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o640 {
				t.Errorf("%v, %v", info.Mode(), err)
			}
			if _, err := c.Remove(file, "docs"); err != nil {
				t.Fatal(err)
			}
			want := tt.removed
			if want == "" {
				want = tt.before
			}
			if diff := cmp.Diff(want, text(t, file)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What cannot be changed safely is left as it is, and the place is named.
func TestRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, client, file, before, want string }{
		{"broken JSON", "cursor", "mcp.json", "{\n  \"mcpServers\": {\n", "line 3"},
		{"no object", "cursor", "mcp.json", "[]", "must hold a JSON object"},
		{"servers that are a list", "cursor", "mcp.json", `{"mcpServers": []}`, "mcpServers must hold an object of servers"},
		{"a name that is taken", "cursor", "mcp.json", `{"mcpServers": {"docs": {"url": "https://u:p@else.example/mcp?key=s3"}}}`, "another server has this name"},
		{"broken TOML", "codex", "config.toml", "model = \n", "line 1"},
		{"servers in one line", "codex", "config.toml", "mcp_servers = {mine = {url = \"https://a.example\"}}\n", "nothing was written"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, file := client(t, tt.client), write(t, tt.file, tt.before)
			done, err := c.Add(file, "docs", docs, false)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), file) {
				t.Errorf("%v", err)
			}
			if text(t, file) != tt.before {
				t.Error("the file was changed")
			}
			if left, err := os.ReadDir(filepath.Dir(file)); err != nil || len(left) != 1 {
				t.Errorf("%v, %v", left, err)
			}
			if tt.want == "another server has this name" && done.Before != "https://else.example/mcp" {
				t.Errorf("it was %s", done.Before)
			}
		})
	}
}

// A name that is taken is given to another server when a person says so.
func TestReplaces(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ client, file, before, after string }{
		{
			"cursor", "mcp.json", `{"mcpServers": {"docs": {"url": "https://old.example"}, "z": {}}}`,
			"{\"mcpServers\": {\"docs\": {\n      \"url\": \"https://gw.example.com/servers/docs/mcp?team=a&b=1\"\n    }, \"z\": {}}}",
		},
		{
			"codex", "config.toml", "[mcp_servers.\"docs\"] # old\nurl = \"https://old.example\"\n[mcp_servers.docs.http_headers]\nA = \"s3\"\n\n[tui]\na = 1\n",
			"[tui]\na = 1\n\n[mcp_servers.docs]\nurl = \"https://gw.example.com/servers/docs/mcp?team=a&b=1\"\n",
		},
	} {
		t.Run(tt.client, func(t *testing.T) {
			t.Parallel()
			c, file := client(t, tt.client), write(t, tt.file, tt.before)
			if done, err := c.Add(file, "docs", docs, true); err != nil || done.Before != "https://old.example" {
				t.Fatalf("%+v, %v", done, err)
			}
			if diff := cmp.Diff(tt.after, text(t, file)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A file that is kept elsewhere stays there.
func TestFollowsLinks(t *testing.T) {
	t.Parallel()
	kept := write(t, "mcp.json", "{}")
	link := filepath.Join(t.TempDir(), "mcp.json")
	if err := os.Symlink(kept, link); err != nil {
		t.Fatal(err)
	}
	if _, err := client(t, "cursor").Add(link, "docs", docs, false); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if !strings.Contains(text(t, kept), "gw.example.com") {
		t.Error(text(t, kept))
	}
}

func TestPlaces(t *testing.T) {
	t.Parallel()
	env := map[string]string{"CODEX_HOME": "/codex", "XDG_CONFIG_HOME": "relative"}
	for _, tt := range []struct{ os, client, want string }{
		{"linux", "codex", "/codex/config.toml"},
		{"linux", "vscode", "/people/ada/.config/Code/User/mcp.json"},
		{"darwin", "vscode", "/people/ada/Library/Application Support/Code/User/mcp.json"},
		{"darwin", "claude-desktop", "/people/ada/Library/Application Support/Claude/claude_desktop_config.json"},
		{"windows", "claude-desktop", "/people/ada/AppData/Roaming/Claude/claude_desktop_config.json"},
		{"darwin", "zed", "/people/ada/.config/zed/settings.json"},
		{"linux", "claude-code", "/people/ada/.claude.json"},
	} {
		p := clientconfig.Place{OS: tt.os, Home: "/people/ada", Getenv: func(name string) string { return env[name] }}
		if got := client(t, tt.client).File(p); filepath.ToSlash(got) != tt.want {
			t.Errorf("%s on %s: %s", tt.client, tt.os, got)
		}
	}
}

// A project has a file for each client that keeps servers in projects.
func TestProjects(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"claude-code": ".mcp.json", "claude-desktop": "", "codex": ".codex/config.toml", "cursor": ".cursor/mcp.json", "gemini": ".gemini/settings.json",
		"opencode": "opencode.json", "vscode": ".vscode/mcp.json", "windsurf": "", "zed": ".zed/settings.json",
	}
	got := map[string]string{}
	for _, c := range clientconfig.Clients() {
		got[c.Name] = filepath.ToSlash(c.Project)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func FuzzAddAndRemove(f *testing.F) {
	f.Add(`{"mcpServers": {"a": {}}, /* x */ }`, "docs")
	f.Add(`{"mcpServers": {"docs": 1, } // y`+"\n}", "docs")
	f.Add("{}", "a/b~c")
	f.Fuzz(func(t *testing.T, before, name string) {
		c, file := client(t, "cursor"), write(t, "mcp.json", before)
		if _, err := c.Add(file, name, docs, false); err != nil {
			if text(t, file) != before {
				t.Errorf("changed although %v", err)
			}
			return
		}
		if _, err := c.Remove(file, name); err != nil {
			t.Errorf("%v in %s", err, text(t, file))
		}
	})
}
