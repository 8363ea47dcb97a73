package e2e_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// trusting are the settings of an endpoint that believes a proxy; more are further
// ones.
func trusting(more ...string) string {
	return "trustedProxy: {" + strings.Join(append([]string{"clientAuthEnabled: false", "trustProxyAuth: true"}, more...), ", ") + "}"
}

func user(name string) []string { return []string{"X-Authenticated-User", name} }

// REQ C-2, REQ C-4, REQ C-5: every surface, with every state of the header, from the proxy and from elsewhere.
func TestTrustedProxy(t *testing.T) {
	t.Parallel()
	stranger := from(t, "127.0.0.2")
	tests := []struct {
		name        string
		headers     []string
		via         *http.Client
		lax, strict int // status; 0 as the surface has it for who may in
	}{
		{"no header", nil, nil, 0, 401},
		{"alice", user("alice"), nil, 0, 0},
		{"alice, and a token", append(user("alice"), bearer("garbage")...), nil, 0, 0},
		{"empty", user(""), nil, 400, 400},
		{"blank", user("  "), nil, 400, 400},
		{"doubled", append(user("alice"), user("alice")...), nil, 400, 400},
		{"two", append(user("mallory"), user("alice")...), nil, 400, 400},
		{"another header", []string{"X-Authenticated-Users", "mallory", "Remote-User", "mallory", "X_Authenticated_User", "mallory"}, nil, 0, 401},
		{"a token alone", bearer("garbage"), nil, 0, 401},
		{"from elsewhere", user("mallory"), stranger, 0, 401},
		{"doubled from elsewhere", append(user("mallory"), user("mallory")...), stranger, 0, 401},
		{"from elsewhere, with a forged address", append(user("mallory"), "X-Forwarded-For", "127.0.0.1", "X-Real-Ip", "127.0.0.1", "Forwarded", "for=127.0.0.1"), stranger, 0, 401},
	}
	for _, missing := range []string{"anonymous", "reject"} {
		t.Run(missing, func(t *testing.T) {
			t.Parallel()
			backend := testkit.Record(t, sessionBackend("backend-session"))
			g := serve(t, remote("docs", backend.URL, trusting("trustedProxies: [127.0.0.1/32]", "missingHeader: "+missing), "audit: {enabled: true}"))
			for _, s := range surfaces(g) {
				for _, tt := range tests {
					t.Run(s.name+"/"+tt.name, func(t *testing.T) {
						want := tt.lax
						if missing == "reject" {
							want = tt.strict
						}
						admitted := tt.headers // sessions are their caller's own
						if want != 0 || tt.via != nil {
							admitted = nil
						}
						if admitted == nil && missing == "reject" {
							admitted = user("alice")
						}
						r := s.request(t, admitted...).with(tt.headers...)
						r.via = tt.via
						if want == 0 {
							want = s.ok
						}
						if got := r.try(t); got.Status != want {
							t.Errorf("status %d, want %d: %s", got.Status, want, got.Body)
						}
					})
				}
			}
			if wire := backend.Wire(); strings.Contains(wire, "alice") || strings.Contains(wire, "mallory") {
				t.Error("a proxy's header reached the backend")
			}
			if err := g.Stop(); err != nil {
				t.Fatal(err)
			}
			want := []string{"anonymous anonymous success", "denied", "proxy alice success"}
			if missing == "reject" {
				want = want[1:]
			}
			if diff := cmp.Diff(want, who(t, g)); diff != "" {
				t.Errorf("callers in the audit (-want +got):\n%s", diff)
			}
		})
	}
}

// REQ C-4: one caller's session is unknown to another, and to nobody.
func TestTrustedProxySessions(t *testing.T) {
	t.Parallel()
	backend := testkit.Record(t, sessionBackend("backend-session"))
	g := serve(t, remote("docs", backend.URL, trusting()))
	session := initialize(t, g.MCP(), user("alice")...)
	for name, headers := range map[string][]string{"bob": user("bob"), "nobody": nil, "alice": user("alice")} {
		want := 404
		if name == "alice" {
			want = 200
		}
		if got := legacy(g.MCP(), "tools/list", "").with("Mcp-Session-Id", session).with(headers...).do(t); got.Status != want {
			t.Errorf("%s in alice's session: status %d, want %d", name, got.Status, want)
		}
	}
}

// REQ C-1, REQ C-3, REQ C-10: the environment wins over manifests, and changing nothing believes nobody.
func TestTrustedProxySettings(t *testing.T) {
	t.Parallel()
	trust := []string{"MCP_CLIENT_AUTH_ENABLED=false", "TRUST_PROXY_AUTH=true"}
	for _, tt := range []struct {
		name    string
		env     []string
		spec    string
		headers []string
		want    string // caller in the audit
		log     string // is in the log, once
	}{
		{"nothing", nil, "", user("alice"), "anonymous anonymous success", "anonymous"},
		{"trust alone", []string{"TRUST_PROXY_AUTH=true"}, "", user("alice"), "anonymous anonymous success", "ignored"},
		{"authentication off alone", []string{"MCP_CLIENT_AUTH_ENABLED=false"}, "", user("alice"), "anonymous anonymous success", "SECURITY"},
		{"authentication off alone, in the manifest", nil, "trustedProxy: {clientAuthEnabled: false}", user("alice"), "anonymous anonymous success", "SECURITY"},
		{"both", trust, "", user("alice"), "proxy alice success", ""},
		{"both, with a header of their own", append([]string{"PROXY_USER_HEADER=X-Who"}, trust...), "", []string{"X-Who", "bob", "X-Authenticated-User", "alice"}, "proxy bob success", ""},
		{"both, otherwise written", []string{"MCP_CLIENT_AUTH_ENABLED=0", "TRUST_PROXY_AUTH=True"}, "", user("alice"), "proxy alice success", ""},
		{"empty is not set", []string{"MCP_CLIENT_AUTH_ENABLED=", "TRUST_PROXY_AUTH="}, "", user("alice"), "anonymous anonymous success", ""},
		{"environment over manifest, off", []string{"TRUST_PROXY_AUTH=false"}, trusting(), user("alice"), "anonymous anonymous success", "SECURITY"},
		{"environment over manifest, the header", []string{"PROXY_USER_HEADER=X-Who"}, trusting("proxyUserHeader: X-Me"), []string{"X-Who", "bob", "X-Me", "carol"}, "proxy bob success", ""},
		{"manifest", nil, trusting("proxyUserHeader: X-Me"), []string{"X-Me", "carol", "X-Authenticated-User", "alice"}, "proxy carol success", ""},
		{"nobody is trusted", nil, trusting("trustedProxies: []"), user("alice"), "anonymous anonymous success", ""},
		{"others are trusted", nil, trusting("trustedProxies: [10.0.0.0/8, \"fd00::/8\"]"), user("alice"), "anonymous anonymous success", ""},
		{"a preset", nil, trusting("preset: authelia"), []string{"Remote-User", "dave", "Remote-Groups", "a,b", "X-Authenticated-User", "alice"}, "proxy dave success", ""},
		{"a secret", nil, trusting("trustedProxies: []", "sharedSecret: {headerName: X-Proxy-Key, valueSecretRef: {name: proxy, key: key}}"), append(user("alice"), "X-Proxy-Key", "canary-key"), "proxy alice success", ""},
		{"a wrong secret", nil, trusting("trustedProxies: []", "sharedSecret: {headerName: X-Proxy-Key, valueSecretRef: {name: proxy, key: key}}"), append(user("alice"), "X-Proxy-Key", "guess"), "anonymous anonymous success", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			backend := testkit.Record(t, ok)
			folder := manifests(t, secretObject("proxy", "key", "canary-key")+remote("docs", backend.URL, "audit: {enabled: true}", tt.spec))
			g := testkit.StartWith(t, testkit.Options{Env: tt.env}, "serve", "-f", folder)
			call(g.MCP(), "tool", "").with(tt.headers...).do(t).wantResult(t, `{"ok":true}`)
			if err := g.Stop(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{tt.want}, who(t, g)); diff != "" {
				t.Errorf("callers in the audit (-want +got):\n%s", diff)
			}
			if n := len(lines(g.Stderr.String(), "WARN", tt.log)); tt.log != "" && n != 1 {
				t.Errorf("%d warnings with %q:\n%s", n, tt.log, g.Stderr)
			}
			if wire := backend.Wire(); strings.Contains(wire, "canary-key") || strings.Contains(wire, "alice") {
				t.Error("the proxy's header or secret reached the backend")
			}
			if strings.Contains(g.Stderr.String()+g.Stdout.String(), "canary-key") {
				t.Error("the proxy's secret is in the log or the audit")
			}
		})
	}
}

// REQ C-1: what is not a boolean, or no header, keeps the process from starting.
func TestTrustedProxyEnvironmentErrors(t *testing.T) {
	t.Parallel()
	folder := manifests(t, remote("docs", "https://mcp.example.com/mcp"))
	for _, env := range []string{"MCP_CLIENT_AUTH_ENABLED=maybe", "TRUST_PROXY_AUTH=yes please", "PROXY_USER_HEADER=X Y"} {
		name, _, _ := strings.Cut(env, "=")
		got := testkit.RunWith(t, testkit.Options{Env: []string{env}}, "serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "-f", folder)
		if got.Code != 2 || !strings.Contains(got.Stderr, name) {
			t.Errorf("%s: exit code %d, %s", env, got.Code, got.Stderr)
		}
	}
}

// REQ C-2, REQ C-4: nginx with auth_request before the gateway, and nginx with TLS
// and a prefix before that: who the check says is the caller, whatever a client writes.
func TestBehindNginx(t *testing.T) {
	t.Parallel()
	check := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session, err := r.Cookie("session")
		if err != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("X-User", strings.TrimPrefix(session.Value, "of-"))
	}))
	t.Cleanup(check.Close)
	backend := testkit.StartBackend(t, testkit.Dual)
	g := serve(t, remote("docs", backend.URL, trusting("missingHeader: reject"), "audit: {enabled: true}"))
	inner := testkit.AuthProxy(t, g.URL, check.URL)
	outer, tls := testkit.TLSProxy(t, inner, "/gate")
	for _, tt := range []struct {
		base   string
		client *http.Client
	}{{inner, httpClient(t)}, {outer, tls}} {
		for _, revision := range []string{"", "2025-11-25"} {
			client := &http.Client{Transport: withHeaders{tt.client.Transport, http.Header{
				"Cookie": {"session=of-alice"}, "X-Authenticated-User": {"mallory"},
			}}}
			useSession(t, tt.base+"/servers/docs/mcp", client, revision)
		}
		r := call(tt.base+"/servers/docs/mcp", "echo", `"text":"x"`).with("X-Authenticated-User", "mallory")
		r.via = tt.client
		if got := r.do(t); got.Status != 401 || strings.Contains(got.Body, "jsonrpc") {
			t.Errorf("without a session: %d %s", got.Status, got.Body)
		}
	}
	if got := call(g.MCP(), "echo", `"text":"x"`).do(t); got.Status != 401 {
		t.Errorf("past the proxy: status %d", got.Status)
	}
	if err := g.Stop(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"denied", "proxy alice success"}, who(t, g)); diff != "" {
		t.Errorf("callers in the audit (-want +got):\n%s", diff)
	}
}

// REQ C-2: Apache with mod_auth_openidc signs people in at a real provider.
func TestBehindApache(t *testing.T) {
	t.Parallel()
	idp := testkit.StartIdP(t)
	backend := testkit.StartBackend(t, testkit.Dual)
	g := serve(t, remote("docs", backend.URL, trusting("missingHeader: reject"), "audit: {enabled: true}"))
	proxy := testkit.OpenIDProxy(t, g.URL, idp, "alice")
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar, Transport: withHeaders{httpClient(t).Transport, http.Header{"X-Authenticated-User": {"mallory"}}}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, proxy+"/servers/docs/mcp", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/html")
	resp, err := browser.Do(req) // to the provider and back
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	for _, revision := range []string{"", "2025-11-25"} {
		useSession(t, proxy+"/servers/docs/mcp", browser, revision)
	}
	if err := g.Stop(); err != nil {
		t.Fatal(err)
	}
	if callers := fmt.Sprint(who(t, g)); !strings.Contains(callers, "proxy alice success") || strings.Contains(callers, "mallory") {
		t.Errorf("callers in the audit: %s", callers)
	}
}

// useSession connects the Go SDK and uses the session a little.
func useSession(t *testing.T, endpoint string, client *http.Client, revision string) {
	t.Helper()
	session, err := mcp.NewClient(&mcp.Implementation{Name: "e2e", Version: "1"}, nil).Connect(t.Context(),
		&mcp.StreamableClientTransport{Endpoint: endpoint, HTTPClient: client}, &mcp.ClientSessionOptions{ProtocolVersion: revision})
	if err != nil {
		t.Fatalf("%s: %v", endpoint, err)
	}
	defer session.Close()
	got, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "echo", Arguments: map[string]any{"text": odd}})
	if err != nil || got.Content[0].(*mcp.TextContent).Text != odd {
		t.Errorf("%s: %v, %v", endpoint, got, err)
	}
}

// withHeaders adds headers to every request.
type withHeaders struct {
	http.RoundTripper
	headers http.Header
}

func (w withHeaders) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	for name, values := range w.headers {
		req.Header[name] = append(req.Header[name], values...)
	}
	return w.RoundTripper.RoundTrip(req)
}

// REQ B-25: the address that clients are told is the one they used, as a trusted proxy says, and nobody else.
func TestForwardedAddress(t *testing.T) {
	t.Parallel()
	stranger := from(t, "127.0.0.2")
	xf := func(proto, host, prefix string) []string {
		return []string{"X-Forwarded-Proto", proto, "X-Forwarded-Host", host, "X-Forwarded-Prefix", prefix}
	}
	const proxies = "trustedProxy: {trustedProxies: [127.0.0.1/32]}"
	for _, tt := range []struct {
		name    string
		spec    []string
		headers []string
		via     *http.Client
		want    string // resource; "" for the gateway's own address
	}{
		{"believed", []string{"trustProxyHeaders: true", proxies}, xf("https", "gw.example.com", "/p"), nil, "https://gw.example.com/p"},
		{"with a port, and in capitals", []string{"trustProxyHeaders: true", proxies}, xf("https", "GW.example.com:8443", "/p/q/"), nil, "https://gw.example.com:8443/p/q"},
		{"by default from loopback", []string{"trustProxyHeaders: true"}, xf("https", "gw.example.com", ""), stranger, "https://gw.example.com"},
		{"of several the nearest proxy's", []string{"trustProxyHeaders: true"}, xf("http, https", "evil.example.com, gw.example.com", "/p"), nil, "https://gw.example.com/p"},
		{"not switched on", []string{proxies}, xf("https", "evil.example.com", "/p"), nil, ""},
		{"from elsewhere", []string{"trustProxyHeaders: true", proxies}, xf("https", "evil.example.com", "/p"), stranger, ""},
		{"nobody is trusted", []string{"trustProxyHeaders: true", "trustedProxy: {trustedProxies: []}"}, xf("https", "evil.example.com", "/p"), nil, ""},
		{"a prefix of its own", []string{"trustProxyHeaders: true", "endpointPrefix: /own"}, xf("https", "gw.example.com", "/p"), nil, "https://gw.example.com/own"},
		{"no scheme of ours", []string{"trustProxyHeaders: true"}, xf("javascript", "gw.example.com", ""), nil, "http://gw.example.com"},
		{"a host that is more than one", []string{"trustProxyHeaders: true"}, xf("https", "user@gw.example.com/x?y#z", "//evil.example.com"), nil, "https"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inline := `oidcConfig: {inline: {issuer: "http://127.0.0.1:1", jwksUrl: "http://127.0.0.1:1/jwks", jwksAllowPrivateIP: true, audience: a}}`
			g := serve(t, remote("docs", "http://127.0.0.1:1", append(tt.spec, inline)...))
			want := tt.want
			if want == "" {
				want = g.URL
			}
			if want == "https" {
				want = strings.Replace(g.URL, "http:", "https:", 1)
			}
			metadata := request{method: http.MethodGet, url: g.URL + "/.well-known/oauth-protected-resource/servers/docs/mcp", via: tt.via}.with(tt.headers...)
			if got := metadata.do(t); !strings.Contains(got.Body, `"resource":"`+want+`/servers/docs/mcp"`) {
				t.Errorf("metadata %s, want resource %s", got.Body, want)
			}
			r := call(at(g, "docs"), "tool", "").with(tt.headers...)
			r.via = tt.via
			if got := r.do(t).Header.Get("Www-Authenticate"); !strings.Contains(got, `resource_metadata="`+want+`/.well-known/oauth-protected-resource/servers/docs/mcp"`) {
				t.Errorf("challenge %s, want metadata at %s", got, want)
			}
		})
	}
}

// REQ B-25, REQ G-7: on every surface the challenge leads to the address that a trusted proxy says, and from there to
// the surface's own.
func TestForwardedAddressOfEverySurface(t *testing.T) {
	t.Parallel()
	inline := `oidcConfig: {inline: {issuer: "https://idp.example.com", audience: a}}`
	g := serve(t, remote("docs", "http://127.0.0.1:1", "trustProxyHeaders: true", inline))
	stream := []string{"Accept", "text/event-stream"}
	for _, endpoint := range []string{"/servers/docs", ""} {
		for _, s := range []struct {
			name string
			request
		}{
			{"modern POST", call(g.URL+endpoint+"/mcp", "tool", "")},
			{"initialize", initialization(g.URL + endpoint + "/mcp")},
			{"GET", request{method: http.MethodGet, url: g.URL + endpoint + "/mcp"}.with(stream...)},
			{"DELETE", request{method: http.MethodDelete, url: g.URL + endpoint + "/mcp"}.with("Mcp-Session-Id", "x")},
			{"HTTP+SSE", request{method: http.MethodGet, url: g.URL + endpoint + "/sse"}.with(stream...)},
			{"HTTP+SSE messages", message(g.URL+endpoint+"/messages?session=x", `{"jsonrpc":"2.0","id":1,"method":"ping"}`)},
		} {
			got := s.request.with("X-Forwarded-Proto", "https", "X-Forwarded-Host", "gw.example.com", "X-Forwarded-Prefix", "/p").try(t)
			surface := "/mcp"
			if s.name == "HTTP+SSE" {
				surface = "/sse"
			}
			want := `resource_metadata="https://gw.example.com/p/.well-known/oauth-protected-resource` + endpoint + surface + `"`
			if challenge := got.Header.Get("Www-Authenticate"); got.Status != 401 || !strings.Contains(challenge, want) {
				t.Errorf("%s at %s: %d %s, want %s", s.name, endpoint, got.Status, challenge, want)
			}
		}
		metadata := request{method: http.MethodGet, url: g.URL + "/.well-known/oauth-protected-resource" + endpoint + "/mcp"}.
			with("X-Forwarded-Proto", "https", "X-Forwarded-Host", "gw.example.com", "X-Forwarded-Prefix", "/p").do(t)
		if want := `"resource":"https://gw.example.com/p` + endpoint + `/mcp"`; !strings.Contains(metadata.Body, want) {
			t.Errorf("metadata %s, want %s", metadata.Body, want)
		}
	}
}

// REQ C-5, REQ C-8: a signed assertion on every surface, which is believed from any address, and no other one.
func TestAssertions(t *testing.T) {
	t.Parallel()
	issuer := testkit.NewIssuer(t)
	sign := func(changes map[string]any) []string {
		claims := issuer.Claims("/projects/1/apps/a", map[string]any{"iss": "https://cloud.google.com/iap"})
		maps.Copy(claims, changes)
		return []string{"X-Goog-Iap-Jwt-Assertion", issuer.Sign(nil, claims)}
	}
	backend := testkit.Record(t, sessionBackend("backend-session"))
	g := serve(t, remote("docs", backend.URL, "audit: {enabled: true}", trusting("missingHeader: reject", "trustedProxies: []",
		"assertion: {preset: google-iap, audience: /projects/1/apps/a, allowPrivateIPs: true, keysUrl: "+issuer.URL+"/jwks}")))
	good := sign(nil)
	for _, s := range surfaces(g) {
		for _, tt := range []struct {
			name    string
			headers []string
			status  int // 0 as the surface has it for who may in
		}{
			{"good", good, 0},
			{"none", nil, 401},
			{"a plain header", user("mallory"), 401},
			{"another application's", sign(map[string]any{"aud": "/projects/1/apps/b"}), 401},
			{"expired", sign(map[string]any{"exp": 1}), 401},
			{"as a token", bearer(good[1]), 401},
			{"doubled", append(sign(nil), good...), 400},
		} {
			t.Run(s.name+"/"+tt.name, func(t *testing.T) {
				want := tt.status
				if want == 0 {
					want = s.ok
				}
				if got := s.request(t, good...).with(tt.headers...).try(t); got.Status != want {
					t.Errorf("status %d, want %d: %s", got.Status, want, got.Body)
				}
			})
		}
	}
	for _, headers := range [][]string{good, nil, user("mallory")} {
		socket, _, err := dialSocket(t, nil, g.URL+"/servers/docs/ws", headers...)
		if err != nil {
			t.Fatal(err)
		}
		if len(headers) == 0 || headers[0] != good[0] {
			socket.wantClosed(t, websocket.StatusPolicyViolation, "authentication is required")
			continue
		}
		socket.say(t, call("", "tool", "").body)
		if got := socket.hear(t); !strings.Contains(got, `"result"`) {
			t.Errorf("WebSocket: %s", got)
		}
	}
	if strings.Contains(backend.Wire(), good[1]) || strings.Contains(g.Stderr.String(), good[1]) {
		t.Error("the assertion is in the log, or reached the backend")
	}
	if err := g.Stop(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"assertion alice success", "denied"}, who(t, g)); diff != "" {
		t.Errorf("callers in the audit (-want +got):\n%s", diff)
	}
}
