package credential

import (
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/secret"
)

// FuzzScrub looks for what was sent in what is left of a server's error about it.
func FuzzScrub(f *testing.F) {
	f.Add("AADSTS50013: assertion ", "eyJhbGciOi.eyJzdWIi.c2ln", " is not within its valid time range")
	f.Add("bad client_secret '", "hush hush", "'")
	f.Add("", "s", "")
	f.Fuzz(func(t *testing.T, before, sent, after string) {
		got := scrub(before+sent+after, []secret.Value{secret.New(sent)})
		if sent != "" && !strings.ContainsAny(sent, "[]") && !strings.Contains("redacted", sent) && strings.Contains(got, sent) {
			t.Errorf("%q is left in %q", sent, got)
		}
		for _, run := range redactRuns(got, 0) {
			if len(run) > 20 && strings.ContainsAny(run, "0123456789") && strings.IndexFunc(run, func(r rune) bool { return !tokenRune(r) }) < 0 {
				t.Errorf("a word like a token is left: %q", run)
			}
		}
	})
}

// Words that people write stay readable.
func TestScrubKeepsWords(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"unsupported_grant_type (the grant is not supported)", "invalid_grant (AADSTS50013: Assertion failed signature validation)",
		"invalid_scope (unauthorized scope: https, docs.read, api/write)",
	} {
		if got := scrub(text, nil); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
}
