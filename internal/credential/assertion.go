package credential

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/keep"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// Assertion tells the backend who the caller is, in a short-lived JWT that the
// gateway signs. The backend trusts the gateway's keys and no other party's.
type Assertion struct {
	cfg    AssertionConfig
	tokens *memory[secret.Value]
}

// AssertionConfig describes an Assertion.
type AssertionConfig struct {
	Signer   *token.Signer
	Issuer   string
	Audience string
	Lifetime time.Duration
	// Header carries it: Authorization as a bearer token, every other one as it is; ""
	// for Authorization.
	Header string
	// Claims are what it says besides sub and client_id: email, name, groups, roles,
	// scopes.
	Claims []string
}

// NewAssertion prepares the source.
func NewAssertion(cfg AssertionConfig) *Assertion {
	if cfg.Header == "" {
		cfg.Header = "Authorization"
	}
	cfg.Header = http.CanonicalHeaderKey(cfg.Header)
	return &Assertion{cfg: cfg, tokens: newMemory[secret.Value]()}
}

// Headers is the one header's name.
func (a *Assertion) Headers() []string { return []string{a.cfg.Header} }

// asserted are the claims of an assertion (RFC 7519 §4.1; act: RFC 8693 §4.1).
type asserted struct {
	Issuer    string   `json:"iss"`
	Audience  string   `json:"aud"`
	Subject   string   `json:"sub"`
	IDP       string   `json:"idp,omitempty"` // who vouches for sub; the same one of another is somebody else
	Source    string   `json:"source"`        // how the gateway knows
	ClientID  string   `json:"client_id,omitempty"`
	Actor     *actor   `json:"act,omitempty"`
	Email     string   `json:"email,omitempty"`
	Name      string   `json:"name,omitempty"`
	Groups    []string `json:"groups,omitempty"`
	Roles     []string `json:"roles,omitempty"`
	Scopes    []string `json:"scopes,omitempty"`
	IssuedAt  int64    `json:"iat,omitempty"`
	NotBefore int64    `json:"nbf,omitempty"`
	Expires   int64    `json:"exp,omitempty"`
	ID        string   `json:"jti,omitempty"`
}

// actor is the program that acts for the subject.
type actor struct {
	Subject string `json:"sub"`
}

// Apply sets an assertion about the caller. An anonymous caller gets none: a backend
// takes whoever has one for somebody.
func (a *Assertion) Apply(ctx context.Context, req *Request, h http.Header) error {
	c := req.Caller
	if c.Source == identity.SourceAnonymous {
		return &Failure{
			Kind: Forbidden, Public: "callers who do not say who they are cannot use this backend",
			Cause: errors.New("the caller is anonymous, and no identity is asserted of nobody"),
		}
	}
	claims := a.about(c)
	key, err := json.Marshal(claims)
	if err != nil {
		return &Failure{Kind: Misconfigured, Public: "internal error", Cause: err}
	}
	signed, err := a.tokens.get(ctx, keep.HashOf(string(key)), c, func(error) {}, func(context.Context) (secret.Value, time.Time, error) {
		return a.sign(claims)
	})
	if err != nil {
		return err
	}
	value := signed.Reveal()
	if a.cfg.Header == "Authorization" {
		value = "Bearer " + value
	}
	h[a.cfg.Header] = []string{value}
	return nil
}

// about is what is said of a caller.
func (a *Assertion) about(c *identity.Caller) asserted {
	claims := asserted{Issuer: a.cfg.Issuer, Audience: a.cfg.Audience, Subject: c.Subject, IDP: c.Issuer, Source: c.Source, ClientID: c.ClientID}
	if c.ClientID != "" {
		claims.Actor = &actor{c.ClientID}
	}
	says := func(name string) bool { return slices.Contains(a.cfg.Claims, name) }
	if says("email") {
		claims.Email = c.Email
	}
	if says("name") {
		claims.Name = c.Name
	}
	if says("groups") {
		claims.Groups = c.Groups
	}
	if says("roles") {
		claims.Roles = c.Roles
	}
	if says("scopes") {
		claims.Scopes = c.Scopes
	}
	return claims
}

func (a *Assertion) sign(claims asserted) (secret.Value, time.Time, error) {
	now := time.Now()
	claims.IssuedAt, claims.NotBefore = now.Unix(), now.Unix()
	claims.Expires = now.Add(a.cfg.Lifetime).Unix()
	claims.ID = rand.Text()
	signed, err := a.cfg.Signer.Sign("JWT", claims)
	if err != nil {
		return secret.Value{}, time.Time{}, &Failure{Kind: Misconfigured, Public: "the gateway cannot sign the caller's identity", Cause: err}
	}
	return signed, usableUntil(now, a.cfg.Lifetime), nil
}
