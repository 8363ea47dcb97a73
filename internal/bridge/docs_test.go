package bridge_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// proofs are the tests of what docs/explanation/revisions.md says cannot be bridged, by the
// beginning of the row: the names of tests, or of rows in their tables.
var proofs = map[string][]string{
	"a tool that an older server runs as a task only":   {`"a tool that is run as a task only"`},
	"a tool that a newer server runs as a task only":    {`"a capability that the client has not"`},
	"`tasks/*` between revisions":                       {`"what a session alone has is not there"`, `"what needs no server"`},
	"a result of a kind that the client's revision":     {`"a result of an unknown kind"`},
	"a question that the client did not say":            {`"a question in a revision without questions"`, `"an address in a revision without addresses"`, `"tools for the model of a client that has none"`, `"a question that the client cannot be asked"`},
	"a question of an older server during anything but": {`"a question in the middle of a list"`},
	"a question by the listening stream":                {"func TestQuestionByListeningStreamOfSeveral("},
	"a newer server that asks by a request":             {"func TestWhatModernServersMayNot("},
	"a server that asks more than 32 times":             {"func TestServerAsksForEver(", "func TestBounds("},
	"an answer that comes to another replica":           {"func TestRequestStateOfAnotherReplica(", "func TestReloadInQuestion(", "func TestAnswerAtAnotherReplica("},
	"a forged, expired or used `requestState`":          {"func TestRequestState(", "func TestModernClientVanishesInQuestion("},
	"an older client's answer that nobody waits for":    {"func TestAnswersOfLegacyClients("},
	"batches of older clients":                          {`"empty batch"`},
	"a subscription that the newer server":              {"func TestLegacyClientListens("},
	"changes of a client's roots":                       {`"the client's capabilities and name are those of the session"`, `"what needs no server"`},
	"log messages outside of a call":                    {"func TestListensShare("},
	"structured content that is no object":              {`"structured content that is no object"`, `"tools"`},
	"how long a list is good":                           {`"a list"`, `"a result without what the revision does not know"`},
	"who the client is":                                 {"func TestWhoseSession("},
	"an id for the completion of a page":                {`"a question with an address"`, `"an address to open"`},
}

// Each row of what cannot be bridged has a test, and each test its row.
func TestEveryLimitIsProved(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/explanation/revisions.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "## What cannot be bridged")
	table, _, _ = strings.Cut(table, "\n## ")
	var tests strings.Builder
	files, _ := filepath.Glob("*_test.go")
	more, _ := filepath.Glob("../mcp/*_test.go")
	for _, file := range append(files, more...) {
		if file == "docs_test.go" {
			continue
		}
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		tests.Write(source)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(table) {
		what, is := strings.CutPrefix(line, "| ")
		if !is || strings.HasPrefix(what, "---") || strings.HasPrefix(what, "what |") {
			continue
		}
		found := false
		for row, names := range proofs {
			if !strings.HasPrefix(what, row) {
				continue
			}
			found, seen[row] = true, true
			for _, name := range names {
				if !strings.Contains(tests.String(), name) {
					t.Errorf("there is no test %s, which is to prove: %s", name, row)
				}
			}
		}
		if !found {
			t.Errorf("nothing proves: %s", what)
		}
	}
	for row := range proofs {
		if !seen[row] {
			t.Errorf("the page says nothing of: %s", row)
		}
	}
}
