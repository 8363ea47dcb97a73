package authn

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/token"
)

const maxDiscovery = 256 << 10

// DiscoverKeys finds an issuer's key set: OpenID Connect Discovery §4 first, else
// RFC 8414 §3. What is found must say that it is the issuer's, and leads no https
// issuer to http.
func DiscoverKeys(ctx context.Context, client *http.Client, issuer string) (string, error) {
	u, err := url.Parse(issuer)
	if err != nil {
		return "", errors.New("discover the issuer's keys: the issuer is no URL")
	}
	path := strings.TrimRight(u.Path, "/")
	var failed []error
	for _, p := range []string{path + "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server" + path} {
		at := url.URL{Scheme: u.Scheme, Host: u.Host, Path: p}
		keys, err := discoverAt(ctx, client, at.String(), issuer)
		if err == nil {
			return keys, nil
		}
		failed = append(failed, err)
	}
	return "", fmt.Errorf("discover the issuer's keys: %w; set jwksUrl if it has no discovery", errors.Join(failed...))
}

func discoverAt(ctx context.Context, client *http.Client, at, issuer string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return "", errors.New("the issuer is no URL")
	}
	req.Header.Set("Accept", "application/json")
	answer, err := token.Fetch(client, req, maxDiscovery)
	if err != nil {
		return "", err
	}
	document, err := token.ParseClaims(answer.Body)
	if err != nil {
		return "", fmt.Errorf("%s is no JSON object that can be trusted", at)
	}
	if document.Text("issuer") != issuer {
		return "", fmt.Errorf("%s is about the issuer %q, not %q", at, document.Text("issuer"), issuer)
	}
	keys, err := url.Parse(document.Text("jwks_uri"))
	if err != nil || keys.Host == "" || keys.User != nil || keys.Scheme != "https" && (keys.Scheme != "http" || !strings.HasPrefix(issuer, "http:")) {
		return "", fmt.Errorf("%s has no jwks_uri that can be used", at)
	}
	return keys.String(), nil
}
