package authserver

import (
	"context"
	"time"

	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// Provider is an upstream identity provider.
type Provider interface {
	// Begin gives the address to send a browser to.
	Begin(ctx context.Context, leg Leg) (string, error)
	// Finish redeems the code that came back; iss is the iss parameter of the answer.
	Finish(ctx context.Context, leg Leg, code, iss string) (*Grant, error)
	// Refresh gets new tokens.
	Refresh(ctx context.Context, refresh secret.Value) (*oauth.Tokens, error)
	// Revoke ends a grant where the provider can.
	Revoke(ctx context.Context, t *oauth.Tokens) error
}

// Leg is one visit of a browser at a provider.
type Leg struct {
	RedirectURI, State, Nonce, Verifier, LoginHint string
	Scopes                                         []string
}

// Grant is what a provider gave.
type Grant struct {
	Tokens *oauth.Tokens
	Person Person
}

// Person is who a provider says somebody is.
type Person struct {
	Subject, Name, Email string
	EmailVerified        bool
	Groups, Roles        []string
	Claims               map[string]any
}

// Account is a linked account, for pages.
type Account struct {
	Provider, Subject, Name, Email string
	Scopes                         []string
	Linked, Expires                time.Time
	CanRefresh                     bool
}

// Accounts keep what providers gave for people.
type Accounts interface {
	Link(ctx context.Context, person, provider string, who Person, t *oauth.Tokens) error
	List(ctx context.Context, person string) ([]Account, error)
	Unlink(ctx context.Context, person, provider string) error
}
