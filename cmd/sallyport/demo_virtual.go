package main

import (
	"fmt"
	"io"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
)

// demoTeam is the demo server twice, joined as one.
func demoTeam(backend string) []runtime.Object {
	group := v1alpha1.ObjectRef{Name: "demo"}
	objects := []runtime.Object{
		&v1alpha1.MCPGroup{ObjectMeta: metav1.ObjectMeta{Name: "demo"}},
		&v1alpha1.VirtualMCPServer{ObjectMeta: metav1.ObjectMeta{Name: "demo"}, Spec: v1alpha1.VirtualMCPServerSpec{GroupRef: group}},
	}
	for _, name := range []string{"here", "there"} {
		objects = append(objects, &v1alpha1.MCPServerEntry{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: v1alpha1.MCPServerEntrySpec{
				Remote:     v1alpha1.Remote{RemoteURL: v1alpha1.RemoteURL(backend), AllowPrivateEndpoint: true},
				Membership: v1alpha1.Membership{GroupRef: &group},
				Transport:  "streamable-http",
			},
		})
	}
	return objects
}

// sayTeam prints what to try.
func sayTeam(w io.Writer, url string) {
	const body = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"there_echo","arguments":{"text":"hello"},` +
		`"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`
	fmt.Fprintf(w, `
  Two demo MCP servers, here and there, are one behind the gateway:  %[1]s

  Their tools, each with its server's name before its own:

    curl -s %[3]s/tools

  Call one; the gateway takes it to the server that has it:

    curl -s %[1]s \
      -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' \
      -H 'MCP-Protocol-Version: 2026-07-28' -H 'Mcp-Method: tools/call' -H 'Mcp-Name: there_echo' \
      -d '%[2]s'

  Or add it to a client:

    claude mcp add --transport http demo %[1]s

  Ctrl-C ends it.

`, url, body, url[:len(url)-len("/mcp")])
}
