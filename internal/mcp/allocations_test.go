//go:build !race

// With the race detector a sync.Pool forgets. hack/lint.sh runs what is here without it.

package mcp_test

import (
	"testing"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

func TestParseAllocations(t *testing.T) {
	// Not parallel: AllocsPerRun counts the whole process.
	for _, body := range []string{legacyCall, modernCall} {
		raw := []byte(body)
		got := testing.AllocsPerRun(200, func() {
			if _, err := mcp.Parse(raw, mcp.DefaultLimits()); err != nil {
				t.Error(err)
			}
		})
		if got > 2 {
			t.Errorf("Parse of %d bytes allocates %v times", len(raw), got)
		}
	}
}
