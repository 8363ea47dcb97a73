package manifest

import (
	"fmt"
	"maps"
	"reflect"

	"k8s.io/apimachinery/pkg/runtime"

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

// AddSecret adds a Secret that came from no file to the default namespace.
func (s *Set) AddSecret(name string, values map[string]secret.Value) error {
	o := &Object{APIVersion: "v1", Kind: "Secret", Namespace: DefaultNamespace, Name: name, Raw: map[string]any{
		"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": name},
	}}
	o.typed = &Secret{Object: o, Type: "Opaque", Data: maps.Clone(values)}
	return s.add(o).Err()
}

// pruneEmpty drops what a typed object always has when written out.
func pruneEmpty(raw map[string]any) {
	delete(raw, "status")
	if meta, ok := raw["metadata"].(map[string]any); ok && meta["creationTimestamp"] == nil {
		delete(meta, "creationTimestamp")
	}
}
