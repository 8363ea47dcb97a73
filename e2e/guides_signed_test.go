package e2e_test

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// refuses wants each of these headers refused, whoever sends it.
func refuses(t *testing.T, g *testkit.Gateway, headers map[string][]string) {
	t.Helper()
	for name, pair := range headers {
		if got := call(g.MCP(), "echo", `"text":"x"`).with(pair...).do(t); got.Status != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
	}
}

// withCookie is a client that the proxy knows as alice.
func withCookie(t *testing.T) *http.Client {
	t.Helper()
	return &http.Client{Transport: withHeaders{httpClient(t).Transport, http.Header{"Cookie": {"session=alice"}}}}
}

// changed is a token whose claims somebody has changed.
func changed(signed string) string {
	parts := strings.Split(signed, ".")
	parts[1] = base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"mallory"}`))
	return strings.Join(parts, ".")
}

// REQ C-9: Cloudflare Access by the guide's manifest: assertions with the claims that it documents, of a person and of a
// service token.
func TestGuideToCloudflareAccess(t *testing.T) {
	t.Parallel()
	const header, tag = "Cf-Access-Jwt-Assertion", "32eafc7626e974616deaf0dc3ce63d7bcbed58a2731e84d06bc3cdf1b53c4228"
	const person, program = "7335d417-61da-459d-899c-0a01c76a2f94", "0123456789abcdef.access"
	i := testkit.NewIssuer(t)
	sign := func(changes map[string]any) string {
		claims := map[string]any{
			"iss": "https://acme.cloudflareaccess.com", "aud": []string{tag}, "sub": person, "email": "alice@example.com", "type": "app",
			"nbf": time.Now().Unix(), "identity_nonce": "6ei69kawdKzMIAPF", "country": "DE",
		}
		maps.Copy(claims, changes)
		return i.SignRSA(i.Claims("", claims))
	}
	for name, c := range map[string]struct {
		changes map[string]any
		caller  string
	}{
		"person":        {nil, person},
		"service token": {map[string]any{"sub": "", "email": nil, "common_name": program, "identity_nonce": nil, "country": nil}, program},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			page := openGuide(t, "behind-cloudflare-access")
			page.edits = []string{"team: acme", "team: acme\n      allowPrivateIPs: true\n      keysUrl: " + i.URL + "/cdn-cgi/access/certs"}
			g := page.serve(0)
			front := playSigner(t, g.URL, header, func() string { return sign(c.changes) })
			refuses(t, g, map[string][]string{
				"another application's": {header, sign(map[string]any{"aud": []string{strings.Repeat("0", 64)}})},
				"another team's":        {header, sign(map[string]any{"iss": "https://other.cloudflareaccess.com"})},
				"expired":               {header, sign(map[string]any{"exp": time.Now().Add(-time.Hour).Unix()})},
				"changed":               {header, changed(sign(nil))},
				"with another key":      {header, testkit.NewIssuer(t).Sign(nil, i.Claims(tag, map[string]any{"iss": "https://acme.cloudflareaccess.com"}))},
				"as a cookie":           {"Cookie", "CF_Authorization=" + sign(nil)},
				"as a token":            {"Authorization", "Bearer " + sign(nil)},
				"the plain header":      {"Cf-Access-Authenticated-User-Email", "alice@example.com"},
			})
			v := guideVisit{
				url: front + "/servers/docs/mcp", in: withCookie(t), out: httpClient(t), turned: []int{http.StatusFound},
				forged: []string{header, changed(sign(nil))}, caller: "assertion " + c.caller,
			}
			v.try(t, g)
		})
	}
}

// REQ C-9: an Application Load Balancer by the guide's manifest: assertions as AWS documents them.
func TestGuideToALB(t *testing.T) {
	t.Parallel()
	const header, person = "X-Amzn-Oidc-Data", "c2a5b4d4-4051-70a1-2d8b-3f0e5c1a9b77"
	page, i := openGuide(t, "behind-aws-alb"), testkit.NewIssuer(t)
	sign := func(by *testkit.Issuer, changes map[string]any) string {
		head := map[string]any{
			"typ": "JWT", "alg": "ES256", "kid": i.KID, "exp": time.Now().Add(2 * time.Minute).Unix(), "client": "6d3kq1v0example",
			"signer": "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/gateway/50dc6c495c0c9188",
			"iss":    "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_AbCdEfGhI",
		}
		maps.Copy(head, changes)
		text, err := json.Marshal(head)
		if err != nil {
			t.Fatal(err)
		}
		return by.SignText(string(text), `{"sub":"`+person+`","email_verified":"true","email":"alice@example.com","username":"alice"}`, base64.URLEncoding)
	}
	page.edits = []string{"region: eu-central-1", "region: eu-central-1\n      allowPrivateIPs: true\n      keysUrl: " + i.URL + "/keys"}
	g := page.serve(0)
	front := playSigner(t, g.URL, header, func() string { return sign(i, nil) })
	if padded := sign(i, nil); !strings.Contains(padded, "=") {
		t.Errorf("the assertion has no padding: %s", padded)
	}
	refuses(t, g, map[string][]string{
		"another load balancer's": {header, sign(i, map[string]any{"signer": "arn:aws:elasticloadbalancing:eu-central-1:210987654321:loadbalancer/app/gateway/50dc6c495c0c9188"})},
		"another client's":        {header, sign(i, map[string]any{"client": "7e4lr2w1example"})},
		"another provider's":      {header, sign(i, map[string]any{"iss": "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Zzzzzzzzz"})},
		"expired":                 {header, sign(i, map[string]any{"exp": time.Now().Add(-time.Hour).Unix()})},
		"with another key":        {header, sign(testkit.NewIssuer(t), nil)},
		"with an unknown key":     {header, sign(i, map[string]any{"kid": "../../etc/passwd"})},
		"changed":                 {header, changed(sign(i, nil))},
		"the plain header":        {"X-Amzn-Oidc-Identity", person},
	})
	v := guideVisit{
		url: front + "/servers/docs/mcp", in: withCookie(t), out: httpClient(t), turned: []int{http.StatusFound},
		forged: []string{header, changed(sign(i, nil)), "X-Amzn-Oidc-Identity", "mallory"}, caller: "assertion " + person,
	}
	v.try(t, g)
}

// REQ C-9: Azure API Management by the guide's policies: a person's token of Entra ID and a managed identity's, passed on,
// or told in a header that a secret proves.
func TestGuideToAzureAPIManagement(t *testing.T) {
	t.Parallel()
	const tenant, docs, management = "11111111-2222-3333-4444-555555555555", "66666666-7777-8888-9999-000000000000", "77777777-8888-9999-0000-111111111111"
	const person, identity = "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ", "a4b7c0de-5f6a-4b1c-9d2e-8f7061524334"
	i := testkit.NewIssuer(t)
	sign := func(audience string, changes map[string]any) string {
		claims := map[string]any{
			"iss": entraIssuer(tenant), "sub": person, "oid": "690222be-ff1a-4d56-abd1-7e4f7d38e474", "tid": tenant, "ver": "2.0",
			"azp": "e74e3a6f-1c1b-4a52-8b4e-0e4c9f0f2a11", "azpacr": "0", "scp": "access_as_user", "name": "Alice", "preferred_username": "alice@example.com",
			"nbf": time.Now().Unix(), "uti": "RqR9o9JzJk-sAAAAAAAAAA", "rh": "0.AAAA",
		}
		maps.Copy(claims, changes)
		return i.SignRSA(i.Claims(audience, claims))
	}
	ofIdentity := map[string]any{
		"sub": identity, "oid": identity, "idtyp": "app", "azpacr": "2", "roles": []string{"Docs.Read"}, "scp": nil, "name": nil, "preferred_username": nil,
	}
	for name, c := range map[string]struct {
		manifest         int
		policy, audience string
		changes          map[string]any
		caller           string
	}{
		"a person's token":           {0, "apim-token", docs, nil, "jwt " + person},
		"a managed identity's token": {0, "apim-token", docs, ofIdentity, "jwt " + identity},
		"a person in a header":       {1, "apim", management, nil, "proxy " + person},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			page := openGuide(t, "behind-azure-api-management")
			page.edits = []string{"issuer: " + entraIssuer(tenant), "issuer: " + entraIssuer(tenant) + "\n      jwksAllowPrivateIP: true\n      jwksUrl: " + i.URL + "/discovery/v2.0/jwks"}
			g := page.serve(c.manifest)
			front := playAPIM(t, g.URL, page.here(0, "text", c.policy), i)
			refuses(t, g, map[string][]string{
				"of another tenant": {"Authorization", "Bearer " + sign(docs, map[string]any{"iss": entraIssuer("99999999-2222-3333-4444-555555555555")})},
				"for another app":   {"Authorization", "Bearer " + sign("12345678-7777-8888-9999-000000000000", nil)},
				"expired":           {"Authorization", "Bearer " + sign(docs, map[string]any{"exp": time.Now().Add(-time.Hour).Unix()})},
				"without a secret":  {"X-Authenticated-User", "mallory"},
			})
			v := guideVisit{
				url: front + "/servers/docs/mcp", out: httpClient(t), turned: []int{http.StatusUnauthorized},
				in:     &http.Client{Transport: withHeaders{httpClient(t).Transport, http.Header{"Authorization": {"Bearer " + sign(c.audience, c.changes)}}}},
				forged: []string{"X-Authenticated-User", "mallory", "X-Proxy-Key", "guess"}, caller: c.caller,
			}
			v.try(t, g)
		})
	}
}
