package idp

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/token"
)

// TokenPaths say where a token endpoint's answer has what RFC 6749 §5.1 puts at its
// top. An empty path means the usual place.
type TokenPaths struct{ Access, Refresh, ExpiresIn, Scope string }

// IdentityPaths say where a token endpoint's answer names the person.
type IdentityPaths struct{ Subject, Name, Email string }

// rewrite copies the values at the paths to where RFC 6749 has them; the rest of the
// answer stays.
func (p *TokenPaths) rewrite(body []byte) ([]byte, error) {
	answer, err := token.ParseClaims(body)
	if err != nil {
		return nil, errors.New("it is no JSON object that can be trusted")
	}
	out := make(map[string]any, len(answer)+4)
	for name, value := range answer {
		out[name] = value
	}
	for name, path := range map[string]string{
		"access_token": p.Access, "refresh_token": p.Refresh, "expires_in": p.ExpiresIn, "scope": p.Scope,
	} {
		if path == "" {
			continue
		}
		delete(out, name)
		switch v := at(answer, path).(type) {
		case nil:
		case string, float64:
			out[name] = v
		case []any:
			out[name] = strings.Join(token.Claims{"": v}.Texts(""), " ")
		default:
			return nil, fmt.Errorf("what %s leads to is neither text nor a number", path)
		}
	}
	if scope, ok := out["scope"].(string); ok {
		out["scope"] = strings.ReplaceAll(scope, ",", " ") // those that separate by commas
	}
	return json.Marshal(out)
}

// jwtStep reads the claims of the token that the path has led to. It is not verified:
// it came straight from the token endpoint (OpenID Connect Core §3.1.3.7, rule 6).
const jwtStep = "@upstreamjwt"

// at follows a path into an answer: names joined by dots (or bars), an index for a
// list. Nil when it leads nowhere.
func at(answer token.Claims, path string) any {
	var v any = map[string]any(answer)
	for step := range strings.FieldsFuncSeq(path, func(r rune) bool { return r == '.' || r == '|' }) {
		switch here := v.(type) {
		case map[string]any:
			v = here[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(here) {
				return nil
			}
			v = here[i]
		case string:
			claims := payload(here)
			if step != jwtStep || claims == nil {
				return nil
			}
			v = map[string]any(claims)
		default:
			return nil
		}
	}
	return v
}

// payload is the claims of a JWT whose signature nobody looks at; nil for other text.
func payload(jwt string) token.Claims {
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 || len(jwt) > token.MaxSize {
		return nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil
	}
	claims, err := token.ParseClaims(raw)
	if err != nil {
		return nil
	}
	return claims
}

// named is the text, or whole number, at a path.
func named(answer token.Claims, path string) string {
	if path == "" {
		return ""
	}
	return first(token.Claims{"it": at(answer, path)}, []string{"it"})
}
