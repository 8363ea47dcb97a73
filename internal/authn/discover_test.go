package authn_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/authn"
)

// REQ B-7: where an issuer's keys are found, and which documents are not believed.
func TestDiscoverKeys(t *testing.T) {
	t.Parallel()
	const oidc, oauth = "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"
	good := `{"issuer":"ISSUER","jwks_uri":"http://keys.example.com/jwks"}`
	for _, tt := range []struct {
		name, path string // of the issuer
		documents  map[string]string
		want       string // the keys' URL
		err        string // is part of it
	}{
		{"OpenID", "", map[string]string{oidc: good}, "http://keys.example.com/jwks", ""},
		{"OpenID, with a path", "/realms/a", map[string]string{"/realms/a" + oidc: good}, "http://keys.example.com/jwks", ""},
		{"a slash at the end", "/", map[string]string{oidc: good}, "http://keys.example.com/jwks", ""},
		{"OAuth", "", map[string]string{oauth: good}, "http://keys.example.com/jwks", ""},
		{"OAuth, with a path", "/realms/a", map[string]string{oauth + "/realms/a": good}, "http://keys.example.com/jwks", ""},
		{"OAuth, since OpenID's is no good", "", map[string]string{oidc: `<html>`, oauth: good}, "http://keys.example.com/jwks", ""},
		{"none", "", nil, "", "answered 404"},
		{"another issuer", "", map[string]string{oidc: `{"issuer":"https://evil","jwks_uri":"https://evil/jwks"}`}, "", `about the issuer "https://evil"`},
		{"an empty path as a slash", "", map[string]string{oidc: `{"issuer":"ISSUER/","jwks_uri":"http://keys.example.com/jwks"}`}, "http://keys.example.com/jwks", ""},
		{"another path by a slash", "/realms/a", map[string]string{"/realms/a" + oidc: `{"issuer":"ISSUER/","jwks_uri":"https://evil/jwks"}`}, "", "about the issuer"},
		{"no keys", "", map[string]string{oidc: `{"issuer":"ISSUER"}`}, "", "no jwks_uri"},
		{"keys by path", "", map[string]string{oidc: `{"issuer":"ISSUER","jwks_uri":"/jwks"}`}, "", "invalid URL of the jwks_uri"},
		{"keys by file", "", map[string]string{oidc: `{"issuer":"ISSUER","jwks_uri":"file://host/etc/passwd"}`}, "", "jwks_uri is neither"},
		{"keys with a user", "", map[string]string{oidc: `{"issuer":"ISSUER","jwks_uri":"https://a:b@keys"}`}, "", "invalid URL of the jwks_uri"},
		{"huge", "", map[string]string{oidc: strings.Repeat(" ", 1<<20) + good}, "", "more than"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				doc, ok := tt.documents[r.URL.Path]
				if !ok {
					w.WriteHeader(http.StatusNotFound)
					return
				}
				w.Header().Set("Content-Type", "application/json")
				fmt.Fprint(w, strings.ReplaceAll(doc, "ISSUER", "http://"+r.Host+tt.path))
			})
			got, err := authn.DiscoverKeys(t.Context(), s.Client(), s.URL+tt.path)
			if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

// An https issuer does not lead to keys that anybody on the way could forge.
func TestDiscoverKeysStaysOnHTTPS(t *testing.T) {
	t.Parallel()
	client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		return serveOne(`{"issuer":"https://` + r.URL.Host + `","jwks_uri":"http://` + r.URL.Host + `/jwks"}`), nil
	})}
	if got, err := authn.DiscoverKeys(t.Context(), client, "https://idp.invalid"); err == nil {
		t.Errorf("got %q", got)
	}
}

func serveOne(body string) *http.Response {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
}
