package e2e_test

import (
	"context"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/testkit"
	"github.com/sallyport-dev/sallyport/internal/testkit/hub"
)

// hubProvider are the lines of a provider that is a hub, to come first among the
// further lines of an authServer, and the secret that they name.
func hubProvider(h *hub.Server, lines ...string) (provider []string, secret string) {
	provider = []string{
		"- name: hub", "  type: oauth2", "  oauth2Config:",
		"    authorizationEndpoint: " + h.URL + "/login/oauth/authorize", "    tokenEndpoint: " + h.URL + "/login/oauth/access_token",
		"    userInfo: {endpointUrl: " + h.URL + "/user}", "    clientId: " + h.ID,
		"    clientSecretRef: {name: people-hub, key: secret}", "    allowPrivateIPs: true",
	}
	for _, line := range lines {
		provider = append(provider, "  "+line)
	}
	return provider, secretObject("people-hub", "secret", h.Secret)
}

// REQ A-8, REQ B-25, REQ D-4: official SDKs that know the address alone find out from
// the 401 how to sign in, through one provider and through a chain of three, and renew
// what they got.
func TestSDKsSignIn(t *testing.T) {
	t.Parallel()
	one, two, three := testkit.StartIdP(t), testkit.StartIdP(t), hub.Start(t)
	backend := testkit.StartBackend(t, testkit.Dual)
	for name, chained := range map[string]bool{"one provider": false, "three providers": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			issuer := "http://" + testkit.FreeAddress(t)
			providers, names, lines, secret := map[string]*testkit.IdP{"staff": one}, []string{"staff"}, []string(nil), ""
			if chained {
				providers["partner"] = two
				names = append(names, "partner")
				lines, secret = hubProvider(three)
			}
			g := serve(t, secret+authServer(t, issuer, providers, names, lines...)+
				remote("docs", backend.URL, "authServerRef: {name: people}"), "--listen", strings.TrimPrefix(issuer, "http://"))
			for _, version := range []string{"v1", "v2"} {
				t.Run("TypeScript "+version, func(t *testing.T) {
					t.Parallel()
					signInByScript(t, testkit.NewBrowser(t), nil, version, at(g, "docs"))
				})
			}
			t.Run("Go", func(t *testing.T) {
				t.Parallel()
				if tools, err := signsIn(t, testkit.NewBrowser(t), at(g, "docs")).ListTools(t.Context(), nil); err != nil || len(tools.Tools) == 0 {
					t.Errorf("tools/list: %v", err)
				}
			})
		})
	}
}

// signInByScript has an official TypeScript SDK sign in, with a browser that allows
// what it is asked.
func signInByScript(t *testing.T, b *testkit.Browser, env []string, version, endpoint string) {
	t.Helper()
	script := testkit.StartScriptWith(t, env, "js/signin.mjs", version, endpoint)
	address := script.Hear(t, regexp.MustCompile(`(?m)^open (http\S+)$`))
	page, err := b.SignIn(t.Context(), address[1], appRedirect)
	if err != nil || page.Status != 0 {
		t.Fatalf("sign in: %v, %+v", err, page)
	}
	script.Say(t, page.URL.String())
	var got map[string]any
	if err := json.Unmarshal([]byte(script.Wait(t)), &got); err != nil {
		t.Fatal(err)
	}
	for _, list := range []string{"tools", "prompts", "resources", "again"} {
		if n, _ := got[list].(float64); n == 0 {
			t.Errorf("%s came back empty: %v", list, got)
		}
		delete(got, list)
	}
	want := map[string]any{"registrations": 1.0, "opened": 1.0, "saved": 2.0, "rotated": true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the client did something else than register once, sign in once and renew once (-want +got):\n%s", diff)
	}
}

// REQ B-25: MCP Inspector knows the address alone, too. It listens for the browser
// itself.
func TestInspectorSignsIn(t *testing.T) {
	t.Parallel()
	idp := testkit.StartIdP(t)
	issuer := "http://" + testkit.FreeAddress(t)
	g := serve(t, authServer(t, issuer, map[string]*testkit.IdP{"default": idp}, []string{"default"})+
		remote("docs", testkit.StartBackend(t, testkit.Dual).URL, "authServerRef: {name: people}"),
		"--listen", strings.TrimPrefix(issuer, "http://"))
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	cmd := inspector(ctx, t, at(g, "docs"), "--transport", "http", "--protocol-era", "auto",
		"--callback-url", "http://"+testkit.FreeAddress(t)+"/oauth/callback", "--method", "tools/list", "--format", "json")
	cmd.Env = append(cmd.Env, "MCP_AUTO_OPEN_ENABLED=true")
	stdout, stderr := &testkit.Output{}, &testkit.Output{}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	asked, address := regexp.MustCompile(regexp.QuoteMeta(issuer)+`/oauth/authorize\?[^\s"]+`), ""
	if err := stderr.Wait(ctx, func(text string) bool { address = asked.FindString(text); return address != "" }); err != nil {
		t.Fatalf("it asked for no sign-in: %v\n%s%s", err, stdout, stderr)
	}
	page, err := testkit.NewBrowser(t).SignIn(ctx, address, "")
	if err != nil || page.Status != http.StatusOK {
		t.Errorf("sign in: %v, %+v", err, page)
	}
	if err := cmd.Wait(); err != nil || !strings.Contains(stdout.String(), `"echo"`) {
		t.Errorf("%v; it wrote\n%s%s", err, stdout, stderr)
	}
}
