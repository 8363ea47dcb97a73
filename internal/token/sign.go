package token

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"

	"github.com/sallyport-dev/sallyport/internal/secret"
)

// Signer signs tokens with the first of its keys, and publishes all: the others
// still verify what they signed before they were replaced. It is a Keys as well, for
// a verifier in the same process. It never changes.
type Signer struct {
	keys   []jose.JSONWebKey // public
	alg    jose.SignatureAlgorithm
	signer jose.SigningKey
	jwks   []byte
}

// NewSigner makes a signer of private keys in PEM: PKCS #8, PKCS #1 or SEC 1; RSA of
// 2048 bits or more, P-256, P-384, P-521 or Ed25519. Nothing of a key is in an error.
func NewSigner(pems ...[]byte) (*Signer, error) {
	if len(pems) == 0 {
		return nil, errors.New("sign tokens: there is no key")
	}
	s := &Signer{}
	set := jose.JSONWebKeySet{}
	for i, text := range pems {
		private, alg, err := parsePrivate(text)
		if err != nil {
			return nil, fmt.Errorf("read signing key %d: %w", i+1, err)
		}
		public := jose.JSONWebKey{Key: private.Public(), Algorithm: string(alg), Use: "sig"}
		print, err := public.Thumbprint(crypto.SHA256)
		if err != nil {
			return nil, fmt.Errorf("read signing key %d: %w", i+1, err)
		}
		public.KeyID = base64.RawURLEncoding.EncodeToString(print)
		set.Keys = append(set.Keys, public)
		if i == 0 {
			s.alg = alg
			s.signer = jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: private, KeyID: public.KeyID}}
		}
	}
	s.keys = set.Keys
	var err error
	s.jwks, err = json.Marshal(set)
	return s, err
}

// GenerateKey makes a new P-256 key, as PEM.
func GenerateKey() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// Sign makes a compact JWS of claims with a type: "at+jwt" (RFC 9068), "JWT".
func (s *Signer) Sign(typ string, claims any) (secret.Value, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return secret.Value{}, fmt.Errorf("sign token: %w", err)
	}
	signer, err := jose.NewSigner(s.signer, (&jose.SignerOptions{}).WithType(jose.ContentType(typ)))
	if err != nil {
		return secret.Value{}, fmt.Errorf("sign token: %w", err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		return secret.Value{}, fmt.Errorf("sign token: %w", err)
	}
	compact, err := jws.CompactSerialize()
	if err != nil {
		return secret.Value{}, fmt.Errorf("sign token: %w", err)
	}
	return secret.New(compact), nil
}

// JWKS is the public key set as it is published (RFC 7517 §5).
func (s *Signer) JWKS() []byte { return s.jwks }

// Algorithm is what Sign signs with.
func (s *Signer) Algorithm() string { return string(s.alg) }

// Find implements Keys.
func (s *Signer) Find(_ context.Context, kid string) ([]jose.JSONWebKey, error) {
	if kid == "" {
		return s.keys, nil
	}
	for i := range s.keys {
		if s.keys[i].KeyID == kid {
			return s.keys[i : i+1], nil
		}
	}
	return nil, nil
}

// Renew implements Keys: there are no others.
func (s *Signer) Renew(context.Context) error { return nil }

// Changes implements Keys: it is always 0.
func (s *Signer) Changes() uint64 { return 0 }

type privateKey interface{ Public() crypto.PublicKey }

func parsePrivate(text []byte) (privateKey, jose.SignatureAlgorithm, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, "", errors.New("it is no PEM; make one with: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256")
	}
	key, err := parseDER(block.Bytes)
	if err != nil {
		return nil, "", err
	}
	switch k := key.(type) {
	case *rsa.PrivateKey:
		if k.N.BitLen() < 2048 {
			return nil, "", fmt.Errorf("an RSA key of %d bits is too weak; use 2048 or more", k.N.BitLen())
		}
		return k, jose.RS256, nil
	case *ecdsa.PrivateKey:
		switch k.Curve.Params().BitSize {
		case 256:
			return k, jose.ES256, nil
		case 384:
			return k, jose.ES384, nil
		case 521:
			return k, jose.ES512, nil
		}
	case ed25519.PrivateKey:
		return k, jose.EdDSA, nil
	}
	return nil, "", errors.New("it is neither RSA, nor P-256, P-384, P-521, nor Ed25519")
}

func parseDER(der []byte) (any, error) {
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key, nil
	}
	return nil, errors.New("it is no private key that can be read; keys with a passphrase cannot")
}
