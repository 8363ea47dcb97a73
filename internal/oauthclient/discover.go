package oauthclient

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/oauth"
)

// place is where tokens for the remote come from.
type place struct {
	resource string // what requests name (RFC 8707), exactly as it was published; "" for nothing
	scopes   []string
	server   oauth.ServerMetadata
}

const (
	resourceMetadataPath = "/.well-known/oauth-protected-resource"
	maxServers           = 5 // of those that a remote names, how many are tried
)

// discover finds out where tokens come from, anew each time: a remote may move to
// another authorization server (SEP-2352).
func (c *Client) discover(ctx context.Context, challenge oauth.AuthChallenge, known string) (*place, error) {
	m, err := c.resourceMetadata(ctx, challenge.Params["resource_metadata"])
	if err != nil {
		return nil, err
	}
	if m == nil {
		return c.before2025June(ctx)
	}
	p := &place{resource: c.target(m.Resource), scopes: cleanScopes(m.Scopes)}
	servers := m.AuthorizationServers
	if len(servers) == 0 {
		servers = []string{oauth.Origin(c.cfg.Resource)}
	}
	among := func(issuer string) bool {
		return issuer != "" && slices.ContainsFunc(servers, func(s string) bool { return oauth.SameIssuer(s, issuer) })
	}
	switch {
	case among(c.cfg.Issuer):
		servers = []string{c.cfg.Issuer}
	case c.cfg.Issuer != "":
		return nil, fmt.Errorf("the remote server names no authorization server %s; check oauth.issuer", c.cfg.Issuer)
	case among(known):
		servers = []string{known} // where the account is
	}
	var failed []error
	for _, issuer := range servers[:min(len(servers), maxServers)] {
		server, err := c.server(ctx, issuer)
		if err == nil {
			p.server = *server
			return p, nil
		}
		failed = append(failed, err)
	}
	return nil, errors.Join(failed...)
}

// resourceMetadata is the remote's own word on its tokens (RFC 9728); nil where it
// has none, as before revision 2025-06-18.
func (c *Client) resourceMetadata(ctx context.Context, named string) (*oauth.ResourceMetadata, error) {
	at := func(path string) string {
		return (&url.URL{Scheme: c.cfg.Resource.Scheme, Host: c.cfg.Resource.Host, Path: path}).String()
	}
	places := []string{at(resourceMetadataPath + strings.TrimRight(c.cfg.Resource.Path, "/")), at(resourceMetadataPath)}
	if named != "" {
		places = []string{named}
	}
	for _, address := range slices.Compact(places) {
		if err := c.reach.Check("address of the remote server's metadata", address); err != nil {
			return nil, fmt.Errorf("find the remote server's metadata: %w", err)
		}
		var m oauth.ResourceMetadata
		err := oauth.GetJSON(ctx, c.cfg.HTTP, address, &m)
		if _, none := errors.AsType[*oauth.NotThere](err); named == "" && (none || err == nil && m.Resource == "" && m.AuthorizationServers == nil) {
			continue // whatever it is that answers there
		}
		if err != nil {
			return nil, fmt.Errorf("find the remote server's metadata: %w", err)
		}
		return c.ownMetadata(ctx, address, &m)
	}
	return nil, nil
}

// ownMetadata checks that a document is about this remote (RFC 9728 §3.3): a token
// for another resource, shown here, could be used there. A document may speak for
// more than the endpoint, as many do that name their origin; it is then believed at
// the wider resource's own well-known place alone, since on a host with several
// tenants one of them could otherwise ask for tokens of all.
func (c *Client) ownMetadata(ctx context.Context, address string, m *oauth.ResourceMetadata) (*oauth.ResourceMetadata, error) {
	mismatch := fmt.Errorf("the remote server's metadata is about the resource %q, not %q; no token is asked for",
		oauth.Printable(m.Resource, 200), c.cfg.Resource.Redacted())
	resource, err := url.Parse(m.Resource)
	if err != nil || resource.Host == "" || resource.Fragment != "" || resource.User != nil {
		return nil, mismatch
	}
	if sameResource(resource, c.cfg.Resource) {
		return m, nil
	}
	if !within(resource, c.cfg.Resource) {
		return nil, mismatch
	}
	own := oauth.Origin(resource) + resourceMetadataPath + strings.TrimRight(resource.EscapedPath(), "/")
	if address == own {
		return m, nil
	}
	var wider oauth.ResourceMetadata
	if err := oauth.GetJSON(ctx, c.cfg.HTTP, own, &wider); err != nil || wider.Resource != m.Resource {
		return nil, mismatch
	}
	return &wider, nil
}

// server is an authorization server's own word on itself. Without PKCE by S256 it is
// not used (MCP 2026-07-28 authorization: clients must refuse).
func (c *Client) server(ctx context.Context, issuer string) (*oauth.ServerMetadata, error) {
	m, err := oauth.DiscoverServer(ctx, &c.reach, issuer, false)
	if err != nil {
		return nil, err
	}
	return m, c.usable(m)
}

func (c *Client) usable(m *oauth.ServerMetadata) error {
	endpoints := map[string]string{"token endpoint": m.TokenEndpoint}
	if !c.cfg.Machine {
		// Entra ID takes PKCE and does not say so; an operator who names the issuer knows.
		if !slices.Contains(m.CodeChallengeMethods, "S256") && (m.CodeChallengeMethods != nil || c.cfg.Issuer == "") {
			return fmt.Errorf("authorization server %s does not say that it supports PKCE with S256, so nobody is sent there; if it does all the same, set oauth.issuer", m.Issuer)
		}
		endpoints["authorization endpoint"] = m.AuthorizationEndpoint
	}
	if m.RegistrationEndpoint != "" {
		endpoints["registration endpoint"] = m.RegistrationEndpoint
	}
	for what, e := range endpoints {
		if err := c.reach.Check(what, e); err != nil {
			return fmt.Errorf("authorization server %s names an endpoint that is not used: %w", m.Issuer, err)
		}
	}
	return nil
}

// before2025June is where tokens come from by revision 2025-03-26: the authorization
// server is the remote's origin, and its endpoints have fixed places when it has no
// metadata.
func (c *Client) before2025June(ctx context.Context) (*place, error) {
	base := oauth.Origin(c.cfg.Resource)
	if c.cfg.Issuer != "" && c.cfg.Issuer != base {
		return nil, fmt.Errorf("the remote server says nothing about an authorization server %s; check oauth.issuer", c.cfg.Issuer)
	}
	p := &place{resource: c.target(c.cfg.Resource.String())}
	var m oauth.ServerMetadata
	err := oauth.GetJSON(ctx, c.cfg.HTTP, base+"/.well-known/oauth-authorization-server", &m)
	_, none := errors.AsType[*oauth.NotThere](err)
	switch {
	case err == nil && m.Issuer == "": // it is something else
	case err == nil && !oauth.SameIssuer(m.Issuer, base):
		return nil, fmt.Errorf("discover authorization server: %s is about the issuer %q", base, oauth.Printable(m.Issuer, 200))
	case err == nil:
		p.server = m
		return p, c.usable(&m)
	case !none:
		return nil, fmt.Errorf("discover authorization server: %w", err)
	}
	p.server = oauth.ServerMetadata{
		Issuer:                base,
		AuthorizationEndpoint: base + "/authorize", TokenEndpoint: base + "/token", RegistrationEndpoint: base + "/register",
		CodeChallengeMethods: []string{"S256"},
	}
	return p, nil
}

// target is what tokens are asked for; "" for nothing in particular.
func (c *Client) target(published string) string {
	switch c.cfg.Target {
	case "":
		return published
	case NoTarget:
		return ""
	}
	return c.cfg.Target
}

// sameResource compares resource identifiers as people write them: the case of scheme
// and host, a default port and one slash at the end make no difference.
func sameResource(a, b *url.URL) bool {
	return oauth.Origin(a) == oauth.Origin(b) && strings.TrimSuffix(a.EscapedPath(), "/") == strings.TrimSuffix(b.EscapedPath(), "/") && a.RawQuery == b.RawQuery
}

// within reports whether b is at a, or below it.
func within(a, b *url.URL) bool {
	return oauth.Origin(a) == oauth.Origin(b) && a.RawQuery == "" &&
		strings.HasPrefix(b.EscapedPath()+"/", strings.TrimSuffix(a.EscapedPath(), "/")+"/")
}
