package authn

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/sallyport-dev/sallyport/internal/oauth"
)

// DiscoverKeys finds an issuer's key set by its metadata. What is found leads no https
// issuer to http.
func DiscoverKeys(ctx context.Context, client *http.Client, issuer string) (string, error) {
	reach := &oauth.Reach{Client: client, AllowHTTP: strings.HasPrefix(issuer, "http:")}
	m, err := oauth.DiscoverServer(ctx, reach, issuer, true)
	if err == nil {
		err = reach.Check("jwks_uri", m.JWKSURI)
	}
	if err != nil {
		return "", fmt.Errorf("%w; set jwksUrl if it has no discovery", err)
	}
	return m.JWKSURI, nil
}
