package oauthclient

import (
	"slices"
	"strings"
)

const (
	offlineAccess = "offline_access"
	maxScopes     = 4 << 10 // bytes, in a request
)

// scopesFor is what to ask for (MCP 2026-07-28 scope selection): what a challenge
// names, else everything that the resource's metadata lists, else nothing. The
// operator's own list wins over both.
func scopesFor(given, challenged, listed []string) []string {
	switch {
	case len(given) > 0:
		return given
	case len(challenged) > 0:
		return challenged
	}
	return listed
}

// stepUp adds what a challenge asks for to what was asked for before (SEP-2350). ok
// is false when that brings nothing new: asking again would be asking for ever.
func stepUp(before, challenged, listed []string) (scopes []string, ok bool) {
	if len(challenged) == 0 {
		challenged = listed
	}
	scopes = union(before, challenged)
	return scopes, len(scopes) > len(before)
}

// withOffline asks for refresh tokens where the server has a scope for that. One
// that does not list it may refuse the whole request (SEP-2207).
func withOffline(scopes, supported []string) []string {
	if slices.Contains(supported, offlineAccess) {
		return union(scopes, []string{offlineAccess})
	}
	return scopes
}

// cleanScopes keeps the words that can be scopes (RFC 6749 §3.3): they come from a
// stranger and go into a URL that a person opens.
func cleanScopes(words []string) []string {
	var out []string
	size := 0
	for _, w := range words {
		if size += len(w) + 1; size > maxScopes {
			break
		}
		if w != "" && !strings.ContainsFunc(w, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) && !slices.Contains(out, w) {
			out = append(out, w)
		}
	}
	return out
}
