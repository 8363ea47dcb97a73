package token

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/sallyport-dev/sallyport/internal/netguard"
)

// FixedKeys are keys that were handed in, and never change: those that a client
// registered. It implements Keys.
type FixedKeys struct{ keys []jose.JSONWebKey }

// NewFixedKeys reads a JSON Web Key Set.
func NewFixedKeys(jwks []byte) (*FixedKeys, error) {
	keys, _, err := parseKeys(jwks)
	if err != nil {
		return nil, err
	}
	return &FixedKeys{keys}, nil
}

// Find implements Keys.
func (f *FixedKeys) Find(_ context.Context, kid string) (found []jose.JSONWebKey, _ error) {
	for _, key := range f.keys {
		if kid == "" || key.KeyID == kid {
			found = append(found, key)
		}
	}
	return found, nil
}

// Renew implements Keys: there are no others.
func (f *FixedKeys) Renew(context.Context) error { return nil }

// Changes implements Keys: it is always 0.
func (f *FixedKeys) Changes() uint64 { return 0 }

// fetch gets the keys that the issuer has now, and says what was left out of the set.
func (k *KeySet) fetch(ctx context.Context, locate func(context.Context) (string, error)) (keys []jose.JSONWebKey, leftOut []string, err error) {
	url, err := locate(ctx)
	if err != nil {
		return nil, nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, nil, errors.New("the key set's URL cannot be used")
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	answer, err := netguard.Fetch(k.cfg.Client, req, maxSetBytes)
	if err != nil {
		return nil, nil, err
	}
	if err := k.pinned(answer.TLS); err != nil {
		return nil, nil, err
	}
	return parseKeys(answer.Body)
}

// pinned checks that the pinned public key is in the chain that was verified
// (RFC 7469 §2.4 calls it SPKI). Without TLS there is nothing to pin: it fails.
func (k *KeySet) pinned(state *tls.ConnectionState) error {
	if k.pin == nil {
		return nil
	}
	if state == nil {
		return errors.New("the key set's endpoint is pinned (jwksCertFingerprint), so it must be https")
	}
	for _, chain := range state.VerifiedChains {
		if slices.ContainsFunc(chain, func(c *x509.Certificate) bool {
			sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
			return bytes.Equal(sum[:], k.pin)
		}) {
			return nil
		}
	}
	return errors.New("the key set's endpoint does not have the pinned key (jwksCertFingerprint)")
}

// parseKeys reads a key set and keeps what can verify signatures. What cannot is left
// out (RFC 7517 §5), and leftOut says which and why; too many keys are no key set.
func parseKeys(body []byte) (keys []jose.JSONWebKey, leftOut []string, err error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if json.Unmarshal(body, &set) != nil {
		return nil, nil, errors.New("the key set is no JSON Web Key Set")
	}
	if len(set.Keys) > maxKeys {
		return nil, nil, fmt.Errorf("the key set has %d keys, more than %d", len(set.Keys), maxKeys)
	}
	for _, raw := range set.Keys {
		var members map[string]any
		_ = json.Unmarshal(raw, &members) // what is no object has no kind
		key, err := parseKey(members)
		if err != nil {
			kid, _ := members["kid"].(string)
			leftOut = append(leftOut, fmt.Sprintf("key %q: %v", shorten(kid), err))
			continue
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, nil, errors.New("the key set has no key that verifies signatures; " + strings.Join(leftOut, "; "))
	}
	return keys, leftOut, nil
}

// parseKey makes a key of what a verifier needs. The other members inform only, such
// as certificates: one that is wrong says nothing against the key.
func parseKey(members map[string]any) (key jose.JSONWebKey, err error) {
	text := func(name string) string {
		s, _ := members[name].(string)
		return s
	}
	if use := text("use"); use != "" && use != "sig" {
		return key, fmt.Errorf("its use is %q", shorten(use))
	}
	needed := map[string]string{"kty": text("kty"), "crv": text("crv"), "kid": text("kid"), "alg": text("alg")}
	for _, name := range []string{"n", "e", "x", "y"} {
		// Some write numbers in the base64 of RFC 4648 §4.
		if s := strings.TrimRight(strings.NewReplacer("+", "-", "/", "_").Replace(text(name)), "="); s != "" {
			needed[name] = s
		}
	}
	raw, err := json.Marshal(needed)
	if err != nil {
		return key, err
	}
	switch kty := needed["kty"]; kty {
	case "RSA", "EC", "OKP":
	default: // a symmetric key is nobody's to publish
		return key, fmt.Errorf("its kind %q verifies no signatures", shorten(kty))
	}
	if err := key.UnmarshalJSON(raw); err != nil || !key.Valid() {
		return key, errors.New("it cannot be read")
	}
	return key, strong(key)
}

// strong refuses RSA keys that RFC 7518 §3.3 forbids, and ones so large that
// verifying with them is an attack.
func strong(key jose.JSONWebKey) error {
	public, ok := key.Key.(*rsa.PublicKey)
	if ok && (public.N.BitLen() < 2048 || public.N.BitLen() > 8192) {
		return fmt.Errorf("it has %d bits; from 2048 to 8192 are used", public.N.BitLen())
	}
	return nil
}

// digestOf tells sets of keys apart, whatever their order and layout.
func digestOf(keys []jose.JSONWebKey) [sha256.Size]byte {
	texts := make([][]byte, len(keys))
	for i, key := range keys {
		texts[i], _ = key.MarshalJSON() // it came from JSON
	}
	slices.SortFunc(texts, bytes.Compare)
	return sha256.Sum256(bytes.Join(texts, []byte{'\n'}))
}
