package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// REQ C-5, REQ D-5, REQ D-7, REQ F-2: every outer door is a virtual server's too. Clients of both eras come in as
// they do elsewhere, whoever may not is refused with a challenge, and nothing that opened the door is carried
// through: of 1 and of 3 members.
func TestVirtualDoors(t *testing.T) {
	t.Parallel()
	idp := testkit.StartIdP(t)
	for _, count := range []int{1, 3} {
		for name, door := range outerDoors(idp) {
			t.Run(fmt.Sprintf("%s, %d members", name, count), func(t *testing.T) {
				t.Parallel()
				var members []*member
				var want []string
				for i := range count {
					m := startMember(t, fmt.Sprintf("m%d", i), i%2 == 0, "run")
					members, want = append(members, m), append(want, m.Name+"_run")
				}
				address := testkit.FreeAddress(t)
				issuer := "http://" + address
				lines, more, headers := door(t, issuer)
				g := serve(t, more+team(lines, members...), "--listen", address)
				url := at(g, "team")
				shown := headers(t, url)
				for _, modern := range eras {
					v := visit(t, url, modern, shown...)
					v.sees("tools/list", want...)
					for _, m := range members {
						if got := v.ran(m.Name + "_run"); got != m.Name+" ran run" {
							t.Errorf("client modern %v: %s", modern, got)
						}
					}
					if shown != nil {
						stranger := &guest{t: t, url: url, modern: true}
						if got := stranger.request("tools/list", "", "").do(t); got.Status != http.StatusUnauthorized {
							t.Errorf("without what opens the door: status %d, %s", got.Status, got.Body)
						}
					}
				}
				for _, path := range []string{"/servers/team/tools", "/tools", "/servers"} {
					if p := list(t, g, path, shown...); len(p.Tools) != count && path != "/servers" || path == "/servers" && len(p.Servers) != 1 {
						t.Errorf("%s has %v", path, p)
					}
				}
				for _, m := range members {
					for _, r := range m.got("POST") {
						for _, header := range []string{"Authorization", "X-Authenticated-User", "Cookie"} {
							if r.Header.Get(header) != "" && !strings.Contains(name, "provider's token") {
								t.Errorf("%s reached %s with %s", header, m.Name, r.Method)
							}
						}
					}
				}
			})
		}
	}
}

// outerDoors are lines of the virtual server, further manifests, and what a client shows.
func outerDoors(idp *testkit.IdP) map[string]func(t *testing.T, issuer string) (lines []string, more string, headers func(*testing.T, string) []string) {
	type headers = func(*testing.T, string) []string
	token := func(t *testing.T, url string) []string {
		return bearer(idp.Token(t, testkit.TokenWish{Audience: docsAudience, Subject: "alice"}))
	}
	signIn := func(issuer string) headers {
		return func(t *testing.T, url string) []string {
			return bearer(register(t, issuer).signIn(testkit.NewBrowser(t), url).Access)
		}
	}
	nothing := func(*testing.T, string) []string { return nil }
	return map[string]func(t *testing.T, issuer string) ([]string, string, headers){
		"anonymous": func(*testing.T, string) ([]string, string, headers) {
			return []string{"incomingAuth: {type: anonymous}"}, "", nothing
		},
		"token": func(*testing.T, string) ([]string, string, headers) {
			return []string{ofIDP(docsAudience)}, idpObject(idp), token
		},
		"token in ToolHive's place": func(*testing.T, string) ([]string, string, headers) {
			return []string{"incomingAuth: {type: oidc, " + ofIDP(docsAudience) + "}"}, idpObject(idp), token
		},
		"trusted proxy": func(*testing.T, string) ([]string, string, headers) {
			return []string{trusting("trustedProxies: [127.0.0.1/32]", "missingHeader: reject")}, "", func(*testing.T, string) []string { return user("alice") }
		},
		"authorization server": func(t *testing.T, issuer string) ([]string, string, headers) {
			return []string{"authServerRef: {name: people}"},
				authServer(t, issuer, map[string]*testkit.IdP{"default": idp}, []string{"default"}, "disableUpstreamTokenInjection: true"), signIn(issuer)
		},
		"authorization server, provider's token": func(t *testing.T, issuer string) ([]string, string, headers) {
			return []string{"authServerRef: {name: people}"},
				authServer(t, issuer, map[string]*testkit.IdP{"default": idp}, []string{"default"}), signIn(issuer)
		},
		"authorization server in place": func(t *testing.T, issuer string) ([]string, string, headers) {
			block, secrets := authServerBlock(t, "team", issuer, map[string]*testkit.IdP{"default": idp}, []string{"default"})
			return append([]string{"authServerConfig:"}, block...), secrets, signIn(issuer)
		},
		"authorization server in place, with ToolHive's second word for it": func(t *testing.T, issuer string) ([]string, string, headers) {
			block, secrets := authServerBlock(t, "team", issuer, map[string]*testkit.IdP{"default": idp}, []string{"default"})
			of := "incomingAuth: {type: oidc, oidcConfigRef: {name: own, audience: " + issuer + "/servers/team/mcp}}"
			return append([]string{of, "authServerConfig:"}, block...), secrets + object("MCPOIDCConfig", "own", "type: inline", "inline: {jwksAllowPrivateIP: true, issuer: "+issuer+"}"), signIn(issuer)
		},
	}
}

// REQ D-5, REQ D-7, REQ G-1: each member is shown the token of the provider that it names, and never another's. Where it
// names none it is shown the first one's by authServerRef, and nothing by authServerConfig.
func TestVirtualProviders(t *testing.T) {
	t.Parallel()
	for _, inPlace := range []bool{false, true} {
		t.Run(fmt.Sprintf("in place %v", inPlace), func(t *testing.T) {
			t.Parallel()
			virtualProviders(t, inPlace)
		})
	}
}

func virtualProviders(t *testing.T, inPlace bool) {
	first, second := testkit.StartIdP(t), testkit.StartIdP(t)
	a, b, c := startMember(t, "a", true, "run"), startMember(t, "b", false, "run"), startMember(t, "c", true, "run")
	address := testkit.FreeAddress(t)
	issuer := "http://" + address
	block, docs := authServerBlock(t, "people", issuer, map[string]*testkit.IdP{"one": first, "two": second}, []string{"one", "two"})
	door := append([]string{"authServerConfig:"}, block...)
	if !inPlace {
		docs += object("MCPExternalAuthConfig", "people", append([]string{"type: embeddedAuthServer", "embeddedAuthServer:"}, block...)...)
		door = []string{"authServerRef: {name: people}"}
	}
	docs += object("MCPExternalAuthConfig", "of-two", "type: upstreamInject", "upstreamInject: {providerName: two}") +
		object("MCPExternalAuthConfig", "nothing", "type: unauthenticated") +
		object("MCPGroup", "group", "description: members") +
		object("VirtualMCPServer", "team", append(door, "groupRef: {name: group}",
			"outgoingAuth: {source: discovered, backends: {c: {type: externalAuthConfigRef, externalAuthConfigRef: {name: nothing}}}}")...) +
		entry(a) + entry(b, "externalAuthConfigRef: {name: of-two}") + entry(c, "externalAuthConfigRef: {name: of-two}")
	g := serve(t, docs, "--listen", address)
	alice := bearer(register(t, issuer).signIn(testkit.NewBrowser(t), at(g, "team")).Access)
	for _, modern := range eras {
		v := visit(t, at(g, "team"), modern, alice...)
		for _, m := range []*member{a, b, c} {
			if got := v.ran(m.Name + "_run"); got != m.Name+" ran run" {
				t.Error(got)
			}
		}
	}
	shown := map[*member]map[string]bool{}
	for _, m := range []*member{a, b, c} {
		shown[m] = map[string]bool{}
		for _, r := range m.got("tools/call") {
			shown[m][strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")] = true
		}
	}
	for token := range shown[a] {
		if inPlace != (token == "") || !inPlace && !first.Knows(t, token) || shown[b][token] {
			t.Errorf("a was shown %q", token)
		}
	}
	for token := range shown[b] {
		if token == "" || !second.Knows(t, token) {
			t.Errorf("b was shown %q", token)
		}
	}
	if len(shown[c]) != 1 || !shown[c][""] {
		t.Errorf("c was shown %v", shown[c])
	}
}

// REQ B-16, REQ E-2, REQ E-3, REQ E-6, REQ F-3: what is wrong with a virtual server is found when configuration is
// loaded, with the place and what to do.
func TestVirtualRefusals(t *testing.T) {
	t.Parallel()
	one := &member{Name: "one", URL: "https://one.example.com/mcp"}
	two := &member{Name: "two", URL: "https://one.example.com/mcp"}
	key := object("MCPExternalAuthConfig", "key", "type: headerInjection", "headerInjection: {headerName: X-Api-Key, valueSecretRef: {name: key, key: k}}") + secretObject("key", "k", "v")
	for name, tt := range map[string]struct {
		docs string
		code int
		want []string
	}{
		"one address, two members":  {team(nil, one, two), 0, nil},
		"a name joins twice":        {team(nil, one) + strings.Replace(entry(one), "kind: MCPServerEntry", "kind: MCPRemoteProxy", 1), 2, []string{"metadata.name", `duplicate member "one"`, "give one of them another"}},
		"the same document twice":   {team(nil, one) + entry(one), 2, []string{"one"}},
		"no group":                  {object("VirtualMCPServer", "team", "groupRef: {name: nobody}"), 2, []string{"spec.groupRef.name", "nobody"}},
		"a prefix without member":   {team(aggregation(`conflictResolutionConfig: {prefixFormat: "x_"}`), one), 2, []string{"prefixFormat", "must contain {workload}"}},
		"a prefix that is illegal":  {team(aggregation(`conflictResolutionConfig: {prefixFormat: "{workload}/"}`), one), 2, []string{"prefixFormat", "use letters"}},
		"a prefix that is too long": {team(aggregation(`conflictResolutionConfig: {prefixFormat: "`+strings.Repeat("x", 50)+`{workload}"}`), one), 2, []string{"prefixFormat", "64"}},
		"one given name twice": {
			team(aggregation(`conflictResolution: manual, tools: [{workload: one, overrides: {a: {name: x}}}, {workload: two, overrides: {b: {name: x}}}]`), one, two), 2,
			[]string{"overrides", `"x"`, "another"},
		},
		"a tool of nobody":           {team(aggregation(`tools: [{workload: nobody, filter: [x]}]`), one), 2, []string{"workload", "nobody"}},
		"a timeout of nobody":        {team([]string{"config: {operational: {timeouts: {perWorkload: {nobody: 1s}}}}"}, one), 2, []string{"perWorkload", "nobody"}},
		"two lists of headers":       {team([]string{"passthroughHeaders: [X-A]", "config: {passthroughHeaders: [X-B]}"}, one), 2, []string{"spec.config.passthroughHeaders", "spec.passthroughHeaders", "remove one"}},
		"the same list twice":        {team([]string{"passthroughHeaders: [X-A]", "config: {passthroughHeaders: [x-a]}"}, one), 0, nil},
		"a restricted header":        {team([]string{"passthroughHeaders: [Cookie]"}, one), 2, []string{"passthroughHeaders", "Cookie"}},
		"a restricted one in config": {team([]string{"config: {passthroughHeaders: [X-Forwarded-For]}"}, one), 2, []string{"spec.config.passthroughHeaders", "X-Forwarded-For"}},
		"a header and a credential": {key + object("MCPGroup", "group", "description: x") + object("VirtualMCPServer", "team", "groupRef: {name: group}", "passthroughHeaders: [X-Api-Key]") +
			entry(one, "externalAuthConfigRef: {name: key}"), 2, []string{"X-Api-Key", "spec.passthroughHeaders[0]", "spec.externalAuthConfigRef of MCPServerEntry one"}},
		"a header and one in outgoingAuth": {key + team([]string{"passthroughHeaders: [x-api-key]", "outgoingAuth: {source: inline, default: {type: externalAuthConfigRef, externalAuthConfigRef: {name: key}}}"}, one), 2, []string{"X-Api-Key", "spec.outgoingAuth for MCPServerEntry one"}},
		"a header and headerForward": {object("MCPGroup", "group", "description: x") + object("VirtualMCPServer", "team", "groupRef: {name: group}", "config: {passthroughHeaders: [X-Tenant]}") +
			entry(one, "headerForward: {addPlaintextHeaders: {X-Tenant: a}}"), 2, []string{"X-Tenant", "headerForward"}},
		"code mode":           {team([]string{"config: {codeMode: {enabled: true}}"}, one), 2, []string{"codeMode is not supported", "composite tools"}},
		"audit at two places": {team([]string{"audit: {enabled: true}", "config: {audit: {enabled: true}}"}, one), 2, []string{"config.audit", "keep one"}},
		"a level of the log":  {team([]string{"config: {operational: {logLevel: debug}}"}, one), 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := testkit.Run(t, "check", "-f", manifests(t, tt.docs))
			if r.Code != tt.code {
				t.Errorf("exit code %d: %s%s", r.Code, r.Stdout, r.Stderr)
			}
			for _, want := range append(tt.want, map[bool]string{true: "main.yaml:"}[tt.want != nil]) {
				if !strings.Contains(r.Stderr, want) {
					t.Errorf("%q is not in %s", want, r.Stderr)
				}
			}
		})
	}
}

// REQ B-22: config.audit and config.operational.logLevel do what spec.audit and --log-level do.
func TestVirtualAuditAndLog(t *testing.T) {
	t.Parallel()
	m := startMember(t, "m", true, "run")
	g := serve(t, team([]string{"config: {audit: {enabled: true}, operational: {logLevel: debug}}"}, m)+remote("quiet", m.URL))
	if got := visit(t, at(g, "team"), true).ran("m_run"); got != "m ran run" {
		t.Error(got)
	}
	call(at(g, "quiet"), "run", "").do(t)
	if n := len(lines(g.Stderr.String(), "level=DEBUG", "server=m")); n == 0 {
		t.Error("the log has nothing for debugging")
	}
	if n := len(lines(g.Stderr.String(), "level=DEBUG", "server=quiet")); n > 0 {
		t.Error("the log has what nobody asked for")
	}
	if err := g.Stop(); err != nil {
		t.Fatal(err)
	}
	if all := strings.Join(methodsOf(t, g), "\n"); strings.Count(all, "tools/call 200") != 1 {
		t.Errorf("the events are of %s", all)
	}
}
