package authn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// IntrospectionConfig describes an RFC 7662 endpoint.
type IntrospectionConfig struct {
	URL          string
	ClientID     string
	ClientSecret secret.Value
	Client       *http.Client // decides which addresses may be dialled

	Issuer    string   // who a caller's subject belongs to
	Audiences []string // one of them must be in aud; a token for nobody in particular is refused (RFC 8707)
	Mapping   Mapping
}

// Introspection checks opaque tokens by asking their issuer (RFC 7662).
type Introspection struct{ cfg IntrospectionConfig }

// NewIntrospection makes the checker.
func NewIntrospection(cfg IntrospectionConfig) *Introspection { return &Introspection{cfg: cfg} }

const (
	introspectTimeout = 10 * time.Second
	introspectMax     = 64 << 10
	// introspectedFor bounds how late the end of an opaque token is noticed: whoever
	// chose tokens that can be revoked wants them to be.
	introspectedFor = 30 * time.Second
)

// Check asks the issuer about a token.
func (i *Introspection) Check(ctx context.Context, raw string, now time.Time) (*identity.Caller, error) {
	claims, err := i.ask(ctx, raw)
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
	if iss := c.Text("iss"); iss != "" && iss != i.cfg.Issuer {
		return nil, &token.Invalid{Reason: fmt.Sprintf("its issuer is %q, not %q", iss, i.cfg.Issuer)}
	}
	aud := c.Texts("aud")
	if !slices.ContainsFunc(aud, func(a string) bool { return slices.Contains(i.cfg.Audiences, a) }) {
		return nil, &token.Invalid{Reason: fmt.Sprintf("its audience %q has none of %q", aud, i.cfg.Audiences)}
	}
	if c.Text("sub") == "" {
		return nil, &token.Invalid{Reason: "it has no subject"}
	}
	expires, ok := c.Time("exp")
	switch {
	case c.Has("exp") && !ok:
		return nil, &token.Invalid{Reason: "its expiry is no date"}
	case ok && !now.Before(expires):
		return nil, &token.Invalid{Reason: "it has expired"}
	}
	if nbf, ok := c.Time("nbf"); ok && now.Before(nbf) {
		return nil, &token.Invalid{Reason: "it is not valid yet"}
	}
	caller := i.cfg.Mapping.caller(c, identity.SourceIntrospection, earlier(expires, now.Add(introspectedFor)))
	caller.Issuer = i.cfg.Issuer
	return caller, nil
}

// ask sends the introspection request (RFC 7662 §2.1), authenticated by Basic
// (RFC 6749 §2.3.1). The token is in the body, never in a URL or an error.
func (i *Introspection) ask(ctx context.Context, raw string) (token.Claims, error) {
	ctx, cancel := context.WithTimeout(ctx, introspectTimeout)
	defer cancel()
	form := url.Values{"token": {raw}, "token_type_hint": {"access_token"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, i.cfg.URL, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, errors.New("the introspection URL cannot be used")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	if i.cfg.ClientID != "" {
		req.SetBasicAuth(url.QueryEscape(i.cfg.ClientID), url.QueryEscape(i.cfg.ClientSecret.Reveal()))
	}
	resp, err := i.cfg.Client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("introspect: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("introspect: the endpoint answered %d", resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, introspectMax+1))
	if err != nil {
		return nil, fmt.Errorf("introspect: %w", err)
	}
	if len(body) > introspectMax {
		return nil, fmt.Errorf("introspect: the answer has more than %d bytes", introspectMax)
	}
	claims, err := token.ParseClaims(body)
	if err != nil {
		return nil, errors.New("introspect: the answer is no JSON object that can be trusted")
	}
	return claims, nil
}
