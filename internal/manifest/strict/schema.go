package strict

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	celconfig "k8s.io/apiserver/pkg/apis/cel"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
)

// files are the CRDs of the kinds, without descriptions and status.
var files = map[string]string{
	"MCPRemoteProxy":                    "crds/sallyport.dev_mcpremoteproxies.json",
	"MCPServer":                         "crds/sallyport.dev_mcpservers.json",
	"MCPServerEntry":                    "crds/sallyport.dev_mcpserverentries.json",
	"MCPExternalAuthConfig":             "crds/sallyport.dev_mcpexternalauthconfigs.json",
	"MCPGroup":                          "crds/sallyport.dev_mcpgroups.json",
	"VirtualMCPServer":                  "crds/sallyport.dev_virtualmcpservers.json",
	"VirtualMCPCompositeToolDefinition": "crds/sallyport.dev_virtualmcpcompositetooldefinitions.json",
	"MCPTelemetryConfig":                "crds/sallyport.dev_mcptelemetryconfigs.json",
	"MCPToolConfig":                     "crds/sallyport.dev_mcptoolconfigs.json",
	"MCPAuthzConfig":                    "crds/sallyport.dev_mcpauthzconfigs.json",
	"MCPOIDCConfig":                     "crds/sallyport.dev_mcpoidcconfigs.json",
	"MCPGateway":                        "crds/sallyport.dev_mcpgateways.json",
}

// kindSchema is the schema of one kind in the forms that the engine takes.
type kindSchema struct {
	structural *schema.Structural
	openAPI    validation.SchemaValidator
}

func loadSchema(kind string) (*kindSchema, error) {
	text, err := v1alpha1.CRDs.ReadFile(files[kind])
	if err != nil {
		return nil, fmt.Errorf("read the schema of %s: %w", kind, err)
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := json.Unmarshal(text, &crd); err != nil {
		return nil, fmt.Errorf("read the schema of %s: %w", kind, err)
	}
	var props apiextensions.JSONSchemaProps
	published := crd.Spec.Versions[0].Schema.OpenAPIV3Schema
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(published, &props, nil); err != nil {
		return nil, fmt.Errorf("convert the schema of %s: %w", kind, err)
	}
	structural, err := schema.NewStructural(&props)
	if err != nil {
		return nil, fmt.Errorf("convert the schema of %s: %w", kind, err)
	}
	structural.XValidations = nil // they are about metadata.name, which was judged when the object was read
	openAPI, _, err := validation.NewSchemaValidator(&props)
	if err != nil {
		return nil, fmt.Errorf("convert the schema of %s: %w", kind, err)
	}
	return &kindSchema{structural: structural, openAPI: openAPI}, nil
}

// rules compiles the CEL rules that have something to say about these objects.
// Compiling is nearly all the time that validation takes, and most rules stand
// on fields that most manifests do not have.
func (k *kindSchema) rules(objects []any) *cel.Validator {
	return cel.NewValidator(relevant(k.structural, objects), true, celconfig.PerCallLimit)
}

// relevant returns s without the rules of what none of values has. The types
// stay, since rules further up may speak of them.
func relevant(s *schema.Structural, values []any) *schema.Structural {
	kept := *s
	kept.XValidations = nil
	for _, rule := range s.XValidations {
		if len(values) > 0 && !holdsWithout(rule.Rule, values) {
			kept.XValidations = append(kept.XValidations, rule)
		}
	}
	if len(s.Properties) > 0 {
		kept.Properties = maps.Clone(s.Properties)
		for name, property := range s.Properties {
			kept.Properties[name] = *relevant(&property, children(values, name))
		}
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Structural != nil {
		below := *s.AdditionalProperties
		below.Structural = relevant(below.Structural, children(values, ""))
		kept.AdditionalProperties = &below
	}
	if s.Items != nil {
		kept.Items = relevant(s.Items, children(values, ""))
	}
	return &kept
}

// guard is how a rule begins that has nothing to say where a field is not there.
var guard = regexp.MustCompile(`^!has\(self\.(\w+)\) \|\| `)

// holdsWithout says whether a rule holds because none of values has a field
// that it is guarded by.
func holdsWithout(rule string, values []any) bool {
	for m := guard.FindStringSubmatch(rule); m != nil; m = guard.FindStringSubmatch(rule) {
		if len(children(values, m[1])) == 0 {
			return true
		}
		rule = rule[len(m[0]):]
	}
	return false
}

// children returns what the values hold: under one name, or, without name, all.
func children(values []any, name string) []any {
	var found []any
	for _, value := range values {
		switch value := value.(type) {
		case map[string]any:
			if name == "" {
				for child := range maps.Values(value) {
					found = append(found, child)
				}
			} else if child, ok := value[name]; ok {
				found = append(found, child)
			}
		case []any:
			if name == "" {
				found = append(found, value...)
			}
		}
	}
	return found
}
