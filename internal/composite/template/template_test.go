package template_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/composite/template"
)

const data = `{
	"params": {"name": "Ann", "n": 3, "big": 12345678901234567890, "on": true, "off": false, "list": [1, "b"], "none": null, "with-dash": "d", "empty": ""},
	"steps": {"a": {"status": "completed", "output": {"text": "{\"user\": {\"name\": \"Bob\", \"age\": 42}}", "items": [{"id": 7}], "count": 11}}}
}`

func decoded(t testing.TB) map[string]any {
	t.Helper()
	v, err := template.Decode([]byte(data))
	if err != nil {
		t.Fatal(err)
	}
	return v.(map[string]any)
}

func TestText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                               "",
		"plain } { text":                 "plain } { text",
		"Hello {{.params.name}}!":        "Hello Ann!",
		"{{ .params.big }}":              "12345678901234567890",
		"a {{- .params.n -}} b":          "a3b",
		"a {{/* why */}}b":               "a b",
		"a {{- /* why */ -}} b":          "ab",
		`{{json .steps.a.output.items}}`: `[{"id":7}]`,
		`{{.steps.a.output.items}}`:      `[{"id":7}]`, // Go's would be [map[id:7]]
		`{{(fromJson .steps.a.output.text).user.name}}`:       "Bob",
		`{{quote .params.name}}`:                              `"Ann"`,
		"{{quote `a\"b`}}":                                    `"a\"b"`,
		`{{eq .steps.a.status "completed"}}`:                  "true",
		`{{eq .params.n 3}} {{eq .params.n 3.0}}`:             "true true",
		`{{eq .params.name "x" "Ann"}}`:                       "true",
		`{{ne .params.missing "x"}}`:                          "true",
		`{{gt .steps.a.output.count 10}}`:                     "true",
		`{{gt .steps.a.output.count 10.0}}`:                   "true",
		`{{lt "a" "b"}}`:                                      "true",
		`{{and .params.on (eq .steps.a.status "completed")}}`: "true",
		`{{or .params.off (gt .steps.a.output.count 0)}}`:     "true",
		`{{not .params.off}}`:                                 "true",
		`{{and .params.missing true}}`:                        "false",
		`{{len .params.list}}`:                                "2",
		`{{index .params.list 1}}`:                            "b",
		`{{index .params "with-dash"}}`:                       "d",
		`{{(index .steps.a.output.items 0).id}}`:              "7",
		`{{index .steps.a.output.items 0 "id"}}`:              "7",
		`{{.params.missing | default "d"}}`:                   "d",
		`{{.params.none | default "d"}}`:                      "d",
		`{{.params.empty | default "d"}}`:                     "d",
		`{{default "d" .params.off}}`:                         "false",
		`{{.params.name | quote | json}}`:                     `"\"Ann\""`,
		`{{printf "Found %d items, %s %5.1f%%" (len .params.list) .params.name .params.n}}`: "Found 2 items, Ann   3.0%",
		`{{if gt .steps.a.output.count 100.0}}true{{else}}false{{end}}`:                     "false",
		`{{if .params.off}}a{{else if .params.on}}b{{else}}c{{end}}`:                        "b",
		`{{if .params.missing}}a{{end}}`:                                                    "",
		`{{if .params.list}}{{if .params.none}}a{{else}}b{{end}}{{end}}`:                    "b",
		`{{-3}}`: "-3",
	} {
		tmpl, err := template.Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := tmpl.Text(decoded(t)); err != nil || got != want {
			t.Errorf("%s: got %q (%v), want %q", text, got, err, want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"{{.params.a":                       "{{ has no }} behind it",
		"{{.params.a == 'b'}}":              `"=" is not understood`,
		`{{.params.a "b"}}`:                 "two values stand side by side",
		"{{}}":                              "",
		"{{range .params.list}}{{end}}":     "range is not supported; repeat a call with a step of type forEach",
		"{{with .params.a}}{{end}}":         "with is not supported",
		"{{$x := .params.a}}":               "variables are not supported",
		"{{upper .params.a}}":               "there is no function upper; there are and, default, eq",
		"{{toJson .params.a}}":              "toJson is not supported; use json",
		"{{eq .params.a}}":                  "eq is to be used as {{eq A B}}",
		"{{json (.params.a}}":               "a ( has no ) behind it",
		"{{json .params.a)}}":               "a ) has no ( before it",
		"{{json len .params.a}}":            "put len and what it is about into parentheses",
		"{{.}}":                             ". is no field",
		"{{.params..a}}":                    ".params..a is no field",
		"{{if .params.a}}x":                 "{{if}} has no {{end}}",
		"x{{end}}":                          "{{end}} has no {{if}} before it",
		"{{if .params.a}}{{else x}}{{end}}": "nothing is expected behind it",
		`{{"abc}}`:                          "does not end",
		"{{/* a }}":                         "a comment does not end",
		`{{printf .params.a "x"}}`:          "printf takes a text in quotes",
		`{{printf "%x" .params.a}}`:         "printf takes a text in quotes",
		`{{printf "%9999d" .params.n}}`:     "printf takes a text in quotes",
		"{{.params.a | }}":                  "a value is missing",
		"{{.params.a | .params.b}}":         "behind a | stands a function",
		"{{1x}}":                            "1x is no number",
		strings.Repeat("{{if true}}", 40):   "{{if}} stands in more than",
		"{{" + strings.Repeat("(", 40) + "1" + strings.Repeat(")", 40) + "}}": "parentheses are deeper than",
	} {
		_, err := template.Parse(text)
		if want == "" {
			if err != nil {
				t.Errorf("%s: %v", text, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}

func TestEvalErrors(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"x {{.params.missing}}":            ".params.missing has no value",
		"{{.params.none}}":                 "has no value",
		"{{.steps.b.output}}":              ".steps.b has no value",
		"{{.params.name.first}}":           ".params.name.first has no value",
		"{{len .params.n}}":                "len: it takes a text, a list or an object",
		"{{lt .params.n .params.name}}":    "lt: it compares two numbers, or two texts",
		"{{fromJson .params.name}}":        "fromJson: the text is no JSON",
		"{{fromJson .params.list}}":        "fromJson: it takes a text",
		"{{index .params.list 9}}":         "the element 9 has no value",
		`{{index .params.list "a"}}`:       "whole numbers",
		`{{printf "%d" .params.name}}`:     "%d takes a whole number",
		"{{.params.long}}{{.params.long}}": "longer than 10 MiB",
	} {
		tmpl, err := template.Parse(text)
		if err != nil {
			t.Errorf("%.60s: %v", text, err)
			continue
		}
		with := decoded(t)
		with["params"].(map[string]any)["long"] = strings.Repeat("a", 6<<20)
		if _, err := tmpl.Text(with); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: got %v, want %q", text, err, want)
		}
	}
	tmpl, err := template.Parse("{{" + strings.Repeat("quote (", 30) + `"\""` + strings.Repeat(")", 30) + "}}")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tmpl.Text(nil); err == nil {
		t.Error("quotes of quotes grow without end")
	}
}

func TestTrueAndValue(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"{{.params.on}}": "true", "{{.params.off}}": "false", "{{.params.missing}}": "false", "True": "true", "": "false",
		"{{if .params.on}} true {{end}}": "true", "{{.params.name}}": "error", "{{.params.n}}": "error",
	} {
		tmpl, err := template.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		got := "error"
		if is, err := tmpl.True(decoded(t)); err == nil {
			got = map[bool]string{true: "true", false: "false"}[is]
		}
		if got != want {
			t.Errorf("%s says %s, want %s", text, got, want)
		}
	}
	tmpl, _ := template.Parse("{{.params.list}}")
	if v, err := tmpl.Value(decoded(t)); err != nil || len(v.([]any)) != 2 {
		t.Errorf("a list is %v (%v)", v, err)
	}
	tmpl, _ = template.Parse("{{.params.missing}}")
	if _, err := tmpl.Value(decoded(t)); !isNoValue(err) {
		t.Errorf("what is missing is %v", err)
	}
}

func isNoValue(err error) bool {
	_, ok := errors.AsType[*template.NoValueError](err)
	return ok
}

func TestRefs(t *testing.T) {
	t.Parallel()
	tmpl, err := template.Parse(`{{if .params.a}}{{(fromJson .steps.x.output.text).y}}{{else}}{{.forEach.item | default (index .steps.z.output "k")}}{{end}}`)
	if err != nil {
		t.Fatal(err)
	}
	want := [][]string{{"params", "a"}, {"steps", "x", "output", "text"}, {"forEach", "item"}, {"steps", "z", "output"}}
	if diff := cmp.Diff(want, tmpl.Refs()); diff != "" {
		t.Error(diff)
	}
}

// Whatever a template is, it is read or refused in words, ends, and stays within its
// limits.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"a {{- .params.name -}} b", `{{if gt .params.n 1.0}}x{{else if not .params.on}}y{{end}}`, `{{printf "%5.2f %q" 1 .params.name | quote}}`,
		`{{(index .steps.a.output.items 0).id}}`, "{{/* c */}}", "{{range .x}}", "{{`raw`}}", `{{"\u00e9" | json}}`, "{{-1e5}}", "{{ . }}", "{{.a.b.c | default nil}}",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tmpl, err := template.Parse(text)
		if err != nil {
			if err.Error() == "" {
				t.Error("an error says nothing")
			}
			return
		}
		if again, err := template.Parse(text); err != nil || !cmp.Equal(tmpl.Refs(), again.Refs()) {
			t.Error("read twice, it differs")
		}
		out, err := tmpl.Text(decoded(t))
		if err == nil && len(out) > template.MaxText+len(text) {
			t.Errorf("it makes %d bytes", len(out))
		}
		if !strings.Contains(text, "{{") && out != text {
			t.Errorf("plain text %q became %q", text, out)
		}
	})
}
