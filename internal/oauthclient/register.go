package oauthclient

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// client is who the gateway is at an authorization server, in the order of MCP
// 2026-07-28 client registration: registered beforehand, a metadata document where
// the server reads them, a registration made earlier for this issuer, a new one.
func (c *Client) client(ctx context.Context, server *oauth.ServerMetadata, redirect string) (registration, error) {
	if c.cfg.ClientID != "" {
		return registration{ID: c.cfg.ClientID, Secret: c.cfg.Secret.Reveal(), Method: c.cfg.Method, Redirect: redirect}, nil
	}
	if c.cfg.MetadataURL != "" && server.ClientMetadataDocuments {
		return registration{ID: c.cfg.MetadataURL, Method: oauth.AuthNone, Redirect: redirect}, nil
	}
	a, err := c.current(ctx)
	if err != nil {
		return registration{}, err
	}
	if r, ok := a.Clients[server.Issuer]; ok && r.Redirect == redirect && (r.Expires.IsZero() || time.Now().Before(r.Expires)) {
		return r, nil
	}
	if server.RegistrationEndpoint == "" {
		return registration{}, fmt.Errorf("authorization server %s registers no clients by itself; register one there, with the redirect URI %s, and give its id with --oauth-client-id (in a manifest: oauth.clientId)", server.Issuer, redirect)
	}
	r, err := c.register(ctx, server, redirect)
	if err != nil {
		return registration{}, fmt.Errorf("register at %s: %w", server.Issuer, err)
	}
	c.log.Info("registered with an authorization server", "issuer", server.Issuer)
	return r, c.update(ctx, func(a *account) error {
		if a.Clients == nil {
			a.Clients = map[string]registration{}
		}
		a.Clients[server.Issuer] = r
		return nil
	})
}

// register makes a new client (RFC 7591 §3).
func (c *Client) register(ctx context.Context, server *oauth.ServerMetadata, redirect string) (registration, error) {
	a, err := oauth.Register(ctx, c.cfg.HTTP, server.RegistrationEndpoint, secret.Value{}, map[string]any{
		"client_name":                "Sallyport",
		"redirect_uris":              []string{redirect},
		"application_type":           "native", // the callback is on loopback
		"grant_types":                []string{"authorization_code", "refresh_token"},
		"response_types":             []string{"code"},
		"token_endpoint_auth_method": methodToRegister(server.TokenAuthMethods),
	})
	if err != nil {
		return registration{}, err
	}
	return registration{ID: a.ID, Secret: a.Secret.Reveal(), Method: a.Method, Redirect: redirect, Expires: a.Expires}, nil
}

// methodToRegister is a public client where the server takes one: a secret on a
// laptop protects little, and PKCE what it can.
func methodToRegister(supported []string) string {
	for _, m := range []string{oauth.AuthNone, oauth.AuthBasic, oauth.AuthPost} {
		if slices.Contains(supported, m) {
			return m
		}
	}
	return oauth.AuthBasic // the default of RFC 8414 §2
}

// auth is how a registration authenticates at the token endpoint: as it was told when
// it registered, else as the server's metadata says.
func (c *Client) auth(r registration, server *oauth.ServerMetadata) (oauth.ClientAuth, error) {
	auth := oauth.ClientAuth{ID: r.ID, Secret: secret.New(r.Secret), Method: r.Method}
	supported := server.TokenAuthMethods
	if c.cfg.Key != nil && r.ID == c.cfg.ClientID {
		if len(supported) > 0 && !slices.Contains(supported, oauth.AuthPrivateKeyJWT) {
			return auth, fmt.Errorf("authorization server %s takes no private_key_jwt; it takes %v", server.Issuer, supported)
		}
		auth.Secret, auth.Method = secret.Value{}, oauth.AuthPrivateKeyJWT
		auth.Assert = func(string) (secret.Value, error) { return c.assertion(r.ID, server.Issuer) }
		return auth, nil
	}
	if auth.Method == "" && !auth.Secret.Empty() {
		auth.Method = oauth.AuthBasic
		if len(supported) > 0 && !slices.Contains(supported, oauth.AuthBasic) && slices.Contains(supported, oauth.AuthPost) {
			auth.Method = oauth.AuthPost
		}
	}
	if auth.Method == oauth.AuthNone {
		auth.Secret = secret.Value{}
	}
	return auth, nil
}

// assertion is a client's word on itself (RFC 7523 §3). It is made for the issuer and
// not for its token endpoint: an endpoint that another server names, too, could pass
// it on there.
func (c *Client) assertion(id, issuer string) (secret.Value, error) {
	now := time.Now()
	return c.cfg.Key.Sign("JWT", map[string]any{
		"iss": id, "sub": id, "aud": issuer, "jti": oauth.NewVerifier(),
		"iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
	})
}
