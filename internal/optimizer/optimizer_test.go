package optimizer_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/optimizer"
	"github.com/sallyport-dev/sallyport/internal/upstream"
)

// shelf is a target with tools, as a virtual server is one: public names begin with the member's.
type shelf struct {
	upstream.Target
	shown *upstream.Shown
}

func (s shelf) Shown(context.Context, *upstream.Call) *upstream.Shown { return s.shown }

func (s shelf) Do(_ context.Context, c *upstream.Call) (*upstream.Answer, error) {
	return c.Answered(&backend.Response{Body: http.NoBody}), nil
}

func (s shelf) Resolve(_ context.Context, _ *upstream.Call, m *mcp.Envelope) upstream.Resolution {
	own, ok := strings.CutPrefix(m.Target, "docs_")
	if !ok {
		return upstream.Resolution{Name: m.Target, Unknown: "tool"}
	}
	return upstream.Resolution{Member: "docs", Name: own, Edits: []mcp.Edit{{Span: m.TargetSpan, New: mcp.Quote(own)}}}
}

func message(t *testing.T, name, arguments string) *mcp.Envelope {
	t.Helper()
	m, bad := mcp.Parse([]byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"progressToken":7},"name":"`+name+`","arguments":`+arguments+`}}`), mcp.DefaultLimits())
	if bad != nil {
		t.Fatal(bad)
	}
	return &m
}

// A call_tool is the call of the tool that it names, before anybody judges it.
func TestResolve(t *testing.T) {
	t.Parallel()
	target := optimizer.New(shelf{}, optimizer.Config{Most: 5})
	t.Cleanup(target.Shutdown)
	for arguments, want := range map[string]string{
		`{"tool_name":"docs_search","parameters":{"word":"x"}}`:          `{"_meta":{"progressToken":7},"name":"search","arguments":{"word":"x"}}`,
		`{"tool_name":"docs_search"}`:                                    `{"_meta":{"progressToken":7},"name":"search","arguments":{}}`,
		`{"tool_name":"docs_search","parameters":null}`:                  `{"_meta":{"progressToken":7},"name":"search","arguments":{}}`,
		`{"parameters":{"tool_name":"docs_search","word":"x"}}`:          `{"_meta":{"progressToken":7},"name":"search","arguments":{"word":"x"}}`,
		`{"tool_name":"docs_search","parameters":{"tool_name":"other"}}`: `{"_meta":{"progressToken":7},"name":"search","arguments":{"tool_name":"other"}}`,
		`{"tool_name":"docs_a\"b","parameters":{}}`:                      `{"_meta":{"progressToken":7},"name":"a\"b","arguments":{}}`,
	} {
		m := message(t, "call_tool", arguments)
		r := target.Resolve(t.Context(), &upstream.Call{}, m)
		got, bad := mcp.Parse(mcp.Splice(m.Raw, r.Edits...), mcp.DefaultLimits())
		if bad != nil || r.Member != "docs" || r.Unknown != "" || r.Lists || string(got.Bytes(got.Params)) != want || got.Target != r.Name {
			t.Errorf("%s: %+v, %s", arguments, r, got.Raw)
		}
		if name := optimizer.Called(m); !strings.HasPrefix(name, "docs_") {
			t.Errorf("%s calls %q", arguments, name)
		}
	}
	for name, want := range map[string]upstream.Resolution{
		"find_tool":   {Name: "find_tool", Lists: true},
		"call_tool":   {Name: "call_tool", Lists: true}, // without arguments that say which
		"docs_search": {Name: "docs_search", Unknown: "tool"},
	} {
		if r := target.Resolve(t.Context(), &upstream.Call{}, message(t, name, "{}")); r.Name != want.Name || r.Lists != want.Lists || r.Unknown != want.Unknown || r.Edits != nil {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// Arguments that two readers could read differently are none (REQ F-5).
func TestAmbiguousArguments(t *testing.T) {
	t.Parallel()
	if name := optimizer.Called(message(t, "call_tool", `{"tool_name":"docs_search","TOOL_NAME":"other","parameters":{}}`)); name != "" {
		t.Errorf("calls %q", name)
	}
}

// A tool that wants arguments in headers gets them there, as from a client that has listed it.
func TestMirror(t *testing.T) {
	t.Parallel()
	target := optimizer.New(shelf{shown: &upstream.Shown{
		Items: [][]byte{[]byte(`{"name":"docs_search","inputSchema":{"type":"object","properties":{
			"word":{"type":"string","x-mcp-header":"Word"},"max":{"type":"integer","x-mcp-header":"max"},"other":{"type":"string"},
			"in":{"type":"object","properties":{"shelf":{"type":"string","x-mcp-header":"Shelf"}}},
			"none":{"type":"string","x-mcp-header":"None"}}}}`)},
		Names: []string{"docs_search"}, Groups: []upstream.Group{{Member: "docs", Items: []mcp.Item{{Name: "search"}}, At: []int{0}}},
	}}, optimizer.Config{})
	t.Cleanup(target.Shutdown)
	c := &upstream.Call{
		Message: message(t, "search", `{"word":"grün","max":3,"other":"x","in":{"shelf":"top"},"none":null}`), Target: "search", Member: "docs",
		Revision: mcp.Rev20260728, Header: http.Header{"Accept": {"*/*"}, "Mcp-Param-Max": {"7"}, "Mcp-Param-Any": {"x"}},
	}
	if _, err := target.Do(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	want := http.Header{"Accept": {"*/*"}, "Mcp-Param-Word": {mcp.EncodeHeaderValue("grün")}, "Mcp-Param-Max": {"3"}, "Mcp-Param-Shelf": {"top"}}
	if diff := cmp.Diff(want, c.Header); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
}

type rights []bool

func (r rights) May(string, []upstream.Group, int) []bool { return r }

// Who may use less finds less, whatever was built for others; without rights, nothing.
func TestFind(t *testing.T) {
	t.Parallel()
	shown := &upstream.Shown{
		Items: [][]byte{
			[]byte(`{"name":"docs_search","description":"Searches the handbook","inputSchema":{"type":"object","properties":{"word":{"description":"what to look for"}}}}`),
			[]byte(`{"name":"docs_remove","title":"Remove a page","inputSchema":{"type":"object"}}`),
			[]byte(`{"name":"page_of","description":"Who is on duty"}`),
		},
		Names: []string{"docs_search", "docs_remove", "page_of"}, Groups: []upstream.Group{{Member: "docs", At: []int{0, 1}}, {Member: "grafana", At: []int{2}}},
	}
	target := optimizer.New(shelf{shown: shown}, optimizer.Config{Most: 2})
	t.Cleanup(target.Shutdown)
	ask := func(r upstream.Rights, rev mcp.Revision, arguments string) string {
		m := message(t, "find_tool", arguments)
		c := &upstream.Call{Method: http.MethodPost, Message: m, Target: "find_tool", Rights: r, Revision: rev}
		a, err := target.Do(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		defer a.End("")
		text, err := io.ReadAll(a.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	all := rights{true, true, true}
	for question, want := range map[string]string{
		"look something up":     `"tools":[{"name":"docs_search"`,
		"delete a page":         `"tools":[{"name":"docs_remove"`,
		"grafana":               `"tools":[{"name":"page_of"`,
		"the handbook, by word": `"tools":[{"name":"docs_search"`,
	} {
		if got := ask(all, mcp.Rev20260728, `{"tool_description":"`+question+`"}`); !strings.Contains(got, want) || !strings.Contains(got, `"resultType":"complete"`) {
			t.Errorf("%s: %s", question, got)
		}
	}
	const everything = `{"tool_description":"search the handbook, remove a page, who is on duty"}`
	for name, r := range map[string]upstream.Rights{"some": rights{false, true, false}, "none": rights{false, false, false}, "nobody asks": nil} {
		got := ask(r, mcp.Rev20251125, everything)
		if strings.Contains(got, "handbook") || strings.Contains(got, "page_of") || strings.Contains(got, "docs_remove") != (name == "some") || strings.Contains(got, "resultType") {
			t.Errorf("%s: %s", name, got)
		}
	}
	for arguments, want := range map[string]string{
		`{}`:                        "tool_description is missing",
		`{"tool_description":7}`:    "tool_description is missing",
		`{"tool_description":"  "}`: "tool_description is missing",
		`{"tool_description":"a","tool_keywords":[1]}`: "tool_keywords is no list of texts",
	} {
		if got := ask(all, mcp.Rev20251125, arguments); !strings.Contains(got, `"isError":true`) || !strings.Contains(got, want) {
			t.Errorf("%s: %s", arguments, got)
		}
	}
}
