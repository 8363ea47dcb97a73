package mcp_test

import (
	"testing"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

func TestNegotiatedRevision(t *testing.T) {
	t.Parallel()
	tests := []struct {
		msg  string
		want mcp.Revision
		ok   bool
	}{
		{`{"jsonrpc":"2.0","id":1,"result":{"capabilities":{"x":{"protocolVersion":"no"}},"protocolVersion":"2025-06-18"}}`, mcp.Rev20250618, true},
		{`{"result":{"protocolVersion":7}}`, "", false},
		{`{"error":{"code":1,"message":"protocolVersion"}}`, "", false},
		{`{"result":"protocolVersion"}`, "", false},
		{`[]`, "", false},
		{``, "", false},
		{`{"result":{"protocolVersion"`, "", false},
	}
	for _, tt := range tests {
		if got, ok := mcp.NegotiatedRevision([]byte(tt.msg)); got != tt.want || ok != tt.ok {
			t.Errorf("%s: got %q, %v", tt.msg, got, ok)
		}
	}
}
