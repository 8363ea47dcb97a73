package idp

import (
	"context"
	"errors"
	"fmt"

	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// Provider is an upstream identity provider. It is safe for concurrent use.
type Provider interface {
	// Begin gives the address to send a browser to.
	Begin(ctx context.Context, leg Leg) (string, error)
	// Finish redeems the code that came back; iss is the iss parameter of the answer,
	// "" for none (RFC 9207). An answer of another issuer is a *MixUp, and nothing of it
	// may be used or shown. Without a code, as when the answer is an error, the issuer
	// alone is checked, and the error is ErrNoCode if it is the right one.
	Finish(ctx context.Context, leg Leg, code, iss string) (*Grant, error)
	// Refresh gets new tokens. An *oauth.Error with invalid_grant means that the grant
	// is gone, and that the person has to sign in again.
	Refresh(ctx context.Context, refresh secret.Value) (*oauth.Tokens, error)
	// Revoke ends a grant where the provider can (best effort).
	Revoke(ctx context.Context, t *oauth.Tokens) error
}

// Leg is one trip of a browser to a provider. Its values are made for this trip
// alone, kept where the browser cannot change them, and the same at both ends.
type Leg struct {
	RedirectURI string
	State       string
	Nonce       string // for OpenID providers
	Verifier    string // PKCE's
	LoginHint   string
	Scopes      []string // besides those of every leg
}

// Grant is what a person gave the gateway at a provider.
type Grant struct {
	Tokens *oauth.Tokens
	Person Person
}

// Person is who signed in, as the provider says.
type Person struct {
	// Subject names the person at this provider, once and for all.
	Subject     string
	Name, Email string
	// EmailVerified means that the provider says it has verified the address, and
	// EmailUnverified that it says it has not. Many say neither.
	EmailVerified, EmailUnverified bool
	Groups, Roles                  []string
	Claims                         map[string]any
}

// MixUp is an answer that came from another issuer than the one the browser was
// sent to (RFC 9207 §2.4).
type MixUp struct {
	Provider  string
	Got, Want string // issuers; Got is a stranger's text, "" for none
}

func (e *MixUp) Error() string {
	if e.Got == "" {
		return fmt.Sprintf("provider %s: the answer does not name its issuer, and the provider said that it does", e.Provider)
	}
	return fmt.Sprintf("provider %s: the answer is of the issuer %q, not of %q", e.Provider, oauth.Printable(e.Got, 200), e.Want)
}

// ErrNoCode means that an answer has no code.
var ErrNoCode = errors.New("the provider's answer has no code")
