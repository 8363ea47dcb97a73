package mcp_test

import (
	"testing"

	"github.com/sallyport-dev/sallyport/internal/mcp"
)

// REQ B-22, REQ A-7
func TestShown(t *testing.T) {
	t.Parallel()
	for target, want := range map[string]string{
		"":                                "",
		"tool":                            "tool",
		"what?":                           "what?",
		"a@b":                             "a@b",
		"path/x:y?z":                      "path/x:y?z",
		"file:///etc/hosts":               "file:///etc/hosts",
		"https://example.com/a/b":         "https://example.com/a/b",
		"https://example.com/a?key=1":     "https://example.com/a?[redacted]",
		"https://example.com/a#key":       "https://example.com/a#[redacted]",
		"https://example.com?a=/b@c":      "https://example.com?[redacted]",
		"db://user:secret@host/table":     "db://[redacted]@host/table",
		"db://user:se@cret@host:1/t?k=v#": "db://[redacted]@host:1/t?[redacted]",
		"db://token@host":                 "db://[redacted]@host",
		"db://host/user@example.com":      "db://host/user@example.com",
		"jdbc:mysql://u:p@host/db":        "jdbc:mysql://[redacted]@host/db",
		"test:static?x":                   "test:static?[redacted]",
	} {
		if got := mcp.Shown(target); got != want {
			t.Errorf("Shown(%q) = %q, want %q", target, got, want)
		}
	}
}
