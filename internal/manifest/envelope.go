package manifest

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
)

// laterKinds are kinds that people may rightly expect and that are not built
// yet: ours to come, and those of ToolHive that we have no equal for.
var laterKinds = []string{
	"VirtualMCPServer", "MCPGroup", "MCPOIDCConfig", "MCPAuthzConfig", "MCPTelemetryConfig",
	"MCPWebhookConfig", "VirtualMCPCompositeToolDefinition", "EmbeddingServer", "MCPRegistry",
}

// addDocument reads the envelope of a document and adds its object to the set.
func (s *Set) addDocument(doc document) Problems {
	o := &Object{Raw: doc.value, Pos: Position{File: doc.file, Line: doc.line}, places: doc.places}
	if doc.places != nil {
		o.Pos.Column = int(doc.places.column)
	}
	var problems Problems
	problem := func(field, format string, args ...any) {
		p := o.Problem(field, format, args...)
		if o.Kind == "" || o.Name == "" {
			p.Object = o.Kind
		}
		problems = append(problems, p)
	}
	o.APIVersion, _ = doc.value["apiVersion"].(string)
	o.Kind, _ = doc.value["kind"].(string)
	meta, _ := doc.value["metadata"].(map[string]any)
	o.Name, _ = meta["name"].(string)
	o.Namespace, _ = meta["namespace"].(string)
	if field, message := checkType(o.APIVersion, o.Kind); message != "" {
		problem(field, "%s", message)
		return problems
	}
	if o.Name == "" {
		problem("metadata.name", "is required; give the %s a name", o.Kind)
		return problems
	}
	if errs := validation.IsDNS1123Subdomain(o.Name); len(errs) > 0 {
		problem("metadata.name", "must be lower-case letters, digits, hyphens and dots, and begin and end with a letter or digit, at most 253 characters")
	}
	if o.Namespace == "" {
		o.Namespace = DefaultNamespace
	}
	if errs := validation.IsDNS1123Label(o.Namespace); len(errs) > 0 {
		problem("metadata.namespace", "must be lower-case letters, digits and hyphens, and begin and end with a letter or digit, at most 63 characters")
	}
	if o.APIVersion == "v1" {
		problems = append(problems, o.decodeData()...)
	}
	o.Failed = len(problems) > 0
	if earlier := s.add(o); earlier != nil {
		problem("metadata.name", "there is a %s of this name already, at %s; rename or remove one of them", o.Kind, earlier.Pos)
	}
	return problems
}

// checkType says what is wrong with apiVersion and kind, and in which of them.
func checkType(apiVersion, kind string) (field, message string) {
	group, _, _ := strings.Cut(apiVersion, "/")
	_, ours := newResource(kind)
	isData := kind == "Secret" || kind == "ConfigMap"
	switch {
	case apiVersion == "":
		return "apiVersion", "is required: " + v1alpha1.APIVersion + ", or v1 for a Secret or ConfigMap"
	case kind == "":
		return "kind", "is required; it is one of " + kindNames()
	case group == "toolhive.stacklok.dev":
		return "apiVersion", "change it to " + v1alpha1.APIVersion + " to use this resource here"
	case isData && apiVersion != "v1":
		return "apiVersion", "must be v1 for a " + kind
	case isData:
		return "", ""
	case group == v1alpha1.Group && slices.Contains(laterKinds, kind):
		return "kind", kind + " is not supported yet; remove this document"
	case ours && apiVersion != v1alpha1.APIVersion:
		return "apiVersion", "must be " + v1alpha1.APIVersion + " for a " + kind
	case ours:
		return "", ""
	default:
		return "kind", fmt.Sprintf("%s of %s is not known here; use one of %s", kind, apiVersion, kindNames())
	}
}

func kindNames() string {
	return "MCPRemoteProxy, MCPServer, MCPServerEntry, MCPExternalAuthConfig, MCPToolConfig, Secret, ConfigMap"
}

// pruneEmpty drops what a typed object always has when written out.
func pruneEmpty(raw map[string]any) {
	delete(raw, "status")
	if meta, ok := raw["metadata"].(map[string]any); ok && meta["creationTimestamp"] == nil {
		delete(meta, "creationTimestamp")
	}
}
