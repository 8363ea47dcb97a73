package authn

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/netguard"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// IntrospectionConfig describes an RFC 7662 endpoint.
type IntrospectionConfig struct {
	URL          string
	ClientID     string
	ClientSecret secret.Value
	Client       *http.Client // decides which addresses may be dialled
	// Preset is for issuers with an endpoint of their own: google or github; "" for
	// others.
	Preset string

	// Want is what the answer must say. Its issuer is who a caller's subject belongs to,
	// whether the answer names it or not.
	Want    token.Expectations
	Mapping Mapping
}

// Introspection checks opaque tokens by asking their issuer (RFC 7662).
type Introspection struct{ cfg IntrospectionConfig }

const (
	introspectTimeout = 10 * time.Second
	introspectMax     = 64 << 10
	// introspectedFor bounds how late the end of an opaque token is noticed: whoever
	// chose tokens that can be revoked wants them to be.
	introspectedFor = 30 * time.Second
)

// NewIntrospection makes the checker.
func NewIntrospection(cfg IntrospectionConfig) *Introspection {
	// A token without a subject is a client's own (RFC 9068 §2.2).
	cfg.Mapping.NoSubject = "client_id"
	return &Introspection{cfg: cfg}
}

// Check asks the issuer about a token.
func (i *Introspection) Check(ctx context.Context, raw string, now time.Time) (*identity.Caller, error) {
	ask := i.introspect
	switch i.cfg.Preset {
	case "google":
		ask = i.tokenInfo
	case "github":
		ask = i.application
	}
	claims, err := ask(ctx, raw)
	if err != nil {
		return nil, &token.Unavailable{Cause: err}
	}
	if active, _ := claims["active"].(bool); !active {
		return nil, &token.Invalid{Reason: "its issuer says that it is not active"}
	}
	return i.believe(claims, now)
}

// believe checks what the issuer said of an active token.
func (i *Introspection) believe(c token.Claims, now time.Time) (*identity.Caller, error) {
	want := &i.cfg.Want
	if c.Has("iss") && c.Text("iss") != want.Issuer {
		return nil, &token.Invalid{Reason: fmt.Sprintf("its issuer is %q, not %q", c.Text("iss"), want.Issuer)}
	}
	if c.Text("token_type") == "refresh_token" { // it is active, too (RFC 7662 §4)
		return nil, &token.Invalid{Reason: "it is a refresh token"}
	}
	if err := want.Met(c); err != nil {
		return nil, err
	}
	expires, err := want.Now(c, now)
	if err != nil {
		return nil, err
	}
	caller, err := i.cfg.Mapping.caller(c, identity.SourceIntrospection, earlier(expires, now.Add(introspectedFor)))
	if err != nil {
		return nil, err
	}
	caller.Issuer = want.Issuer
	return caller, nil
}

// introspect sends the introspection request (RFC 7662 §2.1), authenticated by
// Basic (RFC 6749 §2.3.1). The token is in the body, never in a URL or an error.
func (i *Introspection) introspect(ctx context.Context, raw string) (token.Claims, error) {
	form := url.Values{"token": {raw}, "token_type_hint": {"access_token"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, i.cfg.URL, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, errors.New("introspect: the URL cannot be used")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	if i.cfg.ClientID != "" {
		req.SetBasicAuth(url.QueryEscape(i.cfg.ClientID), url.QueryEscape(i.cfg.ClientSecret.Reveal()))
	}
	answer, err := netguard.Fetch(i.cfg.Client, req, introspectMax)
	if err != nil {
		return nil, fmt.Errorf("introspect: %w", err)
	}
	claims, err := token.ParseClaims(answer.Body)
	if err != nil {
		return nil, errors.New("introspect: the answer is no JSON object that can be trusted")
	}
	return claims, nil
}
