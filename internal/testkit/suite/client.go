package suite

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// ClientRun is what one client scenario of the conformance suite came to.
type ClientRun struct {
	Checks []Check
	Stderr string // of the client
}

// Failed are the checks that failed or warned, one a line; "" when there is none, and
// the scenario checked something.
func (r ClientRun) Failed() string {
	var rows []string
	good := 0
	for _, c := range r.Checks {
		switch c.Status {
		case "SUCCESS":
			good++
		case "FAILURE", "WARNING":
			rows = append(rows, fmt.Sprintf("%s %s %s", c.Status, c.ID, c.Message))
		}
	}
	if good == 0 && len(rows) == 0 {
		return "nothing was checked"
	}
	return strings.Join(rows, "\n")
}

// RunClient runs the suite's client scenarios, chosen by args such as
// "--requirements", "2025-11-25", with a command that gets the URL of the scenario's
// server as its last argument, and returns what came of them by scenario.
func RunClient(t testing.TB, command string, env []string, args ...string) map[string]ClientRun {
	t.Helper()
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 4*testkit.Patience)
	defer cancel()
	suite := filepath.Join(testkit.NodeModules(t), "@modelcontextprotocol", "conformance", "dist", "index.js")
	cmd := testkit.Node(ctx, t, suite, append([]string{"client", "--command", command, "--timeout", strconv.Itoa(int(2 * testkit.Patience / time.Millisecond)), "-o", dir}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	out, runErr := cmd.CombinedOutput()
	runs, err := readClientRuns(dir)
	if err != nil || len(runs) == 0 {
		t.Fatalf("the suite left no results: %v, %v\n%s", runErr, err, out)
	}
	return runs
}

// runDir is the name of a client scenario's folder, which may have a slash in it.
var runDir = regexp.MustCompile(`^(.+)-\d{4}-\d\d-\d\dT[\d-]+Z/checks\.json$`)

func readClientRuns(dir string) (map[string]ClientRun, error) {
	runs := map[string]ClientRun{}
	root := os.DirFS(dir)
	return runs, fs.WalkDir(root, ".", func(path string, _ fs.DirEntry, err error) error {
		name := runDir.FindStringSubmatch(path)
		if err != nil || name == nil {
			return err
		}
		text, err := fs.ReadFile(root, path)
		if err != nil {
			return err
		}
		var run ClientRun
		if err := json.Unmarshal(text, &run.Checks); err != nil {
			return fmt.Errorf("read results of %s: %w", name[1], err)
		}
		stderr, err := fs.ReadFile(root, strings.TrimSuffix(path, "checks.json")+"stderr.txt")
		run.Stderr = string(stderr)
		runs[name[1]] = run
		return err
	})
}
