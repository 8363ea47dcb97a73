package mcp_test

import (
	"testing"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

func TestSplice(t *testing.T) {
	t.Parallel()
	// REQ F-4: nothing but the edit changes.
	edit := func(start, end int, s string) mcp.Edit {
		return mcp.Edit{Span: mcp.Span{Start: start, End: end}, New: []byte(s)}
	}
	tests := map[string]struct {
		edits []mcp.Edit
		want  string
	}{
		"none":      {nil, "0123456789"},
		"one":       {[]mcp.Edit{edit(2, 4, "abc")}, "01abc456789"},
		"unordered": {[]mcp.Edit{edit(8, 10, ""), edit(0, 1, "X"), edit(4, 5, "YY")}, "X123YY567"},
		"touching":  {[]mcp.Edit{edit(4, 6, "b"), edit(2, 4, "a")}, "01ab6789"},
		"insert":    {[]mcp.Edit{edit(10, 10, "!"), edit(3, 3, "?")}, "012?3456789!"},
		"all":       {[]mcp.Edit{edit(0, 10, "")}, ""},
	}
	for name, tt := range tests {
		raw := []byte("0123456789")
		if got := string(mcp.Splice(raw, tt.edits...)); got != tt.want || string(raw) != "0123456789" {
			t.Errorf("%s: %q, want %q; raw is now %q", name, got, tt.want, raw)
		}
	}
	for name, edits := range map[string][]mcp.Edit{
		"overlap":   {edit(2, 5, ""), edit(4, 6, "")},
		"outside":   {edit(9, 11, "")},
		"backwards": {edit(5, 4, "")},
		"negative":  {edit(-1, 4, "")},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			mcp.Splice([]byte("0123456789"), edits...)
		}()
	}
	e := mustParse(t, call(`{"name":"a\u0064d" , "arguments":{"n":12345678901234567890.10}}`))
	got := string(mcp.Splice(e.Raw, mcp.Edit{Span: e.TargetSpan, New: []byte(`"math_add"`)}))
	if want := call(`{"name":"math_add" , "arguments":{"n":12345678901234567890.10}}`); got != want {
		t.Errorf("renamed tool: %s", got)
	}
}
