package strict_test

import (
	"encoding/json"
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
)

// crdFiles returns the names of the CRDs without their extension.
func crdFiles(t *testing.T) []string {
	t.Helper()
	files, err := fs.Glob(v1alpha1.CRDs, "crds/*.yaml")
	if err != nil || len(files) != 5 {
		t.Fatalf("CRDs: got %v (%v), want five", files, err)
	}
	for i, file := range files {
		files[i] = strings.TrimSuffix(file, ".yaml")
	}
	return files
}

func readCRD(t *testing.T, name string) []byte {
	t.Helper()
	text, err := v1alpha1.CRDs.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// What files are checked with is what a cluster is given: the JSON is the YAML
// without descriptions and status.
func TestJSONIsYAML(t *testing.T) {
	t.Parallel()
	for _, file := range crdFiles(t) {
		var fromYAML, fromJSON apiextensionsv1.CustomResourceDefinition
		if err := yaml.UnmarshalStrict(readCRD(t, file+".yaml"), &fromYAML); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(readCRD(t, file+".json"), &fromJSON); err != nil {
			t.Fatal(err)
		}
		schema := fromYAML.Spec.Versions[0].Schema.OpenAPIV3Schema
		delete(schema.Properties, "status")
		undescribe(schema)
		if diff := cmp.Diff(fromYAML, fromJSON); diff != "" {
			t.Errorf("%s: JSON differs from YAML; run go generate ./api/...:\n%s", file, diff)
		}
	}
}

func undescribe(s *apiextensionsv1.JSONSchemaProps) {
	s.Description = ""
	for name, property := range s.Properties {
		undescribe(&property)
		s.Properties[name] = property
	}
	if s.Items != nil {
		undescribe(s.Items.Schema)
	}
	if s.AdditionalProperties != nil {
		undescribe(s.AdditionalProperties.Schema)
	}
}
