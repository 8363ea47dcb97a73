package e2e_test

import (
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport-dev/sallyport/internal/testkit"
	"github.com/sallyport-dev/sallyport/internal/testkit/internet"
)

// REQ B-20: the files of examples/providers as they are, each served on a machine: a person signs in with a client of the
// SDK at the provider that the file names, which is played at its own address, and calls the remote server, which is
// shown that provider's token.
func TestProviderExamples(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(root, "examples", "providers", "*.yaml"))
	if err != nil || len(files) != 6 {
		t.Fatalf("%d examples, %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := internet.New(t)
			p := internet.Play(t, i, name, registered(t, file))
			shown := hostBackend(t, i, "docs.example.com")
			g := testkit.StartWith(t, testkit.Options{Env: i.Env}, "serve", "-f", file, "--public-url", "https://mcp.example.com", "--allowed-hosts", "mcp.example.com")
			i.Host("mcp.example.com", passing(t, g.URL, true))
			handler := testkit.Authorizing(t, i.Browser(t), i.Client())
			session, err := mcp.NewClient(&mcp.Implementation{Name: "e2e", Version: "1"}, nil).Connect(t.Context(),
				&mcp.StreamableClientTransport{Endpoint: "https://mcp.example.com/servers/docs-" + name + "/mcp", HTTPClient: i.Client(), OAuthHandler: handler}, nil)
			if err != nil {
				t.Fatalf("%v; the provider says %q", err, p.Complaints())
			}
			defer session.Close()
			got, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "echo", Arguments: map[string]any{"text": odd}})
			if err != nil || got.Content[0].(*mcp.TextContent).Text != odd {
				t.Errorf("a call: %v, %v", got, err)
			}
			source, err := handler.TokenSource(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			issued, err := source.Token()
			if err != nil {
				t.Fatal(err)
			}
			if subject := claimsOf(t, issued.AccessToken)["sub"]; subject != p.Subject {
				t.Errorf("the person is known as %v, want %s", subject, p.Subject)
			}
			if all := p.Complaints(); len(all) > 0 {
				t.Errorf("the provider complains: %q", all)
			}
			for _, credential := range shown() {
				if upstream, _ := strings.CutPrefix(credential, "Bearer "); !p.Gave(upstream) {
					t.Errorf("the server is shown %q, want the provider's token", credential)
				}
			}
		})
	}
}

var clientID = regexp.MustCompile(`clientId: (\S+)`)

// registered is the client that a file names, as its comment says to register it.
func registered(t *testing.T, file string) internet.Client {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return internet.Client{
		ID: clientID.FindStringSubmatch(string(text))[1], Secret: "change-me",
		Redirect: regexp.MustCompile(`https://mcp\.example\.com/\w+/oauth/callback`).FindString(string(text)),
	}
}

// hostBackend serves an MCP server of the SDK at a host, and tells what credentials it was shown.
func hostBackend(t *testing.T, i *internet.Net, host string) (shown func() []string) {
	t.Helper()
	var mu sync.Mutex
	var all []string
	backend := passing(t, testkit.StartBackend(t, testkit.Dual).URL, false)
	i.Host(host, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		all = append(all, r.Header.Get("Authorization"))
		mu.Unlock()
		backend.ServeHTTP(w, r)
	}))
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return append([]string(nil), all...)
	}
}

// passing passes requests on to an address of this machine, with the name that they were for or without.
func passing(t *testing.T, address string, named bool) http.Handler {
	t.Helper()
	to, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	to.Path = ""
	return &httputil.ReverseProxy{FlushInterval: -1, Transport: client.Transport, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		if named {
			r.Out.Host = r.In.Host
		}
	}}
}
