package gateway_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/gateway"
	"github.com/sallyport-dev/sallyport/internal/testkit/hub"
)

// embeddedAt is an authorization server at origin, and a configuration of its tokens as
// ToolHive's manifests have one beside it.
func embeddedAt(origin string, h *hub.Server) string {
	return object("MCPExternalAuthConfig", "auth", "type: embeddedAuthServer",
		fmt.Sprintf("embeddedAuthServer: {issuer: %q, upstreamProviders: [%s]}", origin, hubProvider("code-host", h, "clientId: "+h.ID))) +
		object("MCPOIDCConfig", "same", "type: inline", fmt.Sprintf("inline: {issuer: %q, jwksAllowPrivateIP: true}", origin))
}

// REQ B-32: authServerRef and oidcConfigRef of one issuer are one door, and resourceUrl
// is the address that this endpoint's clients are told, and that its tokens are for.
func TestResourceURL(t *testing.T) {
	t.Parallel()
	h, b := hub.Start(t), newBackend(t, "docs")
	const door = "authServerRef: {kind: MCPExternalAuthConfig, name: auth}"
	origin := serveAt(t, func(origin string) string {
		public := origin + "/here/docs/mcp" // where a proxy has it
		return embeddedAt(origin, h) +
			proxy("docs", b.URL+"/mcp", door, fmt.Sprintf("oidcConfigRef: {name: same, audience: %q, resourceUrl: %q}", public, public)) +
			proxy("other", b.URL+"/mcp", door)
	}, func(o *gateway.Options) {
		o.LookupEnv = func(string) (string, bool) { return h.Secret, true }
	})
	p := newPerson(t, origin)
	for own, public := range map[string]string{"/servers/docs/mcp": "/here/docs/mcp", "/servers/docs/sse": "/here/docs/sse"} {
		document := origin + "/.well-known/oauth-protected-resource" + public
		if found := resourceMetadata.FindStringSubmatch(p.knock(t, origin+own, "").Header.Get("WWW-Authenticate")); found == nil || found[1] != document {
			t.Errorf("%s: challenge %q, want one with %s", own, found, document)
		}
		var metadata struct {
			Resource string `json:"resource"`
		}
		p.json(t, http.MethodGet, document, "application/json", "", "", &metadata)
		if metadata.Resource != origin+public {
			t.Errorf("%s is about %s", document, metadata.Resource)
		}
		token := p.signIn(t, metadata.Resource)
		if resp := p.knock(t, origin+own, token); resp.StatusCode != http.StatusOK {
			t.Errorf("a token for %s at %s: %s", metadata.Resource, own, resp.Status)
		}
		if resp := p.knock(t, origin+"/servers/other/mcp", token); resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("a token for %s at another endpoint: %s", metadata.Resource, resp.Status)
		}
	}
}

func TestTwoDoorsOfOtherIssuers(t *testing.T) {
	t.Parallel()
	h := hub.Start(t)
	for ref, want := range map[string]string{
		`{name: same, audience: "https://gw.example.com/servers/docs/mcp"}`: "",
		`{name: same, audience: "https://gw.example.com"}`:                  "oidcConfigRef.audience: is no address of this endpoint",
		`{name: else, audience: "https://gw.example.com/servers/docs/mcp"}`: "oidcConfigRef.name: is of the issuer https://idp.example.com",
	} {
		problems := check(t, embeddedAt("https://gw.example.com", h)+
			object("MCPOIDCConfig", "else", "type: inline", `inline: {issuer: "https://idp.example.com"}`)+
			proxy("docs", "http://127.0.0.1:1/mcp", "authServerRef: {kind: MCPExternalAuthConfig, name: auth}", "oidcConfigRef: "+ref))
		if want == "" && len(problems) > 0 || want != "" && (len(problems) != 1 || !strings.Contains(problems[0].String(), want)) {
			t.Errorf("%s: %v", ref, problems)
		}
	}
}

// No two endpoints have one address: a token for one would open the other.
func TestOneResourceURLForTwo(t *testing.T) {
	t.Parallel()
	const ref = `oidcConfigRef: {name: idp, audience: "https://gw.example.com/a/mcp", resourceUrl: "https://gw.example.com/a/mcp"}`
	problems := check(t, object("MCPOIDCConfig", "idp", "type: inline", `inline: {issuer: "https://idp.example.com"}`)+
		proxy("a", "http://127.0.0.1:1/mcp", ref)+proxy("b", "http://127.0.0.1:1/mcp", ref))
	if len(problems) != 1 || !strings.Contains(problems[0].String(), "resourceUrl: is that of MCPRemoteProxy a too") {
		t.Errorf("problems: %v", problems)
	}
}
