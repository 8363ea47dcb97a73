package e2e_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// composed is the example with two gateways, run as processes of this machine from its own
// files: the commands and variables of compose.yaml, nginx.conf, the manifests, and the
// secrets that secrets.sh makes. Only addresses and folders are others.
type composed struct {
	dir      string
	url      string // that people have
	via      *http.Client
	browser  *testkit.Browser
	gateways [2]*testkit.Gateway // nil for one that is not there

	t       *testing.T
	compose *compose
	at      [2]string
	own     *strings.Replacer
	env     map[string]string
}

func startComposed(t *testing.T, idp *testkit.IdP, backend string) *composed {
	t.Helper()
	openssl := testkit.Command(t, "openssl", "openssl")
	r := &composed{dir: t.TempDir(), t: t, at: [2]string{testkit.FreeAddress(t), testkit.FreeAddress(t)}}
	example := filepath.Join(root, "examples", "compose", "replicas")
	for _, name := range []string{"secrets.sh", "nginx.conf", "manifests/people.yaml", "manifests/docs.yaml"} {
		r.write(name, read(t, filepath.Join(example, filepath.FromSlash(name))))
	}
	cmd := exec.CommandContext(t.Context(), "sh", filepath.Join(r.dir, "secrets.sh"))
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(openssl)+":"+os.Getenv("PATH"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("secrets.sh: %v\n%s", err, out)
	}
	r.compose = readCompose(t, filepath.Join(example, "compose.yaml"))
	front, redis, plain := testkit.FreeAddress(t), testkit.FreeAddress(t), testkit.FreeAddress(t)
	r.url = "https://" + front
	id, secret := idp.Register(t, r.url+"/oauth/callback")
	r.own = strings.NewReplacer(
		r.service("gateway-1").address()+":8080", r.at[0], r.service("gateway-2").address()+":8080", r.at[1],
		r.service("nginx").address()+"/32", "127.0.0.1/32",
		"redis:6379", redis, "listen 443 ssl", "listen "+front+" ssl", "listen 80", "listen "+plain,
		"/run/secrets/", r.dir+"/secrets/", "/etc/nginx/certificates/", r.dir+"/certificates/", "/data", r.dir+"/data", "/manifests", r.dir+"/manifests",
		"https://mcp.example.com", r.url, "https://mcp.example.org/mcp", backend+"\n  allowPrivateEndpoint: true",
		"https://login.example.com", idp.Issuer, "clientId: sallyport", "clientId: "+id+"\n          allowPrivateIPs: true\n          additionalAuthorizationParams: {prompt: consent}",
		"http {", "http { client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;",
	)
	for _, name := range []string{"nginx.conf", "manifests/people.yaml", "manifests/docs.yaml"} {
		r.write(name, r.own.Replace(read(t, filepath.Join(r.dir, filepath.FromSlash(name)))))
	}
	r.env = map[string]string{}
	for line := range strings.Lines(read(t, filepath.Join(r.dir, ".env"))) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		r.env[name] = value
	}
	r.env["CLIENT_SECRET"] = secret
	if want := fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid()); r.env["RUN_AS"] != want {
		t.Errorf("the gateways run as %s, and the keys can be read by %s", r.env["RUN_AS"], want)
	}
	r.startRedis(redis)
	authority := testkit.NewAuthority(t, "replicas")
	cert, key := authority.Server(t, time.Now().Add(time.Hour))
	r.write("certificates/mcp.example.com.crt", cert)
	r.write("certificates/mcp.example.com.key", key)
	r.startNginx(front)
	r.via, r.browser = authority.Trusting(t), testkit.NewBrowserVia(t, authority.Pool())
	return r
}

func (r *composed) write(name, text string) {
	r.t.Helper()
	file := filepath.Join(r.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func (r *composed) service(name string) *composeService {
	s := r.compose.Services[name]
	return &s
}

func (r *composed) startRedis(address string) {
	r.t.Helper()
	if err := os.Mkdir(filepath.Join(r.dir, "data"), 0o700); err != nil {
		r.t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(address)
	args := []string{"--bind", "127.0.0.1", "--port", port}
	for _, word := range r.service("redis").Command[1:] {
		args = append(args, r.own.Replace(word))
	}
	testkit.StartServer(r.t, port, testkit.Command(r.t, "redis-server", "redis-server"), args...)
}

// startNginx starts it as its image does.
func (r *composed) startNginx(address string) {
	r.t.Helper()
	settings := "daemon off; pid " + r.dir + "/nginx.pid;"
	if os.Getuid() == 0 {
		settings += " user root;" // the workers write into the folder
	}
	_, port, _ := net.SplitHostPort(address)
	testkit.StartServer(r.t, port, testkit.Command(r.t, "nginx", "nginx"), "-p", r.dir, "-c", filepath.Join(r.dir, "nginx.conf"), "-e", "stderr", "-g", settings)
}

var composeVariable = regexp.MustCompile(`\$\{([A-Z_]+)(?::\?[^}]*)?\}`)

// start starts a gateway with the variables that Compose gives it.
func (r *composed) start(i int) {
	r.t.Helper()
	s := r.service(fmt.Sprintf("gateway-%d", i+1))
	var env []string
	for name, value := range s.Environment {
		value = composeVariable.ReplaceAllStringFunc(value, func(v string) string {
			v = r.env[composeVariable.FindStringSubmatch(v)[1]]
			if v == "" {
				r.t.Errorf("nothing says what %s is", value)
			}
			return v
		})
		env = append(env, name+"="+r.own.Replace(value))
	}
	args := []string{s.Command[0], "--listen", r.at[i]}
	for _, word := range s.Command[1:] {
		args = append(args, r.own.Replace(word))
	}
	r.gateways[i] = testkit.StartWith(r.t, testkit.Options{Env: env}, args...)
}

func (r *composed) kill(i int) {
	r.gateways[i].Kill()
	r.gateways[i] = nil
}

// connect has a person sign in with the Go SDK.
func (r *composed) connect(revision string) *mcp.ClientSession {
	r.t.Helper()
	session, err := mcp.NewClient(&mcp.Implementation{Name: "e2e", Version: "1"}, nil).Connect(r.t.Context(), &mcp.StreamableClientTransport{
		Endpoint: r.url + "/servers/docs/mcp", HTTPClient: r.via, OAuthHandler: testkit.Authorizing(r.t, r.browser, r.via),
	}, &mcp.ClientSessionOptions{ProtocolVersion: revision})
	if err != nil {
		r.t.Fatalf("%s: %v", revision, err)
	}
	r.t.Cleanup(func() { _ = session.Close() })
	return session
}

// echoes calls a tool a few times, so that each replica that is there is asked.
func (r *composed) echoes(when string, sessions ...*mcp.ClientSession) {
	r.t.Helper()
	for i := range 4 {
		for n, s := range sessions {
			got, err := s.CallTool(r.t.Context(), &mcp.CallToolParams{Name: "echo", Arguments: map[string]any{"text": odd}})
			if err != nil || got.Content[0].(*mcp.TextContent).Text != odd {
				r.t.Fatalf("%s, session %d, call %d: %v, %v", when, n+1, i+1, got, err)
			}
		}
	}
}

// REQ B-18, REQ C-12, REQ G-11: with the example's own files, a person who signed in at one
// replica goes on at the other, also when the first is lost in the middle of a session; a
// sign-in whose requests go to both in turn works, with the user that the example makes at
// Redis. (What its rights have to be is tested with the doctor.)
func TestComposeReplicas(t *testing.T) {
	t.Parallel()
	idp, backend := testkit.StartIdP(t), testkit.StartBackend(t, testkit.Dual)
	r := startComposed(t, idp, backend.URL)
	r.start(0)
	sessions := []*mcp.ClientSession{r.connect("2025-11-25"), r.connect("")}
	r.echoes("at the first replica", sessions...)
	r.start(1)
	r.echoes("at both", sessions...)
	r.kill(0)
	r.echoes("at the second, which nobody signed in at", sessions...)
	r.start(0)
	both := r.connect("2025-11-25")
	r.echoes("signed in at both in turn", append(sessions, both)...)
	r.kill(1)
	r.echoes("at the first, which is new", append(sessions, both)...)
	r.start(1)
	for i, g := range r.gateways {
		if log := g.Stderr.String(); strings.Contains(log, r.env["REDIS_PASSWORD"]) || strings.Contains(log, r.env["CLIENT_SECRET"]) {
			t.Errorf("gateway-%d tells a secret", i+1)
		}
	}
	if got := (request{method: http.MethodGet, url: r.url + "/metrics", via: r.via}).do(t); got.Status != http.StatusNotFound {
		t.Errorf("/metrics from outside: %d", got.Status)
	}
}
