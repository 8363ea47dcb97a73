package manifest

import (
	"fmt"
	"maps"
	"reflect"

	"k8s.io/apimachinery/pkg/runtime"
	sigsyaml "sigs.k8s.io/yaml"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/secret"
)

// FromObjects makes a set of objects that came from no file. Like one that was
// loaded, it wants validation (or [Set.Decode]) before it is used.
func FromObjects(objects ...runtime.Object) (*Set, error) {
	set := &Set{}
	var problems Problems
	for _, obj := range objects {
		kind := reflect.TypeOf(obj).Elem().Name()
		if _, ok := newResource(kind); !ok {
			return nil, fmt.Errorf("make a set: %T is not a resource", obj)
		}
		raw, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
		if err != nil {
			return nil, fmt.Errorf("make a set: %T: %w", obj, err)
		}
		raw["apiVersion"], raw["kind"] = v1alpha1.APIVersion, kind
		pruneEmpty(raw)
		problems = append(problems, set.addDocument(document{value: raw})...)
	}
	set.digest = digestObjects(set.Objects)
	return set, problems.Err()
}

// Marshal writes one object as a YAML document, as a file of manifests has it.
func Marshal(obj runtime.Object) ([]byte, error) {
	kind := reflect.TypeOf(obj).Elem().Name()
	raw, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", kind, err)
	}
	if _, ours := newResource(kind); ours {
		raw["apiVersion"], raw["kind"] = v1alpha1.APIVersion, kind
	}
	pruneEmpty(raw)
	return sigsyaml.Marshal(raw)
}

// MarshalSecret writes a v1 Secret with those values, in plain: for a file that is its owner's alone.
func MarshalSecret(name string, values map[string]secret.Value) ([]byte, error) {
	plain := map[string]any{}
	for key, v := range values {
		plain[key] = v.Reveal()
	}
	return sigsyaml.Marshal(map[string]any{"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": name}, "stringData": plain})
}

// AddSecret adds a Secret that came from no file to the default namespace.
func (s *Set) AddSecret(name string, values map[string]secret.Value) error {
	if _, ok := s.Find("Secret", DefaultNamespace, name); ok {
		return fmt.Errorf("make a set: duplicate Secret %s", name)
	}
	s.newSecret(DefaultNamespace, name, Position{}).Data = maps.Clone(values)
	return nil
}

// pruneEmpty drops what a typed object always has when written out.
func pruneEmpty(raw map[string]any) {
	delete(raw, "status")
	if meta, ok := raw["metadata"].(map[string]any); ok && meta["creationTimestamp"] == nil {
		delete(meta, "creationTimestamp")
	}
}
