package rules_test

import (
	"path"
	"slices"
	"strings"
	"testing"
)

// levels says where each package stands. A package imports only packages of
// lower levels; packages of one level never import each other, except a folder
// below another and that one. A new package needs a line here.
var levels = map[string]int{
	"cmd/sallyport":  9,
	"cmd/sallyportd": 9,

	"cmd/internal/process": 8, // what the mains share

	"gateway":                7,
	"internal/doctor/inside": 7,
	"operator":               7, // what keeps a cluster; it knows plans and manifests, and nothing that serves

	"operator/apply":      6,
	"operator/conditions": 2,
	"operator/manifests":  6,
	"operator/needs":      3,
	"operator/pods":       6,
	"operator/render":     5,
	"operator/resource":   2,
	"operator/route":      6,
	"operator/sharing":    6,
	"operator/webhook":    6,

	"internal/compile":       6,
	"internal/surface":       6,
	"internal/pipeline":      5,
	"internal/composite":     5,
	"internal/target":        4,
	"internal/virtual":       4,
	"internal/virtual/names": 4,
	"internal/optimizer":     4,
	"internal/console":       4,
	"internal/console/shape": 1,
	"internal/console/tools": 1,
	"internal/upstream":      3,

	"internal/authn":                 2,
	"internal/authserver":            2,
	"internal/compile/plan":          2,
	"internal/compile/plan/text":     3,
	"internal/authserver/clients":    1,
	"internal/authserver/delegation": 2,
	"internal/authserver/pending":    2,
	"internal/authserver/people":     2,
	"internal/authserver/records":    1,
	"internal/authserver/revoked":    2,
	"internal/authserver/wanted":     2,
	"internal/credential":            2,
	"internal/demo":                  2,
	"internal/doctor":                2,
	"internal/doctor/outside":        2,
	"internal/importer":              2,
	"internal/bridge":                2,
	"internal/bridge/tasks":          2,
	"internal/duplex":                2,
	"internal/duplex/process":        1,
	"internal/listing":               2,
	"internal/recent":                2,

	"internal/accounts":            1,
	"internal/audit":               1,
	"internal/manifest":            1,
	"internal/manifest/jsonschema": 1,
	"internal/manifest/strict":     1,
	"internal/idp":                 1,
	"internal/policy":              1,
	"internal/policy/schema":       1,
	"internal/backend":             1,
	"internal/bridge/convert":      1,
	"internal/bridge/era":          1,
	"internal/bridge/wire":         1,
	"internal/composite/workflow":  1,
	"internal/listen":              1,
	"internal/oauthclient":         1,
	"internal/store/sealed":        1,
	"internal/telemetry":           1,
	"internal/toollock":            1,
	"internal/connect":             1,
	"internal/trace":               1,

	"api/v1alpha1":                0,
	"internal/composite/template": 0,
	"internal/certfile":           0,
	"internal/clientconfig":       0,
	"internal/lines":              0,
	"internal/h1":                 0,
	"internal/embedding":          0,
	"internal/identity":           0,
	"internal/keep":               0,
	"internal/mcp":                0,
	"internal/keyring":            0,
	"internal/oauth":              0,
	"internal/registry":           0,
	"internal/ratelimit":          0,
	"internal/seal":               0,
	"internal/search":             0,
	"internal/status":             0,
	"internal/store":              0,
	"internal/page":               0,
	"internal/otlp":               0,
	"internal/token":              0,
	"internal/version":            0,

	"internal/netguard": -1, // whoever asks somebody over the network does it through it
	"internal/ownfile":  -1, // what whoever keeps files asks of them
	"internal/secret":   -1, // a type that whoever handles secrets has in its fields

	// Programs and tests about the product, which nothing of it may import.
	"bench":                       beside,
	"deploy":                      beside,
	"e2e":                         beside,
	"e2e/cluster":                 beside,
	"hack/crds":                   beside,
	"hack/gotest":                 beside,
	"hack/release":                beside,
	"hack/release/pack":           beside,
	"examples/client":             beside,
	"examples/issuer":             beside,
	"examples/server":             beside,
	"internal/rules":              beside,
	"internal/testkit":            beside,
	"internal/testkit/hub":        beside,
	"internal/testkit/chromium":   beside,
	"internal/testkit/internet":   beside,
	"internal/testkit/kube":       beside,
	"internal/testkit/kube/pause": beside,
	"internal/testkit/leaks":      beside,
	"internal/testkit/markdown":   beside,
	"internal/testkit/schema":     beside,
	"internal/testkit/suite":      beside,
}

const beside = 99 // the level of what is no part of the product

func TestImportsPointDown(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	eachPackage(t, func(t *testing.T, p pkg) {
		seen[p.name()] = true
		level, ok := levels[p.name()]
		if !ok {
			t.Errorf("%s has no level: give it one in internal/rules/layers_test.go, as low as what it imports allows", p.name())
			return
		}
		for _, imported := range p.Imports {
			to, ours := strings.CutPrefix(imported, module+"/")
			if !ours || level == beside || related(p.name(), to) && levels[to] <= level {
				continue
			}
			if levels[to] >= level {
				t.Errorf("%s (level %d) imports %s (level %d): imports point down; move what both need to a lower level, "+
					"or let the upper one hand it in", p.name(), level, to, levels[to])
			}
		}
	})
	for name := range levels {
		if !seen[name] {
			t.Errorf("%s is gone: take it off the levels in internal/rules/layers_test.go", name)
		}
	}
}

// related tells whether one folder is below the other.
func related(a, b string) bool {
	return strings.HasPrefix(a, b+"/") || strings.HasPrefix(b, a+"/")
}

// modules lists every module of other people that the product imports, with the packages that may and the
// reason for the module. One importer each, so that it can be replaced at one place; more only for vocabulary.
// What stands beside the product may import these and testModules.
var modules = []struct {
	path      string
	importers []string
	reason    string
}{
	{"code.dny.dev/ssrf", []string{"internal/netguard"}, "the IANA tables of addresses that are not public"},
	{"github.com/aws/aws-sdk-go-v2", []string{"internal/credential"}, "signatures of requests to AWS"},
	{"github.com/KimMachineGun/automemlimit", []string{"cmd/internal/process"}, "the memory that the cgroup grants"},
	{"github.com/cedar-policy/cedar-go", []string{"internal/policy", "internal/policy/schema"}, "policies in Cedar, and the check of them against a schema"},
	{"github.com/cli/browser", []string{"internal/oauthclient"}, "the desktop's browser, wherever the desktop has it"},
	{"github.com/coder/websocket", []string{"internal/surface", "internal/connect"}, "the frames of WebSocket, on both ends"},
	{"github.com/fsnotify/fsnotify", []string{"internal/manifest"}, "changed files are noticed at once"},
	{"github.com/go-jose/go-jose/v4", []string{"internal/token"}, "JSON Web Tokens and keys"},
	{"github.com/go-json-experiment/json", []string{"internal/mcp", "internal/token"}, "the JSON reader that refuses duplicate keys and invalid UTF-8"},
	{"github.com/go-logr/logr", []string{"operator"}, "the log of controller-runtime, led into ours"},
	{"github.com/google/jsonschema-go", []string{"internal/composite/workflow", "internal/demo"}, "JSON Schemas: whether arguments of composite tools fit theirs; those of the demo's tools"},
	{"github.com/modelcontextprotocol/go-sdk", []string{"internal/demo"}, "the official SDK is a peer for the demo and for tests, never the data plane: it loses unknown fields"},
	{"github.com/pelletier/go-toml/v2", []string{"internal/importer", "internal/clientconfig"}, "Codex's configuration"},
	{"github.com/prometheus/client_golang", []string{"internal/telemetry"}, "metrics"},
	{"github.com/prometheus/client_model", []string{"internal/telemetry"}, "what client_golang gathers, for collectors"},
	{"github.com/redis/rueidis", []string{"internal/store"}, "Redis, standalone, Cluster and Sentinel; it heeds deadlines when Redis stalls"},
	{"github.com/spf13/cobra", []string{"cmd/sallyport"}, "the command line"},
	{"github.com/spf13/pflag", []string{"cmd/internal/process", "cmd/sallyport", "cmd/sallyportd"}, "the flags that both mains have"},
	{"github.com/tailscale/hujson", []string{"internal/importer", "internal/clientconfig"}, "JSON with comments, as editors keep it"},
	{"github.com/zalando/go-keyring", []string{"internal/keyring"}, "the operating system's keyring"},
	{"github.com/yosida95/uritemplate/v3", []string{"internal/virtual/names"}, "URI templates of resources (RFC 6570), and which URIs are of one"},
	{"go.etcd.io/bbolt", []string{"internal/store"}, "a file of state that survives a kill"},
	{"go.yaml.in/yaml/v3", []string{"internal/importer", "internal/manifest"}, "the places of fields in files, and files that are edited without losing their comments"},
	{"golang.org/x/net", []string{"internal/netguard"}, "which HTTP proxy a connection leaves by, as everybody reads the variables"},
	{"go.opentelemetry.io/proto/slim/otlp", []string{"internal/otlp"}, "the messages of OTLP in Protocol Buffers, without gRPC"},
	{"google.golang.org/protobuf", []string{"internal/otlp"}, "Protocol Buffers, which client_golang brings along"},
	{"golang.org/x/sys", []string{"internal/h1"}, "whether a connection is still good, and what its other end has acknowledged"},
	{"k8s.io/api", []string{"operator", "operator/apply", "operator/pods", "operator/render", "operator/resource", "operator/webhook"}, "the objects of a cluster"},
	{"k8s.io/apiextensions-apiserver", []string{"internal/manifest/strict"}, "the API server's own validation"},
	{"k8s.io/apimachinery", []string{"api/v1alpha1", "cmd/sallyport", "internal/importer", "internal/manifest", "internal/manifest/strict", "operator", "operator/apply", "operator/conditions", "operator/manifests", "operator/pods", "operator/render", "operator/resource", "operator/route", "operator/webhook"}, "the vocabulary of Kubernetes resources"},
	{"k8s.io/apiserver", []string{"internal/manifest/strict"}, "the API server's own limits of CEL"},
	{"k8s.io/client-go", []string{"operator", "operator/route"}, "what speaks to an API server"},
	{"k8s.io/klog", []string{"operator"}, "the log of client-go, led into ours"},
	{"k8s.io/utils", []string{"operator", "operator/pods"}, "comparing pointers; client-go brings it along"},
	{"sigs.k8s.io/controller-runtime", []string{"operator", "operator/apply", "operator/manifests", "operator/pods", "operator/resource", "operator/route", "operator/webhook"}, "caches, queues and leader election of a controller"},
	{"sigs.k8s.io/yaml", []string{"internal/manifest", "internal/manifest/jsonschema"}, "YAML as the API server reads it"},
}

// testModules may be imported by any test and by what stands beside the product.
var testModules = []string{
	"github.com/google/go-cmp",
	"github.com/modelcontextprotocol/go-sdk",
	"go.uber.org/goleak",
}

func TestModulesHaveOneImporter(t *testing.T) {
	t.Parallel()
	importers := map[string][]string{}
	eachPackage(t, func(t *testing.T, p pkg) {
		for _, imported := range p.Imports {
			if !foreign(imported) || levels[p.name()] == beside {
				continue
			}
			known := moduleOf(imported)
			if known < 0 {
				t.Errorf("%s imports %s, of a module that is not in the list in internal/rules/layers_test.go: is it needed? Then add it, with the reason", p.name(), imported)
				continue
			}
			if name := modules[known].path; !slices.Contains(importers[name], p.name()) {
				importers[name] = append(importers[name], p.name())
			}
		}
	})
	for _, m := range modules {
		got := importers[m.path]
		for _, p := range got {
			if !slices.Contains(m.importers, p) {
				t.Errorf("%s imports %s: that is for %v only (%s); use what they offer", p, m.path, m.importers, m.reason)
			}
		}
		for _, p := range m.importers {
			if !slices.Contains(got, p) {
				t.Errorf("%s does not import %s any more: take it off the list in internal/rules/layers_test.go", p, m.path)
			}
		}
	}
}

func TestTestsUseTheStandardLibrary(t *testing.T) {
	t.Parallel()
	eachPackage(t, func(t *testing.T, p pkg) {
		imports := slices.Concat(p.TestImports, p.XTestImports)
		if levels[p.name()] == beside {
			imports = append(imports, p.Imports...)
		}
		for _, imported := range imports {
			isOfModule := func(m string) bool { return within(imported, m) }
			if foreign(imported) && !slices.ContainsFunc(testModules, isOfModule) && moduleOf(imported) < 0 {
				t.Errorf("%s imports %s in tests: they use the standard library, go-cmp and internal/testkit; "+
					"assertion and mock libraries hide what is compared", p.name(), imported)
			}
			if within(imported, "go.uber.org/goleak") && p.name() != "internal/testkit/leaks" {
				t.Errorf("%s looks for leaks by itself: internal/testkit/leaks does, and waits as long as a slow machine needs", p.name())
			}
		}
	})
}

// foreign tells whether an import is neither of the standard library nor ours.
func foreign(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return strings.Contains(first, ".") && !within(imported, module)
}

func within(imported, module string) bool {
	return imported == module || strings.HasPrefix(imported, module+"/")
}

func moduleOf(imported string) int {
	for i := range modules {
		if within(imported, modules[i].path) {
			return i
		}
	}
	return -1
}

// notLinked says what a binary must not contain, and why.
var notLinked = []struct {
	binary, prefix, reason string
}{
	{"cmd/sallyportd", "k8s.io/apiserver", "the data plane is to idle in 20 MB: manifests were validated before it sees them"},
	{"cmd/sallyportd", "k8s.io/apiextensions-apiserver", "as above"},
	{"cmd/sallyportd", "github.com/google/cel-go", "as above"},
	{"cmd/sallyportd", "k8s.io/client-go", "the data plane has no access to the API server"},
	{"cmd/sallyportd", "sigs.k8s.io/controller-runtime", "as above"},
	{"cmd/sallyportd", "github.com/modelcontextprotocol/go-sdk", "the SDK is a peer for tests and the demo, not the data plane"},
	{"cmd/sallyportd", "github.com/spf13/cobra", "it has no commands"},
	{"cmd/sallyportd", "github.com/zalando/go-keyring", "a pod has no keyring"},
	{"cmd/sallyportd", "text/template", "it keeps every exported method alive in the binary"},
	{"cmd/sallyport", "testing", "test helpers do not ship"},
	{"cmd/sallyportd", "testing", "test helpers do not ship"},
}

func TestBinariesLink(t *testing.T) {
	t.Parallel()
	linked := map[string][]string{}
	for _, n := range notLinked {
		if linked[n.binary] == nil {
			out, err := goList("-deps", path.Join(module, n.binary))
			if err != nil {
				t.Fatal(err)
			}
			linked[n.binary] = strings.Fields(out)
		}
		for _, dep := range linked[n.binary] {
			if within(dep, n.prefix) {
				t.Errorf("%s links %s: %s; `go list -deps -f '{{.ImportPath}} {{.Imports}}' ./%s` shows who imports it", n.binary, dep, n.reason, n.binary)
			}
		}
	}
}
