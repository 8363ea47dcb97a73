package credential_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/credential"
	"github.com/sallyport-dev/sallyport/internal/identity"
	"github.com/sallyport-dev/sallyport/internal/oauth"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// REQ A-3: the caller's own token goes on only if it is for the backend too.
func TestForward(t *testing.T) {
	t.Parallel()
	s := &credential.Forward{Audience: "https://backend"}
	for name, tt := range map[string]struct {
		aud any
		ok  bool
	}{
		"for both":           {[]any{"https://gw", "https://backend"}, true},
		"for the backend":    {"https://backend", true},
		"for the gateway":    {"https://gw", false},
		"a longer name":      {"https://backend/evil", false},
		"another case":       {"HTTPS://BACKEND", false},
		"no audience":        {nil, false},
		"not only text":      {[]any{"https://backend", 7.0}, false},
		"inside another one": {map[string]any{"https://backend": "https://backend"}, false},
	} {
		req := of("callers-canary")
		req.Caller.Claims = map[string]any{"aud": tt.aud}
		got, err := apply(t, s, req)
		if f, isFailure := errors.AsType[*credential.Failure](err); tt.ok != (err == nil) || err != nil && (!isFailure || f.Kind != credential.Forbidden) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if tt.ok && got != "Bearer callers-canary" || err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if _, err := apply(t, s, of("")); err == nil {
		t.Error("no token is forwarded, and nobody says so")
	}
}

// OBO as Entra documents it.
func TestOnBehalfOf(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &place{}
		p.answers(200, `{"token_type":"Bearer","scope":"api://backend/read","expires_in":3600,"ext_expires_in":3600,"access_token":"obo-token"}`)
		e := p.endpoint("app", "hush")
		e.Auth.Method = oauth.AuthPost
		s := credential.OnBehalfOf{Endpoint: e, Scopes: []string{"api://backend/read", "offline_access"}, Skew: 50 * time.Minute}.Source()
		if got, err := apply(t, s, of("callers")); err != nil || got != "Bearer obo-token" {
			t.Fatalf("%q, %v", got, err)
		}
		want := url.Values{
			"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "requested_token_use": {"on_behalf_of"}, "assertion": {"callers"},
			"scope": {"api://backend/read offline_access"}, "client_id": {"app"}, "client_secret": {"hush"},
		}
		if diff := cmp.Diff(want, p.asked[0].form); diff != "" {
			t.Errorf("form (-want +got):\n%s", diff)
		}
		<-time.After(9 * time.Minute)
		if _, err := apply(t, s, of("callers")); err != nil || p.count() != 1 {
			t.Errorf("%d exchanges, %v", p.count(), err)
		}
		<-time.After(time.Minute)
		if _, err := apply(t, s, of("callers")); err != nil || p.count() != 2 {
			t.Errorf("%d exchanges after the skew, %v", p.count(), err)
		}
		p.answers(400, `{"error":"interaction_required","error_description":"AADSTS50076: multi-factor","claims":"{\"access_token\":{}}"}`)
		_, err := apply(t, s, of("another"))
		if step, ok := errors.AsType[*credential.StepUp](err); !ok || !strings.Contains(step.Reason, "AADSTS50076") {
			t.Errorf("%v", err)
		}
	})
}

// Enterprise-managed authorization: two steps, each with its own client.
func TestCrossApp(t *testing.T) {
	t.Parallel()
	const jag = "urn:ietf:params:oauth:token-type:id-jag"
	idp, target := &place{}, &place{}
	idp.answers(200, `{"access_token":"the-jag","issued_token_type":"`+jag+`","token_type":"N_A","expires_in":300,"scope":"docs.read"}`)
	target.answer = func(r asked) (int, string) {
		if strings.Contains(r.url, "/.well-known/") {
			return 200, `{"issuer":"https://as.example.com","token_endpoint":"https://as.example.com/token"}`
		}
		return 200, `{"access_token":"backend-token","token_type":"Bearer","expires_in":300}`
	}
	cfg := credential.CrossApp{
		IDP: idp.endpoint("gw-at-idp", "one"), Target: target.endpoint("gw-at-target", "two"),
		Issuer: "https://as.example.com", Resource: "https://mcp.example.com/mcp", Scopes: []string{"docs.read"},
	}
	cfg.Target.URL = ""
	for range 2 {
		s := cfg.Source()
		for range 3 {
			if got, err := apply(t, s, of("callers")); err != nil || got != "Bearer backend-token" {
				t.Fatalf("%q, %v", got, err)
			}
		}
	}
	want := url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "requested_token_type": {jag}, "audience": {"https://as.example.com"},
		"resource": {"https://mcp.example.com/mcp"}, "scope": {"docs.read"}, "subject_token": {"callers"},
		"subject_token_type": {"urn:ietf:params:oauth:token-type:id_token"},
	}
	if diff := cmp.Diff(want, idp.asked[0].form); diff != "" || idp.asked[0].user != "gw-at-idp" {
		t.Errorf("at the identity provider, by %q (-want +got):\n%s", idp.asked[0].user, diff)
	}
	want = url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {"the-jag"}, "scope": {"docs.read"}}
	last := target.asked[len(target.asked)-1]
	if diff := cmp.Diff(want, last.form); diff != "" || last.user != "gw-at-target" || last.url != "https://as.example.com/token" {
		t.Errorf("at %s, by %q (-want +got):\n%s", last.url, last.user, diff)
	}
	if idp.count() != 2 || target.count() != 4 {
		t.Errorf("%d and %d requests for two sources", idp.count(), target.count())
	}
	for name, answer := range map[string]string{
		"an access token in place of an assertion": `{"access_token":"not-a-jag","issued_token_type":"urn:ietf:params:oauth:token-type:access_token","token_type":"Bearer"}`,
		"no type": `{"access_token":"not-a-jag"}`,
	} {
		idp.answers(200, answer)
		before := target.count()
		if got, err := apply(t, cfg.Source(), of("callers")); err == nil || target.count() != before || strings.Contains(err.Error(), "not-a-jag") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// The client authenticates as the metadata of the backend's authorization server has it.
func TestCrossAppAuthentication(t *testing.T) {
	t.Parallel()
	for supported, user := range map[string]string{
		`null`:                   "b",
		`["client_secret_post"]`: "",
		`["client_secret_post","private_key_jwt","client_secret_basic"]`: "b",
	} {
		idp, target := &place{}, &place{}
		idp.answers(200, `{"access_token":"the-jag","issued_token_type":"urn:ietf:params:oauth:token-type:id-jag","token_type":"N_A"}`)
		target.answer = func(r asked) (int, string) {
			if strings.Contains(r.url, "/.well-known/") {
				return 200, `{"issuer":"https://as.example.com","token_endpoint":"https://as.example.com/token","token_endpoint_auth_methods_supported":` + supported + `}`
			}
			return 200, `{"access_token":"backend-token","token_type":"Bearer"}`
		}
		cfg := credential.CrossApp{IDP: idp.endpoint("a", "one"), Target: target.endpoint("b", "two"), Issuer: "https://as.example.com"}
		cfg.Target.URL = ""
		source := cfg.Source()
		for _, caller := range []string{"alice", "bob"} { // found out, and remembered
			if _, err := apply(t, source, of(caller)); err != nil {
				t.Fatalf("%s: %v", supported, err)
			}
			last := target.asked[len(target.asked)-1]
			if posted := last.form.Get("client_secret") == "two" && last.form.Get("client_id") == "b"; last.user != user || posted == (user != "") {
				t.Errorf("%s: %s authenticates by the header as %q, by the form %v", supported, caller, last.user, posted)
			}
		}
	}
}

// The metadata of another issuer, or a plain endpoint, is not believed.
func TestCrossAppDiscovery(t *testing.T) {
	t.Parallel()
	idp, target := &place{}, &place{}
	idp.answers(200, `{"access_token":"the-jag","issued_token_type":"urn:ietf:params:oauth:token-type:id-jag","token_type":"N_A"}`)
	for name, meta := range map[string]string{
		"another issuer": `{"issuer":"https://evil.example.com","token_endpoint":"https://evil.example.com/token"}`,
		"plain":          `{"issuer":"https://as.example.com","token_endpoint":"http://as.example.com/token"}`,
		"none":           `{"issuer":"https://as.example.com"}`,
	} {
		target.answers(200, meta)
		cfg := credential.CrossApp{IDP: idp.endpoint("a", ""), Target: target.endpoint("b", ""), Issuer: "https://as.example.com"}
		cfg.Target.URL = ""
		if got, err := apply(t, cfg.Source(), of("callers")); err == nil {
			t.Errorf("%s: %q", name, got)
		}
		for _, r := range target.asked {
			if r.form.Get("assertion") != "" {
				t.Errorf("%s: the assertion went to %s", name, r.url)
			}
		}
	}
}

// book is what an authorization server knows of its people's accounts.
type book func(person, provider string) (*oauth.Tokens, error)

func (b book) Token(_ context.Context, person, provider string) (*oauth.Tokens, error) {
	return b(person, provider)
}

func (b book) Renew(_ context.Context, person, provider string, refused secret.Value) (*oauth.Tokens, error) {
	if refused.Reveal() != person+"-at-"+provider {
		return nil, errors.New("this token was never shown")
	}
	return nil, &notLinked{provider}
}

func (b book) Doubt(context.Context, string, string) (bool, error) { return false, nil }

type notLinked struct{ provider string }

func (e *notLinked) Error() string { return "not linked" }

// REQ D-5, REQ D-8: the token of the named provider, of the person who signed in at
// the server that keeps it, or a step-up.
func TestUpstream(t *testing.T) {
	t.Parallel()
	accounts := book(func(person, provider string) (*oauth.Tokens, error) {
		switch {
		case provider == "down":
			return nil, errors.New("the store does not answer")
		case person == "alice":
			return &oauth.Tokens{Access: secret.New("alice-at-" + provider), ID: secret.New("id-of-alice")}, nil
		}
		return nil, &notLinked{provider}
	})
	source := func(provider string) *credential.Upstream {
		return &credential.Upstream{
			Accounts: accounts, Issuer: "https://gw", Provider: provider,
			Missing: func(err error) (string, bool) {
				n, ok := errors.AsType[*notLinked](err)
				return provider, ok && n.provider == provider
			},
			Connect: func(person, provider string) string { return "https://gw/connect?" + person + "," + provider },
		}
	}
	caller := func(subject, issuer, source string) *credential.Request {
		return &credential.Request{Caller: &identity.Caller{Subject: subject, Issuer: issuer, Source: source}, Token: secret.New("own")}
	}
	for _, tt := range []struct {
		provider string
		req      *credential.Request
		want     string
		stepUp   bool
		kind     credential.Kind
	}{
		{"okta", caller("alice", "https://gw", "jwt"), "Bearer alice-at-okta", false, 0},
		{"github", caller("alice", "https://gw", "jwt"), "Bearer alice-at-github", false, 0},
		{"okta", caller("bob", "https://gw", "jwt"), "", true, 0},
		{"okta", caller("alice", "https://elsewhere", "jwt"), "", false, credential.Misconfigured},
		{"okta", caller("alice", "https://gw", "proxy"), "", false, credential.Misconfigured},
		{"down", caller("alice", "https://gw", "jwt"), "", false, credential.Unavailable},
	} {
		got, err := apply(t, source(tt.provider), tt.req)
		step, isStep := errors.AsType[*credential.StepUp](err)
		f, _ := errors.AsType[*credential.Failure](err)
		if got != tt.want || isStep != tt.stepUp || f != nil && f.Kind != tt.kind || f == nil && tt.kind != 0 {
			t.Errorf("%s for %+v: %q, %v", tt.provider, tt.req.Caller, got, err)
		}
		if isStep && (step.Provider != "okta" || step.URL != "https://gw/connect?bob,okta" || !strings.Contains(step.Reason, "okta")) {
			t.Errorf("%+v", step)
		}
	}

	// The provider has ended the grant behind a token that the backend refuses.
	shown := http.Header{"Authorization": {"Bearer alice-at-okta"}}
	err := source("okta").Challenged(t.Context(), caller("alice", "https://gw", "jwt"), shown, oauth.AuthChallenge{})
	if _, ok := errors.AsType[*credential.StepUp](err); !ok {
		t.Errorf("%v", err)
	}

	// It can be the subject of an exchange, too.
	p := &place{}
	p.answers(200, `{"access_token":"t"}`)
	for i, idToken := range []bool{false, true} {
		s := credential.TokenExchange{Endpoint: p.endpoint("a", ""), Subject: credential.Subject{Upstream: source("okta"), IDToken: idToken}}.Source()
		if _, err := apply(t, s, caller("alice", "https://gw", "jwt")); err != nil {
			t.Error(err)
		}
		if got := p.asked[i].form.Get("subject_token"); got != []string{"alice-at-okta", "id-of-alice"}[i] {
			t.Errorf("exchanged %q", got)
		}
		if _, err := apply(t, s, caller("bob", "https://gw", "jwt")); err == nil {
			t.Error("bob has no account, and got a token")
		}
	}
}

func newAssertion(t *testing.T, header string, claims ...string) (*credential.Assertion, *token.Signer) {
	t.Helper()
	key, err := token.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	signer, err := token.NewSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	return credential.NewAssertion(credential.AssertionConfig{
		Signer: signer, Issuer: "https://gw", Audience: "https://backend", Lifetime: time.Minute, Header: header, Claims: claims,
	}), signer
}

// What an assertion says, to whom, and for how long.
func TestAssertion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, signer := newAssertion(t, "", "email", "name", "groups", "roles", "scopes")
		verifier, err := token.NewVerifier(signer, token.Expectations{Issuer: "https://gw", Audiences: []string{"https://backend"}})
		if err != nil {
			t.Fatal(err)
		}
		req := &credential.Request{Caller: &identity.Caller{
			Subject: "alice", Source: identity.SourceJWT, Issuer: "https://idp", ClientID: "ide", Email: "a@x", Name: "Alice",
			Groups: []string{"g"}, Roles: []string{"r"}, Scopes: []string{"s"}, Claims: map[string]any{"secret": "canary"},
		}}
		first, err := apply(t, s, req)
		if err != nil {
			t.Fatal(err)
		}
		raw, ok := strings.CutPrefix(first, "Bearer ")
		claims, expires, err := verifier.Verify(t.Context(), raw, time.Now())
		if !ok || err != nil || time.Until(expires) > time.Minute {
			t.Fatalf("%v, good for %v", err, time.Until(expires))
		}
		id := claims["jti"]
		for _, name := range []string{"iat", "nbf", "exp", "jti"} {
			delete(claims, name)
		}
		want := token.Claims{
			"iss": "https://gw", "aud": "https://backend", "sub": "alice", "idp": "https://idp", "source": "jwt", "client_id": "ide",
			"act": map[string]any{"sub": "ide"}, "email": "a@x", "name": "Alice",
			"groups": []any{"g"}, "roles": []any{"r"}, "scopes": []any{"s"},
		}
		if diff := cmp.Diff(want, claims); diff != "" || id == "" {
			t.Errorf("claims (-want +got):\n%s", diff)
		}
		<-time.After(50 * time.Second)
		if again, _ := apply(t, s, req); again != first {
			t.Error("signed anew within its life")
		}
		<-time.After(5 * time.Second)
		if again, _ := apply(t, s, req); again == first {
			t.Error("shown shortly before its end")
		}
		other := *req.Caller
		other.Groups = []string{"g", "admins"}
		changed, _ := apply(t, s, &credential.Request{Caller: &other})
		claims, _, err = verifier.Verify(t.Context(), strings.TrimPrefix(changed, "Bearer "), time.Now())
		if diff := cmp.Diff([]any{"g", "admins"}, claims["groups"]); diff != "" || err != nil {
			t.Errorf("the groups of another token: %s %v", diff, err)
		}
	})
}

// What is not asked for is not told; another header has the assertion as it is; of
// nobody there is none.
func TestAssertionSaysNoMore(t *testing.T) {
	t.Parallel()
	s, signer := newAssertion(t, "x-sallyport-assertion")
	verifier, err := token.NewVerifier(signer, token.Expectations{Issuer: "https://gw", Audiences: []string{"https://backend"}})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := apply(t, s, &credential.Request{Caller: &identity.Caller{Subject: "alice", Source: identity.SourceProxy, Email: "a@x", Name: "A", Groups: []string{"g"}, Roles: []string{"r"}}})
	if err != nil {
		t.Fatal(err)
	}
	claims, _, err := verifier.Verify(t.Context(), raw, time.Now())
	if err != nil || claims["sub"] != "alice" || claims["source"] != "proxy" {
		t.Errorf("%v, %v", claims, err)
	}
	for _, name := range []string{"email", "name", "groups", "roles", "scopes", "client_id", "act"} {
		if claims.Has(name) {
			t.Errorf("it tells %s", name)
		}
	}
	if got, err := apply(t, s, &credential.Request{Caller: identity.Anonymous()}); err == nil {
		t.Errorf("of nobody: %q", got)
	}
}
