package e2e_test

import (
	"context"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// The official suite's scenarios for authorization servers: the metadata, and one code
// with PKCE, for which it prints an address and waits for a browser.
func TestAuthorizationSuite(t *testing.T) {
	t.Parallel()
	idp := testkit.StartIdP(t)
	backend := testkit.Record(t, sessionBackend("s"))
	address, callback := testkit.FreeAddress(t), testkit.FreeAddress(t)
	issuer := "http://" + address
	port := regexp.MustCompile(`\d+$`).FindString(callback)
	g := serve(t, authServer(t, issuer, map[string]*testkit.IdP{"default": idp}, []string{"default"},
		`staticClients: [{clientId: suite, redirectUris: ["http://127.0.0.1/callback", "http://localhost/callback"]}]`)+
		remote("docs", backend.URL, "authServerRef: {name: people}"), "--listen", address)
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	suite := filepath.Join(testkit.NodeModules(t), "@modelcontextprotocol", "conformance", "dist", "index.js")
	dir := t.TempDir()
	cmd, out := testkit.Node(ctx, t, suite, "authorization", "--url", issuer, "--client-id", "suite", "--resource", at(g, "docs"), "--port", port, "-o", dir), &testkit.Output{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	asked := regexp.MustCompile(`http://127\.0\.0\.1:\d+/oauth/authorize\?\S+`)
	address = ""
	if err := out.Wait(ctx, func(text string) bool { address = asked.FindString(text); return address != "" }); err != nil {
		t.Fatalf("the suite asked for no sign-in: %v\n%s", err, out)
	}
	if _, err := testkit.NewBrowser(t).SignIn(ctx, address, ""); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the suite: %v", err)
	}
	if failed := regexp.MustCompile(`[1-9]\d* failed`).FindString(out.String()); failed != "" || t.Failed() {
		t.Errorf("the suite found failures:\n%s", out)
	}
}
