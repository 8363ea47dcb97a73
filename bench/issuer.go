package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

// users is how many people call a guarded target in turn.
const users = 64

// issuer signs the tokens that callers of guarded targets show, and serves the key.
type issuer struct {
	url    string
	tokens []string
	server *http.Server
}

func newIssuer() (*issuer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	i := &issuer{url: "http://" + l.Addr().String()}
	point, err := key.PublicKey.Bytes() // 4, and two coordinates
	if err != nil {
		return nil, err
	}
	keys := fmt.Sprintf(`{"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","use":"sig","kid":"bench","x":%q,"y":%q}]}`, b64(point[1:33]), b64(point[33:]))
	i.server = &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(keys))
	})}
	go func() { _ = i.server.Serve(l) }()
	for n := range users {
		token, err := i.sign(key, n)
		if err != nil {
			return nil, err
		}
		i.tokens = append(i.tokens, token)
	}
	return i, nil
}

func (i *issuer) close() { _ = i.server.Close() }

// sign makes an access token as identity providers do, with groups and some claims
// that nobody asked for.
func (i *issuer) sign(key *ecdsa.PrivateKey, user int) (string, error) {
	now := time.Now()
	claims := fmt.Sprintf(`{"iss":%q,"aud":"bench","sub":"00u%020d","exp":%d,"iat":%d,"nbf":%[4]d,"jti":%q,"scp":["mcp"],"email":"user-%[2]d@example.com",`+
		`"name":"User Number %[2]d","groups":["everybody","engineering","team-%[6]d"],"tenant":"3f0d7b52-6c1f-4f0e-9d4e-0d6f4c5b8a11","acr":"urn:example:mfa"}`,
		i.url, user, now.Add(time.Hour).Unix(), now.Unix(), rand.Text(), user%7)
	text := b64([]byte(`{"alg":"ES256","typ":"at+jwt","kid":"bench"}`)) + "." + b64([]byte(claims))
	digest := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		return "", err
	}
	var signature [64]byte
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return text + "." + b64(signature[:]), nil
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// guard is what a manifest says of a guarded endpoint: whose tokens it takes, two
// policies, and that every request is audited.
func (i *issuer) guard() string {
	return strings.ReplaceAll(`  oidcConfig:
    type: inline
    inline: {issuer: ISSUER, jwksUrl: ISSUER/keys, audience: bench, jwksAllowPrivateIP: true, insecureAllowHTTP: true, claimMappings: {groups: groups}}
  authzConfig:
    type: inline
    inline:
      policies:
        - permit(principal in THVGroup::"engineering", action == Action::"call_tool", resource);
        - forbid(principal, action == Action::"call_tool", resource) when { resource.name like "*5" };
  audit: {enabled: true}
`, "ISSUER", i.url)
}
