package idp

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/sallyport-dev/sallyport/internal/netguard"
	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// UserInfo is an endpoint that says who an access token belongs to.
type UserInfo struct {
	URL     string
	Method  string // "" for GET
	Headers map[string]string
	Fields  Fields
}

const maxUserInfo = 256 << 10

// ask returns what the endpoint says. It is read strictly, like a token: it names
// people.
func (u *UserInfo) ask(ctx context.Context, reach *oauth.Reach, access secret.Value) (token.Claims, error) {
	if err := reach.Check("userinfo endpoint", u.URL); err != nil {
		return nil, err
	}
	method := u.Method
	if method == "" {
		method = http.MethodGet
	}
	req, err := http.NewRequestWithContext(ctx, method, u.URL, nil)
	if err != nil {
		return nil, errors.New("invalid URL of the userinfo endpoint")
	}
	req.Header.Set("Accept", "application/json")
	for name, value := range u.Headers {
		req.Header.Set(name, value)
	}
	req.Header.Set("Authorization", "Bearer "+access.Reveal())
	answer, err := netguard.Fetch(reach.Client, req, maxUserInfo)
	if err != nil {
		return nil, err
	}
	claims, err := token.ParseClaims(answer.Body)
	if err != nil {
		return nil, fmt.Errorf("the userinfo endpoint's answer is no JSON object that can be trusted")
	}
	return claims, nil
}

// or is the first list that has something.
func or(lists ...[]string) []string {
	for _, l := range lists {
		if len(l) > 0 {
			return l
		}
	}
	return nil
}

// named takes from a userinfo answer what its field mapping names.
func (u *UserInfo) named(p *Person, c token.Claims) {
	if name := first(c, u.Fields.Name); name != "" {
		p.Name = name
	}
	if email := first(c, u.Fields.Email); email != "" {
		p.Email = email
	}
}
