package authserver_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// BenchmarkToken redeems refresh tokens, which is what the token endpoint does most:
// read, swap, sign, answer, note. A code costs the same, one write more.
func BenchmarkToken(b *testing.B) {
	g := newRig(b, setup{})
	refresh := g.redeem(g.signIn()).Refresh
	handler := g.server.Handler()
	for b.Loop() {
		form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}, "client_id": {"app"}}
		req := httptest.NewRequestWithContext(b.Context(), http.MethodPost, g.issuer+"/oauth/token", strings.NewReader(form.Encode()))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, req)
		_, rest, ok := strings.Cut(w.Body.String(), `"refresh_token":"`)
		if !ok {
			b.Fatal(w.Body)
		}
		refresh, _, _ = strings.Cut(rest, `"`)
	}
}

// BenchmarkCode is the whole way back: from the consent page's button over a chain of
// one provider, code and tokens included, without the network.
func BenchmarkCode(b *testing.B) {
	g := newRig(b, setup{})
	handler := g.server.Handler()
	do := func(method, target string, form url.Values, cookies ...*http.Cookie) *http.Response {
		req := httptest.NewRequestWithContext(b.Context(), method, target, strings.NewReader(form.Encode()))
		if form != nil {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		for _, c := range cookies {
			req.AddCookie(c)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, req)
		return w.Result()
	}
	br := g.browser()
	br.open(g.authorization())
	g.codeOf(br.press("decision", "allow"))
	at, err := url.Parse(g.issuer)
	if err != nil {
		b.Fatal(err)
	}
	cookies := br.client.Jar.Cookies(at)
	for b.Loop() {
		back, err := url.Parse(do(http.MethodGet, g.authorization(), nil, cookies...).Header.Get("Location"))
		if err != nil {
			b.Fatal(err)
		}
		form := url.Values{
			"grant_type": {"authorization_code"}, "code": {g.codeOf(back)}, "redirect_uri": {redirectURI},
			"code_verifier": {g.verifier}, "client_id": {"app"},
		}
		if resp := do(http.MethodPost, g.issuer+"/oauth/token", form); resp.StatusCode != http.StatusOK {
			b.Fatal(resp.Status)
		}
	}
}
