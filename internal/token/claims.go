package token

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// Claims are the claims of a verified token, or of an introspection answer. They
// are shared between requests and never changed.
type Claims map[string]any

// ParseClaims reads claims strictly: a name that stands twice, anywhere, could mean
// one thing here and another thing elsewhere (RFC 8725 §3.11), so it is refused.
func ParseClaims(payload []byte) (Claims, error) {
	var c Claims
	if err := json.Unmarshal(payload, &c); err != nil {
		return nil, fmt.Errorf("read claims: %w", err)
	}
	if c == nil {
		return nil, fmt.Errorf("read claims: not an object")
	}
	return c, nil
}

// Text is a claim that is text; "" when it is missing or something else.
func (c Claims) Text(name string) string {
	s, _ := c[name].(string)
	return s
}

// Time is a NumericDate (RFC 7519 §2), which some issuers write as text. Ok is false
// when the claim is missing or is no date.
func (c Claims) Time(name string) (t time.Time, ok bool) {
	f, ok := c[name].(float64)
	if text, isText := c[name].(string); isText {
		var err error
		f, err = strconv.ParseFloat(text, 64)
		ok = err == nil
	}
	if !ok || math.IsNaN(f) || f < 0 || f > maxDate {
		return time.Time{}, false
	}
	sec, frac := math.Modf(f)
	return time.Unix(int64(sec), int64(frac*1e9)), true
}

const maxDate = 253402300799 // the end of the year 9999

// Has reports whether a claim is there, whatever its value; null is none.
func (c Claims) Has(name string) bool { return c[name] != nil }

// Texts is a claim that is text or a list of text: the audience, groups, roles. A
// list with anything else in it is no such claim.
func (c Claims) Texts(path string) []string { return texts(c.At(path)) }

func texts(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		list := make([]string, 0, len(v))
		for _, e := range v {
			s, ok := e.(string)
			if !ok {
				return nil
			}
			list = append(list, s)
		}
		return list
	}
	return nil
}

// At is the claim at a path: a plain name first, even one with dots or colons in
// it ("cognito:groups", "https://example.com/roles"), else steps through nested
// objects ("realm_access.roles"). Nil when there is none.
func (c Claims) At(path string) any {
	if v, ok := c[path]; ok {
		return v
	}
	m := map[string]any(c)
	for {
		step, rest, more := strings.Cut(path, ".")
		v, ok := m[step]
		if !ok || !more {
			return v
		}
		if m, ok = v.(map[string]any); !ok {
			return nil
		}
		path = rest
	}
}

// TextAt is the text at a path; for an empty path, at the first of the usual places
// that has one.
func (c Claims) TextAt(path string, usual ...string) string {
	if path != "" {
		usual = []string{path}
	}
	for _, p := range usual {
		if s, ok := c.At(p).(string); ok && s != "" {
			return s
		}
	}
	return ""
}

// TextsAt is [Claims.TextAt] for claims that are lists.
func (c Claims) TextsAt(path string, usual ...string) []string {
	if path != "" {
		usual = []string{path}
	}
	for _, p := range usual {
		if l := c.Texts(p); len(l) > 0 {
			return l
		}
	}
	return nil
}

// Scopes are the scopes that a token was granted: `scope` as RFC 8693 §4.2 has it, and
// `scp`, which Entra ID and Okta use, each as text or list.
func (c Claims) Scopes() []string {
	var all []string
	for _, name := range []string{"scope", "scp"} {
		for _, line := range texts(c[name]) {
			for scope := range strings.FieldsSeq(line) {
				if !slices.Contains(all, scope) {
					all = append(all, scope)
				}
			}
		}
	}
	return all
}

// Client is the OAuth client that a token was issued to.
func (c Claims) Client() string {
	return cmp.Or(c.Text("client_id"), c.Text("azp"))
}

// IDToken says why claims are those of no access token, as far as issuers let one tell
// (RFC 8725 §3.12); "" for what may be one.
func (c Claims) IDToken() string {
	switch use := c.Text("token_use"); use { // Cognito
	case "access":
		return ""
	case "":
	default:
		return "its token_use is " + shorten(use)
	}
	switch typ := strings.ToLower(c.Text("typ")); typ { // Keycloak
	case "bearer", "at+jwt", "access":
		return ""
	case "id", "refresh", "offline", "logout":
		return "its typ is " + typ
	}
	for _, name := range []string{"nonce", "at_hash", "c_hash"} { // OpenID Connect Core §2
		if c.Has(name) && len(c.Scopes()) == 0 {
			return "it has " + name + ", as ID tokens have"
		}
	}
	return ""
}

// audience says why claims are for somebody else: none of the audiences is among
// theirs. A token that names nobody, as some issuers make them, is for who says so of
// the client it was issued to.
func (c Claims) audience(audiences, clients []string) error {
	if len(clients) > 0 && !slices.Contains(clients, c.Client()) {
		return invalid("its client %q is none of %q", shorten(c.Client()), clients)
	}
	aud := texts(c["aud"])
	if len(aud) == 0 && !c.Has("aud") && len(clients) > 0 || slices.ContainsFunc(aud, func(a string) bool { return slices.Contains(audiences, a) }) {
		return nil
	}
	return invalid("its audience %q has none of %q", shorten(fmt.Sprint(c["aud"])), audiences)
}
