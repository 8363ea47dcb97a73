package gateway_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/gateway"
	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/testkit"
	"github.com/sallyport-dev/sallyport/internal/testkit/hub"
)

// serveAt serves a gateway whose manifests name its own address.
func serveAt(t *testing.T, docs func(origin string) string, change func(*gateway.Options)) string {
	t.Helper()
	var r atomic.Pointer[rig]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { r.Load().ServeHTTP(w, req) }))
	t.Cleanup(server.Close)
	r.Store(newRig(t, docs(server.URL), change))
	return server.URL
}

// person is a browser with somebody before it who approves, and the client that sent
// them.
type person struct {
	*http.Client
	origin, id, verifier string
}

const answers = "http://127.0.0.1:1/answer"

func newPerson(t *testing.T, origin string) *person {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	p := &person{origin: origin, verifier: oauth.NewVerifier(), Client: &http.Client{Transport: transport, Jar: jar, CheckRedirect: func(req *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(req.URL.String(), answers) {
			return http.ErrUseLastResponse
		}
		return nil
	}}}
	body := fmt.Sprintf(`{"redirect_uris":[%q],"token_endpoint_auth_method":"none","application_type":"native","client_name":"test","grant_types":["authorization_code","refresh_token"]}`, answers)
	var client struct {
		ID string `json:"client_id"`
	}
	p.json(t, http.MethodPost, origin+"/oauth/register", "application/json", body, "", &client)
	p.id = client.ID
	return p
}

func (p *person) json(t *testing.T, method, at, kind, body, token string, answer any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, at, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", kind)
	req.Header.Set("Accept", "application/json, text/event-stream")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := p.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 || json.Unmarshal(text, answer) != nil {
		t.Fatalf("%s %s: %s %v %s", method, at, resp.Status, err, text)
	}
}

var (
	formAction = regexp.MustCompile(`(?s)<form[^>]* action="([^"]*)"`)
	formInput  = regexp.MustCompile(`<input[^>]*>|<button[^>]*>`)
	formName   = regexp.MustCompile(`name="([^"]*)"`)
	formValue  = regexp.MustCompile(`value="([^"]*)"`)
)

// signIn asks for a code, approves, visits every provider, and returns the gateway's
// access token.
func (p *person) signIn(t *testing.T, resource string) string {
	t.Helper()
	access, _ := p.signInFor(t, resource)
	return access
}

// signInFor is signIn, with the refresh token too. Where the person has approved before
// nothing is asked.
func (p *person) signInFor(t *testing.T, resource string) (access, refresh string) {
	t.Helper()
	at := p.origin + "/oauth/authorize?" + url.Values{
		"response_type": {"code"}, "client_id": {p.id}, "redirect_uri": {answers}, "state": {"s"}, "resource": {resource},
		"code_challenge": {oauth.Challenge(p.verifier)}, "code_challenge_method": {"S256"},
	}.Encode()
	resp, err := p.Get(at)
	if err != nil {
		t.Fatal(err)
	}
	page, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if back, err := resp.Location(); err == nil {
		return p.redeem(t, back, resource)
	}
	action := formAction.FindSubmatch(page)
	if err != nil || action == nil {
		t.Fatalf("no consent page: %s %v %s", resp.Status, err, page)
	}
	form := url.Values{}
	for _, input := range formInput.FindAll(page, -1) {
		name, value := formName.FindSubmatch(input), formValue.FindSubmatch(input)
		if name == nil || value == nil || bytes.Contains(bytes.ToLower(value[1]), []byte("deny")) {
			continue
		}
		form.Set(html.UnescapeString(string(name[1])), html.UnescapeString(string(value[1])))
	}
	to, err := resp.Request.URL.Parse(html.UnescapeString(string(action[1])))
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, to.String(), strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", p.origin)
	if resp, err = p.Do(req); err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	back, err := resp.Location()
	if err != nil {
		page, _ := io.ReadAll(resp.Body)
		t.Fatalf("no code came back: %s %s", resp.Status, page)
	}
	return p.redeem(t, back, resource)
}

// redeem turns the code that came back into tokens.
func (p *person) redeem(t *testing.T, back *url.URL, resource string) (access, refresh string) {
	t.Helper()
	if back.Query().Get("code") == "" {
		t.Fatalf("no code came back: %v", back)
	}
	var tokens struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	p.json(t, http.MethodPost, p.origin+"/oauth/token", "application/x-www-form-urlencoded", url.Values{
		"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")}, "redirect_uri": {answers},
		"client_id": {p.id}, "code_verifier": {p.verifier}, "resource": {resource},
	}.Encode(), "", &tokens)
	return tokens.Access, tokens.Refresh
}

// hubProvider is a hub in a manifest; its client id stands there, or registration.
func hubProvider(name string, h *hub.Server, client string) string {
	return fmt.Sprintf("{name: %s, type: oauth2, oauth2Config: {authorizationEndpoint: %q, tokenEndpoint: %q, allowPrivateIPs: true, %s, userInfo: {endpointUrl: %q}}}",
		name, h.URL+"/login/oauth/authorize", h.URL+"/login/oauth/access_token", client, h.URL+"/user")
}

// REQ D-3: each provider's secret is found by its name, wherever it stands in the list.
// One is a client that registers by itself.
func TestUpstreamSecrets(t *testing.T) {
	t.Parallel()
	for _, reversed := range []bool{false, true} {
		t.Run(fmt.Sprint("reversed ", reversed), func(t *testing.T) {
			t.Parallel()
			staff, code, registers := hub.Start(t), hub.Start(t), hub.Start(t)
			list := []string{
				hubProvider("staff", staff, "clientId: "+staff.ID), hubProvider("code-host", code, "clientId: "+code.ID),
				hubProvider("tickets", registers, fmt.Sprintf("dcrConfig: {registrationEndpoint: %q}", registers.URL+"/register")),
			}
			if reversed {
				list[0], list[2] = list[2], list[0]
			}
			b := newBackend(t, "docs")
			env := map[string]string{
				"SALLYPORT_UPSTREAM_CLIENT_SECRET_STAFF": staff.Secret, "SALLYPORT_UPSTREAM_CLIENT_SECRET_CODE_HOST": code.Secret,
			}
			origin := serveAt(t, func(origin string) string {
				return object("MCPExternalAuthConfig", "auth", "type: embeddedAuthServer",
					fmt.Sprintf("embeddedAuthServer: {issuer: %q, upstreamProviders: [%s]}", origin, strings.Join(list, ", "))) +
					proxy("docs", b.URL+"/mcp", "authServerRef: {kind: MCPExternalAuthConfig, name: auth}")
			}, func(o *gateway.Options) {
				o.LookupEnv = func(name string) (string, bool) { v, ok := env[name]; return v, ok }
			})
			p := newPerson(t, origin)
			resource := origin + "/servers/docs/mcp"
			access := p.signIn(t, resource)
			for name, h := range map[string]*hub.Server{"staff": staff, "code-host": code, "tickets": registers} {
				if n := h.Asked("/user"); n != 1 {
					t.Errorf("%s was asked %d times who signed in", name, n)
				}
			}
			var answer any
			p.json(t, http.MethodPost, resource, "application/json", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`, access, &answer)
			taken := b.taken()
			if len(taken) != 1 || !strings.HasPrefix(taken[0].Get("Authorization"), "Bearer gho_") || strings.Contains(fmt.Sprint(taken), access) {
				t.Errorf("the backend was shown %v", taken)
			}
		})
	}
}

// What is wrong with a provider is said at its field.
func TestUpstreamProblems(t *testing.T) {
	t.Parallel()
	h := `authorizationEndpoint: "https://a.example.com/a", tokenEndpoint: "https://a.example.com/t"`
	for name, test := range map[string]struct{ provider, want string }{
		"a secret that is not there": {"{type: oauth2, oauth2Config: {" + h + ", clientId: c, clientSecretRef: {name: none, key: k}}}", "spec.embeddedAuthServer.upstreamProviders[0].oauth2Config.clientSecretRef.name none"},
		"a key that is not there":    {"{type: oidc, oidcConfig: {issuerUrl: \"https://a.example.com\", clientId: c, clientSecretRef: {name: s, key: none}}}", "spec.embeddedAuthServer.upstreamProviders[0].oidcConfig.clientSecretRef.key none"},
		"certificates":               {"{type: oidc, oidcConfig: {issuerUrl: \"https://a.example.com\", clientId: c, caBundleRef: {configMapRef: {name: none}}}}", "spec.embeddedAuthServer.upstreamProviders[0].oidcConfig.caBundleRef.configMapRef.name none"},
		"a token that is not there":  {"{type: oauth2, oauth2Config: {" + h + ", dcrConfig: {registrationEndpoint: \"https://a.example.com/r\", initialAccessTokenRef: {name: none, key: k}}}}", "spec.embeddedAuthServer.upstreamProviders[0].oauth2Config.dcrConfig.initialAccessTokenRef.name none"},
		"registration over http":     {"{type: oauth2, oauth2Config: {" + h + ", dcrConfig: {registrationEndpoint: \"http://a.example.com/r\"}}}", "spec.embeddedAuthServer.upstreamProviders[0].oauth2Config.dcrConfig insecureAllowHTTP"},
		"userinfo over http":         {"{type: oauth2, oauth2Config: {" + h + ", clientId: c, userInfo: {endpointUrl: \"http://a.example.com/u\"}}}", "spec.embeddedAuthServer.upstreamProviders[0] insecureAllowHTTP"},
		"another userinfo over http": {"{type: oidc, oidcConfig: {issuerUrl: \"https://a.example.com\", clientId: c, userInfoOverride: {endpointUrl: \"http://a.example.com/u\"}}}", "spec.embeddedAuthServer.upstreamProviders[0] insecureAllowHTTP"},
	} {
		docs := secret("s", "k", "v") + object("MCPExternalAuthConfig", "auth", "type: embeddedAuthServer",
			`embeddedAuthServer: {issuer: "https://gateway.example.com", upstreamProviders: [`+test.provider+"]}")
		problems := check(t, docs)
		if len(problems) != 1 || !hasAll(problems[0].String(), strings.Fields(test.want)) {
			t.Errorf("%s: problems are %v, want one with %s", name, problems, test.want)
		}
	}
}

// REQ D-8: calls go on over the lives of several tokens of the provider's; when it ends
// the grant, the caller is asked to sign in again.
func TestUpstreamTokensAreRenewed(t *testing.T) {
	t.Parallel()
	h, b := hub.Start(t), newBackend(t, "docs")
	h.SetLife(time.Second)
	origin := serveAt(t, func(origin string) string {
		return object("MCPExternalAuthConfig", "auth", "type: embeddedAuthServer",
			fmt.Sprintf("embeddedAuthServer: {issuer: %q, upstreamProviders: [%s]}", origin, hubProvider("code-host", h, "clientId: "+h.ID))) +
			proxy("docs", b.URL+"/mcp", "authServerRef: {kind: MCPExternalAuthConfig, name: auth}")
	}, func(o *gateway.Options) {
		o.LookupEnv = func(string) (string, bool) { return h.Secret, true }
	})
	p, resource := newPerson(t, origin), origin+"/servers/docs/mcp"
	access := p.signIn(t, resource)
	call := func() *http.Response {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, resource, strings.NewReader(
			`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Accept", "application/json, text/event-stream")
		req.Header.Set("Authorization", "Bearer "+access)
		resp, err := p.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		return resp
	}
	shown := map[string]bool{}
	testkit.Eventually(t, "the backend was shown four tokens", func() bool {
		if resp := call(); resp.StatusCode != http.StatusOK {
			t.Fatalf("a call in between: %s %v", resp.Status, resp.Header)
		}
		for _, head := range b.taken() {
			shown[head.Get("Authorization")] = true
		}
		return len(shown) >= 4
	})
	h.EndGrants()
	testkit.Eventually(t, "the caller is asked to sign in again", func() bool {
		resp := call()
		if resp.StatusCode >= http.StatusInternalServerError {
			t.Fatalf("a grant that ended: %s", resp.Status)
		}
		return resp.StatusCode == http.StatusUnauthorized && strings.Contains(resp.Header.Get("WWW-Authenticate"), "resource_metadata")
	})
}
