package oauthclient

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

const insufficientScope = "insufficient_scope"

// renewAhead refreshes a token that is about to end. Where that cannot be done the
// account is left without a token, and the remote's challenge says what it wants.
func (c *Client) renewAhead(ctx context.Context, shown secret.Value) error {
	if adopted, err := c.adopt(ctx, shown); adopted || err != nil {
		return err
	}
	a, err := c.current(ctx)
	if err != nil {
		return err
	}
	server, err := c.server(ctx, a.Issuer)
	if err != nil && a.Issuer == oauth.Origin(c.cfg.Resource) { // it may have no metadata
		var p *place
		if p, err = c.before2025June(ctx); err == nil {
			server = &p.server
		}
	}
	if err != nil {
		return err
	}
	p := &place{resource: a.Resource, server: *server}
	if c.cfg.Machine {
		return c.machine(ctx, p, a.Requested)
	}
	done, err := c.refresh(ctx, p, shown)
	if err == nil && !done {
		err = c.drop(ctx)
	}
	return err
}

// renew acts on a challenge.
func (c *Client) renew(ctx context.Context, shown secret.Value, challenge oauth.AuthChallenge) error {
	if adopted, err := c.adopt(ctx, shown); adopted || err != nil {
		return err
	}
	a, err := c.current(ctx)
	if err != nil {
		return err
	}
	p, err := c.discover(ctx, challenge, a.Issuer)
	if err != nil {
		return err
	}
	challenged := cleanScopes(strings.Fields(challenge.Params["scope"]))
	scopes := scopesFor(c.cfg.Scopes, challenged, p.scopes)
	if a.Issuer == p.server.Issuer {
		scopes = union(scopes, a.Requested) // what a step-up added stays
	}
	same := a.Issuer == p.server.Issuer && !shown.Empty()
	switch {
	case same && challenge.Params["error"] == insufficientScope:
		more, ok := stepUp(a.Requested, challenged, p.scopes)
		if !ok {
			return fmt.Errorf("the remote server wants the scopes %v, which were asked for already and not granted; the account there may lack the right", challenged)
		}
		scopes = more
	case same && !a.Refreshed && time.Since(a.Obtained) < probation:
		return fmt.Errorf("the remote server refuses the token that %s has just issued for it", p.server.Issuer)
	case same && a.Refresh != "" && (!a.Refreshed || time.Since(a.Obtained) >= probation):
		if done, err := c.refresh(ctx, p, shown); done || err != nil {
			return err
		}
	}
	if c.cfg.Machine {
		return c.machine(ctx, p, scopes)
	}
	return c.signIn(ctx, p, scopes)
}

// signInNow asks a person without being challenged.
func (c *Client) signInNow(ctx context.Context) error {
	a, err := c.current(ctx)
	if err != nil {
		return err
	}
	p, err := c.discover(ctx, oauth.AuthChallenge{}, a.Issuer)
	if err != nil {
		return err
	}
	scopes := scopesFor(c.cfg.Scopes, nil, p.scopes)
	if a.Issuer == p.server.Issuer {
		scopes = union(scopes, a.Requested)
	}
	return c.signIn(ctx, p, scopes)
}

// adopt takes a token that another process put into the vault meanwhile.
func (c *Client) adopt(ctx context.Context, shown secret.Value) (bool, error) {
	kept, err := loadAccount(ctx, c.vault, c.key)
	if err != nil {
		return false, fmt.Errorf("read the account of %s: %w", c.cfg.Name, err)
	}
	c.remember(kept)
	return kept.fresh(time.Now()) && !shown.Equal(secret.New(kept.Access)), nil
}

// refresh gets new tokens for the refresh token (RFC 6749 §6), while nobody else
// does: with rotation, the second one to use a refresh token ends the grant. done is
// false when the grant has ended, and somebody has to sign in again.
func (c *Client) refresh(ctx context.Context, p *place, shown secret.Value) (done bool, err error) {
	err = c.update(ctx, func(a *account) error {
		if a.fresh(time.Now()) && !shown.Equal(secret.New(a.Access)) {
			done = true // another process was faster
			return nil
		}
		r, ok := a.Clients[a.Issuer]
		if c.cfg.ClientID != "" || c.cfg.MetadataURL != "" && p.server.ClientMetadataDocuments {
			var err error
			if r, err = c.client(ctx, &p.server, ""); err != nil {
				return err
			}
			ok = true
		}
		if a.Refresh == "" || !ok {
			return nil
		}
		at := *p
		at.resource = c.target(a.Resource)
		tokens, err := c.ask(ctx, &at, r, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {a.Refresh}})
		c.refreshed(err)
		if isEnd(err) {
			c.log.Info("the sign-in at the remote's authorization server has ended", "issuer", a.Issuer, "error", err)
			a.Access, a.Refresh = "", ""
			if refused, _ := errors.AsType[*oauth.Error](err); refused.Code == oauth.CodeInvalidClient {
				delete(a.Clients, a.Issuer)
			}
			return nil
		}
		if err != nil {
			return err
		}
		a.take(tokens, true, time.Now())
		done = true
		return nil
	})
	return done, err
}

func (c *Client) refreshed(err error) {
	if c.cfg.Refreshed == nil {
		return
	}
	result := "success"
	if isEnd(err) {
		result = "revoked"
	} else if err != nil {
		result = "failed"
	}
	c.cfg.Refreshed(result)
}

// isEnd reports refusals that say that asking again is of no use.
func isEnd(err error) bool {
	refused, ok := errors.AsType[*oauth.Error](err)
	if !ok || refused.Status >= http.StatusInternalServerError {
		return false
	}
	switch refused.Code {
	case oauth.CodeInvalidGrant, oauth.CodeInvalidClient, oauth.CodeUnauthorizedClient,
		oauth.CodeUnsupportedGrantType, oauth.CodeInvalidScope, oauth.CodeInvalidTarget:
		return true
	}
	return false
}

// drop forgets the access token.
func (c *Client) drop(ctx context.Context) error {
	return c.update(ctx, func(a *account) error {
		a.Access = ""
		return nil
	})
}

// machine gets a token by client credentials. The vault keeps it too, so that a
// restart does not ask again.
func (c *Client) machine(ctx context.Context, p *place, scopes []string) error {
	r, err := c.client(ctx, &p.server, "")
	if err != nil {
		return err
	}
	form := url.Values{"grant_type": {"client_credentials"}}
	if len(scopes) > 0 {
		form.Set("scope", strings.Join(scopes, " "))
	}
	tokens, err := c.ask(ctx, p, r, form)
	if err != nil {
		return err
	}
	return c.keep(ctx, p, scopes, tokens)
}

// keep writes the tokens of a new grant. Those of another issuer are gone with it.
func (c *Client) keep(ctx context.Context, p *place, scopes []string, tokens *oauth.Tokens) error {
	return c.update(ctx, func(a *account) error {
		a.Issuer, a.Resource, a.Requested = p.server.Issuer, p.resource, scopes
		a.take(tokens, false, time.Now())
		return nil
	})
}

// ask sends one token request.
func (c *Client) ask(ctx context.Context, p *place, r registration, form url.Values) (*oauth.Tokens, error) {
	auth, err := c.auth(r, &p.server)
	if err != nil {
		return nil, err
	}
	if p.resource != "" {
		form.Set("resource", p.resource)
	}
	e := oauth.Endpoint{URL: p.server.TokenEndpoint, Auth: auth, Client: c.cfg.HTTP}
	tokens, err := e.Request(ctx, form)
	if err == nil && tokens.Type != "" && !strings.EqualFold(tokens.Type, "Bearer") {
		return nil, fmt.Errorf("%s issued a token of type %q, which is not known here", p.server.Issuer, oauth.Printable(tokens.Type, 40))
	}
	return tokens, err
}
