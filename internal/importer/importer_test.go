package importer_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/clientconfig"
	"github.com/sallyport-dev/sallyport/internal/importer"
)

var update = flag.Bool("update", false, "write the golden files anew")

// environment is what the references of the test files find.
func environment(name string) (string, bool) {
	v, ok := map[string]string{"HOME": "/srv/me", "DOCS_TOKEN": "from-the-environment", "MY_KEY": "from-the-environment"}[name]
	return v, ok
}

// secrets stand in the test files; no manifest, note or reason may have one.
var secrets = []string{
	"ghp_0123456789abcdef", "t0p", "lin_api_1", "abc123", "from-the-environment", "s3cret", "open-sesame", "gAAAAA", "Bearer abc",
}

// REQ B-20: the configuration of each client, of ToolHive and of ContextForge, and what becomes of it.
func TestRead(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, ".golden") {
			continue
		}
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			result, err := importer.Read(file, text, environment)
			if err != nil {
				t.Fatal(err)
			}
			got := describe(result)
			for _, s := range secrets {
				if strings.Contains(got, s) {
					t.Errorf("the secret %q is in the result", s)
				}
			}
			golden := file + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), got); d != "" {
				t.Errorf("another result than %s (-want +got):\n%s", golden, d)
			}
		})
	}
}

func describe(r *importer.Result) string {
	var b strings.Builder
	fmt.Fprintln(&b, r.Format)
	for _, e := range r.Entries {
		fmt.Fprintf(&b, "\n%s -> %s%s\n", e.Name, e.As, e.LeftOut)
		for _, n := range e.Notes {
			fmt.Fprintln(&b, "  note:", n)
		}
		for _, s := range e.Secrets {
			fmt.Fprintf(&b, "  secret %s/%s, %d characters %s\n", s.Name, s.Key, len(s.Value.Reveal()), s.Missing)
		}
		fmt.Fprint(&b, e.Manifests)
	}
	return b.String()
}

// The values of references, of commands' own variables too, arrive in the secrets.
func TestSecrets(t *testing.T) {
	t.Parallel()
	got := map[string]string{}
	for _, file := range []string{"claude.json", "codex.toml", "bridges.json", "toolhive.yaml", "gemini.json"} {
		text, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		result, err := importer.Read(file, text, environment)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range result.Entries {
			for _, s := range e.Secrets {
				got[s.Name+"/"+s.Key] = s.Value.Reveal()
			}
		}
	}
	want := map[string]string{
		"github/Authorization": "Bearer ghp_0123456789abcdef", "files/API_TOKEN": "t0p", "linear/Authorization": "Bearer lin_api_1",
		"unset/X-Api-Key": "", "docs/Authorization": "Bearer from-the-environment", "supergateway/Authorization": "Bearer abc",
		"proxy/X-Api-Key": "abc", "client/client-secret": "s3cret", "key/value": "open-sesame", "cwd/KEY": "from-the-environment",
		"ours/MY-KEY": "from-the-environment",
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got[name] != want[name] {
			t.Errorf("%s is %q, want %q", name, got[name], want[name])
		}
	}
}

// What `sallyport client add` writes into a client's file is read back as the server that it is.
func TestReadsWhatClientsAreTold(t *testing.T) {
	t.Parallel()
	const at = "https://gw.example.com/servers/docs/mcp"
	told := clientconfig.Server{URL: at, Bridge: []string{"/usr/local/bin/sallyport", "connect", at}}
	for _, c := range clientconfig.Clients() {
		for _, before := range []string{"", `{"mcp": {"servers": {}}}`} { // the newer shape of opencode's file
			file := filepath.Join(t.TempDir(), filepath.Base(c.File(clientconfig.Place{OS: "linux", Home: "/", Getenv: func(string) string { return "" }})))
			if before != "" {
				if c.Name != "opencode" {
					continue
				}
				if err := os.WriteFile(file, []byte(before), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := c.Add(file, "docs", told, false); err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			result, err := importer.Read(file, text, environment)
			if err != nil || len(result.Entries) != 1 {
				t.Fatalf("%s: %v\n%s", c.Name, err, text)
			}
			if e := result.Entries[0]; e.As != "MCPRemoteProxy/docs" || !strings.Contains(e.Manifests, "remoteUrl: "+at+"\n") {
				t.Errorf("%s: %s became %+v", c.Name, text, e)
			}
		}
	}
}

// Broken and foreign files are refused, with the place.
func TestBadFiles(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ file, text, want string }{
		"empty":             {"mcp.json", " \n", "mcp.json: is empty"},
		"cut off":           {"mcp.json", "{\"mcpServers\": {\n\"a\": ", "mcp.json: line 2"},
		"no servers":        {"package.json", `{"name": "x"}`, "has no MCP servers"},
		"a list":            {"mcp.json", `[]`, "must be an object"},
		"twice":             {"mcp.json", `{"mcpServers": {"a": {"command": "x"}, "a": {"command": "y"}}}`, `mcpServers: "a" stands there twice`},
		"broken TOML":       {"config.toml", "[mcp_servers.a]\ncommand = \n", "config.toml: line 2"},
		"broken YAML":       {"x.yaml", "a: [", "x.yaml: line 1"},
		"other YAML":        {"x.yaml", "kind: Deployment\napiVersion: apps/v1\n", "neither"},
		"deep":              {"mcp.json", strings.Repeat("[", 1<<20), "mcp.json: "},
		"deep YAML":         {"x.yaml", strings.Repeat("- ", 1<<16), "x.yaml: "},
		"larger than all":   {"mcp.json", strings.Repeat(" ", 9<<20), "is larger than 8 MiB"},
		"inputs that lie":   {"mcp.json", `{"inputs": 1, "servers": {}}`, "inputs: must be a list"},
		"not a text at all": {"mcp.json", "{\xff\xfe", "mcp.json: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result, err := importer.Read(tt.file, []byte(tt.text), environment)
			if err == nil || !strings.Contains(err.Error(), tt.want) || result != nil {
				t.Errorf("%v, %v; want an error with %q", result, err, tt.want)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	files, err := filepath.Glob("testdata/*.*")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(filepath.Ext(file), text)
	}
	f.Fuzz(func(t *testing.T, ext string, text []byte) {
		result, err := importer.Read("x"+ext, text, environment)
		if err != nil {
			return
		}
		for _, e := range result.Entries {
			if (e.As == "") == (e.LeftOut == "") {
				t.Errorf("%q is neither taken nor left out, or both", e.Name)
			}
		}
	})
}
