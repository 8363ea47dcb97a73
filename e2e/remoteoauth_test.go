package e2e_test

import (
	"context"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// guardedRemote is a remote MCP server that wants tokens of a real provider: another
// gateway before a server of the Go SDK, at an address that is known beforehand and
// records what reaches it.
type guardedRemote struct {
	URL string
	IdP *testkit.IdP
	in  *testkit.Recorder
}

func startGuardedRemote(t *testing.T, accessTTL time.Duration) *guardedRemote {
	t.Helper()
	var to atomic.Pointer[url.URL]
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	proxy := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(to.Load()); r.Out.Host = r.In.Host },
		Transport: transport, FlushInterval: -1,
	}
	r := &guardedRemote{IdP: testkit.StartIdPWith(t, accessTTL), in: testkit.Record(t, proxy.ServeHTTP)}
	r.URL = r.in.URL + "/servers/docs/mcp"
	g := serve(t, idpObject(r.IdP)+remote("docs", testkit.StartBackend(t, testkit.Dual).URL, ofIDP(r.URL, "mcp:read")))
	u, err := url.Parse(g.URL)
	if err != nil {
		t.Fatal(err)
	}
	to.Store(u)
	return r
}

// tokens are those that reached the remote.
func (r *guardedRemote) tokens() []string {
	var list []string
	for _, req := range r.in.Requests() {
		token, ok := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
		if ok && !slices.Contains(list, token) {
			list = append(list, token)
		}
	}
	return list
}

var signInAddress = regexp.MustCompile(`(?m)^  (https?://\S+code_challenge=\S+)$`)

// person signs in whenever out has a new address to open, until the test ends, and
// counts.
func (r *guardedRemote) person(t *testing.T, out *testkit.Output) *atomic.Int32 {
	t.Helper()
	var done atomic.Int32
	go func() {
		for t.Context().Err() == nil {
			var addresses [][]string
			err := out.Wait(t.Context(), func(text string) bool {
				addresses = signInAddress.FindAllStringSubmatch(text, -1)
				return len(addresses) > int(done.Load())
			})
			if err != nil {
				return
			}
			end, err := r.IdP.SignIn(t.Context(), addresses[done.Load()][1], "alice")
			if err != nil {
				t.Errorf("the person cannot sign in: %v", err)
				return
			}
			done.Add(1)
			browse(t.Context(), end.String())
		}
	}()
	return &done
}

// home is the environment of somebody who has no sign-ins yet, and no keyring.
func home(t *testing.T) []string {
	return []string{"XDG_CONFIG_HOME=" + t.TempDir(), "SALLYPORT_KEYRING=off"}
}

// callTools is a client that knows nothing of any sign-in.
func callTools(ctx context.Context, t *testing.T, endpoint string) error {
	t.Helper()
	client := mcp.NewClient(&mcp.Implementation{Name: "e2e", Version: "1"}, nil)
	session, err := client.Connect(ctx, &mcp.StreamableClientTransport{Endpoint: endpoint, HTTPClient: httpClient(t)}, nil)
	if err != nil {
		return err
	}
	defer session.Close()
	_, err = session.CallTool(ctx, &mcp.CallToolParams{Name: "echo", Arguments: map[string]any{"text": "hello"}})
	return err
}

// TestRunSignsIn proves `run URL` against a real provider and a real resource server:
// found from a 401 alone, registered, signed in, refreshed, and kept.
//
// REQ B-19: OAuth towards the remote on a laptop: browser flow, discovery, registration, PKCE, refresh.
func TestRunSignsIn(t *testing.T) {
	t.Parallel()
	remote := startGuardedRemote(t, 2*time.Second)
	env := home(t)
	run := func() *testkit.Gateway {
		return testkit.StartWith(t, testkit.Options{Env: env}, "run", "--no-browser", "--name", "docs", remote.URL)
	}
	g := run()
	signIns := remote.person(t, g.Stderr)
	if err := callTools(t.Context(), t, g.MCP()); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "a call refreshes the token that has ended", func() bool {
		if err := callTools(t.Context(), t, g.MCP()); err != nil {
			t.Fatal(err)
		}
		return g.Metric(t, "sallyport_upstream_refreshes_total", `result="success"`) > 0
	})
	if err := g.Stop(); err != nil {
		t.Fatal(err)
	}
	again := run()
	if err := callTools(t.Context(), t, again.MCP()); err != nil {
		t.Fatal(err)
	}
	if n := signIns.Load(); n != 1 || strings.Contains(again.Stderr.String(), "wants you to sign in") {
		t.Errorf("%d sign-ins, and after the restart: %s", n, again.Stderr)
	}
	tokens := remote.tokens()
	if len(tokens) < 2 {
		t.Errorf("%d tokens reached the remote, want the first one and a refreshed one", len(tokens))
	}
	for _, token := range tokens {
		for _, out := range []*testkit.Output{g.Stderr, g.Stdout, again.Stderr, again.Stdout} {
			if strings.Contains(out.String(), token) {
				t.Error("a token is in the gateway's output")
			}
		}
	}
}

// TestLogin proves that serve uses what login has left, without a restart, and tells
// its callers when there is nothing.
//
// REQ B-19: the gateway's own account in a manifest, signed in to by a command.
func TestLogin(t *testing.T) {
	t.Parallel()
	remote := startGuardedRemote(t, time.Hour)
	env := home(t)
	docs := manifests(t, object("MCPRemoteProxy", "docs", "remoteUrl: "+remote.URL, "allowPrivateEndpoint: true", "oauth: {}"))
	g := testkit.StartWith(t, testkit.Options{Env: env}, "serve", "-f", docs)
	got := call(g.MCP(), "echo", `"text":"x"`).do(t)
	if got.Status != http.StatusBadGateway || !strings.Contains(got.Body, "sallyport login") || got.Header.Get("Www-Authenticate") != "" {
		t.Errorf("before: %d %v %s", got.Status, got.Header, got.Body)
	}
	login(t, remote, env, "-f", docs, "--server", "docs", "--no-browser")
	if err := callTools(t.Context(), t, g.MCP()); err != nil {
		t.Error(err)
	}
	if r := testkit.RunWith(t, testkit.Options{Env: env}, "login", "-f", docs, "--server", "docs", "--forget"); r.Code != 0 {
		t.Errorf("forget: %+v", r)
	}
	fresh := testkit.StartWith(t, testkit.Options{Env: env}, "serve", "-f", docs)
	if err := callTools(t.Context(), t, fresh.MCP()); err == nil {
		t.Error("the sign-in is still there after login --forget")
	}
	for _, args := range [][]string{{}, {"-f", docs}, {"-f", docs, "--server", "nobody"}} {
		if r := testkit.RunWith(t, testkit.Options{Env: env}, append([]string{"login"}, args...)...); r.Code == 0 || r.Stderr == "" {
			t.Errorf("login %q: %+v", args, r)
		}
	}
}

// TestLoginKey proves where the key of the sign-ins is kept, and that a session that
// does not reach the keyring makes no second one.
//
// REQ B-19
func TestLoginKey(t *testing.T) {
	t.Parallel()
	docs := manifests(t, remote("docs", "http://127.0.0.1:1/mcp", "oauth: {}"))
	forget := func(env ...string) testkit.Result {
		return testkit.RunWith(t, testkit.Options{Env: append(env, "DBUS_SESSION_BUS_ADDRESS=unix:path=/nowhere")}, "login", "-f", docs, "--server", "docs", "--forget")
	}
	config := t.TempDir()
	key := filepath.Join(config, "sallyport", "sign-ins", "key")
	if r := forget("XDG_CONFIG_HOME=" + config); r.Code != 0 {
		t.Fatalf("without a keyring: %+v", r)
	}
	text, err := os.ReadFile(key)
	info, statErr := os.Stat(key)
	if err != nil || statErr != nil || len(text) < 40 || info.Mode().Perm() != 0o600 {
		t.Errorf("the key beside the files: %d bytes, %v, %v", len(text), err, statErr)
	}
	if err := os.WriteFile(key, []byte("keyring\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := forget("XDG_CONFIG_HOME=" + config); r.Code != 1 || !strings.Contains(r.Stderr, "keyring") {
		t.Errorf("with the key in a keyring out of reach: %+v", r)
	}
	if text, err := os.ReadFile(key); err != nil || string(text) != "keyring\n" {
		t.Errorf("the key's place has changed: %q, %v", text, err)
	}
}

// login runs `sallyport login` with a person beside it.
func login(t *testing.T, remote *guardedRemote, env []string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), testkit.Binary(t), append([]string{"login"}, args...)...)
	out := &testkit.Output{}
	cmd.Env, cmd.Stdout, cmd.Stderr = append(cmd.Environ(), env...), out, out
	remote.person(t, out)
	if err := cmd.Run(); err != nil || !strings.Contains(out.String(), "signed in to docs") {
		t.Fatalf("login: %v\n%s", err, out)
	}
}
