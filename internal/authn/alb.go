package authn

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// ALBConfig describes the AWS Application Load Balancer before the gateway.
type ALBConfig struct {
	KeysURL string // the region's key endpoint, without the key's id
	Signer  string // the load balancer's ARN
	Issuer  string // of the identity provider behind it
	Client  *http.Client
	Mapping Mapping
}

// ALB checks the x-amzn-oidc-data assertions of one load balancer. They are almost
// JWTs: base64url with padding, the padding part of what is signed, and each key
// at an address of its own, in PEM.
type ALB struct {
	cfg ALBConfig

	mu   sync.Mutex
	keys map[string]albKey
}

type albKey struct {
	key *ecdsa.PublicKey // nil: there was none
	at  time.Time
}

// NewALB makes the checker.
func NewALB(cfg ALBConfig) *ALB { return &ALB{cfg: cfg, keys: map[string]albKey{}} }

const (
	albKeyFor  = time.Hour        // keys do not change under their id
	albMissFor = 10 * time.Second // an id that has no key is not asked for again at once
	albMaxKeys = 64
)

var albKeyID = regexp.MustCompile(`^[0-9A-Za-z-]{1,64}$`)

// Check verifies an assertion.
func (a *ALB) Check(ctx context.Context, raw string, now time.Time) (*identity.Caller, error) {
	header, payload, signed, sig, err := splitALB(raw)
	if err != nil {
		return nil, err
	}
	var h struct{ Alg, Kid, Signer, Iss string }
	if json.Unmarshal(header, &h) != nil || h.Alg != "ES256" || !albKeyID.MatchString(h.Kid) {
		return nil, &token.Invalid{Reason: "it is no ES256 assertion of a load balancer"}
	}
	if h.Signer != a.cfg.Signer {
		return nil, &token.Invalid{Reason: "it was signed for another load balancer"}
	}
	key, err := a.key(ctx, h.Kid, now)
	if err != nil {
		return nil, &token.Unavailable{Cause: err}
	}
	sum := sha256.Sum256(signed)
	if key == nil || len(sig) != 64 || !ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])) {
		return nil, &token.Invalid{Reason: "its signature does not fit the load balancer's key"}
	}
	claims, err := token.ParseClaims(payload)
	if err != nil {
		return nil, &token.Invalid{Reason: err.Error()}
	}
	expires, ok := claims.Time("exp")
	switch {
	case a.cfg.Issuer != "" && claims.Text("iss") != a.cfg.Issuer:
		return nil, &token.Invalid{Reason: "its issuer is another one"}
	case claims.Text("sub") == "":
		return nil, &token.Invalid{Reason: "it has no subject"}
	case !ok || !now.Before(expires):
		return nil, &token.Invalid{Reason: "it has expired, or no expiry"}
	}
	return a.cfg.Mapping.caller(claims, identity.SourceAssertion, expires), nil
}

// splitALB takes an assertion apart. What is signed are the texts as they came.
func splitALB(raw string) (header, payload, signed, sig []byte, err error) {
	parts := strings.Split(raw, ".")
	if len(raw) > token.MaxSize || len(parts) != 3 {
		return nil, nil, nil, nil, &token.Invalid{Reason: "it is no assertion"}
	}
	var decoded [3][]byte
	for i, p := range parts {
		if decoded[i], err = base64.RawURLEncoding.DecodeString(strings.TrimRight(p, "=")); err != nil {
			return nil, nil, nil, nil, &token.Invalid{Reason: "it is no assertion"}
		}
	}
	return decoded[0], decoded[1], []byte(parts[0] + "." + parts[1]), decoded[2], nil
}

// key is the public key of an id; nil when the endpoint has none.
func (a *ALB) key(ctx context.Context, kid string, now time.Time) (*ecdsa.PublicKey, error) {
	a.mu.Lock()
	defer a.mu.Unlock() // one fetch at a time, so that strange ids cannot cause many
	if k, ok := a.keys[kid]; ok {
		if age := now.Sub(k.at); (k.key != nil && age < albKeyFor) || age < albMissFor {
			return k.key, nil
		}
	}
	key, err := a.fetch(ctx, kid)
	if err != nil {
		return nil, err
	}
	if len(a.keys) >= albMaxKeys {
		clear(a.keys)
	}
	a.keys[kid] = albKey{key: key, at: now}
	return key, nil
}

func (a *ALB) fetch(ctx context.Context, kid string) (*ecdsa.PublicKey, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(a.cfg.KeysURL, "/")+"/"+kid, nil)
	if err != nil {
		return nil, errors.New("the key endpoint cannot be used")
	}
	resp, err := a.cfg.Client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("fetch the load balancer's key: %w", err)
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusForbidden:
		return nil, nil
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("fetch the load balancer's key: the endpoint answered %d", resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, 16<<10))
	if err != nil {
		return nil, fmt.Errorf("fetch the load balancer's key: %w", err)
	}
	block, _ := pem.Decode(body)
	if block == nil {
		return nil, errors.New("fetch the load balancer's key: the answer is no PEM")
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	key, ok := parsed.(*ecdsa.PublicKey)
	if err != nil || !ok {
		return nil, errors.New("fetch the load balancer's key: the answer is no EC key")
	}
	return key, nil
}
