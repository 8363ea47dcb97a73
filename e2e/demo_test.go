package e2e_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// What `demo --sign-in` says to try works: a real client signs in by discovery
// alone, and sees what the policy has for who it is.
func TestDemoSignIn(t *testing.T) {
	t.Parallel()
	g := testkit.Start(t, "demo", "--sign-in", "--listen", testkit.FreeAddress(t))
	g.Stdout.WaitFor(t, "for people who sign in:  "+g.MCP())
	for who, want := range map[string][]string{
		"alice": {"add", "ask_name", "clock", "count", "echo", "received_headers"},
		"bob":   {"add", "echo"},
	} {
		t.Run(who, func(t *testing.T) {
			t.Parallel()
			b := testkit.NewBrowser(t)
			b.Press = "allow " + who
			session := signsIn(t, b, g.MCP())
			tools, err := session.ListTools(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, tool := range tools.Tools {
				got = append(got, tool.Name)
			}
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("tools (-want +got):\n%s", diff)
			}
			result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "add", Arguments: map[string]any{"a": 2, "b": 3}})
			if err != nil || result.IsError {
				t.Errorf("add: %v %v", err, result)
			}
		})
	}
}

// What demo --virtual says to try works.
func TestDemoVirtual(t *testing.T) {
	t.Parallel()
	g := testkit.Start(t, "demo", "--virtual")
	g.Stdout.WaitFor(t, "are one behind the gateway:  "+g.MCP())
	if got := call(g.MCP(), "there_echo", `"text":"hello"`).do(t); got.Status != http.StatusOK || !strings.Contains(got.Body, "hello") {
		t.Errorf("status %d, %s", got.Status, got.Body)
	}
	if tools := names(list(t, g, "/tools").Tools); !slices.Contains(tools, "demo here_echo") || !slices.Contains(tools, "demo there_echo") {
		t.Errorf("the tools are %q", tools)
	}
	if r := testkit.Run(t, "demo", "--virtual", "--sign-in"); r.Code != 2 {
		t.Errorf("with --sign-in: exit code %d, %s", r.Code, r.Stderr)
	}
}

func TestDemoSignInIsForThisMachine(t *testing.T) {
	t.Parallel()
	for listen, want := range map[string]string{
		"0.0.0.0:8080": "for this machine alone",
		":8080":        "for this machine alone",
		"127.0.0.1:0":  "name a port",
		"nowhere":      "--listen",
	} {
		if r := testkit.Run(t, "demo", "--sign-in", "--listen", listen); r.Code != 2 || !strings.Contains(r.Stderr, want) {
			t.Errorf("--listen %s: exit code %d, %s", listen, r.Code, r.Stderr)
		}
	}
}

// REQ G-10, FINDING 2.14: whoever ran the demo before, or served manifests with nothing
// to keep state in, comes with the same id again and signs in.
func TestClientsSurviveARestart(t *testing.T) {
	t.Parallel()
	home := testkit.Options{Env: []string{"XDG_CONFIG_HOME=" + t.TempDir()}}
	address := testkit.FreeAddress(t)
	args := []string{"demo", "--sign-in", "--listen", address}
	first := testkit.StartWith(t, home, args...)
	status, client := ask(t, "POST", first.URL+"/oauth/register", "application/json",
		`{"client_name":"Twice","token_endpoint_auth_method":"none","redirect_uris":["http://127.0.0.1:7/callback"]}`)
	if status != http.StatusCreated {
		t.Fatalf("register: %d %v", status, client)
	}
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	again := testkit.StartWith(t, home, args...)
	r := request{method: http.MethodGet, url: again.URL + "/oauth/authorize?" + url.Values{
		"response_type": {"code"}, "client_id": {client["client_id"].(string)}, "redirect_uri": {"http://127.0.0.1:7/callback"},
		"code_challenge": {strings.Repeat("a", 43)}, "code_challenge_method": {"S256"},
	}.Encode()}.do(t)
	if r.Status != http.StatusOK || !strings.Contains(r.Body, "Twice") {
		t.Errorf("after a restart: %d %s", r.Status, r.Body)
	}
}

// FINDING N26: a server for everybody is spoken of louder where other machines reach it.
func TestAnonymousOnTheNetwork(t *testing.T) {
	t.Parallel()
	backend := testkit.Record(t, ok)
	near := serve(t, remote("docs", backend.URL))
	far := serve(t, remote("docs", backend.URL), "--listen", "0.0.0.0:0")
	if text := near.Stderr.String(); strings.Contains(text, "SECURITY") || !strings.Contains(text, "serving anonymous clients") {
		t.Errorf("on loopback: %s", text)
	}
	if text := far.Stderr.String(); !strings.Contains(text, "SECURITY: whoever reaches this machine over the network") {
		t.Errorf("on every address: %s", text)
	}
}
