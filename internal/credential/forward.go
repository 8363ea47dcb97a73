package credential

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/sallyport-dev/sallyport/internal/token"
)

// Forward shows the backend the caller's own token. It is the one way by which a
// credential of the outer door gets to the inner one, and only if the token was made
// for the backend too: one that was made for the gateway alone must not travel on
// (MCP authorization, Token Passthrough; REQ A-3).
type Forward struct {
	Audience string
}

// Headers is Authorization.
func (f *Forward) Headers() []string { return []string{"Authorization"} }

// Apply sets the caller's token, if the backend is in its audience.
func (f *Forward) Apply(_ context.Context, req *Request, h http.Header) error {
	switch {
	case req.Token.Empty():
		return noToken()
	case !slices.Contains(token.Claims(req.Caller.Claims).Texts("aud"), f.Audience):
		return &Failure{
			Kind: Forbidden, Public: "the caller's token is not for the backend, so it is not forwarded; ask for one whose audience names it",
			Cause: errors.New("the audience of the caller's token does not name the backend (forwardClientToken.audience)"),
		}
	}
	h["Authorization"] = []string{"Bearer " + req.Token.Reveal()}
	return nil
}
