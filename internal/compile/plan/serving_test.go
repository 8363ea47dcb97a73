package plan_test

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sallyport-dev/sallyport/internal/compile/plan"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/manifest/strict"
	"github.com/sallyport-dev/sallyport/internal/policy"
)

// object is a document of ours; the lines are those of its spec.
func object(kind, name string, spec ...string) string {
	return "---\napiVersion: sallyport.dev/v1alpha1\nkind: " + kind + "\nmetadata: {name: " + name + "}\nspec:\n  " + strings.Join(spec, "\n  ") + "\n"
}

const secretDoc = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {k: value}\n"

// one plans the only endpoint of manifests.
func one(t *testing.T, process plan.Process, docs ...string) *plan.Endpoint {
	t.Helper()
	p := plan.Of(set(t, docs...), process)
	if len(p.Problems) > 0 || len(p.Endpoints) != 1 {
		t.Fatalf("%d endpoints, problems %v", len(p.Endpoints), p.Problems)
	}
	return p.Endpoints[0]
}

// What serving kinds share means the same for each of them.
func TestServingKindsAreAlike(t *testing.T) {
	t.Parallel()
	shared := []string{
		"oidcConfigRef: {name: idp, audience: docs, scopes: [mcp]}", "clientCertificate: {}",
		"trustedProxy: {trustProxyAuth: true, trustedProxies: [10.0.0.0/8]}", "webSocket: {queryToken: true}",
		"authzConfig: {type: inline, inline: {policies: ['permit(principal, action, resource);']}}",
		"rateLimiting: {perUser: {maxTokens: 1, refillPeriod: 1m}}", "telemetry: {openTelemetry: {enabled: true}}",
		"toolConfigRef: {name: view}", "trustProxyHeaders: true", "endpointPrefix: /team", "audit: {enabled: true}",
		"title: Docs", "description: All of them",
	}
	rest := object("MCPOIDCConfig", "idp", "type: inline", `inline: {issuer: "https://idp.example.com"}`) + object("MCPToolConfig", "view", "toolsFilter: [search]")
	remote := one(t, plan.Process{}, object("MCPRemoteProxy", "docs", append(slices.Clone(shared), "remoteUrl: https://mcp.example.com")...), rest)
	local := one(t, plan.Process{}, object("MCPServer", "docs", append(slices.Clone(shared), "command: [x]")...), rest)
	opts := []cmp.Option{
		cmpopts.IgnoreFields(plan.Endpoint{}, "Resource", "Upstreams", "Fingerprint"), cmpopts.IgnoreUnexported(plan.Tokens{}, plan.Policy{}),
		cmpopts.EquateComparable(), cmp.Comparer(func(a, b *policy.Set) bool { return (a == nil) == (b == nil) }),
		cmp.Exporter(func(t reflect.Type) bool { return t != reflect.TypeFor[plan.Policy]() }),
	}
	if diff := cmp.Diff(remote, local, opts...); diff != "" {
		t.Errorf("MCPRemoteProxy (-) and MCPServer (+):\n%s", diff)
	}
}

// Nothing lets in or permits that was not planned.
func TestZeroIsClosed(t *testing.T) {
	t.Parallel()
	var e plan.Endpoint
	if e.Door.Anonymous || e.Door.Everybody() || len(e.Door.Methods) > 0 || e.Policy.Unrestricted || e.Policy.Set != nil {
		t.Errorf("%+v", e)
	}
}

// All that there is to say of a door is said, and in the order of what it is about.
func TestNotesAreAList(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		process plan.Process
		spec    []string
		want    []string
	}{
		// Issue 8: the second note was the only one that was left.
		"a certificate beside a proxy, on a plain listener": {
			plan.Process{},
			[]string{"clientCertificate: {}", "trustedProxy: {trustProxyAuth: true, certificates: [proxy.internal]}"},
			[]string{"nobody can come in by a client certificate", "the proxy cannot be known by its certificate"},
		},
		"anonymous, beside a proxy that is not believed, and open to the network": {
			plan.Process{Reach: plan.Network},
			[]string{"trustedProxy: {trustProxyAuth: true}"},
			[]string{"serving anonymous clients", "the identity header of a proxy is ignored", "SECURITY: whoever reaches this machine"},
		},
		"a certificate where they are verified": {plan.Process{ClientCertificates: true}, []string{"clientCertificate: {}"}, nil},
	} {
		e := one(t, tt.process, object("MCPRemoteProxy", "docs", append(tt.spec, "remoteUrl: https://mcp.example.com")...))
		ok := len(e.Notes) == len(tt.want)
		for _, want := range tt.want {
			ok = ok && slices.ContainsFunc(e.Notes, func(n string) bool { return strings.HasPrefix(n, want) })
		}
		if !ok {
			t.Errorf("%s: notes %q, want %q", name, e.Notes, tt.want)
		}
	}
}

// An endpoint rests on what was looked at while it was planned, through everything that it names, and its fingerprint
// changes with that alone.
func TestFingerprint(t *testing.T) {
	t.Parallel()
	docs := object("MCPRemoteProxy", "docs", "remoteUrl: https://mcp.example.com", "externalAuthConfigRef: {name: auth}", "authServerRef: {name: people}") +
		object("MCPExternalAuthConfig", "auth", "type: headerInjection", "headerInjection: {headerName: X-Key, valueSecretRef: {name: s, key: k}}") +
		object("MCPExternalAuthConfig", "people", "type: embeddedAuthServer",
			`embeddedAuthServer: {issuer: "https://gw.example.com", upstreamProviders: [{type: oidc, oidcConfig: {issuerUrl: "https://idp.example.com", clientId: gw}}]}`) + secretDoc
	environment := func(value string) plan.Process {
		return plan.Process{LookupEnv: func(string) (string, bool) { return value, value != "" }}
	}
	e := one(t, environment("a"), docs)
	var uses []string
	for _, u := range e.Uses() {
		uses = append(uses, u.String())
	}
	if diff := cmp.Diff([]string{
		"MCPExternalAuthConfig/auth", "MCPExternalAuthConfig/people", "Secret/s[k]", "environment/SALLYPORT_UPSTREAM_CLIENT_SECRET_DEFAULT",
	}, uses); diff != "" {
		t.Errorf("rests on (-want +got):\n%s", diff)
	}
	for name, tt := range map[string]struct {
		docs    string
		process plan.Process
		same    bool
	}{
		"nothing":           {docs, environment("a"), true},
		"another object":    {docs + object("MCPToolConfig", "view", "toolsFilter: [search]"), environment("a"), true},
		"the secret":        {strings.Replace(docs, "k: value", "k: other", 1), environment("a"), false},
		"the credential":    {strings.Replace(docs, "X-Key", "X-Other", 1), environment("a"), false},
		"the provider":      {strings.Replace(docs, "clientId: gw", "clientId: other", 1), environment("a"), false},
		"the environment":   {docs, environment("b"), false},
		"the resource":      {strings.Replace(docs, "https://mcp", "https://other", 1), environment("a"), false},
		"the process's own": {docs, plan.Process{LookupEnv: environment("a").LookupEnv, TrustedProxy: plan.ProxyTrust{UserHeader: "X-Me"}}, false},
	} {
		if got := one(t, tt.process, tt.docs).Fingerprint == e.Fingerprint; got != tt.same {
			t.Errorf("%s: the fingerprint is the same: %v", name, got)
		}
	}
}

// An authorization server in place of a virtual server is one like any other: what is wrong with it is said where it stands,
// and one in a resource of the same name is another.
func TestAuthServerInPlace(t *testing.T) {
	t.Parallel()
	const group = "---\napiVersion: sallyport.dev/v1alpha1\nkind: MCPGroup\nmetadata: {name: g}\nspec: {}\n"
	block := func(issuer, more string) string {
		return `{issuer: "` + issuer + `", upstreamProviders: [{type: oidc, oidcConfig: {issuerUrl: "https://idp.example.com", clientId: gw}}]` + more + "}"
	}
	team := func(block string, more ...string) string {
		return group + object("VirtualMCPServer", "team", append([]string{"groupRef: {name: g}", "authServerConfig: " + block}, more...)...) +
			object("MCPServerEntry", "m", "groupRef: {name: g}", "transport: streamable-http", "remoteUrl: https://m.example.com")
	}
	own := object("MCPOIDCConfig", "own", "type: inline", `inline: {issuer: "https://gw.example.com/team"}`)
	for name, tt := range map[string]struct {
		docs string
		want []string
	}{
		"fine": {team(block("https://gw.example.com/team", "")), nil},
		"beside one of the same name": {
			team(block("https://gw.example.com/team", "")) + object("MCPExternalAuthConfig", "team", "type: embeddedAuthServer", "embeddedAuthServer: "+block("https://gw.example.com", "")) +
				object("MCPRemoteProxy", "docs", "remoteUrl: https://mcp.example.com", "authServerRef: {name: team}"), nil,
		},
		"on another's path": {
			team(block("https://gw.example.com", "")) + object("MCPExternalAuthConfig", "other", "type: embeddedAuthServer", "embeddedAuthServer: "+block("https://gw.example.com", "")),
			[]string{"VirtualMCPServer/team: spec.authServerConfig.issuer: overlaps with that of other"},
		},
		"a secret that is not there": {
			team(block("https://gw.example.com", ", hmacSecretRefs: [{name: none, key: k}]")),
			[]string{`VirtualMCPServer/team: spec.authServerConfig.hmacSecretRefs[0].name: there is no Secret "none"`},
		},
		"said twice": {team(block("https://gw.example.com/team", ""), "incomingAuth: {type: oidc, oidcConfigRef: {name: own, audience: https://gw.example.com/servers/team/mcp}}") + own, nil},
		"said twice, and not alike": {
			team(block("https://gw.example.com", ""), "incomingAuth: {type: oidc, oidcConfigRef: {name: own, audience: https://gw.example.com/servers/team/mcp}}") + own,
			[]string{"spec.incomingAuth.oidcConfigRef.name: is of the issuer https://gw.example.com/team, and authServerConfig of https://gw.example.com"},
		},
		"another audience": {
			team(block("https://gw.example.com/team", ""), "oidcConfigRef: {name: own, audience: all}") + own,
			[]string{"spec.oidcConfigRef.audience: is no address of this endpoint, and authServerConfig makes tokens for those alone"},
		},
	} {
		p := plan.Of(set(t, tt.docs), plan.Process{Checking: true})
		if len(p.Problems) != len(tt.want) {
			t.Errorf("%s: %v", name, p.Problems)
			continue
		}
		for i, want := range tt.want {
			if !strings.Contains(p.Problems[i].String(), want) {
				t.Errorf("%s: %s, want %s", name, p.Problems[i], want)
			}
		}
		if len(tt.want) > 0 {
			continue
		}
		for _, e := range p.Endpoints {
			a := e.SignIn()
			if a == nil || e.Name == "team" && (a.Spec.Issuer != "https://gw.example.com/team" || e.Upstreams[0].Shown.Credential != nil) {
				t.Errorf("%s: %s signs people in at %+v", name, e.Name, a)
			}
		}
	}
}

// FINDING N17: what is wrong with an authorization server is said once, and not again as if it were none.
func TestWrongAuthServerIsSaidOnce(t *testing.T) {
	t.Parallel()
	for name, server := range map[string]string{
		"against the schema": `{issuer: "not a URL", upstreamProviders: [{type: oidc, oidcConfig: {issuerUrl: "https://idp.example.com", clientId: gw}}]}`,
		"beyond it":          `{issuer: "https://gw.example.com", hmacSecretRefs: [{name: none, key: k}], upstreamProviders: [{type: oidc, oidcConfig: {issuerUrl: "https://idp.example.com", clientId: gw}}]}`,
	} {
		path := filepath.Join(t.TempDir(), "main.yaml")
		docs := object("MCPExternalAuthConfig", "people", "type: embeddedAuthServer", "embeddedAuthServer: "+server) +
			object("MCPExternalAuthConfig", "google", "type: upstreamInject", "upstreamInject: {providerName: default}") +
			object("MCPRemoteProxy", "docs", "remoteUrl: https://mcp.example.com", "authServerRef: {name: people}", "externalAuthConfigRef: {name: google}")
		if err := os.WriteFile(path, []byte(docs), 0o600); err != nil {
			t.Fatal(err)
		}
		set, err := manifest.Load([]string{path})
		if err != nil {
			t.Fatal(err)
		}
		problems := strict.Validate(set)
		p := plan.Of(set, plan.Process{Checking: true})
		problems = append(problems, p.Problems...)
		other := func(p manifest.Problem) bool { return p.Object != "MCPExternalAuthConfig/people" }
		if len(problems) == 0 || slices.ContainsFunc(problems, other) {
			t.Errorf("%s: %v", name, problems)
		}
	}
}
