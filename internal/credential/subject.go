package credential

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// Subject says whose token a source makes another one of. The zero Subject is the
// caller's own, as the outer door verified it.
type Subject struct {
	// Upstream gives the token of an upstream provider for the caller; nil for the
	// caller's own token.
	Upstream *Upstream
	// IDToken takes the provider's ID token in place of its access token.
	IDToken bool
}

// subjectToken is what another credential is made of.
type subjectToken struct {
	value  secret.Value
	access secret.Value // of a linked account: what its provider renews
}

// token is the subject's token for a request.
func (s *Subject) token(ctx context.Context, req *Request) (subjectToken, error) {
	if s.Upstream == nil {
		if req.Token.Empty() {
			return subjectToken{}, noToken()
		}
		return subjectToken{value: req.Token}, nil
	}
	tokens, err := s.Upstream.tokens(ctx, req)
	if err != nil {
		return subjectToken{}, err
	}
	got, err := s.of(tokens)
	if err == nil && s.IDToken && token.Expired(got.value.Reveal(), time.Now()) {
		// The account's access token goes on being renewed, and an ID token has an end of
		// its own.
		return s.renewed(ctx, req, got, &StepUp{Reason: "the ID token of provider " + s.Upstream.Provider + " has expired"})
	}
	return got, err
}

// of chooses one of an account's tokens.
func (s *Subject) of(tokens *oauth.Tokens) (subjectToken, error) {
	switch {
	case !s.IDToken:
		return subjectToken{value: tokens.Access, access: tokens.Access}, nil
	case tokens.ID.Empty():
		return subjectToken{}, s.Upstream.noIDToken()
	}
	return subjectToken{value: tokens.ID, access: tokens.Access}, nil
}

// renewing makes something of the subject's token. Where that is of a linked account
// and refused, what leads on is that account: it is renewed once at its provider, and
// then asked for anew, of its person alone (REQ D-9).
func renewing[V any](ctx context.Context, s *Subject, req *Request, obtain func(ctx context.Context, subject secret.Value) (V, error)) (made V, err error) {
	subject, err := s.token(ctx, req)
	if err != nil {
		return made, err
	}
	if made, err = obtain(ctx, subject.value); err == nil || s.Upstream == nil || !aboutSubject(err) {
		return made, err
	}
	if subject, err = s.renewed(ctx, req, subject, err); err != nil {
		return made, err
	}
	if made, err = obtain(ctx, subject.value); err == nil || !aboutSubject(err) {
		return made, err
	}
	return made, s.ask(ctx, req, err)
}

// aboutSubject reports whether another token of the same person could be accepted.
func aboutSubject(err error) bool {
	if _, ok := errors.AsType[*StepUp](err); ok {
		return true
	}
	f, ok := errors.AsType[*Failure](err)
	return ok && f.doubtful
}

// renewed is another token of a linked account than one that is refused, if its
// provider gives one. Where it does not, the error asks the person.
func (s *Subject) renewed(ctx context.Context, req *Request, refused subjectToken, why error) (subjectToken, error) {
	tokens, err := s.Upstream.renew(ctx, req, refused.access)
	if _, ended := errors.AsType[*StepUp](err); ended {
		return subjectToken{}, s.ask(ctx, req, why)
	}
	if err != nil {
		return subjectToken{}, err
	}
	next, err := s.of(tokens)
	if err == nil && next.value.Equal(refused.value) { // some providers renew no ID token
		return subjectToken{}, s.ask(ctx, req, why)
	}
	return next, err
}

// ask leads the person to the provider, where what is made of the account is refused
// although its token is new. Where they come from there, and who was asked does not
// say that it is the token, another visit would send them in circles.
func (s *Subject) ask(ctx context.Context, req *Request, why error) error {
	u := s.Upstream
	again, err := u.Accounts.Doubt(ctx, req.Caller.Subject, u.Provider)
	if err != nil {
		return &Failure{
			Kind: Unavailable, Public: fmt.Sprintf("the account at provider %s cannot be looked at now; try again soon", u.Provider),
			Cause: fmt.Errorf("note that the account at provider %s is refused: %w", u.Provider, err),
		}
	}
	if f, ok := errors.AsType[*Failure](why); ok && again {
		return f
	}
	return u.connect(req.Caller, u.Provider, fmt.Sprintf("what is made of the account at provider %s is refused: %v", u.Provider, why))
}
