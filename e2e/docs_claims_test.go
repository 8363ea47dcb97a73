package e2e_test

import (
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// REQ B-28: the security page says plainly what is protected and what is not. Each
// of these has a part of the page of its own, with something in it.
func TestSecurityPageSpeaksOfEverything(t *testing.T) {
	t.Parallel()
	parts := map[string]string{}
	heading := ""
	for line := range strings.Lines(read(t, filepath.Join(root, "docs", "security.md"))) {
		if title, ok := strings.CutPrefix(line, "## "); ok {
			heading = strings.TrimSpace(title)
			continue
		}
		parts[heading] += line
	}
	for _, want := range []struct{ heading, says string }{
		{"What is protected", "confused deputy"},
		{"What is not protected", "Replay"},
		{"Token replay and lifetimes", "5 to 15 minutes"},
		{"Expiry during a call", "not cut"},
		{"Key rotation", "before you sign with it"},
		{"A change of issuer", "refused"},
		{"A compromised key endpoint", "jwksCertFingerprint"},
		{"Consent", "90 days"},
		{"Reuse of refresh tokens and codes", "good once"},
		{"What a stolen store gives", "hmacSecretRefs"},
		{"What a backend learns about the caller", "identityAssertion"},
		{"What an operator of the gateway can see", "Everything"},
	} {
		if !strings.Contains(parts[want.heading], want.says) {
			t.Errorf("docs/security.md: no part %q that says %q", want.heading, want.says)
		}
	}
}

// TestWordsInDocs compares words that people's queries and alerts depend on with the
// rows of the page that explain them.
func TestWordsInDocs(t *testing.T) {
	t.Parallel()
	quoted := regexp.MustCompile("`([a-z_.]+)`")
	for _, tc := range []struct {
		what, code, files, row string
		least                  int
	}{
		{"sources of a subject", `Source[A-Z]\w*\s*= "([a-z]+)"`, "internal/identity/caller.go", "| `source` |", 6},
		{"fields of an audit event", "`[{,]\"([a-z_]+)\":", "internal/audit/json.go", "| `", 12},
		{"steps that refuse", `\{"([a-z]+)", e\.`, "internal/pipeline/endpoint.go", "| `reason` * |", 8},
		{"results of token checks", `Result = "([a-z]+)"`, "internal/authn/memory.go", "| `sallyport_token_validations_total` |", 4},
	} {
		t.Run(tc.what, func(t *testing.T) {
			t.Parallel()
			files, err := filepath.Glob(filepath.Join(root, tc.files))
			if err != nil {
				t.Fatal(err)
			}
			inCode := map[string]bool{}
			for _, file := range files {
				if strings.HasSuffix(file, "_test.go") {
					continue
				}
				for _, m := range regexp.MustCompile(tc.code).FindAllStringSubmatch(read(t, file), -1) {
					inCode[m[1]] = true
				}
			}
			if len(inCode) < tc.least {
				t.Fatalf("%s: found %d words, want at least %d", tc.files, len(inCode), tc.least)
			}
			inPage := map[string]bool{}
			for line := range strings.Lines(read(t, filepath.Join(root, "docs", "reference", "metrics-and-audit.md"))) {
				if !strings.HasPrefix(line, tc.row) {
					continue
				}
				for _, m := range quoted.FindAllStringSubmatch(line, -1) {
					inPage[m[1]] = true
				}
			}
			var missing []string
			for _, word := range slices.Sorted(maps.Keys(inCode)) {
				if !inPage[word] {
					missing = append(missing, word)
				}
			}
			if diff := cmp.Diff([]string(nil), missing); diff != "" {
				t.Errorf("docs/reference/metrics-and-audit.md does not explain (+missing):\n%s", diff)
			}
		})
	}
}
