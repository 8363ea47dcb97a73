//go:build cluster

package cluster_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/testkit"
	"github.com/sallyport-dev/sallyport/internal/testkit/kube"
)

// older writes the chart of an older version, whose groups have no description.
func older(t *testing.T) (folder string) {
	t.Helper()
	folder = filepath.Join(t.TempDir(), "sallyport")
	if err := os.CopyFS(folder, os.DirFS(chart)); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder, "files/crds/sallyport.dev_mcpgroups.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	without := strings.Replace(string(text), "\n              description:\n", "\n              formerly:\n", 1)
	if without == string(text) {
		t.Fatal("the definition of groups has no description: take another field")
	}
	if err := os.WriteFile(file, []byte(without), 0o600); err != nil {
		t.Fatal(err)
	}
	return folder
}

// A release is installed, upgraded to a version with a new field, which can be used at once, removed, and installed
// again; the kinds and the resources outlive it. A second release in the cluster leaves the kinds to the first.
func TestHelmRelease(t *testing.T) {
	t.Parallel()
	p := kube.StartBare(t)
	helm := func(args ...string) (string, error) {
		return kube.Helm(t, append(args, "--kubeconfig", p.Kubeconfig)...)
	}
	must := func(args ...string) {
		t.Helper()
		if out, err := helm(args...); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	const group = "apiVersion: sallyport.dev/v1alpha1\nkind: MCPGroup\nmetadata: {name: tools}\nspec: {description: what we use}\n"
	apply := func() error {
		_, err := p.TryApply(t, "default", kube.Documents(t, group)[0])
		return err
	}
	deployment := kube.Ref{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "gateway", Name: "sallyport-operator"}

	must("install", "sallyport", older(t), "--namespace", "gateway", "--create-namespace")
	testkit.Eventually(t, "the kinds are served", func() bool {
		_, err := p.Get(t, kube.Ref{APIVersion: "sallyport.dev/v1alpha1", Kind: "MCPGroup", Namespace: "default"})
		return err == nil
	})
	if err := apply(); err == nil || !strings.Contains(err.Error(), "description") {
		t.Fatalf("a field of a later version: got %v, want it refused by name", err)
	}
	must("upgrade", "sallyport", chart, "--namespace", "gateway")
	testkit.Eventually(t, "the new field can be used", func() bool { return apply() == nil })

	if out, err := helm("install", "second", chart, "--namespace", "other", "--create-namespace"); err == nil || !strings.Contains(err.Error(), "ownership") {
		t.Errorf("a second release takes the kinds from the first: %v\n%s", err, out)
	}
	must("install", "second", chart, "--namespace", "other", "--create-namespace",
		"--set", "crds.install=false,aggregateRoles=false,watchNamespaces={other}")

	must("uninstall", "sallyport", "--namespace", "gateway")
	p.Eventually(t, "the operator is gone", deployment, func(o *kube.Object) bool { return o == nil })
	if o, err := p.Get(t, kube.Ref{APIVersion: "sallyport.dev/v1alpha1", Kind: "MCPGroup", Namespace: "default", Name: "tools"}); err != nil || o.GetDeletionTimestamp() != nil {
		t.Errorf("the release takes the resources along: %v, %v", o, err)
	}
	must("install", "sallyport", chart, "--namespace", "gateway")
	if _, err := p.Get(t, deployment); err != nil {
		t.Error(err)
	}
}

// Who has installed the kinds by kubectl goes on with the chart, and says so.
func TestHelmTakesOverKinds(t *testing.T) {
	t.Parallel()
	p := kube.Start(t)
	args := []string{"install", "sallyport", chart, "--namespace", "gateway", "--create-namespace", "--kubeconfig", p.Kubeconfig}
	if out, err := kube.Helm(t, args...); err == nil || !strings.Contains(err.Error(), "ownership") {
		t.Fatalf("taken without a word: %v\n%s", err, out)
	}
	if out, err := kube.Helm(t, append(args, "--take-ownership")...); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
