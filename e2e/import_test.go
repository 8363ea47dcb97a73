package e2e_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// REQ B-20: a client's file becomes a folder that serves the same servers, and no secret of it is printed.
func TestImport(t *testing.T) {
	t.Parallel()
	backend := testkit.Record(t, ok)
	dir := t.TempDir()
	file := filepath.Join(dir, "mcp.json")
	text := `{"mcpServers": { // ours
		"Docs": {"type": "http", "url": "` + backend.URL + `/mcp", "headers": {"X-Api-Key": "open-sesame",}},
		"off": {"command": "x", "disabled": true},
	}}`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(dir, "manifests")
	r := testkit.Run(t, "import", "--to", folder, file)
	if r.Code != 0 || r.Stdout != "" || strings.Contains(r.Stderr, "open-sesame") || !strings.Contains(r.Stderr, "1 taken, 1 left out") {
		t.Fatalf("exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	info, err := os.Stat(filepath.Join(folder, "secrets.yaml"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("secrets.yaml: %v, %v", info, err)
	}
	proxy, err := os.ReadFile(filepath.Join(folder, "mcpremoteproxy-docs.yaml"))
	if err != nil || strings.Contains(string(proxy), "open-sesame") {
		t.Fatalf("%v\n%s", err, proxy)
	}
	g := testkit.Start(t, "serve", "-f", folder)
	call(at(g, "docs"), "tool", "").do(t).wantResult(t, `{"ok":true}`)
	for _, r := range backend.Requests() {
		if got := r.Header.Get("X-Api-Key"); got != "open-sesame" {
			t.Errorf("the server was shown X-Api-Key %q", got)
		}
	}

	r = testkit.Run(t, "import", "--to", folder, file)
	if r.Code != 2 || !strings.Contains(r.Stderr, "is there already, and nothing was written") {
		t.Errorf("a second time: exit code %d\n%s", r.Code, r.Stderr)
	}
}

func TestImportSaysItAsJSON(t *testing.T) {
	t.Parallel()
	r := testkit.Run(t, "import", "-o", "json", filepath.Join(root, "examples", "clients", "mcp.json"))
	var got struct {
		Entries []struct {
			Name, As, Manifests string
			Secrets             []struct{ Variable string }
		}
	}
	if err := json.Unmarshal([]byte(r.Stdout), &got); err != nil || r.Code != 0 {
		t.Fatalf("exit code %d, %v\n%s", r.Code, err, r.Stderr)
	}
	if len(got.Entries) != 3 || got.Entries[1].As != "MCPRemoteProxy/tickets" || got.Entries[2].Secrets[0].Variable != "SALLYPORT_SECRET_NOTES__NOTES_PASSWORD" {
		t.Errorf("%+v", got.Entries)
	}
	if strings.Contains(r.Stdout, "open-sesame") {
		t.Error("a secret is printed")
	}
}

// What cannot be read names its place, and what holds nothing says so.
func TestImportRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, tt := range map[string]struct{ text, want string }{
		"broken.json":  {"{\n\"mcpServers\": {,}}", "broken.json: line 2"},
		"nothing.json": {`{"mcpServers": {"a": {"command": "x", "disabled": true}}}`, "there is nothing that could be taken"},
		"other.json":   {`{}`, "has no MCP servers"},
	} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		r := testkit.Run(t, "import", file)
		if r.Code != 2 || r.Stdout != "" || !strings.Contains(r.Stderr, tt.want) {
			t.Errorf("%s: exit code %d, want %q\n%s%s", name, r.Code, tt.want, r.Stdout, r.Stderr)
		}
	}
	if r := testkit.Run(t, "import", filepath.Join(dir, "none.json")); r.Code == 0 {
		t.Error("a file that is not there is imported")
	}
}
