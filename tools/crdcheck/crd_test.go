// Package crdcheck asks the API server's own code whether it would take the
// CustomResourceDefinitions. It is a module of its own, since that code links
// much of an API server.
package crdcheck

import (
	"os"
	"path/filepath"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/install"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

// REQ B-1: an API server takes the CRDs. Its own validation judges them, which
// compiles every rule and estimates what it may cost.
func TestAPIServerTakesCRDs(t *testing.T) {
	t.Parallel()
	scheme := runtime.NewScheme()
	install.Install(scheme)
	files, err := filepath.Glob("../../api/v1alpha1/crds/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("CRDs: got %v (%v)", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var published apiextensionsv1.CustomResourceDefinition
			if err := yaml.UnmarshalStrict(text, &published); err != nil {
				t.Fatal(err)
			}
			scheme.Default(&published)
			var crd apiextensions.CustomResourceDefinition
			if err := scheme.Convert(&published, &crd, nil); err != nil {
				t.Fatal(err)
			}
			crd.Status.StoredVersions = []string{"v1alpha1"} // as the API server sets it before it validates
			for _, err := range validation.ValidateCustomResourceDefinition(t.Context(), &crd) {
				t.Error(err)
			}
			if crd.Spec.Scope != apiextensions.NamespaceScoped || crd.Spec.Subresources == nil || crd.Spec.Subresources.Status == nil {
				t.Error("want namespaced and with a status subresource")
			}
			if len(crd.Spec.Names.ShortNames) == 0 || len(crd.Spec.AdditionalPrinterColumns) == 0 {
				t.Error("want short names and printer columns")
			}
		})
	}
}
