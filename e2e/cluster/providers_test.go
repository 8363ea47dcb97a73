//go:build cluster

package cluster_test

import (
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport-dev/sallyport/internal/testkit"
	"github.com/sallyport-dev/sallyport/internal/testkit/internet"
	"github.com/sallyport-dev/sallyport/internal/testkit/kube"
)

var (
	clientID = regexp.MustCompile(`clientId: (\S+)`)
	callback = regexp.MustCompile(`https://mcp\.example\.com/\w+/oauth/callback`)
)

// REQ B-20: the files of examples/providers as they are, applied to a cluster side by side. A person signs in with a
// client of the SDK at the provider that each names, which is played at its own address, and calls the remote server
// through the pods that the operator has made.
func TestProviderExamplesInCluster(t *testing.T) {
	t.Parallel()
	namespace, i := plane.Namespace(t), internet.New(t)
	// Pods have addresses of loopback here, where a gateway takes names that it is told of and no others.
	daemon := filepath.Join(t.TempDir(), "sallyportd")
	if err := os.WriteFile(daemon, []byte("#!/bin/sh\nexport SALLYPORT_ALLOWED_HOSTS=mcp.example.com '"+strings.Join(i.Env, "' '")+"'\nexec '"+testkit.Daemon(t)+"' \"$@\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	node := plane.StartNode(t, namespace, map[string]kube.Image{image: {Entrypoint: daemon, Programs: map[string]string{"/sallyportd": daemon}}})
	keep(t, namespace)

	backend := recorded(t)
	i.Host("docs.example.com", passingOn(t, backend.Server.Listener.Addr().String, false))
	files, err := filepath.Glob(filepath.Join(root, "examples", "providers", "*.yaml"))
	if err != nil || len(files) != 6 {
		t.Fatalf("%d examples, %v", len(files), err)
	}
	played := map[string]*internet.Provider{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		played[name] = internet.Play(t, i, name, internet.Client{
			ID: clientID.FindStringSubmatch(string(text))[1], Secret: "change-me", Redirect: callback.FindString(string(text)),
		})
		plane.Apply(t, namespace, string(text))
	}
	i.Host("mcp.example.com", ingress(t, node, played))
	for name, p := range played {
		await(t, resource("MCPRemoteProxy", namespace, "docs-"+name), "Ready", "True PodsReady")
		session, err := connect(t, "https://mcp.example.com/servers/docs-"+name+"/mcp", i)
		if err != nil {
			t.Errorf("%s: %v; the provider says %q", name, err, p.Complaints())
			continue
		}
		defer session.Close()
		got, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "echo", Arguments: map[string]any{"text": name}})
		if err != nil || got.Content[0].(*mcp.TextContent).Text != name {
			t.Errorf("%s: a call: %v, %v", name, got, err)
		}
		for _, credential := range shownByCalls(t, backend) {
			if upstream, _ := strings.CutPrefix(credential, "Bearer "); !p.Gave(upstream) {
				t.Errorf("%s: the server is shown %q, want the provider's token", name, credential)
			}
		}
		backend.Reset()
		if all := p.Complaints(); len(all) > 0 {
			t.Errorf("%s complains: %q", name, all)
		}
	}
}

// ingress leads requests for the paths of a file's resources to its pods, under the name that they were for.
func ingress(t *testing.T, node *kube.Node, names map[string]*internet.Provider) http.Handler {
	t.Helper()
	to := map[string]http.Handler{}
	for name := range names {
		to[name] = passingOn(t, func() string {
			if pods := node.Addresses("app.kubernetes.io/instance", "docs-"+name+"-proxy", "mcp"); len(pods) > 0 {
				return pods[0]
			}
			return "127.0.0.1:1" // nobody is there
		}, true)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, h := range to {
			if strings.Contains(r.URL.Path+"/", "/"+name+"/") || strings.Contains(r.URL.Path+"/", "/docs-"+name+"/") {
				h.ServeHTTP(w, r)
				return
			}
		}
		http.NotFound(w, r)
	})
}

// connect connects the Go SDK's client, which signs in by what it finds out.
func connect(t *testing.T, address string, i *internet.Net) (*mcp.ClientSession, error) {
	t.Helper()
	return mcp.NewClient(&mcp.Implementation{Name: "e2e", Version: "1"}, nil).Connect(t.Context(), &mcp.StreamableClientTransport{
		Endpoint: address, HTTPClient: i.Client(), OAuthHandler: testkit.Authorizing(t, i.Browser(t), i.Client()),
	}, nil)
}

// passingOn passes requests on to an address of this machine, with the name that they were for or without.
func passingOn(t *testing.T, to func() string, named bool) http.Handler {
	t.Helper()
	transport := &http.Transport{} // which closes no connection behind a request, as that would be seen in its header
	t.Cleanup(transport.CloseIdleConnections)
	return &httputil.ReverseProxy{FlushInterval: -1, Transport: transport, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: to()})
		if named {
			r.Out.Host = r.In.Host
		}
	}}
}
