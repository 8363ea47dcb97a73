package v1alpha1_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
)

// REQ E-2. That the CRDs refuse the same names is tested where they are run, in
// internal/manifest/strict.
func TestRestrictedHeader(t *testing.T) {
	t.Parallel()
	pattern := regexp.MustCompile(v1alpha1.RestrictedHeaderPattern())
	tests := []struct {
		name   string
		reason string // a word of it; empty where the header is free
	}{
		{"Host", "gateway"},
		{"Forwarded", "gateway"},
		{"Via", "gateway"},
		{"X-Forwarded-For", "gateway"},
		{"X-Real-Ip", "gateway"},
		{"Cookie", "browser"},
		{"Set-Cookie", "browser"},
		{"Connection", "connection"},
		{"Keep-Alive", "connection"},
		{"Proxy-Authorization", "connection"},
		{"Te", "connection"},
		{"Trailer", "connection"},
		{"Transfer-Encoding", "connection"},
		{"Upgrade", "connection"},
		{"Content-Length", "connection"},
		{"Content-Type", "connection"},
		{"Accept", "connection"},
		{"Accept-Encoding", "connection"},
		{"Mcp-Session-Id", "MCP"},
		{"Mcp-Protocol-Version", "MCP"},
		{"Last-Event-Id", "MCP"},
		{"X-Authenticated-User", "caller"},
		{"X-Auth-Request-User", "caller"},
		{"Remote-User", "caller"},
		{"X-Amzn-Oidc-Data", "caller"},
		{"Cf-Access-Jwt-Assertion", "caller"},
		{"X-Goog-Iap-Jwt-Assertion", "caller"},
		{"X-Goog-Authenticated-User-Email", "caller"},
		{"X-Pomerium-Jwt-Assertion", "caller"},
		{"X-Envoy-Peer-Metadata", "caller"},
		{"Authorization", ""},
		{"User-Agent", ""},
		{"Accept-Language", ""},
		{"Traceparent", ""},
		{"X-Request-Id", ""},
		{"X-Forwarded", ""},
		{"Hosts", ""},
		{"X-Host", ""},
		{"Mcp", ""},
		{"Remote", ""},
		{"", ""},
	}
	for _, tt := range tests {
		for _, name := range []string{tt.name, strings.ToUpper(tt.name), strings.ToLower(tt.name)} {
			reason, bad := v1alpha1.RestrictedHeader(name)
			if bad != (tt.reason != "") || !strings.Contains(reason, tt.reason) {
				t.Errorf("%q: got %v because %q, want a reason with %q", name, bad, reason, tt.reason)
			}
			if pattern.MatchString(name) != bad {
				t.Errorf("%q: the pattern disagrees with the function, which says %v", name, bad)
			}
		}
	}
}

func TestHeaderNamePattern(t *testing.T) {
	t.Parallel()
	pattern := regexp.MustCompile(v1alpha1.HeaderNamePattern)
	for c := range 256 {
		name := "X" + string(rune(c))
		want := c < 128 && (strings.ContainsRune("!#$%&'*+-.^_`|~0123456789", rune(c)) || c|0x20 >= 'a' && c|0x20 <= 'z') // RFC 9110 §5.6.2
		if got := pattern.MatchString(name); got != want {
			t.Errorf("%q: got %v", name, got)
		}
	}
	if pattern.MatchString("") || pattern.MatchString("X\n") {
		t.Error("an empty name, or one with a line break, was taken")
	}
}
