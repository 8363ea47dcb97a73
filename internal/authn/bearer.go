package authn

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// Checker verifies one kind of token. The error is a *token.Invalid, or a
// *token.Unavailable when nothing can be said about the token now.
type Checker interface {
	Check(ctx context.Context, raw string, now time.Time) (*identity.Caller, error)
}

// Bearer is the token of RFC 6750 §2.1, in the Authorization header and nowhere
// else (MCP 2025-11-25 authorization, token handling).
type Bearer struct {
	tokens *memory
	scopes []string
	ask    []string
}

// BearerConfig describes a Bearer.
type BearerConfig struct {
	JWT        Checker       // for what looks like a JWT; nil: all tokens are opaque
	Opaque     Checker       // for the rest; nil: there is none
	Scopes     []string      // every one is required (REQ B-25), except identity scopes
	Ask        []string      // what a client is to ask for who lacks scopes; empty for Scopes
	Generation func() uint64 // changes when verified tokens must be verified again; may be nil
	Seen       func(Result)  // for metrics; may be nil
}

// NewBearer makes the method.
func NewBearer(cfg BearerConfig) *Bearer {
	kinds := &either{jwt: cfg.JWT, opaque: cfg.Opaque}
	b := &Bearer{tokens: newMemory(kinds, kinds.isOpaque, cfg.Generation, cfg.Seen), ask: cfg.Ask}
	for _, scope := range cfg.Scopes {
		if !isIdentityScope(scope) {
			b.scopes = append(b.scopes, scope)
		}
	}
	if len(b.ask) == 0 {
		b.ask = cfg.Scopes
	}
	return b
}

// isIdentityScope reports whether a scope is about ID tokens and userinfo (OpenID
// Connect Core §5.4, §11), so that no access token needs to have it.
func isIdentityScope(scope string) bool {
	switch scope {
	case "openid", "profile", "email", "address", "phone", "offline_access":
		return true
	}
	return false
}

// Authenticate verifies the bearer token. Another scheme is no credential of this
// method: proxies that authenticate people pass Basic on.
func (b *Bearer) Authenticate(ctx context.Context, r *Request) (*identity.Caller, *Denied) {
	values := r.Header["Authorization"]
	if len(values) > 1 { // two credentials: which one would count? (RFC 6750 §3.1)
		return nil, &Denied{Status: http.StatusBadRequest, Code: CodeInvalidRequest, Reason: "there is more than one Authorization header"}
	}
	if len(values) == 0 {
		return nil, nil
	}
	raw, ok := bearerToken(values[0])
	if !ok {
		return nil, nil
	}
	if !isToken68(raw) {
		return nil, invalidToken("it is empty, or has characters that no token has")
	}
	caller, denied := b.tokens.check(ctx, r, raw)
	if denied != nil {
		return nil, denied
	}
	if missing := missingScopes(caller.Scopes, b.scopes); len(missing) > 0 {
		return nil, &Denied{
			Status: http.StatusForbidden, Code: CodeInsufficientScope, Scopes: b.ask,
			Reason: "the token lacks the scopes " + strings.Join(missing, " "),
		}
	}
	return caller, nil
}

// Presented is the token that proved the caller; empty where something else did.
func Presented(caller *identity.Caller, h http.Header) secret.Value {
	if caller.Source != identity.SourceJWT && caller.Source != identity.SourceIntrospection || len(h["Authorization"]) != 1 {
		return secret.Value{}
	}
	raw, _ := bearerToken(h["Authorization"][0])
	return secret.New(raw)
}

// bearerToken is what a header's value shows; false for another scheme.
func bearerToken(value string) (raw string, ok bool) {
	scheme, raw, _ := strings.Cut(value, " ")
	return strings.TrimLeft(raw, " "), strings.EqualFold(scheme, "Bearer")
}

func invalidToken(reason string) *Denied {
	return &Denied{Status: http.StatusUnauthorized, Code: CodeInvalidToken, Reason: reason}
}

// isToken68 reports whether a text is a b64token of RFC 6750 §2.1.
func isToken68(raw string) bool {
	body := strings.TrimRight(raw, "=")
	return body != "" && !strings.ContainsFunc(body, func(c rune) bool {
		return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("-._~+/", c))
	})
}

func missingScopes(granted, wanted []string) []string {
	var missing []string
	for _, w := range wanted {
		if !slices.Contains(granted, w) {
			missing = append(missing, w)
		}
	}
	return missing
}

// either tells JWTs and opaque tokens apart, where both may come.
type either struct{ jwt, opaque Checker }

// Check asks the one that the token is for.
func (e *either) Check(ctx context.Context, raw string, now time.Time) (*identity.Caller, error) {
	if e.isOpaque(raw) {
		return e.opaque.Check(ctx, raw, now)
	}
	return e.jwt.Check(ctx, raw, now)
}

// isOpaque reports whether a token's issuer is asked about it.
func (e *either) isOpaque(raw string) bool {
	return e.opaque != nil && (e.jwt == nil || !looksLikeJWT(raw))
}

// looksLikeJWT: three parts, the first of which begins, decoded, with `{"`. Some
// opaque tokens have dots too.
func looksLikeJWT(raw string) bool {
	return strings.HasPrefix(raw, "ey") && strings.Count(raw, ".") == 2
}
