package mcp_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

func list(t *testing.T, raw, method string) *mcp.List {
	t.Helper()
	l, err := mcp.ReadList([]byte(raw), method)
	if err != nil {
		t.Fatal(err)
	}
	if l == nil {
		t.Fatalf("no list in %s", raw)
	}
	return l
}

func TestReadList(t *testing.T) {
	t.Parallel()
	type item struct {
		Name, Raw, NameRaw, Description, Annotations string
		Hints                                        mcp.Hints
	}
	tests := []struct {
		name, method, raw string
		want              []item
		scope             string
	}{
		{
			"tools", "tools/list",
			`{"jsonrpc":"2.0","id":1,"result":{"tools":[ {"name":"a","description":"d"} , {"annotations":{"readOnlyHint":true,"destructiveHint":false,"openWorldHint":"yes"},"name":"\u0062"}],"cacheScope":"public"}}`,
			[]item{
				{Name: "a", Raw: `{"name":"a","description":"d"}`, NameRaw: `"a"`, Description: `"d"`},
				{
					Name: "b", NameRaw: `"\u0062"`,
					Raw:         `{"annotations":{"readOnlyHint":true,"destructiveHint":false,"openWorldHint":"yes"},"name":"\u0062"}`,
					Annotations: `{"readOnlyHint":true,"destructiveHint":false,"openWorldHint":"yes"}`,
					Hints:       mcp.Hints{ReadOnly: mcp.HintTrue, Destructive: mcp.HintFalse},
				},
			},
			`"public"`,
		},
		{
			"annotations that are no object", "tools/list",
			`{"id":"x","result":{"tools":[{"name":"a","annotations":null}]}}`,
			[]item{{Name: "a", Raw: `{"name":"a","annotations":null}`, NameRaw: `"a"`, Annotations: `null`}},
			"",
		},
		{
			"prompts", "prompts/list", `{"result":{"prompts":[{"name":"p"}]},"id":1}`,
			[]item{{Name: "p", Raw: `{"name":"p"}`, NameRaw: `"p"`}},
			"",
		},
		{
			"resources go by their URI", "resources/list", `{"id":1,"result":{"resources":[{"name":"r","uri":"file:///r"}]}}`,
			[]item{{Name: "file:///r", Raw: `{"name":"r","uri":"file:///r"}`, NameRaw: `"file:///r"`}},
			"",
		},
		{
			"templates", "resources/templates/list", `{"id":1,"result":{"resourceTemplates":[{"uriTemplate":"file:///{p}"}]}}`,
			[]item{{Name: "file:///{p}", Raw: `{"uriTemplate":"file:///{p}"}`, NameRaw: `"file:///{p}"`}},
			"",
		},
		{"empty", "tools/list", `{"id":1,"result":{"tools":[]}}`, nil, ""},
		{"without the array", "tools/list", `{"id":1,"result":{"nextCursor":"x"}}`, nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := list(t, tt.raw, tt.method)
			var got []item
			for _, it := range l.Items {
				got = append(got, item{
					it.Name, string(l.Bytes(it.Span)), string(l.Bytes(it.NameSpan)),
					string(l.Bytes(it.Description)), string(l.Bytes(it.Annotations)), it.Hints,
				})
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if got := string(l.Bytes(l.CacheScope)); got != tt.scope {
				t.Errorf("cacheScope %q, want %q", got, tt.scope)
			}
		})
	}
}

func TestReadListWithoutAList(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		`{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no"}}`,
		`{"jsonrpc":"2.0","method":"notifications/progress","params":{"tools":[{"name":"a"}]}}`,
		`{"jsonrpc":"2.0","id":7,"method":"sampling/createMessage","params":{}}`,
	} {
		if l, err := mcp.ReadList([]byte(raw), "tools/list"); l != nil || err != nil {
			t.Errorf("%s: %v, %v", raw, l, err)
		}
	}
}

// REQ B-21: what cannot be read for certain is not shown.
func TestReadListRefuses(t *testing.T) {
	t.Parallel()
	in := func(result string) string { return `{"jsonrpc":"2.0","id":1,"result":` + result + `}` }
	for raw, want := range map[string]string{
		``:                             "not valid JSON",
		`[` + in(`{"tools":[]}`) + `]`: "not an object",
		in(`{"tools":[]}`) + `{}`:      "followed by more",
		in(`{"tools":[{"name":"a"}]`):  "not valid JSON",
		in(`[]`):                       "result is not an object",
		in(`null`):                     "result is not an object",
		in(`{"tools":{}}`):             "tools is not an array",
		in(`{"tools":[],"Tools":[{"name":"a"}]}`):                                 "upper and lower case",
		`{"jsonrpc":"2.0","id":1,"Result":{"tools":[{"name":"a"}]}}`:              "upper and lower case",
		`{"jsonrpc":"2.0","id":1,"result":{},"result":{"tools":[]}}`:              "same key twice",
		`{"jsonrpc":"2.0","result":{"tools":[{"name":"a"}]}}`:                     "no id",
		`{"jsonrpc":"2.0","id":null,"result":{"tools":[{"name":"a"}]}}`:           "no id",
		`{"jsonrpc":"2.0","id":1,"method":"x","result":{"tools":[{"name":"a"}]}}`: "also a method",
		`{"jsonrpc":"2.0","id":1,"error":{},"result":{"tools":[{"name":"a"}]}}`:   "also a method or an error",
	} {
		l, err := mcp.ReadList([]byte(raw), "tools/list")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: list %v, error %v, want one with %q", raw, l, err, want)
		}
	}
}

// One item that cannot be read for certain costs nobody the others.
func TestReadListLeavesOut(t *testing.T) { // FINDING F8; REQ G-8, B-21
	t.Parallel()
	in := func(items string) string {
		return `{"jsonrpc":"2.0","id":1,"result":{"z":1.50,"tools":[` + items + `],"nextCursor":"x"}}`
	}
	const a, b = `{"name":"a","max":12345678901234567890}`, ` { "name":"b" } `
	for bad, why := range map[string]string{
		`1`:                 "not an object",
		`null`:              "not an object",
		`{}`:                "has no name",
		`{"name":1}`:        "not a string",
		`{"name":null}`:     "not a string",
		`{"name":"\ud800"}`: "not valid JSON",
		`{"name":"x","description":"cut \ud83d"}`:            "not valid JSON",
		"{\"name\":\"x\",\"description\":\"\xc3\"}":          "not valid JSON",
		`{"name":"x","name":"y"}`:                            "same key twice",
		`{"name":"x","x":{"y":1,"y":2}}`:                     "same key twice",
		`{"name":"x","annotations":{"a":1,"a":2}}`:           "same key twice",
		`{"name":"x","Name":"y"}`:                            "upper and lower case",
		`{"name":"x","n\u0041me":"y"}`:                       "upper and lower case",
		`{"name":"x","Annotations":{}}`:                      "upper and lower case",
		`{"name":"x","inputSchema":` + members(10_001) + `}`: "more than 10000 members",
	} {
		for items, c := range map[string]struct {
			want string
			n    int
		}{
			bad:                                   {"", 1},
			bad + "," + a + "," + b:               {a + "," + b, 1},
			a + "," + bad + "," + b:               {a + "," + b, 1},
			a + " ,\n" + b + "," + bad + " ":      {a + " ,\n" + b + " ", 1},
			bad + "," + a + "," + bad + "," + bad: {a, 3},
		} {
			l, err := mcp.ReadList([]byte(in(items)), "tools/list")
			if err != nil || l == nil {
				t.Errorf("%.80s: %v, %v", items, l, err)
				continue
			}
			if l.LeftOut != c.n || l.Why == nil || !strings.Contains(l.Why.Error(), why) {
				t.Errorf("%.80s: %d left out, %v; want %q", items, l.LeftOut, l.Why, why)
			}
			// White space around what goes may go with it.
			squeeze := strings.NewReplacer(" ", "", "\n", "").Replace
			if got := squeeze(string(l.Raw)); got != squeeze(in(c.want)) {
				t.Errorf("%.80s: became %s, want %s", items, got, in(c.want))
			}
		}
	}
	for _, raw := range []string{ // where the items are cannot be told without doubt
		`{"jsonrpc":"2.0","id":1,"result":{"tools":[{}],"tools":[]}}`,
		`{"jsonrpc":"2.0","id":1,"result":{"tools":[{}],"Tools":[]}}`,
		`{"jsonrpc":"2.0","id":1,"result":{"tools":[{}]},"result":{}}`,
		`{"jsonrpc":"2.0","id":1,"result":{"x":{"tools":[{}]},"x":1}}`,
		`{"jsonrpc":"2.0","id":1,"x":1,"x":2,"result":{"tools":[{}]}}`,
		in(`{}`) + `{}`, in(`{}`)[:40],
	} {
		if l, err := mcp.ReadList([]byte(raw), "tools/list"); err == nil {
			t.Errorf("%s: list %v", raw, l)
		}
	}
}

// It is told once, and when it changes.
func TestListsTellOfLeftOut(t *testing.T) { // FINDING F8
	t.Parallel()
	var told []string
	lists := mcp.Lists{LeftOut: func(method string, n int, _ error) { told = append(told, fmt.Sprint(method, " ", n)) }}
	for _, items := range []string{`{"name":"a"}`, `{}`, `1`, `{},{}`, `{"name":"a"},{},1`, `{"name":"a"}`, `{"name":"a"}`} {
		if _, err := lists.Read([]byte(`{"jsonrpc":"2.0","id":1,"result":{"tools":[`+items+`]}}`), "tools/list"); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"tools/list 1", "tools/list 2", "tools/list 0"}, told); diff != "" {
		t.Error(diff)
	}
}

// REQ F-4: unknown fields, order, white space and big integers stay.
func TestRewrite(t *testing.T) {
	t.Parallel()
	const a, b, c = `{"name":"a","max":12345678901234567890}`, `{ "x":1e2, "name":"b" }`, `{"name":"c"}`
	whole := "{\"jsonrpc\":\"2.0\", \"id\":1,\n\"result\":{\"z\":1.50,\"tools\":[ " + a + " ,\n" + b + "\t,  " + c + " ],\"nextCursor\":\"x\"}}"
	in := func(items string) string {
		return "{\"jsonrpc\":\"2.0\", \"id\":1,\n\"result\":{\"z\":1.50,\"tools\":[" + items + "],\"nextCursor\":\"x\"}}"
	}
	l := list(t, whole, "tools/list")
	for keep, want := range map[string]string{
		"111": whole,
		"011": in(" " + b + "\t,  " + c + " "),
		"101": in(" " + a + "\t,  " + c + " "),
		"110": in(" " + a + " ,\n" + b + " "),
		"100": in(" " + a + " "),
		"010": in(" " + b + " "),
		"001": in(" " + c + " "),
		"000": in("  "),
	} {
		mask := make([]bool, len(keep))
		for i, k := range keep {
			mask[i] = k == '1'
		}
		if diff := cmp.Diff(want, string(l.Rewrite(mask))); diff != "" {
			t.Errorf("keep %s: %s", keep, diff)
		}
	}
	got := l.Rewrite([]bool{false, true, true},
		mcp.Edit{Span: l.Items[1].NameSpan, New: []byte(`"beta"`)},
		mcp.Edit{Span: l.Items[2].Span, New: []byte(`{"name":"gamma"}`)})
	if diff := cmp.Diff(in(` { "x":1e2, "name":"beta" }`+"\t,  "+`{"name":"gamma"} `), string(got)); diff != "" {
		t.Error(diff)
	}
}

func TestListsKnowAList(t *testing.T) {
	t.Parallel()
	const body = `{"tools":[{"name":"a"},{"name":"b"}]}`
	var lists mcp.Lists
	read := func(raw, method string) *mcp.List {
		t.Helper()
		l, err := lists.Read([]byte(raw), method)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(l.Rewrite([]bool{false, true})); got != strings.Replace(raw, `{"name":"a"},`, "", 1) {
			t.Errorf("%s becomes %s", raw, got)
		}
		return l
	}
	for _, form := range []string{`{"id":%s,"result":` + body + `}`, `{"result":` + body + `,"id":%s}`} {
		first := read(fmt.Sprintf(form, "1"), "tools/list")
		for _, id := range []string{`1`, `-20`, `1234567890`, `"x"`, `"6f0c3a1e"`, `0`} {
			again := read(fmt.Sprintf(form, id), "tools/list")
			if &again.Items[0] != &first.Items[0] {
				t.Errorf("with id %s it was read again", id)
			}
		}
		for _, raw := range []string{
			fmt.Sprintf(form, `"\u0041"`), // an id for a JSON reader
			fmt.Sprintf(strings.Replace(form, `"b"`, `"c"`, 1), "1"),
			fmt.Sprintf(form, "1") + " ",
		} {
			if again := read(raw, "tools/list"); &again.Items[0] == &first.Items[0] {
				t.Errorf("%s was taken for another", raw)
			}
		}
	}
	for _, id := range []string{`01`, `1.5`, ``, `-`, `null`, `1,"result":{}`, `"a","error":"b"`} {
		raw := `{"id":` + id + `,"result":` + body + `}`
		if l, err := lists.Read([]byte(raw), "tools/list"); err == nil && id != `1.5` {
			t.Errorf("%s was read: %v", raw, l)
		}
	}
	if l, err := lists.Read([]byte(`{"id":1,"result":`+body+`}`), "prompts/list"); err != nil || len(l.Items) != 0 {
		t.Errorf("a list of tools was taken for one of prompts: %v, %v", l, err)
	}
}

func TestMembers(t *testing.T) {
	t.Parallel()
	got := map[string]string{}
	err := mcp.Members([]byte(` {"a":1 , "\u0062":{"c":[1, 2]},"":null}`), func(k, v []byte) bool {
		got[string(k)] = string(v)
		return true
	})
	if diff := cmp.Diff(map[string]string{"a": "1", "b": `{"c":[1, 2]}`, "": "null"}, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	for _, bad := range []string{``, `[]`, `null`, `"a"`, `{"a":1,"a":2}`, `{"a"}`, `{"a":1`} {
		if err := mcp.Members([]byte(bad), func(_, _ []byte) bool { return true }); err == nil {
			t.Errorf("%s was read", bad)
		}
	}
	for raw, want := range map[string]string{`{"ref":[1]}`: `[1]`, `{"x":1}`: ``} {
		if v, err := mcp.Member([]byte(raw), "ref"); string(v) != want || err != nil {
			t.Errorf("%s: %s, %v", raw, v, err)
		}
	}
	for _, raw := range []string{`{"ref":1,"Ref":2}`, `{"REF":2}`, `{"ref":1,"ref":2}`} {
		if v, err := mcp.Member([]byte(raw), "ref"); err == nil {
			t.Errorf("%s: %s", raw, v)
		}
	}
	if s, ok := mcp.Text([]byte(`"\u0041b"`)); s != "Ab" || !ok {
		t.Errorf("Text: %q, %v", s, ok)
	}
	for _, raw := range []string{`1`, ``, `"`, `{}`} {
		if s, ok := mcp.Text([]byte(raw)); ok {
			t.Errorf("Text(%s) = %q", raw, s)
		}
	}
}

func TestTexts(t *testing.T) {
	t.Parallel()
	got, ok := mcp.Texts([]byte(` ["a", "\u0062"] `))
	if diff := cmp.Diff([]string{"a", "b"}, got); diff != "" || !ok {
		t.Error(diff, ok)
	}
	if got, ok := mcp.Texts([]byte(`[]`)); len(got) != 0 || !ok {
		t.Error(got, ok)
	}
	for _, bad := range []string{``, `{}`, `"a"`, `null`, `[1]`, `["a",null]`, `["a"`, `["a",]`} {
		if got, ok := mcp.Texts([]byte(bad)); ok {
			t.Errorf("%s: %q", bad, got)
		}
	}
}

// FuzzReadList holds ReadList and Rewrite against encoding/json: of what is
// accepted both read the same items, and what is rewritten lacks the items that go
// and nothing else.
// REQ B-21, F-4
func FuzzReadList(f *testing.F) {
	for _, s := range []string{
		`{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a"},{"name":"b","n":1e400},{"name":"c"}]}}`,
		`{"result":{"nextCursor":"x","tools":[ {"name":"\u0061","annotations":{"readOnlyHint":true}} ],"z":12345678901234567890},"id":"x"}`,
		`{"id":1,"result":{"tools":[]}}`, `{"id":1,"result":{}}`, `{"id":1,"error":{}}`,
		`{"id":1,"result":{"tools":[{"name":"a","Name":"b"}]}}`,
	} {
		f.Add([]byte(s), uint64(5))
	}
	f.Fuzz(func(t *testing.T, raw []byte, mask uint64) {
		l, err := mcp.ReadList(raw, "tools/list")
		if err != nil || l == nil {
			return
		}
		given := raw
		raw = l.Raw // without what could not be read
		names, _ := namesOf(t, raw)
		var got []string
		for _, it := range l.Items {
			got = append(got, it.Name)
		}
		if diff := cmp.Diff(names, got); diff != "" {
			t.Fatal(diff)
		}
		keep, left := make([]bool, len(names)), []string(nil)
		for i := range keep {
			if keep[i] = mask>>(i%64)&1 == 1; keep[i] {
				left = append(left, names[i])
			}
		}
		out := l.Rewrite(keep)
		after, rest := namesOf(t, out)
		if diff := cmp.Diff(left, after); diff != "" {
			t.Fatalf("%s became %s: %s", raw, out, diff)
		}
		if _, restBefore := namesOf(t, raw); !bytes.Equal(restBefore, rest) {
			t.Fatalf("%s became %s", raw, out)
		}
		var lists mcp.Lists
		if _, err := lists.Read(given, "tools/list"); err != nil {
			t.Fatal(err)
		}
		again, err := lists.Read(given, "tools/list")
		if err != nil || !bytes.Equal(again.Rewrite(keep), out) {
			t.Fatalf("known again it is another: %v", err)
		}
	})
}

// namesOf returns the names of the tools as encoding/json reads them, and the
// message without the tools.
func namesOf(t *testing.T, raw []byte) (names []string, rest []byte) {
	t.Helper()
	var m, result map[string]json.RawMessage
	var tools []map[string]json.RawMessage
	for _, step := range []struct {
		raw  []byte
		into any
	}{{raw, &m}, {nil, &result}, {nil, &tools}} {
		switch step.into {
		case &result:
			step.raw = m["result"]
		case &tools:
			if step.raw = result["tools"]; step.raw == nil {
				step.raw = []byte("[]")
			}
		}
		if err := json.Unmarshal(step.raw, step.into); err != nil {
			t.Fatalf("encoding/json refuses %s: %v", raw, err)
		}
	}
	for _, tool := range tools {
		var name string
		if err := json.Unmarshal(tool["name"], &name); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	delete(result, "tools")
	delete(m, "result")
	for _, part := range []map[string]json.RawMessage{m, result} {
		b, err := json.Marshal(part)
		if err != nil {
			t.Fatal(err)
		}
		rest = append(rest, b...)
	}
	return names, rest
}

// toolList is a list of n tools of about 500 bytes each.
func toolList(n int, id string) []byte {
	var b bytes.Buffer
	b.WriteString(`{"jsonrpc":"2.0","id":` + id + `,"result":{"tools":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"name":"tool_%d","description":"Searches the documents of the northern region and returns what fits, by relevance.","inputSchema":{"type":"object","properties":{"query":{"type":"string","description":"what to look for"},"limit":{"type":"integer","minimum":1,"maximum":100,"default":25},"tags":{"type":"array","items":{"type":"string"}}},"required":["query"],"additionalProperties":false},"annotations":{"title":"Search %d","readOnlyHint":%t,"openWorldHint":false}}`, i, i, i%2 == 0)
	}
	b.WriteString(`]}}`)
	return b.Bytes()
}

func BenchmarkReadList(b *testing.B) {
	raw := toolList(200, "1")
	b.Run("cold", func(b *testing.B) {
		b.SetBytes(int64(len(raw)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := mcp.ReadList(raw, "tools/list"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("known", func(b *testing.B) {
		var lists mcp.Lists
		other := toolList(200, `"another"`)
		b.SetBytes(int64(len(raw)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := lists.Read(raw, "tools/list"); err != nil {
				b.Fatal(err)
			}
			raw, other = other, raw
		}
	})
	b.Run("rewrite", func(b *testing.B) {
		l, err := mcp.ReadList(raw, "tools/list")
		if err != nil {
			b.Fatal(err)
		}
		keep := make([]bool, len(l.Items))
		for i := range keep {
			keep[i] = i%3 != 0
		}
		b.ReportAllocs()
		for b.Loop() {
			l.Rewrite(keep)
		}
	})
}
