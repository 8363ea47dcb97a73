package e2e_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/testkit"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// buildServer is an issuer of its own, whose keys are on loopback.
type buildServer struct {
	*token.Signer
	url string // of its keys
}

func startBuildServer(t *testing.T) *buildServer {
	t.Helper()
	pem, err := token.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	s, err := token.NewSigner(pem)
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/jwk-set+json")
		_, _ = w.Write(s.JWKS())
	}))
	t.Cleanup(web.Close)
	return &buildServer{s, web.URL + "/keys"}
}

const builds = "https://ci.example.com"

func (b *buildServer) sign(t *testing.T, typ string, claims map[string]any) string {
	t.Helper()
	all := map[string]any{"iss": builds, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(), "jti": oauth.NewVerifier()}
	for name, v := range claims {
		all[name] = v
	}
	jwt, err := b.Sign(typ, all)
	if err != nil {
		t.Fatal(err)
	}
	return jwt.Reveal()
}

// ask sends a request without following redirects, and reads a JSON answer if it is one.
func ask(t *testing.T, method, address, media, body string, headers ...string) (status int, fields map[string]any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if media != "" {
		req.Header.Set("Content-Type", media)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := client.Transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	_ = json.Unmarshal(text, &fields) // a page has none
	return resp.StatusCode, fields
}

func askToken(t *testing.T, issuer string, pairs ...string) (status int, fields map[string]any) {
	t.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return ask(t, "POST", issuer+"/oauth/token", "application/x-www-form-urlencoded", form.Encode())
}

// A workload gets a token for its assertion, a service exchanges it, and the endpoint
// and its policy know whom both speak for.
func TestDelegation(t *testing.T) {
	t.Parallel()
	idp, ci := testkit.StartIdP(t), startBuildServer(t)
	address := testkit.FreeAddress(t)
	issuer := "http://" + address
	docs := issuer + "/servers/docs/mcp"
	g := serve(t, authServer(t, issuer, map[string]*testkit.IdP{"default": idp}, []string{"default"},
		"disableUpstreamTokenInjection: true", "cimd: {enabled: true}",
		"delegateClients: [{clientId: agent, clientSecretRef: {name: agent, key: secret}, audiences: ["+docs+"/], scopes: [read]}]",
		"trustedIssuers:", "- issuerUrl: "+builds, "  jwksUrl: "+ci.url, "  allowPrivateIPs: true",
		"  expectedAudience: gateway", "  allowedDelegateClients: [agent]",
		"  jwtBearerGrant: {maxAssertionAge: 5m, subjectBindings: [{subject: 'repo:a', allowedResources: ["+docs+"]}]}",
	)+secretObject("agent", "secret", "secret-of-agent")+
		remote("docs", testkit.StartBackend(t, testkit.Dual).URL, "authServerRef: {name: people}",
			`authzConfig: {type: inline, inline: {policies: ['permit(principal == Client::"`+builds+`#repo:a", action, resource);']}}`),
		"--listen", address)

	assertion := ci.sign(t, "JWT", map[string]any{"sub": "repo:a", "aud": issuer})
	status, own := askToken(t, issuer, "grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion", assertion)
	if status != http.StatusOK {
		t.Fatalf("an assertion: %d %v", status, own)
	}
	if status, a := askToken(t, issuer, "grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion", assertion); status != http.StatusBadRequest || a["error"] != "invalid_grant" {
		t.Errorf("the assertion again: %d %v", status, a)
	}
	exchange := func(subject string) (int, map[string]any) {
		return askToken(t, issuer, "grant_type", "urn:ietf:params:oauth:grant-type:token-exchange", "client_id", "agent", "client_secret", "secret-of-agent",
			"subject_token", subject, "subject_token_type", "urn:ietf:params:oauth:token-type:access_token", "resource", docs)
	}
	status, delegated := exchange(own["access_token"].(string))
	if status != http.StatusOK || delegated["refresh_token"] != nil {
		t.Fatalf("an exchange: %d %v", status, delegated)
	}
	status, theirs := exchange(ci.sign(t, "at+jwt", map[string]any{"sub": "repo:a", "aud": "gateway"}))
	if status != http.StatusOK {
		t.Fatalf("an exchange of another issuer's: %d %v", status, theirs)
	}
	for name, answer := range map[string]map[string]any{"own": own, "delegated": delegated, "of another": theirs} {
		raw := answer["access_token"].(string)
		if r := initialization(docs).with("Authorization", "Bearer "+raw).do(t); r.Status != http.StatusOK {
			t.Errorf("%s: initialize %d %s", name, r.Status, r.Body)
		}
		if strings.Contains(g.Stderr.String(), raw) {
			t.Errorf("the token %s is in the log", name)
		}
	}
	if status, a := ask(t, "POST", issuer+"/oauth/revoke", "application/x-www-form-urlencoded", url.Values{
		"client_id": {"agent"}, "client_secret": {"secret-of-agent"}, "token": {delegated["access_token"].(string)},
	}.Encode()); status != http.StatusOK {
		t.Errorf("revoke: %d %v", status, a)
	}
	if r := initialization(docs).with("Authorization", "Bearer "+delegated["access_token"].(string)).do(t); r.Status != http.StatusUnauthorized {
		t.Errorf("a revoked token: %d", r.Status)
	}
	if log := g.Stderr.String(); strings.Contains(log, assertion) || strings.Contains(log, "secret-of-agent") {
		t.Error("an assertion or a secret is in the log")
	}
}

// Strangers register, manage and remove a client; documents at private addresses are
// not fetched.
func TestBecomingAClient(t *testing.T) {
	t.Parallel()
	idp := testkit.StartIdP(t)
	address := testkit.FreeAddress(t)
	issuer := "http://" + address
	asked := testkit.Record(t, http.NotFound)
	serve(t, authServer(t, issuer, map[string]*testkit.IdP{"default": idp}, []string{"default"}, "allowConfidentialClientRegistration: true", "cimd: {enabled: true}")+
		remote("docs", testkit.StartBackend(t, testkit.Dual).URL, "authServerRef: {name: people}"), "--listen", address)

	status, made := ask(t, "POST", issuer+"/oauth/register", "application/json", `{"redirect_uris":["http://localhost:3000/cb"],"client_name":"e2e"}`)
	if status != http.StatusCreated || made["application_type"] != "native" || made["client_secret"] == nil {
		t.Fatalf("register: %d %v", status, made)
	}
	at, _ := made["registration_client_uri"].(string)
	access, _ := made["registration_access_token"].(string)
	if status, a := ask(t, "GET", at, "", "", "Authorization", "Bearer "+access); status != http.StatusOK || a["client_id"] != made["client_id"] {
		t.Errorf("read: %d %v", status, a)
	}
	authorize := func(id string) int {
		status, _ := ask(t, "GET", issuer+"/oauth/authorize?"+url.Values{
			"response_type": {"code"}, "client_id": {id}, "redirect_uri": {"http://localhost:4711/cb"}, "resource": {issuer + "/servers/docs/mcp"},
			"code_challenge": {oauth.Challenge(oauth.NewVerifier())}, "code_challenge_method": {"S256"},
		}.Encode(), "", "")
		return status
	}
	if status := authorize(made["client_id"].(string)); status != http.StatusOK {
		t.Errorf("the consent page on another loopback port: %d", status)
	}
	if status, _ := ask(t, "DELETE", at, "", "", "Authorization", "Bearer "+access); status != http.StatusNoContent {
		t.Errorf("remove: %d", status)
	}
	for _, id := range []string{
		made["client_id"].(string), "https://169.254.169.254/latest/meta-data", "https://[fd00:ec2::254]/latest", "https://10.0.0.1/client.json",
		strings.Replace(asked.URL, "http:", "https:", 1) + "/client.json", asked.URL + "/client.json", "javascript:alert(1)",
	} {
		if status := authorize(id); status < 400 || status >= 500 {
			t.Errorf("client %s: %d, want a page with 4xx", id, status)
		}
	}
	if n := len(asked.Requests()); n != 0 {
		t.Errorf("a private address was asked %d times", n)
	}
}

// Behind a proxy that is trusted each caller has a limit of its own; one that a
// stranger names counts for nothing.
func TestRegistrationLimitBehindAProxy(t *testing.T) {
	t.Parallel()
	idp := testkit.StartIdP(t)
	for name, trusted := range map[string]bool{"trusted": true, "not trusted": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := testkit.FreeAddress(t)
			issuer := "http://" + address
			lines := []string{"authServerRef: {name: people}"}
			if trusted {
				lines = append(lines, "trustProxyHeaders: true")
			}
			g := serve(t, authServer(t, issuer, map[string]*testkit.IdP{"default": idp}, []string{"default"}, "registration: {limit: 5}")+
				remote("docs", testkit.StartBackend(t, testkit.Dual).URL, lines...), "--listen", address)
			register := func(from string) int {
				status, _ := ask(t, "POST", issuer+"/oauth/register", "application/json", `{"redirect_uris":["http://localhost/cb"]}`, "X-Forwarded-For", from)
				return status
			}
			for range 5 {
				if status := register("198.51.100.7, 203.0.113.9"); status != http.StatusCreated {
					t.Fatalf("register: %d", status)
				}
			}
			if status := register("198.51.100.8, 203.0.113.9"); status != http.StatusTooManyRequests {
				t.Errorf("the sixth of one address, which says to be another: %d", status)
			}
			// FINDING S9: the operator hears why many share a limit.
			if warned := strings.Contains(g.Stderr.String(), "is not believed"); warned == trusted {
				t.Errorf("warned of a proxy that is not believed: %v", warned)
			}
			if status := register("203.0.113.10"); (status == http.StatusCreated) != trusted {
				t.Errorf("another address: %d", status)
			}
		})
	}
}
