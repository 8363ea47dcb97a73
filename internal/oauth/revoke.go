package oauth

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/sallyport-dev/sallyport/internal/secret"
)

// Revoke ends a token; the endpoint is a revocation endpoint (RFC 7009). The hint is
// access_token or refresh_token. A token that is unknown there is no error.
func (e *Endpoint) Revoke(ctx context.Context, token secret.Value, hint string) error {
	resp, err := e.send(ctx, url.Values{"token": {token.Reveal()}, "token_type_hint": {hint}})
	if err == nil {
		defer resp.Body.Close()
		body, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
		if resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusNoContent {
			return nil
		}
		err = &Error{Status: resp.StatusCode}
		if refused := ParseError(resp.StatusCode, body); refused != nil {
			err = refused
		}
	}
	return fmt.Errorf("revoke a token at %s: %w", place(e.URL), err)
}
