package oauth_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

func TestRegister(t *testing.T) {
	t.Parallel()
	const canary = "canary-initial"
	for name, c := range map[string]struct {
		status int
		answer string
		want   string // of the registration or the error
	}{
		"secret":         {201, `{"client_id":"a","client_secret":"s","client_secret_expires_at":100,"token_endpoint_auth_method":"client_secret_post"}`, "a s client_secret_post 100"},
		"public":         {201, `{"client_id":"a","token_endpoint_auth_method":"none"}`, "a  none -62135596800"},
		"never expires":  {200, `{"client_id":"a","client_secret":"s","client_secret_expires_at":0}`, "a s  -62135596800"},
		"odd members":    {201, `{"client_id":"a","client_secret":"s","client_secret_expires_at":"0","redirect_uris":"x","client_name":5}`, "a s  -62135596800"}, // FINDING 2.10
		"refused":        {400, `{"error":"invalid_redirect_uri","error_description":"no"}`, "invalid_redirect_uri (no)"},
		"refused by 200": {200, `{"error":"invalid_client_metadata"}`, "invalid_client_metadata"},
		"redirect":       {302, ``, "it answered 302"},
		"no client":      {201, `{}`, "the registration endpoint's answer has no client_id"},
		"no JSON":        {201, `<html>`, "the registration endpoint's answer has no client_id"},
		"too large":      {201, strings.Repeat(" ", 256<<10+1), "its answer has more than 262144 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if got := r.Header.Get("Authorization"); got != "Bearer "+canary {
					t.Errorf("authorization %q", got)
				}
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte(c.answer))
			}))
			defer server.Close()
			r, err := oauth.Register(t.Context(), server.Client(), server.URL+"/register?q=canary-query", secret.New(canary), map[string]any{"client_name": "x"})
			got := fmt.Sprint(err)
			if err == nil {
				got = fmt.Sprint(r.ID, " ", r.Secret.Reveal(), " ", r.Method, " ", r.Expires.Unix())
			}
			if got != c.want {
				t.Error(cmp.Diff(c.want, got))
			}
		})
	}
	// Nothing of the request is in an error.
	_, err := oauth.Register(t.Context(), &http.Client{}, "http://127.0.0.1:1/register?q=canary-query", secret.New(canary), nil)
	if err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("nobody is there: %v", err)
	}
}
