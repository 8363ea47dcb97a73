package authn

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// DiscoverKeys finds where an issuer's keys are: by OpenID Connect Discovery, then
// by RFC 8414. A document of another issuer is not believed (RFC 8414 §3.3).
func DiscoverKeys(ctx context.Context, client *http.Client, issuer string) (string, error) {
	var failed []error
	for _, address := range metadataAddresses(issuer) {
		keys, err := discover(ctx, client, issuer, address)
		if err == nil {
			return keys, nil
		}
		failed = append(failed, err)
	}
	return "", fmt.Errorf("discover the issuer's keys: %w; set jwksUrl if it has no discovery", errors.Join(failed...))
}

// metadataAddresses are the places for an issuer's metadata: appended to its path,
// as OpenID has it, and inserted before it, as RFC 8414 §3.1 has it.
func metadataAddresses(issuer string) []string {
	appended := strings.TrimRight(issuer, "/") + "/.well-known/openid-configuration"
	u, err := url.Parse(issuer)
	if err != nil {
		return []string{appended}
	}
	path := strings.TrimRight(u.Path, "/")
	u.Path = "/.well-known/oauth-authorization-server" + path
	return []string{appended, u.String()}
}

const discoveryMax = 256 << 10

func discover(ctx context.Context, client *http.Client, issuer, address string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", errors.New("the issuer is no URL")
	}
	req.Header.Set("Accept", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s answered %d", address, resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, discoveryMax))
	if err != nil {
		return "", err
	}
	var doc struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	switch {
	case json.Unmarshal(body, &doc) != nil:
		return "", fmt.Errorf("%s is no JSON", address)
	case doc.Issuer != issuer:
		return "", fmt.Errorf("%s is about the issuer %q, not %q", address, doc.Issuer, issuer)
	case doc.JWKSURI == "":
		return "", fmt.Errorf("%s names no jwks_uri", address)
	case strings.HasPrefix(issuer, "https:") && !strings.HasPrefix(doc.JWKSURI, "https:"):
		return "", fmt.Errorf("%s has a jwks_uri that is not https", address)
	}
	return doc.JWKSURI, nil
}
