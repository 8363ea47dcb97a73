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

	"github.com/go-jose/go-jose/v4"
)

// FixedKeys are keys that were handed in, and never change: those that a client
// registered. It implements Keys.
type FixedKeys struct{ keys []jose.JSONWebKey }

// NewFixedKeys reads a JSON Web Key Set.
func NewFixedKeys(jwks []byte) (*FixedKeys, error) {
	keys, err := parseKeys(jwks)
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

// fetch gets the keys that the issuer has now.
func (k *KeySet) fetch(ctx context.Context, locate func(context.Context) (string, error)) ([]jose.JSONWebKey, error) {
	url, err := locate(ctx)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, errors.New("the key set's URL cannot be used")
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	answer, err := Fetch(k.cfg.Client, req, maxSetBytes)
	if err != nil {
		return nil, err
	}
	if err := k.pinned(answer.TLS); err != nil {
		return nil, err
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

// parseKeys reads a key set and keeps what can verify signatures. A key of an
// unknown kind is left out (RFC 7517 §5); too many keys are no key set.
func parseKeys(body []byte) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, errors.New("the key set is no JSON Web Key Set")
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("the key set has %d keys, more than %d", len(set.Keys), maxKeys)
	}
	var keys []jose.JSONWebKey
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		if key.UnmarshalJSON(raw) != nil || !key.Valid() || key.Use != "" && key.Use != "sig" {
			continue
		}
		key = key.Public() // a symmetric key has no public part
		if key.Valid() && strong(key) {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("the key set has no key that verifies signatures")
	}
	return keys, nil
}

// strong refuses RSA keys that RFC 7518 §3.3 forbids, and ones so large that
// verifying with them is an attack.
func strong(key jose.JSONWebKey) bool {
	public, ok := key.Key.(*rsa.PublicKey)
	return !ok || public.N.BitLen() >= 2048 && public.N.BitLen() <= 8192
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
