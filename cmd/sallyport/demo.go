package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/cmd/internal/process"
	"github.com/sallyport-dev/sallyport/internal/demo"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/manifest/strict"
)

func demoCommand() *cobra.Command {
	flags := process.Flags{Local: true}
	var signIn, team bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a gateway before a demo server, all in this process, and say what to try",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if signIn && team {
				return process.UsageError{Err: errors.New("demo --sign-in and --virtual are two demos: leave one of them out")}
			}
			flags.TakeFreePort(cmd.Flags(), cmd.ErrOrStderr())
			backend, stop, err := startDemo(demo.Handler())
			if err != nil {
				return err
			}
			defer stop()
			flags.KeptKey(keptKey)
			objects, say := []runtime.Object{demoServer(backend + "/mcp")}, sayDemo
			if team {
				objects, say = demoTeam(backend+"/mcp"), sayTeam
			}
			if signIn {
				if cmd.Flags().Changed("tls-cert") {
					return process.UsageError{Err: errors.New("demo --sign-in speaks http, on this machine alone: leave --tls-cert out")}
				}
				people, stop, err := demoSignIn(flags.Listen, backend+"/mcp")
				if err != nil {
					return err
				}
				defer stop()
				objects, say = people, saySignIn
			}
			src := process.Source{Load: func() (*manifest.Set, error) { return demoManifest(objects...) }}
			return process.Serve(cmd.Context(), &flags, src, cmd.OutOrStdout(), cmd.ErrOrStderr(), func(at string) {
				say(cmd.OutOrStdout(), at+"/mcp")
			})
		},
	}
	flags.Register(cmd.Flags())
	cmd.Flags().BoolVar(&signIn, "sign-in", false, "have clients sign in, at a demo identity provider that asks for no password")
	cmd.Flags().BoolVar(&team, "virtual", false, "join two demo servers as one")
	return cmd
}

// startDemo serves a part of the demo on a loopback address of its own, so that
// the gateway reaches it as it reaches any other.
func startDemo(h http.Handler) (url string, stop func(), err error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("start the demo: %w", err)
	}
	url, stop = serveDemo(ln, h)
	return url, stop, nil
}

func serveDemo(ln net.Listener, h http.Handler) (url string, stop func()) {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan struct{})
	go func() {
		_ = server.Serve(ln) // it ends when it is closed
		close(ended)
	}()
	return "http://" + ln.Addr().String(), func() {
		_ = server.Close() // the process ends; there is nothing to do about it
		<-ended
	}
}

func demoServer(backend string) *v1alpha1.MCPRemoteProxy {
	return &v1alpha1.MCPRemoteProxy{
		ObjectMeta: metav1.ObjectMeta{Name: "demo"},
		Spec: v1alpha1.MCPRemoteProxySpec{Remote: v1alpha1.Remote{
			RemoteURL:            v1alpha1.RemoteURL(backend),
			AllowPrivateEndpoint: true,
			HeaderForward: &v1alpha1.HeaderForward{
				AddPlaintextHeaders: map[string]v1alpha1.HeaderValue{"X-Demo-Tenant": "sallyport"},
			},
		}},
	}
}

func demoManifest(objects ...runtime.Object) (*manifest.Set, error) {
	set, err := manifest.FromObjects(objects...)
	if err != nil {
		return nil, err
	}
	if problems := strict.Validate(set); len(problems) > 0 {
		return nil, errors.New("the demo's own manifest is wrong: " + problems.Error())
	}
	return set, nil
}

// sayDemo prints what to try. The first command needs nothing but curl.
func sayDemo(w io.Writer, url string) {
	const body = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"received_headers","arguments":{},` +
		`"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`
	fmt.Fprintf(w, `
  A demo MCP server is behind the gateway:  %[1]s

  Ask it which headers reached it; the credential you send stays at the gateway:

    curl -s %[1]s \
      -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' \
      -H 'MCP-Protocol-Version: 2026-07-28' -H 'Mcp-Method: tools/call' -H 'Mcp-Name: received_headers' \
      -H 'Authorization: Bearer my-own-token' \
      -d '%[2]s'

  Or add it to the clients that are on this machine, or to one of them:

    sallyport client add all %[1]s --name demo
    claude mcp add --transport http demo %[1]s
    npx -y @modelcontextprotocol/inspector --cli %[1]s --transport http --method tools/list

  The same with people who sign in:  sallyport demo --sign-in
  Two servers as one:                sallyport demo --virtual

  For its metrics, add --admin-listen 127.0.0.1:9090. Ctrl-C ends it.

`, url, body)
}
