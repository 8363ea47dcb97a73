package idp

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"

	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// OAuth2Config describes a provider of plain OAuth 2.0.
type OAuth2Config struct {
	Client
	Authorize, Token, Revoke string // endpoints; Revoke may be ""
	// Issuer is what an answer's iss must be. Without it one that comes must be of the
	// authorization endpoint's origin.
	Issuer       string
	UserInfo     *UserInfo      // nil for none
	Identity     *IdentityPaths // nil for none
	Answer       *TokenPaths    // nil for answers as RFC 6749 has them
	Registration *Registration  // in place of Client.ID and Secret; nil for none
	// GrantsAPI is where GitHub ends grants, in place of Revoke.
	GrantsAPI string
}

// OAuth2 is a provider without ID tokens: an API, or the token endpoint's answer,
// says who signed in.
type OAuth2 struct{ cfg OAuth2Config }

var _ Provider = (*OAuth2)(nil)

// NewOAuth2 makes the provider. Nothing is fetched before a person is sent there.
func NewOAuth2(cfg OAuth2Config) (*OAuth2, error) {
	cfg.fill()
	if err := cfg.checkParams(); err != nil {
		return nil, err
	}
	for what, endpoint := range map[string]string{"authorization endpoint": cfg.Authorize, "token endpoint": cfg.Token} {
		if err := cfg.Reach.Check(what, endpoint); err != nil {
			return nil, cfg.fail(err)
		}
	}
	if cfg.UserInfo != nil {
		if err := cfg.Reach.Check("userinfo endpoint", cfg.UserInfo.URL); err != nil {
			return nil, cfg.fail(err)
		}
	}
	if cfg.UserInfo == nil && cfg.Identity == nil {
		cfg.Log.Warn("nothing says who signs in at this provider, so everybody is somebody new at each sign-in; set userInfo or identityFromToken", "provider", cfg.Name)
	}
	return &OAuth2{cfg: cfg}, nil
}

// endpoints are the configured ones, and the client that the gateway is there.
func (p *OAuth2) endpoints(ctx context.Context) (*endpoints, error) {
	c := &p.cfg.Client
	e := &endpoints{
		authorize: p.cfg.Authorize, token: p.cfg.Token, revoke: p.cfg.Revoke,
		auth: oauth.ClientAuth{ID: c.ID, Secret: c.Secret, Method: c.AuthMethod},
	}
	if p.cfg.Answer != nil {
		e.rewrite = p.cfg.Answer.rewrite
	}
	if p.cfg.Registration != nil {
		auth, err := p.cfg.Registration.auth(ctx)
		if err != nil {
			return nil, c.fail(err)
		}
		e.auth = auth
	}
	return e, nil
}

// checked lets a registered client be forgotten that the provider does not know any
// more (RFC 6749 §5.2).
func (p *OAuth2) checked(ctx context.Context, e *endpoints, err error) error {
	if refused, ok := errors.AsType[*oauth.Error](err); ok && refused.Code == oauth.CodeInvalidClient && p.cfg.Registration != nil {
		p.cfg.Registration.forget(ctx, e.auth.ID)
	}
	return err
}

// Begin implements [Provider].
func (p *OAuth2) Begin(ctx context.Context, leg Leg) (string, error) {
	e, err := p.endpoints(ctx)
	if err != nil {
		return "", err
	}
	return p.cfg.authorization(e, leg, false)
}

// Finish implements [Provider].
func (p *OAuth2) Finish(ctx context.Context, leg Leg, code, iss string) (*Grant, error) {
	if !p.expects(iss) {
		want := p.cfg.Issuer
		if want == "" {
			want = origin(p.cfg.Authorize)
		}
		return nil, &MixUp{Provider: p.cfg.Name, Got: iss, Want: want}
	}
	if code == "" {
		return nil, p.cfg.fail(ErrNoCode)
	}
	e, err := p.endpoints(ctx)
	if err != nil {
		return nil, err
	}
	tokens, err := p.cfg.redeem(ctx, e, leg, code)
	if err != nil {
		return nil, p.checked(ctx, e, err)
	}
	person, err := p.person(ctx, tokens)
	if err != nil {
		return nil, p.cfg.fail(err)
	}
	return &Grant{Tokens: tokens, Person: *person}, nil
}

// expects compares an answer's issuer with the configured one. Where none is, the
// origin of the authorization endpoint keeps apart what different servers answer.
func (p *OAuth2) expects(iss string) bool {
	if iss == "" || p.cfg.Issuer != "" {
		return iss == "" || iss == p.cfg.Issuer
	}
	return origin(iss) == origin(p.cfg.Authorize)
}

func origin(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return oauth.Origin(u)
}

// person is who the token endpoint's answer names, else who userinfo names. Without
// either the gateway makes up a subject from the access token: the same as long as
// the token is, and nobody else's.
func (p *OAuth2) person(ctx context.Context, t *oauth.Tokens) (*Person, error) {
	person := &Person{}
	if paths := p.cfg.Identity; paths != nil {
		answer, err := token.ParseClaims(t.Raw)
		if err != nil {
			return nil, errors.New("the token endpoint's answer is no JSON object that can be trusted")
		}
		person.Subject, person.Name, person.Email = named(answer, paths.Subject), named(answer, paths.Name), named(answer, paths.Email)
		if person.Subject == "" {
			return nil, fmt.Errorf("the token endpoint's answer names nobody at %s (subjectPath)", paths.Subject)
		}
	}
	if asks := p.cfg.UserInfo; asks != nil {
		answer, err := asks.ask(ctx, &p.cfg.Reach, t.Access)
		if err != nil {
			return nil, err
		}
		if person.Subject == "" {
			fields := or(asks.Fields.Subject, []string{"sub", "id"})
			if person.Subject = first(answer, fields); person.Subject == "" {
				return nil, fmt.Errorf("the userinfo endpoint's answer has none of the fields %q (subjectFields)", fields)
			}
		}
		asks.named(person, answer)
		p.cfg.Mapping.fill(person, answer)
		if person.Name == "" {
			person.Name = answer.Text("login")
		}
		person.Claims = answer
	}
	if person.Subject == "" {
		sum := sha256.Sum256([]byte(t.Access.Reveal()))
		person.Subject = "tk-" + hex.EncodeToString(sum[:16])
	}
	return person, nil
}

// Refresh implements [Provider].
func (p *OAuth2) Refresh(ctx context.Context, refresh secret.Value) (*oauth.Tokens, error) {
	e, err := p.endpoints(ctx)
	if err != nil {
		return nil, err
	}
	t, err := p.cfg.refresh(ctx, e, refresh)
	return t, p.checked(ctx, e, err)
}

// Revoke implements [Provider].
func (p *OAuth2) Revoke(ctx context.Context, t *oauth.Tokens) error {
	e, err := p.endpoints(ctx)
	if err != nil {
		return err
	}
	if p.cfg.GrantsAPI != "" && p.cfg.Revoke == "" {
		if err := p.endByAPI(ctx, e.auth, t); err != nil {
			return p.cfg.fail(err)
		}
		return nil
	}
	return p.cfg.end(ctx, e, t)
}
