package authn

import (
	"context"
	"time"

	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// JWT checks tokens by their signature.
type JWT struct {
	verifier *token.Verifier
	mapping  Mapping
}

// NewJWT makes the checker.
func NewJWT(v *token.Verifier, m Mapping) *JWT { return &JWT{verifier: v, mapping: m} }

// Check verifies a token and makes a caller of its claims.
func (j *JWT) Check(ctx context.Context, raw string, now time.Time) (*identity.Caller, error) {
	claims, expires, err := j.verifier.Verify(ctx, raw, now)
	if err != nil {
		return nil, err
	}
	return j.mapping.caller(claims, identity.SourceJWT, expires)
}
