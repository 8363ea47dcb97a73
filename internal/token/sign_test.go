package token_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/token"
)

func pemOf(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func TestSignerSignsWhatAVerifierBelieves(t *testing.T) {
	t.Parallel()
	_, edKey, _ := ed25519.GenerateKey(rand.Reader)
	rsaKey, _ := rsa.GenerateKey(rand.Reader, 2048)
	ecKey, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	generated, err := token.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	keys := [][]byte{generated, pemOf(t, edKey), pemOf(t, rsaKey), pemOf(t, ecKey)}
	now := time.Now()
	claims := map[string]any{"iss": "https://as.example.com", "aud": "https://mcp.example.com/mcp", "sub": "alice", "exp": now.Add(time.Minute).Unix()}
	for i := range keys {
		// What the key signed while it was the first is verified when it is the last.
		old, err := token.NewSigner(keys[i])
		if err != nil {
			t.Fatal(err)
		}
		raw, err := old.Sign("at+jwt", claims)
		if err != nil {
			t.Fatal(err)
		}
		now1, err := token.NewSigner(append([][]byte{keys[(i+1)%len(keys)]}, keys[i])...)
		if err != nil {
			t.Fatal(err)
		}
		v, err := token.NewVerifier(now1, token.Expectations{Issuer: "https://as.example.com", Audiences: []string{"https://mcp.example.com/mcp"}})
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := v.Verify(t.Context(), raw.Reveal(), now)
		if err != nil || got.Text("sub") != "alice" {
			t.Errorf("%s: %v, %v", old.Algorithm(), got, err)
		}
		if strings.Contains(string(now1.JWKS()), `"d"`) {
			t.Errorf("a private key is published: %s", now1.JWKS())
		}
	}
}

func TestNewSignerRefuses(t *testing.T) {
	t.Parallel()
	bits := 1024
	weak, _ := rsa.GenerateKey(rand.Reader, bits)
	p224, _ := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	for name, text := range map[string][]byte{
		"nothing": nil, "no PEM": []byte("canary"), "weak": pemOf(t, weak), "curve": pemOf(t, p224),
		"no key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("canary")}),
	} {
		if _, err := token.NewSigner(text); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := token.NewSigner(); err == nil {
		t.Error("no keys at all are accepted")
	}
}
