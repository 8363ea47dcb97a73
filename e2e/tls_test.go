package e2e_test

import (
	"crypto/tls"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// tlsFolder writes a certificate for the gateway, and returns the flags for it.
func tlsFolder(t *testing.T, ca *testkit.Authority) (folder string, flags []string) {
	t.Helper()
	folder = t.TempDir()
	cert, key := ca.Server(t, time.Now().Add(time.Hour))
	put(t, folder, "tls.crt", cert)
	put(t, folder, "tls.key", key)
	return folder, []string{"--tls-cert", filepath.Join(folder, "tls.crt"), "--tls-key", filepath.Join(folder, "tls.key")}
}

func put(t *testing.T, folder, name, text string) string {
	t.Helper()
	path := filepath.Join(folder, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// tlsClient trusts an authority, and shows certificates.
func tlsClient(t *testing.T, ca *testkit.Authority, h2 bool, certs ...tls.Certificate) *http.Client {
	t.Helper()
	cfg := &tls.Config{RootCAs: ca.Pool()}
	if len(certs) > 0 { // whatever authorities the gateway says it knows
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certs[0], nil }
	}
	transport := &http.Transport{TLSClientConfig: cfg, ForceAttemptHTTP2: h2}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// by sends a request through a client.
func (r request) by(c *http.Client) request {
	r.via = c
	return r
}

// The gateway's own TLS, in HTTP/1.1 and HTTP/2, with clients of both kinds of session.
func TestTLS(t *testing.T) {
	t.Parallel()
	ca := testkit.NewAuthority(t, "ca")
	_, flags := tlsFolder(t, ca)
	backend := testkit.StartBackend(t, testkit.Dual)
	g := serve(t, idpOf("https://idp.example.com")+remote("docs", backend.URL)+remote("closed", backend.URL, ofIDP("a")), flags...)
	if !strings.HasPrefix(g.URL, "https://") {
		t.Errorf("the log says it serves at %s", g.URL)
	}
	for _, h2 := range []bool{false, true} {
		client := tlsClient(t, ca, h2)
		for _, revision := range []string{"", "2025-11-25"} {
			useSession(t, at(g, "docs"), client, revision)
		}
		resp := call(at(g, "docs"), "echo", `"text":"x"`).by(client).open(t.Context(), t)
		if want := map[bool]int{false: 1, true: 2}[h2]; resp.ProtoMajor != want || resp.StatusCode != 200 {
			t.Errorf("%s %d, want HTTP/%d", resp.Proto, resp.StatusCode, want)
		}
		if s, _, err := dialSocket(t, client, g.URL+"/servers/docs/ws"); !h2 { // by HTTP/2 Go's client opens none
			if err != nil {
				t.Fatal(err)
			}
			s.begin(t)
		}
		front := openFrontBy(t, client, g.URL+"/servers/docs/sse")
		if !strings.Contains(front, "/servers/docs/messages?session=") {
			t.Errorf("HTTP+SSE begins with %q", front)
		}
		challenge := call(at(g, "closed"), "echo", "").by(client).do(t).Header.Get("Www-Authenticate")
		if !strings.Contains(challenge, `resource_metadata="`+g.URL+"/") {
			t.Errorf("the challenge leads to another address: %s", challenge)
		}
	}
	socket, _, err := dialSocket(t, tlsClient(t, ca, false), g.URL+"/servers/docs/ws")
	if err != nil {
		t.Fatal(err)
	}
	socket.say(t, call("", "echo", `"text":"by socket"`).body)
	if got := socket.hear(t); !strings.Contains(got, "by socket") {
		t.Errorf("WebSocket: %s", got)
	}
	old := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool(), MaxVersion: tls.VersionTLS11}}} //nolint:gosec // to be refused
	if resp, err := old.Get(at(g, "docs")); err == nil {
		resp.Body.Close()
		t.Error("TLS 1.1 is served")
	}
	plain := call(strings.Replace(at(g, "docs"), "https:", "http:", 1), "echo", "").do(t)
	if plain.Status != http.StatusBadRequest {
		t.Errorf("plain HTTP: status %d", plain.Status)
	}
}

// idpOf is an issuer that nobody asks.
func idpOf(issuer string) string {
	return object("MCPOIDCConfig", "idp", "type: inline", "inline: {issuer: "+issuer+"}")
}

// openFrontBy is the first event of a stream of HTTP+SSE.
func openFrontBy(t *testing.T, client *http.Client, url string) string {
	t.Helper()
	resp := request{method: http.MethodGet, url: url}.with("Accept", "text/event-stream").by(client).open(t.Context(), t)
	event, err := readEvents(resp.Body).next()
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return event
}

// A renewed certificate is shown from now on; a broken one is not, and the log says so.
func TestTLSRenewal(t *testing.T) {
	t.Parallel()
	ca, later := testkit.NewAuthority(t, "ca"), testkit.NewAuthority(t, "later")
	folder, flags := tlsFolder(t, ca)
	backend := testkit.Record(t, ok)
	g := serve(t, remote("docs", backend.URL), flags...)
	works := func(ca *testkit.Authority) {
		t.Helper()
		call(g.MCP(), "tool", "").by(tlsClient(t, ca, true)).do(t).wantResult(t, `{"ok":true}`)
	}
	works(ca)
	put(t, folder, "tls.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
	g.Signal(t, syscall.SIGHUP)
	g.Stderr.WaitFor(t, "TLS certificate not renewed, the old one goes on")
	works(ca)
	cert, key := later.Server(t, time.Now().Add(time.Hour))
	put(t, folder, "tls.key", key)
	put(t, folder, "tls.crt", cert)
	g.Stderr.WaitFor(t, "TLS certificate renewed") // without a signal
	works(later)
	if secret := strings.Split(key, "\n")[1]; strings.Contains(g.Stderr.String(), secret) {
		t.Error("the key is in the log")
	}
}

func TestTLSErrors(t *testing.T) {
	t.Parallel()
	ca := testkit.NewAuthority(t, "ca")
	folder, flags := tlsFolder(t, ca)
	docs := manifests(t, remote("docs", "https://mcp.example.com/mcp"))
	empty := put(t, folder, "empty", "")
	for name, tt := range map[string]struct {
		flags []string
		want  []string
	}{
		"no key":          {flags[:2], []string{"--tls-key is missing"}},
		"no certificate":  {flags[2:], []string{"--tls-cert is missing"}},
		"authority alone": {[]string{"--tls-client-ca", empty}, []string{"--tls-cert is missing"}},
		"no such file":    {append([]string{"--tls-cert", folder + "/none"}, flags[2:]...), []string{folder + "/none", "no such file"}},
		"an empty file":   {append([]string{"--tls-client-ca", empty}, flags...), []string{empty, "holds no certificate", "put"}},
	} {
		got := testkit.Run(t, append([]string{"serve", "--listen", "127.0.0.1:0", "--admin-listen", "", "-f", docs}, tt.flags...)...)
		if got.Code != 2 {
			t.Errorf("%s: exit code %d", name, got.Code)
		}
		for _, want := range tt.want {
			if !strings.Contains(got.Stderr, want) {
				t.Errorf("%s: %q is not in %s", name, want, got.Stderr)
			}
		}
	}
}

// REQ C-4: callers by client certificate; a proxy that proves itself by one; and one
// authority's certificates are nothing to an endpoint of another.
func TestClientCertificates(t *testing.T) {
	t.Parallel()
	ca, teams, strangers := testkit.NewAuthority(t, "ca"), testkit.NewAuthority(t, "teams"), testkit.NewAuthority(t, "strangers")
	folder, flags := tlsFolder(t, ca)
	flags = append(flags, "--tls-client-ca", put(t, folder, "ca.crt", ca.PEM+teams.PEM))
	idp := testkit.NewIssuer(t)
	backend := testkit.Record(t, ok)
	bundle := "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: teams}\ndata:\n  ca.crt: |\n    " + strings.ReplaceAll(strings.TrimSpace(teams.PEM), "\n", "\n    ") + "\n"
	audited := "audit: {enabled: true}"
	g := serve(t, bundle+
		remote("any", backend.URL, audited, "clientCertificate: {}")+
		remote("teams", backend.URL, audited, "clientCertificate: {caBundleRef: {configMapRef: {name: teams}}}")+
		remote("either", backend.URL, audited, "clientCertificate: {}",
			"oidcConfig: {inline: {issuer: "+idp.URL+", jwksAllowPrivateIP: true, audience: a}}")+
		remote("proxied", backend.URL, audited, trusting("trustedProxies: []", "certificates: [envoy]", "missingHeader: reject")),
		flags...)
	none := tlsClient(t, ca, true)
	robot, teamBot, envoy := tlsClient(t, ca, true, ca.Client(t, "robot")), tlsClient(t, ca, true, teams.Client(t, "team-bot")), tlsClient(t, ca, true, ca.Client(t, "envoy"))
	for _, tt := range []struct {
		server, who string
		client      *http.Client
		headers     []string
		want        int
	}{
		{"any", "nobody", none, nil, 401},
		{"any", "robot", robot, nil, 200},
		{"any", "team bot", teamBot, nil, 200},
		{"teams", "nobody", none, nil, 401},
		{"teams", "robot", robot, nil, 401},
		{"teams", "team bot", teamBot, nil, 200},
		{"either", "nobody", none, nil, 401},
		{"either", "robot", robot, nil, 200},
		{"either", "alice by token", none, bearer(idp.Sign(nil, idp.Claims("a", nil))), 200},
		{"either", "robot with a bad token", robot, bearer("garbage"), 401},
		{"proxied", "nobody", none, user("mallory"), 401},
		{"proxied", "robot", robot, user("mallory"), 401},
		{"proxied", "envoy", envoy, user("bob"), 200},
		{"proxied", "envoy alone", envoy, nil, 401},
	} {
		if got := call(at(g, tt.server), "tool", "").with(tt.headers...).by(tt.client).do(t); got.Status != tt.want {
			t.Errorf("%s at %s: status %d, want %d: %s", tt.who, tt.server, got.Status, tt.want, got.Body)
		}
	}
	for _, tt := range []struct {
		client *http.Client
		good   bool
	}{{tlsClient(t, ca, false, ca.Client(t, "robot")), true}, {tlsClient(t, ca, false), false}} {
		socket, _, err := dialSocket(t, tt.client, g.URL+"/servers/any/ws")
		if err != nil {
			t.Fatal(err)
		}
		if !tt.good {
			socket.wantClosed(t, websocket.StatusPolicyViolation, "authentication is required")
			continue
		}
		socket.say(t, call("", "tool", "").body)
		if got := socket.hear(t); !strings.Contains(got, `"ok":true`) {
			t.Errorf("WebSocket: %s", got)
		}
	}
	if resp, err := tlsClient(t, ca, true, strangers.Client(t, "robot")).Get(at(g, "any")); err == nil {
		resp.Body.Close()
		t.Errorf("a stranger's certificate: status %d, want no connection", resp.StatusCode)
	}
	if err := g.Stop(); err != nil {
		t.Fatal(err)
	}
	want := []string{"certificate robot success", "certificate team-bot success", "denied", "jwt alice success", "proxy bob success"}
	if diff := cmp.Diff(want, who(t, g)); diff != "" {
		t.Errorf("callers in the audit (-want +got):\n%s", diff)
	}
}

// Without --tls-client-ca nobody comes in by certificate, and the log says why.
func TestClientCertificatesUnverified(t *testing.T) {
	t.Parallel()
	g := serve(t, remote("docs", "http://127.0.0.1:1", "clientCertificate: {}")+
		remote("proxied", "http://127.0.0.1:1", trusting("certificates: [envoy]")))
	wantLines(t, g, 2, "WARN", "--tls-client-ca")
	if got := call(at(g, "docs"), "tool", "").do(t); got.Status != 401 {
		t.Errorf("status %d", got.Status)
	}
}
