package strict_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/manifest/strict"
)

// write puts text into a file of its own and returns its path.
func write(t testing.TB, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "manifest.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// REQ B-1: what a manifest leaves out has its default after validation, from
// files and from typed objects alike.
func TestDefaults(t *testing.T) {
	t.Parallel()
	fromFile, problems := check(t, write(t, `
apiVersion: sallyport.dev/v1alpha1
kind: MCPRemoteProxy
metadata: {name: a}
spec:
  remoteUrl: https://mcp.example.com
  transport: null
  caBundleRef: {configMapRef: {name: roots}}
`))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	proxy := &v1alpha1.MCPRemoteProxy{ObjectMeta: metav1.ObjectMeta{Name: "a"}}
	proxy.Spec.RemoteURL = "https://mcp.example.com"
	proxy.Spec.CABundleRef = &v1alpha1.CABundleRef{ConfigMapRef: v1alpha1.ConfigMapKeyRef{Name: "roots"}}
	fromObject, err := manifest.FromObjects(proxy)
	if err != nil {
		t.Fatal(err)
	}
	if problems := strict.Validate(fromObject); len(problems) > 0 {
		t.Fatal(problems)
	}
	want := v1alpha1.MCPRemoteProxySpec{
		Remote: v1alpha1.Remote{RemoteURL: "https://mcp.example.com"}, Transport: "streamable-http",
	}
	want.CABundleRef = &v1alpha1.CABundleRef{ConfigMapRef: v1alpha1.ConfigMapKeyRef{Name: "roots", Key: "ca.crt"}}
	for _, set := range []*manifest.Set{fromFile, fromObject} {
		got, ok := manifest.Get[v1alpha1.MCPRemoteProxy](set, manifest.DefaultNamespace, "a")
		if !ok {
			t.Fatal("the object is not there")
		}
		if diff := cmp.Diff(want, got.Value.Spec); diff != "" {
			t.Errorf("spec (-want +got):\n%s", diff)
		}
	}
	if proxy.Spec.Transport != "" {
		t.Error("the caller's object was changed")
	}
	server, problems := check(t, write(t, `{apiVersion: sallyport.dev/v1alpha1, kind: MCPServer, metadata: {name: b}, spec: {command: [x]}}`))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	b, _ := manifest.Get[v1alpha1.MCPServer](server, manifest.DefaultNamespace, "b")
	if b.Value == nil || b.Value.Spec.Transport != "stdio" {
		t.Errorf("MCPServer: got %+v", b.Value)
	}
}

// A typed object that breaks a rule is refused like one of a file.
func TestTypedObjectsAreValidated(t *testing.T) {
	t.Parallel()
	proxy := &v1alpha1.MCPRemoteProxy{ObjectMeta: metav1.ObjectMeta{Name: "a"}}
	proxy.Spec.RemoteURL = "http://mcp.example.com"
	set, err := manifest.FromObjects(proxy)
	if err != nil {
		t.Fatal(err)
	}
	got := strict.Validate(set).Error()
	want := "MCPRemoteProxy/a: spec.remoteUrl: must begin with https://; for plain http to a loopback or private address set allowPrivateEndpoint: true"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// An object with problems is not handed out, but found where it is asked about.
func TestFailedObjectsAreKnown(t *testing.T) {
	t.Parallel()
	set, problems := check(t, write(t, `
apiVersion: sallyport.dev/v1alpha1
kind: MCPExternalAuthConfig
metadata: {name: bad}
spec: {type: bearerToken}
---
apiVersion: sallyport.dev/v1alpha1
kind: MCPExternalAuthConfig
metadata: {name: good}
spec: {type: unauthenticated}
`))
	if len(problems) != 1 {
		t.Fatalf("problems: %v", problems)
	}
	if all := manifest.All[v1alpha1.MCPExternalAuthConfig](set); len(all) != 1 || all[0].Name != "good" {
		t.Errorf("all: got %v", all)
	}
	if _, ok := manifest.Get[v1alpha1.MCPExternalAuthConfig](set, "default", "bad"); ok {
		t.Error("the failed object is handed out")
	}
	if o, ok := set.Find("MCPExternalAuthConfig", "default", "bad"); !ok || !o.Failed {
		t.Errorf("find: got %v, %v", o, ok)
	}
}

// REQ E-2, B-12: the schema and the Go function refuse the same names, in any
// case, wherever a manifest names a header.
func TestRestrictedHeaders(t *testing.T) {
	t.Parallel()
	names := []string{
		"Host", "Authorization", "Cookie", "Set-Cookie", "X-Forwarded-For", "X-Forwarded-", "X-Forwarded", "Forwarded", "X-Real-Ip",
		"Via", "Connection", "Keep-Alive", "Proxy-Authorization", "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding", "Upgrade",
		"Content-Length", "Content-Type", "Content-Encoding", "Content-Language", "Accept", "Accept-Encoding", "Accept-Language",
		"Expect", "HTTP2-Settings", "Mcp-Session-Id", "Mcp-Protocol-Version", "Mcp-Param-X", "Mcp", "Last-Event-Id", "Last-Event",
		"X-Authenticated-User", "X-Authenticated-User-Id", "X-Auth-Request-Email", "X-Auth-Request", "Remote-User", "Remote",
		"X-Amzn-Oidc-Data", "X-Amzn-Trace-Id", "Cf-Access-Jwt-Assertion", "Cf-Ray", "X-Goog-Iap-Jwt-Assertion",
		"X-Goog-Authenticated-User-Email", "X-Pomerium-Claim-Email", "X-Envoy-Original-Path", "User-Agent", "Traceparent",
		"X-Request-Id", "X-Host", "Hostname", "Cookies", "Viaduct", "Test",
	}
	for _, name := range names { // in three ways of writing it
		names = append(names, strings.ToUpper(name), strings.ToLower(name))
	}
	const object = `
apiVersion: sallyport.dev/v1alpha1
kind: %s
metadata: {name: %s-%d}
spec: %s
---`
	var text strings.Builder
	for i, name := range names {
		fmt.Fprintf(&text, object, "MCPRemoteProxy", "pass", i, fmt.Sprintf(`{remoteUrl: "https://a", passthroughHeaders: [%q]}`, name))
		fmt.Fprintf(&text, object, "MCPRemoteProxy", "plain", i, fmt.Sprintf(`{remoteUrl: "https://a", headerForward: {addPlaintextHeaders: {%q: v}}}`, name))
		fmt.Fprintf(&text, object, "MCPRemoteProxy", "secret", i,
			fmt.Sprintf(`{remoteUrl: "https://a", headerForward: {addHeadersFromSecret: [{headerName: %q, valueSecretRef: {name: a, key: b}}]}}`, name))
		fmt.Fprintf(&text, object, "MCPExternalAuthConfig", "inject", i,
			fmt.Sprintf(`{type: headerInjection, headerInjection: {headerName: %q, valueSecretRef: {name: a, key: b}}}`, name))
	}
	_, problems := check(t, write(t, text.String()))
	refused := map[string]string{}
	for _, p := range problems {
		_, id, _ := strings.Cut(p.Object, "/")
		refused[id] += p.Message
	}
	for i, name := range names {
		_, restricted := v1alpha1.RestrictedHeader(name)
		for _, way := range []string{"pass", "plain", "secret", "inject"} {
			want := restricted || way == "pass" && strings.EqualFold(name, "Authorization")
			got := refused[fmt.Sprintf("%s-%d", way, i)]
			if want != (got != "") || want && !strings.Contains(strings.ToLower(got), `header "`+strings.ToLower(name)+`"`) {
				t.Errorf("%s: %s: want refused %v, got %q", way, name, want, got)
			}
		}
	}
}

func TestManyObjects(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	for i := range 500 {
		fmt.Fprintf(&text, "---\napiVersion: sallyport.dev/v1alpha1\nkind: MCPRemoteProxy\nmetadata: {name: p%d}\nspec: {remoteUrl: 'https://a/%d'}\n", i, i)
	}
	set, problems := check(t, write(t, text.String()))
	if len(problems) > 0 || len(manifest.All[v1alpha1.MCPRemoteProxy](set)) != 500 {
		t.Errorf("got %v", problems)
	}
}

// What is as large as it may be is taken: the rules can afford it.
func TestLargestSizes(t *testing.T) {
	t.Parallel()
	list := func(n int, format string) string {
		var items []string
		for i := range n {
			items = append(items, strings.ReplaceAll(format, "#", fmt.Sprintf("%0100d", i)))
		}
		return strings.Join(items, ", ")
	}
	for kind, spec := range map[string]string{
		"MCPRemoteProxy": "{remoteUrl: 'https://a', passthroughHeaders: [" + list(32, "X-#") + "], redirects: {allowedHosts: [" + list(32, "h#.example.com") +
			"]}, headerForward: {addPlaintextHeaders: {" + list(32, "Y-#: v") + "}, addHeadersFromSecret: [" +
			list(32, "{headerName: Z-#, valueSecretRef: {name: a, key: b}}") + "]}}",
		"MCPServer": "{command: [" + list(256, "a#") + "], args: [" + list(256, "a#") + "], env: [" + list(128, "{name: A_#, value: v}") +
			"], secrets: [" + list(32, "{name: s, key: B_#}") + ", " + list(32, "{name: s, key: k, targetEnvName: C_#}") + "]}",
		"MCPToolConfig": "{toolsFilter: [" + list(1024, "tool_#") + "], toolsOverride: {" + list(128, "tool_#: {name: new_#, description: d}") + "}}",
	} {
		text := "{apiVersion: sallyport.dev/v1alpha1, kind: " + kind + ", metadata: {name: a}, spec: " + spec + "}"
		if _, problems := check(t, write(t, text)); len(problems) > 0 {
			t.Errorf("%s: %v", kind, problems)
		}
	}
}

// A value beyond all limits is said to be one, and nothing else is: the rules,
// whose cost the limits bound, would complain of it, seconds later.
func TestHostileSizes(t *testing.T) {
	t.Parallel()
	var headers, plain, tools strings.Builder
	for i := range 4000 {
		fmt.Fprintf(&headers, "X-%d, ", i)
		fmt.Fprintf(&plain, "X-%d: v, ", i)
		fmt.Fprintf(&tools, "t%d: {name: n%d}, ", i, i)
	}
	const head = "apiVersion: sallyport.dev/v1alpha1\nkind: %s\nmetadata: {name: a}\nspec:\n"
	for kind, tests := range map[string]map[string]string{
		"MCPRemoteProxy": {
			"  remoteUrl: https://a\n  passthroughHeaders: [" + headers.String() + "]\n":                  "spec.passthroughHeaders: must have at most 32 items",
			"  remoteUrl: https://a\n  headerForward: {addPlaintextHeaders: {" + plain.String() + "}}\n":  "addPlaintextHeaders: must have at most 32 items",
			"  remoteUrl: https://a/" + strings.Repeat("a", 1<<20) + "\n":                                 "spec.remoteUrl: may not be more than 2048 bytes",
			"  remoteUrl: https://a\n  redirects: {allowedHosts: [" + strings.Repeat("a", 1<<19) + "]}\n": "allowedHosts[0]: may not be more than 253 bytes",
			"  remoteUrl: https://a\n  endpointPrefix: " + strings.Repeat("/a", 1<<18) + "\n":             "endpointPrefix: may not be more than 256 bytes",
			"  remoteUrl: https://a\n  passthroughHeaders: [" + strings.Repeat("x", 1<<19) + "]\n":        "passthroughHeaders[0]: may not be more than 128 bytes",
		},
		"MCPToolConfig": {"  toolsOverride: {" + tools.String() + "}\n": "spec.toolsOverride: must have at most 128 items"},
	} {
		for text, want := range tests {
			_, problems := check(t, write(t, fmt.Sprintf(head, kind)+text))
			if len(problems) != 1 || !strings.HasSuffix(problems[0].String(), want) {
				t.Errorf("want %s, got %d problems: %.300s", want, len(problems), problems.Error())
			}
		}
	}
}

func BenchmarkLoadAndValidate(b *testing.B) {
	file := []string{"testdata/good/quickstart.yaml"}
	b.ReportAllocs()
	for b.Loop() {
		set, err := manifest.Load(file)
		if err != nil || len(strict.Validate(set)) > 0 {
			b.Fatal(err)
		}
	}
}

// FuzzValidate holds that no manifest, whatever is in it, makes checking it
// panic, take long, or accept what then cannot be used.
func FuzzValidate(f *testing.F) {
	for _, pattern := range []string{"testdata/good/*", "testdata/bad/*.yaml"} {
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			for i, doc := range strings.Split(string(text), "---\n") {
				if i%4 == 0 { // each takes a while, and is a case of another test
					f.Add(doc)
				}
			}
		}
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		file := filepath.Join(dir, "manifest.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		set, problems := check(t, file)
		if took := time.Since(start); took > time.Minute {
			t.Errorf("took %v", took)
		}
		if len(problems) == 0 && len(set.Objects) == 0 {
			t.Error("nothing was read, and nothing said")
		}
		for _, p := range problems {
			if p.Message == "" || strings.ContainsAny(p.String(), "\n") {
				t.Errorf("not a line: %q", p.String())
			}
		}
	})
}
