package credential

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// CrossApp is enterprise-managed authorization (MCP ext-auth; RFC 8693, then RFC
// 7523): the identity provider makes an assertion about the person for the backend's
// own authorization server (an ID-JAG), and that one makes an access token of it. The
// person is asked nothing; the enterprise has decided.
type CrossApp struct {
	Subject
	Outcome
	IDP    oauth.Endpoint
	Target oauth.Endpoint // its URL may be empty: it is then looked up at Issuer

	Issuer      string // of the backend's authorization server: the assertion's audience
	Resource    string // of the backend, as its authorization server knows it; may be empty
	Scopes      []string
	SubjectType string // "" for id_token
}

// Source prepares the exchange; nothing is asked yet.
func (c CrossApp) Source() *Exchange {
	target := &discovered{issuer: c.Issuer, endpoint: c.Target}
	return newExchange(c.Subject, c.Outcome, func(ctx context.Context, subject secret.Value) (secret.Value, time.Time, error) {
		assertion, err := c.assertion(ctx, subject)
		if err != nil {
			return secret.Value{}, time.Time{}, err
		}
		end, err := target.tokenEndpoint(ctx)
		if err != nil {
			return secret.Value{}, time.Time{}, &Failure{Kind: Unavailable, Public: "the backend's authorization server cannot be found; try again soon", Cause: err}
		}
		form := url.Values{"grant_type": {grantAssertion}}
		setUnlessEmpty(form, "scope", strings.Join(c.Scopes, " "))
		return ask(ctx, end, with(form, "assertion", assertion), subject, assertion)
	}).at(c.IDP, c.Target)
}

// assertion gets the ID-JAG from the identity provider.
func (c *CrossApp) assertion(ctx context.Context, subject secret.Value) (secret.Value, error) {
	form := url.Values{
		"grant_type":           {grantExchange},
		"requested_token_type": {typeIDJAG},
		"subject_token_type":   {tokenType(c.SubjectType, typePrefix+"id_token")},
		"audience":             {c.Issuer},
	}
	setUnlessEmpty(form, "resource", c.Resource)
	setUnlessEmpty(form, "scope", strings.Join(c.Scopes, " "))
	got, err := c.IDP.Request(ctx, with(form, "subject_token", subject))
	switch {
	case err != nil:
		return secret.Value{}, asked(err, subject, c.IDP.Auth.Secret)
	case got.Issued != typeIDJAG:
		// An access token in its place would be good for something else altogether.
		return secret.Value{}, unusable(errors.New("its issued_token_type is not id-jag; does the identity provider support cross-app access?"))
	}
	return got.Access, nil
}

// discovered finds a token endpoint by its issuer, once.
type discovered struct {
	issuer string

	mu       sync.Mutex
	endpoint oauth.Endpoint // without a URL until it was found
}

func (d *discovered) tokenEndpoint(ctx context.Context) (*oauth.Endpoint, error) {
	d.mu.Lock()
	end := d.endpoint
	d.mu.Unlock()
	if end.URL != "" {
		return &end, nil
	}
	reach := &oauth.Reach{Client: end.Client, AllowHTTP: strings.HasPrefix(d.issuer, "http://")}
	meta, err := oauth.DiscoverServer(ctx, reach, d.issuer, false)
	if err != nil {
		return nil, err
	}
	// What is sent there is good for a token: plain http only where the issuer has it.
	if err := reach.Check("token endpoint of the backend's authorization server", meta.TokenEndpoint); err != nil {
		return nil, err
	}
	end.URL = meta.TokenEndpoint
	// Metadata that says nothing means Basic (RFC 8414 §2).
	if end.Auth.Method == "" && !slices.Contains(meta.TokenAuthMethods, oauth.AuthBasic) && slices.Contains(meta.TokenAuthMethods, oauth.AuthPost) {
		end.Auth.Method = oauth.AuthPost
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.endpoint = end
	return &end, nil
}
