package authn

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"math/big"
	"strings"
	"time"

	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// ALBConfig describes the AWS Application Load Balancer before the gateway.
type ALBConfig struct {
	Keys     *ALBKeys
	Signer   string // the load balancer's ARN
	Issuer   string // of the identity provider behind it; "" for any
	ClientID string // of the load balancer at that provider; "" for any
	Leeway   time.Duration
	Mapping  Mapping
}

// ALB checks the x-amzn-oidc-data assertions of one load balancer. They are almost
// JWTs: base64url with padding, the padding part of what is signed, issuer and
// expiry in the header, and each key at an address of its own, in PEM.
type ALB struct{ cfg ALBConfig }

// NewALB makes the checker.
func NewALB(cfg ALBConfig) *ALB { return &ALB{cfg: cfg} }

// Check verifies an assertion.
func (a *ALB) Check(ctx context.Context, raw string, now time.Time) (*identity.Caller, error) {
	s, err := splitALB(raw)
	if err != nil {
		return nil, err
	}
	kid := s.header.Text("kid")
	if s.header.Text("alg") != "ES256" || !isALBKeyID(kid) || s.header.Has("crit") {
		return nil, &token.Invalid{Reason: "it is no ES256 assertion of a load balancer"}
	}
	if s.header.Text("signer") != a.cfg.Signer {
		return nil, &token.Invalid{Reason: "it was signed for another load balancer"}
	}
	key, err := a.cfg.Keys.find(ctx, kid, now)
	if err != nil {
		return nil, &token.Unavailable{Cause: err}
	}
	if key == nil || !s.signedBy(key) {
		return nil, &token.Invalid{Reason: "its signature does not fit the load balancer's key"}
	}
	a.cfg.Keys.proved(kid, key)
	return a.believe(s, now)
}

// believe checks what a signed assertion says. Issuer and expiry stand in the
// header, and in the claims of some providers too; then both must be right.
func (a *ALB) believe(s *albAssertion, now time.Time) (*identity.Caller, error) {
	claims, err := token.ParseClaims(s.payload)
	if err != nil {
		return nil, &token.Invalid{Reason: err.Error()}
	}
	if a.cfg.ClientID != "" && s.header.Text("client") != a.cfg.ClientID {
		return nil, &token.Invalid{Reason: "it is for another client"}
	}
	var issuer string
	var expires time.Time
	for _, part := range []token.Claims{s.header, claims} {
		if part.Has("iss") {
			if issuer = part.Text("iss"); a.cfg.Issuer != "" && issuer != a.cfg.Issuer {
				return nil, &token.Invalid{Reason: "its issuer is another one"}
			}
		}
		if part.Has("exp") {
			t, ok := part.Time("exp")
			if !ok || !now.Before(t.Add(a.cfg.Leeway)) {
				return nil, &token.Invalid{Reason: "it has expired"}
			}
			expires = earlier(expires, t.Add(a.cfg.Leeway))
		}
	}
	if expires.IsZero() || a.cfg.Issuer != "" && issuer == "" {
		return nil, &token.Invalid{Reason: "it does not say until when it is good, or whose it is"}
	}
	caller, err := a.cfg.Mapping.caller(claims, identity.SourceAssertion, expires)
	if err != nil {
		return nil, err
	}
	caller.Issuer = issuer
	return caller, nil
}

// albAssertion is one taken apart.
type albAssertion struct {
	header    token.Claims
	payload   []byte
	signature []byte
	signed    string // the texts as they came, padding included
}

func splitALB(raw string) (*albAssertion, error) {
	parts := strings.Split(raw, ".")
	if len(raw) > token.MaxSize || len(parts) != 3 {
		return nil, &token.Invalid{Reason: "it is no assertion"}
	}
	var decoded [3][]byte
	for i, p := range parts {
		var err error
		if decoded[i], err = base64.RawURLEncoding.DecodeString(strings.TrimRight(p, "=")); err != nil {
			return nil, &token.Invalid{Reason: "it is no assertion"}
		}
	}
	header, err := token.ParseClaims(decoded[0])
	if err != nil {
		return nil, &token.Invalid{Reason: "its header cannot be read"}
	}
	return &albAssertion{header: header, payload: decoded[1], signature: decoded[2], signed: parts[0] + "." + parts[1]}, nil
}

func (s *albAssertion) signedBy(key *ecdsa.PublicKey) bool {
	if len(s.signature) != 64 {
		return false
	}
	sum := sha256.Sum256([]byte(s.signed))
	return ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(s.signature[:32]), new(big.Int).SetBytes(s.signature[32:]))
}
