package v1alpha1

import (
	"regexp"
	"strings"
)

// restricted are the headers that no manifest may have passed through or set,
// by the reason for it. Names are in lower case; one that ends in "*" stands
// for all that begin so. The rules of the CRDs are generated from this table.
var restricted = []struct {
	reason string
	names  []string
}{
	{"it says where a request came from or goes to, which is for the gateway to say", []string{
		"host", "forwarded", "via", "x-forwarded-*", "x-real-ip",
	}},
	{"cookies belong to the client and its browser", []string{"cookie", "set-cookie"}},
	{"it describes the connection or the body, not the request", []string{
		"connection", "keep-alive", "proxy-*", "te", "trailer", "transfer-encoding", "upgrade", "http2-settings", "expect",
		"content-length", "content-type", "content-encoding", "accept", "accept-encoding",
	}},
	{"it is one of MCP's own", []string{"mcp-*", "last-event-id"}},
	{"backends believe who it says the caller is", []string{
		"x-authenticated-user", "x-auth-request-*", "remote-*", "x-amzn-oidc-*", "cf-access-*",
		"x-goog-iap-jwt-assertion", "x-goog-authenticated-user-*", "x-pomerium-*", "x-envoy-*",
	}},
}

// HeaderNamePattern is the regular expression (RE2) of a header name: a token
// of RFC 9110 §5.6.2.
const HeaderNamePattern = `^[!#$%&\x27*+.^_\x60|~0-9A-Za-z-]+$`

// RestrictedHeaderPattern returns the regular expression (RE2) of the names
// that [RestrictedHeader] refuses.
func RestrictedHeaderPattern() string {
	var names []string
	for _, group := range restricted {
		for _, name := range group.names {
			names = append(names, strings.ReplaceAll(regexp.QuoteMeta(name), `\*`, `.*`))
		}
	}
	return "(?i)^(" + strings.Join(names, "|") + ")$"
}

// NoIdentityHeader says whether a proxy cannot have its word about callers in a header,
// and why: what clients and the protocol use comes from anybody, and goes on to backends.
func NoIdentityHeader(name string) (reason string, bad bool) {
	reason, bad = RestrictedHeader(name)
	if bad && (reason == restricted[0].reason || reason == restricted[len(restricted)-1].reason) {
		return "", false // there proxies have it
	}
	return reason, bad
}

// RestrictedHeader says whether a manifest may not have a header passed through
// or set, and why. Authorization is not among them: it may be set, and is
// refused where a client's would be passed through.
func RestrictedHeader(name string) (reason string, bad bool) {
	name = strings.ToLower(name)
	for _, group := range restricted {
		for _, n := range group.names {
			prefix, isPrefix := strings.CutSuffix(n, "*")
			if name == n || isPrefix && strings.HasPrefix(name, prefix) {
				return group.reason, true
			}
		}
	}
	return "", false
}
