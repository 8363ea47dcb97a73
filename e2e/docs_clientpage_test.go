package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/clientconfig"
	"github.com/sallyport-dev/sallyport/internal/testkit"
)

const clientPage = "docs/how-to/each-client.md"

// TestClientPage writes the page with a section for every client from what `client add`
// really does for it, and from what internal/clientconfig says of it:
//
//	go test ./e2e -run TestClientPage -update
func TestClientPage(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("<!-- Generated. To change it, change internal/clientconfig, then: go test ./e2e -run TestClientPage -update -->\n\n")
	b.WriteString("# Client by client\n\n" +
		"What [`sallyport client add`](clients.md) writes for each client, where, and what comes after that. `https://gw.example.com` stands\n" +
		"for your gateway; on your own machine it is the address that `run`, `serve` or `demo` prints.\n\n" +
		"What the command writes is tested. What the clients then do was read in their documentation on " + clientconfig.Checked + ": they are not\n" +
		"run in our tests. The [SDKs that they are made with](../reference/clients.md) are.\n\n")
	for _, c := range clientconfig.Clients() {
		fmt.Fprintf(&b, "- [%s](#%s)\n", c.Title, strings.ReplaceAll(strings.ToLower(c.Title), " ", "-"))
	}
	for _, c := range clientconfig.Clients() {
		clientSection(t, &b, &c)
	}
	file := filepath.Join(root, clientPage)
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(b.String(), read(t, file)); diff != "" {
		t.Errorf("the page is old; run go test ./e2e -run TestClientPage -update (-new +page):\n%s", diff)
	}
}

// clientSection adds one client by the real command to a home where it never was, and tells of it.
func clientSection(t *testing.T, b *strings.Builder, c *clientconfig.Client) {
	t.Helper()
	const url = "https://gw.example.com/servers/docs/mcp"
	home, about := t.TempDir(), c.About()
	env := []string{"HOME=" + home, "XDG_CONFIG_HOME=", "CLAUDE_CONFIG_DIR=", "CODEX_HOME="}
	if r := testkit.RunWith(t, testkit.Options{Env: env}, "client", "add", c.Name, url); r.Code != 0 {
		t.Fatalf("%s: %s", c.Name, r.Stderr)
	}
	place := func(os string) clientconfig.Place {
		return clientconfig.Place{OS: os, Home: "~", Getenv: func(string) string { return "" }}
	}
	linux, mac, windows := c.File(place("linux")), c.File(place("darwin")), c.File(place("windows"))
	wrote := read(t, filepath.Join(home, strings.TrimPrefix(linux, "~/")))
	wrote = strings.ReplaceAll(wrote, testkit.Binary(t), "/usr/local/bin/sallyport")
	language := strings.TrimPrefix(filepath.Ext(linux), ".")

	fmt.Fprintf(b, "\n## %s\n\n```sh\nsallyport client add %s %s\n```\n\nwrites\n\n```%s\n%s\n```\n\n", c.Title, c.Name, url, language, strings.TrimSpace(wrote))
	b.WriteString("| what | where and how |\n| --- | --- |\n")
	row := func(what, text string) {
		if text != "" {
			fmt.Fprintf(b, "| %s | %s |\n", what, text)
		}
	}
	windows = strings.NewReplacer(`~\AppData\Roaming`, "%APPDATA%", `~\`, `%USERPROFILE%\`).Replace(strings.ReplaceAll(windows, "/", `\`))
	places := "`" + linux + "`"
	if mac != linux {
		places += "; on macOS `" + mac + "`"
	}
	row("your file", places+"; on Windows `"+windows+"`")
	if c.Project != "" {
		row("a project's, with `--project FOLDER`", "`"+filepath.ToSlash(c.Project)+"`")
	}
	row("then", strings.ToUpper(c.Then[:1])+c.Then[1:]+".")
	row("sign in", about.SignIn)
	undo := "`sallyport client remove " + c.Name + " docs`"
	if about.Own != "" {
		undo += ", or its own " + about.Own
	}
	row("undo", undo)
	row("its documentation", "<"+about.Source+">")
	b.WriteByte('\n')
	for _, n := range about.Notes {
		fmt.Fprintf(b, "- %s\n", n)
	}
	if about.SignIn == "" || about.Source == "" {
		t.Errorf("nothing is said of %s", c.Name)
	}
}
