package authn_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/authn"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// rewrite sends every request to a server, whatever host it names.
type rewrite struct {
	to   *httptest.Server
	asks func(url string)
}

func (r rewrite) RoundTrip(req *http.Request) (*http.Response, error) {
	r.asks(req.URL.String())
	req = req.Clone(req.Context())
	req.URL.Scheme, req.URL.Host = "http", strings.TrimPrefix(r.to.URL, "http://")
	return r.to.Client().Transport.RoundTrip(req)
}

// signed makes the method of a proxy that signs with ES256, by the key set at its documented address.
func signed(t *testing.T, s authn.Signer, aud string, keys ...key) *authn.Assertion {
	t.Helper()
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		var set jose.JSONWebKeySet
		for _, k := range keys {
			set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.private.Public(), KeyID: k.kid, Use: "sig", Algorithm: "ES256"})
		}
		_ = json.NewEncoder(w).Encode(set)
	})
	client := &http.Client{Transport: rewrite{server, func(url string) {
		if url != s.KeysURL {
			t.Errorf("keys asked for at %s", url)
		}
	}}}
	v, err := token.NewVerifier(keySetAt(t, s.KeysURL, client), token.Expectations{Issuer: s.Issuer, Audiences: []string{aud}, Algorithms: []string{"ES256"}})
	if err != nil {
		t.Fatal(err)
	}
	return authn.NewAssertion(authn.AssertionConfig{Header: s.Header, Checker: authn.NewJWT(v, s.Mapping)})
}

// REQ C-8: Cloudflare Access, as its documentation has the application token.
func TestCloudflareAccess(t *testing.T) {
	t.Parallel()
	const aud = "32eafc7626e974616deaf0dc3ce63d7bcbed58a2731e84d06bc3cdf1b53c4228"
	k := newKey(t, "9338abe1")
	a := signed(t, authn.CloudflareAccess("yourteam"), aud, k)
	now := time.Now().Unix()
	person := func(changes map[string]any) string {
		c := good(map[string]any{
			"aud": []string{aud}, "email": "user@example.com", "exp": now + 60, "iat": now, "nbf": now,
			"iss": "https://yourteam.cloudflareaccess.com", "type": "app", "identity_nonce": "6ei69kawdKzMIAPF",
			"sub": "7335d417-61da-459d-899c-0a01c76a2f94", "country": "US",
		})
		for name, v := range changes {
			c[name] = v
		}
		return "Cf-Access-Jwt-Assertion: " + k.sign(t, c)
	}
	bad := want{status: 401, code: "invalid_token"}
	for _, tt := range []struct {
		name  string
		lines []string
		want  want
	}{
		{"none", nil, nothing},
		{"a person", []string{person(nil)}, want{caller: "assertion 7335d417-61da-459d-899c-0a01c76a2f94"}},
		{"a service token", []string{person(map[string]any{"sub": "", "common_name": "e367826f.access"})}, want{caller: "assertion e367826f.access"}},
		{"nobody", []string{person(map[string]any{"sub": ""})}, bad},
		{"another application", []string{person(map[string]any{"aud": []string{"another"}})}, bad},
		{"another team", []string{person(map[string]any{"iss": "https://evil.cloudflareaccess.com"})}, bad},
		{"expired", []string{person(map[string]any{"exp": now - 60})}, bad},
		{"another key", []string{"Cf-Access-Jwt-Assertion: " + newKey(t, k.kid).sign(t, good(nil))}, bad},
		{"garbage", []string{"Cf-Access-Jwt-Assertion: alice@example.com"}, bad},
		{"empty", []string{"Cf-Access-Jwt-Assertion: "}, bad},
		{"doubled", []string{person(nil), person(nil)}, want{status: 400, code: "invalid_request", reason: "more than once"}},
		{"e-mail alone", []string{"Cf-Access-Authenticated-User-Email: user@example.com"}, nothing},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for range 2 { // fresh and cached
				c, d := a.Authenticate(t.Context(), request("203.0.113.9", tt.lines...))
				tt.want.is(t, c, d)
			}
		})
	}
}

// REQ C-8: Google's Identity-Aware Proxy, as its documentation has the signed header.
func TestGoogleIAP(t *testing.T) {
	t.Parallel()
	const aud = "/projects/1234567890/global/backendServices/9876543210"
	k := newKey(t, "0oeLcQ")
	a := signed(t, authn.GoogleIAP(), aud, k)
	now := time.Now().Unix()
	claims := func(changes map[string]any) string {
		c := map[string]any{
			"iss": "https://cloud.google.com/iap", "aud": aud, "sub": "accounts.google.com:1234", "email": "user@example.com",
			"hd": "example.com", "iat": now, "exp": now + 600, "azp": aud, "google": map[string]any{"access_levels": []string{"x"}},
		}
		for name, v := range changes {
			c[name] = v
		}
		return k.sign(t, c)
	}
	bad := want{status: 401, code: "invalid_token"}
	for _, tt := range []struct {
		name, token string
		want        want
	}{
		{"good", claims(nil), want{caller: "assertion accounts.google.com:1234"}},
		{"another backend service of the project", claims(map[string]any{"aud": aud + "1"}), bad},
		{"another issuer", claims(map[string]any{"iss": "https://accounts.google.com"}), bad},
		{"expired", claims(map[string]any{"exp": now - 60}), bad},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, d := a.Authenticate(t.Context(), request("203.0.113.9", "X-Goog-Iap-Jwt-Assertion: "+tt.token))
			tt.want.is(t, c, d)
			if c != nil {
				if diff := cmp.Diff([]string{"user@example.com", "https://cloud.google.com/iap"}, []string{c.Email, c.Issuer}); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			}
		})
	}
}

// REQ C-8: Pomerium, as its documentation has the signed header: issuer and
// audience are the route's host name.
func TestPomerium(t *testing.T) {
	t.Parallel()
	const domain = "verify.example.com"
	k := newKey(t, "ccc5bc9d")
	a := signed(t, authn.Pomerium(domain), domain, k)
	now := time.Now().Unix()
	claims := func(changes map[string]any) string {
		c := map[string]any{
			"iss": domain, "aud": domain, "sub": "1234", "user": "1234", "email": "user@example.com", "name": "A User",
			"groups": []string{"admins"}, "iat": now, "exp": now + 300, "jti": "1",
		}
		for name, v := range changes {
			c[name] = v
		}
		return k.sign(t, c)
	}
	bad := want{status: 401, code: "invalid_token"}
	for _, tt := range []struct {
		name, token string
		want        want
	}{
		{"good", claims(nil), want{caller: "assertion 1234"}},
		{"another route", claims(map[string]any{"aud": "other.example.com"}), bad},
		{"another issuer", claims(map[string]any{"iss": "other.example.com"}), bad},
		{"expired", claims(map[string]any{"exp": now - 60}), bad},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, d := a.Authenticate(t.Context(), request("203.0.113.9", "X-Pomerium-Jwt-Assertion: "+tt.token))
			tt.want.is(t, c, d)
			if c != nil {
				if diff := cmp.Diff([]string{"user@example.com", "A User", "admins"}, append([]string{c.Email, c.Name}, c.Groups...)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			}
		})
	}
}

// A method's answer for one caller is not changed by another method's use of the same checker.
func TestAssertionDoesNotRenameOthers(t *testing.T) {
	t.Parallel()
	k := newKey(t, "k1")
	checker := jwt(t, authn.Mapping{}, k)
	tok := k.sign(t, good(nil))
	c, d := authn.NewAssertion(authn.AssertionConfig{Header: "X-A", Checker: checker}).Authenticate(t.Context(), request("", "X-A: "+tok))
	want{caller: "assertion alice"}.is(t, c, d)
	c, d = authn.NewBearer(authn.BearerConfig{JWT: checker}).Authenticate(t.Context(), bearer(tok))
	want{caller: "jwt alice"}.is(t, c, d)
}

// What is known of the signers beside what the tests above use.
func TestSigners(t *testing.T) {
	t.Parallel()
	for region, url := range map[string]string{
		"eu-central-1":  "https://public-keys.auth.elb.eu-central-1.amazonaws.com",
		"us-gov-west-1": "https://s3-us-gov-west-1.amazonaws.com/aws-elb-public-keys-prod-us-gov-west-1",
	} {
		if got := authn.ALBKeysURL(region); got != url {
			t.Errorf("%s: %s", region, got)
		}
	}
	cf := authn.CloudflareAccess("t")
	if diff := cmp.Diff([]string{"https://t.cloudflareaccess.com/cdn-cgi/access/certs", "RS256"}, []string{cf.KeysURL, strings.Join(cf.Algorithms, ",")}); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
