package compile_test

import (
	"strings"
	"testing"
)

// TestProblems compiles sets whose every object is right by itself, and whose whole is not.
//
// REQ E-3: two settings for one header are a problem that names both. REQ B-6: so is a reference to nothing. Each is
// said at the place of the field, in words that hold no secret.
func TestProblems(t *testing.T) {
	t.Parallel()
	const url = "http://127.0.0.1:1/mcp"
	s := secret("s", "k", "canary-value")
	for name, tt := range map[string]struct {
		docs string
		want []string // words of one problem each, all in one string
	}{
		"two authorization servers at one place": {
			signIn("a", "issuer: https://gw.example.com") + signIn("b", "issuer: https://other.example.com"),
			[]string{"MCPExternalAuthConfig/b spec.embeddedAuthServer.issuer overlaps a https://gw.example.com"},
		},
		"an authorization server where endpoints are": {
			signIn("a", "issuer: https://gw.example.com/servers/a"),
			[]string{"MCPExternalAuthConfig/a spec.embeddedAuthServer.issuer servers path"},
		},
		"short and missing secrets of an authorization server": {
			s + signIn("a", "issuer: https://gw.example.com", "hmacSecretRefs: [{name: s, key: k}]", "signingKeySecretRefs: [{name: s, key: k}, {name: none, key: k}]"),
			[]string{ // FINDING F-rows: all at once
				"MCPExternalAuthConfig/a spec.embeddedAuthServer.signingKeySecretRefs[0].key no PEM openssl",
				"MCPExternalAuthConfig/a spec.embeddedAuthServer.signingKeySecretRefs[1].name none",
				"MCPExternalAuthConfig/a spec.embeddedAuthServer.hmacSecretRefs[0].key 32 openssl",
			},
		},
		"a short secret of an authorization server": {
			s + signIn("a", "issuer: https://gw.example.com", "hmacSecretRefs: [{name: s, key: k}]"),
			[]string{"MCPExternalAuthConfig/a spec.embeddedAuthServer.hmacSecretRefs[0].key 32 openssl"},
		},
		"a credential in place of an authorization server, and the other way round": {
			s + bearer("auth", "s") + signIn("people", "issuer: https://gw.example.com") + proxy("docs", url, "authServerRef: {name: auth}") +
				proxy("more", url, "externalAuthConfigRef: {name: people}") + proxy("none", url, "authServerRef: {name: nobody}"),
			[]string{
				"MCPRemoteProxy/docs spec.authServerRef.name embeddedAuthServer externalAuthConfigRef",
				"MCPRemoteProxy/more spec.externalAuthConfigRef.name authServerRef",
				"MCPRemoteProxy/none spec.authServerRef.name MCPExternalAuthConfig nobody",
			},
		},
		"a provider's token where nobody signs in, and one of no provider": {
			signIn("people", "issuer: https://gw.example.com") +
				object("MCPExternalAuthConfig", "inject", "type: upstreamInject", "upstreamInject: {providerName: okta}") +
				proxy("docs", url, "externalAuthConfigRef: {name: inject}") +
				proxy("more", url, "externalAuthConfigRef: {name: inject}", "authServerRef: {name: people}"),
			[]string{
				"MCPExternalAuthConfig/inject spec.upstreamInject.providerName okta default",
				"MCPRemoteProxy/docs spec.externalAuthConfigRef authServerRef",
			},
		},
		"a header that the provider's token has": {
			signIn("people", "issuer: https://gw.example.com") +
				proxy("docs", url, "authServerRef: {name: people}", "headerForward: {addPlaintextHeaders: {Authorization: a}}"),
			[]string{"MCPRemoteProxy/docs spec.headerForward Authorization spec.authServerRef disableUpstreamTokenInjection"},
		},
		"passthrough and an injected header": {
			s + injection("auth", "x-tenant") + proxy("docs", url, "passthroughHeaders: [X-A, X-Tenant]", "externalAuthConfigRef: {name: auth}"),
			[]string{"MCPRemoteProxy/docs spec.passthroughHeaders[1] X-Tenant spec.externalAuthConfigRef"},
		},
		"a plain header and an injected one": {
			s + injection("auth", "X-Tenant") + proxy("docs", url, "headerForward: {addPlaintextHeaders: {x-tenant: a}}", "externalAuthConfigRef: {name: auth}"),
			[]string{"MCPRemoteProxy/docs X-Tenant spec.externalAuthConfigRef spec.headerForward.addPlaintextHeaders"},
		},
		"a secret header and a bearer token": {
			s + bearer("auth", "s") + proxy("docs", url,
				"headerForward: {addHeadersFromSecret: [{headerName: AUTHORIZATION, valueSecretRef: {name: s, key: k}}]}", "externalAuthConfigRef: {name: auth}"),
			[]string{"MCPRemoteProxy/docs Authorization spec.externalAuthConfigRef spec.headerForward.addHeadersFromSecret[0]"},
		},
		"an entry of a group, too": {
			s + bearer("auth", "s") + object("MCPGroup", "team", "description: x") + object("MCPServerEntry", "e", "groupRef: {name: team}", "remoteUrl: "+url, "transport: sse", "allowPrivateEndpoint: true",
				"headerForward: {addPlaintextHeaders: {Authorization: a}}", "externalAuthConfigRef: {name: auth}"),
			[]string{"MCPServerEntry/e Authorization spec.externalAuthConfigRef spec.headerForward.addPlaintextHeaders"},
		},
		"an exchanged token and a secret header": {
			s + exchange("auth") + proxy("docs", url, "externalAuthConfigRef: {name: auth}", incoming,
				"headerForward: {addHeadersFromSecret: [{headerName: AUTHORIZATION, valueSecretRef: {name: s, key: k}}]}"),
			[]string{"MCPRemoteProxy/docs Authorization spec.externalAuthConfigRef spec.headerForward.addHeadersFromSecret[0]"},
		},
		"an exchanged token in a header, and a passthrough one": {
			s + exchange("auth", "externalTokenHeaderName: x-backend-token") + proxy("docs", url, "externalAuthConfigRef: {name: auth}", incoming,
				"passthroughHeaders: [X-Backend-Token]"),
			[]string{"MCPRemoteProxy/docs spec.passthroughHeaders[0] X-Backend-Token spec.externalAuthConfigRef"},
		},
		"nothing to exchange": {
			s + exchange("auth") + proxy("docs", url, "externalAuthConfigRef: {name: auth}"),
			[]string{"MCPRemoteProxy/docs spec.externalAuthConfigRef oidcConfigRef"},
		},
		"nothing to exchange, since tokens are not asked for": {
			s + exchange("auth") + proxy("docs", url, "externalAuthConfigRef: {name: auth}", incoming, "trustedProxy: {clientAuthEnabled: false, trustProxyAuth: true}"),
			[]string{"MCPRemoteProxy/docs spec.externalAuthConfigRef clientAuthEnabled MCP_CLIENT_AUTH_ENABLED"},
		},
		"no secret to exchange with": {
			exchange("auth") + proxy("docs", url, "externalAuthConfigRef: {name: auth}", incoming),
			[]string{"MCPExternalAuthConfig/auth spec.tokenExchange.clientSecretRef.name s"},
		},
		"a token endpoint that is not dialled": {
			object("MCPExternalAuthConfig", "auth", "type: tokenExchange", "tokenExchange: {tokenUrl: \"https://10.0.0.1/token\"}"),
			[]string{"MCPExternalAuthConfig/auth spec.tokenExchange.tokenUrl allowPrivateIPs: true every call will fail"},
		},
		"an account and a plain header": {
			proxy("docs", url, "oauth: {}", "headerForward: {addPlaintextHeaders: {authorization: a}}"),
			[]string{"MCPRemoteProxy/docs Authorization spec.oauth spec.headerForward.addPlaintextHeaders"},
		},
		"a group that is none": {
			proxy("docs", url, "groupRef: {name: team}"),
			[]string{"MCPRemoteProxy/docs spec.groupRef.name team"},
		},
		"an account of an entry and a secret header": {
			s + object("MCPGroup", "team", "description: x") + object("MCPServerEntry", "e", "groupRef: {name: team}", "remoteUrl: "+url, "transport: sse", "allowPrivateEndpoint: true", "oauth: {}",
				"headerForward: {addHeadersFromSecret: [{headerName: AUTHORIZATION, valueSecretRef: {name: s, key: k}}]}"),
			[]string{"MCPServerEntry/e Authorization spec.oauth spec.headerForward.addHeadersFromSecret[0]"},
		},
		"an account and the client's own": {
			proxy("docs", url, "oauth: {}", "passthroughAuthorization: true"),
			[]string{"MCPRemoteProxy/docs Authorization spec.oauth spec.passthroughAuthorization"},
		},
		"an account without its secret": {
			proxy("docs", url, "oauth: {grant: clientCredentials, clientId: a, clientSecretRef: {name: gone, key: k}}"),
			[]string{"MCPRemoteProxy/docs spec.oauth.clientSecretRef.name gone"},
		},
		"an account with a key that is none": {
			s + proxy("docs", url, "oauth: {grant: clientCredentials, clientId: a, privateKeyRef: {name: s, key: k}}"),
			[]string{"MCPRemoteProxy/docs spec.oauth.privateKeyRef PEM"},
		},
		"no such credential": {
			proxy("docs", url, "externalAuthConfigRef: {name: nobody}"),
			[]string{"MCPRemoteProxy/docs spec.externalAuthConfigRef.name MCPExternalAuthConfig nobody"},
		},
		"no such secret": {
			bearer("auth", "none") + proxy("docs", url, "externalAuthConfigRef: {name: auth}",
				"headerForward: {addHeadersFromSecret: [{headerName: X-A, valueSecretRef: {name: nil-secret, key: k}}]}"),
			[]string{
				"MCPExternalAuthConfig/auth spec.bearerToken.tokenSecretRef.name none",
				"MCPRemoteProxy/docs spec.headerForward.addHeadersFromSecret[0].valueSecretRef.name nil-secret",
			},
		},
		"no such key": {
			secret("s", "other", "v") + bearer("auth", "s") + object("MCPServer", "local", "command: [x]", "secrets: [{name: s, key: gone}]"),
			[]string{
				"MCPExternalAuthConfig/auth spec.bearerToken.tokenSecretRef.key k",
				"MCPServer/local spec.secrets[0].key gone",
			},
		},
		"a secret that ends a line": {
			secret("s", "k", "canary\r\nX-Evil: canary") + bearer("auth", "s"),
			[]string{"MCPExternalAuthConfig/auth spec.bearerToken.tokenSecretRef.key control"},
		},
		"a secret with a NUL": {
			secret("s", "k", "canary\x00") + proxy("docs", url, "headerForward: {addHeadersFromSecret: [{headerName: X-A, valueSecretRef: {name: s, key: k}}]}"),
			[]string{"MCPRemoteProxy/docs spec.headerForward.addHeadersFromSecret[0].valueSecretRef.key control"},
		},
		"an empty secret": {
			secret("s", "k", "\n") + bearer("auth", "s"),
			[]string{"MCPExternalAuthConfig/auth spec.bearerToken.tokenSecretRef.key empty"},
		},
		"no such certificates": {
			proxy("docs", url, "caBundleRef: {configMapRef: {name: ca}}"),
			[]string{"MCPRemoteProxy/docs spec.caBundleRef.configMapRef.name ConfigMap ca"},
		},
		"certificates that are none": {
			"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: ca}\ndata: {ca.crt: hello}\n" + proxy("docs", url, "caBundleRef: {configMapRef: {name: ca}}"),
			[]string{"MCPRemoteProxy/docs spec.caBundleRef.configMapRef.key certificate"},
		},
		"one name for two endpoints": {
			proxy("docs", url) + object("MCPServer", "docs", "command: [x]"),
			[]string{"MCPServer/docs metadata.name MCPRemoteProxy /servers/docs"},
		},
		"everything at once": {
			proxy("a", url, "externalAuthConfigRef: {name: nobody}", "caBundleRef: {configMapRef: {name: ca}}") +
				proxy("b", url, "passthroughHeaders: [X-A]", "headerForward: {addHeadersFromSecret: [{headerName: X-B, valueSecretRef: {name: none, key: k}}]}") +
				object("MCPServer", "a", "command: [x]", "secrets: [{name: none, key: k}]"),
			[]string{
				"MCPRemoteProxy/a spec.externalAuthConfigRef.name", "MCPRemoteProxy/a spec.caBundleRef.configMapRef.name",
				"MCPRemoteProxy/b spec.headerForward.addHeadersFromSecret[0].valueSecretRef.name", "MCPServer/a spec.secrets[0].name",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			problems := check(t, tt.docs)
			for _, want := range tt.want {
				found := 0
				for _, p := range problems {
					text := p.String()
					if p.Line > 0 && p.Column > 0 && strings.HasSuffix(p.File, "main.yaml") && hasAll(text, strings.Fields(want)) {
						found++
					}
				}
				if found != 1 {
					t.Errorf("%d problems say %q", found, want)
				}
			}
			if name != "everything at once" && len(problems) != len(tt.want) {
				t.Errorf("%d problems, want %d", len(problems), len(tt.want))
			}
			if text := problems.Error(); t.Failed() || strings.Contains(text, "canary") {
				t.Errorf("problems:\n%s", text)
			}
		})
	}
}

func hasAll(text string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}

// REQ E-3, REQ B-6: what is right is not complained of: a line break at a secret's end, headers that only look alike.
func TestNoProblems(t *testing.T) {
	t.Parallel()
	docs := secret("s", "k", "value\n") + bearer("auth", "s") + injection("other", "X-Inject") +
		proxy("docs", "http://127.0.0.1:1", "passthroughHeaders: [X-Tenant, X-Tenant-Id]", "externalAuthConfigRef: {name: auth}",
			"headerForward: {addPlaintextHeaders: {X-Tenants: a}, addHeadersFromSecret: [{headerName: X-Inject, valueSecretRef: {name: s, key: k}}]}") +
		object("MCPServer", "local", "command: [x]", "secrets: [{name: s, key: k, targetEnvName: A}]")
	if problems := check(t, docs); len(problems) > 0 {
		t.Error(problems)
	}
}
