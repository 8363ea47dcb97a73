package testkit

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

// Authorizing is the Go SDK's handler, which finds out by itself where to sign in, and registers; a browser stands in for
// the person.
func Authorizing(t testing.TB, b *Browser, via *http.Client) auth.OAuthHandler {
	t.Helper()
	const redirect = "http://127.0.0.1:7/callback"
	handler, err := auth.NewAuthorizationCodeHandler(&auth.AuthorizationCodeHandlerConfig{
		DynamicClientRegistrationConfig: &auth.DynamicClientRegistrationConfig{Metadata: &oauthex.ClientRegistrationMetadata{
			ClientName: "e2e", RedirectURIs: []string{redirect}, TokenEndpointAuthMethod: "none",
			GrantTypes: []string{"authorization_code", "refresh_token"},
		}},
		AuthorizationCodeFetcher: func(ctx context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
			page, err := b.SignIn(ctx, args.URL, redirect)
			if err != nil {
				return nil, err
			}
			q := page.URL.Query()
			if page.Status != 0 || q.Get("code") == "" {
				return nil, fmt.Errorf("no code: %v %d %s", page.URL, page.Status, page.Body)
			}
			return &auth.AuthorizationResult{Code: q.Get("code"), State: q.Get("state"), Iss: q.Get("iss")}, nil
		},
		Client: via,
	})
	if err != nil {
		t.Fatal(err)
	}
	return handler
}
