package manifest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Values are what kubectl makes of the same text: YAML 1.1.
func TestValuesAreKubectls(t *testing.T) {
	t.Parallel()
	docs, problems := parseFile("f", []byte(`
yes: yes
flag: off
bool: True
text: "yes"
nothing: ~
empty:
octal: 0644
octal2: 0o17
hex: 0x1F
underscores: 1_000
float: 1.5
exponent: 1e3
whole: 1.0
large: 9007199254740993
date: 2001-01-01
time: 12:30:45
tagged: !!str 5
1: one
base: &base {a: 1, b: 2}
merged: {<<: *base, b: 3}
again: *base
folded: >-
  two
  lines
`[1:]))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	want := map[string]any{
		"true": true, "flag": false, "bool": true, "text": "yes", "nothing": nil, "empty": nil,
		"octal": int64(420), "octal2": int64(15), "hex": int64(31), "underscores": int64(1000),
		"float": 1.5, "exponent": int64(1000), "whole": int64(1), "large": int64(9007199254740993),
		"date": "2001-01-01", "time": "12:30:45", "tagged": "5", "1": "one",
		"base":   map[string]any{"a": int64(1), "b": int64(2)},
		"merged": map[string]any{"a": int64(1), "b": int64(3)},
		"again":  map[string]any{"a": int64(1), "b": int64(2)},
		"folded": "two lines",
	}
	if diff := cmp.Diff(want, docs[0].value); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
}

// Documents are told apart as YAML does, wherever the markers stand.
func TestDocuments(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		lines      []int // where the documents begin
		problems   string
	}{
		{"one", "a: 1\n", []int{1}, ""},
		{"marker first", "---\na: 1\n", []int{2}, ""},
		{"several", "a: 1\n---\nb: 2\n---\n# nothing\n---\nc: 3\n", []int{1, 3, 7}, ""},
		{"on the marker's line", "--- {a: 1}\n--- # comment\nb: 2\n", []int{1, 3}, ""},
		{"end marker", "a: 1\n...\n# between\nb: 2\n...\n", []int{1, 4}, ""},
		{"directive", "%YAML 1.1\n---\na: 1\n", []int{3}, ""},
		{"CRLF", "a: 1\r\n---\r\nb: 2\r\n", []int{1, 3}, ""},
		{"BOM", "\ufeffa: 1\n", []int{1}, ""},
		{"in a scalar, indented", "a: |\n  text\n  ---\n  text\n", []int{1}, ""},
		{"no marker", "a: |\n  text\nb: ----\n", []int{1}, ""},
		{"nothing", "", nil, ""},
		{"comments alone", "# a\n---\n# b\n", nil, ""},
		{"null", "~\n", nil, ""},
		{"JSON", "{\n\t\"a\": \"\\ud83d\\ude00\"\n}\n", []int{1}, ""},
		{"not UTF-8", "a: \xff\n", nil, "f: is not UTF-8 text; save it as UTF-8"},
		{"broken in the middle", "a: 1\n---\nb: [\n---\nc: 3\n", []int{1, 5}, "f:3: is not YAML: did not find expected node content"},
		{"wrong indentation far down", "a:\n  b: 1\n  c: 2\n  d: 3\n e: 4\n", nil, "f:5: is not YAML: did not find expected key"},
		{"unclosed list", "a: 1\nb: [1, 2\nc: 3\n", nil, "f:2: is not YAML: did not find expected ',' or ']'"},
		{"unclosed quote", "a: 1\nb: 'text\nc: 3\n", nil, "f:2: is not YAML: found unexpected end of stream"},
		{"tab", "a:\n\tb: c\n", nil, "f:2: is not YAML: found character that cannot start any token"},
		{"key twice", "a: 1\nb: {c: 1, c: 2}\na: 2\n", []int{1}, ""},
		{"complex key", "? [a]\n: b\n", nil, "f:1: has a key that is not plain text; if this is a template, render it first"},
		{"template", "a: 1\nb: {{ .Values.b }}\n", nil, "f:2: has a key that is not plain text; if this is a template, render it first"},
		{"infinity", "a: .inf\n", nil, "f:1: holds infinity or NaN, which JSON has no number for"},
		{"key that is null", "~: a\n", nil, "f:1: has a key that is not text; put it in quotes"},
		{"bad merge", "a: {<<: 3}\n", nil, "f:1: has a merge key (<<) that is not followed by a mapping"},
		{"alias in itself", "a: &a {b: *a}\n", nil, "f:1: has an alias within its own anchor"},
		{"list", "- a\n", nil, "f:1: is not a resource: a document is a mapping that begins with apiVersion and kind"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			docs, problems := parseFile("f", []byte(tt.text))
			var lines []int
			for _, d := range docs {
				lines = append(lines, d.line)
			}
			if diff := cmp.Diff(tt.lines, lines); diff != "" {
				t.Errorf("documents (-want +got):\n%s", diff)
			}
			if got := problems.Error(); got != tt.problems {
				t.Errorf("problems:\ngot  %s\nwant %s", got, tt.problems)
			}
		})
	}
}

// Small files that stand for much, or that nest deeply, are refused and cost
// neither memory nor time.
func TestBombs(t *testing.T) {
	t.Parallel()
	var laughs strings.Builder
	laughs.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i < 12; i++ {
		fmt.Fprintf(&laughs, "a%d: &a%d [*a%[3]d, *a%[3]d, *a%[3]d, *a%[3]d, *a%[3]d, *a%[3]d, *a%[3]d, *a%[3]d]\n", i, i, i-1)
	}
	var deep strings.Builder
	deep.WriteString("a0: &a0 x\n")
	for i := 1; i < 200; i++ {
		fmt.Fprintf(&deep, "a%d: &a%d [*a%d]\n", i, i, i-1)
	}
	tests := []struct{ name, text, want string }{
		{"aliases of aliases", laughs.String(), "holds more than 100000 values, aliases written out"},
		{"depth by aliases", deep.String(), "is nested more than 100 levels deep"},
		{"depth of lists", "a: " + strings.Repeat("[", 200) + strings.Repeat("]", 200), "is nested more than 100 levels deep"},
		{"depth of mappings", strings.Repeat("{a: ", 200) + "1" + strings.Repeat("}", 200), "is nested more than 100 levels deep"},
		{"depth without end", strings.Repeat("[", 1<<20), "is not YAML: "},
		{"large and broken", strings.Repeat("a: |\n  text\n", 300_000) + "b: [", "is not YAML: "},
		{"values", "a: [" + strings.Repeat("1, ", 100_001) + "]", "holds more than 100000 values"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			docs, problems := parseFile("f", []byte(tt.text))
			if len(docs) != 0 || len(problems) != 1 || !strings.HasPrefix(problems[0].Message, tt.want) {
				t.Errorf("got %d documents and %v, want %s", len(docs), problems, tt.want)
			}
		})
	}
}
