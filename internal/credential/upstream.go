package credential

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// Accounts are the upstream accounts of the people who sign in at one authorization
// server.
type Accounts interface {
	// Token is a fresh token of a person's account at a provider.
	Token(ctx context.Context, person, provider string) (*oauth.Tokens, error)
	// Renew gets another one than a backend did not take.
	Renew(ctx context.Context, person, provider string, refused secret.Value) (*oauth.Tokens, error)
	// Doubt notes that what is made of the account is refused, so that the person's next
	// sign-in visits the provider. again means that it did so just now.
	Doubt(ctx context.Context, person, provider string) (again bool, err error)
}

// Upstream shows the token that an upstream provider gave for the caller.
type Upstream struct {
	Accounts Accounts
	Issuer   string // of the authorization server whose people these are
	Provider string
	// Missing tells the provider's name when an error of Accounts means that the person
	// has no account there, or no longer; ok is false for other errors.
	Missing func(err error) (provider string, ok bool)
	// Connect is the page where a person connects an account; "" when there is none.
	Connect func(person, provider string) string
	// Want notes that the person's next sign-in with a client has to connect an
	// account; nil where none can.
	Want func(ctx context.Context, person, client, provider string)
}

// Headers is Authorization.
func (u *Upstream) Headers() []string { return []string{"Authorization"} }

// Apply sets the provider's token.
func (u *Upstream) Apply(ctx context.Context, req *Request, h http.Header) error {
	tokens, err := u.tokens(ctx, req)
	if err == nil {
		if bad := usable(tokens, 1); bad != nil {
			err = unusable(bad)
		}
	}
	if err != nil {
		return err
	}
	h["Authorization"] = []string{bearer + tokens.Access.Reveal()}
	return nil
}

// tokens are those of the caller's account. Only who signed in at the very server
// whose accounts these are has one: the same subject of another issuer is somebody
// else.
func (u *Upstream) tokens(ctx context.Context, req *Request) (*oauth.Tokens, error) {
	return u.take(ctx, req, u.Accounts.Token)
}

// renew gets other tokens than those whose access token is refused, or are of no use.
func (u *Upstream) renew(ctx context.Context, req *Request, refused secret.Value) (*oauth.Tokens, error) {
	return u.take(ctx, req, func(ctx context.Context, person, provider string) (*oauth.Tokens, error) {
		return u.Accounts.Renew(ctx, person, provider, refused)
	})
}

// Challenged implements [Challenger]: the provider may have revoked the token before
// its time. Where it has ended the grant, the person has to connect anew (REQ D-8).
func (u *Upstream) Challenged(ctx context.Context, req *Request, shown http.Header, _ oauth.AuthChallenge) error {
	_, err := u.renew(ctx, req, secret.New(strings.TrimPrefix(shown.Get("Authorization"), bearer)))
	return err
}

var _ Challenger = (*Upstream)(nil)

// take asks for tokens, and says what it means that there are none.
func (u *Upstream) take(ctx context.Context, req *Request, ask func(ctx context.Context, person, provider string) (*oauth.Tokens, error)) (*oauth.Tokens, error) {
	c := req.Caller
	if c.Source != identity.SourceJWT || c.Issuer != u.Issuer {
		return nil, &Failure{
			Kind: Misconfigured, Public: "the caller did not sign in where the backend's tokens are kept",
			Cause: fmt.Errorf("the token of provider %s is wanted for a caller of another authorization server", u.Provider),
		}
	}
	tokens, err := ask(ctx, c.Subject, u.Provider)
	if err == nil {
		return tokens, nil
	}
	if provider, ok := u.Missing(err); ok {
		return nil, u.connect(c, provider, fmt.Sprintf("no account of provider %s is connected, or it ended there", provider))
	}
	return nil, &Failure{
		Kind: Unavailable, Public: fmt.Sprintf("the token of provider %s cannot be had now; try again soon", u.Provider),
		Cause: fmt.Errorf("get the token of provider %s: %w", u.Provider, err),
	}
}

// connect asks the person to connect the account, anew where there is one.
func (u *Upstream) connect(c *identity.Caller, provider, reason string) *StepUp {
	step := &StepUp{Provider: provider, Reason: reason}
	if u.Connect != nil {
		step.URL = u.Connect(c.Subject, provider)
	}
	if u.Want != nil {
		step.Again = func(ctx context.Context) { u.Want(ctx, c.Subject, c.ClientID, provider) }
	}
	return step
}

func (u *Upstream) noIDToken() error {
	return &Failure{
		Kind: Misconfigured, Public: fmt.Sprintf("provider %s gave no ID token", u.Provider),
		Cause: errors.New("provider " + u.Provider + " gave no ID token; does it speak OpenID Connect, and is the scope openid asked for?"),
	}
}
