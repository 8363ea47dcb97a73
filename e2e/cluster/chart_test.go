//go:build cluster

package cluster_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sallyport-dev/sallyport/internal/testkit"
	"github.com/sallyport-dev/sallyport/internal/testkit/kube"
)

var update = flag.Bool("update", false, "write the manifests in deploy that are made out of the chart")

const chart = root + "/deploy/chart"

// variants are values that people set.
var variants = map[string]string{
	"defaults":   "",
	"namespaces": "{watchNamespaces: [default, kube-public], crds: {install: false}, aggregateRoles: false}",
	"everything": `
image: {registry: registry.example.com/mirror/, repository: team/sallyport, tag: v9, digest: "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", pullPolicy: IfNotPresent}
imagePullSecrets: [{name: pull}]
replicas: 3
serviceAccount: {name: operator, annotations: {example.com/team: a}}
resync: 1h30m
statusInterval: 5s
log: {level: debug, format: text}
extraArgs: ["--log-level=warn"]
env: [{name: NO_PROXY, value: "10.0.0.0/8"}]
resources: {}
podLabels: {example.com/team: a, app.kubernetes.io/name: mine}
podAnnotations: {example.com/note: "b: c"}
nodeSelector: {kubernetes.io/os: linux}
tolerations: [{key: a, operator: Exists}]
affinity: {nodeAffinity: {}}
priorityClassName: system-cluster-critical
podMonitor: {enabled: true, labels: {release: prometheus}, interval: 1m}
`,
	"webhook":              "{webhook: {enabled: true, failurePolicy: Fail}, replicas: 2}",
	"webhook elsewhere":    "{webhook: {enabled: true, certManager: true}, watchNamespaces: [default, kube-public]}",
	"account of one's own": "{serviceAccount: {create: false, name: mine}}",
}

// values writes values to a file.
func values(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// render is what `helm template` makes of the chart.
func render(t *testing.T, namespace string, options ...string) string {
	t.Helper()
	text, err := kube.Helm(t, append([]string{"template", "sallyport", chart, "--namespace", namespace}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// The chart has no faults that Helm knows of; the API server takes what it renders, by its own schemas and
// without a field that it does not know; and it renders the same each time, for those who compare.
func TestChart(t *testing.T) {
	t.Parallel()
	for name, text := range variants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := values(t, text)
			if out, err := kube.Helm(t, "lint", "--strict", "--values", file, chart); err != nil || strings.Contains(out, "[WARNING]") {
				t.Errorf("%v\n%s", err, out)
			}
			namespace := plane.Namespace(t)
			rendered := render(t, namespace, "--values", file)
			if again := render(t, namespace, "--values", file); again != rendered {
				t.Errorf("rendered twice (-first +second):\n%s", cmp.Diff(rendered, again))
			}
			kinds := map[string]int{}
			for _, o := range kube.Documents(t, rendered) {
				kinds[o.GetKind()]++
				if kind := o.GetKind(); kind == "PodMonitor" || kind == "Issuer" || kind == "Certificate" {
					continue // the Prometheus operator's, and cert-manager's
				}
				if _, err := plane.TryApply(t, "", o, "dryRun=All"); err != nil {
					t.Error(err)
				}
			}
			if n := kinds["CustomResourceDefinition"]; n != len(definitions) && n != 0 || (n == 0) != (name == "namespaces") {
				t.Errorf("it has the definitions of %d kinds, there are %d", n, len(definitions))
			}
		})
	}
}

// Values that cannot be are refused by name, before anything is installed.
func TestChartRefusesValues(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"{replica: 2}":                       "replica",
		"{image: {name: a}}":                 "name",
		"{image: {repository: ''}}":          "repository",
		"{image: {digest: latest}}":          "digest",
		"{watchNamespaces: [Upper]}":         "watchNamespaces",
		"{watchNamespaces: default}":         "watchNamespaces",
		"{resync: 10 minutes}":               "resync",
		"{log: {level: loud}}":               "level",
		"{crds: {install: 'yes'}}":           "install",
		"{webhook: {failurePolicy: Maybe}}":  "failurePolicy",
		"{podMonitor: {interval: a minute}}": "interval",
	} {
		out, err := kube.Helm(t, "template", "sallyport", chart, "--values", values(t, text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: want an error with %q, got %v\n%.300s", text, want, err, out)
		}
	}
}

// Parts of what is rendered, by what was asked for.
func TestChartRenders(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		values         string
		contains, lack []string
	}{
		{
			"",
			[]string{"image: sallyport:v0.1.0\n", "- --image=sallyport:v0.1.0\n", "- --leader-elect\n", "kind: ClusterRole\n", "kind: CustomResourceDefinition\n", "helm.sh/resource-policy: keep\n"},
			[]string{"--namespace=", "WebhookConfiguration\n", "PodDisruptionBudget\n", "PodMonitor\n", "imagePullPolicy", "kind: Secret\n"},
		},
		{variants["namespaces"], []string{"- --namespace=default\n", "- --namespace=kube-public\n", "namespace: kube-public\n"}, []string{"ClusterRole", "CustomResourceDefinition"}},
		{
			variants["everything"],
			[]string{
				"image: registry.example.com/mirror/team/sallyport:v9@sha256:", "- --image=registry.example.com/mirror/team/sallyport:v9@sha256:", "kind: PodDisruptionBudget\n",
				"kind: PodMonitor\n", "- --resync=1h30m\n", "- --status-interval=5s\n", "- --image-pull-secret=pull\n", "app.kubernetes.io/name: sallyport-operator\n", "serviceAccountName: operator\n",
			},
			[]string{"app.kubernetes.io/name: mine\n"},
		},
		{
			variants["webhook"],
			[]string{
				"kind: ValidatingWebhookConfiguration\n", "failurePolicy: Fail\n", "- --webhook-listen=:9443\n", "- --webhook-secret=default/sallyport-operator-webhook\n",
				"- --webhook-configuration=sallyport-operator-default\n", "values: [kube-system]\n", "    - mcpexternalauthconfigs\n    - mcpoidcconfigs\n",
			},
			[]string{"cert-manager.io/", "--webhook-tls-cert"},
		},
		{
			variants["webhook elsewhere"],
			[]string{"cert-manager.io/inject-ca-from: default/sallyport-operator-webhook\n", "kind: Certificate\n", "- --webhook-tls-cert=/etc/sallyport/webhook/tls.crt\n", "      - kube-public\n", "secretName: sallyport-operator-webhook-tls\n"},
			[]string{"--webhook-secret", "validatingwebhookconfigurations", "values: [kube-system]"},
		},
		{variants["account of one's own"], []string{"serviceAccountName: mine\n"}, []string{"kind: ServiceAccount\nmetadata"}},
	} {
		got := render(t, "default", "--values", values(t, c.values))
		for _, want := range c.contains {
			if !strings.Contains(got, want) {
				t.Errorf("%s: there is no %q", c.values, want)
			}
		}
		for _, not := range c.lack {
			if strings.Contains(got, not) {
				t.Errorf("%s: there is %q", c.values, not)
			}
		}
	}
}

// The manifests in deploy are what the chart renders, for those who have no Helm.
func TestPlainManifests(t *testing.T) {
	t.Parallel()
	for file, c := range map[string]struct{ about, namespace, values string }{
		"operator.yaml": {
			"# The operator, for all namespaces of a cluster.\n", "sallyport-system", "{crds: {install: false}}",
		},
		"operator-namespaced.yaml": {
			"# The operator, for the one namespace that it is in and without rights elsewhere. For another namespace: sed s/sallyport$/other/.\n",
			"sallyport", "{crds: {install: false}, aggregateRoles: false, watchNamespaces: [sallyport]}",
		},
	} {
		want := c.about + "# Before it come the kinds: sallyport operator crds | kubectl apply --server-side -f -\n" +
			"# Made out of deploy/chart by hack/cluster.sh -run TestPlainManifests -update\n" +
			"apiVersion: v1\nkind: Namespace\nmetadata:\n  name: " + c.namespace + "\n"
		for line := range strings.Lines(render(t, c.namespace, "--values", values(t, c.values))) {
			if !strings.HasPrefix(line, "# Source: ") && !strings.Contains(line, "helm.sh/chart: ") && !strings.Contains(line, "app.kubernetes.io/managed-by: ") {
				want += line
			}
		}
		path := filepath.Join(root, "deploy", file)
		if *update {
			if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("%s (-chart +file), with -update if the chart is right:\n%s", file, diff)
		}
	}
}

// REQ B-14: who may look at a namespace may look at our kinds there, and who may edit it may edit them.
func TestClusterRolesHaveOurKinds(t *testing.T) {
	t.Parallel()
	namespace := plane.Namespace(t)
	for _, o := range kube.Documents(t, render(t, namespace, "--show-only", "templates/aggregate.yaml")) {
		o.SetName(o.GetName() + "-" + namespace) // the names are the cluster's
		if _, err := plane.TryApply(t, "", o); err != nil {
			t.Fatal(err)
		}
		plane.DeleteAfter(t, kube.RefOf(o))
	}
	for _, role := range []string{"view", "edit", "admin"} {
		plane.Apply(t, namespace, `{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: `+role+`},
			roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: `+role+`},
			subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: `+role+`}]}`)
	}
	for _, c := range []struct {
		role, verb, resource string
		want                 bool
	}{
		{"view", "get", "mcpservers", true},
		{"view", "watch", "virtualmcpservers", true},
		{"view", "create", "mcpservers", false},
		{"edit", "get", "mcpservers", true},
		{"edit", "create", "mcpremoteproxies", true},
		{"edit", "delete", "mcpexternalauthconfigs", true},
		{"admin", "list", "mcpgroups", true},
		{"admin", "patch", "mcptoolconfigs", true},
	} {
		may := func() bool {
			o, err := plane.Create(t, &kube.Object{Object: map[string]any{
				"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
				"spec": map[string]any{"user": c.role, "resourceAttributes": map[string]any{
					"namespace": namespace, "verb": c.verb, "group": "sallyport.dev", "resource": c.resource,
				}},
			}})
			if err != nil {
				t.Fatal(err)
			}
			allowed, _, _ := unstructured.NestedBool(o.Object, "status", "allowed")
			return allowed
		}
		if c.want {
			testkit.Eventually(t, c.role+" may "+c.verb+" "+c.resource, may) // a controller joins the roles
		} else if may() {
			t.Errorf("%s may %s %s", c.role, c.verb, c.resource)
		}
	}
}
