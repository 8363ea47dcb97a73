package oauth

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/sallyport-dev/sallyport/internal/secret"
)

// Revoke ends a token; the endpoint is a revocation endpoint (RFC 7009). The hint is
// access_token or refresh_token. A token that is unknown there is no error.
func (e *Endpoint) Revoke(ctx context.Context, token secret.Value, hint string) error {
	a, err := e.send(ctx, url.Values{"token": {token.Reveal()}, "token_type_hint": {hint}})
	if err == nil {
		if a.Status == http.StatusOK || a.Status == http.StatusNoContent {
			return nil
		}
		err = &Error{Status: a.Status}
		if refused := ParseError(a.Status, a.Body); refused != nil {
			err = refused
		}
	}
	return fmt.Errorf("revoke a token at %s: %w", place(e.URL), err)
}
