package gateway_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/gateway"
	"github.com/sallyport-dev/sallyport/internal/testkit"
	"github.com/sallyport-dev/sallyport/internal/testkit/hub"
)

var resourceMetadata = regexp.MustCompile(`resource_metadata="([^"]*)"`)

// knock asks an address without a token, or with one, and says what came of it.
func (p *person) knock(t *testing.T, at, token string) *http.Response {
	t.Helper()
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	method, body := http.MethodPost, toolCall
	if path := strings.TrimSuffix(at, "/"); strings.HasSuffix(path, "/sse") || strings.HasSuffix(path, "/ws") {
		method, body = http.MethodGet, ""
	}
	req, err := http.NewRequestWithContext(ctx, method, at, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/json, text/event-stream")
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	if strings.HasSuffix(strings.TrimSuffix(at, "/"), "/ws") {
		req.Header.Set("Connection", "Upgrade")
		req.Header.Set("Upgrade", "websocket")
		req.Header.Set("Sec-Websocket-Version", "13")
		req.Header.Set("Sec-Websocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := p.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp
}

// FINDING 2.3
// FINDING F1
// REQ G-7: every address of an endpoint leads to a document that names that very
// address, the authorization server makes a token for it, and the token is good at all
// of them.
func TestEverySpellingIsOneEndpoint(t *testing.T) {
	t.Parallel()
	h, b := hub.Start(t), newBackend(t, "docs")
	origin := serveAt(t, func(origin string) string {
		return object("MCPExternalAuthConfig", "auth", "type: embeddedAuthServer",
			fmt.Sprintf("embeddedAuthServer: {issuer: %q, upstreamProviders: [%s]}", origin, hubProvider("code-host", h, "clientId: "+h.ID))) +
			proxy("docs", b.URL+"/mcp", "authServerRef: {kind: MCPExternalAuthConfig, name: auth}")
	}, func(o *gateway.Options) {
		o.LookupEnv = func(string) (string, bool) { return h.Secret, true }
	})
	var all []string
	for _, surface := range []string{"mcp", "sse", "ws"} {
		for _, front := range []string{"/servers/docs/", "/"} {
			all = append(all, origin+front+surface, origin+front+surface+"/")
		}
	}
	for i, at := range all {
		p := newPerson(t, origin)
		document := origin + "/.well-known/oauth-protected-resource" + strings.TrimPrefix(at, origin)
		resp := p.knock(t, at, "")
		if resp.StatusCode != http.StatusSwitchingProtocols { // a WebSocket refuses by closing (REQ C-6)
			found := resourceMetadata.FindStringSubmatch(resp.Header.Get("WWW-Authenticate"))
			if resp.StatusCode != http.StatusUnauthorized || found == nil || found[1] != document {
				t.Errorf("%s: %s, challenge %q, want one with %s", at, resp.Status, resp.Header.Get("WWW-Authenticate"), document)
			}
		}
		var metadata struct {
			Resource string   `json:"resource"`
			Servers  []string `json:"authorization_servers"`
		}
		p.json(t, http.MethodGet, document, "application/json", "", "", &metadata)
		if metadata.Resource != at || len(metadata.Servers) != 1 || metadata.Servers[0] != origin {
			t.Errorf("%s: the document at %s is about %+v", at, document, metadata)
		}
		token := p.signIn(t, metadata.Resource)
		for _, other := range []string{at, all[(i+5)%len(all)]} {
			if resp := p.knock(t, other, token); resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusSwitchingProtocols {
				t.Errorf("a token for %s at %s: %s", at, other, resp.Status)
			}
		}
	}
	for _, at := range []string{origin, origin + "/"} {
		p := newPerson(t, origin)
		if resp := p.knock(t, all[0], p.signIn(t, at)); resp.StatusCode != http.StatusOK {
			t.Errorf("a token for %s, which has one endpoint: %s", at, resp.Status)
		}
	}
}

// FINDING 2.7
// REQ G-7: what is advertised is at the issuer's own origin where TLS ends in front, and
// says no default port; what a trusted proxy says counts however it spells it.
func TestAdvertisedOrigin(t *testing.T) {
	t.Parallel()
	h, b := hub.Start(t), newBackend(t, "docs")
	auth := object("MCPExternalAuthConfig", "auth", "type: embeddedAuthServer",
		fmt.Sprintf(`embeddedAuthServer: {issuer: "https://gw.example.com", upstreamProviders: [%s]}`, hubProvider("code-host", h, "clientId: "+h.ID)))
	signIn, tokens := "authServerRef: {kind: MCPExternalAuthConfig, name: auth}", "oidcConfig: {inline: {issuer: https://idp.example.com, audience: ours}}"
	for name, tt := range map[string]struct {
		door    string
		host    string
		headers []string
		want    string
	}{
		"TLS ends in front":         {signIn, "gw.example.com", nil, "https://gw.example.com"},
		"with its port":             {signIn, "gw.example.com:443", nil, "https://gw.example.com"},
		"in another case":           {signIn, "GW.Example.com", nil, "https://gw.example.com"},
		"another name":              {signIn, "other.example.com", nil, "http://other.example.com"},
		"a default port":            {tokens, "gw.example.com:80", nil, "http://gw.example.com"},
		"upper case":                {tokens, "gw.example.com", []string{"X-Forwarded-Proto", "HTTPS"}, "https://gw.example.com"},
		"a port of its own":         {tokens, "gw.example.com", []string{"X-Forwarded-Proto", "https", "X-Forwarded-Port", "8443"}, "https://gw.example.com:8443"},
		"a port that is the usual":  {tokens, "gw.example.com", []string{"X-Forwarded-Proto", "https", "X-Forwarded-Port", "443"}, "https://gw.example.com"},
		"a port twice":              {tokens, "x", []string{"X-Forwarded-Host", "gw.example.com:8443", "X-Forwarded-Port", "9"}, "http://gw.example.com:8443"},
		"by RFC 7239":               {tokens, "x", []string{"Forwarded", `for=1.2.3.4;Proto=HTTPS;host="gw.example.com:443"`}, "https://gw.example.com"},
		"by RFC 7239, of several":   {tokens, "x", []string{"Forwarded", `proto=http;host=evil, proto=https;host=gw.example.com`}, "https://gw.example.com"},
		"a header that is no host":  {tokens, "gw.example.com", []string{"X-Forwarded-Host", "a/b"}, "http://gw.example.com"},
		"the issuer wins over them": {signIn, "x", []string{"X-Forwarded-Host", "gw.example.com", "X-Forwarded-Proto", "http"}, "https://gw.example.com"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log testkit.Output
			r := newRig(t, auth+proxy("docs", b.URL+"/mcp", tt.door, "trustProxyHeaders: true", "trustedProxy: {trustedProxies: [192.0.2.1]}"), func(o *gateway.Options) {
				o.LookupEnv = func(string) (string, bool) { return h.Secret, true }
				o.Log = slog.New(slog.NewTextHandler(&log, nil))
			})
			req := httptest.NewRequest(http.MethodGet, "/.well-known/oauth-protected-resource/servers/docs/mcp", nil)
			req.Host = tt.host
			for i := 0; i < len(tt.headers); i += 2 {
				req.Header.Set(tt.headers[i], tt.headers[i+1])
			}
			body, _ := io.ReadAll(r.send(req).Body)
			if want := `"resource":"` + tt.want + `/servers/docs/mcp"`; !strings.Contains(string(body), want) {
				t.Errorf("%s, want %s", body, want)
			}
			r.send(req)
			want, said := map[string]int{signIn: 1, tokens: 0}[tt.door], strings.Count(log.String(), "another address than the issuer's")
			if said != want && tt.host == "gw.example.com" {
				t.Errorf("warned %d times that requests and issuer disagree, want %d", said, want)
			}
		})
	}
}
