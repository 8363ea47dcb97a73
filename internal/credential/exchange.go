package credential

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/keep"
	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// The grants and the token types (RFC 8693 §2.1 and §3, RFC 7523 §2.1).
const (
	grantExchange   = "urn:ietf:params:oauth:grant-type:token-exchange"
	grantAssertion  = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	typePrefix      = "urn:ietf:params:oauth:token-type:"
	typeAccessToken = typePrefix + "access_token"
	typeIDJAG       = typePrefix + "id-jag"
)

// Exchange makes a token of the backend of the caller's, and keeps it for the caller
// until shortly before it expires. How it is made is the recipe's affair.
type Exchange struct {
	Subject

	header string
	recipe recipe
	seen   func(result string)
	tokens *memory[secret.Value]

	endpoints []*oauth.Endpoint // that are asked whether they are there
	health    exchangeHealth
}

// recipe makes a bearer token of a subject's, and says how long it may be used.
type recipe func(ctx context.Context, subject secret.Value) (secret.Value, time.Time, error)

// Outcome is where a made token goes, and who hears of it.
type Outcome struct {
	Header string // that carries the new token; "" for Authorization
	// Seen hears what an attempt came to: success, refused or failed. It may be nil.
	Seen func(result string)
}

func newExchange(s Subject, o Outcome, r recipe) *Exchange {
	if o.Header == "" {
		o.Header = "Authorization"
	}
	if o.Seen == nil {
		o.Seen = func(string) {}
	}
	return &Exchange{Subject: s, header: http.CanonicalHeaderKey(o.Header), recipe: r, seen: o.Seen, tokens: newMemory[secret.Value]()}
}

// Headers is the one header's name.
func (s *Exchange) Headers() []string { return []string{s.header} }

// Apply sets the token that was made of the caller's.
func (s *Exchange) Apply(ctx context.Context, req *Request, h http.Header) error {
	got, err := renewing(ctx, &s.Subject, req, func(ctx context.Context, subject secret.Value) (secret.Value, error) {
		return s.tokens.get(ctx, keep.HashOf(subject.Reveal()), req.Caller, s.ended,
			func(ctx context.Context) (secret.Value, time.Time, error) { return s.recipe(ctx, subject) })
	})
	if err != nil {
		return err
	}
	h[s.header] = []string{bearer + got.Reveal()}
	return nil
}

// ended says how an attempt went.
func (s *Exchange) ended(err error) {
	s.health.ended(err)
	s.seen(resultOf(err))
}

// Challenged implements [Challenger]: the token may have been revoked before its time.
// Where another one is refused too, the account that it is made of is renewed.
func (s *Exchange) Challenged(ctx context.Context, req *Request, shown http.Header, _ oauth.AuthChallenge) error {
	subject, err := s.token(ctx, req)
	if err != nil {
		return err
	}
	err = s.tokens.refused(keep.HashOf(subject.value.Reveal()), func(v secret.Value) bool {
		return v.Equal(secret.New(strings.TrimPrefix(shown.Get(s.header), bearer)))
	})
	if err != nil && s.Upstream != nil {
		_, err = s.renewed(ctx, req, subject, err)
	}
	return err
}

var _ Challenger = (*Exchange)(nil)

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

// TokenExchange is an exchange by RFC 8693.
type TokenExchange struct {
	Subject
	Outcome
	Endpoint    oauth.Endpoint
	Audience    string
	Scopes      []string
	SubjectType string // access_token, id_token, jwt, or a URN; "" for access_token
}

// Source prepares the exchange; nothing is asked yet.
func (c TokenExchange) Source() *Exchange {
	form := url.Values{
		"grant_type":           {grantExchange},
		"subject_token_type":   {tokenType(c.SubjectType, typeAccessToken)},
		"requested_token_type": {typeAccessToken},
	}
	setUnlessEmpty(form, "audience", c.Audience)
	setUnlessEmpty(form, "scope", strings.Join(c.Scopes, " "))
	return newExchange(c.Subject, c.Outcome, func(ctx context.Context, subject secret.Value) (secret.Value, time.Time, error) {
		return ask(ctx, &c.Endpoint, with(form, "subject_token", subject), subject)
	}).at(c.Endpoint)
}

// tokenType is a token type as a URN.
func tokenType(name, otherwise string) string {
	switch {
	case name == "":
		return otherwise
	case strings.HasPrefix(name, "urn:"):
		return name
	}
	return typePrefix + name
}

func setUnlessEmpty(form url.Values, name, value string) {
	if value != "" {
		form.Set(name, value)
	}
}

// with is a form with one more, secret, parameter.
func with(form url.Values, name string, value secret.Value) url.Values {
	form = maps.Clone(form)
	form.Set(name, value.Reveal())
	return form
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
		return secret.Value{}, time.Time{}, unusable(err)
	}
	return got.Access, usableUntil(began, life), nil
}

// usable says why an answer holds no bearer token for a header.
func usable(t *oauth.Tokens, life time.Duration) error {
	switch {
	case t.Type != "" && !strings.EqualFold(t.Type, "Bearer"):
		return errors.New("its token_type is not Bearer")
	case life <= 0 || t.Lifeless:
		return errors.New("its token has expired already")
	case unprintable(t.Access.Reveal()):
		return errors.New("its token has characters that no header can carry")
	}
	return nil
}

// unusable is the failure of an answer that is well-formed and of no use.
func unusable(why error) error {
	return &Failure{
		Kind: Misconfigured, Cause: fmt.Errorf("use the token endpoint's answer: %w", why),
		Public: "the authorization server gave no token that can be used; its operator finds the reason in the log",
	}
}

// noToken is the failure of a caller who came without a token of their own, such as
// by a certificate.
func noToken() error {
	return &Failure{
		Kind: Forbidden, Public: "this backend is for callers who show a token",
		Cause: errors.New("the caller was not identified by a token, so there is nothing to exchange"),
	}
}
