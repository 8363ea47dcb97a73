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
// else (RS7).
type Bearer struct {
	tokens *memory
	scopes []string
}

// BearerConfig describes a Bearer.
type BearerConfig struct {
	JWT        Checker       // for what looks like a JWT; nil: all tokens are opaque
	Opaque     Checker       // for the rest; nil: there is none
	Scopes     []string      // every one is required (REQ B-25)
	Generation func() uint64 // changes when verified tokens must be verified again; may be nil
	Seen       func(Result)  // for metrics; may be nil
}

// NewBearer makes the method.
func NewBearer(cfg BearerConfig) *Bearer {
	return &Bearer{
		tokens: newMemory(&either{jwt: cfg.JWT, opaque: cfg.Opaque}, cfg.Generation, cfg.Seen),
		scopes: cfg.Scopes,
	}
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
	scheme, raw, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return nil, nil
	}
	raw = strings.TrimLeft(raw, " ")
	if !isToken68(raw) {
		return nil, invalidToken("it is empty, or has characters that no token has")
	}
	caller, denied := b.tokens.check(ctx, raw)
	if denied != nil {
		return nil, denied
	}
	if missing := missingScopes(caller.Scopes, b.scopes); len(missing) > 0 {
		return nil, &Denied{
			Status: http.StatusForbidden, Code: CodeInsufficientScope, Scopes: b.scopes,
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
	_, raw, _ := strings.Cut(h["Authorization"][0], " ")
	return secret.New(strings.TrimLeft(raw, " "))
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
	if e.opaque == nil || e.jwt != nil && looksLikeJWT(raw) {
		return e.jwt.Check(ctx, raw, now)
	}
	return e.opaque.Check(ctx, raw, now)
}

// looksLikeJWT: three parts, the first of which begins, decoded, with `{"`. Some
// opaque tokens have dots too.
func looksLikeJWT(raw string) bool {
	return strings.HasPrefix(raw, "ey") && strings.Count(raw, ".") == 2
}
