package authn

import (
	"time"

	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// Mapping says in which claims an issuer puts what (REQ B-8): plain names, or
// paths with dots. An empty one means the usual places.
type Mapping struct {
	Email, Name, Groups, Roles string

	// NoSubject is the claim that names the caller where sub is missing or empty:
	// of a program, that is, and not of a person.
	NoSubject string
}

// caller makes a caller of verified claims.
func (m Mapping) caller(c token.Claims, source string, expires time.Time) (*identity.Caller, error) {
	subject := c.Text("sub")
	if subject == "" && m.NoSubject != "" {
		subject = c.Text(m.NoSubject)
	}
	if subject == "" {
		return nil, &token.Invalid{Reason: "it has no subject"}
	}
	return &identity.Caller{
		Subject:  subject,
		Source:   source,
		Issuer:   c.Text("iss"),
		ClientID: c.Client(),
		Email:    c.TextAt(m.Email, "email"),
		Name:     c.TextAt(m.Name, "name", "preferred_username"),
		Groups:   c.TextsAt(m.Groups, "groups", "cognito:groups"),
		Roles:    c.TextsAt(m.Roles, "roles", "realm_access.roles"),
		Scopes:   c.Scopes(),
		Claims:   c,
		Expires:  expires,
	}, nil
}

// Explain makes the caller that a token with these claims would have, for questions
// about what-if. It proves nothing.
func (m Mapping) Explain(c token.Claims) (*identity.Caller, error) {
	return m.caller(c, identity.SourceJWT, time.Time{})
}
