package credential

import (
	"context"

	"github.com/sallyport-dev/sallyport/internal/secret"
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

// token is the subject's token for a request.
func (s *Subject) token(ctx context.Context, req *Request) (secret.Value, error) {
	if s.Upstream == nil {
		if req.Token.Empty() {
			return secret.Value{}, noToken()
		}
		return req.Token, nil
	}
	tokens, err := s.Upstream.tokens(ctx, req)
	switch {
	case err != nil:
		return secret.Value{}, err
	case !s.IDToken:
		return tokens.Access, nil
	case tokens.ID.Empty():
		return secret.Value{}, s.Upstream.noIDToken()
	}
	return tokens.ID, nil
}

// Wants implements [Wanting].
func (s *Subject) Wants() Want { return WantsToken }
