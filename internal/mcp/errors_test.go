package mcp_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

func TestErrorAppend(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		err  *mcp.Error
		id   []byte
		want string
	}{
		"plain":     {mcp.Errorf(400, mcp.CodeParse, "byte %d", 3), []byte("7"), `{"jsonrpc":"2.0","id":7,"error":{"code":-32700,"message":"byte 3"}}`},
		"string id": {mcp.Errorf(400, -1, "x"), []byte(`"a"`), `{"jsonrpc":"2.0","id":"a","error":{"code":-1,"message":"x"}}`},
		"no id":     {mcp.Errorf(400, 1, "x"), nil, `{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"x"}}`},
		"data":      {&mcp.Error{Code: 1, Message: "x", Data: []byte(`{"a":1}`)}, nil, `{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"x","data":{"a":1}}}`},
		"quoting":   {mcp.Errorf(400, 1, "a\"\n\xff"), nil, `{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"a\"\n` + "\ufffd" + `"}}`},
	}
	for name, tt := range tests {
		got := string(tt.err.Append([]byte("before "), tt.id))
		if got != "before "+tt.want || !json.Valid([]byte(tt.want)) {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

func TestUnsupportedVersion(t *testing.T) {
	t.Parallel()
	// REQ F-1; MCP 2026-07-28 versioning
	err := mcp.UnsupportedVersion("1\"\xff")
	var data struct {
		Supported []mcp.Revision
		Requested string
	}
	if e := json.Unmarshal(err.Data, &data); e != nil {
		t.Fatal(e)
	}
	if diff := cmp.Diff(mcp.Supported(), data.Supported); diff != "" || data.Requested != "1\"\ufffd" {
		t.Errorf("data %s %s", err.Data, diff)
	}
	if err.Code != mcp.CodeUnsupportedVersion || err.Status != http.StatusBadRequest {
		t.Errorf("%d, %v", err.Status, err)
	}
}
