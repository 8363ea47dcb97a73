package authn

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
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
type Introspection struct {
	cfg   IntrospectionConfig
	slots chan struct{} // one for each question under way

	mu     sync.Mutex
	asking map[token.Hash]*question
}

// question is an introspection under way, that several requests may wait for.
type question struct {
	answered chan struct{}
	claims   token.Claims
	err      error
}

const (
	introspectTimeout = 10 * time.Second
	introspectMax     = 64 << 10
	// introspectAtOnce bounds what strangers with random tokens can make the issuer do.
	introspectAtOnce = 64
	// introspectedFor bounds how late the end of an opaque token is noticed: whoever
	// chose tokens that can be revoked wants them to be.
	introspectedFor = 30 * time.Second
)

// NewIntrospection makes the checker.
func NewIntrospection(cfg IntrospectionConfig) *Introspection {
	// A token without a subject is a client's own (RFC 9068 §2.2).
	cfg.Mapping.NoSubject = "client_id"
	return &Introspection{cfg: cfg, slots: make(chan struct{}, introspectAtOnce), asking: map[token.Hash]*question{}}
}

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
	if c.Has("iss") && c.Text("iss") != i.cfg.Issuer {
		return nil, &token.Invalid{Reason: fmt.Sprintf("its issuer is %q, not %q", c.Text("iss"), i.cfg.Issuer)}
	}
	aud := c.Texts("aud")
	if !slices.ContainsFunc(aud, func(a string) bool { return slices.Contains(i.cfg.Audiences, a) }) {
		return nil, &token.Invalid{Reason: fmt.Sprintf("its audience %q has none of %q", aud, i.cfg.Audiences)}
	}
	expires, ok := c.Time("exp")
	switch {
	case c.Has("exp") && !ok:
		return nil, &token.Invalid{Reason: "its expiry is no date"}
	case ok && !now.Before(expires):
		return nil, &token.Invalid{Reason: "it has expired"}
	}
	nbf, ok := c.Time("nbf")
	if c.Has("nbf") && (!ok || now.Before(nbf)) {
		return nil, &token.Invalid{Reason: "it is not valid yet"}
	}
	caller, err := i.cfg.Mapping.caller(c, identity.SourceIntrospection, earlier(expires, now.Add(introspectedFor)))
	if err != nil {
		return nil, err
	}
	caller.Issuer = i.cfg.Issuer
	return caller, nil
}

// ask puts the question to the issuer, or waits for the answer if somebody else
// has put it just now.
func (i *Introspection) ask(ctx context.Context, raw string) (token.Claims, error) {
	hash := token.HashOf(raw)
	i.mu.Lock()
	q, asked := i.asking[hash]
	if !asked {
		select {
		case i.slots <- struct{}{}:
		default:
			i.mu.Unlock()
			return nil, errors.New("introspect: too many tokens are being asked about")
		}
		q = &question{answered: make(chan struct{})}
		i.asking[hash] = q
		go i.put(context.WithoutCancel(ctx), hash, raw, q) // the answer is for everybody who waits
	}
	i.mu.Unlock()
	select {
	case <-q.answered:
		return q.claims, q.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (i *Introspection) put(ctx context.Context, hash token.Hash, raw string, q *question) {
	ctx, cancel := context.WithTimeout(ctx, introspectTimeout)
	defer cancel()
	q.claims, q.err = i.introspect(ctx, raw)
	i.mu.Lock()
	delete(i.asking, hash)
	i.mu.Unlock()
	<-i.slots
	close(q.answered)
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
	answer, err := token.Fetch(i.cfg.Client, req, introspectMax)
	if err != nil {
		return nil, fmt.Errorf("introspect: %w", err)
	}
	claims, err := token.ParseClaims(answer.Body)
	if err != nil {
		return nil, errors.New("introspect: the answer is no JSON object that can be trusted")
	}
	return claims, nil
}
