package mcp_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

func TestRevision(t *testing.T) {
	t.Parallel()
	// REQ F-1
	want := []mcp.Revision{"2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"}
	if diff := cmp.Diff(want, mcp.Supported()); diff != "" {
		t.Error(diff)
	}
	for _, r := range want {
		if !r.Known() {
			t.Errorf("%s is not known", r)
		}
	}
	for _, tt := range []struct {
		r             mcp.Revision
		known, modern bool
	}{
		{"2026-07-28", true, true},
		{"2026-07-29", false, true},
		{"2030-01-01", false, true},
		{"2025-11-25", true, false},
		{"2026-07-27", false, false},
		{"", false, false},
		{"latest", false, false},
		{"2026-07-281", false, false},
		{"2026/07/28", false, false},
		{"zzzz-99-99", false, false},
		{"9999-aa-bb", false, false},
	} {
		if tt.r.Known() != tt.known || tt.r.Modern() != tt.modern {
			t.Errorf("%q: known %v, modern %v", tt.r, tt.r.Known(), tt.r.Modern())
		}
	}
}
