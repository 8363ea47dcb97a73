package policy

import (
	"regexp"
	"strings"
)

// encoded are what a server may decode after policies have looked: dots, slashes and
// NUL, encoded once or more.
var encoded = regexp.MustCompile(`(?i)%(25)*(2e|2f|5c|00)`)

// ambiguous says why a query is about nothing in particular: a resource's URI that a
// server may read as another one than policies compare, such as one that climbs out of
// the folder that it begins with (RFC 3986 §6.2.2). Policies compare URIs as text, so
// nothing permits these. It is "" for all others.
func ambiguous(q *Query) string {
	if q.Action != ReadResource {
		return ""
	}
	separator := func(r rune) bool { return strings.ContainsRune(`/\?#:`, r) }
	for part := range strings.FieldsFuncSeq(q.Target, separator) {
		if part == "." || part == ".." {
			return "the URI has the segment " + part + ", and could be read as another one"
		}
	}
	if encoded.MatchString(q.Target) {
		return "the URI has an encoded dot, slash or NUL, and could be read as another one"
	}
	return ""
}
