package oauthclient

import (
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/oauth"
)

// FuzzAuthorizationURL proves that whatever a server names, a browser is given https,
// or http on loopback, and the parameters are the gateway's own.
func FuzzAuthorizationURL(f *testing.F) {
	for _, seed := range []string{"https://a.example.com/authorize?x=y&state=z", "http://127.0.0.1/a", "http://localhost.evil.example.com/", "javascript:alert(1)", "--help", "https:///x", "HTTPS://a/%zz", "http://[::1%25en0]/"} {
		f.Add(seed, "read write")
	}
	f.Fuzz(func(t *testing.T, endpoint, scope string) {
		c := &Client{cfg: Config{AllowPrivate: true}}
		p := &place{resource: "https://mcp.example.com/mcp", server: oauth.ServerMetadata{AuthorizationEndpoint: endpoint}}
		address, err := c.authorizationURL(p, registration{ID: "id", Redirect: "http://127.0.0.1:1/callback"}, cleanScopes(strings.Fields(scope)), "state", "challenge")
		if err != nil {
			return
		}
		u, err := url.Parse(address)
		if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || strings.HasPrefix(address, "-") {
			t.Fatalf("%q from %q: %v", address, endpoint, err)
		}
		if u.Scheme != "https" && !(u.Scheme == "http" && loopbackName(u.Hostname())) {
			t.Errorf("%q from %q", address, endpoint)
		}
		if strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '"' }) {
			t.Errorf("%q has a character that is not a URL's", address)
		}
		for name, want := range map[string]string{"state": "state", "code_challenge": "challenge", "client_id": "id", "code_challenge_method": "S256"} {
			if got := u.Query()[name]; len(got) != 1 || got[0] != want {
				t.Errorf("%s is %q", name, got)
			}
		}
	})
}

// FuzzReadAnswer proves that no response gives a code unless its issuer is right.
func FuzzReadAnswer(f *testing.F) {
	f.Add("code=c&state=s&iss=https://a.example.com", true)
	f.Add("code=c&iss=https://a.example.com/", false)
	f.Add("error=x&error_description=%0a", false)
	f.Fuzz(func(t *testing.T, query string, promised bool) {
		q, _ := url.ParseQuery(query) // what can be read of it, as net/http gives it
		const issuer = "https://a.example.com"
		code, err := readAnswer(q, &oauth.ServerMetadata{Issuer: issuer, IssParameterSupported: promised})
		iss, sent := q["iss"]
		wrong := sent && (len(iss) != 1 || iss[0] != issuer) || !sent && promised
		if wrong && err == nil || err == nil && (code == "" || len(q["code"]) != 1 || q.Has("error") && q.Get("error") != "") {
			t.Errorf("%q gives the code %q", query, code)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\n\r\x00\x1b") {
			t.Errorf("%q: an error of several lines: %q", query, err)
		}
		if description := q.Get("error_description"); wrong && err != nil && len(description) > 20 && strings.Contains(err.Error(), description) {
			t.Errorf("a stranger's text is shown: %v", err)
		}
	})
}
