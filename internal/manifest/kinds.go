package manifest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
)

const (
	toolHiveGroup = "toolhive.stacklok.dev"
	kindNames     = "MCPRemoteProxy, MCPServer, MCPServerEntry, MCPGroup, VirtualMCPServer, VirtualMCPCompositeToolDefinition, MCPExternalAuthConfig, MCPToolConfig, MCPOIDCConfig, MCPAuthzConfig, MCPTelemetryConfig, MCPGateway, Secret, ConfigMap"

	foreign = "foreign" // in place of a field: the object is none of ours, nor meant to be
	near    = 2         // letters that a misspelling differs in
)

// refusedKinds are kinds that people may rightly expect, ToolHive's among them, and
// that are not built, with the remedy.
var refusedKinds = map[string]string{
	"MCPWebhookConfig": "is not supported yet; remove this document",
	"MCPRegistry":      "is not supported: a gateway serves the servers of its manifests, and offers no catalogue of others; remove this document",
	"EmbeddingServer":  "is not supported: the gateway runs no embedding server; name one that runs already in config.optimizer.embeddingService, and remove this document",
}

// checkType says what is wrong with apiVersion and kind, and in which of them. An
// object of somebody else's API group is no error, unless the group looks like ours.
func checkType(apiVersion, kind string) (field, message string) {
	group, _, _ := strings.Cut(apiVersion, "/")
	isData := kind == "Secret" || kind == "ConfigMap"
	_, ours := newResource(kind)
	_, refused := refusedKinds[kind]
	switch meant := nearest(group, []string{v1alpha1.Group, toolHiveGroup}); {
	case apiVersion == "":
		return "apiVersion", "is required: " + v1alpha1.APIVersion + ", or v1 for a Secret or ConfigMap"
	case kind == "" && (meant != "" || apiVersion == "v1"):
		return "kind", "is required; it is one of " + kindNames
	case kind == "":
		return foreign, ""
	case isData && apiVersion != "v1":
		return "apiVersion", fmt.Sprintf("is %q, and must be v1 for a %s", apiVersion, kind)
	case meant != "" && meant != group:
		return "apiVersion", fmt.Sprintf("%q is not known; did you mean %s?", apiVersion, v1alpha1.APIVersion)
	case meant == "" && strings.Contains(apiVersion, "/"):
		return foreign, ""
	case meant == "" && (ours || refused):
		return "apiVersion", fmt.Sprintf("is %q, and must be %s for an %s", apiVersion, v1alpha1.APIVersion, kind)
	case isData:
		return "", ""
	case meant == "":
		if hint := nearest(kind, strings.Split(kindNames, ", ")); hint != "" {
			return "kind", fmt.Sprintf("%q is not known; did you mean %s?", kind, hint)
		}
		return foreign, ""
	case refused:
		return "kind", kind + " " + refusedKinds[kind]
	case !ours:
		return "kind", fmt.Sprintf("%q is no kind of %s%s", kind, v1alpha1.Group, cmp.Or(DidYouMean(kind, strings.Split(kindNames, ", ")), "; use one of "+kindNames))
	case meant == toolHiveGroup:
		return "apiVersion", fmt.Sprintf("is %q; change it to %s to use this resource here", apiVersion, v1alpha1.APIVersion)
	case apiVersion != v1alpha1.APIVersion:
		return "apiVersion", fmt.Sprintf("%q is not known; did you mean %s?", apiVersion, v1alpha1.APIVersion)
	}
	return "", ""
}

// nearest is the name that is meant, if it is spelled right or nearly so.
func nearest(name string, known []string) string {
	for _, k := range known {
		if distance(strings.ToLower(name), strings.ToLower(k)) <= near {
			return k
		}
	}
	return ""
}

// LeftOut says in a line which objects are of other API groups, so that nobody takes
// them for served; "" where there are none.
func (s *Set) LeftOut() string {
	if len(s.foreign) == 0 {
		return ""
	}
	var kinds []string
	for _, o := range s.foreign {
		kinds = append(kinds, strings.TrimSpace(fmt.Sprintf("%s of %s", cmp.Or(o.Kind, "one"), o.APIVersion)))
	}
	slices.Sort(kinds)
	kinds = slices.Compact(kinds)
	more := ""
	if len(kinds) > 5 {
		kinds, more = kinds[:5], ", …"
	}
	noun := "objects"
	if len(s.foreign) == 1 {
		noun = "object"
	}
	return strings.Map(printable, fmt.Sprintf("%d %s of other API groups left out: %s%s", len(s.foreign), noun, strings.Join(kinds, ", "), more))
}
