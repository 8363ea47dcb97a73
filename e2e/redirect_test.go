package e2e_test

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// credentials are manifest lines that show the backend a credential of each kind.
const credentials = `passthroughHeaders: [X-Tenant]
  headerForward: {addPlaintextHeaders: {X-Plain: plain}, addHeadersFromSecret: [{headerName: X-Secret, valueSecretRef: {name: s, key: k}}]}
  externalAuthConfigRef: {name: auth}
`

// credentialObjects are the objects that credentials refers to.
var credentialObjects = secretObject("s", "k", "secret", "token", "bearer") +
	object("MCPExternalAuthConfig", "auth", "type: bearerToken", "bearerToken: {tokenSecretRef: {name: s, key: token}}")

// shown are the credentials in a request that reached some origin.
func shown(h http.Header) map[string]string {
	got := map[string]string{}
	for _, name := range []string{"X-Tenant", "X-Plain", "X-Secret", "Authorization", "Mcp-Session-Id"} {
		if v := h.Get(name); v != "" {
			got[name] = v
		}
	}
	return got
}

var allShown = map[string]string{"X-Tenant": "acme", "X-Plain": "plain", "X-Secret": "secret", "Authorization": "Bearer bearer"}

// redirector answers with the status and Location in its query, and with a result at /end.
func redirector(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/end" {
		sessionBackend("issued-here")(w, r)
		return
	}
	if loc := r.URL.Query().Get("to"); loc != "" {
		w.Header().Set("Location", loc)
	}
	status, _ := strconv.Atoi(r.URL.Query().Get("status"))
	w.WriteHeader(status)
}

// redirecting is a URL at base that answers with a redirect.
func redirecting(base string, status int, to string) string {
	return fmt.Sprintf("%s/start?status=%d&to=%s", base, status, strings.NewReplacer(":", "%3A", "/", "%2F", "?", "%3F", "&", "%26", "@", "%40").Replace(to))
}

// REQ A-4: method and body survive; the hop is logged with from, to and status, and counted.
func TestRedirectsAreFollowed(t *testing.T) {
	t.Parallel()
	backend := testkit.Record(t, redirector)
	other := testkit.Record(t, redirector)
	docs := credentialObjects
	for _, status := range []int{301, 302, 307, 308} {
		docs += remote(fmt.Sprintf("same-%d", status), redirecting(backend.URL, status, "/end?secret=query"), credentials) +
			remote(fmt.Sprintf("other-%d", status), redirecting(backend.URL, status, other.URL+"/end?secret=query"), credentials)
	}
	docs += remote("relative", redirecting(backend.URL, 307, "end"), credentials) +
		remote("no-scheme", redirecting(backend.URL, 307, strings.TrimPrefix(other.URL, "http:")+"/end"), credentials)
	g := serve(t, docs)
	for _, tt := range []struct {
		name   string
		target *testkit.Recorder
		shown  map[string]string
	}{
		{"same-301", backend, allShown},
		{"same-302", backend, allShown},
		{"same-307", backend, allShown},
		{"same-308", backend, allShown},
		{"other-301", other, map[string]string{}}, // REQ A-5: another port is another origin
		{"other-302", other, map[string]string{}},
		{"other-307", other, map[string]string{}},
		{"other-308", other, map[string]string{}},
		{"relative", backend, allShown},
		{"no-scheme", other, map[string]string{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			backend.Reset()
			other.Reset()
			sent := call(at(g, tt.name), "tool", `"a":1`).with("X-Tenant", "acme")
			sent.do(t).wantResult(t, `{"ok":true}`)
			all := tt.target.Requests()
			got := all[len(all)-1]
			if got.Method != http.MethodPost || string(got.Body) != sent.body || !strings.HasPrefix(got.Target, "/end") {
				t.Errorf("the target got %s %s with %s", got.Method, got.Target, got.Body)
			}
			for _, name := range []string{"Content-Type", "Accept", "Mcp-Protocol-Version", "Mcp-Method", "Mcp-Name"} {
				if got.Header.Get(name) != sent.header.Get(name) {
					t.Errorf("the target got %s: %q, want %q", name, got.Header.Get(name), sent.header.Get(name))
				}
			}
			if got.Host != strings.TrimPrefix(tt.target.URL, "http://") { // REQ A-6
				t.Errorf("Host %q at %s", got.Host, tt.target.URL)
			}
			if diff := cmp.Diff(tt.shown, shown(got.Header)); diff != "" {
				t.Errorf("credentials at the target (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(allShown, shown(backend.Requests()[0].Header)); diff != "" {
				t.Errorf("credentials at the backend (-want +got):\n%s", diff)
			}
			wantLines(t, g, 1, "WARN", "server="+tt.name, "from="+backend.URL+"/start", "to="+tt.target.URL+"/end", "status=")
			if n := g.Metric(t, "sallyport_redirects_followed_total", `server="`+tt.name+`"`); n != 1 {
				t.Errorf("%v redirects counted, want 1", n)
			}
		})
	}
	wantLines(t, g, 1, "WARN", "server=same-308", "status=308")
	if n := g.Metric(t, "sallyport_redirects_followed_total", `server="same-308"`, `status="308"`); n != 1 {
		t.Errorf("%v redirects with 308 counted, want 1", n)
	}
	if strings.Contains(g.Stderr.String(), "secret=query") {
		t.Error("the query of a redirect is in the log")
	}
}

// REQ A-4, REQ A-5: what may not be followed is a 502 that says why, and the target hears nothing.
func TestRedirectsAreRefused(t *testing.T) {
	t.Parallel()
	backend := testkit.Record(t, redirector)
	port := backend.URL[strings.LastIndex(backend.URL, ":"):]
	for _, tt := range []struct {
		name   string
		status int
		to     string
		lines  []string
		says   string
	}{
		{"see-other", 303, "/end", nil, "303"},
		{"multiple-choices", 300, "/end", nil, "300"},
		{"not-modified", 304, "", nil, "304"},
		{"use-proxy", 305, "/end", nil, "305"},
		{"no-location", 307, "", nil, ""},
		{"other-host", 307, "http://localhost" + port + "/end", nil, "redirects.allowedHosts"},
		{"other-host-allowed-another", 307, "http://localhost" + port + "/end", []string{"redirects: {allowedHosts: [example.com, notlocalhost]}"}, "redirects.allowedHosts"},
		{"userinfo", 307, "http://canaryuser:canarypass@127.0.0.1" + port + "/end", nil, ""},
		{"ftp", 307, "ftp://127.0.0.1" + port + "/end", nil, ""},
		{"file", 307, "file:///etc/passwd", nil, ""},
		{"unreadable", 307, "http://127.0.0.1:99999999/end", nil, ""},
		{"metadata", 307, "http://169.254.169.254/end", []string{"redirects: {allowedHosts: [169.254.169.254]}"}, "address"},
		{"metadata-not-allowed", 307, "http://169.254.169.254/end", nil, "redirects.allowedHosts"},
		{"link-local", 307, "http://169.254.1.1/end", []string{"redirects: {allowedHosts: [169.254.1.1]}"}, "address"},
		{"unspecified", 307, "http://0.0.0.0" + port + "/end", []string{"redirects: {allowedHosts: [0.0.0.0]}"}, "address"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			backend := testkit.Record(t, redirector)
			g := serve(t, credentialObjects+remote("r", redirecting(backend.URL, tt.status, strings.ReplaceAll(tt.to, port, backend.URL[strings.LastIndex(backend.URL, ":"):])), append([]string{credentials}, tt.lines...)...))
			message := call(g.MCP(), "tool", "").do(t).wantError(t, http.StatusBadGateway, -32603, "7")
			if !strings.Contains(message, tt.says) {
				t.Errorf("message %q does not name %q", message, tt.says)
			}
			if strings.Contains(message+g.Stderr.String(), "canary") {
				t.Errorf("a credential in a Location is in the error or the log: %s", message)
			}
			if n := len(backend.Requests()); n != 1 {
				t.Errorf("the backend got %d requests, want 1", n)
			}
			if tt.says == "address" {
				wantLines(t, g, 1, "WARN", "request failed", "reason=refused_address")
				return
			}
			wantLines(t, g, 1, "WARN", "request failed", "reason=redirect")
			if g.Metric(t, "sallyport_redirects_followed_total") != 0 {
				t.Error("a refused redirect was counted as followed")
			}
		})
	}
}

// REQ A-5: redirects.allowedHosts opens another host, without credentials; host names are compared without case.
func TestRedirectToAllowedHost(t *testing.T) {
	t.Parallel()
	backend := testkit.Record(t, redirector)
	target := strings.Replace(backend.URL, "127.0.0.1", "LocalHost", 1) + "/end"
	g := serve(t, credentialObjects+remote("r", redirecting(backend.URL, 307, target), credentials, "redirects: {allowedHosts: [localhost]}"))
	call(g.MCP(), "tool", "").with("X-Tenant", "acme").do(t).wantResult(t, `{"ok":true}`)
	got := backend.Requests()[1]
	if len(shown(got.Header)) != 0 || !strings.EqualFold(got.Host, strings.TrimPrefix(strings.TrimSuffix(target, "/end"), "http://")) {
		t.Errorf("another host name got Host %q and %v", got.Host, shown(got.Header))
	}
}

// REQ A-4: at most ten hops, and no loop.
func TestRedirectLoop(t *testing.T) {
	t.Parallel()
	backend := testkit.Record(t, func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.URL.Query().Get("n"))
		switch {
		case r.URL.Path == "/loop":
			w.Header().Set("Location", "/loop")
		case err == nil && n > 0:
			w.Header().Set("Location", fmt.Sprintf("/mcp?n=%d", n-1))
		default:
			ok(w, r)
			return
		}
		w.WriteHeader(http.StatusPermanentRedirect)
	})
	g := serve(t, remote("ten", backend.URL+"/mcp?n=10")+remote("eleven", backend.URL+"/mcp?n=11")+remote("loop", backend.URL+"/loop"))
	call(at(g, "ten"), "tool", "").do(t).wantResult(t, `{"ok":true}`)
	if n := len(backend.Requests()); n != 11 {
		t.Errorf("%d requests for ten hops, want 11", n)
	}
	backend.Reset()
	call(at(g, "eleven"), "tool", "").do(t).wantError(t, http.StatusBadGateway, -32603, "7")
	if n := len(backend.Requests()); n > 11 {
		t.Errorf("%d requests, want at most 11", n)
	}
	backend.Reset()
	message := call(at(g, "loop"), "tool", "").do(t).wantError(t, http.StatusBadGateway, -32603, "7")
	if n := len(backend.Requests()); n > 2 || !strings.Contains(message, "loop") {
		t.Errorf("%d requests in a loop, message %q", n, message)
	}
	wantLines(t, g, 1, "WARN", "request failed", "server=loop")
	wantLines(t, g, 10, "WARN", "server=ten", "status=308")
}

// tlsBackend is a backend over HTTPS (HTTP/2 where asked), and the manifest of the ConfigMap "ca" that vouches for it.
func tlsBackend(t *testing.T, h2 bool, handler http.HandlerFunc) (url, configMap string) {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.EnableHTTP2 = h2
	s.StartTLS()
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	configMap = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: ca}\ndata:\n  ca.crt: |\n"
	for line := range strings.Lines(string(cert)) {
		configMap += "    " + line
	}
	return s.URL, configMap
}

const caBundle = "caBundleRef: {configMapRef: {name: ca, key: ca.crt}}"

// REQ A-5: from https to http only where allowDowngrade says so (an API gateway that answers https with
// a 307 to http), and from http to https always; never with a credential.
func TestRedirectBetweenSchemes(t *testing.T) {
	t.Parallel()
	plain := testkit.Record(t, redirector)
	secureShown := make(chan map[string]string, 10)
	secure, ca := tlsBackend(t, true, func(w http.ResponseWriter, r *http.Request) {
		secureShown <- shown(r.Header)
		redirector(w, r)
	})
	g := serve(t, ca+credentialObjects+
		remote("down-refused", redirecting(secure, 307, plain.URL+"/end"), credentials, caBundle)+
		remote("down-allowed", redirecting(secure, 307, plain.URL+"/end"), credentials, caBundle, "redirects: {allowDowngrade: true}")+
		remote("up", redirecting(plain.URL, 307, secure+"/end"), credentials, caBundle)+
		remote("tls", secure+"/end", credentials, caBundle)+
		remote("untrusted", secure+"/end", credentials))
	send := func(name string) reply { return call(at(g, name), "tool", "").with("X-Tenant", "acme").do(t) }

	if message := send("down-refused").wantError(t, http.StatusBadGateway, -32603, "7"); !strings.Contains(message, "redirects.allowDowngrade") {
		t.Errorf("message %q does not name redirects.allowDowngrade", message)
	}
	if n := len(plain.Requests()); n != 0 {
		t.Errorf("a refused downgrade reached the target %d times", n)
	}
	if diff := cmp.Diff(allShown, <-secureShown); diff != "" {
		t.Errorf("credentials at the https backend (-want +got):\n%s", diff)
	}

	send("down-allowed").wantResult(t, `{"ok":true}`)
	<-secureShown
	if got := plain.Requests(); len(got) != 1 || len(shown(got[0].Header)) != 0 {
		t.Errorf("after a downgrade %d requests, the first with %v", len(got), shown(got[0].Header))
	}

	send("up").wantResult(t, `{"ok":true}`)
	if got := <-secureShown; len(got) != 0 {
		t.Errorf("after an upgrade the target was shown %v", got)
	}

	send("tls").wantResult(t, `{"ok":true}`)
	if diff := cmp.Diff(allShown, <-secureShown); diff != "" {
		t.Errorf("credentials over https (-want +got):\n%s", diff)
	}
	send("untrusted").wantError(t, http.StatusBadGateway, -32603, "7")
	if len(secureShown) != 0 {
		t.Error("a backend without a trusted certificate got a request")
	}
}

// REQ A-5: a session id goes to the origin that issued it and to no other.
func TestRedirectKeepsSessionsApart(t *testing.T) {
	t.Parallel()
	target := testkit.Record(t, redirector)
	var away atomic.Bool
	backend := testkit.Record(t, func(w http.ResponseWriter, r *http.Request) {
		if away.Load() || bodyOf(r).Method == "initialize" && r.URL.Query().Get("first") != "" {
			http.Redirect(w, r, target.URL+"/end", http.StatusTemporaryRedirect)
			return
		}
		sessionBackend("of-the-backend")(w, r)
	})
	g := serve(t, remote("moved", backend.URL+"/mcp?first=1")+remote("stays", backend.URL+"/mcp"))

	moved := initialize(t, at(g, "moved")) // its session is the redirect target's
	legacy(at(g, "moved"), "tools/list", "").with("Mcp-Session-Id", moved).do(t)
	for _, r := range backend.Requests() {
		if id := r.Header.Get("Mcp-Session-Id"); id != "" {
			t.Errorf("the backend got session %q of another origin", id)
		}
	}

	stays := initialize(t, at(g, "stays")) // its session is the backend's
	away.Store(true)
	backend.Reset()
	target.Reset()
	for _, r := range []request{
		legacy(at(g, "stays"), "tools/list", ""),
		{method: http.MethodDelete, url: at(g, "stays")},
	} {
		r.with("Mcp-Session-Id", stays).do(t)
	}
	legacy(at(g, "moved"), "tools/list", "").with("Mcp-Session-Id", moved).do(t)
	var atBackend, atTarget []string
	for _, r := range backend.Requests() {
		atBackend = append(atBackend, r.Header.Get("Mcp-Session-Id"))
	}
	for _, r := range target.Requests() {
		atTarget = append(atTarget, r.Method+" "+r.Header.Get("Mcp-Session-Id"))
	}
	if diff := cmp.Diff([]string{"of-the-backend", "of-the-backend", ""}, atBackend); diff != "" {
		t.Errorf("sessions at the backend (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"POST ", "DELETE ", "POST issued-here"}, atTarget); diff != "" {
		t.Errorf("requests and sessions at the target (-want +got):\n%s", diff)
	}
}

// REQ A-4, REQ F-1: a real client gets all its lists through a 307, as a session and statelessly; its GET
// stream and its DELETE are redirected too.
func TestRedirectWithRealClient(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		era      testkit.Era
		revision string
	}{{testkit.Sessions, "2025-11-25"}, {testkit.Stateless, "2026-07-28"}} {
		t.Run(tt.revision, func(t *testing.T) {
			t.Parallel()
			backend := testkit.StartBackend(t, tt.era)
			front := testkit.Record(t, func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, backend.URL, http.StatusTemporaryRedirect)
			})
			g := serve(t, remote("r", front.URL+"/mcp"))
			c := mcp.NewClient(&mcp.Implementation{Name: "e2e", Version: "1"}, nil)
			transport := &mcp.StreamableClientTransport{Endpoint: g.MCP(), HTTPClient: client}
			s, err := c.Connect(t.Context(), transport, &mcp.ClientSessionOptions{ProtocolVersion: tt.revision})
			if err != nil {
				t.Fatal(err)
			}
			if got := s.InitializeResult().ProtocolVersion; got != tt.revision {
				t.Errorf("revision %s, want %s", got, tt.revision)
			}
			tools, err := s.ListTools(t.Context(), nil)
			if err != nil || len(tools.Tools) == 0 {
				t.Errorf("tools/list: %v", err)
			}
			prompts, err := s.ListPrompts(t.Context(), nil)
			if err != nil || len(prompts.Prompts) == 0 {
				t.Errorf("prompts/list: %v", err)
			}
			resources, err := s.ListResources(t.Context(), nil)
			if err != nil || len(resources.Resources) == 0 {
				t.Errorf("resources/list: %v", err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			methods := map[string]bool{}
			for _, r := range front.Requests() {
				methods[r.Method] = true
			}
			if tt.era == testkit.Sessions && (!methods["GET"] || !methods["DELETE"]) {
				t.Errorf("methods that were redirected: %v", methods)
			}
		})
	}
}
