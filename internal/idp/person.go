package idp

import (
	"math"
	"strconv"

	"github.com/sallyport-dev/sallyport/internal/token"
)

// Mapping says in which claims a provider puts what: plain names, or paths with
// dots. An empty one means the usual places.
type Mapping struct{ Email, Name, Groups, Roles string }

// Fields are the fields of a userinfo answer, each to be tried in turn; nil for the
// usual ones.
type Fields struct{ Subject, Name, Email []string }

// fill adds to a person what claims say that is not known yet.
func (m Mapping) fill(p *Person, c token.Claims) {
	if p.Name == "" {
		p.Name = c.TextAt(m.Name, "name", "preferred_username")
	}
	if p.Email == "" {
		p.Email = c.TextAt(m.Email, "email")
		said := p.Email != "" && m.Email == "" && c.Has("email_verified")
		p.EmailVerified = said && verified(c["email_verified"])
		p.EmailUnverified = said && !p.EmailVerified
	}
	if p.Groups == nil {
		p.Groups = c.TextsAt(m.Groups, "groups", "cognito:groups")
	}
	if p.Roles == nil {
		p.Roles = c.TextsAt(m.Roles, "roles", "realm_access.roles")
	}
}

// verified reads email_verified, which some providers send as text.
func verified(v any) bool { return v == true || v == "true" }

// first is the first of the fields that names somebody: text, or a whole number that
// is exact in JSON. Beyond 2^53 two people could get the same one.
func first(c token.Claims, fields []string) string {
	for _, name := range fields {
		switch v := c.At(name).(type) {
		case string:
			if v != "" {
				return v
			}
		case float64:
			if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
				return strconv.FormatInt(int64(v), 10)
			}
		}
	}
	return ""
}
