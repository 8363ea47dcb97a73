package authn

import (
	"time"

	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// Mapping says in which claims an issuer puts what (REQ B-8): plain names, or
// paths with dots. An empty one means the usual places.
type Mapping struct{ Email, Name, Groups, Roles string }

// The usual places, most telling first.
var (
	usualEmail  = []string{"email"}
	usualName   = []string{"name", "preferred_username"}
	usualGroups = []string{"groups", "cognito:groups"}
	usualRoles  = []string{"roles", "realm_access.roles"}
)

// caller makes a caller of verified claims.
func (m Mapping) caller(c token.Claims, source string, expires time.Time) *identity.Caller {
	clientID := c.Text("client_id")
	if clientID == "" {
		clientID = c.Text("azp")
	}
	return &identity.Caller{
		Subject:  c.Text("sub"),
		Source:   source,
		Issuer:   c.Text("iss"),
		ClientID: clientID,
		Email:    text(c, m.Email, usualEmail),
		Name:     text(c, m.Name, usualName),
		Groups:   list(c, m.Groups, usualGroups),
		Roles:    list(c, m.Roles, usualRoles),
		Scopes:   c.Scopes(),
		Claims:   c,
		Expires:  expires,
	}
}

func text(c token.Claims, path string, usual []string) string {
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

func list(c token.Claims, path string, usual []string) []string {
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
