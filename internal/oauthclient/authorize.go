package oauthclient

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/oauth"
)

// signIn sends a person through the authorization code grant with PKCE, and keeps the
// tokens.
func (c *Client) signIn(ctx context.Context, p *place, scopes []string) error {
	if c.cfg.Browser == nil {
		return &SignInError{}
	}
	scopes = withOffline(scopes, p.server.ScopesSupported)
	a, err := c.current(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, signInTime)
	defer cancel()
	listener, err := c.cfg.Browser.listen(ctx, a.Clients[p.server.Issuer].Redirect)
	if err != nil {
		return err
	}
	defer listener.close()
	err = c.authorize(ctx, p, scopes, listener)
	if refused, ok := errors.AsType[*oauth.Error](err); ok && refused.Code == oauth.CodeInvalidClient && c.cfg.ClientID == "" {
		// The server has forgotten the registration: the next sign-in makes a new one.
		_ = c.update(ctx, func(a *account) error { delete(a.Clients, p.server.Issuer); return nil })
	}
	listener.finish(c.cfg.Name, err)
	return err
}

func (c *Client) authorize(ctx context.Context, p *place, scopes []string, l *callback) error {
	r, err := c.client(ctx, &p.server, l.redirect)
	if err != nil {
		return err
	}
	// The issuer is recorded with the verifier before the browser leaves: p stays what
	// it is (RFC 9207 §2.4).
	state, verifier := oauth.NewVerifier(), oauth.NewVerifier()
	address, err := c.authorizationURL(p, r, scopes, state, oauth.Challenge(verifier))
	if err != nil {
		return err
	}
	l.expect(state)
	c.cfg.Browser.show(c.cfg.Name, address)
	stop := c.cfg.Browser.takePasted(ctx, l)
	defer stop()
	answer, err := l.wait(ctx)
	if err != nil {
		return err
	}
	code, err := readAnswer(answer, &p.server)
	if err != nil {
		return err
	}
	tokens, err := c.ask(ctx, p, r, url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "code_verifier": {verifier},
		"redirect_uri": {l.redirect},
	})
	if err != nil {
		return err
	}
	if err := c.keep(ctx, p, scopes, tokens); err != nil {
		return fmt.Errorf("keep the account of %s: %w", c.cfg.Name, err)
	}
	c.log.Info("signed in to the remote server", "issuer", p.server.Issuer, "scopes", scopes)
	return nil
}

// authorizationURL is what a browser is sent to. It goes to a program of the desktop,
// so what a stranger may put there is narrow.
func (c *Client) authorizationURL(p *place, r registration, scopes []string, state, challenge string) (string, error) {
	u, err := url.Parse(p.server.AuthorizationEndpoint)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && !(u.Scheme == "http" && c.cfg.AllowPrivate && loopbackName(u.Hostname())) {
		return "", fmt.Errorf("authorization server %s names an authorization endpoint that is not https; no browser is sent there", p.server.Issuer)
	}
	q := u.Query() // it may have one of its own (RFC 6749 §3.1)
	for name, value := range c.cfg.Params {
		q.Set(name, value)
	}
	for name, value := range map[string]string{
		"response_type": "code", "client_id": r.ID, "redirect_uri": r.Redirect, "state": state,
		"code_challenge": challenge, "code_challenge_method": "S256",
	} {
		q.Set(name, value)
	}
	if p.resource != "" {
		q.Set("resource", p.resource)
	}
	if len(scopes) > 0 {
		q.Set("scope", strings.Join(scopes, " "))
	}
	if slices.Contains(scopes, offlineAccess) && q.Get("prompt") == "" {
		q.Set("prompt", "consent") // without it OpenID providers drop the scope (OpenID Connect Core §11)
	}
	u.RawQuery, u.Fragment = q.Encode(), ""
	return u.String(), nil
}

func loopbackName(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}

// readAnswer takes the code out of an authorization response. Who sent it is looked at
// first: of a response by somebody else nothing is used or shown, not even its error
// (RFC 9207 §2.4, MCP 2026-07-28 authorization).
func readAnswer(q url.Values, server *oauth.ServerMetadata) (string, error) {
	for name, values := range q {
		if len(values) != 1 {
			return "", fmt.Errorf("the authorization response has %q more than once", oauth.Printable(name, 40)) // RFC 6749 §3.1
		}
	}
	_, sent := q["iss"]
	switch {
	case sent && q.Get("iss") != server.Issuer: // byte for byte, advertised or not
		return "", fmt.Errorf("the authorization response is from another issuer than %s; its code is not used", server.Issuer)
	case !sent && server.IssParameterSupported:
		return "", fmt.Errorf("the authorization response does not say that it is from %s, as that server promises; its code is not used", server.Issuer)
	}
	if code := q.Get("error"); code != "" {
		return "", fmt.Errorf("sign-in at %s: %w", server.Issuer, &oauth.Error{Code: oauth.Printable(code, 64), Description: oauth.Printable(q.Get("error_description"), 200)})
	}
	if q.Get("code") == "" {
		return "", errors.New("the authorization response has no code")
	}
	return q.Get("code"), nil
}
