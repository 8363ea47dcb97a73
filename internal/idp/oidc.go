package idp

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// OIDCConfig describes an OpenID provider.
type OIDCConfig struct {
	Client
	Issuer       string
	SubjectClaim string    // "" for sub
	UserInfo     *UserInfo // in place of the one that discovery names; nil for that one
	Discovery    *Discovery
	Keys         token.Keys
}

// OIDC is an OpenID provider.
type OIDC struct{ cfg OIDCConfig }

var _ Provider = (*OIDC)(nil)

// NewOIDC makes the provider. Nothing is fetched before a person is sent there.
func NewOIDC(cfg OIDCConfig) (*OIDC, error) {
	cfg.fill()
	if err := cfg.checkParams(); err != nil {
		return nil, err
	}
	if cfg.UserInfo != nil {
		if err := cfg.Reach.Check("userinfo endpoint", cfg.UserInfo.URL); err != nil {
			return nil, cfg.fail(err)
		}
	}
	if cfg.SubjectClaim == "" {
		cfg.SubjectClaim = "sub"
	}
	if len(cfg.Scopes) == 0 {
		cfg.Scopes, cfg.UsualScopes = []string{"openid", "offline_access"}, true
	}
	if !slices.Contains(cfg.Scopes, "openid") {
		cfg.Scopes = append([]string{"openid"}, cfg.Scopes...) // without it there is no ID token
	}
	return &OIDC{cfg: cfg}, nil
}

// endpoints are those that discovery names, and how a client authenticates there.
func (p *OIDC) endpoints(ctx context.Context) (*endpoints, *oauth.ServerMetadata, error) {
	meta, err := p.cfg.Discovery.Metadata(ctx)
	if err != nil {
		return nil, nil, p.cfg.fail(err)
	}
	c := &p.cfg.Client
	method := c.AuthMethod
	if method == "" && !slices.Contains(meta.TokenAuthMethods, oauth.AuthBasic) && slices.Contains(meta.TokenAuthMethods, oauth.AuthPost) {
		method = oauth.AuthPost
	}
	unknown := ""
	if c.UsualScopes && len(meta.ScopesSupported) > 0 && !slices.Contains(meta.ScopesSupported, "offline_access") {
		unknown = "offline_access" // some refuse a scope that they do not know
	}
	return &endpoints{
		unknown:   unknown,
		authorize: meta.AuthorizationEndpoint, token: meta.TokenEndpoint, revoke: meta.RevocationEndpoint,
		auth: oauth.ClientAuth{ID: c.ID, Secret: c.Secret, Method: method},
	}, meta, nil
}

// Begin implements [Provider].
func (p *OIDC) Begin(ctx context.Context, leg Leg) (string, error) {
	e, _, err := p.endpoints(ctx)
	if err != nil {
		return "", err
	}
	return p.cfg.authorization(e, leg, true)
}

// Finish implements [Provider].
func (p *OIDC) Finish(ctx context.Context, leg Leg, code, iss string) (*Grant, error) {
	e, meta, err := p.endpoints(ctx)
	if err != nil {
		return nil, err
	}
	// The rules of RFC 9207 §2.4, and one more: an issuer that comes unannounced is
	// compared too.
	if iss != meta.Issuer && (iss != "" || meta.IssParameterSupported) {
		return nil, &MixUp{Provider: p.cfg.Name, Got: iss, Want: meta.Issuer}
	}
	if code == "" {
		return nil, p.cfg.fail(ErrNoCode)
	}
	tokens, err := p.cfg.redeem(ctx, e, leg, code)
	if err != nil {
		return nil, err
	}
	claims, err := p.verifyID(ctx, tokens, leg.Nonce)
	if err != nil {
		return nil, p.cfg.fail(err)
	}
	person, err := p.person(ctx, leg, e, meta, tokens, claims)
	if err != nil {
		return nil, p.cfg.fail(err)
	}
	return &Grant{Tokens: tokens, Person: *person}, nil
}

// person is who the ID token names, with what userinfo adds where that is asked for
// or something is missing. If it cannot be had then, nobody signs in: groups that are
// missing by accident could open what a policy forbids.
func (p *OIDC) person(ctx context.Context, leg Leg, e *endpoints, meta *oauth.ServerMetadata, t *oauth.Tokens, id token.Claims) (*Person, error) {
	if id.Text("sub") == "" {
		return nil, errors.New("the ID token has no subject")
	}
	person := &Person{Subject: first(id, []string{p.cfg.SubjectClaim}), Claims: id}
	asks := p.cfg.UserInfo
	if asks == nil {
		p.cfg.Mapping.fill(person, id)
		if meta.UserinfoEndpoint != "" && p.lacks(person, e, leg) {
			asks = &UserInfo{URL: meta.UserinfoEndpoint}
		}
	}
	if asks != nil {
		answer, err := asks.ask(ctx, &p.cfg.Reach, t.Access)
		if err != nil {
			return nil, err
		}
		if err := p.add(person, asks, id, answer); err != nil {
			return nil, err
		}
	}
	p.cfg.Mapping.fill(person, id)
	if person.Subject == "" {
		return nil, fmt.Errorf("neither the ID token nor userinfo has the claim %s (subjectClaim); a scope may be missing", p.cfg.SubjectClaim)
	}
	return person, nil
}

// add takes over what userinfo says. The answer must be about the person of the ID
// token: it could be for a token that was exchanged (OpenID Connect Core §5.3.2). An
// endpoint of the operator's own choice may have no sub.
func (p *OIDC) add(person *Person, asked *UserInfo, id, answer token.Claims) error {
	if sub := answer["sub"]; sub != id.Text("sub") && (sub != nil || asked != p.cfg.UserInfo) {
		return errors.New("the userinfo endpoint's answer is about another person than the ID token")
	}
	if len(asked.Fields.Subject) > 0 {
		person.Subject = first(answer, asked.Fields.Subject)
		if person.Subject == "" {
			return fmt.Errorf("the userinfo endpoint's answer has none of the fields %q (subjectFields)", asked.Fields.Subject)
		}
	}
	if person.Subject == "" {
		person.Subject = first(answer, []string{p.cfg.SubjectClaim})
	}
	asked.named(person, answer)
	p.cfg.Mapping.fill(person, answer)
	all := make(token.Claims, len(id)+len(answer))
	for name, value := range answer {
		all[name] = value
	}
	for name, value := range id { // signed, so it wins
		all[name] = value
	}
	person.Claims = all
	return nil
}

// lacks tells whether something is missing that was asked for.
func (p *OIDC) lacks(person *Person, e *endpoints, leg Leg) bool {
	asked := p.cfg.scopes(e, leg)
	m := p.cfg.Mapping
	return person.Subject == "" ||
		person.Email == "" && (m.Email != "" || slices.Contains(asked, "email")) ||
		person.Name == "" && (m.Name != "" || slices.Contains(asked, "profile")) ||
		person.Groups == nil && m.Groups != "" ||
		person.Roles == nil && m.Roles != ""
}

// Refresh implements [Provider].
func (p *OIDC) Refresh(ctx context.Context, refresh secret.Value) (*oauth.Tokens, error) {
	e, _, err := p.endpoints(ctx)
	if err != nil {
		return nil, err
	}
	return p.cfg.refresh(ctx, e, refresh)
}

// Revoke implements [Provider].
func (p *OIDC) Revoke(ctx context.Context, t *oauth.Tokens) error {
	e, _, err := p.endpoints(ctx)
	if err != nil {
		return err
	}
	return p.cfg.end(ctx, e, t)
}
