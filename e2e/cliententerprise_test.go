package e2e_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/oauth"
)

// enterprise is the part of what the suite tells that is about a person of an
// enterprise.
type enterprise struct {
	IDPClientID string `json:"idp_client_id"`
	IDToken     string `json:"idp_id_token"`
	IDPTokenURL string `json:"idp_token_endpoint"`
}

// settings are the arguments of a gateway whose callers are people of the enterprise,
// and the token that one of them shows.
//
// The gateway takes nobody's word without a key to check it with, and the suite's
// identity provider names a key set that it does not serve. So a provider with keys
// stands before it: it vouches for the same person to the same client, and passes
// exchanges on as the gateway made them, but for the subject token, for which it puts
// in the suite's if it is its own.
func (e *enterprise) settings(ctx context.Context, c *suiteContext, server, home string) (args []string, bearer string, err error) {
	issuer, err := authorizationServerOf(ctx, server)
	if err != nil {
		return nil, "", err
	}
	var shown string
	front, err := startWorkforce(func(w http.ResponseWriter, r *http.Request) {
		if r.PostForm.Get("subject_token") != shown {
			answerJSON(w, http.StatusBadRequest, map[string]any{"error": "invalid_grant"})
			return
		}
		r.PostForm.Set("subject_token", e.IDToken)
		if err := passOn(w, r, e.IDPTokenURL); err != nil {
			answerJSON(w, http.StatusBadGateway, map[string]any{"error": "temporarily_unavailable"})
		}
	})
	if err != nil {
		return nil, "", err
	}
	context.AfterFunc(ctx, front.Close)
	claims, err := claimsIn(e.IDToken)
	if err != nil {
		return nil, "", err
	}
	delete(claims, "iss")
	if shown, err = front.sign("JWT", claims); err != nil {
		return nil, "", err
	}
	docs := secretObject("target", "secret", c.ClientSecret) +
		object("MCPExternalAuthConfig", "enterprise", "type: xaa", "xaa:", "  idpTokenUrl: "+front.URL+"/token", "  idpClientId: "+e.IDPClientID,
			"  targetAudience: "+issuer, "  targetClientId: "+c.ClientID, "  targetClientSecretRef: {name: target, key: secret}", "  allowPrivateIPs: true") +
		remote("server", server, fmt.Sprintf("oidcConfig: {type: inline, inline: {issuer: %q, audience: %q, jwksAllowPrivateIP: true}}", front.URL, e.IDPClientID),
			"externalAuthConfigRef: {name: enterprise}")
	path := filepath.Join(home, "main.yaml")
	return []string{"serve", "-f", path, "--listen", "127.0.0.1:0", "--admin-listen", ""}, shown, os.WriteFile(path, []byte(docs), 0o600)
}

// authorizationServerOf asks a server's protected-resource metadata who issues tokens
// for it, as an operator would.
func authorizationServerOf(ctx context.Context, server string) (string, error) {
	u, err := url.Parse(server)
	if err != nil {
		return "", err
	}
	var meta oauth.ResourceMetadata
	at := u.Scheme + "://" + u.Host + "/.well-known/oauth-protected-resource" + u.Path
	if err := oauth.GetJSON(ctx, &http.Client{}, at, &meta); err != nil {
		return "", err
	}
	if len(meta.AuthorizationServers) != 1 || meta.Resource != server {
		return "", fmt.Errorf("unexpected metadata at %s: %+v", at, meta)
	}
	return meta.AuthorizationServers[0], nil
}

// claimsIn reads a JWT without looking at its signature.
func claimsIn(jwt string) (claims map[string]any, err error) {
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		return nil, errors.New("not a JWT")
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, err
	}
	return claims, json.Unmarshal(text, &claims)
}

// passOn sends a form on, with the client's authentication, and its answer back.
func passOn(w http.ResponseWriter, r *http.Request, to string) error {
	req, err := http.NewRequestWithContext(r.Context(), http.MethodPost, to, strings.NewReader(r.PostForm.Encode()))
	if err != nil {
		return err
	}
	for _, name := range []string{"Content-Type", "Accept", "Authorization"} {
		req.Header[name] = r.Header[name]
	}
	resp, err := (&http.Client{}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	w.Header().Set("Content-Type", resp.Header.Get("Content-Type"))
	w.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(w, resp.Body)
	return nil
}

// bearing shows a token with every request.
type bearing struct {
	http.Transport
	token string
}

// RoundTrip implements [http.RoundTripper].
func (b *bearing) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return b.Transport.RoundTrip(r)
}
