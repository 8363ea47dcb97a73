package token

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"
)

// MaxSize is the largest token that is looked at, in bytes. Real ones with many
// groups stay well below.
const MaxSize = 16 << 10

// Algorithms are the signature algorithms that can be allowed: asymmetric ones
// only, so that a public key can never be taken for a shared secret, and never
// "none" (RFC 8725 §3.1).
var Algorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// Invalid is a token that proves nothing. Its reason is for the operator; the
// caller is told only that the token is invalid.
type Invalid struct{ Reason string }

func (e *Invalid) Error() string { return "token is invalid: " + e.Reason }

func invalid(format string, args ...any) error {
	return &Invalid{Reason: fmt.Sprintf(format, args...)}
}

// Expectations are what a token must say to be believed.
type Expectations struct {
	Issuer     string
	Audiences  []string      // one of them must be in aud
	Clients    []string      // to one of which it must be issued; empty for any. Then a token without aud will do.
	Anyone     bool          // the audience does not matter: for the issuer itself, which looks at its own tokens
	Access     bool          // it must be an access token, as far as one can tell
	Algorithms []string      // of Algorithms; empty for all
	Types      []string      // of the header's typ, lower case, without "application/"; empty for those of access tokens
	Leeway     time.Duration // for clocks that differ; 0 for none
}

// Keys are an issuer's public keys: a KeySet that is fetched, or a Signer in the
// same process.
type Keys interface {
	// Find returns the keys that may have signed a token with this kid.
	Find(ctx context.Context, kid string) ([]jose.JSONWebKey, error)
	// Renew asks for the keys of now, for a token that those at hand do not fit.
	Renew(ctx context.Context) error
	// Changes counts how often the keys changed.
	Changes() uint64
}

// Verifier verifies the tokens of one issuer.
type Verifier struct {
	keys       Keys
	want       Expectations
	algorithms []jose.SignatureAlgorithm
	types      []string
}

// NewVerifier verifies by keys that a token is what is expected.
func NewVerifier(keys Keys, want Expectations) (*Verifier, error) {
	if want.Issuer == "" || len(want.Audiences) == 0 && len(want.Clients) == 0 && !want.Anyone {
		return nil, errors.New("verify tokens: issuer and audience are required")
	}
	names := want.Algorithms
	if len(names) == 0 {
		names = Algorithms
	}
	v := &Verifier{keys: keys, want: want, types: want.Types}
	if len(v.types) == 0 {
		v.types = accessTokenTypes
	}
	for _, name := range names {
		if !slices.Contains(Algorithms, name) {
			return nil, fmt.Errorf("verify tokens: algorithm %q is not one of %s", name, strings.Join(Algorithms, ", "))
		}
		v.algorithms = append(v.algorithms, jose.SignatureAlgorithm(name))
	}
	return v, nil
}

// Verify returns the claims of a token that is good now, and until when it is. It
// does not look for a subject, since not every issuer puts it into the same claim.
// The error is an *Invalid, or an *Unavailable when the issuer's keys cannot be had.
func (v *Verifier) Verify(ctx context.Context, raw string, now time.Time) (Claims, time.Time, error) {
	if len(raw) > MaxSize {
		return nil, time.Time{}, invalid("it has %d bytes, more than %d", len(raw), MaxSize)
	}
	jws, err := jose.ParseSignedCompact(raw, v.algorithms)
	if err != nil {
		return nil, time.Time{}, invalid("it is no JWT signed by an allowed algorithm")
	}
	if typ, _ := jws.Signatures[0].Protected.ExtraHeaders[jose.HeaderType].(string); !slices.Contains(v.types, shortType(typ)) {
		return nil, time.Time{}, invalid("its type %q is not one of %q", shorten(typ), v.types)
	}
	payload, err := v.signed(ctx, jws)
	if err != nil {
		return nil, time.Time{}, err
	}
	claims, err := ParseClaims(payload)
	if err != nil {
		return nil, time.Time{}, invalid("%v", err)
	}
	expires, err := v.expected(claims, now)
	if err != nil {
		return nil, time.Time{}, err
	}
	return claims, expires, nil
}

// signed returns the payload if one of the issuer's keys signed it. An issuer may
// have made a new key without giving it a new kid, so keys that do not fit are
// asked for again, as rarely as unknown ones.
func (v *Verifier) signed(ctx context.Context, jws *jose.JSONWebSignature) ([]byte, error) {
	header := jws.Signatures[0].Protected
	for again := false; ; again = true {
		before := v.keys.Changes()
		keys, err := v.keys.Find(ctx, header.KeyID)
		if err != nil {
			return nil, err
		}
		for _, k := range keys {
			if !isFor(k, header.Algorithm) {
				continue
			}
			if payload, err := jws.Verify(k); err == nil {
				return payload, nil
			}
		}
		if len(keys) == 0 {
			return nil, invalid("the issuer has no key %q", shorten(header.KeyID))
		}
		if !again {
			if err := v.keys.Renew(ctx); err != nil {
				return nil, &Unavailable{Cause: err}
			}
		}
		if again || v.keys.Changes() == before {
			return nil, invalid("its signature does not fit the issuer's key %q", shorten(header.KeyID))
		}
	}
}

// isFor reports whether a key may be used with an algorithm: a key that names one
// is for that alone (RFC 8725 §3.1).
func isFor(k jose.JSONWebKey, algorithm string) bool {
	return k.Algorithm == "" || k.Algorithm == algorithm ||
		k.Algorithm == "Ed25519" && algorithm == "EdDSA" // RFC 9864 gave it a second name
}

// expected checks the claims that make a token one for here and now.
func (v *Verifier) expected(c Claims, now time.Time) (expires time.Time, err error) {
	if iss := c.Text("iss"); iss != v.want.Issuer {
		return expires, invalid("its issuer is %q, not %q", shorten(iss), v.want.Issuer)
	}
	if err := v.want.Met(c); err != nil {
		return expires, err
	}
	if !c.Has("exp") {
		return expires, invalid("it has no expiry")
	}
	if expires, err = v.want.Now(c, now); err != nil {
		return expires, err
	}
	// A token's time of issue is no condition (RFC 7519 §4.1.6); one far in the future
	// shows a clock that is wrong.
	const slack = 5 * time.Minute
	if t, ok := c.Time("iat"); ok && t.Sub(now) > max(v.want.Leeway, slack) {
		return expires, invalid("its iat is %s in the future", t.Sub(now).Round(time.Second))
	}
	return expires, nil
}

// Met checks whom claims are for, however they were verified. The error is an
// *Invalid.
func (want *Expectations) Met(c Claims) error {
	if want.Access {
		if why := c.IDToken(); why != "" {
			return invalid("it is no access token: %s", why)
		}
	}
	if want.Anyone {
		return nil
	}
	return c.audience(want.Audiences, want.Clients)
}

// Now checks that claims are good now, and says until when; zero if they do not say.
// The error is an *Invalid.
func (want *Expectations) Now(c Claims, now time.Time) (expires time.Time, err error) {
	if c.Has("exp") {
		end, ok := c.Time("exp")
		if !ok {
			return expires, invalid("its exp is no date")
		}
		expires = end.Add(want.Leeway)
		if !now.Before(expires) {
			return expires, invalid("it expired %s ago", now.Sub(end).Round(time.Second))
		}
	}
	if c.Has("nbf") {
		begin, ok := c.Time("nbf")
		if !ok {
			return expires, invalid("its nbf is no date")
		}
		if ahead := begin.Sub(now); ahead > want.Leeway {
			return expires, invalid("its nbf is %s in the future", ahead.Round(time.Second))
		}
	}
	return expires, nil
}

// accessTokenTypes tell access tokens from other JWTs of the same issuer, as far
// as they say so (RFC 8725 §3.11, RFC 9068 §2.1).
var accessTokenTypes = []string{"", "jwt", "at+jwt"}

func shortType(typ string) string { return strings.TrimPrefix(strings.ToLower(typ), "application/") }

// Peek reads, without verifying anything, which type a token is of and who says to
// have made it: to find out whose keys could verify it. Both are "" for what is no
// JWT.
func Peek(raw string) (typ, issuer string) {
	parts := strings.Split(raw, ".")
	if len(raw) > MaxSize || len(parts) != 3 {
		return "", ""
	}
	var header struct {
		Type string `json:"typ"`
	}
	var payload struct {
		Issuer string `json:"iss"`
	}
	for i, into := range []any{&header, &payload} {
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil || json.Unmarshal(text, into) != nil {
			return "", ""
		}
	}
	return shortType(header.Type), payload.Issuer
}

// Expired reads, without verifying anything, whether a JWT says that it is over.
func Expired(raw string, now time.Time) bool {
	_, payload, _ := strings.Cut(raw, ".")
	payload, _, _ = strings.Cut(payload, ".")
	text, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return false
	}
	claims, err := ParseClaims(text)
	if err != nil {
		return false
	}
	end, ok := claims.Time("exp")
	return ok && !now.Before(end)
}

// shorten keeps what a stranger wrote from filling a log.
func shorten(s string) string {
	const most = 64
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
