package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestClients drives the official SDKs and mcp-go, in each revision that they speak, through
// the gateway at backends of each revision, and holds the table in the docs to what worked.
// What does not work must be in gaps.
//
//	go test ./e2e -run TestClients -update
//
// REQ A-1, REQ B-19, REQ F-1, REQ F-3: real clients of every revision work with servers of every revision, over every transport, anonymously.
func TestClients(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	cells := map[string]string{} // by label
	t.Run("all", func(t *testing.T) {
		for name, of := range map[string]struct {
			rows []row
			run  func(*testing.T, []job) []sight
		}{
			"go-sdk": {goRows, runGo}, "mcp-go": {mcpGoRows, runMCPGo}, "typescript": {typeScriptRows, runTypeScript},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				found := tryAll(t, of.rows, of.run)
				mu.Lock()
				defer mu.Unlock()
				for label, cell := range found {
					cells[label] = cell
				}
			})
		}
	})
	page, all := clientsPage(cells)
	if !all {
		return // not all have run
	}
	file := filepath.Join(root, "docs", "reference", "clients.md")
	if *update {
		if err := os.WriteFile(file, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have := read(t, file); have != page {
		t.Errorf("%s is old; run go test ./e2e -run TestClients -update. It would be:\n%s", file, page)
	}
}

// tryAll has the clients try everything at all backends, and returns what the table says, by the label of the job.
func tryAll(t *testing.T, rows []row, run func(*testing.T, []job) []sight) map[string]string {
	t.Helper()
	columns := startColumns(t)
	jobs := map[string]job{}
	var all []job
	for _, r := range rows {
		for _, c := range columns {
			j := r.job(c)
			jobs[j.Label] = j
			all = append(all, j)
		}
	}
	found := map[string]string{}
	for _, s := range run(t, all) {
		j := jobs[s.Label]
		missing := s.missing(j)
		want, notes := j.gaps()
		if !slices.Equal(missing, want) {
			t.Errorf("%s does not get %q, and should not get %q: %+v", j.Label, missing, want, s)
		}
		found[s.Label] = verdict(notes)
	}
	if len(found) != len(all) {
		t.Errorf("%d clients said what they saw, of %d", len(found), len(all))
	}
	return found
}

// gap is something that cannot work, and why.
type gap struct {
	features []string
	at       func(job) bool
	why      string
}

var gaps = []gap{
	{
		[]string{"elicitation"},
		func(j job) bool {
			return j.bridged() && min(j.Revision, j.Server) < "2025-06-18" && !j.skips("elicitation")
		},
		"No elicitation: the older one's revision has none.",
	},
	{
		[]string{"elicitation", "sampling", "roots"},
		func(j job) bool { return j.skips("elicitation") },
		"No elicitation, sampling and roots: over HTTP+SSE this client answers no server.",
	},
	{
		[]string{"cancellation"},
		func(j job) bool { return j.skips("cancellation") },
		"No cancellation: over HTTP this client tells a server with sessions nothing of a call that it gives up.",
	},
}

// gaps are the features that a job cannot see, in their order, and the notes of the table about them.
func (j job) gaps() (missing, notes []string) {
	var all []string
	for i, g := range gaps {
		if g.at(j) {
			all = append(all, g.features...)
			notes = append(notes, fmt.Sprint(i+1))
		}
	}
	for _, f := range features {
		if slices.Contains(all, f.name) {
			missing = append(missing, f.name)
		}
	}
	return missing, notes
}

// verdict is what the table says where nothing but this is missing.
func verdict(notes []string) string {
	if notes == nil {
		return "✓"
	}
	return "✓ <sup>" + strings.Join(notes, ", ") + "</sup>"
}

var clientNames = map[string]string{
	"go-sdk": "Go SDK (`modelcontextprotocol/go-sdk`)", "mcp-go": "`mark3labs/mcp-go`",
	"v1": "TypeScript SDK (`@modelcontextprotocol/sdk`)", "v2": "TypeScript SDK 2 (`@modelcontextprotocol/client`)",
}

// clientsPage is the page about clients, and whether every cell of its tables is known.
func clientsPage(cells map[string]string) (page string, complete bool) {
	var b strings.Builder
	b.WriteString(strings.Replace(generated, "TestReference", "TestClients", 1))
	b.WriteString(`# Clients and servers of every revision

What real clients can do through the gateway: a row for each protocol revision that a client speaks, a column for each that
is the only one of a server. A test drives all of them and writes these tables.

✓ is all of it: to connect, list, call tools, read resources, get prompts and completions, be asked by elicitation, sampling
and roots, subscribe to resources and to changes of lists, see progress and log messages, and cancel a call.

The servers are made with the Go SDK. In its version 1.8, when one of several clients of a command of 2026-07-28 stops
listening, none of them hears of changes of lists any more; the test has its server mend that.

`)
	transports := map[string]string{"http": "Streamable HTTP", "sse": "HTTP+SSE", "ws": "WebSocket"}
	complete = true
	for _, kind := range []struct{ name, title string }{
		{"MCPRemoteProxy", "Remote servers (`MCPRemoteProxy`)"}, {"MCPServer", "Commands (`MCPServer`)"}, {"VirtualMCPServer", "Virtual servers (`VirtualMCPServer`)"},
	} {
		of := revisions
		if kind.name == "MCPServer" {
			of = stdioRevisions
		}
		fmt.Fprintf(&b, "## %s\n\n| client | by | of |", kind.title)
		for _, revision := range of {
			if b.WriteString(" " + revision); revision == revisions[0] && kind.name != "MCPServer" {
				b.WriteString(" (HTTP+SSE)")
			}
			b.WriteString(" |")
		}
		b.WriteString("\n|" + strings.Repeat(" --- |", 3+len(of)) + "\n")
		for _, r := range slices.Concat(goRows, mcpGoRows, typeScriptRows) {
			fmt.Fprintf(&b, "| %s | %s | %s |", clientNames[r.client], transports[r.transport], r.revision)
			for _, revision := range of {
				j := r.job(column{kind: kind.name, revision: revision})
				if cells[j.Label] == "" {
					complete = false
				}
				b.WriteString(" " + cells[j.Label] + " |")
			}
			b.WriteString("\n")
		}
		b.WriteString("\n")
	}
	for i, g := range gaps {
		fmt.Fprintf(&b, "<sup>%d</sup> %s\n\n", i+1, g.why)
	}
	return strings.TrimSuffix(b.String(), "\n"), complete
}
