package e2e_test

import (
	"bytes"
	"fmt"
	"image/png"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/testkit"
	"github.com/sallyport-dev/sallyport/internal/testkit/chromium"
)

// The pictures of the console in the documentation are of the console: go test ./e2e -run TestPictures -update takes them
// anew. Times and ports are in them, so that without it only their size is compared.
func TestPictures(t *testing.T) {
	t.Parallel()
	backend := recordBackend(t)
	issuer := testkit.NewIssuer(t)
	g := serve(t, remote("docs", backend.URL+"/mcp", "title: Team documents", "description: What we wrote down.", "audit: {enabled: true}",
		"trustedProxy: {clientAuthEnabled: false, trustProxyAuth: true, preset: oauth2-proxy, missingHeader: reject}",
		"authzConfig: {type: inline, inline: {policies: ['@id(\"everybody reads\") permit(principal, action == Action::\"call_tool\", resource == Tool::\"echo\");']}}")+
		remote("tickets", backend.URL+"/mcp", "title: Tickets", "description: What is to be done.",
			"oidcConfig: {inline: {issuer: "+issuer.URL+", jwksAllowPrivateIP: true, audience: tickets}}", "externalAuthConfigRef: {name: tickets-key}")+
		object("MCPExternalAuthConfig", "tickets-key", "type: bearerToken", "bearerToken: {tokenSecretRef: {name: tickets-key, key: token}}")+
		"---\napiVersion: v1\nkind: Secret\nmetadata: {name: tickets-key}\nstringData: {token: a-key-that-nobody-else-has}\n", "--health-interval", "30s")
	for i, tool := range []string{"echo", "echo", "echo", "delete_page", "delete_page"} {
		request{
			url: at(g, "docs"), header: http.Header{"Content-Type": {"application/json"}, "X-Auth-Request-User": {"alice"}, "X-Auth-Request-Groups": {"editors"}},
			body: fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":%q,"arguments":{"text":"hello"}}}`, i, tool),
		}.do(t)
	}
	browser := chromium.Start(t)
	by := byKeyboard{t, browser}
	browser.Open(t, g.Admin+"/console")
	by.sees("Live", "All is well with all 2 servers.", "alice calls delete_page")
	for _, scheme := range []string{"light", "dark"} {
		browser.Show(t, 1200, 1080, scheme)
		picture(t, browser, "console-"+scheme+".png")
	}
	browser.Open(t, g.Admin+"/console?try=tickets#try")
	token := issuer.Sign(nil, issuer.Claims("tickets", map[string]any{"sub": "alice"}))
	browser.Click(t, "[name=as][value=token]")
	browser.Eval(t, fmt.Sprintf("document.getElementById('try-tool').value = 'echo'; document.getElementById('try-arguments').value = '{\"text\": \"hello\"}'; document.getElementById('try-token').value = %q", token))
	browser.Click(t, "button[value=look]")
	by.sees("alice would come through to tickets.")
	browser.Click(t, "[name=sure]")
	browser.Click(t, "form[action*=send] button")
	by.sees("The server got")
	browser.Show(t, 1200, 1080, "light")
	browser.Eval(t, "document.getElementById('try').scrollIntoView()")
	picture(t, browser, "console-sent.png")
}

// picture compares a picture's size with what there is, or writes it.
func picture(t *testing.T, b *chromium.Browser, name string) {
	t.Helper()
	b.HideScrollbars(t)
	taken, file := b.Screenshot(t), filepath.Join(root, "docs", "pictures", name)
	if *update {
		if err := os.WriteFile(file, taken, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	there, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	now, err := png.DecodeConfig(bytes.NewReader(taken))
	if err != nil {
		t.Fatal(err)
	}
	if before, err := png.DecodeConfig(bytes.NewReader(there)); err != nil || before.Width != now.Width || before.Height != now.Height {
		t.Errorf("%s is of another size than the page: %v", file, err)
	}
}
