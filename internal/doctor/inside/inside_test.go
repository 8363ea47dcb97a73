package inside_test

import (
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/audit"
	"github.com/sallyport-dev/sallyport/internal/authserver"
	"github.com/sallyport-dev/sallyport/internal/backend"
	"github.com/sallyport-dev/sallyport/internal/compile"
	"github.com/sallyport-dev/sallyport/internal/doctor"
	"github.com/sallyport-dev/sallyport/internal/doctor/inside"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/manifest/strict"
	"github.com/sallyport-dev/sallyport/internal/mcp"
	"github.com/sallyport-dev/sallyport/internal/seal"
	"github.com/sallyport-dev/sallyport/internal/store"
	"github.com/sallyport-dev/sallyport/internal/telemetry"
	"github.com/sallyport-dev/sallyport/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func object(kind, name string, spec ...string) string {
	text := "---\napiVersion: sallyport.dev/v1alpha1\nkind: " + kind + "\nmetadata: {name: " + name + "}\nspec:\n"
	for _, line := range spec {
		text += "  " + line + "\n"
	}
	return text
}

func remote(name, at string, spec ...string) string {
	return object("MCPRemoteProxy", name, append([]string{"remoteUrl: " + at, "allowPrivateEndpoint: true"}, spec...)...)
}

func signIn(issuer, provider string, client ...string) string {
	more := strings.Join(append([]string{"", "allowPrivateIPs: true"}, client...), ", ")
	return object("MCPExternalAuthConfig", "people", "type: embeddedAuthServer", "embeddedAuthServer:", "  issuer: "+issuer, "  upstreamProviders:",
		"    - {name: company, type: oidc, oidcConfig: {issuerUrl: "+fmt.Sprintf("%q", provider)+", clientId: gateway"+more+"}}")
}

func policies(texts ...string) string {
	all := ""
	for _, p := range texts {
		all += fmt.Sprintf("%q, ", p)
	}
	return "authzConfig: {type: inline, inline: {policies: [" + all + "]}}"
}

// asking are options of who asks servers and serves nobody.
func asking(t *testing.T) compile.Options {
	t.Helper()
	ring, err := seal.NewRing()
	if err != nil {
		t.Fatal(err)
	}
	return compile.Options{
		Limits:  backend.Limits{AnswerTimeout: testkit.Patience, MaxAnswerBytes: 1 << 20, MaxEventBytes: 1 << 20},
		Message: mcp.DefaultLimits(), Ring: ring, Store: store.NewMemory(), Audit: audit.Discard{}, Metrics: telemetry.NewMetrics(""),
		Log: slog.New(slog.DiscardHandler), Checking: true,
		Resource:  func(compile.Name) func(string) (string, bool) { return nil },
		Address:   func(compile.Name) func(*http.Request) string { return nil },
		Endpoints: func(compile.Name) func() []authserver.Endpoint { return nil },
		Events:    func(compile.Name) audit.Sink { return audit.Discard{} },
	}
}

// examine looks at manifests in a file of that mode.
func examine(t *testing.T, manifests string, mode fs.FileMode, change func(*inside.Options)) *doctor.Report {
	t.Helper()
	file := filepath.Join(t.TempDir(), "site.yaml")
	if err := os.WriteFile(file, []byte(manifests), mode); err != nil {
		t.Fatal(err)
	}
	set, err := manifest.Load([]string{file})
	if err != nil {
		t.Fatal(err)
	}
	problems := strict.Validate(set)
	if len(problems) == 0 {
		_, problems = compile.Check(set)
	}
	o := inside.Options{Asking: asking(t), MaxInFlight: 100}
	if change != nil {
		change(&o)
	}
	r := &doctor.Report{}
	inside.Examine(t.Context(), set, problems, nil, o, r)
	return r
}

// provider answers as an OpenID provider that knows one redirect address.
func provider(t *testing.T, callback string) *testkit.Issuer {
	t.Helper()
	i := testkit.NewIssuer(t)
	i.Answer(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/.well-known/"):
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q,"authorization_endpoint":%q,"token_endpoint":%q}`, i.URL, i.URL+"/jwks", i.URL+"/authorize", i.URL+"/token")
		case r.URL.Path == "/authorize" && r.URL.Query().Get("redirect_uri") == callback:
			http.Redirect(w, r, callback+"?error=login_required", http.StatusFound)
		case r.URL.Path == "/authorize":
			http.Error(w, "unknown redirect_uri", http.StatusBadRequest)
		default:
			i.Usual(w, r)
		}
	})
	return i
}

// TestFaults plants faults in manifests, and in what they name, and finds each named with
// the line that it comes from.
func TestFaults(t *testing.T) {
	t.Parallel()
	good := testkit.StartBackend(t, testkit.Dual)
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(secure.Close)
	answers := func(h http.HandlerFunc) string {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		return s.URL + "/mcp"
	}
	closed := "http://" + testkit.FreeAddress(t)
	const callback = "http://127.0.0.1:8080/oauth/callback"
	idp := provider(t, callback)
	keys := testkit.NewIssuer(t)
	tokens := func(issuer string, more ...string) string {
		return "oidcConfig: {type: inline, inline: {" + strings.Join(append([]string{fmt.Sprintf("issuer: %q", issuer), "audience: docs"}, more...), ", ") + "}}"
	}
	typed := func(o *inside.Options) { o.URL, _ = url.Parse("https://gw.example.com/servers/docs/mcp") }
	exposed := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(exposed, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name      string
		manifests string
		options   func(*inside.Options)
		want      string // level: check: words of it, in this order
	}{
		{"a reference to nothing", remote("docs", good.URL, "groupRef: {name: team}"), nil, "failure: manifest: no MCPGroup site.yaml:8:14: MCPRemoteProxy/docs: spec.groupRef.name"},
		{"nobody listens", remote("docs", closed), nil, "failure: server: docs: every call fails refused the connection site.yaml:6:3: MCPRemoteProxy/docs: spec.remoteUrl"},
		{"no such name", remote("docs", "https://gateway.invalid/mcp"), nil, "failure: server: cannot be resolved site.yaml:6:3: MCPRemoteProxy/docs: spec.remoteUrl"},
		{"an address that is not admitted", object("MCPRemoteProxy", "docs", "remoteUrl: "+strings.Replace(secure.URL, "127.0.0.1", "localhost", 1)), nil, "failure: server: allowPrivateEndpoint site.yaml:6:3: MCPRemoteProxy/docs: spec.remoteUrl"},
		{"a certificate of nobody", remote("docs", secure.URL), nil, "failure: server: certificate site.yaml:6:3: MCPRemoteProxy/docs: spec.remoteUrl caBundleRef"},
		{"a redirect", remote("docs", answers(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://elsewhere.example.com/mcp", http.StatusTemporaryRedirect)
		})), nil, "failure: server: elsewhere.example.com site.yaml:6:3: MCPRemoteProxy/docs: spec.remoteUrl spec.redirects.allowedHosts"},
		{"a web page", remote("docs", answers(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte("<html>"))
		})), nil, "failure: server: every call fails site.yaml:6:3: MCPRemoteProxy/docs: spec.remoteUrl path"},
		{
			"a refused credential", "---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {k: canary-value}\n" + object("MCPExternalAuthConfig", "auth", "type: bearerToken", "bearerToken: {tokenSecretRef: {name: s, key: k}}") +
				remote("docs", answers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }), "externalAuthConfigRef: {name: auth}"),
			nil, "failure: server: every call fails site.yaml:20:3: MCPRemoteProxy/docs: spec.externalAuthConfigRef the credential",
		},
		{"no such command", object("MCPServer", "docs", "command: [no-such-program-anywhere]"), nil, "failure: server: cannot be run site.yaml:6:3: MCPServer/docs: spec.command PATH"},
		{"no such folder", object("MCPServer", "docs", "command: [sh]", "workingDir: /no/such/folder"), nil, "failure: server: /no/such/folder is not there site.yaml:6:3: MCPServer/docs: spec.command"},
		{"a program that is no server", object("MCPServer", "docs", "command: [\"false\"]"), nil, "failure: server: every call fails site.yaml:6:3: MCPServer/docs: spec.command by hand"},
		{
			"policies that permit nothing", remote("docs", good.URL, policies(`forbid(principal, action, resource);`)), nil,
			"failure: policies: nobody may use any of it site.yaml:8:40: MCPRemoteProxy/docs: spec.authzConfig.inline.policies permit",
		},
		{
			"a tool that there is not", remote("docs", good.URL, policies(`permit(principal, action, resource == Tool::"echo");`, `permit(principal, action, resource == Tool::"coutn");`)), nil,
			`warning: policies: docs has no tool "coutn" did you mean count site.yaml:8:109: MCPRemoteProxy/docs: spec.authzConfig.inline.policies[1]`,
		},
		{"an issuer that is down", remote("docs", good.URL, tokens(closed, "jwksAllowPrivateIP: true")), nil, "failure: issuer: keys cannot be had site.yaml:8: MCPRemoteProxy/docs: spec.oidcConfig.inline.issuer"},
		{"keys at a place that is not admitted", remote("docs", good.URL, tokens("https://idp.example.com", fmt.Sprintf("jwksUrl: %q", strings.Replace(secure.URL, "127.0.0.1", "localhost", 1)))), nil, "failure: issuer: refused site.yaml:8: spec.oidcConfig.inline.jwksUrl jwksAllowPrivateIP"},
		{"no keys", remote("docs", good.URL, tokens("https://idp.example.com", fmt.Sprintf("jwksUrl: %q", keys.URL+"/none"), "jwksAllowPrivateIP: true")), nil, "failure: issuer: 404 site.yaml:8: spec.oidcConfig.inline.jwksUrl"},
		{"a provider that is down", signIn("http://127.0.0.1:8080", closed) + remote("docs", good.URL, "authServerRef: {name: people}"), nil, "failure: provider: company: nobody can sign in site.yaml:10: MCPExternalAuthConfig/people: spec.embeddedAuthServer.upstreamProviders[0].oidcConfig.issuerUrl"},
		{"a redirect address that the provider does not know", signIn("http://127.0.0.1:8081", idp.URL) + remote("docs", good.URL, "authServerRef: {name: people}"), nil, "failure: provider: company: answers 400 site.yaml:10: upstreamProviders[0].oidcConfig.clientId http://127.0.0.1:8081/oauth/callback"},
		{"another address than clients have", signIn("http://127.0.0.1:8080", idp.URL) + remote("docs", good.URL, "authServerRef: {name: people}"), typed, "failure: resource: https://gw.example.com/servers/docs/mcp makes tokens for http://127.0.0.1:8080 site.yaml:8:5: MCPExternalAuthConfig/people: spec.embeddedAuthServer.issuer"},
		{"keys that others can read", remote("docs", good.URL), func(o *inside.Options) { o.SecretFiles = map[string]string{"--session-key-file": exposed} }, "warning: files: --session-key-file: others can read chmod 600"},
		{"a store that others can read", remote("docs", good.URL), func(o *inside.Options) { o.StoreFile = exposed }, "warning: files: --store: others can read chmod 600"},
		{"a folder of secrets that others can read", remote("docs", good.URL), func(o *inside.Options) { o.Secrets = filepath.Dir(exposed) }, "warning: files: --secrets-folder: others can read chmod 600"},
		{"few files", remote("docs", good.URL), func(o *inside.Options) { o.MaxInFlight = 1<<31 - 1 }, "warning: open files: --max-in-flight is 2147483647 LimitNOFILE="},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := examine(t, tt.manifests, 0o600, tt.options)
			text := r.String()
			if strings.Contains(text, "canary") {
				t.Errorf("a secret is told:\n%s", text)
			}
			wantFinding(t, r, tt.want)
		})
	}
	t.Run("secrets in a file that others can read", func(t *testing.T) {
		t.Parallel()
		r := examine(t, "---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {k: canary-value}\n"+remote("docs", good.URL), 0o644, nil)
		if text := r.String(); !testkit.InOrder(text, []string{"warning    files", "others can read", "chmod 600", "site.yaml:2:1: Secret/s"}) || strings.Contains(text, "canary") {
			t.Errorf("%s", text)
		}
	})
}

// TestHealthy finds nothing wrong where nothing is, and says what there is.
func TestHealthy(t *testing.T) {
	t.Parallel()
	const origin = "http://127.0.0.1:8080"
	idp, keys := provider(t, origin+"/oauth/callback"), testkit.NewIssuer(t)
	modern, legacy := testkit.StartBackend(t, testkit.Stateless), testkit.StartBackend(t, testkit.Sessions)
	manifests := signIn(origin, idp.URL) + remote("docs", modern.URL, "authServerRef: {name: people}", "externalAuthConfigRef: {name: none}") +
		object("MCPExternalAuthConfig", "none", "type: unauthenticated") +
		remote("wiki", legacy.URL, fmt.Sprintf("oidcConfig: {type: inline, inline: {issuer: %q, audience: wiki, jwksAllowPrivateIP: true}}", keys.URL),
			policies(`permit(principal, action, resource == Tool::"echo");`))
	r := examine(t, manifests, 0o600, func(o *inside.Options) { o.URL, _ = url.Parse(origin + "/servers/docs/mcp") })
	text := r.String()
	for _, want := range []string{
		"docs: speaks 2026-07-28, has ", "wiki: speaks 2025-11-25, has ", " tools, 1 prompt and 1 resource",
		keys.URL + ": its keys can be had", "company: it can be reached, and is to send people back to " + origin + "/oauth/callback",
		"makes tokens for " + origin + "/servers/docs/mcp", "wiki: they permit something", "4 resources can be served",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("nothing says %q", want)
		}
	}
	if r.Summary() != "nothing is wrong" || t.Failed() {
		t.Errorf("%s:\n%s", r.Summary(), text)
	}
}

// TestKnown tells what manifests know of a gateway at a URL.
func TestKnown(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "site.yaml")
	text := remote("docs", "https://mcp.example.com/mcp", "trustedProxy: {clientAuthEnabled: false, trustProxyAuth: true, proxyUserHeader: x-who}") +
		remote("wiki", "https://mcp.example.com/mcp", "oidcConfig: {type: inline, inline: {issuer: https://idp.example.com, audience: wiki}}")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	set, err := manifest.Load([]string{file})
	if err != nil {
		t.Fatal(err)
	}
	if problems := strict.Validate(set); len(problems) > 0 {
		t.Fatal(problems)
	}
	at := func(path string) (headers []string, identity, issuer int) {
		k := inside.Known(set, &url.URL{Scheme: "https", Host: "gw.example.com", Path: path})
		if len(k.Endpoints) != 2 {
			t.Errorf("endpoints %v", k.Endpoints)
		}
		return k.IdentityHeaders, k.Identity.Line, k.Issuers["https://idp.example.com"].Line
	}
	if headers, identity, issuer := at("/team-a/servers/docs/mcp"); len(headers) != 1 || headers[0] != "X-Who" || identity != 8 || issuer != 0 {
		t.Errorf("docs: %v, line %d, line %d", headers, identity, issuer)
	}
	if headers, identity, issuer := at("/servers/wiki/ws"); len(headers) != 0 || identity != 0 || issuer != 16 {
		t.Errorf("wiki: %v, line %d, line %d", headers, identity, issuer)
	}
	if headers, _, issuer := at("/mcp"); len(headers) != 0 || issuer != 0 {
		t.Errorf("another path: %v, line %d", headers, issuer)
	}
}
