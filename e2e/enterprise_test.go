package e2e_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// decision is an enterprise's identity provider that knows whom it gave which ID token.
type decision struct {
	*workforce

	mu     sync.Mutex
	people map[string]string // by their ID tokens
	again  string            // the assertion to answer with, in place of a new one
	last   string
}

func startDecision(t *testing.T) *decision {
	t.Helper()
	d := &decision{people: map[string]string{}}
	var err error
	if d.workforce, err = startWorkforce(d.decide); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

func (d *decision) decide(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	id, secret, _ := r.BasicAuth()
	person, known := d.people[r.PostForm.Get("subject_token")]
	if !known || id != "gateway" || secret != "secret-at-idp" {
		answerJSON(w, http.StatusBadRequest, map[string]any{"error": "invalid_grant"})
		return
	}
	assertion, err := d.assertion(r.PostForm, person, "agent")
	if err != nil {
		answerJSON(w, http.StatusBadRequest, map[string]any{"error": "invalid_request"})
		return
	}
	if d.again != "" {
		assertion = d.again
	}
	d.last = assertion
	answerJSON(w, http.StatusOK, map[string]any{"access_token": assertion, "issued_token_type": typeIDJAG, "token_type": "N_A"})
}

// signedIn is the ID token of a person who signed in at the identity provider.
func (d *decision) signedIn(t *testing.T, person string) string {
	t.Helper()
	raw, err := d.sign("JWT", map[string]any{"sub": person, "aud": "gateway"})
	if err != nil {
		t.Fatal(err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.people[raw] = person
	return raw
}

// answersAgain has the provider repeat itself, and returns what it will say.
func (d *decision) answersAgain() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.again = d.last
	return d.last
}

// Enterprise-managed authorization between two of us: one gateway takes a person's ID
// token and gets an assertion for it, the authorization server of the other one redeems
// it, once, and its endpoint knows the person.
//
// REQ A-3: what the backend sees is a token for the backend, made of the caller's.
func TestEnterpriseManaged(t *testing.T) {
	t.Parallel()
	people := startDecision(t)
	backend := testkit.Record(t, ok)
	address := testkit.FreeAddress(t)
	issuer := "http://" + address
	resource := issuer + "/servers/docs/mcp"
	far := serve(t, authServer(t, issuer, map[string]*testkit.IdP{"default": testkit.StartIdP(t)}, []string{"default"},
		"disableUpstreamTokenInjection: true",
		"delegateClients: [{clientId: agent, clientSecretRef: {name: agent, key: secret}, audiences: ["+resource+"], scopes: [read]}]",
		"trustedIssuers: [{issuerUrl: "+people.URL+", jwksUrl: "+people.URL+"/keys, allowPrivateIPs: true, insecureAllowHTTP: true, identityAssertionGrant: {}}]",
	)+secretObject("agent", "secret", "secret-of-agent")+
		remote("docs", backend.URL, signsInHere, "audit: {enabled: true}",
			`authzConfig: {type: inline, inline: {policies: ['permit(principal == Client::"`+people.URL+`#alice", action, resource);']}}`),
		"--listen", address, "--log-level", "debug")
	near := serve(t, secretObject("s", "idp", "secret-at-idp", "target", "secret-of-agent")+
		object("MCPExternalAuthConfig", "enterprise", "type: xaa", "xaa:", "  idpTokenUrl: "+people.URL+"/token", "  idpClientId: gateway", "  idpClientSecretRef: {name: s, key: idp}",
			"  targetAudience: "+issuer, "  targetClientId: agent", "  targetClientSecretRef: {name: s, key: target}", "  scopes: [read]", "  allowPrivateIPs: true")+
		remote("docs", resource, `oidcConfig: {type: inline, inline: {issuer: "`+people.URL+`", audience: gateway, jwksAllowPrivateIP: true}}`,
			"externalAuthConfigRef: {name: enterprise}", "audit: {enabled: true}"),
		"--log-level", "debug")

	alice, bob := people.signedIn(t, "alice"), people.signedIn(t, "bob")
	for range 2 { // the second time with the token of the first
		call(at(near, "docs"), "tool", "").with(bearer(alice)...).do(t).wantResult(t, `{"ok":true}`)
	}
	backend.Reset()
	if got := call(at(near, "docs"), "tool", "").with(bearer(bob)...).do(t); strings.Contains(got.Body, `"ok":true`) {
		t.Errorf("bob, whom the policy does not admit: %d %s", got.Status, got.Body)
	}
	stranger, err := people.sign("JWT", map[string]any{"sub": "alice", "aud": "gateway", "sid": "unknown to the provider"})
	if err != nil {
		t.Fatal(err)
	}
	if got := call(at(near, "docs"), "tool", "").with(bearer(stranger)...).do(t); got.Status < 400 {
		t.Errorf("a person whom the provider refuses: %d %s", got.Status, got.Body)
	}

	// The last assertion was bob's. It is good for nobody a second time, whoever brings it.
	used := people.answersAgain()
	form := url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {used}, "client_id": {"agent"}, "client_secret": {"secret-of-agent"},
	}
	status, answer := ask(t, http.MethodPost, issuer+"/oauth/token", "application/x-www-form-urlencoded", form.Encode())
	if status != http.StatusBadRequest || answer["error"] != "invalid_grant" || answer["access_token"] != nil {
		t.Errorf("an assertion again: %d %v", status, answer)
	}
	later := people.signedIn(t, "carol")
	if got := call(at(near, "docs"), "tool", "").with(bearer(later)...).do(t); got.Status < 400 {
		t.Errorf("a call with an assertion that was used: %d %s", got.Status, got.Body)
	}
	if n := len(backend.Requests()); n != 0 {
		t.Errorf("the backend got %d requests of people who may not", n)
	}
	for what, secret := range map[string]string{
		"an ID token": alice, "an assertion": used, "the secret at the provider": "secret-at-idp", "the secret at the authorization server": "secret-of-agent",
	} {
		for where, text := range map[string]string{
			"the near log": near.Stderr.String(), "the far log": far.Stderr.String(), "the near audit": near.Stdout.String(), "the far audit": far.Stdout.String(),
			"the near metrics": near.Metrics(t), "the far metrics": far.Metrics(t), "what the backend got": backend.Wire(),
		} {
			if strings.Contains(text, secret) {
				t.Errorf("%s is in %s", what, where)
			}
		}
	}
}
