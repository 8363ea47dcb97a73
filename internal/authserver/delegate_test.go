package authserver_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/authserver/clients"
	"github.com/sallyport-dev/sallyport/internal/authserver/delegation"
	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/token"
)

const (
	grantExchange  = "urn:ietf:params:oauth:grant-type:token-exchange"
	grantAssertion = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	foreign        = "https://idp.example.com"
)

// reply is the answer of an endpoint for programs.
type reply struct {
	status int
	header http.Header
	fields map[string]any
	text   string
}

func (r *reply) get(name string) string { s, _ := r.fields[name].(string); return s }

func (g *rig) post(path string, pairs ...string) *reply {
	g.t.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			form.Add(pairs[i], pairs[i+1])
		}
	}
	req, err := http.NewRequestWithContext(g.t.Context(), http.MethodPost, g.issuer+path, strings.NewReader(form.Encode()))
	if err != nil {
		g.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := (&http.Client{}).Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	r := &reply{status: resp.StatusCode, header: resp.Header, text: string(body)}
	if len(body) > 0 {
		if err := json.Unmarshal(body, &r.fields); err != nil {
			g.t.Fatalf("%s answered %q", path, body)
		}
	}
	if resp.Header.Get("Cache-Control") != "no-store" {
		g.t.Errorf("%s may be cached", path)
	}
	return r
}

// delegating is a rig with services that may exchange tokens, a client of an
// enterprise, and a trusted issuer.
func delegating(t *testing.T) (*rig, *token.Signer) {
	t.Helper()
	pem, err := token.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	key, err := token.NewSigner(pem)
	if err != nil {
		t.Fatal(err)
	}
	agent := func(id string, grants ...string) clients.Static {
		return clients.Static{ID: id, Secrets: []secret.Value{secret.New("secret-of-" + id)}, Grants: grants, Scopes: []string{"docs:read", "offline_access"}}
	}
	issuer := delegation.Issuer{
		URL: foreign, Keys: key, People: &delegation.People{MaxAge: 10 * time.Minute},
		Exchange:  &delegation.Exchange{Audience: "gateway", Clients: []string{"*"}},
		Workloads: &delegation.Workloads{MaxAge: time.Hour, Resources: map[string][]string{}},
	}
	server := agent("server")
	server.Audiences = []string{""}
	g := newRig(t, setup{
		clients: []clients.Static{agent("agent", grantExchange), agent("agent2", grantExchange), agent("enterprise", grantAssertion), server},
		trusted: []delegation.Issuer{issuer},
	})
	server.Audiences[0] = g.origin() + resource
	issuer.Workloads.Resources["repo:a"] = []string{g.origin() + resource}
	return g, key
}

func sign(t *testing.T, s *token.Signer, typ string, claims map[string]any) string {
	t.Helper()
	all := map[string]any{"iss": foreign, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(), "jti": oauth.NewVerifier()}
	for name, v := range claims {
		all[name] = v
	}
	jwt, err := s.Sign(typ, all)
	if err != nil {
		t.Fatal(err)
	}
	return jwt.Reveal()
}

func (g *rig) exchange(client, subject string, more ...string) *reply {
	g.t.Helper()
	return g.post("/oauth/token", append([]string{
		"grant_type", grantExchange, "client_id", client, "client_secret", "secret-of-" + client,
		"subject_token", subject, "subject_token_type", delegation.TypeAccess,
	}, more...)...)
}

func TestExchange(t *testing.T) {
	t.Parallel()
	g, key := delegating(t)
	mine := g.redeem(g.signIn()).Access
	r := g.exchange("agent", mine, "resource", g.origin()+resource)
	if r.status != http.StatusOK || r.get("issued_token_type") != delegation.TypeAccess || r.get("token_type") != "Bearer" || r.get("refresh_token") != "" {
		t.Fatalf("%d %s", r.status, r.text)
	}
	claims, err := g.claims(r.get("access_token"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"sub": "alice", "client_id": "agent", "scope": "docs:read", "name": "ALICE", "groups": []any{"staff"}, "act": map[string]any{"sub": "agent"},
	} {
		if diff := cmp.Diff(want, claims[name]); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if exp, _ := claims.Time("exp"); time.Until(exp) > 15*time.Minute {
		t.Errorf("it is good until %v", exp)
	}
	second := g.exchange("agent2", r.get("access_token"), "audience", g.origin()+resource, "requested_token_type", delegation.TypeJWT)
	if claims, err = g.claims(second.get("access_token")); err != nil {
		t.Fatalf("%v: %s", err, second.text)
	}
	if diff := cmp.Diff(map[string]any{"sub": "agent2", "act": map[string]any{"sub": "agent"}}, claims["act"]); diff != "" || second.get("issued_token_type") != delegation.TypeJWT {
		t.Error(diff, second.text)
	}
	theirs := g.exchange("agent", sign(t, key, "at+jwt", map[string]any{"sub": "alice", "aud": "gateway"}), "resource", g.origin()+resource)
	if claims, err = g.claims(theirs.get("access_token")); err != nil || claims.Text("sub") != foreign+"#alice" {
		t.Errorf("of another issuer: %v, %s", claims, theirs.text)
	}

	for name, c := range map[string]struct {
		client string
		more   []string
		code   string
	}{
		"another resource":       {"agent", []string{"resource", "https://elsewhere.example/mcp"}, "invalid_target"},
		"another audience":       {"agent", []string{"audience", "https://elsewhere.example/mcp"}, "invalid_target"},
		"two audiences":          {"agent", []string{"audience", g.origin() + resource, "audience", g.origin() + resource}, "invalid_target"},
		"more scopes":            {"agent", []string{"resource", g.origin() + resource, "scope", "docs:read email"}, "invalid_scope"},
		"a refresh token":        {"agent", []string{"resource", g.origin() + resource, "scope", "offline_access"}, "invalid_scope"},
		"a refresh token's type": {"agent", []string{"resource", g.origin() + resource, "requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token"}, "invalid_request"},
		"an actor":               {"agent", []string{"resource", g.origin() + resource, "actor_token", "x"}, "invalid_request"},
		"a client that may not":  {"enterprise", []string{"resource", g.origin() + resource}, "unauthorized_client"},
		"a public client":        {"app", []string{"resource", g.origin() + resource, "client_secret", ""}, "invalid_request"}, // two secrets, one of them empty
	} {
		if r := g.exchange(c.client, mine, c.more...); r.get("error") != c.code && c.client != "app" || r.get("access_token") != "" {
			t.Errorf("%s: %d %s, want %s", name, r.status, r.text, c.code)
		}
	}
	if strings.Contains(g.log.String(), mine[:30]) || strings.Contains(g.log.String(), "secret-of-") {
		t.Error("a token or a secret is in the log")
	}
}

// What ends a sign-in ends what was exchanged from it; a service ends its own token
// and no more.
func TestExchangedTokensEnd(t *testing.T) {
	t.Parallel()
	g, _ := delegating(t)
	a := g.redeem(g.signIn())
	first := g.exchange("agent", a.Access, "resource", g.origin()+resource).get("access_token")
	second := g.exchange("agent", a.Access, "resource", g.origin()+resource).get("access_token")
	revoke := func(client, token string) *reply {
		return g.post("/oauth/revoke", "client_id", client, "client_secret", "secret-of-"+client, "token", token)
	}
	if r := revoke("agent2", first); r.get("error") != "unauthorized_client" {
		t.Errorf("another client's token: %d %s", r.status, r.text)
	}
	if _, err := g.claims(first); err != nil {
		t.Errorf("after another client tried: %v", err)
	}
	if r := revoke("agent", first); r.status != http.StatusOK || r.text != "" {
		t.Errorf("its own: %d %s", r.status, r.text)
	}
	for name, c := range map[string]struct {
		token string
		good  bool
	}{"the one": {first, false}, "its sister": {second, true}, "the person's": {a.Access, true}} {
		if _, err := g.claims(c.token); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
	if r := g.exchange("agent", first, "resource", g.origin()+resource); r.get("error") != "invalid_request" {
		t.Errorf("a revoked token was exchanged: %s", r.text)
	}
	if r := g.post("/oauth/revoke", "client_id", "app", "token", a.Refresh); r.status != http.StatusOK {
		t.Errorf("the person's refresh token: %d %s", r.status, r.text)
	}
	for name, tok := range map[string]string{"the person's": a.Access, "the service's": second} {
		if _, err := g.claims(tok); err == nil {
			t.Errorf("%s token is good after the sign-in ended", name)
		}
	}
	if r := g.refresh(a.Refresh); r.Status != http.StatusBadRequest || r.Error != "invalid_grant" {
		t.Errorf("refreshed after revocation: %+v", r)
	}
}

// RFC 7009: with either token, and without telling anything about tokens that are no
// good.
func TestRevoke(t *testing.T) {
	t.Parallel()
	g, _ := delegating(t)
	a := g.redeem(g.signIn())
	if r := g.post("/oauth/revoke", "client_id", "app", "token", a.Access, "token_type_hint", "refresh_token"); r.status != http.StatusOK {
		t.Errorf("by the access token: %d %s", r.status, r.text)
	}
	if _, err := g.claims(a.Access); err == nil {
		t.Error("the access token is still good")
	}
	if r := g.refresh(a.Refresh); r.Status == http.StatusOK {
		t.Error("the refresh token is still good")
	}
	for name, pairs := range map[string][]string{
		"again":       {"client_id", "app", "token", a.Access},
		"a made-up":   {"client_id", "app", "token", "x"},
		"a foreigner": {"client_id", "app", "token", "e30.e30.x"},
	} {
		if r := g.post("/oauth/revoke", pairs...); r.status != http.StatusOK {
			t.Errorf("%s: %d %s", name, r.status, r.text)
		}
	}
	for code, pairs := range map[string][]string{
		"invalid_client":  {"token", a.Access},
		"invalid_request": {"client_id", "app"},
	} {
		if r := g.post("/oauth/revoke", pairs...); r.get("error") != code {
			t.Errorf("%d %s, want %s", r.status, r.text, code)
		}
	}
}

func TestIntrospect(t *testing.T) {
	t.Parallel()
	g, _ := delegating(t)
	a := g.redeem(g.signIn())
	own := g.exchange("agent", a.Access, "resource", g.origin()+resource).get("access_token")
	ask := func(client, token string) *reply {
		return g.post("/oauth/introspect", "client_id", client, "client_secret", "secret-of-"+client, "token", token)
	}
	r := ask("agent", own)
	for name, want := range map[string]any{
		"active": true, "iss": g.issuer, "client_id": "agent", "sub": "alice", "aud": g.origin() + resource, "scope": "docs:read",
		"token_type": "Bearer", "act": map[string]any{"sub": "agent"},
	} {
		if diff := cmp.Diff(want, r.fields[name]); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if r.fields["exp"] == nil || r.fields["name"] != nil {
		t.Errorf("%s", r.text)
	}
	if r := ask("server", a.Access); r.fields["active"] != true || r.get("sub") != "alice" {
		t.Errorf("a token for the client's own resource: %s", r.text)
	}
	for name, c := range map[string][2]string{
		"a server's, refresh":    {"server", a.Refresh},
		"another client's":       {"agent2", own},
		"the person's":           {"agent", a.Access},
		"the person's, refresh":  {"agent", a.Refresh},
		"a made-up one":          {"agent", "x"},
		"one with another's key": {"agent", own[:len(own)-4] + "AAAA"},
	} {
		if r := ask(c[0], c[1]); r.status != http.StatusOK || r.text != `{"active":false}` {
			t.Errorf("%s: %d %s", name, r.status, r.text)
		}
	}
	for name, r := range map[string]*reply{
		"a public client": g.post("/oauth/introspect", "client_id", "app", "token", a.Access),
		"nobody":          g.post("/oauth/introspect", "token", a.Access),
		"a wrong secret":  g.post("/oauth/introspect", "client_id", "agent", "client_secret", "x", "token", own),
	} {
		if r.status != http.StatusUnauthorized || r.get("error") != "invalid_client" || r.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: %d %s", name, r.status, r.text)
		}
	}
	g.post("/oauth/revoke", "client_id", "agent", "client_secret", "secret-of-agent", "token", own)
	if r := ask("agent", own); r.text != `{"active":false}` {
		t.Errorf("after revocation: %s", r.text)
	}
}

// Enterprise-managed authorization: the identity provider decides, and nobody is
// sent anywhere.
func TestIdentityAssertion(t *testing.T) {
	t.Parallel()
	g, key := delegating(t)
	assertion := func(change map[string]any) string {
		claims := map[string]any{"sub": "alice", "aud": g.issuer, "client_id": "enterprise", "resource": g.origin() + resource, "scope": "docs:read email"}
		for name, v := range change {
			claims[name] = v
		}
		return sign(t, key, "oauth-id-jag+jwt", claims)
	}
	show := func(a string, more ...string) *reply {
		return g.post("/oauth/token", append([]string{"grant_type", grantAssertion, "client_id", "enterprise", "client_secret", "secret-of-enterprise", "assertion", a}, more...)...)
	}
	good := assertion(nil)
	r := show(good)
	claims, err := g.claims(r.get("access_token"))
	if err != nil || claims.Text("sub") != foreign+"#alice" || claims.Text("client_id") != "enterprise" || claims.Text("scope") != "docs:read" || claims.Has("act") {
		t.Fatalf("%v, %v: %s", claims, err, r.text)
	}
	for name, c := range map[string]struct {
		reply *reply
		code  string
	}{
		"again":            {show(good), "invalid_grant"},
		"another client":   {show(assertion(map[string]any{"client_id": "agent"})), "invalid_grant"},
		"another resource": {show(assertion(map[string]any{"resource": "https://elsewhere.example"})), "invalid_grant"},
		"another server":   {show(assertion(map[string]any{"aud": "https://elsewhere.example"})), "invalid_grant"},
		"more scopes":      {show(assertion(nil), "scope", "docs:read profile"), "invalid_scope"},
		"asked elsewhere":  {show(assertion(nil), "resource", "https://elsewhere.example"), "invalid_target"},
		"without a secret": {g.post("/oauth/token", "grant_type", grantAssertion, "client_id", "enterprise", "assertion", assertion(nil)), "invalid_client"},
		"by nobody":        {g.post("/oauth/token", "grant_type", grantAssertion, "assertion", assertion(nil)), "unauthorized_client"},
		"nothing":          {show(""), "invalid_grant"},
	} {
		if c.reply.get("error") != c.code || c.reply.get("access_token") != "" {
			t.Errorf("%s: %d %s, want %s", name, c.reply.status, c.reply.text, c.code)
		}
	}
	if strings.Contains(g.log.String(), good[:30]) {
		t.Error("an assertion is in the log")
	}
}

// A workload with an assertion needs no client (RFC 7521 §4.1).
func TestWorkload(t *testing.T) {
	t.Parallel()
	g, key := delegating(t)
	a := sign(t, key, "JWT", map[string]any{"sub": "repo:a", "aud": g.issuer + "/oauth/token"})
	r := g.post("/oauth/token", "grant_type", grantAssertion, "assertion", a, "scope", "docs:read")
	claims, err := g.claims(r.get("access_token"))
	if err != nil || claims.Text("sub") != foreign+"#repo:a" || claims.Text("client_id") != foreign+"#repo:a" || claims.Text("scope") != "docs:read" {
		t.Fatalf("%v, %v: %s", claims, err, r.text)
	}
	if r := g.post("/oauth/token", "grant_type", grantAssertion, "assertion", a); r.get("error") != "invalid_grant" {
		t.Errorf("again: %s", r.text)
	}
	b := sign(t, key, "JWT", map[string]any{"sub": "repo:b", "aud": g.issuer})
	if r := g.post("/oauth/token", "grant_type", grantAssertion, "assertion", b); r.get("error") != "invalid_grant" {
		t.Errorf("a subject that is not bound: %s", r.text)
	}
}

// What nobody may use is not offered.
func TestGrantsOffered(t *testing.T) {
	t.Parallel()
	g, _ := delegating(t)
	for name, c := range map[string]struct {
		g        *rig
		grants   []string
		profiles []string
	}{
		"plain":      {newRig(t, setup{}), []string{"authorization_code", "refresh_token"}, nil},
		"delegating": {g, []string{"authorization_code", "refresh_token", grantAssertion, grantExchange}, []string{"urn:ietf:params:oauth:grant-profile:id-jag"}},
	} {
		b := c.g.browser()
		b.open(c.g.issuer + "/.well-known/oauth-authorization-server")
		var m oauth.ServerMetadata
		if err := json.Unmarshal([]byte(b.body), &m); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(m.GrantTypes, c.grants) || !slices.Equal(m.GrantProfiles, c.profiles) {
			t.Errorf("%s: grants %q, profiles %q", name, m.GrantTypes, m.GrantProfiles)
		}
		if m.RevocationEndpoint != c.g.issuer+"/oauth/revoke" || m.IntrospectionEndpoint != c.g.issuer+"/oauth/introspect" || slices.Contains(m.IntrospectionAuthMethods, "none") {
			t.Errorf("%s: %+v", name, m)
		}
	}
	r := newRig(t, setup{}).post("/oauth/token", "grant_type", grantAssertion, "assertion", "x")
	if r.status < 400 || r.get("access_token") != "" {
		t.Errorf("a grant that is not offered: %s", r.text)
	}
}
