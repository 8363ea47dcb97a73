package store_test

import (
	"regexp"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/store"
)

// REQ D-6
func TestDigest(t *testing.T) {
	t.Parallel()
	usable := regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)
	seen := map[string][]string{}
	for _, texts := range [][]string{{}, {""}, {"", ""}, {"ab"}, {"a", "b"}, {"", "ab"}, {"ab", ""}, {"b", "a"}, {"a\x00b"}, {"a/b"}, {"a", "/b"}} {
		d := store.Digest(texts...)
		if !usable.MatchString(d) {
			t.Errorf("Digest(%q) = %q, want 43 characters without a slash", texts, d)
		}
		if other, ok := seen[d]; ok {
			t.Errorf("Digest(%q) and Digest(%q) are the same", texts, other)
		}
		seen[d] = texts
	}
}
