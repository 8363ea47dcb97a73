package demo_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/demo"
	"github.com/sallyport-dev/sallyport/internal/oauth"
)

// A demo of a sign-in must not be a way round one: codes go to the one client's
// address alone, are good once, and only with the verifier of their request.
func TestProviderKeepsTheRules(t *testing.T) {
	t.Parallel()
	const back = "http://127.0.0.1:8080/oauth/callback"
	srv := httptest.NewUnstartedServer(nil)
	provider, err := demo.NewProvider(demo.ProviderConfig{Issuer: "http://" + srv.Listener.Addr().String(), ClientID: "sallyport", RedirectURI: back})
	if err != nil {
		t.Fatal(err)
	}
	srv.Config.Handler = provider
	srv.Start()
	t.Cleanup(srv.Close)
	client := srv.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	post := func(path string, form url.Values) (*http.Response, string) {
		t.Helper()
		resp, err := client.PostForm(srv.URL+path, form)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, string(body)
	}
	verifier := oauth.NewVerifier()
	ask := func(change ...string) url.Values {
		form := url.Values{
			"client_id": {"sallyport"}, "redirect_uri": {back}, "response_type": {"code"}, "state": {"s"}, "nonce": {"n"},
			"code_challenge": {oauth.Challenge(verifier)}, "code_challenge_method": {"S256"}, "person": {"alice"},
		}
		for i := 0; i < len(change); i += 2 {
			form.Set(change[i], change[i+1])
		}
		return form
	}
	for _, wrong := range [][]string{
		{"client_id", "other"},
		{"redirect_uri", "https://evil.example.com"},
		{"response_type", "token"},
		{"code_challenge", ""},
		{"code_challenge_method", "plain"},
		{"person", "mallory"},
	} {
		if resp, _ := post("/authorize", ask(wrong...)); resp.StatusCode != http.StatusBadRequest || resp.Header.Get("Location") != "" {
			t.Errorf("with %v: status %d, sent to %q", wrong, resp.StatusCode, resp.Header.Get("Location"))
		}
	}
	code := func() string {
		t.Helper()
		resp, _ := post("/authorize", ask())
		at, err := resp.Location()
		if err != nil || !strings.HasPrefix(at.String(), back+"?") || at.Query().Get("state") != "s" || at.Query().Get("iss") != srv.URL {
			t.Fatalf("sent to %v: %v", at, err)
		}
		return at.Query().Get("code")
	}
	redeem := func(code, verifier string) (int, string) {
		t.Helper()
		resp, body := post("/token", url.Values{
			"grant_type": {"authorization_code"}, "client_id": {"sallyport"}, "redirect_uri": {back}, "code": {code}, "code_verifier": {verifier},
		})
		return resp.StatusCode, body
	}
	stolen := code()
	if status, _ := redeem(stolen, oauth.NewVerifier()); status != http.StatusBadRequest {
		t.Errorf("another verifier: status %d", status)
	}
	if status, _ := redeem(stolen, verifier); status != http.StatusBadRequest {
		t.Errorf("a code that was tried before: status %d", status)
	}
	status, body := redeem(code(), verifier)
	var tokens struct {
		Refresh string `json:"refresh_token"`
		ID      string `json:"id_token"`
	}
	if err := json.Unmarshal([]byte(body), &tokens); err != nil || status != http.StatusOK || tokens.ID == "" {
		t.Fatalf("status %d: %v", status, err)
	}
	renewal := url.Values{"grant_type": {"refresh_token"}, "client_id": {"sallyport"}, "refresh_token": {tokens.Refresh}}
	for i, want := range []int{http.StatusOK, http.StatusBadRequest} {
		if resp, _ := post("/token", renewal); resp.StatusCode != want {
			t.Errorf("use %d of a refresh token: status %d, want %d", i+1, resp.StatusCode, want)
		}
	}
}
