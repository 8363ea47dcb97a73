package credential

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/oauthclient"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// Account is the gateway's own account at a remote server. Every caller acts with it.
type Account struct{ client *oauthclient.Client }

var _ Challenger = (*Account)(nil)

// NewAccount shows the tokens of an OAuth client, which stays whoever's who made it.
func NewAccount(client *oauthclient.Client) *Account { return &Account{client: client} }

// Headers is Authorization.
func (a *Account) Headers() []string { return []string{"Authorization"} }

// Apply sets the token, and nothing while there is none: the remote may not want one,
// and if it does its challenge says where tokens come from.
func (a *Account) Apply(ctx context.Context, _ *Request, h http.Header) error {
	token, err := a.client.Token(ctx)
	if err != nil {
		return noAccount(err)
	}
	if token.Empty() {
		delete(h, "Authorization")
		return nil
	}
	h["Authorization"] = []string{bearer + token.Reveal()}
	return nil
}

const bearer = "Bearer "

// Challenged implements [Challenger].
func (a *Account) Challenged(ctx context.Context, _ *Request, shown http.Header, challenge oauth.AuthChallenge) error {
	token, _ := strings.CutPrefix(shown.Get("Authorization"), bearer)
	if err := a.client.Renew(ctx, secret.New(token), challenge); err != nil {
		return noAccount(err)
	}
	return nil
}

// noAccount says what a caller may know of why there is no token.
func noAccount(cause error) error {
	signIn, ok := errors.AsType[*oauthclient.SignInError](cause)
	switch {
	case ok && signIn.Pending:
		return &Failure{Kind: Unavailable, Public: signIn.Error(), Cause: cause}
	case ok:
		return &Failure{Kind: Misconfigured, Public: signIn.Error(), Cause: cause}
	}
	return &Failure{Kind: Misconfigured, Public: "the gateway could not get a token for the remote server; its log says why", Cause: cause}
}
