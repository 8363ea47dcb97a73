package toollock_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/toollock"
)

const search = `{"name":"search","description":"Searches\n the docs","inputSchema":{"type":"object","properties":{"word":{"type":"string"},"max":{"maximum":9007199254740993}}},"annotations":{"readOnlyHint":true}}`

func of(t *testing.T, raw string) toollock.Tool {
	t.Helper()
	_, tool, err := toollock.Of([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	return tool
}

// A tool is what it says, not how it is written; whatever a model reads of it counts.
func TestChanges(t *testing.T) {
	t.Parallel()
	before := of(t, search)
	for raw, want := range map[string]string{
		search: "",
		`{ "annotations": {"readOnlyHint": true}, "inputSchema": {"properties":{"max":{"maximum":9007199254740993},"word":{"type":"str\u0069ng"}},"type":"object"}, "description":"Searches\n the docs","name":"search" }`: "",
		strings.Replace(search, "the docs", "all docs", 1):                 `other description: was "Searches the docs (max, word)", is "Searches all docs (max, word)"`,
		strings.Replace(search, `"word"`, `"term"`, 1):                     `other input schema: was "Searches the docs (max, word)", is "Searches the docs (max, term)"`,
		strings.Replace(search, "0993", "0992", 1):                         `other input schema, beyond its first words "Searches the docs (max, word)"`,
		strings.Replace(search, "true", "false", 1):                        `other annotations, beyond its first words "Searches the docs (max, word)"`,
		strings.Replace(search, `"name"`, `"title":"Search","name"`, 1):    `other description, beyond its first words "Searches the docs (max, word)"`,
		strings.Replace(search, `"name"`, `"outputSchema":{},"name"`, 1):   `other output schema, beyond its first words "Searches the docs (max, word)"`,
		strings.Replace(search, `"name"`, `"outputSchema":null,"name"`, 1): "",
		strings.Replace(search, `"name"`, `"_meta":{"a":1},"name"`, 1):     "",
	} {
		now := of(t, raw)
		if got := before.Changes(&now); got != want {
			t.Errorf("%s:\n got %s\nwant %s", raw, got, want)
		}
	}
	if _, _, err := toollock.Of([]byte(`{"name":"a","name":"b"}`)); err == nil {
		t.Error("a tool with two names was read")
	}
}

// What is written is read again, whatever the names.
func TestFile(t *testing.T) {
	t.Parallel()
	l := toollock.Lock{"docs": {"search": of(t, search), "naïve tool": of(t, `{"name":"naïve tool"}`), "#1": of(t, `{"name":"#1","description":"\"quoted\""}`)}, "empty": {}}
	text := l.Format()
	got, lines, mistake := toollock.Parse(text)
	if mistake != nil {
		t.Fatal(mistake)
	}
	if diff := cmp.Diff(l, got); diff != "" {
		t.Errorf("(-written +read)\n%s\n%s", diff, text)
	}
	if lines["docs"] != 2 || lines["empty"] != 5 || !strings.HasPrefix(text, toollock.Header) {
		t.Errorf("lines %v of\n%s", lines, text)
	}
}

func TestMistakes(t *testing.T) {
	t.Parallel()
	good := strings.TrimPrefix(toollock.Lock{"docs": {"search": of(t, search)}}.Format(), toollock.Header)
	for text, want := range map[string]string{
		good + good: "line 2 has tool search of docs a second time",
		"\n" + strings.Replace(good, "sha256:", "sha1:", 1): "line 2 has no hash of 64",
		strings.Replace(good, "input:", "schema:", 1):       "line 1 is not SERVER TOOL",
		strings.Replace(good, " annotations:", " ", 1):      "line 1 is not SERVER TOOL",
		strings.TrimSuffix(strings.TrimSpace(good), `"`):    "line 1 has a quoted text that does not end",
		"docs search":   "line 1 is not SERVER TOOL",
		"# docs search": "",
	} {
		_, _, mistake := toollock.Parse(text)
		if got := func() string {
			if mistake == nil {
				return ""
			}
			return mistake.Error()
		}(); !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
