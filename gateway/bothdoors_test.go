package gateway_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/compile"
	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// REQ C-11: with both doors open a token that is presented decides, else a proven
// sender's header, else nobody comes in; also where the proxy's word is a signed one.
func TestBothDoors(t *testing.T) {
	t.Parallel()
	i := testkit.NewIssuer(t)
	b := newBackend(t, "b")
	r := newRig(t, proxy("docs", b.URL, ofIssuer(i), "trustedProxy: {trustProxyAuth: true, trustedProxies: [192.0.2.1]}"), nil)
	good := "Bearer " + i.Sign(nil, i.Claims("ours", nil))
	for name, tt := range map[string]struct {
		from    string
		headers []string
		status  int
		as      string
	}{
		"a token and a header":     {"192.0.2.1:1", []string{"Authorization", good, "X-Authenticated-User", "bob"}, 200, "jwt alice success"},
		"a bad token and a header": {"192.0.2.1:1", []string{"Authorization", "Bearer bad", "X-Authenticated-User", "bob"}, 401, ""},
		"a header":                 {"192.0.2.1:1", []string{"X-Authenticated-User", "bob"}, 200, "proxy bob success"},
		"from elsewhere":           {"192.0.2.2:1", []string{"X-Authenticated-User", "bob"}, 401, ""},
		"nothing":                  {"192.0.2.1:1", nil, 401, ""},
	} {
		req := post("/servers/docs/mcp", toolCall, tt.headers...)
		req.RemoteAddr = tt.from
		w := r.send(req)
		e := r.events.take()[0]
		if as := fmt.Sprint(e.Source, " ", e.Subject, " ", e.Outcome); w.Code != tt.status || tt.as != "" && as != tt.as {
			t.Errorf("%s: %d as %s", name, w.Code, as)
		}
		if w.Code == http.StatusUnauthorized && w.Header().Get("WWW-Authenticate") == "" {
			t.Errorf("%s: no challenge", name)
		}
	}
}

// FINDING 2.6
// Scopes about identity are advertised and not demanded, and a client is told to ask
// for the scopes as the issuer has them, in the metadata and where one is missing.
func TestScopesAskedAndShown(t *testing.T) {
	t.Parallel()
	i := testkit.NewIssuer(t)
	b := newBackend(t, "b")
	spec := "oidcConfig: {inline: {issuer: " + i.URL + ", jwksAllowPrivateIP: true, audience: ours, scopes: [openid, access, offline_access], advertisedScopes: [openid, api://x/access]}}"
	r := newRig(t, proxy("docs", b.URL, spec), nil)
	for claims, status := range map[string]int{`access`: 200, `other`: 403} {
		w := r.send(post("/servers/docs/mcp", toolCall, "Authorization", "Bearer "+i.Sign(nil, i.Claims("ours", map[string]any{"scope": "", "scp": claims}))))
		if w.Code != status {
			t.Errorf("scp %s: %d %s", claims, w.Code, w.Body)
		}
		const asked = `scope="openid api://x/access"`
		if challenge := w.Header().Get("WWW-Authenticate"); status == 403 && !strings.Contains(challenge, asked) {
			t.Errorf("challenge %q, want %s", challenge, asked)
		}
	}
	metadata := r.send(httptest.NewRequest(http.MethodGet, "http://localhost/.well-known/oauth-protected-resource/servers/docs/mcp", nil))
	if !strings.Contains(metadata.Body.String(), `"scopes_supported":["openid","api://x/access"]`) {
		t.Errorf("metadata %s", metadata.Body)
	}
}

// Tokens of several issuers are taken, each by the rules of the one it names; the
// metadata lists them all.
func TestSeveralIssuers(t *testing.T) {
	t.Parallel()
	one, two, stranger := testkit.NewIssuer(t), testkit.NewIssuer(t), testkit.NewIssuer(t)
	b := newBackend(t, "b")
	config := func(name string, i *testkit.Issuer) string {
		return object("MCPOIDCConfig", name, "type: inline", "inline: {issuer: "+i.URL+", jwksAllowPrivateIP: true}")
	}
	r := newRig(t, config("one", one)+config("two", two)+proxy("docs", b.URL,
		"oidcConfigRefs: [{name: one, audience: ours, scopes: [a]}, {name: two, audience: theirs}]"), nil)
	for name, tt := range map[string]struct {
		by       *testkit.Issuer
		audience string
		changes  map[string]any
		status   int
	}{
		"one":                   {one, "ours", map[string]any{"scope": "a"}, 200},
		"one without its scope": {one, "ours", nil, 403},
		"two":                   {two, "theirs", nil, 200},
		"two for one":           {two, "ours", map[string]any{"scope": "a"}, 401},
		"two in one's name":     {two, "ours", map[string]any{"scope": "a", "iss": one.URL}, 401},
		"somebody else":         {stranger, "ours", map[string]any{"scope": "a"}, 401},
		"somebody as one":       {stranger, "ours", map[string]any{"scope": "a", "iss": one.URL}, 401},
	} {
		w := r.send(post("/servers/docs/mcp", toolCall, "Authorization", "Bearer "+tt.by.Sign(nil, tt.by.Claims(tt.audience, tt.changes))))
		if w.Code != tt.status {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	if w := r.send(post("/servers/docs/mcp", toolCall, "Authorization", "Bearer opaque")); w.Code != http.StatusUnauthorized {
		t.Errorf("an opaque token: %d %s", w.Code, w.Body)
	}
	metadata := r.send(httptest.NewRequest(http.MethodGet, "http://localhost/.well-known/oauth-protected-resource/servers/docs/mcp", nil)).Body.String()
	if want := fmt.Sprintf(`"authorization_servers":[%q,%q]`, one.URL, two.URL); !strings.Contains(metadata, want) {
		t.Errorf("%s, want %s", metadata, want)
	}
	opaque := func(name, issuer string) string {
		return object("MCPOIDCConfig", name, "type: inline", "inline: {issuer: https://"+issuer+", introspectionUrl: https://"+issuer+"/i}")
	}
	_, found := compile.Check(load(t, opaque("one", "a.example.com")+opaque("two", "b.example.com")+opaque("again", "a.example.com")+
		proxy("docs", b.URL, "oidcConfigRefs: [{name: one, audience: x}, {name: two, audience: x}, {name: again, audience: x}, {name: none, audience: x}]")))
	problems := found.Error()
	for _, want := range []string{"spec.oidcConfigRefs[1].name: has opaque tokens", "spec.oidcConfigRefs[2].name: is of the issuer", "spec.oidcConfigRefs[3].name: there is no MCPOIDCConfig"} {
		if !strings.Contains(problems, want) {
			t.Errorf("%q is not among the problems:\n%s", want, problems)
		}
	}
}
