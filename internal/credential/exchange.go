package credential

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
	"github.com/sallyport-dev/sallyport/internal/token"
)

// The grant and the token types of RFC 8693 §2.1 and §3.
const (
	grantExchange   = "urn:ietf:params:oauth:grant-type:token-exchange"
	typePrefix      = "urn:ietf:params:oauth:token-type:"
	typeAccessToken = typePrefix + "access_token"
)

// TokenExchange exchanges the caller's token for one of the backend (RFC 8693).
type TokenExchange struct {
	cfg    TokenExchangeConfig
	form   url.Values
	tokens *memory[secret.Value]
}

// TokenExchangeConfig describes a TokenExchange.
type TokenExchangeConfig struct {
	Endpoint    oauth.Endpoint
	Audience    string
	Scopes      []string
	SubjectType string // access_token, id_token, jwt, or a URN; "" for access_token
	Header      string // that carries the new token; "" for Authorization
	// Seen hears what an exchange came to: success, refused or failed. It may be nil.
	Seen func(result string)
}

// NewTokenExchange prepares the source; nothing is asked yet.
func NewTokenExchange(cfg TokenExchangeConfig) *TokenExchange {
	if cfg.Header == "" {
		cfg.Header = "Authorization"
	}
	cfg.Header = http.CanonicalHeaderKey(cfg.Header)
	if cfg.SubjectType == "" {
		cfg.SubjectType = typeAccessToken
	}
	if !strings.HasPrefix(cfg.SubjectType, "urn:") {
		cfg.SubjectType = typePrefix + cfg.SubjectType
	}
	form := url.Values{
		"grant_type":           {grantExchange},
		"subject_token_type":   {cfg.SubjectType},
		"requested_token_type": {typeAccessToken},
	}
	if cfg.Audience != "" {
		form.Set("audience", cfg.Audience)
	}
	if len(cfg.Scopes) > 0 {
		form.Set("scope", strings.Join(cfg.Scopes, " "))
	}
	return &TokenExchange{cfg: cfg, form: form, tokens: newMemory[secret.Value]()}
}

// Headers is the one header's name.
func (s *TokenExchange) Headers() []string { return []string{s.cfg.Header} }

// UsesToken implements [TokenUser].
func (s *TokenExchange) UsesToken() bool { return true }

// Apply sets the token that the caller's was exchanged for.
func (s *TokenExchange) Apply(ctx context.Context, req *Request, h http.Header) error {
	if req.Token.Empty() {
		return noToken()
	}
	got, err := s.tokens.get(ctx, token.HashOf(req.Token.Reveal()), s.seen, func(ctx context.Context) (secret.Value, time.Time, error) {
		return s.exchange(ctx, req.Token)
	})
	if err != nil {
		return err
	}
	h[s.cfg.Header] = []string{"Bearer " + got.Reveal()}
	return nil
}

// Refused drops the token that the backend did not accept: it may have been revoked.
func (s *TokenExchange) Refused(req *Request) { s.tokens.forget(token.HashOf(req.Token.Reveal())) }

func (s *TokenExchange) exchange(ctx context.Context, subject secret.Value) (secret.Value, time.Time, error) {
	form := make(url.Values, len(s.form)+4)
	for name, values := range s.form {
		form[name] = values
	}
	form.Set("subject_token", subject.Reveal())
	return ask(ctx, &s.cfg.Endpoint, form, subject)
}

func (s *TokenExchange) seen(err error) {
	if s.cfg.Seen != nil {
		s.cfg.Seen(resultOf(err))
	}
}

// resultOf is what metrics call the end of an attempt.
func resultOf(err error) string {
	switch {
	case err == nil:
		return "success"
	case isRefusal(err):
		return "refused"
	}
	return "failed"
}

// ask asks a token endpoint for an access token, and says how long it may be used.
// A life that the endpoint does not tell is taken to be short.
func ask(ctx context.Context, e *oauth.Endpoint, form url.Values, sent ...secret.Value) (secret.Value, time.Time, error) {
	const untold = time.Minute
	began := time.Now() // the token's life cannot have begun earlier
	got, err := e.Request(ctx, form)
	if err != nil {
		return secret.Value{}, time.Time{}, asked(err, append(sent, e.Auth.Secret)...)
	}
	life := untold
	if !got.Expires.IsZero() {
		life = time.Until(got.Expires)
	}
	if err := usable(got, life); err != nil {
		return secret.Value{}, time.Time{}, &Failure{
			Kind: Misconfigured, Cause: fmt.Errorf("use the token endpoint's answer: %w", err),
			Public: "the authorization server gave no token that can be used; its operator finds the reason in the log",
		}
	}
	return got.Access, usableUntil(began, life), nil
}

// usable says why an answer holds no bearer token for a header.
func usable(t *oauth.Tokens, life time.Duration) error {
	switch {
	case t.Type != "" && !strings.EqualFold(t.Type, "Bearer"):
		return errors.New("its token_type is not Bearer")
	case life <= 0:
		return errors.New("its token has expired already")
	case strings.ContainsFunc(t.Access.Reveal(), func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return errors.New("its token has characters that no header can carry")
	}
	return nil
}

// noToken is the failure of a caller who came without a token of their own. It
// should have been found when configuration was loaded.
func noToken() error {
	return &Failure{
		Kind: Misconfigured, Public: "the caller has no token that could be exchanged",
		Cause: errors.New("the caller was not identified by a token, so there is nothing to exchange"),
	}
}
