package e2e_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/testkit"
	"github.com/sallyport-dev/sallyport/internal/token"
)

// innerDoor is one type of credential, in front of a backend, with what it is made of.
type innerDoor struct {
	docs    string            // further objects; the credential's is called "auth"
	secrets map[string]string // name → what may come out nowhere
	shown   string            // the header that the backend is to see
	want    func(t *testing.T, value string)
}

// canary is a secret that looks like one.
func canary(name string) string { return name + "-" + rand.Text() }

// innerDoors are all of them, for callers with tokens of idp.
func innerDoors(t *testing.T, idp *testkit.IdP) map[string]innerDoor {
	t.Helper()
	password, made := canary("client-secret"), canary("made-token")
	is := func(want string) func(*testing.T, string) {
		return func(t *testing.T, value string) {
			t.Helper()
			if value != want {
				t.Errorf("the backend sees %q, want %q", value, want)
			}
		}
	}
	secret := secretObject("s", "secret", password)
	place := newExchanger(t) // of every kind: it tells what is asked by the form
	jag := canary("id-jag")
	place.does(func(w http.ResponseWriter, r *http.Request) {
		answer := map[string]any{"access_token": made, "token_type": "Bearer", "expires_in": 300}
		if r.PostFormValue("requested_token_type") == "urn:ietf:params:oauth:token-type:id-jag" {
			answer = map[string]any{"access_token": jag, "token_type": "N_A", "issued_token_type": "urn:ietf:params:oauth:token-type:id-jag"}
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer)
	})
	key, err := token.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	encoded := base64.StdEncoding.EncodeToString(key)
	keyID, keySecret, session := "ASIA"+rand.Text()[:16], canary("aws-secret"), canary("aws-session")
	sts := newExchanger(t)
	sts.does(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/xml")
		fmt.Fprintf(w, `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult>
			<Credentials><SessionToken>%s</SessionToken><SecretAccessKey>%s</SecretAccessKey><Expiration>%s</Expiration><AccessKeyId>%s</AccessKeyId></Credentials>
			</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`, session, keySecret, time.Now().Add(time.Hour).UTC().Format(time.RFC3339), keyID)
	})
	return map[string]innerDoor{
		"awsSts": {
			object("MCPExternalAuthConfig", "auth", "type: awsSts", "awsSts: {region: eu-west-1, stsEndpoint: "+sts.URL+", allowPrivateIPs: true, fallbackRoleArn: \"arn:aws:iam::123456789012:role/mcp\"}"),
			map[string]string{"the AWS key": keySecret, "the AWS session": session},
			"Authorization", func(t *testing.T, value string) {
				t.Helper()
				if !strings.HasPrefix(value, "AWS4-HMAC-SHA256 Credential="+keyID+"/") {
					t.Errorf("the backend sees %q", value)
				}
			},
		},
		"tokenExchange": {
			secret + exchangeObject("auth", place.URL+"/token", "clientId: gateway", "clientSecretRef: {name: s, key: secret}"),
			map[string]string{"the client's secret": password, "the new token": made},
			"Authorization", is("Bearer " + made),
		},
		"obo": {
			secret + object("MCPExternalAuthConfig", "auth", "type: obo", "obo:", "  tenantId: example.com", "  clientId: gateway", "  clientSecretRef: {name: s, key: secret}",
				"  audience: api://backend", "  authority: "+place.URL, "  allowPrivateIPs: true"),
			map[string]string{"the client's secret": password, "the new token": made},
			"Authorization", is("Bearer " + made),
		},
		"xaa": {
			secret + object("MCPExternalAuthConfig", "auth", "type: xaa", "xaa:", "  idpTokenUrl: "+place.URL+"/idp", "  idpClientId: gateway", "  idpClientSecretRef: {name: s, key: secret}",
				"  targetAudience: https://as.example.com", "  targetTokenUrl: "+place.URL+"/target", "  targetClientId: gw", "  targetClientSecretRef: {name: s, key: secret}", "  allowPrivateIPs: true"),
			map[string]string{"the client's secret": password, "the new token": made, "the ID-JAG": jag},
			"Authorization", is("Bearer " + made),
		},
		"identityAssertion": {
			"---\napiVersion: v1\nkind: Secret\nmetadata: {name: k}\ndata: {key: " + encoded + "}\n" +
				object("MCPExternalAuthConfig", "auth", "type: identityAssertion", "identityAssertion:", "  issuer: https://gw.example.com", "  audience: https://backend.example.com",
					"  signingKeySecretRefs: [{name: k, key: key}]", "  headerName: X-Sallyport-Assertion"),
			map[string]string{"the key": strings.Split(string(key), "\n")[1]},
			"X-Sallyport-Assertion", func(t *testing.T, value string) {
				t.Helper()
				if claims := claimsOf(t, value); claims["sub"] != "alice" || claims["aud"] != "https://backend.example.com" {
					t.Errorf("the backend is told %v", claims)
				}
			},
		},
	}
}

// Every type of credential, on every surface, over redirects and with a failing
// backend: what is meant for the backend reaches the backend, and nothing else does,
// and nothing secret comes out anywhere.
//
// REQ A-3, REQ A-5, REQ A-7, REQ B-3, REQ B-22
func TestInnerDoors(t *testing.T) {
	t.Parallel()
	idp := testkit.StartIdP(t)
	alice := idp.Token(t, testkit.TokenWish{Audience: docsAudience, Subject: "alice"})
	for name, door := range innerDoors(t, idp) {
		t.Run(name, func(t *testing.T) {
			target := testkit.Record(t, sessionBackend("elsewhere"))
			backend := testkit.Record(t, func(w http.ResponseWriter, r *http.Request) {
				for _, name := range []string{door.shown, "X-Amz-Security-Token"} { // an echo
					w.Header().Set(name, r.Header.Get(name))
				}
				switch r.URL.Path {
				case "/moved":
					w.Header().Set("Location", target.URL+"/mcp")
					w.WriteHeader(http.StatusPermanentRedirect)
				case "/refuses":
					w.Header().Set("Www-Authenticate", "Bearer realm="+r.Header.Get(door.shown))
					w.WriteHeader(http.StatusUnauthorized)
				case "/fails":
					http.Error(w, fmt.Sprint(r.Header), http.StatusInternalServerError)
				default:
					sessionBackend("backend-session")(w, r)
				}
			})
			lines := []string{ofIDP(docsAudience), "externalAuthConfigRef: {name: auth}", "audit: {enabled: true}"}
			docs := idpObject(idp) + door.docs + remote("docs", backend.URL, lines...)
			for _, way := range []string{"moved", "refuses", "fails"} {
				docs += remote(way, backend.URL+"/"+way, lines...)
			}
			g := serve(t, docs, "--log-level", "debug")
			heard := ""
			for _, s := range surfaces(g) {
				if strings.Contains(s.name, "alias") {
					continue // there are several endpoints
				}
				r := s.request(t, bearer(alice)...)
				backend.Reset()
				got := r.with(bearer(alice)...).try(t)
				heard += got.Body + fmt.Sprint(got.Header)
				if got.Status != s.ok {
					t.Errorf("%s: status %d, want %d: %s", s.name, got.Status, s.ok, got.Body)
				}
				for _, r := range backend.Requests() {
					door.want(t, r.Header.Get(door.shown))
				}
			}
			for _, way := range []string{"moved", "refuses", "fails"} {
				got := call(at(g, way), "tool", "").with(bearer(alice)...).do(t)
				heard += got.Body + fmt.Sprint(got.Header)
			}
			if len(target.Requests()) != 1 || target.Requests()[0].Header.Get(door.shown) != "" || target.Requests()[0].Header.Get("Authorization") != "" {
				t.Errorf("after a redirect to another origin: %v", target.Requests())
			}
			metrics := g.Metrics(t)
			if err := g.Stop(); err != nil {
				t.Error(err)
			}
			secrets := maps.Clone(door.secrets)
			secrets["the caller's token"] = alice
			for where, text := range map[string]string{
				"the log": g.Stderr.String(), "the audit": g.Stdout.String(), "the metrics": metrics, "an answer": heard, "another origin": target.Wire(),
			} {
				for what, value := range secrets {
					if strings.Contains(text, value) || strings.Contains(text, base64.StdEncoding.EncodeToString([]byte(value))) {
						t.Errorf("%s is in %s", what, where)
					}
				}
			}
			if strings.Contains(backend.Wire(), alice) {
				t.Error("the caller's token reached the backend")
			}
		})
	}
}

// REQ A-3: by an explicit setting the caller's own token goes on, if it is for the
// backend; else the call is refused, and says why.
func TestForwardClientToken(t *testing.T) {
	t.Parallel()
	idp := testkit.StartIdP(t)
	backend := testkit.Record(t, sessionBackend("backend-session"))
	target := testkit.Record(t, ok)
	moved := testkit.Record(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", target.URL)
		w.WriteHeader(http.StatusTemporaryRedirect)
	})
	const shared = "https://backend.example.com/mcp"
	auth := object("MCPExternalAuthConfig", "direct", "type: forwardClientToken", "forwardClientToken: {audience: "+shared+"}")
	inline := fmt.Sprintf("oidcConfig: {inline: {issuer: %q, jwksAllowPrivateIP: true, audience: %q, audiences: [%q]}}", idp.Issuer, docsAudience, shared)
	lines := []string{inline, "externalAuthConfigRef: {name: direct}", "audit: {enabled: true}"}
	g := serve(t, auth+remote("docs", backend.URL, lines...)+remote("moved", moved.URL, lines...), "--log-level", "debug")
	forBackend := idp.Token(t, testkit.TokenWish{Audience: shared, Subject: "alice"})
	forGateway := idp.Token(t, testkit.TokenWish{Audience: docsAudience, Subject: "alice"})
	for _, s := range surfaces(g) {
		if strings.Contains(s.name, "alias") {
			continue
		}
		r := s.request(t, bearer(forBackend)...)
		backend.Reset()
		if got := r.with(bearer(forBackend)...).try(t); got.Status != s.ok {
			t.Errorf("%s: status %d, want %d: %s", s.name, got.Status, s.ok, got.Body)
		}
		for _, r := range backend.Requests() {
			if r.Header.Get("Authorization") != "Bearer "+forBackend {
				t.Errorf("%s: the backend sees %q", s.name, r.Header.Get("Authorization"))
			}
		}
	}
	backend.Reset()
	got := call(at(g, "docs"), "tool", "").with(bearer(forGateway)...).do(t)
	if got.Status != 403 || !strings.Contains(got.Body, "audience") || len(backend.Requests()) != 0 {
		t.Errorf("a token for the gateway alone: status %d, %s; %d requests", got.Status, got.Body, len(backend.Requests()))
	}
	call(at(g, "moved"), "tool", "").with(bearer(forBackend)...).do(t).wantResult(t, `{"ok":true}`)
	if strings.Contains(target.Wire(), forBackend) || strings.Contains(target.Wire(), "Authorization") {
		t.Error("the token followed a redirect to another origin")
	}
	if text := g.Stderr.String() + g.Stdout.String() + g.Metrics(t); strings.Contains(text, forBackend) || strings.Contains(text, forGateway) {
		t.Error("a token came out")
	}
}

// What the gateway says of callers is checked by a backend that knows only the
// address of its keys, also after the keys were rotated.
func TestIdentityAssertion(t *testing.T) {
	t.Parallel()
	idp := testkit.StartIdP(t)
	backend := testkit.Record(t, ok)
	keys := map[string]string{}
	for _, name := range []string{"old", "new"} {
		key, err := token.GenerateKey()
		if err != nil {
			t.Fatal(err)
		}
		keys[name] = base64.StdEncoding.EncodeToString(key)
	}
	docs := func(refs ...string) string {
		return idpObject(idp) + fmt.Sprintf("---\napiVersion: v1\nkind: Secret\nmetadata: {name: k}\ndata: {old: %s, new: %s}\n", keys["old"], keys["new"]) +
			object("MCPExternalAuthConfig", "who", "type: identityAssertion", "identityAssertion: {signingKeySecretRefs: ["+strings.Join(refs, ", ")+"]}") +
			remote("docs", backend.URL, ofIDP(docsAudience), "externalAuthConfigRef: {name: who}")
	}
	folder := manifests(t, docs("{name: k, key: old}"))
	g := testkit.Start(t, "serve", "-f", folder, "--public-url", "https://gw.example.com/mcp-gateway")
	keySet, err := token.NewKeySet(token.KeySetConfig{Client: httpClient(t), Log: slog.New(slog.DiscardHandler), Locate: func(context.Context) (string, error) {
		return g.URL + "/.well-known/sallyport/who/jwks.json", nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer keySet.Close()
	verifier, err := token.NewVerifier(keySet, token.Expectations{Issuer: "https://gw.example.com/mcp-gateway", Audiences: []string{backend.URL}})
	if err != nil {
		t.Fatal(err)
	}
	told := func(groups ...string) token.Claims {
		t.Helper()
		backend.Reset()
		caller := idp.Token(t, testkit.TokenWish{Audience: docsAudience, Subject: "alice", Groups: groups})
		call(at(g, "docs"), "tool", "").with(bearer(caller)...).do(t).wantResult(t, `{"ok":true}`)
		if strings.Contains(backend.Wire(), caller) {
			t.Error("the caller's token reached the backend")
		}
		raw, _ := strings.CutPrefix(backend.Requests()[0].Header.Get("Authorization"), "Bearer ")
		claims, expires, err := verifier.Verify(t.Context(), raw, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if left := time.Until(expires); left > time.Minute {
			t.Errorf("it is good for %v", left)
		}
		return claims
	}
	claims := told("dev", "ops")
	if diff := cmp.Diff([]any{"dev", "ops"}, claims["groups"]); diff != "" || claims["sub"] != "alice" || claims["idp"] != idp.Issuer {
		t.Errorf("claims %v", claims)
	}
	writeManifests(t, folder, docs("{name: k, key: new}", "{name: k, key: old}"))
	g.Stderr.WaitFor(t, "configuration reloaded")
	told("other")
	resp := request{method: http.MethodGet, url: g.URL + "/.well-known/sallyport/who/jwks.json"}.do(t)
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal([]byte(resp.Body), &set); err != nil || len(set.Keys) != 2 {
		t.Errorf("published keys: %s", resp.Body)
	}
	for _, key := range set.Keys {
		if slices.Contains(slices.Collect(maps.Keys(key)), "d") {
			t.Error("a private key is published")
		}
	}
	for path, status := range map[string]int{"/who/jwks": 404, "/nobody/jwks.json": 404, "/": 404, "//jwks.json": 404} {
		if got := (request{method: http.MethodGet, url: g.URL + "/.well-known/sallyport" + path}).do(t); got.Status != status {
			t.Errorf("%s: status %d", path, got.Status)
		}
	}
}

// OBO and cross-app access as their servers see them, with tokens of a real provider.
func TestEnterpriseFlows(t *testing.T) {
	t.Parallel()
	idp := testkit.StartIdP(t)
	place := newExchanger(t)
	place.gives("made", 300)
	backend := testkit.Record(t, ok)
	g := serve(t, idpObject(idp)+secretObject("s", "secret", "hush")+
		object("MCPExternalAuthConfig", "obo", "type: obo", "obo:", "  tenantId: 11111111-2222-3333-4444-555555555555", "  clientId: app", "  clientSecretRef: {name: s, key: secret}",
			"  audience: api://backend", "  authority: "+place.URL+"/", "  allowPrivateIPs: true")+
		remote("docs", backend.URL, ofIDP(docsAudience), "externalAuthConfigRef: {name: obo}"))
	alice := idp.Token(t, testkit.TokenWish{Audience: docsAudience, Subject: "alice"})
	call(at(g, "docs"), "tool", "").with(bearer(alice)...).do(t).wantResult(t, `{"ok":true}`)
	asked := place.Requests()[0]
	form, err := url.ParseQuery(string(asked.Body))
	if err != nil {
		t.Fatal(err)
	}
	want := url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "requested_token_use": {"on_behalf_of"}, "assertion": {alice},
		"scope": {"api://backend/.default"}, "client_id": {"app"}, "client_secret": {"hush"},
	}
	if diff := cmp.Diff(want, form); diff != "" || asked.Target != "/11111111-2222-3333-4444-555555555555/oauth2/v2.0/token" {
		t.Errorf("at %s (-want +got):\n%s", asked.Target, diff)
	}
	place.does(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"interaction_required","error_description":"AADSTS50076: multi-factor","error_codes":[50076]}`))
	})
	bob := idp.Token(t, testkit.TokenWish{Audience: docsAudience, Subject: "bob"})
	call(at(g, "docs"), "tool", "").with(bearer(bob)...).do(t).wantChallenge(t, 401, "invalid_token")
}
