package mcp_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

func TestMerge(t *testing.T) {
	t.Parallel()
	set := []mcp.Field{{"a", []byte("1")}, {"b", []byte(`"x"`)}}
	tests := []struct{ raw, want string }{
		{`{}`, `{"a":1,"b":"x"}`},
		{`{ }`, `{ "a":1,"b":"x"}`},
		{`{"c":9007199254740993}`, `{"c":9007199254740993,"a":1,"b":"x"}`},
		{`{ "b" : [2] , "c":3 }`, `{ "b" : "x" , "c":3 ,"a":1}`},
		{`{"\u0061":5}`, `{"\u0061":1,"b":"x"}`},
		{`null`, `{"a":1,"b":"x"}`},
		{``, `{"a":1,"b":"x"}`},
		{`[1]`, `{"a":1,"b":"x"}`},
		{" {}", ` {"a":1,"b":"x"}`},
		{`{"c":1}0`, `{"a":1,"b":"x"}`},
		{`{"c":1} `, `{"c":1,"a":1,"b":"x"} `},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, string(mcp.Merge([]byte(tt.raw), set))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.raw, diff)
		}
	}
	if got := string(mcp.Merge([]byte(`{"a":0}`), nil)); got != `{"a":0}` {
		t.Errorf("nothing to set: %s", got)
	}
}

func FuzzMerge(f *testing.F) {
	f.Add(`{"a":0,"c":[1,{"a":2}]}`)
	f.Add(`{ }`)
	f.Fuzz(func(t *testing.T, raw string) {
		var before map[string]json.RawMessage
		if json.Unmarshal([]byte(raw), &before) != nil {
			before = nil
		}
		merged := mcp.Merge([]byte(raw), []mcp.Field{{"a", []byte("1")}})
		var after map[string]json.RawMessage
		if err := json.Unmarshal(merged, &after); err != nil {
			t.Fatalf("%q became %q: %v", raw, merged, err)
		}
		if string(after["a"]) != "1" {
			t.Errorf("%q became %q", raw, merged)
		}
	})
}
