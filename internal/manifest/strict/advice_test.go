package strict_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport-dev/sallyport/internal/manifest/strict"
)

// Words that YAML takes for true or false are told of where they are names, or stand where
// anything may, with the place; in quotes, and where true or false has to stand, they are
// what was meant.
func TestAdvice(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "site.yaml")
	text := `apiVersion: sallyport.dev/v1alpha1
kind: VirtualMCPCompositeToolDefinition
metadata:
  name: compare
  labels: {"no": "x"}
spec:
  name: compare
  description: yes and no
  parameters:
    type: object
    properties:
      n: {type: integer}
      "y": {type: integer}
  steps:
    - id: a
      tool: docs.search
      arguments:
        answer: no
        quoted: "no"
        tagged: !!str no
        words: [On, one]
        fine: true
---
apiVersion: sallyport.dev/v1alpha1
kind: MCPRemoteProxy
metadata: {name: docs}
spec:
  remoteUrl: http://127.0.0.1:8081/mcp
  allowPrivateEndpoint: yes
---
apiVersion: v1
kind: List
items:
  - apiVersion: v1
    kind: ConfigMap
    metadata: {name: c}
    data:
      off: text
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	set, problems := check(t, file)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	want := `site.yaml:12:7: VirtualMCPCompositeToolDefinition/compare: spec.parameters.properties.n: YAML reads the name n as false, and so the field has that name; put it in quotes
site.yaml:18:17: VirtualMCPCompositeToolDefinition/compare: spec.steps[0].arguments.answer: YAML reads no as false; write false, or put it in quotes if it is text
site.yaml:21:17: VirtualMCPCompositeToolDefinition/compare: spec.steps[0].arguments.words[0]: YAML reads On as true; write true, or put it in quotes if it is text
site.yaml:38:7: ConfigMap/c: data.off: YAML reads the name off as false, and so the field has that name; put it in quotes`
	got := strings.ReplaceAll(strict.Advice(set).Error(), filepath.Dir(file)+string(filepath.Separator), "")
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("advice (-want +got):\n%s", diff)
	}
}
