package mcp

import "strings"

// Shown is what log and audit say of a message's target: a tool's or prompt's
// name, or a resource's URI without the parts that may hold a credential, which
// are the userinfo, the query and the fragment (RFC 3986 §7.5).
func Shown(target string) string {
	const redacted = "[redacted]"
	scheme, _, isURI := strings.Cut(target, ":")
	if !isURI || strings.ContainsAny(scheme, "/?#") {
		return target
	}
	tail := ""
	if i := strings.IndexAny(target, "?#"); i >= 0 {
		target, tail = target[:i], target[i:i+1]+redacted
	}
	head, rest, ok := strings.Cut(target, "://") // also behind a scheme of schemes, as in jdbc:mysql://
	if ok {
		authority, path := rest, ""
		if i := strings.IndexByte(rest, '/'); i >= 0 {
			authority, path = rest[:i], rest[i:]
		}
		if i := strings.LastIndexByte(authority, '@'); i >= 0 {
			target = head + "://" + redacted + authority[i:] + path
		}
	}
	return target + tail
}
