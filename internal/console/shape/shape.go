package shape

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// Shape is what may be told of a credential without a character that is its own: what
// scheme and kind it is of, how long, and when it ends.
type Shape struct {
	scheme string // Bearer, Basic, AWS4-HMAC-SHA256; "" for none that everybody knows
	jwt    bool
	length int
	ends   time.Time // of a JWT that says so
}

// schemes are those of Authorization that are no part of a secret.
var schemes = []string{"Bearer", "Basic", "DPoP", "Digest", "Negotiate", "Token", "AWS4-HMAC-SHA256"}

// Of looks at the value of a header.
func Of(value string) Shape {
	s := Shape{}
	if scheme, rest, ok := strings.Cut(value, " "); ok && slices.Contains(schemes, scheme) {
		s.scheme, value = scheme, rest
	}
	s.length = len(value)
	if parts := strings.Split(value, "."); len(parts) == 3 && strings.HasPrefix(value, "eyJ") {
		payload, err := base64.RawURLEncoding.DecodeString(parts[1])
		claims, failed := token.ParseClaims(payload)
		if s.jwt = err == nil && failed == nil; s.jwt {
			s.ends, _ = claims.Time("exp")
		}
	}
	return s
}

// Text is the shape as it is at a moment.
func (s *Shape) Text(now time.Time) string {
	scheme, what := "", fmt.Sprint(s.length)+" characters"
	if s.scheme != "" {
		scheme = s.scheme + " "
	}
	if !s.jwt {
		return scheme + "… (" + what + ")"
	}
	switch left := s.ends.Sub(now); {
	case s.ends.IsZero():
	case left <= 0:
		what += ", it has ended"
	default:
		what += ", exp in " + Span(left)
	}
	return scheme + "eyJ… (JWT, " + what + ")" // all of them begin so
}

// Span is a time as exact as a glance wants it.
func Span(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

// plain reports headers whose values are no secret: names that no manifest can set, arguments, which the operator wrote,
// and the gateway's own name.
func plain(name, value string) bool {
	switch name = http.CanonicalHeaderKey(name); name {
	case "Accept", "Accept-Encoding", "Content-Type", mcp.HeaderMethod, mcp.HeaderName, mcp.HeaderProtocolVersion:
		return true
	case "User-Agent":
		return value == "sallyport"
	}
	return strings.HasPrefix(name, mcp.HeaderParamPrefix)
}

// Header is what may be shown of a header: of one that is not known to be harmless no
// more than its shape.
func Header(name, value string, now time.Time) string {
	if plain(name, value) {
		return name + ": " + value
	}
	s := Of(value)
	return name + ": " + s.Text(now)
}

// Hide takes out of a text what was shown to a server: one that repeats it is not to tell
// an operator what the gateway does not.
func Hide(text string, secrets []string) string {
	for _, s := range secrets {
		text = strings.ReplaceAll(text, s, "[hidden]")
	}
	return text
}

// Secrets are the values of headers that are not shown, with and without their schemes. Short
// ones everything would hold.
func Secrets(h http.Header) (all []string) {
	const short = 8
	for name, values := range h {
		for _, v := range values {
			for _, s := range []string{v, v[strings.LastIndexByte(v, ' ')+1:]} {
				if !plain(name, v) && len(s) >= short && !slices.Contains(all, s) {
					all = append(all, s)
				}
			}
		}
	}
	return all
}
