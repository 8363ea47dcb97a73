package credential

import (
	"context"
	"net/url"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// OnBehalfOf is Entra's on-behalf-of flow: RFC 7523's grant with a parameter of its
// own, and errors as everywhere.
type OnBehalfOf struct {
	Subject
	Outcome
	Endpoint oauth.Endpoint // of the tenant
	Scopes   []string
	Skew     time.Duration // how long before its end a token is given up; 0 for the usual
}

// Source prepares the exchange; nothing is asked yet.
func (c OnBehalfOf) Source() *Exchange {
	form := url.Values{
		"grant_type":          {grantAssertion},
		"requested_token_use": {"on_behalf_of"},
		"scope":               {strings.Join(c.Scopes, " ")},
	}
	return newExchange(c.Subject, c.Outcome, func(ctx context.Context, subject secret.Value) (secret.Value, time.Time, error) {
		got, until, err := ask(ctx, &c.Endpoint, with(form, "assertion", subject), subject)
		return got, until.Add(-c.Skew), err
	}).at(c.Endpoint)
}
