package e2e_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// inspector prepares a run of MCP Inspector's command line, with nothing of who runs the test.
func inspector(ctx context.Context, t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := testkit.Node(ctx, t, filepath.Join(testkit.NodeModules(t), "@modelcontextprotocol", "inspector", "clients", "launcher", "build", "index.js"),
		append([]string{"--cli"}, args...)...)
	home := t.TempDir()
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+home, "PATH="+home, "NO_COLOR=1")
	return cmd
}

// REQ F-3: MCP Inspector lists and calls, in each era, at a server of the other.
func TestInspector(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ era, server string }{{"modern", "2025-11-25"}, {"legacy", "2026-07-28"}} {
		t.Run(tt.era, func(t *testing.T) {
			t.Parallel()
			g := testkit.Start(t, "run", testkit.StartBackendOf(t, tt.server).URL)
			ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
			defer cancel()
			for _, args := range [][]string{
				{`"echo"`, "--method", "tools/list"},
				{`"through"`, "--method", "tools/call", "--tool-name", "echo", "--tool-arg", "text=through"},
			} {
				out, err := inspector(ctx, t, append([]string{g.MCP(), "--transport", "http", "--protocol-era", tt.era, "--format", "json"}, args[1:]...)...).CombinedOutput()
				if err != nil || !strings.Contains(string(out), args[0]) {
					t.Errorf("%s: %v, without %s:\n%s", args, err, args[0], out)
				}
			}
		})
	}
}
