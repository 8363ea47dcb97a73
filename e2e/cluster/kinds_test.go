//go:build cluster

package cluster_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/internal/manifest/strict"
	"github.com/sallyport-dev/sallyport/internal/testkit/kube"
)

const root = "../.."

// REQ B-1, B-12: the API server takes what `sallyport check` takes and refuses what that
// refuses, each manifest by itself, and it says the same of a rule that is broken. Each
// rule of each kind is one that it was seen to refuse something by.
func TestAPIServerAgreesWithCheck(t *testing.T) {
	t.Parallel()
	namespace := plane.Namespace(t)
	rules := rulesOfKinds(t)
	said := map[string]bool{} // messages of the API server
	taken, refused := 0, 0
	for file, text := range manifests(t) {
		for _, doc := range documents(text) {
			o := &kube.Object{Object: doc}
			if o.GetAPIVersion() != v1alpha1.APIVersion || o.GetNamespace() != "" || !wellFormed(doc) {
				continue
			}
			name := file + ": " + o.GetKind() + "/" + o.GetName()
			problems := check(t, doc)
			o.SetNamespace(namespace)
			_, err := plane.Create(t, o, "dryRun=All")
			refusal, isRefusal := errors.AsType[*kube.Refusal](err)
			switch {
			case err != nil && !isRefusal:
				t.Fatalf("%s: %v", name, err)
			case err == nil && len(problems) > 0:
				t.Errorf("%s is taken, and check says:\n%v", name, problems)
			case err != nil && len(problems) == 0:
				t.Errorf("%s is refused, and check finds nothing: %v", name, err)
			case err == nil:
				taken++
			default:
				refused++
				compareWords(t, name, refusal, problems, rules)
				for _, c := range refusal.Details.Causes {
					said[c.Message] = true
				}
			}
		}
	}
	if taken < 50 || refused < 200 {
		t.Errorf("%d manifests were taken and %d refused: where are the others?", taken, refused)
	}
	for _, r := range rules {
		if r.Rule != "false" && !slices.ContainsFunc(keys(said), r.says) {
			t.Errorf("%s: the API server was not seen to refuse anything by the rule %s: write a manifest into testdata/bad that has no other fault", r.place, r.Rule)
		}
	}
	t.Logf("%d manifests were taken and %d refused", taken, refused)
}

func keys(m map[string]bool) (all []string) {
	for k := range m {
		all = append(all, k)
	}
	return all
}

// compareWords looks for each rule that check says is broken in what the API server says.
func compareWords(t *testing.T, name string, refusal *kube.Refusal, problems manifest.Problems, rules []rule) {
	t.Helper()
	for _, c := range refusal.Details.Causes {
		if strings.Contains(c.Message, "some validation rules were not checked") {
			return
		}
	}
	if len(refusal.Details.Causes) == 0 {
		return // a field that the schema does not know: nothing else is looked at
	}
	for _, p := range problems {
		broken := func(r rule) bool { return r.says(p.Message) }
		if !slices.ContainsFunc(rules, broken) {
			continue // of the schema, where ours are other words
		}
		// What check says of each item of a list, a rule says of the list.
		if !slices.ContainsFunc(refusal.Details.Causes, func(c kube.Cause) bool {
			return slices.ContainsFunc(rules, func(r rule) bool { return broken(r) && r.says(c.Message) })
		}) {
			t.Errorf("%s: %s: %s\nis not what the API server says: %v", name, p.Field, p.Message, refusal)
		}
	}
}

// check is what `sallyport check` says of a manifest, references excepted.
func check(t *testing.T, doc map[string]any) manifest.Problems {
	t.Helper()
	text, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "manifest.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	set, err := manifest.Load([]string{file})
	problems, ok := errors.AsType[manifest.Problems](err)
	if err != nil && !ok {
		t.Fatal(err)
	}
	return append(problems, strict.Validate(set)...)
}

// wellFormed tells whether there is a kind and a name to ask the API server about.
func wellFormed(doc map[string]any) bool {
	o := &kube.Object{Object: doc}
	_, isMapping := doc["metadata"].(map[string]any)
	return isMapping && o.GetName() != "" && slices.ContainsFunc(definitions, func(crd apiextensionsv1.CustomResourceDefinition) bool {
		return crd.Spec.Names.Kind == o.GetKind()
	})
}

// manifests are the bad and the good ones of the tests, and those of the documentation.
func manifests(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	for _, folder := range []string{"internal/manifest/strict/testdata", "examples", "docs"} {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			switch filepath.Ext(path) {
			case ".yaml", ".json":
				texts[path] = string(text)
			case ".md":
				for _, block := range yamlBlock.FindAllStringSubmatch(string(text), -1) {
					texts[path] += "\n---\n" + block[1]
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return texts
}

var yamlBlock = regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$")

// documents are those of YAML that can be read; what cannot is not for the API server.
func documents(text string) (docs []map[string]any) {
	for part := range strings.SplitSeq("\n"+text, "\n---") {
		var doc map[string]any
		if yaml.UnmarshalStrict([]byte(part), &doc) != nil {
			continue
		}
		docs = append(docs, doc)
		items, _ := doc["items"].([]any)
		for _, item := range items {
			if doc, ok := item.(map[string]any); ok {
				docs = append(docs, doc)
			}
		}
	}
	return docs
}

// rule is one of a kind's.
type rule struct {
	apiextensionsv1.ValidationRule
	place string
}

// says tells whether a message, or its end, is the rule's; for one that is put together, what is fixed in it.
func (r rule) says(message string) bool {
	if r.MessageExpression == "" {
		return strings.HasSuffix(message, r.Message)
	}
	for i, text := range strings.Split(r.MessageExpression, "'") {
		if i%2 == 0 || !strings.Contains(text, " ") {
			continue // not a string of the expression, or one of no weight
		}
		parts := strings.Split(text, "%s")
		if strings.Contains(message, parts[0]) && strings.HasSuffix(message, parts[len(parts)-1]) {
			return true
		}
	}
	return false
}

// definitions are the CustomResourceDefinitions.
var definitions = func() (all []apiextensionsv1.CustomResourceDefinition) {
	files, _ := fs.Glob(v1alpha1.CRDs, "crds/*.yaml")
	for _, file := range files {
		text, _ := v1alpha1.CRDs.ReadFile(file)
		var crd apiextensionsv1.CustomResourceDefinition
		if err := yaml.Unmarshal(text, &crd); err != nil {
			panic(err) // no test can go on
		}
		all = append(all, crd)
	}
	return all
}()

// rulesOfKinds are all rules, each once: several kinds have the same.
func rulesOfKinds(t *testing.T) (all []rule) {
	t.Helper()
	seen := map[string]bool{}
	var walk func(place string, s *apiextensionsv1.JSONSchemaProps)
	walk = func(place string, s *apiextensionsv1.JSONSchemaProps) {
		for _, v := range s.XValidations {
			if !seen[v.Rule+v.Message] {
				seen[v.Rule+v.Message] = true
				all = append(all, rule{v, place})
			}
		}
		for name, p := range s.Properties {
			walk(place+"."+name, &p)
		}
		if s.Items != nil {
			walk(place+"[]", s.Items.Schema)
		}
		if s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil {
			walk(place+"{}", s.AdditionalProperties.Schema)
		}
	}
	for _, crd := range definitions {
		walk(crd.Spec.Names.Kind, crd.Spec.Versions[0].Schema.OpenAPIV3Schema)
	}
	if len(all) < 50 {
		t.Fatalf("%d rules: where are the others?", len(all))
	}
	return all
}
