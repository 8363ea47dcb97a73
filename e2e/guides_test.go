package e2e_test

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport-dev/sallyport/internal/testkit"
	"github.com/sallyport-dev/sallyport/internal/testkit/markdown"
)

// guide is a page about a proxy, with what its words stand for on this machine.
type guide struct {
	*markdown.Page
	t       *testing.T
	edits   []string // what the page says, and what it is here, in turn
	backend *testkit.Backend
}

func openGuide(t *testing.T, name string) *guide {
	t.Helper()
	return &guide{t: t, Page: markdown.Read(t, root, "docs/how-to/"+name+".md"), backend: testkit.StartBackend(t, testkit.Dual)}
}

// here is the text of the block of a kind, by its place among those, with what its words stand for.
func (g *guide) here(n int, info ...string) string {
	g.t.Helper()
	for _, b := range g.Blocks {
		if !b.Is(info...) {
			continue
		}
		if n == 0 {
			return strings.NewReplacer(g.edits...).Replace(b.Text)
		}
		n--
	}
	g.t.Fatalf("%s: there is no block %q of that number", g.Path, strings.Join(info, " "))
	return ""
}

// serve serves the manifest of that number, with its server on this machine, and lines added to its spec.
func (g *guide) serve(n int, lines ...string) *testkit.Gateway {
	g.t.Helper()
	const remote = "remoteUrl: https://mcp.example.com/mcp"
	more := append([]string{"remoteUrl: " + g.backend.URL, "allowPrivateEndpoint: true", "audit: {enabled: true}"}, lines...)
	g.edits = append([]string{remote, strings.Join(more, "\n  ")}, g.edits...)
	text := g.here(n, "yaml")
	if strings.Contains(text, remote) {
		g.t.Fatalf("%s: the manifest is not as the test knows it:\n%s", g.Path, text)
	}
	return serve(g.t, text)
}

// staffOnly lets people of the group staff in, and no others.
const staffOnly = `authzConfig: {type: inline, inline: {policies: ['permit(principal in THVGroup::"staff", action, resource);']}}`

// guideVisit is what is tried at a gateway behind a proxy.
type guideVisit struct {
	url     string       // of the endpoint, by the proxy
	in, out *http.Client // at the proxy: who signed in as alice, and who did not
	turned  []int        // what the proxy may answer who did not
	forged  []string     // headers of the proxy, as somebody else would write them: name and value in turn
	past    string       // address that nobody is trusted at, to go past the proxy; "" for the one that the proxy has
	caller  string       // alice in the audit
}

// try lets alice in and nobody else, whatever they write, by the proxy and past it.
func (v guideVisit) try(t *testing.T, g *testkit.Gateway) {
	t.Helper()
	lie := http.Header{}
	for i := 0; i < len(v.forged); i += 2 {
		lie[v.forged[i]] = append(lie[v.forged[i]], v.forged[i+1])
	}
	for _, revision := range []string{"", "2025-11-25"} {
		useSession(t, v.url, v.in, revision)
		useSession(t, v.url, &http.Client{Jar: v.in.Jar, Transport: withHeaders{v.in.Transport, lie}}, revision)
	}
	v.out.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for name, headers := range map[string][]string{"nobody": nil, "nobody with forged headers": v.forged} {
		r := call(v.url, "echo", `"text":"x"`).with(headers...)
		r.via = v.out
		if got := r.do(t); !slices.Contains(v.turned, got.Status) {
			t.Errorf("%s by the proxy: %d %s", name, got.Status, got.Body)
		}
	}
	via := from(t, "127.0.0.1")
	if v.past != "" {
		via = from(t, v.past)
	} else {
		doctor(t, g.MCP())
	}
	for name, headers := range map[string][]string{"nobody": nil, "nobody with forged headers": v.forged} {
		r := call(g.MCP(), "echo", `"text":"x"`).with(headers...)
		r.via = via
		if got := r.do(t); got.Status != http.StatusUnauthorized {
			t.Errorf("%s past the proxy: %d %s", name, got.Status, got.Body)
		}
	}
	if err := g.Stop(); err != nil {
		t.Fatal(err)
	}
	callers := who(t, g)
	if !slices.Contains(callers, v.caller+" success") || strings.Contains(strings.Join(callers, "\n"), "mallory") {
		t.Errorf("callers in the audit, want %s: %q", v.caller, callers)
	}
	for _, line := range callers {
		if strings.HasSuffix(line, " success") && line != v.caller+" success" {
			t.Errorf("somebody else was let in: %s", line)
		}
	}
}

// doctor runs the command that the guides name from beside the gateway, where no header of a client is believed.
func doctor(t *testing.T, url string) {
	t.Helper()
	r := testkit.Run(t, "doctor", "--quick", url)
	if len(lines(r.Stdout, "ok", "forged header")) != 1 {
		t.Errorf("the doctor does not find forged headers refused:\n%s%s", r.Stdout, r.Stderr)
	}
}

// oauth2Proxy runs oauth2-proxy as a block of the guide configures it, at an address of its own, as a client of a real
// provider, which sends people back to the front.
func (g *guide) oauth2Proxy(idp *testkit.IdP, front, address string, block string) {
	g.t.Helper()
	id, password := idp.Register(g.t, front+"/oauth2/callback")
	dir, random := g.t.TempDir(), make([]byte, 16)
	_, _ = rand.Read(random) // it never fails
	for name, text := range map[string]string{"client-secret": password, "cookie-secret": hex.EncodeToString(random)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			g.t.Fatal(err)
		}
	}
	g.edits = append(g.edits, "https://idp.example.com", idp.Issuer, `"oauth2-proxy"`, `"`+id+`"`, "/etc/oauth2-proxy/", dir+"/",
		"https://mcp.example.com/oauth2/callback", front+"/oauth2/callback", "127.0.0.1:4180", address, "0.0.0.0:4180", address)
	testkit.OAuth2Proxy(g.t, address, g.here(0, "text", block))
}

// browser is one that alice has signed in with, at the front.
func browser(t *testing.T, via *http.Client, front string) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &http.Client{Jar: jar, Transport: via.Transport}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, front+"/oauth2/start?rd=/oauth2/userinfo", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := b.Do(req) // to the provider and back
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("the sign-in ends with %s at %s", resp.Status, resp.Request.URL.Path)
	}
	return b
}

// forwardedToAuth are the headers of oauth2-proxy behind nginx or Traefik, as mallory would write them.
var forwardedToAuth = []string{
	"X-Auth-Request-User", "mallory", "X-Auth-Request-Email", "mallory@example.com",
	"X-Auth-Request-Groups", "staff", "X-Auth-Request-Preferred-Username", "mallory",
}

// docsToken is a client of a program that brings alice's token.
func docsToken(t *testing.T, idp *testkit.IdP, via *http.Client, audience string) *http.Client {
	t.Helper()
	token := idp.Token(t, testkit.TokenWish{Audience: audience, Subject: "alice", Groups: []string{"staff"}})
	return &http.Client{Transport: withHeaders{via.Transport, http.Header{"Authorization": {"Bearer " + token}}}}
}

// REQ C-9: oauth2-proxy behind nginx, both as the guide configures them, with people of a real provider: a browser's
// session, and a program's token.
func TestGuideToOAuth2Proxy(t *testing.T) {
	t.Parallel()
	for _, by := range []string{"browser", "token"} {
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			idp, page := testkit.StartIdP(t), openGuide(t, "behind-oauth2-proxy")
			page.edits = []string{"10.0.0.5/32", "127.0.0.5/32"}
			g := page.serve(0, staffOnly)
			auth := testkit.FreeAddress(t)
			page.edits = append(page.edits, "127.0.0.1:4180", auth, "listen 443 ssl", "listen 127.0.0.1:%PORT% ssl",
				"/etc/nginx/mcp.example.com.pem", "%DIR%/cert.pem", "/etc/nginx/mcp.example.com.key", "%DIR%/key.pem",
				"proxy_pass http://10.0.0.9:8080;", "proxy_bind 127.0.0.5; proxy_pass "+g.URL+";")
			front := testkit.StartNginx(t, time.Now().Add(time.Hour), page.here(0, "text", "nginx"))
			page.oauth2Proxy(idp, front.URL, auth, "oauth2-proxy.cfg")
			in := docsToken(t, idp, front.Client, "https://mcp.example.com/servers/docs/mcp")
			if by == "browser" {
				in = browser(t, front.Client, front.URL)
			}
			guideVisit{
				url: front.URL + "/servers/docs/mcp", in: in, out: &http.Client{Transport: front.Client.Transport}, turned: []int{401},
				forged: forwardedToAuth, caller: "proxy alice",
			}.try(t, g)
		})
	}
}

// REQ C-9: oauth2-proxy as the reverse proxy, behind a balancer that ends TLS.
func TestGuideToOAuth2ProxyAlone(t *testing.T) {
	t.Parallel()
	for _, by := range []string{"browser", "token"} {
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			idp, page := testkit.StartIdP(t), openGuide(t, "behind-oauth2-proxy")
			page.edits = []string{"10.0.0.5/32", "127.0.0.1/32", `"10.0.0.4"`, `"127.0.0.1"`}
			g := page.serve(1, staffOnly)
			page.edits = append(page.edits, "http://10.0.0.9:8080", g.URL)
			address := testkit.FreeAddress(t)
			balancer := testkit.StartTLSFront(t, "http://"+address, "")
			page.oauth2Proxy(idp, balancer.URL, address, "alone.cfg")
			in := docsToken(t, idp, balancer.Client, "https://mcp.example.com/servers/docs/mcp")
			if by == "browser" {
				in = browser(t, balancer.Client, balancer.URL)
			}
			guideVisit{
				url: balancer.URL + "/servers/docs/mcp", in: in, out: &http.Client{Transport: balancer.Client.Transport}, turned: []int{401},
				forged: []string{"X-Forwarded-User", "mallory", "X-Forwarded-Email", "mallory@example.com", "X-Forwarded-Groups", "staff", "X-Forwarded-Preferred-Username", "mallory"},
				past:   "127.0.0.2", caller: "proxy alice",
			}.try(t, g)
		})
	}
}

// REQ C-9: Traefik's forwardAuth with oauth2-proxy, as the guide configures both.
func TestGuideToTraefik(t *testing.T) {
	t.Parallel()
	idp, proxy, page := testkit.StartIdP(t), openGuide(t, "behind-oauth2-proxy"), openGuide(t, "behind-traefik")
	auth := testkit.FreeAddress(t)
	page.edits = []string{"10.0.0.5/32", "127.0.0.5/32", "http://10.0.0.6:4180", "http://" + auth}
	g := page.serve(0, staffOnly)
	proxy.oauth2Proxy(idp, "https://mcp.example.com", auth, "oauth2-proxy.cfg")
	front := decode[traefik](t, page.here(0, "text", "traefik")).play(t, g.URL, "127.0.0.5")
	v := guideVisit{
		url: front + "/servers/docs/mcp", in: docsToken(t, idp, httpClient(t), "https://mcp.example.com/servers/docs/mcp"), out: httpClient(t),
		turned: []int{http.StatusUnauthorized}, forged: forwardedToAuth, caller: "proxy alice",
	}
	v.try(t, g)
}

// REQ C-9: Authelia behind Traefik, as the guide configures both, for a program with a password.
func TestGuideToAuthelia(t *testing.T) {
	t.Parallel()
	page := openGuide(t, "behind-authelia")
	page.edits = []string{"10.0.0.5/32", "127.0.0.5/32", "10.0.0.6:9091", playAuthelia(t)}
	g := page.serve(0, staffOnly)
	front := decode[traefik](t, page.here(0, "text", "traefik")).play(t, g.URL, "127.0.0.5")
	basic := base64.StdEncoding.EncodeToString([]byte("alice:correct"))
	v := guideVisit{
		url: front + "/servers/docs/mcp", in: &http.Client{Transport: withHeaders{httpClient(t).Transport, http.Header{"Authorization": {"Basic " + basic}}}},
		out: httpClient(t), turned: []int{http.StatusUnauthorized},
		forged: []string{"Remote-User", "mallory", "Remote-Groups", "staff", "Remote-Name", "mallory", "Remote-Email", "mallory@example.com"}, caller: "proxy alice",
	}
	v.try(t, g)
	// What the example for Docker Compose says to both is what the guide says.
	for file, info := range map[string]string{"authelia/configuration.yml": "authelia", "traefik.yml": "traefik"} {
		example := decode[map[string]any](t, read(t, filepath.Join(root, "examples/compose/authelia", file)))
		if missing := lacks(decode[map[string]any](t, page.blockText("text", info)), example); missing != "" {
			t.Errorf("examples/compose/authelia/%s has not what the guide says of %s", file, missing)
		}
	}
}

// REQ C-9: a sidecar of Istio by the guide's rules, with the token and with headers.
func TestGuideToIstio(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		manifest int
		rules    string
		demanded bool
		lines    []string
		turned   int
		caller   string
	}{
		"token":   {manifest: 0, rules: "istio-token", lines: []string{staffOnly}, turned: http.StatusUnauthorized, caller: "jwt alice"},
		"headers": {manifest: 1, rules: "istio", demanded: true, turned: http.StatusForbidden, caller: "proxy alice"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			idp, page := testkit.StartIdP(t), openGuide(t, "behind-istio")
			// On this machine everybody is at loopback, where in a pod only the sidecar is.
			page.edits = append(ofProvider(idp), "preset: istio", "preset: istio\n    trustedProxies: [127.0.0.6/32]")
			g := page.serve(c.manifest, c.lines...)
			front := decode[istio](t, page.here(0, "text", c.rules)).play(t, g.URL, idp, c.demanded)
			v := guideVisit{
				url: front + "/servers/docs/mcp", in: docsToken(t, idp, httpClient(t), "https://gateway.example.com/servers/docs/mcp"), out: httpClient(t),
				turned: []int{c.turned}, forged: []string{"X-Jwt-Claim-Sub", "mallory", "X-Jwt-Claim-Email", "mallory@example.com", "X-Jwt-Claim-Name", "mallory"}, caller: c.caller,
			}
			v.try(t, g)
		})
	}
}

// REQ C-9: Kong by the guide's plugins, with the token and with a header that a secret proves.
func TestGuideToKong(t *testing.T) {
	t.Parallel()
	forged := []string{"X-Authenticated-User", "mallory", "X-Proxy-Key", "guess"}
	for _, name := range []string{"token", "header"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			idp, page := testkit.StartIdP(t), openGuide(t, "behind-kong")
			page.edits = ofProvider(idp)
			v := guideVisit{
				in: docsToken(t, idp, httpClient(t), "https://gateway.example.com/servers/docs/mcp"), out: httpClient(t),
				turned: []int{http.StatusUnauthorized}, forged: forged, caller: "jwt alice",
			}
			var g *testkit.Gateway
			var front string
			if name == "token" {
				g = page.serve(0, staffOnly)
				front = playProxy(t, g.URL, "127.0.0.7", func(http.ResponseWriter, *http.Request) bool { return true })
			} else {
				g, v.caller = page.serve(1), "proxy alice"
				front = decode[kong](t, page.here(0, "text", "kong")).play(t, g.URL, idp)
			}
			v.url = front + "/servers/docs/mcp"
			v.try(t, g)
		})
	}
}

// ofProvider are edits that put a real provider on this machine in the place of a guide's.
func ofProvider(idp *testkit.IdP) []string {
	return []string{
		"      issuer: https://idp.example.com\n      audience:", "      issuer: " + idp.Issuer + "\n      jwksAllowPrivateIP: true\n      audience:",
		"https://idp.example.com", idp.Issuer,
	}
}

// blockText is a block as the page has it.
func (g *guide) blockText(info ...string) string {
	g.t.Helper()
	for _, b := range g.Blocks {
		if b.Is(info...) {
			return b.Text
		}
	}
	g.t.Fatalf("%s: there is no block %q", g.Path, strings.Join(info, " "))
	return ""
}

// lacks is the path of a setting that there is in the one and is not in the other, or is another there; addresses of
// servers apart.
func lacks(want, have map[string]any) string {
	for name, w := range want {
		h := have[name]
		if inner, ok := w.(map[string]any); ok {
			there, _ := h.(map[string]any)
			if missing := lacks(inner, there); missing != "" {
				return name + "." + missing
			}
			continue
		}
		if name != "address" && name != "servers" && !reflect.DeepEqual(w, h) {
			return name
		}
	}
	return ""
}
