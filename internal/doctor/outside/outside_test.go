package outside_test

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/doctor"
	"github.com/sallyport-dev/sallyport/internal/doctor/outside"
	"github.com/sallyport-dev/sallyport/internal/secret"
	"github.com/sallyport-dev/sallyport/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// site is a gateway with what is before it and behind it.
type site struct {
	gateway, guarded *testkit.Gateway // guarded asks for an admin token
	tokens           map[string]string
}

// issuers are those of the endpoints that ask for tokens, and what is wrong with each.
func issuers() map[string]func(m map[string]any) {
	return map[string]func(map[string]any){
		"docs":        nil,
		"down":        func(m map[string]any) { m["status"] = 503 },
		"other":       func(m map[string]any) { m["issuer"] = "https://elsewhere.example.com" },
		"keyless":     func(m map[string]any) { m["keys"] = "{}" },
		"plainless":   func(m map[string]any) { m["token_endpoint"] = "http://idp.example.com/token" },
		"no-pkce":     func(m map[string]any) { delete(m, "code_challenge_methods_supported") },
		"no-register": func(m map[string]any) { delete(m, "registration_endpoint") },
	}
}

// startSite starts a gateway with an endpoint for each issuer, one that asks nobody, and
// two that believe a proxy.
func startSite(t *testing.T) *site {
	t.Helper()
	backend := testkit.StartBackend(t, testkit.Dual)
	s := &site{tokens: map[string]string{}}
	manifests := remote("open", backend.URL, "trustProxyHeaders: true") +
		remote("strict", backend.URL, "trustedProxy: {clientAuthEnabled: false, trustProxyAuth: true, missingHeader: reject}") +
		remote("lax", backend.URL, "trustedProxy: {clientAuthEnabled: false, trustProxyAuth: true}")
	for name, change := range issuers() {
		issuer := testkit.NewIssuer(t)
		issuer.Answer(metadata(issuer, change))
		manifests += remote(name, backend.URL, "trustProxyHeaders: true",
			fmt.Sprintf("oidcConfig: {type: inline, inline: {issuer: %q, audience: %s, jwksUrl: %q, jwksAllowPrivateIP: true}}", issuer.URL, name, issuer.URL+"/jwks"))
		s.tokens[name] = issuer.Sign(nil, issuer.Claims(name, nil))
	}
	file := filepath.Join(t.TempDir(), "site.yaml")
	if err := os.WriteFile(file, []byte(manifests), 0o600); err != nil {
		t.Fatal(err)
	}
	admin := filepath.Join(t.TempDir(), "admin")
	if err := os.WriteFile(admin, []byte("admin-canary-of-32-characters-abc\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.gateway = testkit.Start(t, "serve", "-f", file, "--heartbeat", "50ms", "--debug-pprof")
	s.guarded = testkit.Start(t, "serve", "-f", file, "--heartbeat", "0s", "--max-body-bytes", "1MiB", "--admin-token-file", admin)
	return s
}

// metadata answers as an issuer whose document is changed so.
func metadata(i *testkit.Issuer, change func(map[string]any)) http.HandlerFunc {
	m := map[string]any{
		"issuer": i.URL, "jwks_uri": i.URL + "/keys", "authorization_endpoint": i.URL + "/authorize", "token_endpoint": i.URL + "/token",
		"registration_endpoint": i.URL + "/register", "code_challenge_methods_supported": []string{"S256"},
	}
	if change != nil {
		change(m)
	}
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch keys, changed := m["keys"].(string); {
		case strings.HasPrefix(r.URL.Path, "/.well-known/"):
			if status, ok := m["status"].(int); ok {
				w.WriteHeader(status)
			}
			_ = json.NewEncoder(w).Encode(m)
		case changed && r.URL.Path == "/keys":
			_, _ = w.Write([]byte(keys))
		default:
			_, _ = w.Write(i.JWKS())
		}
	}
}

func remote(name, at string, spec ...string) string {
	text := "---\napiVersion: sallyport.dev/v1alpha1\nkind: MCPRemoteProxy\nmetadata: {name: " + name + "}\nspec:\n  remoteUrl: " + at + "\n  allowPrivateEndpoint: true\n"
	for _, line := range spec {
		text += "  " + line + "\n"
	}
	return text
}

// nginx is one as it should be; a test changes words of it.
const nginx = `server {
	listen 127.0.0.1:%PORT% ssl;
	listen 127.0.0.2:%PORT% ssl;
	ssl_certificate %DIR%/cert.pem;
	ssl_certificate_key %DIR%/key.pem;
	client_max_body_size 8m;
	proxy_set_header Host $http_host;
	proxy_set_header X-Forwarded-Proto https;
	proxy_set_header Upgrade $http_upgrade;
	proxy_set_header Connection $connection_upgrade;
	%IDENTITY%
	location / { proxy_pass %UPSTREAM%; }
	%MORE%
}
server {
	listen 127.0.0.1:%PLAIN%;
	location / { return 308 https://$host$request_uri; }
}
`

const identity = `proxy_set_header X-Authenticated-User "";`

// fault is something wrong, and how it is found.
type fault struct {
	name    string
	change  []string // of nginx, words and others in turn
	path    string   // "" for that of docs
	host    string
	guarded bool
	until   time.Duration // of the certificate; 0 for long
	token   string        // "" for a good one; - for none
	options func(*outside.Options)
	want    string // level: check: words of it, in this order
}

func faults() []fault {
	const more, open = "%MORE%", "/servers/open/mcp"
	return []fault{
		{name: "an expired certificate", until: -time.Hour, want: "failure: certificate: ended ssl_certificate"},
		{name: "a certificate that ends", until: time.Hour, want: "warning: certificate: ends at less than an hour ssl_certificate"},
		{name: "a certificate of nobody", options: func(o *outside.Options) { o.Roots = x509.NewCertPool() }, want: "failure: certificate: alone (nginx) fullchain.pem"},
		{name: "a certificate for another name", host: "127.0.0.2", want: "failure: certificate: localhost, 127.0.0.1, not for 127.0.0.2 ssl_certificate"},
		{name: "no TLS", change: []string{":%PORT% ssl", ":%PORT%"}, want: "failure: certificate: does not speak TLS no gateway"},
		{name: "everything without TLS, too", change: []string{"return 308 https://$host$request_uri;", "proxy_pass %UPSTREAM%; proxy_set_header Host $http_host;"}, want: "failure: plain http: served without TLS return 308"},
		{name: "a page without TLS", change: []string{"return 308 https://$host$request_uri;", "return 200 hello;"}, want: "warning: plain http: without redirecting return 308"},
		{name: "a web site", change: []string{"proxy_pass %UPSTREAM%;", "return 404;"}, want: "failure: answers: is no gateway 404 and a web page"},
		{name: "a web site with everything", change: []string{"proxy_pass %UPSTREAM%;", "return 200 hello;"}, want: "failure: answers: is no gateway 200"},
		{name: "a gateway that is not there", change: []string{"%UPSTREAM%", "http://127.0.0.1:1"}, want: "failure: answers: does not reach the gateway (502) proxy_pass --listen"},
		{name: "a sign-in page", change: []string{"proxy_pass %UPSTREAM%;", "return 302 /oauth2/start?rd=secret-query;"}, want: "failure: answers: redirected /oauth2/start (302) programs skip_jwt_bearer_tokens"},
		{name: "a slash", change: []string{"proxy_pass %UPSTREAM%;", "return 301 https://$http_host$uri/;"}, want: "failure: answers: redirected /mcp/ (301) slash"},
		{name: "a sign-in of the proxy's", change: []string{"proxy_pass %UPSTREAM%;", "return 401;"}, want: "failure: answers: before the gateway is asked Authorization"},
		{name: "another path", path: "/servers/dosc/mcp", options: func(o *outside.Options) { o.Known.Endpoints = []string{"/servers/docs/mcp"} }, want: "failure: answers: nothing at this path /servers/docs/mcp"},
		{name: "another name", change: []string{"Host $http_host", "Host gw.example.com"}, want: "failure: answers: refuses the name --allowed-hosts"},
		{name: "no challenge", change: []string{more, "proxy_hide_header WWW-Authenticate;"}, want: "warning: answers: says nothing of tokens proxy_hide_header"},
		{name: "the wrong scheme", change: []string{"X-Forwarded-Proto https", "X-Forwarded-Proto http"}, want: "failure: resource: sent to http:// --public-url https:// X-Forwarded-Proto"},
		{name: "no document", change: []string{more, "location /.well-known/ { return 404; }"}, want: "failure: resource: cannot be read /.well-known/oauth-protected-resource"},
		{name: "an issuer that is down", path: "/servers/down/mcp", want: "failure: issuer: nobody can sign in 503"},
		{name: "an issuer by another name", path: "/servers/other/mcp", want: "failure: issuer: nobody can sign in https://elsewhere.example.com"},
		{name: "an issuer without keys", path: "/servers/keyless/mcp", want: "failure: issuer: key set is empty"},
		{name: "an issuer with plain http", path: "/servers/plainless/mcp", want: "failure: issuer: token endpoint is plain http"},
		{name: "an issuer without PKCE", path: "/servers/no-pkce/mcp", want: "failure: issuer: PKCE S256"},
		{name: "an issuer without registration", path: "/servers/no-register/mcp", want: "warning: issuer: cannot register authServerRef"},
		{name: "no Authorization", change: []string{more, `proxy_set_header Host $http_host; location /servers/ { proxy_pass %UPSTREAM%; proxy_set_header Host $http_host; proxy_set_header X-Forwarded-Proto https; proxy_set_header Authorization ""; }`}, want: "failure: Authorization: the proxy drops it proxy_set_header Authorization"},
		{name: "a bad token", token: "canary.of.token", want: "failure: token: refused (401 invalid_token expired"},
		{name: "anybody's name", path: "/servers/strict/mcp", change: []string{identity, ""}, token: "-", want: "failure: forged header: X-Authenticated-User of a client is believed proxy_set_header X-Authenticated-User"},
		{name: "anybody's name, or none", path: "/servers/lax/mcp", change: []string{identity, ""}, token: "-", want: "failure: forged header: X-Authenticated-User of a client is believed proxy_set_header X-Authenticated-User"},
		{name: "no Upgrade", change: []string{"proxy_set_header Upgrade $http_upgrade;", ""}, want: "warning: WebSocket: swallows Upgrade (426) proxy_set_header Upgrade"},
		{name: "no WebSocket", change: []string{more, "location ~ /ws$ { return 404; }"}, want: "warning: WebSocket: /servers/docs/ws is not passed on"},
		{name: "small messages", change: []string{"client_max_body_size 8m;", ""}, want: "warning: message size: refuses messages of 2 MiB (413) 8 MiB client_max_body_size 8388608"},
		{name: "metrics for everybody", path: open, change: []string{more, "location = /metrics { proxy_pass %ADMIN%; proxy_set_header Host 127.0.0.1; }"}, token: "-", want: "failure: not public: everybody can read /metrics"},
		{name: "the state for everybody", path: open, change: []string{more, "location = /status { proxy_pass %ADMIN%; proxy_set_header Host 127.0.0.1; }"}, token: "-", want: "failure: not public: everybody can read /status"},
		{name: "the console for everybody", path: open, change: []string{more, "location /console { proxy_pass %ADMIN%; proxy_set_header Host 127.0.0.1; }"}, token: "-", want: "failure: not public: everybody can read /console"},
		{name: "profiles for everybody", path: open, change: []string{more, "location /debug/ { proxy_pass %ADMIN%; proxy_set_header Host 127.0.0.1; }"}, token: "-", want: "failure: not public: everybody can read /debug/pprof/ memory"},
		{name: "metrics behind a token", path: open, guarded: true, change: []string{more, "location = /metrics { proxy_pass %ADMIN%; proxy_set_header Host 127.0.0.1; }"}, token: "-", want: "warning: not public: admin address /metrics token"},
		{name: "buffering", path: open, guarded: true, token: "-", change: []string{more, "proxy_buffering on; proxy_ignore_headers X-Accel-Buffering;"}, want: "failure: streams: holds answers back proxy_buffering off"},
		{name: "short streams", path: open, guarded: true, token: "-", change: []string{more, "proxy_read_timeout 1s;"}, options: func(o *outside.Options) { o.Alive = testkit.Patience }, want: "failure: long streams: cut off proxy_read_timeout --heartbeat"},
		{name: "silent streams", path: open, guarded: true, token: "-", want: "warning: long streams: silent --heartbeat"},
		{name: "no token", token: "-", want: "not tried: streams: SALLYPORT_TOKEN"},
		{name: "a moment only", path: open, token: "-", options: func(o *outside.Options) { o.Alive = 0 }, want: "not tried: long streams: --quick"},
		{name: "streams of 2026-07-28 alone", path: open, token: "-", change: []string{more, "location ~ /sse$ { return 404; }"}, want: "ok: streams: at once"},
	}
}

// TestDeployment plants one fault after the other in a deployment that is fine, and finds
// it named with what to change; and finds nothing wrong where nothing is.
func TestDeployment(t *testing.T) {
	t.Parallel()
	s := startSite(t)
	for _, f := range faults() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			r := s.examine(t, f)
			parts := strings.SplitN(f.want, ": ", 3)
			for _, found := range r.Findings {
				if string(found.Level) == parts[0] && found.Check == parts[1] && testkit.InOrder(found.String(), strings.Fields(parts[2])) {
					return
				}
			}
			t.Errorf("nothing says %q:\n%s", f.want, r.String())
		})
	}
	checks := []string{"name", "certificate", "answers", "clocks", "plain http", "resource", "issuer", "Authorization", "token", "forged header", "WebSocket", "message size", "not public", "streams", "long streams"}
	anybodys := slices.DeleteFunc(slices.Clone(checks), func(c string) bool {
		return slices.Contains([]string{"resource", "issuer", "Authorization", "token"}, c)
	})
	for _, tt := range []struct {
		fault
		want []string // what is ok
	}{
		{fault{name: "healthy, with tokens"}, checks},
		{fault{name: "healthy, for everybody", path: "/servers/open/mcp", token: "-"}, anybodys},
		{fault{name: "healthy, by the proxy's word or nobody's", path: "/servers/lax/mcp", token: "-"}, anybodys},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := s.examine(t, tt.fault)
			var got []string
			for _, found := range r.Findings {
				if found.Level == doctor.OK {
					got = append(got, found.Check)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || r.Summary() != "nothing is wrong" {
				t.Errorf("%s; what is ok (-want +got):\n%s\n%s", r.Summary(), diff, r.String())
			}
		})
	}
	t.Run("the gateway's own limit", func(t *testing.T) {
		t.Parallel()
		u, err := url.Parse(s.guarded.URL + "/servers/open/mcp")
		if err != nil {
			t.Fatal(err)
		}
		r := &doctor.Report{}
		outside.Examine(t.Context(), outside.Options{URL: u, MaxBody: 8 << 20}, r)
		if !strings.Contains(r.String(), "the gateway's own limit comes first: message is larger than 1048576 bytes") || r.Count(doctor.Failure) > 0 {
			t.Errorf("%s", r.String())
		}
	})
}

// examine looks at the site through an nginx that is changed as the fault says.
func (s *site) examine(t *testing.T, f fault) *doctor.Report {
	t.Helper()
	g, path, host := s.gateway, "/servers/docs/mcp", "127.0.0.1"
	if f.guarded {
		g = s.guarded
	}
	if f.path != "" {
		path = f.path
	}
	if f.host != "" {
		host = f.host
	}
	if f.until == 0 {
		f.until = 90 * 24 * time.Hour
	}
	_, plain, _ := net.SplitHostPort(testkit.FreeAddress(t))
	servers := nginx
	for i := 0; i < len(f.change); i += 2 {
		if !strings.Contains(servers, f.change[i]) && f.change[i] != identity {
			t.Fatalf("nginx has no %q", f.change[i])
		}
		servers = strings.ReplaceAll(servers, f.change[i], f.change[i+1])
	}
	own := identity
	if len(f.change) > 0 && f.change[0] == identity {
		own = ""
	}
	front := testkit.StartNginx(t, time.Now().Add(f.until), strings.NewReplacer("%IDENTITY%", own, "%MORE%", "").Replace(servers),
		"%UPSTREAM%", g.URL, "%ADMIN%", g.Admin, "%PLAIN%", plain)
	u, err := url.Parse(front.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = host + ":" + u.Port()
	o := outside.Options{URL: u, Roots: front.CA.Pool(), MaxBody: 8 << 20, PlainPort: plain, Alive: 3 * time.Second}
	name := strings.Split(path, "/")[2]
	switch {
	case f.token == "":
		o.Token = secret.New(s.tokens[name])
	case f.token != "-":
		o.Token = secret.New(f.token)
	}
	if f.options != nil {
		f.options(&o)
	}
	var told []doctor.Finding
	r := &doctor.Report{Told: func(f doctor.Finding) { told = append(told, f) }}
	outside.Examine(t.Context(), o, r)
	r.Findings = told // what people read at once is all there is
	for _, hidden := range []string{o.Token.Reveal(), "secret-query", "admin-canary-of-32-characters-abc"} {
		if hidden != "" && strings.Contains(r.String(), hidden) {
			t.Errorf("%q is told:\n%s", hidden, r.String())
		}
	}
	return r
}

// TestNoGateway is pointed at what is none: it says so in a line, and stops.
func TestNoGateway(t *testing.T) {
	t.Parallel()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("SSH-2.0-OpenSSH\r\n"))
			conn.Close()
		}
	}()
	site := httptest.NewServer(http.FileServer(http.Dir(t.TempDir())))
	t.Cleanup(site.Close)
	for name, tt := range map[string]struct{ at, want string }{
		"another protocol": {"http://" + ln.Addr().String() + "/mcp", "is no gateway"},
		"a web server":     {site.URL + "/mcp", "is no gateway"},
		"nobody":           {"http://" + testkit.FreeAddress(t) + "/mcp", "nothing listens"},
		"no such name":     {"http://gateway.invalid/mcp", "has no address"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u, err := url.Parse(tt.at)
			if err != nil {
				t.Fatal(err)
			}
			r := &doctor.Report{}
			outside.Examine(t.Context(), outside.Options{URL: u, MaxBody: 1 << 20}, r)
			last := r.Findings[len(r.Findings)-1]
			if r.Count(doctor.Failure) != 1 || last.Level != doctor.Failure || !strings.Contains(last.Message, tt.want) {
				t.Errorf("%s", r.String())
			}
		})
	}
}

// TestClocks has somebody on the way whose clock is wrong.
func TestClocks(t *testing.T) {
	t.Parallel()
	backend := testkit.StartBackend(t, testkit.Stateless)
	to, err := url.Parse(backend.URL)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		off  time.Duration
		want string
	}{"slow": {-time.Hour, "behind"}, "fast": {time.Hour, "ahead of"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy := httptest.NewServer(&httputil.ReverseProxy{
				Rewrite: func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = to.Scheme, to.Host },
				ModifyResponse: func(r *http.Response) error {
					r.Header.Set("Date", time.Now().Add(tt.off).UTC().Format(http.TimeFormat))
					return nil
				},
			})
			t.Cleanup(proxy.Close)
			u, err := url.Parse(proxy.URL + "/mcp")
			if err != nil {
				t.Fatal(err)
			}
			r := &doctor.Report{}
			outside.Examine(t.Context(), outside.Options{URL: u, MaxBody: 1 << 20}, r)
			for _, f := range r.Findings {
				if f.Check == "clocks" && f.Level == doctor.Failure && strings.Contains(f.Message, tt.want) && strings.Contains(f.Change, "chrony") {
					return
				}
			}
			t.Errorf("the clock is not named:\n%s", r.String())
		})
	}
}
