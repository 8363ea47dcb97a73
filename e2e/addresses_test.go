package e2e_test

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/testkit"
	"github.com/sallyport-dev/sallyport/operator/render"
)

// reached is how clients reach a gateway whose people sign in.
type reached struct {
	base, issuer string // as clients know them
	front        *testkit.TLSFront
	via          *http.Client
	browser      *testkit.Browser
	route        bool // it leads where an HTTPRoute leads
}

// leadsTo tells whether a path below the base is one that clients reach. A host of a Gateway may be that of several
// resources, so that none has the short paths.
func (r *reached) leadsTo(path string) bool { return !r.route || strings.HasPrefix(path, "/servers/") }

// deployments are how a gateway is put into the world.
var deployments = []struct {
	name   string
	tls    bool   // behind an nginx that ends TLS
	behind string // the prefix that it takes off
	issuer string // its path, below the base
	lines  string // of the resource
	public bool   // --public-url is given
	route  bool   // the nginx leads where the operator's HTTPRoute leads, and says nothing in headers
}{
	{name: "by itself"},
	{name: "issuer below the base", issuer: "/login"},
	{name: "public URL", public: true},
	{name: "nginx, TLS, public URL", tls: true, behind: "/gw", public: true},
	{name: "nginx, TLS, issuer below", tls: true, behind: "/gw", issuer: "/login", public: true},
	{name: "nginx, TLS, forwarded headers", tls: true, behind: "/gw", lines: "trustProxyHeaders: true"},
	{name: "nginx, TLS, no setting but the issuer", tls: true},
	{name: "a Gateway", tls: true, route: true},
	{name: "a Gateway that takes a prefix off, issuer below", tls: true, behind: "/gw", issuer: "/login", route: true},
}

// reach starts a gateway and what stands before it.
func reach(t *testing.T, way int) *reached {
	t.Helper()
	w, address := deployments[way], testkit.FreeAddress(t)
	r := &reached{base: "http://" + address, via: client, browser: testkit.NewBrowser(t), route: w.route}
	if w.tls {
		if w.route {
			r.front = startGateway(t, r.base, w.behind, w.issuer)
			w.lines = "gateway: {parentRefs: [{name: public}], hostnames: [localhost], pathPrefix: '" + w.behind + "'}"
		} else {
			r.front = testkit.StartTLSFront(t, r.base, w.behind)
		}
		r.base, r.via, r.browser = r.front.URL, r.front.Client, testkit.NewBrowserVia(t, r.roots())
	}
	r.issuer = r.base + w.issuer
	idp, backend := testkit.StartIdP(t), testkit.StartBackend(t, testkit.Dual)
	lines := []string{"authServerRef: {name: people}"}
	if w.lines != "" {
		lines = append(lines, w.lines)
	}
	flags := []string{"--listen", address}
	if w.public {
		flags = append(flags, "--public-url", r.base)
	}
	serve(t, authServer(t, r.issuer, map[string]*testkit.IdP{"default": idp}, []string{"default"})+remote("docs", backend.URL, lines...), flags...)
	return r
}

// startGateway starts an nginx that does what an HTTPRoute says, as the operator makes it for the resource docs. It
// ends TLS, and tells the gateway nothing of that.
func startGateway(t *testing.T, upstream, prefix, issuer string) *testkit.TLSFront {
	t.Helper()
	spec := &v1alpha1.GatewayRoute{Hostnames: []v1alpha1.RouteHost{"localhost"}, PathPrefix: v1alpha1.RoutePrefix(prefix)}
	route := render.Route{Spec: spec, Service: "docs-proxy", Port: 8080, Served: "/servers/docs", Issuers: []string{"https://localhost" + prefix + issuer}}
	text, err := json.Marshal(route.Object())
	var made struct {
		Spec struct {
			Rules []struct {
				Matches []struct{ Path struct{ Type, Value string } }
				Filters []struct {
					URLRewrite struct {
						Path struct{ ReplacePrefixMatch string }
					}
				}
				Timeouts struct{ Request string }
			}
		}
	}
	if err == nil {
		err = json.Unmarshal(text, &made)
	}
	if err != nil {
		t.Fatal(err)
	}
	var locations strings.Builder
	lead := func(kind, path, to string) {
		fmt.Fprintf(&locations, "\t\tlocation %s%s { proxy_pass %%UPSTREAM%%%s; }\n", kind, path, to)
	}
	for _, rule := range made.Spec.Rules {
		if rule.Timeouts.Request != "0s" {
			t.Errorf("a rule ends requests after %q", rule.Timeouts.Request)
		}
		for _, m := range rule.Matches {
			to, below := "", ""
			if len(rule.Filters) > 0 {
				to = rule.Filters[0].URLRewrite.Path.ReplacePrefixMatch
				below = to + "/"
			}
			lead("= ", m.Path.Value, to)
			if m.Path.Type == "PathPrefix" {
				lead("", m.Path.Value+"/", below)
			}
		}
	}
	f := testkit.StartNginx(t, time.Now().Add(time.Hour), `server {
		listen 127.0.0.1:%PORT% ssl;
		ssl_certificate %DIR%/cert.pem;
		ssl_certificate_key %DIR%/key.pem;
		proxy_set_header Host $http_host;
		proxy_set_header Upgrade $http_upgrade;
		proxy_set_header Connection $connection_upgrade;
`+locations.String()+"}", "%UPSTREAM%", upstream)
	f.URL = strings.Replace(f.URL, "127.0.0.1", "localhost", 1) + prefix
	return f
}

// roots are those that clients trust; nil for everybody's.
func (r *reached) roots() *x509.CertPool {
	if r.front == nil {
		return nil
	}
	return r.front.CA.Pool()
}

// do sends a request the way that clients go.
func (r *reached) do(t *testing.T, q request) reply {
	t.Helper()
	q.via = r.via
	return q.do(t)
}

// spellings are the addresses of one resource. The first is of each surface's own.
func spellings() (all []string) {
	for _, surface := range []string{"mcp", "sse", "ws"} {
		for _, path := range []string{"/servers/docs/" + surface, "/" + surface} {
			all = append(all, path, path+"/")
		}
	}
	return all
}

// REQ G-7: whatever address a client uses, what is advertised names that address, and is accepted by the authorization
// server that is advertised with it; the token that comes of it opens that address.
//
// FINDING 2.3, FINDING 2.7, FINDING F1
func TestWhatIsAdvertisedIsAccepted(t *testing.T) {
	t.Parallel()
	for i, w := range deployments {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			r := reach(t, i)
			app := r.register(t)
			for _, path := range spellings() {
				if !r.leadsTo(path) {
					continue
				}
				if err := r.walk(t, app, path); err != nil {
					t.Errorf("%s: %v", path, err)
				}
			}
		})
	}
}

// walk does what a client does that has nothing but the address.
func (r *reached) walk(t *testing.T, id, path string) error {
	t.Helper()
	origin, err := url.Parse(r.base)
	if err != nil {
		return err
	}
	prefix := origin.Path
	origin.Path = ""
	inserted := origin.String() + "/.well-known/oauth-protected-resource" + prefix + path
	places := []string{inserted}
	if surface := strings.Trim(path[strings.LastIndex(strings.TrimSuffix(path, "/"), "/"):], "/"); surface != "ws" { // whose refusals have no headers
		challenge, err := r.challenge(t, surface, r.base+path)
		if err != nil {
			return err
		}
		places = append(places, challenge)
	}
	var server string
	for _, place := range places {
		var about struct {
			Resource string   `json:"resource"`
			Servers  []string `json:"authorization_servers"`
		}
		got := r.do(t, request{method: http.MethodGet, url: place})
		if err := json.Unmarshal([]byte(got.Body), &about); err != nil || got.Status != http.StatusOK || len(about.Servers) != 1 {
			return fmt.Errorf("the metadata at %s are %d %.200s", place, got.Status, got.Body)
		}
		if about.Resource != r.base+path {
			return fmt.Errorf("the metadata at %s are of %s", place, about.Resource)
		}
		server = about.Servers[0]
	}
	token, err := r.signIn(t, id, server, r.base+path)
	if err != nil {
		return err
	}
	return r.open(t, path, token)
}

var metadataParam = regexp.MustCompile(`resource_metadata="([^"]*)"`)

// challenge is where the refusal of a client without a token says that metadata are.
func (r *reached) challenge(t *testing.T, surface, address string) (string, error) {
	t.Helper()
	q := initialization(address)
	if surface == "sse" {
		q = request{method: http.MethodGet, url: address, header: http.Header{"Accept": {"text/event-stream"}}}
	}
	got := r.do(t, q)
	m := metadataParam.FindStringSubmatch(got.Header.Get("Www-Authenticate"))
	if got.Status != http.StatusUnauthorized || m == nil {
		return "", fmt.Errorf("without a token: %d, challenge %q", got.Status, got.Header.Get("Www-Authenticate"))
	}
	return m[1], nil
}

func (r *reached) register(t *testing.T) (id string) {
	t.Helper()
	got := r.do(t, request{
		url: r.issuer + "/oauth/register", header: http.Header{"Content-Type": {"application/json"}},
		body: `{"client_name":"app","redirect_uris":["` + appRedirect + `"],"token_endpoint_auth_method":"none","grant_types":["authorization_code","refresh_token"]}`,
	})
	var answer struct {
		ID string `json:"client_id"`
	}
	if err := json.Unmarshal([]byte(got.Body), &answer); err != nil || answer.ID == "" {
		t.Fatalf("register: %d %s", got.Status, got.Body)
	}
	return answer.ID
}

// signIn gets a token for a resource from the server, which it finds as RFC 8414 §3.1 says.
func (r *reached) signIn(t *testing.T, id, server, resource string) (string, error) {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		return "", err
	}
	u.Path = "/.well-known/oauth-authorization-server" + u.Path
	got := r.do(t, request{method: http.MethodGet, url: u.String()})
	var about struct {
		Issuer    string `json:"issuer"`
		Authorize string `json:"authorization_endpoint"`
		Token     string `json:"token_endpoint"`
	}
	if err := json.Unmarshal([]byte(got.Body), &about); err != nil || about.Issuer != server {
		return "", fmt.Errorf("the server's metadata at %s are %d %.200s", u, got.Status, got.Body)
	}
	try := (&app{t, r.issuer, id}).attempt(resource)
	page, err := r.browser.SignIn(t.Context(), strings.Replace(try.address, r.issuer+"/oauth/authorize", about.Authorize, 1), appRedirect)
	if err != nil {
		return "", err
	}
	code := page.URL.Query().Get("code")
	if code == "" {
		return "", fmt.Errorf("no code for %s: %v %d %.300s", resource, page.URL, page.Status, page.Body)
	}
	form := try.form(code)
	form.Set("client_id", id)
	got = r.do(t, request{url: about.Token, header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, body: form.Encode()})
	var answer tokens
	if err := json.Unmarshal([]byte(got.Body), &answer); err != nil || answer.Access == "" {
		return "", fmt.Errorf("no token for %s: %d %s", resource, got.Status, got.Body)
	}
	return answer.Access, nil
}

// open uses the token at the address that it was made for.
func (r *reached) open(t *testing.T, path, token string) error {
	t.Helper()
	switch surface := strings.TrimSuffix(path, "/"); {
	case strings.HasSuffix(surface, "/mcp"):
		if got := r.do(t, initialization(r.base+path).with(bearer(token)...)); got.Status != http.StatusOK {
			return fmt.Errorf("with a token: %d %.200s", got.Status, got.Body)
		}
	case strings.HasSuffix(surface, "/sse"):
		q := request{method: http.MethodGet, url: r.base + path, via: r.via, header: http.Header{"Accept": {"text/event-stream"}}}
		resp := q.with(bearer(token)...).open(t.Context(), t)
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("with a token: %d", resp.StatusCode)
		}
		if event, err := readEvents(resp.Body).next(); err != nil || !strings.HasPrefix(event, "event: endpoint\n") {
			return fmt.Errorf("with a token the stream says %q (error: %w)", event, err)
		}
	default:
		s, _, err := dialSocket(t, r.via, strings.Replace(r.base, "http", "ws", 1)+path, bearer(token)...)
		if err != nil {
			return err
		}
		s.say(t, initialization("").body)
		if got := s.hear(t); !strings.Contains(got, `"protocolVersion"`) {
			return fmt.Errorf("with a token: %s", got)
		}
	}
	return nil
}

// REQ G-7: the official SDKs sign in with the address alone, over Streamable HTTP and over HTTP+SSE, however the gateway
// is reached.
func TestSDKsSignInAtEveryAddress(t *testing.T) {
	t.Parallel()
	for i, w := range deployments {
		if w.name != "by itself" && w.name != "nginx, TLS, public URL" && w.name != "nginx, TLS, forwarded headers" && !w.route {
			continue // for clients there is no difference
		}
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			r := reach(t, i)
			for _, path := range []string{"/servers/docs/mcp", "/servers/docs/mcp/", "/mcp", "/servers/docs/sse", "/sse", "/sse/"} {
				if !r.leadsTo(path) {
					continue
				}
				t.Run("Go"+path, func(t *testing.T) {
					t.Parallel()
					r.signInByGo(t, path)
				})
			}
			env := []string{}
			if r.front != nil {
				ca := filepath.Join(t.TempDir(), "ca.pem")
				if err := os.WriteFile(ca, []byte(r.front.CA.PEM), 0o600); err != nil {
					t.Fatal(err)
				}
				env = append(env, "NODE_EXTRA_CA_CERTS="+ca)
			}
			for _, script := range []struct{ version, path string }{
				{"v1", "/servers/docs/mcp"},
				{"v1", "/mcp/"},
				{"v1-sse", "/servers/docs/sse"},
				{"v2", "/servers/docs/mcp"},
				{"v2", "/mcp/"},
				{"v2-sse", "/sse/"},
			} {
				if !r.leadsTo(script.path) {
					continue
				}
				t.Run("TypeScript "+script.version+script.path, func(t *testing.T) {
					t.Parallel()
					signInByScript(t, testkit.NewBrowserVia(t, r.roots()), env, script.version, r.base+script.path)
				})
			}
		})
	}
}

func (r *reached) signInByGo(t *testing.T, path string) {
	t.Helper()
	handler := testkit.Authorizing(t, testkit.NewBrowserVia(t, r.roots()), r.via)
	var transport mcp.Transport = &mcp.StreamableClientTransport{Endpoint: r.base + path, HTTPClient: r.via, OAuthHandler: handler}
	if strings.Contains(path, "/sse") {
		transport = &mcp.SSEClientTransport{Endpoint: r.base + path, HTTPClient: &http.Client{Transport: authorized{handler, r.via.Transport}}}
	}
	session, err := mcp.NewClient(&mcp.Implementation{Name: "e2e", Version: "1"}, nil).Connect(t.Context(), transport, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	if tools, err := session.ListTools(t.Context(), nil); err != nil || len(tools.Tools) == 0 {
		t.Errorf("tools/list: %v", err)
	}
}

// authorized does for HTTP+SSE what the Go SDK does for Streamable HTTP alone: its handler signs in at a 401.
type authorized struct {
	handler auth.OAuthHandler
	base    http.RoundTripper
}

func (a authorized) RoundTrip(req *http.Request) (*http.Response, error) {
	for try := 0; ; try++ {
		source, err := a.handler.TokenSource(req.Context())
		if err != nil {
			return nil, err
		}
		sent := req.Clone(req.Context())
		if source != nil {
			token, err := source.Token()
			if err != nil {
				return nil, err
			}
			sent.Header.Set("Authorization", "Bearer "+token.AccessToken)
		}
		resp, err := a.base.RoundTrip(sent)
		if err != nil || resp.StatusCode != http.StatusUnauthorized {
			return resp, err
		}
		if try > 0 || req.Method != http.MethodGet {
			resp.Body.Close()
			return nil, errors.New("refused in spite of a token")
		}
		if err := a.handler.Authorize(req.Context(), req, resp); err != nil {
			return nil, err
		}
	}
}
