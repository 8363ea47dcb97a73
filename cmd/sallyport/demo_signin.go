package main

import (
	"errors"
	"fmt"
	"io"
	"net"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/cmd/internal/process"
	"github.com/sallyport-dev/sallyport/internal/demo"
)

// demoSignIn starts the demo identity provider, and makes a server whose clients
// sign in there: engineers may call every tool, others the harmless ones.
func demoSignIn(listen, backend string) (objects []runtime.Object, stop func(), err error) {
	issuer, err := demoIssuer(listen)
	if err != nil {
		return nil, nil, process.UsageError{Err: err}
	}
	// The provider's address is part of what it says, so it is known before it is made.
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, fmt.Errorf("start the demo identity provider: %w", err)
	}
	cfg := demo.ProviderConfig{Issuer: "http://" + ln.Addr().String(), ClientID: "sallyport", RedirectURI: issuer + "/oauth/callback"}
	provider, err := demo.NewProvider(cfg)
	if err != nil {
		_ = ln.Close()
		return nil, nil, err
	}
	_, stop = serveDemo(ln, provider)

	upstream := v1alpha1.UpstreamOIDC{IssuerURL: v1alpha1.IssuerURL(cfg.Issuer), ClientID: cfg.ClientID}
	upstream.AllowPrivateIPs = true
	people := &v1alpha1.MCPExternalAuthConfig{ObjectMeta: metav1.ObjectMeta{Name: "people"}}
	people.Spec.Type = "embeddedAuthServer"
	people.Spec.EmbeddedAuthServer = &v1alpha1.EmbeddedAuthServer{
		Issuer:            v1alpha1.IssuerURL(issuer),
		UpstreamProviders: v1alpha1.UpstreamProviders{{Name: "demo", Type: "oidc", OIDCConfig: &upstream}},
	}
	server := demoServer(backend)
	server.Spec.AuthServerRef = &v1alpha1.AuthServerRef{Kind: "MCPExternalAuthConfig", Name: v1alpha1.ObjectName(people.Name)}
	server.Spec.AuthzConfig = &v1alpha1.AuthzConfig{Type: "inline", Inline: &v1alpha1.AuthzInline{Policies: v1alpha1.PolicyTexts{
		`@id("engineers use everything") permit(principal in THVGroup::"engineering", action, resource);`,
		`@id("everybody echoes and adds") permit(principal, action == Action::"call_tool", resource)
			when { resource == Tool::"echo" || resource == Tool::"add" };`,
	}}}
	return []runtime.Object{people, server}, stop, nil
}

// demoIssuer is the gateway's own address, which has to be known before it listens.
func demoIssuer(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", fmt.Errorf("--listen: %w", err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return "", errors.New("demo --sign-in lets anybody be anybody: it is for this machine alone; leave --listen out, or use 127.0.0.1")
	}
	if port == "0" {
		return "", errors.New("demo --sign-in must know its address before it is there: name a port in --listen")
	}
	return "http://" + net.JoinHostPort(host, port), nil
}

func saySignIn(w io.Writer, url string) {
	fmt.Fprintf(w, `
  A demo MCP server is behind the gateway, for people who sign in:  %[1]s

  Add it to a client, which finds out by itself where to sign in:

    claude mcp add --transport http demo %[1]s     (then /mcp in Claude Code, to sign in)
    npx -y @modelcontextprotocol/inspector             (then connect to the address above)

  The client opens a page of the gateway, which says who asks and for what. Allow it, and choose who you are at
  the demo identity provider: Alice may use every tool, Bob those named echo and add, and sees no others.

  Ctrl-C ends it; sign-ins are forgotten then, and the client asks for a new one next time.

`, url)
}
