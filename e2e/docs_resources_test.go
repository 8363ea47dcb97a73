package e2e_test

import (
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
)

func resourcesPage(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("# Resources\n\n" + generated + resourcesIntroduction)
	kinds := readKinds(t)
	names := slices.Sorted(maps.Keys(kinds))
	slices.SortStableFunc(names, func(a, b string) int { return kindRank(a) - kindRank(b) })
	for _, name := range names {
		writeKind(&b, kinds[name])
	}
	b.WriteString(dataKinds)
	writeRestricted(&b)
	return b.String()
}

// kindRank puts the kinds first that one begins with.
func kindRank(kind string) int {
	first := []string{"MCPRemoteProxy", "MCPServer", "MCPExternalAuthConfig"}
	if i := slices.Index(first, kind); i >= 0 {
		return i
	}
	return len(first)
}

const resourcesIntroduction = `The configuration language is the Kubernetes resource: group ` + "`sallyport.dev`, version `v1alpha1`" + `. Fields have the names that ToolHive's v1beta1 has for them.
A document begins with:

` + "```text" + `
apiVersion: sallyport.dev/v1alpha1
kind: MCPRemoteProxy
metadata:
  name: docs            # lower-case letters, digits, hyphens and dots
  namespace: default    # may be left out
spec: …
` + "```" + `

References lead to objects of the same namespace. A field that is not known is refused, and so is one that is known and not built yet: nothing is ignored in silence.
The tables leave ` + "`spec.`" + ` out. Behind a field's description, each dash is a rule or what ` + "`check`" + ` says of a mistake, with … for the name in question; ` + "`[]`" + ` stands for each element of a list and ` + "`.*`" + ` for each key of a mapping.
`

const dataKinds = `
## Secret and ConfigMap

` + "`v1/Secret` and `v1/ConfigMap`" + ` documents stand beside the resources that refer to them. A Secret takes ` + "`data`" + ` (base64) and ` + "`stringData`" + ` (as it is, and it wins); a ConfigMap ` +
	"`data` and `binaryData`" + `. Each holds at most 1 MiB. Nothing else of them has an effect.
`

// readKinds reads the definitions that a cluster is given.
func readKinds(t *testing.T) map[string]*apiextensions.CustomResourceDefinition {
	t.Helper()
	files, err := fs.Glob(v1alpha1.CRDs, "crds/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]*apiextensions.CustomResourceDefinition{}
	for _, file := range files {
		text, err := v1alpha1.CRDs.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		crd := new(apiextensions.CustomResourceDefinition)
		if err := yaml.Unmarshal(text, crd); err != nil {
			t.Fatal(err)
		}
		kinds[crd.Spec.Names.Kind] = crd
	}
	return kinds
}

// unused are the kinds that nothing refers to yet.
var unused = map[string]bool{"MCPServerEntry": true}

func writeKind(b *strings.Builder, crd *apiextensions.CustomResourceDefinition) {
	schema := crd.Spec.Versions[0].Schema.OpenAPIV3Schema
	spec := schema.Properties["spec"]
	fmt.Fprintf(b, "\n## %s\n\n%s\n", crd.Spec.Names.Kind, sentence(schema.Description))
	if names := crd.Spec.Names.ShortNames; len(names) > 0 {
		fmt.Fprintf(b, "Short names in a cluster: `%s`.\n", strings.Join(names, "`, `"))
	}
	if unused[crd.Spec.Names.Kind] {
		b.WriteString("\nIt is checked, and has no effect yet: what uses it is on the roadmap.\n")
	}
	var f fieldTable
	f.fields("", &spec)
	b.WriteString("\n| field | type | default | |\n| --- | --- | --- | --- |\n" + f.built.String())
	if rules := rulesOf(&spec); len(rules) > 0 {
		b.WriteString("\nAcross fields:\n\n")
		for _, r := range rules {
			b.WriteString("- " + r + "\n")
		}
	}
	if f.unbuilt.Len() > 0 {
		b.WriteString("\n**Not supported yet**, and refused by name:\n\n| field | |\n| --- | --- |\n" + f.unbuilt.String())
	}
}

// fieldTable has a row for each field.
type fieldTable struct{ built, unbuilt strings.Builder }

func (f *fieldTable) fields(path string, schema *apiextensions.JSONSchemaProps) {
	names := slices.Sorted(maps.Keys(schema.Properties))
	required := func(name string) int { // first what must be there
		if slices.Contains(schema.Required, name) {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(names, func(a, b string) int { return required(a) - required(b) })
	for _, name := range names {
		field := schema.Properties[name]
		f.field(path+name, &field, required(name) == 0)
	}
}

func (f *fieldTable) field(path string, s *apiextensions.JSONSchemaProps, required bool) {
	if isUnbuilt(s) {
		fmt.Fprintf(&f.unbuilt, "| `%s` | %s |\n", path, cell(sentence(s.Description)))
		return
	}
	text := sentence(s.Description)
	element := s
	switch {
	case s.Items != nil:
		element = s.Items.Schema
	case s.AdditionalProperties != nil:
		element = s.AdditionalProperties.Schema
	}
	for _, rule := range rulesOf(s) {
		text += "<br>– " + rule
	}
	if element != s && len(element.Properties) == 0 {
		for _, rule := range rulesOf(element) {
			text += "<br>– each: " + rule
		}
	}
	value := ""
	switch {
	case required:
		value = "required"
	case s.Default != nil:
		value = "`" + strings.Trim(string(s.Default.Raw), `"`) + "`"
	}
	fmt.Fprintf(&f.built, "| `%s` | %s | %s | %s |\n", path, typeOf(s), value, cell(text))
	switch {
	case s.Items != nil:
		f.fields(path+"[].", element)
	case s.AdditionalProperties != nil:
		f.fields(path+".*.", element)
	default:
		f.fields(path+".", s)
	}
}

func isUnbuilt(s *apiextensions.JSONSchemaProps) bool {
	return slices.ContainsFunc(s.XValidations, func(r apiextensions.ValidationRule) bool { return r.Rule == "false" })
}

func typeOf(s *apiextensions.JSONSchemaProps) string {
	switch {
	case len(s.Enum) > 0:
		var values []string
		for _, v := range s.Enum {
			values = append(values, "`"+strings.Trim(string(v.Raw), `"`)+"`")
		}
		return strings.Join(values, ", ")
	case s.Items != nil:
		return "list of " + typeOf(s.Items.Schema)
	case s.AdditionalProperties != nil:
		return "mapping to " + typeOf(s.AdditionalProperties.Schema)
	case s.Type == "string":
		return "text"
	case s.Type == "object":
		return "mapping"
	default:
		return s.Type
	}
}

// rulesOf puts what the schema asks beside the type into words.
func rulesOf(s *apiextensions.JSONSchemaProps) []string {
	var rules []string
	rule := func(format string, args ...any) { rules = append(rules, fmt.Sprintf(format, args...)) }
	for _, r := range s.XValidations {
		if r.Rule == "false" {
			continue
		}
		text := r.Message
		if text == "" {
			text = inWords(r.MessageExpression)
		}
		if r.FieldPath != "" {
			text = "`" + strings.TrimPrefix(r.FieldPath, ".") + "`: " + text
		}
		rule("%s", text)
	}
	if s.Minimum != nil && s.Maximum != nil {
		rule("%v to %v", *s.Minimum, *s.Maximum)
	}
	if s.MaxLength != nil {
		rule("at most %d characters", *s.MaxLength)
	}
	if s.MaxItems != nil {
		rule("at most %d elements", *s.MaxItems)
	}
	if s.MaxProperties != nil {
		rule("at most %d keys", *s.MaxProperties)
	}
	return rules
}

var celText = regexp.MustCompile(`'([^']*)'`)

// inWords finds the text in a CEL expression that makes a message.
func inWords(expression string) string {
	var texts []string
	for _, m := range celText.FindAllStringSubmatch(expression, -1) {
		if strings.Contains(m[1], " ") {
			texts = append(texts, strings.ReplaceAll(m[1], "%s", "…"))
		}
	}
	return strings.Join(texts, "; or: ")
}

// sentence is a description on one line.
func sentence(description string) string { return strings.Join(strings.Fields(description), " ") }

// writeRestricted lists the names that the rules about headers refuse.
func writeRestricted(b *strings.Builder) {
	pattern := strings.TrimSuffix(strings.TrimPrefix(v1alpha1.RestrictedHeaderPattern(), "(?i)^("), ")$")
	names := strings.Split(strings.ReplaceAll(strings.ReplaceAll(pattern, ".*", "*"), `\-`, "-"), "|")
	groups := map[string][]string{}
	var reasons []string
	for _, name := range names {
		reason, _ := v1alpha1.RestrictedHeader(strings.TrimSuffix(name, "*") + "x"[:strings.Count(name, "*")])
		if groups[reason] == nil {
			reasons = append(reasons, reason)
		}
		groups[reason] = append(groups[reason], name)
	}
	b.WriteString("\n## Headers that no manifest may set\n\nNeither `passthroughHeaders` nor `headerForward` nor a credential may name these, in whatever case. `*` stands for any ending." +
		" `Authorization` may be set; it is passed through by `passthroughAuthorization` alone.\n\n| headers | why |\n| --- | --- |\n")
	for _, reason := range reasons {
		fmt.Fprintf(b, "| `%s` | %s |\n", strings.Join(groups[reason], "`, `"), reason)
	}
}
