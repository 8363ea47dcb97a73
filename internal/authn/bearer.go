package authn

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// Checker verifies one kind of token. The error is a *token.Invalid, or a
// *token.Unavailable when nothing can be said about the token now.
type Checker interface {
	Check(ctx context.Context, raw string, now time.Time) (*identity.Caller, error)
}

// Bearer is the token of RFC 6750 §2.1, in the Authorization header and nowhere
// else (RS7).
type Bearer struct {
	jwt    Checker // for what looks like a JWT; nil: all tokens are opaque
	opaque Checker // for the rest; nil: there is none
	scopes []string

	good *token.Cache[*identity.Caller]
	bad  *token.Cache[string] // why; so that a flood of one bad token costs little
	seen func(Result)

	keys      func() uint64 // changes when verified tokens must be verified again
	keysSince atomic.Uint64 // what it was when the caches were last cleared
}

// Result is what became of a token, for metrics.
type Result string

// The results.
const (
	Valid       Result = "valid"
	Cached      Result = "cached"
	Invalid     Result = "invalid"
	Unavailable Result = "unavailable"
)

// BearerConfig describes a Bearer.
type BearerConfig struct {
	JWT, Opaque Checker
	Scopes      []string // every one is required (REQ B-25)
	Generation  func() uint64
	Seen        func(Result)
}

const (
	goodEntries = 20_000
	badEntries  = 2_000
	// cachedFor bounds how long a token that was good is not looked at again, and
	// with it how late a revocation is noticed.
	cachedFor    = 5 * time.Minute
	badCachedFor = 10 * time.Second
)

// NewBearer makes the method.
func NewBearer(cfg BearerConfig) *Bearer {
	b := &Bearer{
		jwt: cfg.JWT, opaque: cfg.Opaque, scopes: cfg.Scopes, keys: cfg.Generation, seen: cfg.Seen,
		good: token.NewCache[*identity.Caller](goodEntries), bad: token.NewCache[string](badEntries),
	}
	if b.seen == nil {
		b.seen = func(Result) {}
	}
	return b
}

// Authenticate verifies the bearer token.
func (b *Bearer) Authenticate(ctx context.Context, r *Request) (*identity.Caller, *Denied) {
	values := r.Header["Authorization"]
	switch len(values) {
	case 0:
		return nil, nil
	case 1:
	default: // two credentials: which one would count? (RFC 6750 §2)
		return nil, &Denied{Status: http.StatusUnauthorized, Code: CodeInvalidRequest, Reason: "there is more than one Authorization header"}
	}
	raw, ok := bearerToken(values[0])
	if !ok {
		return nil, &Denied{Status: http.StatusUnauthorized, Code: CodeInvalidRequest, Reason: "the Authorization header is no bearer token"}
	}
	caller, denied := b.check(ctx, raw)
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

// check verifies a token, or remembers that it was verified.
func (b *Bearer) check(ctx context.Context, raw string) (*identity.Caller, *Denied) {
	if len(raw) > token.MaxSize {
		b.seen(Invalid)
		return nil, invalidToken("it is larger than any token")
	}
	if b.keys != nil {
		if now := b.keys(); b.keysSince.Swap(now) != now {
			b.good.Clear()
			b.bad.Clear()
		}
	}
	now, hash := time.Now(), token.HashOf(raw)
	if caller, ok := b.good.Get(hash, now); ok {
		b.seen(Cached)
		return caller, nil
	}
	if why, ok := b.bad.Get(hash, now); ok {
		b.seen(Invalid)
		return nil, invalidToken(why)
	}
	checker := b.opaque
	if b.jwt != nil && (checker == nil || strings.Count(raw, ".") == 2) {
		checker = b.jwt
	}
	caller, err := checker.Check(ctx, raw, now)
	if err == nil {
		b.seen(Valid)
		b.good.Put(hash, caller, earlier(caller.Expires, now.Add(cachedFor)))
		return caller, nil
	}
	if bad, ok := errors.AsType[*token.Invalid](err); ok {
		b.seen(Invalid)
		b.bad.Put(hash, bad.Reason, now.Add(badCachedFor))
		return nil, invalidToken(bad.Reason)
	}
	b.seen(Unavailable)
	return nil, &Denied{Status: http.StatusServiceUnavailable, Reason: err.Error()}
}

func invalidToken(reason string) *Denied {
	return &Denied{Status: http.StatusUnauthorized, Code: CodeInvalidToken, Reason: reason}
}

// bearerToken takes the token out of an Authorization value. The scheme's name is
// case-insensitive (RFC 9110 §11.1); the token has no spaces (RFC 6750 §2.1).
func bearerToken(value string) (string, bool) {
	scheme, raw, ok := strings.Cut(value, " ")
	raw = strings.TrimLeft(raw, " ")
	return raw, ok && strings.EqualFold(scheme, "Bearer") && raw != "" && !strings.ContainsAny(raw, " \t,")
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

func earlier(a, b time.Time) time.Time {
	if !a.IsZero() && a.Before(b) {
		return a
	}
	return b
}
