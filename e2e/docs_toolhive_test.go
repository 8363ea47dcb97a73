package e2e_test

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/sallyport-dev/sallyport/internal/testkit"
)

// toolHive are the fields of ToolHive's v1beta1, by kind and in the order of the
// record; a kind that is refused as a whole may have none.
func toolHive(t *testing.T) (kinds []string, fields map[string][]string) {
	t.Helper()
	f, err := os.Open(filepath.Join(root, "api", "v1alpha1", "testdata", "toolhive-v1beta1.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fields = map[string][]string{}
	for in := bufio.NewScanner(f); in.Scan(); {
		if strings.HasPrefix(in.Text(), "#") {
			continue
		}
		kind, path, _ := strings.Cut(in.Text(), " ")
		if _, ok := fields[kind]; !ok {
			kinds, fields[kind] = append(kinds, kind), nil
		}
		if path != "" {
			fields[kind] = append(fields[kind], path)
		}
	}
	return kinds, fields
}

var pathStep = regexp.MustCompile(`[^.\[\]{}]+|\[\]|\{\}`)

// judge says what becomes of a field of ToolHive's here: refused says it by name, and
// at is the field that does, the field itself or one around it. A field that nothing
// knows is an error of the test.
func judge(schema *apiextensions.JSONSchemaProps, path string) (at, refused string, known bool) {
	s := schema
	for _, step := range pathStep.FindAllString(path, -1) {
		switch step {
		case "[]":
			at += step
			if s.Items == nil {
				return at, "", false
			}
			s = s.Items.Schema
		case "{}":
			at += step
			if s.AdditionalProperties == nil {
				return at, "", false
			}
			s = s.AdditionalProperties.Schema
		default:
			at = strings.TrimPrefix(at+"."+step, ".")
			property, ok := s.Properties[step]
			if !ok {
				return at, "", false
			}
			s = &property
		}
		for _, rule := range s.XValidations {
			if rule.Rule == "false" {
				return at, rule.Message, true
			}
		}
	}
	return at, "", true
}

// REQ B-32: every field of ToolHive's v1beta1 is read here, or refused by its name with
// what to do instead; and so is every kind.
func TestToolHivesFields(t *testing.T) {
	t.Parallel()
	ours := readKinds(t)
	kinds, fields := toolHive(t)
	if len(kinds) < 14 {
		t.Fatalf("the record has the kinds %v", kinds)
	}
	for _, kind := range kinds {
		crd, ok := ours[kind]
		if !ok {
			text := fmt.Sprintf("apiVersion: sallyport.dev/v1alpha1\nkind: %s\nmetadata: {name: x}\nspec: {}\n", kind)
			r := testkit.Run(t, "check", "-f", manifests(t, text))
			if r.Code != 2 || !strings.Contains(r.Stderr, kind+" is not supported") {
				t.Errorf("%s is not refused by name: %s", kind, r.Stderr)
			}
			continue
		}
		for _, path := range fields[kind] {
			at, refused, known := judge(crd.Spec.Versions[0].Schema.OpenAPIV3Schema, path)
			name := at[strings.LastIndexByte(at, '.')+1:]
			switch {
			case !known:
				t.Errorf("%s: %s is not known here: build it, or refuse it by name", kind, at)
			case refused != "" && (!strings.HasPrefix(refused, name+" is not supported") || !strings.Contains(refused, ";")):
				t.Errorf("%s: %s is refused without its name or a remedy: %q", kind, at, refused)
			}
		}
	}
	for _, d := range otherwise {
		kind, path, _ := strings.Cut(d.field, " ")
		if _, refused, known := judge(ours[kind].Spec.Versions[0].Schema.OpenAPIV3Schema, path); !known || refused != "" || !slices.Contains(fields[kind], path) {
			t.Errorf("%s: it is no field that both have", d.field)
		}
	}
}

// otherwise are fields that mean something else here, with the reason.
var otherwise = []struct{ field, there, here, why string }{
	{
		"MCPRemoteProxy spec.oidcConfigRef.scopes", "advertised to clients", "demanded of tokens, but for those about identity; `advertisedScopes` are advertised instead",
		"what is asked for and never checked protects nothing",
	},
	{
		"MCPRemoteProxy spec.oidcConfigRef.audience", "any name, the same for the authorization server", "beside `authServerRef` an address of the endpoint, such as `resourceUrl`",
		"a token is for one endpoint, and says which",
	},
	{
		"MCPRemoteProxy spec.externalAuthConfigRef", "type `embeddedAuthServer` makes callers sign in, and injects a token", "names a credential alone; callers sign in by `authServerRef`, and `check` says so",
		"the two doors are never open into each other",
	},
	{
		"MCPRemoteProxy spec.authServerRef", "one upstream provider; several only in virtual servers", "any number of providers",
		"nothing here needs the restriction",
	},
	{
		"MCPRemoteProxy spec.authzConfig", "with an authorization server, policies read the claims of the provider's access token, unverified", "policies read the identity that the gateway verified",
		"a decision rests on what was proved",
	},
	{
		"MCPRemoteProxy spec.allowPrivateEndpoint", "private addresses, judged by the text of the URL", "loopback too; judged when connecting, after names are resolved",
		"a name can resolve to anything (DNS rebinding)",
	},
	{
		"MCPRemoteProxy spec.trustProxyHeaders", "shapes addresses in HTTP+SSE", "shapes every address that clients are told, and only where a proxy in `trustedProxy.trustedProxies` says so",
		"anybody can send the headers",
	},
	{
		"MCPServer spec.image", "a container, in a cluster or by the command `thv`", "a container in a cluster; a gateway on a machine runs `command`",
		"a program on the own machine needs no container engine",
	},
	{
		"MCPServer spec.transport", "`stdio` starts what the image begins with", "in a cluster, `stdio` starts `command` and `args` within the image",
		"nobody attaches to the container through the API server: the gateway's program is its entry",
	},
	{
		"MCPServer spec.podTemplateSpec", "the gateway has no container in it", "the container `sallyport` is the gateway's, all others and the rest the server's",
		"one field for both",
	},
	{
		"MCPRemoteProxy spec.podTemplateSpec", "the container is `toolhive`", "the container is `sallyport`",
		"it is another program",
	},
	{
		"VirtualMCPServer spec.podTemplateSpec", "the container is `vmcp`", "the container is `sallyport`",
		"it is another program",
	},
	{
		"MCPServer spec.backendReplicas", "pods behind a Service, to which the proxy is one client", "pods that the gateway reaches by their own addresses, so that a session stays with its pod; refused over stdio",
		"the pods know nothing of each other's sessions; over stdio one pod has a process for each session",
	},
	{
		"MCPServer spec.sessionAffinity", "`ClientIP` by default", "`None` by default",
		"any pod goes on with a session",
	},
	{
		"MCPServer spec.rateLimiting", "needs Redis", "in the process; shared by replicas with `--store redis://…`",
		"one process needs no store for it",
	},
	{
		"MCPExternalAuthConfig spec.upstreamInject", "in virtual servers", "everywhere",
		"it is the use of the stored token",
	},
	{
		"MCPExternalAuthConfig spec.obo", "enterprise build", "built in",
		"a manifest must mean the same everywhere",
	},
	{
		"MCPExternalAuthConfig spec.xaa", "in virtual servers", "everywhere",
		"as for `upstreamInject`",
	},
	{
		"MCPAuthzConfig spec.type", "`cedarv1`, `httpv1`", "`cedarv1`; `httpv1` is refused by name",
		"nobody outside is asked for each call",
	},
	{
		"MCPTelemetryConfig spec.prometheus", "a listener for each server", "must be enabled, and says what is so: metrics of all are on the admin address",
		"one process serves all",
	},
	{
		"MCPToolConfig spec.toolsOverride{}.annotations", "in virtual servers", "everywhere",
		"a hint is as good for one server",
	},
	{
		"VirtualMCPServer spec.incomingAuth.authzConfig.inline.policies", "an action that there is none of, such as `tools/call`, never matches", "is refused, with the name that it has here and there",
		"a policy that never matches is not what was meant",
	},
	{
		"VirtualMCPServer spec.config.optimizer.embeddingService", "any URL", "https, or with `allowPrivateIPs` http on loopback and private addresses",
		"the key and the words that are searched for would be read on the way",
	},
	{
		"VirtualMCPServer spec.authServerConfig", "wants `incomingAuth` of type `oidc` with the same issuer beside it", "enough alone; an `oidcConfigRef` beside it has to say the same",
		"what is said once cannot differ",
	},
	{
		"VirtualMCPServer spec.incomingAuth.oidcConfigRef.audience", "any name, the same for the authorization server", "beside `authServerConfig` an address of the endpoint, such as `resourceUrl`",
		"a token is for one endpoint, and says which",
	},
	{
		"VirtualMCPCompositeToolDefinition spec.description", "may be left out by the schema, and is refused at run time", "required",
		"an error of a manifest is found when it is read",
	},
	{
		"VirtualMCPCompositeToolDefinition spec.steps[].arguments", "all of Go's `text/template`, whose texts the tool's schema turns into numbers; `.timestamp` is `<no value>`",
		"the part that ToolHive's documentation uses, and `default`; one expression keeps its type, objects are JSON, and an argument without a value is left out",
		"`<no value>` and `map[…]` mean nothing to a tool",
	},
	{
		"VirtualMCPCompositeToolDefinition spec.steps[].tool", "a name that no member has fails when it is called", "a member that there is none of is refused: `MEMBER.TOOL`, or the name with the prefix",
		"an error of a manifest is found when it is read",
	},
	{
		"VirtualMCPCompositeToolDefinition spec.steps[].onError", "`retryCount` and `retryDelay` are ignored where `action` is not `retry`, and `retry` without `retryCount` repeats nothing", "both are refused",
		"what is written means something",
	},
	{
		"VirtualMCPCompositeToolDefinition spec.steps[].onError.action", "`retry` repeats after any failure", "not where the call may have been carried out, unless the tool is read-only or idempotent, or with `retryUnknown`",
		"what is done twice may be worse than what is not done",
	},
	{
		"VirtualMCPCompositeToolDefinition spec.steps[].type", "`elicitation` for clients with sessions", "for clients of every revision",
		"2026-07-28 has a way, too",
	},
	{
		"VirtualMCPCompositeToolDefinition spec.output", "left out: the output of the step that ended last", "left out: the result of the last step in the list that ran, as the tool returned it",
		"the same call returns the same",
	},
	{
		"VirtualMCPCompositeToolDefinition spec.annotations", "a tool that they make look safer than its steps is left out", "it is served, with the hints of its steps",
		"a hint is no reason to lose a tool",
	},
}

// documented are fields that ToolHive's documentation has and its schema has not, with what is said of them here.
var documented = []struct{ field, said string }{
	{"VirtualMCPCompositeToolDefinition spec.failureMode", "remove it, and set onError.action: continue at steps after which the others go on"},
	{"VirtualMCPCompositeToolDefinition spec.steps[].onError.maxRetries", "it is retryCount, beside action: retry"},
}

// hiveProblem is a problem with a field, as check writes it.
var hiveProblem = regexp.MustCompile(`^\S+?([^/\s]+\.yaml):\d+:\d+: (\w+)(?:/\S+)?: (\S+): (.*)$`)

// REQ B-32: what ToolHive publishes as examples of virtual servers and composite tools is accepted when its group is
// changed, or refused for what the page of differences lists. The manifests have the shapes of those of August 2026: the same
// fields, with other values.
func TestToolHivesExamples(t *testing.T) {
	t.Parallel()
	want := map[string][]string{
		"simple-discovered.yaml":     nil,
		"conflict-resolution.yaml":   nil,
		"composite.yaml":             nil,
		"composite-elicitation.yaml": nil,
		"incoming-auth.yaml":         {"VirtualMCPServer spec.incomingAuth.authzConfig.inline.policies[]"},
		"production.yaml":            nil,
		"telemetry.yaml": {
			"MCPTelemetryConfig spec.openTelemetry.endpoint", "MCPTelemetryConfig spec.openTelemetry.insecure", "MCPTelemetryConfig spec.openTelemetry.metrics",
			"VirtualMCPServer spec.telemetryConfigRef.serviceName",
		},
		"optimizer.yaml":               {"EmbeddingServer kind", "VirtualMCPServer spec.embeddingServerRef"},
		"optimizer-service.yaml":       {"VirtualMCPServer spec.config.optimizer.embeddingService"},
		"code-mode.yaml":               {"VirtualMCPServer spec.config.codeMode"},
		"auth-server.yaml":             {"VirtualMCPServer spec.incomingAuth.oidcConfigRef.audience"},
		"composite-as-documented.yaml": {"VirtualMCPCompositeToolDefinition spec.failureMode", "VirtualMCPCompositeToolDefinition spec.steps[].onError.maxRetries"},
		"composite-loose.yaml": {
			"VirtualMCPCompositeToolDefinition spec.steps[].arguments.message", "VirtualMCPCompositeToolDefinition spec.steps[].onError",
			"VirtualMCPCompositeToolDefinition spec.steps[].onError.retryCount", "VirtualMCPCompositeToolDefinition spec.steps[].tool",
		},
	}
	page := toolHivePage(t)
	folder := filepath.Join("testdata", "toolhive")
	read := func(name string) string {
		raw, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		return strings.ReplaceAll(string(raw), "toolhive.stacklok.dev/v1beta1", "sallyport.dev/v1alpha1")
	}
	all, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil || len(all) != len(want)+1 {
		t.Fatalf("%d examples (%v), of which %d are known", len(all)-1, err, len(want))
	}
	for name, fields := range want {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for _, file := range []string{"members.yaml", name} {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(read(file)), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			got := map[string]bool{}
			said := testkit.Run(t, "check", "-f", dir).Stderr
			for line := range strings.Lines(said) {
				p := hiveProblem.FindStringSubmatch(strings.TrimSpace(line))
				if p == nil {
					t.Errorf("%s", line)
					continue
				}
				field := regexp.MustCompile(`\[\d+\]`).ReplaceAllString(p[3], "[]")
				if p[1] != "members.yaml" {
					got[p[2]+" "+field] = true
				}
				if !lists(page, p[2], field) {
					t.Errorf("%s is no difference that the page lists: %s", field, line)
				}
			}
			if diff := cmp.Diff(fields, slices.Sorted(maps.Keys(got))); diff != "" {
				t.Errorf("refused (-want +got):\n%s", diff)
			}
			for _, d := range documented {
				if slices.Contains(fields, d.field) && !strings.Contains(said, ": unknown field; "+d.said) {
					t.Errorf("%s is not refused as the page has it: %s", d.field, said)
				}
			}
		})
	}
}

// lists reports whether the page of differences has a row of a field, or of one around it.
func lists(page, kind, field string) bool {
	if field == "kind" {
		return strings.Contains(page, "| `"+kind+"` | refused by name |")
	}
	for at := strings.TrimPrefix(field, "spec."); ; {
		if strings.Contains(page, "| "+kind+" `"+at+"` |") {
			return true
		}
		end := strings.LastIndexAny(at, ".[")
		if end < 0 {
			return false
		}
		at = at[:end]
	}
}

func toolHivePage(t *testing.T) string {
	t.Helper()
	ours := readKinds(t)
	kinds, fields := toolHive(t)
	var b strings.Builder
	b.WriteString("# ToolHive's resources here\n\n" + generated + `Resources of ToolHive's v1beta1 (as of v0.44) keep their names and meanings: change ` + "`apiVersion`" + ` to ` + "`sallyport.dev/v1alpha1`" + `, and run ` + "`sallyport check`" + `.
What is not here is refused by name, with what to do; nothing is dropped in silence. This page lists every difference.

## Kinds

| kind | here |
| --- | --- |
`)
	for _, kind := range kinds {
		if _, ok := ours[kind]; ok {
			fmt.Fprintf(&b, "| [`%s`](resources.md#%s) | yes |\n", kind, strings.ToLower(kind))
		} else {
			fmt.Fprintf(&b, "| `%s` | refused by name |\n", kind)
		}
	}
	b.WriteString("\n## The same field, another meaning\n\n| field | ToolHive | here | why |\n| --- | --- | --- | --- |\n")
	for _, d := range otherwise {
		kind, path, _ := strings.Cut(d.field, " ")
		fmt.Fprintf(&b, "| %s `%s` | %s | %s | %s |\n", kind, strings.TrimPrefix(path, "spec."), d.there, d.here, d.why)
	}
	b.WriteString("\n## Refused by name\n\n| field | what `check` says |\n| --- | --- |\n")
	for _, kind := range kinds {
		if ours[kind] == nil {
			continue
		}
		said := ""
		for _, path := range fields[kind] {
			at, refused, _ := judge(ours[kind].Spec.Versions[0].Schema.OpenAPIV3Schema, path)
			if refused == "" || at == said {
				continue
			}
			said = at
			fmt.Fprintf(&b, "| %s `%s` | %s |\n", kind, strings.TrimPrefix(at, "spec."), cell(refused))
		}
	}
	b.WriteString("\n## In ToolHive's documentation alone\n\nThese have no place in its schema either.\n\n| field | what `check` says |\n| --- | --- |\n")
	for _, d := range documented {
		kind, path, _ := strings.Cut(d.field, " ")
		fmt.Fprintf(&b, "| %s `%s` | unknown field; %s |\n", kind, strings.TrimPrefix(path, "spec."), d.said)
	}
	b.WriteString("\n## Only here\n\nFields of the first level that ToolHive does not have, besides those below others. [Resources](resources.md) says what each does.\n\n| kind | fields |\n| --- | --- |\n")
	for _, kind := range kinds {
		if ours[kind] == nil {
			continue
		}
		spec := ours[kind].Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"]
		var own []string
		for _, name := range slices.Sorted(maps.Keys(spec.Properties)) {
			property := spec.Properties[name]
			if !slices.Contains(fields[kind], "spec."+name) && !isUnbuilt(&property) {
				own = append(own, "`"+name+"`")
			}
		}
		if len(own) > 0 {
			fmt.Fprintf(&b, "| %s | %s |\n", kind, strings.Join(own, ", "))
		}
	}
	return b.String()
}
