package compile_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/compile"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/manifest/strict"
	"github.com/sallyport-dev/sallyport/internal/testkit/leaks"
)

func TestMain(m *testing.M) { leaks.Main(m) }

// load reads manifests as serve does.
func load(t testing.TB, docs ...string) *manifest.Set {
	t.Helper()
	path := filepath.Join(t.TempDir(), "main.yaml")
	if err := os.WriteFile(path, []byte(strings.Join(docs, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	set, err := manifest.Load([]string{path})
	if err != nil {
		t.Fatal(err)
	}
	if problems := strict.Validate(set); len(problems) > 0 {
		t.Fatal(problems)
	}
	return set
}

// object is a document of ours; the lines are those of its spec.
func object(kind, name string, spec ...string) string {
	text := "---\napiVersion: sallyport.dev/v1alpha1\nkind: " + kind + "\nmetadata: {name: " + name + "}\nspec:\n"
	for _, line := range spec {
		text += "  " + line + "\n"
	}
	return text
}

// proxy is a remote proxy on loopback, audited.
func proxy(name, url string, spec ...string) string {
	return object("MCPRemoteProxy", name, append([]string{"remoteUrl: " + url, "allowPrivateEndpoint: true", "audit: {enabled: true}"}, spec...)...)
}

// check is what is wrong with manifests.
func check(t testing.TB, docs ...string) manifest.Problems {
	t.Helper()
	_, problems := compile.Check(load(t, docs...))
	return problems
}

// secret is a v1/Secret with pairs of keys and values.
func secret(name string, pairs ...string) string {
	text := "---\napiVersion: v1\nkind: Secret\nmetadata: {name: " + name + "}\nstringData:\n"
	for i := 0; i < len(pairs); i += 2 {
		text += fmt.Sprintf("  %s: %q\n", pairs[i], pairs[i+1])
	}
	return text
}

func bearer(name, secret string) string {
	return object("MCPExternalAuthConfig", name, "type: bearerToken", "bearerToken: {tokenSecretRef: {name: "+secret+", key: k}}")
}

// exchange is a token exchange; lines are further ones of its block.
func exchange(name string, lines ...string) string {
	block := []string{
		"type: tokenExchange", "tokenExchange:", "  tokenUrl: http://127.0.0.1:1/token", "  allowPrivateIPs: true", "  clientId: gateway",
		"  clientSecretRef: {name: s, key: k}",
	}
	for _, line := range lines {
		block = append(block, "  "+line)
	}
	return object("MCPExternalAuthConfig", name, block...)
}

// signIn is an authorization server; lines are those of its block.
func signIn(name string, lines ...string) string {
	block := []string{"type: embeddedAuthServer", "embeddedAuthServer:", `  upstreamProviders: [{type: oidc, oidcConfig: {issuerUrl: "https://idp.example.com", clientId: gateway}}]`}
	for _, line := range lines {
		block = append(block, "  "+line)
	}
	return object("MCPExternalAuthConfig", name, block...)
}

// incoming asks callers for tokens.
const incoming = `oidcConfig: {inline: {issuer: "http://127.0.0.1:1", jwksAllowPrivateIP: true, audience: docs}}`

func injection(name, header string) string {
	return object("MCPExternalAuthConfig", name, "type: headerInjection",
		"headerInjection: {headerName: "+header+", valueSecretRef: {name: s, key: k}}")
}

func policies(mode string, texts ...string) string {
	return "authzConfig: {type: inline, mode: " + mode + ", inline: {policies: ['" + strings.Join(texts, "', '") + "']}}"
}
