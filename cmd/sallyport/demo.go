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

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/cmd/internal/process"
	"github.com/sallyport-dev/sallyport/internal/demo"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/manifest/strict"
)

func demoCommand() *cobra.Command {
	var flags process.Flags
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a gateway before a demo server, all in this process, and say what to try",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			backend, stop, err := startDemoServer()
			if err != nil {
				return err
			}
			defer stop()
			src := process.Source{Load: func() (*manifest.Set, error) { return demoManifest(backend) }}
			return process.Serve(&flags, src, cmd.OutOrStdout(), cmd.ErrOrStderr(), func(at string) {
				sayDemo(cmd.OutOrStdout(), at+"/mcp")
			})
		},
	}
	flags.Register(cmd.Flags())
	return cmd
}

// startDemoServer serves the demo server on a loopback address of its own, so that
// the gateway reaches it as it reaches any other.
func startDemoServer() (url string, stop func(), err error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("start the demo server: %w", err)
	}
	server := &http.Server{Handler: demo.Handler(), ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan struct{})
	go func() {
		_ = server.Serve(ln) // it ends when it is closed
		close(ended)
	}()
	return "http://" + ln.Addr().String() + "/mcp", func() {
		_ = server.Close() // the process ends; there is nothing to do about it
		<-ended
	}, nil
}

func demoManifest(backend string) (*manifest.Set, error) {
	set, err := manifest.FromObjects(&v1alpha1.MCPRemoteProxy{
		ObjectMeta: metav1.ObjectMeta{Name: "demo"},
		Spec: v1alpha1.MCPRemoteProxySpec{
			RemoteURL:            v1alpha1.RemoteURL(backend),
			AllowPrivateEndpoint: true,
			HeaderForward: &v1alpha1.HeaderForward{
				AddPlaintextHeaders: map[string]v1alpha1.HeaderValue{"X-Demo-Tenant": "sallyport"},
			},
		},
	})
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

  Or add it to a client:

    claude mcp add --transport http demo %[1]s
    npx -y @modelcontextprotocol/inspector --cli %[1]s --transport http --method tools/list

  Ctrl-C ends it.

`, url, body)
}
