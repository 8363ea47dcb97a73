package idp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// Client is what the gateway is at a provider of either type.
type Client struct {
	Name        string // of the provider, for errors and log lines
	ID          string
	Secret      secret.Value
	AuthMethod  string            // "" for what discovery asks for, else Basic
	RedirectURI string            // in place of a leg's; "" for the leg's
	Scopes      []string          // of every leg
	UsualScopes bool              // Scopes are the usual ones, and nobody's choice
	Params      map[string]string // further ones of the authorization request
	Mapping     Mapping
	Reach       oauth.Reach
	Log         *slog.Logger // nil for none
}

// endpoints is a provider as far as tokens are concerned.
type endpoints struct {
	authorize, token, revoke string
	auth                     oauth.ClientAuth
	rewrite                  func([]byte) ([]byte, error)
	unknown                  string // a scope of the usual ones that the provider does not have
}

// reserved are the parameters that carry the guarantees of a leg. A setting that
// could replace them would take those away (request and request_uri replace all).
func reserved(name string) bool {
	switch name {
	case "response_type", "response_mode", "client_id", "redirect_uri", "scope", "state", "nonce",
		"code_challenge", "code_challenge_method", "request", "request_uri":
		return true
	}
	return false
}

func (c *Client) fill() {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}

// checkParams refuses settings that the schema refuses too.
func (c *Client) checkParams() error {
	for name := range c.Params {
		if reserved(name) {
			return fmt.Errorf("provider %s: the parameter %s is set by the gateway; remove it from additionalAuthorizationParams", c.Name, name)
		}
	}
	return nil
}

// authorization is the authorization request (RFC 6749 §4.1.1), with PKCE always: it
// makes a code that was stolen, or injected, worthless (RFC 9700 §2.1.1).
func (c *Client) authorization(e *endpoints, leg Leg, nonce bool) (string, error) {
	if leg.State == "" || leg.Verifier == "" || nonce && leg.Nonce == "" {
		return "", c.fail(errors.New("begin a sign-in: state, verifier and nonce are required"))
	}
	u, err := url.Parse(e.authorize)
	if err != nil {
		return "", c.fail(errors.New("invalid URL of the authorization endpoint"))
	}
	q := u.Query() // RFC 6749 §3.1: what the endpoint has stays
	for name, value := range c.Params {
		q.Set(name, value)
	}
	q.Set("response_type", "code")
	q.Set("client_id", e.auth.ID)
	q.Set("redirect_uri", c.redirect(leg))
	q.Set("state", leg.State)
	q.Set("code_challenge", oauth.Challenge(leg.Verifier))
	q.Set("code_challenge_method", "S256")
	if scopes := c.scopes(e, leg); len(scopes) > 0 {
		q.Set("scope", joined(scopes))
	}
	if nonce {
		q.Set("nonce", leg.Nonce)
	}
	if leg.LoginHint != "" {
		q.Set("login_hint", leg.LoginHint)
	}
	u.RawQuery = q.Encode()
	return u.String(), nil
}

func joined(scopes []string) string { return strings.Join(scopes, " ") }

func (c *Client) scopes(e *endpoints, leg Leg) []string {
	var all []string
	for _, s := range slices.Concat(c.Scopes, leg.Scopes) {
		if s != e.unknown && !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}

func (c *Client) redirect(leg Leg) string {
	if c.RedirectURI != "" {
		return c.RedirectURI
	}
	return leg.RedirectURI
}

// redeem turns a code into tokens (RFC 6749 §4.1.3).
func (c *Client) redeem(ctx context.Context, e *endpoints, leg Leg, code string) (*oauth.Tokens, error) {
	t, err := c.request(ctx, e, url.Values{
		"grant_type": {"authorization_code"}, "code": {code},
		"redirect_uri": {c.redirect(leg)}, "code_verifier": {leg.Verifier},
	})
	if err != nil {
		return nil, c.fail(scrubbed(err, code, leg.Verifier, e.auth.Secret.Reveal()))
	}
	asked := c.scopes(e, leg)
	if t.Refresh.Empty() && slices.Contains(asked, "offline_access") {
		c.Log.Warn("the provider gave no refresh token although offline_access was asked for, so people will have to sign in again when the access token ends; some providers want additionalAuthorizationParams: {prompt: consent}", "provider", c.Name)
	}
	if t.Scopes == nil {
		t.Scopes = asked // RFC 6749 §5.1: those that were asked for
	}
	return t, nil
}

// refresh renews tokens (RFC 6749 §6). Providers have names of their own for a
// refresh token that is good no more, and Entra wants the person for other reasons
// too; for the gateway all of that means the same: they have to sign in again.
func (c *Client) refresh(ctx context.Context, e *endpoints, refresh secret.Value) (*oauth.Tokens, error) {
	t, err := c.request(ctx, e, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh.Reveal()}})
	if refused, ok := errors.AsType[*oauth.Error](err); ok {
		switch refused.Code {
		case "bad_refresh_token", "invalid_refresh_token", "token_revoked", "token_expired",
			oauth.CodeInteractionRequired, "login_required", "consent_required":
			err = &oauth.Error{Code: oauth.CodeInvalidGrant, Description: refused.Code, Status: refused.Status}
		}
	}
	if err != nil {
		return nil, c.fail(scrubbed(err, refresh.Reveal(), e.auth.Secret.Reveal()))
	}
	return t, nil
}

func (c *Client) request(ctx context.Context, e *endpoints, form url.Values) (*oauth.Tokens, error) {
	at := oauth.Endpoint{URL: e.token, Auth: e.auth, Client: c.Reach.Client, Rewrite: e.rewrite}
	t, err := at.Request(ctx, form)
	if err != nil {
		return nil, err
	}
	if e.rewrite == nil && t.Type != "" && !strings.EqualFold(t.Type, "Bearer") {
		return nil, fmt.Errorf("the provider issued a token of type %q, which the gateway cannot show", oauth.Printable(t.Type, 40))
	}
	return t, nil
}

// end revokes a grant: the refresh token, since with it the access tokens end (RFC
// 7009 §2.1), or the access token where that is all there is.
func (c *Client) end(ctx context.Context, e *endpoints, t *oauth.Tokens) error {
	if e.revoke == "" {
		return nil
	}
	if err := c.Reach.Check("revocation endpoint", e.revoke); err != nil {
		return c.fail(err)
	}
	at := oauth.Endpoint{URL: e.revoke, Auth: e.auth, Client: c.Reach.Client}
	value, hint := t.Refresh, "refresh_token"
	if value.Empty() {
		value, hint = t.Access, "access_token"
	}
	if err := at.Revoke(ctx, value, hint); err != nil {
		return c.fail(scrubbed(err, value.Reveal(), e.auth.Secret.Reveal()))
	}
	return nil
}

// fail says which provider an error is about (REQ D-6).
func (c *Client) fail(err error) error { return fmt.Errorf("provider %s: %w", c.Name, err) }

// scrubbed drops a refusal's words when the provider echoes in them what it was
// sent, since errors end in logs.
func scrubbed(err error, sent ...string) error {
	refused, ok := errors.AsType[*oauth.Error](err)
	if !ok {
		return err
	}
	clean := &oauth.Error{Code: refused.Code, Description: refused.Description, Status: refused.Status}
	for _, s := range sent {
		if echoes(clean.Description, s) {
			clean.Description = "its description holds a secret and is left out"
		}
		if echoes(clean.Code, s) {
			clean.Code = oauth.CodeServerError
		}
	}
	if *clean == *refused {
		return err
	}
	return clean
}

// echoes tells whether a text has a part of a secret in it that would be of use: the
// text may have been cut.
func echoes(text, secret string) bool {
	const part = 12
	if len(secret) <= part {
		return secret != "" && strings.Contains(text, secret)
	}
	for i := 0; i+part <= len(secret); i++ {
		if strings.Contains(text, secret[i:i+part]) {
			return true
		}
	}
	return false
}
