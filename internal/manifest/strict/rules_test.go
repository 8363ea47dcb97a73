package strict

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	celconfig "k8s.io/apiserver/pkg/apis/cel"

	"github.com/sallyport-dev/sallyport/internal/manifest"
)

// walkSchema calls visit for every value that the schema knows, with its path.
func walkSchema(s *schema.Structural, path string, visit func(path string, s *schema.Structural)) {
	visit(path, s)
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		property := s.Properties[name]
		walkSchema(&property, strings.TrimPrefix(path+"."+name, "."), visit)
	}
	if s.Items != nil {
		walkSchema(s.Items, path+"[0]", visit)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Structural != nil {
		walkSchema(s.AdditionalProperties.Structural, path+".key", visit)
	}
}

func mustSchema(t *testing.T, kind string) *kindSchema {
	t.Helper()
	k, err := loadSchema(kind)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// unbuilt are the fields that are declared and not built, by what a value of
// their type looks like in YAML.
func unbuilt(k *kindSchema) map[string]string {
	fields := map[string]string{}
	walkSchema(k.structural, "", func(path string, s *schema.Structural) {
		if isUnbuilt(s) {
			fields[path] = map[string]string{
				"object": "{some: {thing: [1]}}", "string": "x", "integer": "3", "boolean": "true", "array": "[{}]",
			}[s.Type]
		}
	})
	return fields
}

func isUnbuilt(s *schema.Structural) bool {
	return slices.ContainsFunc(s.XValidations, func(r apiextensionsv1.ValidationRule) bool { return r.Rule == "false" })
}

// The fields of ToolHive's schema that people have in their manifests, and that
// must be refused by name until they are built.
func TestUnbuiltFieldsAreDeclared(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"MCPRemoteProxy": "oidcConfig oidcConfigRef authServerRef authzConfig authzConfigRef toolConfigRef telemetry " +
			"telemetryConfigRef networkPolicy resources serviceAccount podTemplateSpec resourceOverrides groupRef " +
			"sessionAffinity sessionStorage replicas trustedProxy rateLimiting oauth",
		"MCPServer": "image oidcConfig oidcConfigRef authServerRef authzConfig authzConfigRef toolConfigRef telemetry " +
			"telemetryConfigRef networkPolicy resources serviceAccount podTemplateSpec resourceOverrides groupRef " +
			"sessionAffinity sessionStorage replicas trustedProxy rateLimiting externalAuthConfigRef mcpPort proxyMode " +
			"permissionProfile volumes backendReplicas webhookConfigRef",
		"MCPServerEntry": "groupRef",
		"VirtualMCPServer": "groupRef incomingAuth outgoingAuth passthroughHeaders config authServerConfig embeddingServerRef imagePullSecrets " +
			"serviceType serviceAccount replicas sessionAffinity sessionStorage telemetryConfigRef podTemplateSpec",
		"MCPExternalAuthConfig": "tokenExchange embeddedAuthServer awsSts upstreamInject obo xaa",
	}
	for kind, names := range want {
		k := mustSchema(t, kind)
		for name := range strings.FieldsSeq(names) {
			if _, known := k.structural.Properties["spec"].Properties[name]; !known {
				t.Errorf("%s: %s is neither built nor declared", kind, name)
			}
		}
	}
}

// Every field that is not built yet is refused by its name, at its line.
func TestUnbuiltFieldsAreRefused(t *testing.T) {
	t.Parallel()
	for kind := range files {
		fields := unbuilt(mustSchema(t, kind))
		var text strings.Builder
		var paths []string
		fmt.Fprintf(&text, "apiVersion: sallyport.dev/v1alpha1\nkind: %s\nmetadata: {name: x}\nspec:\n", kind)
		line := map[string]int{}
		for i, path := range slices.Sorted(maps.Keys(fields)) {
			name, ok := strings.CutPrefix(path, "spec.")
			if strings.Contains(name, ".") || !ok {
				continue // of a block that is built: below
			}
			fmt.Fprintf(&text, "  %s: %s\n", name, fields[path])
			paths, line[path] = append(paths, path), 5+i
		}
		problems := checkText(t, text.String())
		for _, path := range paths {
			name := strings.TrimPrefix(path, "spec.")
			i := slices.IndexFunc(problems, func(p manifest.Problem) bool { return p.Field == path })
			if i < 0 || !strings.HasPrefix(problems[i].Message, name+" is not supported") {
				t.Errorf("%s: %s is not refused by name:\n%v", kind, path, problems)
			} else if got := textLine(text.String(), name); problems[i].Line != got {
				t.Errorf("%s: %s is reported at line %d, want %d", kind, path, problems[i].Line, got)
			}
		}
	}
	problems := checkText(t, `{apiVersion: sallyport.dev/v1alpha1, kind: MCPRemoteProxy, metadata: {name: x}, spec: {
		remoteUrl: "https://a", caBundleRef: {configMapRef: {name: a, optional: false}}}}`)
	if len(problems) != 1 || problems[0].Message != "optional is not supported yet; remove it" {
		t.Errorf("optional: got %v", problems)
	}
}

func textLine(text, field string) int {
	before, _, _ := strings.Cut(text, "\n  "+field+":")
	return strings.Count(before, "\n") + 2
}

func checkText(t *testing.T, text string) manifest.Problems {
	t.Helper()
	file := filepath.Join(t.TempDir(), "manifest.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	set, err := manifest.Load([]string{file})
	problems, _ := errors.AsType[manifest.Problems](err)
	return append(problems, Validate(set)...).Sort()
}

// Each rule is one that the bad manifests break: were it dropped, a golden file would
// change. Where several kinds have the same, one of them breaks it.
func TestEveryRuleIsBroken(t *testing.T) {
	t.Parallel()
	set, _ := manifest.Load([]string{"testdata/bad"}) // the problems of reading are not the matter here
	broken := map[string]bool{}                       // by rule
	places := map[string]string{}                     // of each rule
	for kind := range files {
		k := mustSchema(t, kind)
		var objects []any
		for _, o := range set.Objects {
			if o.Kind == kind {
				k.complete(o)
				objects = append(objects, o.Raw)
			}
		}
		said := map[string][]string{} // by path
		rules := k.rules(objects)
		for _, o := range objects {
			errs, _ := rules.Validate(t.Context(), nil, k.structural, o, nil, celconfig.RuntimeCELCostBudget)
			for _, e := range errs {
				path := anyIndex.ReplaceAllString(e.Field, "[0]")
				path = bracketed.ReplaceAllString(path, ".key")
				said[path] = append(said[path], e.Detail)
			}
		}
		walkSchema(k.structural, "", func(path string, s *schema.Structural) {
			for _, rule := range s.XValidations {
				places[rule.Rule] = kind + ": " + path
				if slices.ContainsFunc(said[path+rule.FieldPath], func(m string) bool { return says(rule, m) }) {
					broken[rule.Rule] = true
				}
			}
		})
	}
	for rule, place := range places {
		if !broken[rule] && rule != "false" {
			t.Errorf("%s: no manifest in testdata/bad breaks the rule %s", place, rule)
		}
	}
}

var anyIndex = regexp.MustCompile(`\[\d+\]`)

// says whether a message is the one of a rule, for those that are put together
// by what is fixed in them.
func says(rule apiextensionsv1.ValidationRule, message string) bool {
	if rule.MessageExpression == "" {
		return message == rule.Message
	}
	for i, text := range strings.Split(rule.MessageExpression, "'") {
		if i%2 == 0 || !strings.Contains(text, " ") {
			continue // not a string of the expression, or one of no weight
		}
		parts := strings.Split(text, "%s")
		if strings.HasPrefix(message, parts[0]) && strings.HasSuffix(message, parts[len(parts)-1]) {
			return true
		}
	}
	return false
}

// Every limit of size holds: what is larger is refused at its field.
func TestLimits(t *testing.T) {
	t.Parallel()
	limits := 0
	for kind := range files {
		k := mustSchema(t, kind)
		walkSchema(k.structural, "", func(path string, s *schema.Structural) {
			v := s.ValueValidation
			if v == nil {
				v = &schema.ValueValidation{}
			}
			unlimited := s.Type == "string" && v.MaxLength == nil && v.Enum == nil || s.Type == "array" && v.MaxItems == nil ||
				s.AdditionalProperties != nil && v.MaxProperties == nil
			if inSpec := strings.HasPrefix(path, "spec."); inSpec && unlimited && !isUnbuilt(s) {
				t.Errorf("%s: %s has no limit of size", kind, path)
			}
			tooLarge := map[string]any{}
			if v.MaxLength != nil {
				tooLarge["characters"] = strings.Repeat("a", int(*v.MaxLength)+1)
			}
			if v.MaxItems != nil {
				tooLarge["items"] = make([]any, *v.MaxItems+1)
			}
			if v.MaxProperties != nil {
				fields := map[string]any{}
				for i := range *v.MaxProperties + 1 {
					fields[fmt.Sprint(i)] = nil
				}
				tooLarge["fields"] = fields
			}
			if v.Maximum != nil {
				tooLarge["value"] = int64(*v.Maximum) + 1
			}
			for what, value := range tooLarge {
				limits++
				o := &manifest.Object{Kind: kind, Raw: at(path, value).(map[string]any)}
				problems := k.check(o, nil)
				if !slices.ContainsFunc(problems, func(p manifest.Problem) bool { return p.Field == path }) {
					t.Errorf("%s: %s: too large in %s, and no problem: %v", kind, path, what, problems)
				}
			}
		})
	}
	if limits < 50 {
		t.Errorf("found %d limits, want those of all kinds", limits)
	}
}

// at wraps a value so that it stands at path.
func at(path string, value any) any {
	if path == "" {
		return value
	}
	if before, ok := strings.CutSuffix(path, "[0]"); ok {
		return at(before, []any{value})
	}
	i := strings.LastIndexByte(path, '.')
	return at(path[:max(i, 0)], map[string]any{path[i+1:]: value})
}

// Rules of fields that are not there are not compiled, which is what makes a
// start quick; those of fields that are there always are.
func TestOnlyRelevantRulesAreCompiled(t *testing.T) {
	t.Parallel()
	k := mustSchema(t, "MCPRemoteProxy")
	count := func(spec map[string]any) (n int) {
		walkSchema(relevant(k.structural, []any{map[string]any{"spec": spec}}), "", func(_ string, s *schema.Structural) { n += len(s.XValidations) })
		return n
	}
	small := count(map[string]any{"remoteUrl": "https://a"})
	all := 0
	walkSchema(k.structural, "", func(_ string, s *schema.Structural) { all += len(s.XValidations) })
	if small > 4 {
		t.Errorf("a manifest with a remoteUrl alone compiles %d rules of %d", small, all)
	}
	with := map[string]any{"remoteUrl": "https://a", "passthroughHeaders": []any{"A"}, "headerForward": map[string]any{"addPlaintextHeaders": map[string]any{}}}
	if got := count(with); got <= small+5 {
		t.Errorf("a manifest with headers compiles %d rules, and without %d", got, small)
	}
	// A guard is only one where it stands before the first "?" outside of brackets.
	walkSchema(k.structural, "", func(path string, s *schema.Structural) {
		for _, rule := range s.XValidations {
			if guard.MatchString(rule.Rule) && hasChoice(rule.Rule) {
				t.Errorf("%s: guarded rule with a choice at its top: %s", path, rule.Rule)
			}
		}
	})
}

// hasChoice says whether a rule is "a ? b : c" as a whole.
func hasChoice(rule string) bool {
	depth := 0
	for _, r := range rule {
		switch r {
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			depth--
		case '?':
			if depth == 0 {
				return true
			}
		}
	}
	return false
}
