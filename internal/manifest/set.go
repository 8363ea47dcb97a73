package manifest

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
)

// DefaultNamespace is where objects are that name no namespace.
const DefaultNamespace = "default"

// Set is everything that was read together. It does not change after
// validation or [Set.Decode], and may then be shared.
type Set struct {
	Objects []*Object // in the order of reading
	Units   []*Unit   // in place of objects, where each file is a configuration of its own

	digest   string
	revision string
	foreign  []*Object // of other API groups
	from     *Reader   // nil for a set that was not read
	byName   map[objectKey]*Object
}

type objectKey struct{ kind, namespace, name string }

// Digest returns a hash of what the set was read from: the same digest, the
// same configuration. It changes with a comment, too.
func (s *Set) Digest() string { return s.digest }

// Revision is equal for equal objects, wherever and however they are written, defaults
// that validation fills in apart. Unlike [Set.Digest] it may be shown: Secrets have no
// part in it.
func (s *Set) Revision() string { return s.revision }

// revise makes the revision of the set as it is now.
func (s *Set) revise() {
	hash := sha256.New()
	for _, o := range slices.SortedFunc(slices.Values(s.Objects), func(a, b *Object) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), compareNames(a, b))
	}) {
		if o.Kind == "Secret" {
			continue
		}
		content := o.Raw["spec"]
		if c, ok := o.typed.(*ConfigMap); ok {
			content = []any{c.Data, c.BinaryData}
		}
		text, err := json.Marshal(content) // with sorted keys
		if err != nil {
			panic(err) // it was read from JSON or YAML
		}
		_, _ = fmt.Fprintf(hash, "%q %q %q %s\n", o.Kind, o.Namespace, o.Name, text)
	}
	s.revision = hex.EncodeToString(hash.Sum(nil)[:16])
}

// Find returns an object of any kind, decoded or not, failed or not: to tell a
// reference to nothing from one to an object that has problems of its own.
func (s *Set) Find(kind, namespace, name string) (*Object, bool) {
	o, ok := s.byName[objectKey{kind, namespace, name}]
	return o, ok
}

// add puts an object into the set. Of several of the same name the first is the
// one that is found by it; the others are there to be checked.
func (s *Set) add(o *Object) Problems {
	s.Objects = append(s.Objects, o)
	key := objectKey{o.Kind, o.Namespace, o.Name}
	if earlier := s.byName[key]; earlier != nil {
		return Problems{o.Problem("metadata.name", "is the name of another %s, at %s; rename or remove one of them", o.Kind, earlier.Pos)}
	}
	if s.byName == nil {
		s.byName = map[objectKey]*Object{}
	}
	if o.Name != "" {
		s.byName[key] = o
	}
	return nil
}

// Resource is one of the kinds of api/v1alpha1.
type Resource interface {
	v1alpha1.MCPRemoteProxy | v1alpha1.MCPServer | v1alpha1.MCPServerEntry |
		v1alpha1.MCPExternalAuthConfig | v1alpha1.MCPToolConfig | v1alpha1.MCPOIDCConfig | v1alpha1.MCPAuthzConfig | v1alpha1.MCPTelemetryConfig |
		v1alpha1.MCPGroup | v1alpha1.VirtualMCPServer | v1alpha1.VirtualMCPCompositeToolDefinition |
		v1alpha1.MCPGateway
}

// Item is a decoded object together with where it came from.
type Item[T Resource] struct {
	*Object
	Value *T // shared and not to be changed
}

// All returns the decoded objects of one kind, ordered by namespace and name.
func All[T Resource](s *Set) []Item[T] {
	var items []Item[T]
	for _, o := range s.Objects {
		if v, ok := o.typed.(*T); ok {
			items = append(items, Item[T]{Object: o, Value: v})
		}
	}
	slices.SortFunc(items, func(a, b Item[T]) int { return compareNames(a.Object, b.Object) })
	return items
}

// Get returns one decoded object. It finds nothing where the object has
// problems of its own; [Set.Find] tells the two apart.
func Get[T Resource](s *Set, namespace, name string) (Item[T], bool) {
	o, ok := s.Find(reflect.TypeFor[T]().Name(), namespace, name)
	if !ok {
		return Item[T]{}, false
	}
	v, ok := o.typed.(*T)
	return Item[T]{Object: o, Value: v}, ok
}

// Secret returns a Secret that was read without problems.
func (s *Set) Secret(namespace, name string) (*Secret, bool) { return data[Secret](s, namespace, name) }

// ConfigMap returns a ConfigMap that was read without problems.
func (s *Set) ConfigMap(namespace, name string) (*ConfigMap, bool) {
	return data[ConfigMap](s, namespace, name)
}

func data[T Secret | ConfigMap](s *Set, namespace, name string) (*T, bool) {
	o, ok := s.Find(reflect.TypeFor[T]().Name(), namespace, name)
	if !ok || o.Failed {
		return nil, false
	}
	v, ok := o.typed.(*T)
	return v, ok
}

// Decode makes the typed values that [All] and [Get] return out of each
// object's Raw. Validation calls it when defaults are in place; who serves
// what was validated elsewhere calls it himself. Failed objects are left out,
// and those that do not fit their Go type are problems.
func (s *Set) Decode() Problems {
	var problems Problems
	for _, o := range s.Objects {
		into, ok := newResource(o.Kind)
		if !ok || o.Failed {
			continue
		}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Raw, into); err != nil {
			o.Failed = true
			problems = append(problems, o.Problem("", "does not fit its kind: %v; run sallyport check on it", err))
			continue
		}
		o.typed = into
	}
	return append(problems, s.fetchSecrets()...).Sort()
}

// newResource returns a new object of one of our kinds.
func newResource(kind string) (any, bool) {
	switch kind {
	case "MCPRemoteProxy":
		return &v1alpha1.MCPRemoteProxy{}, true
	case "MCPServer":
		return &v1alpha1.MCPServer{}, true
	case "MCPServerEntry":
		return &v1alpha1.MCPServerEntry{}, true
	case "MCPExternalAuthConfig":
		return &v1alpha1.MCPExternalAuthConfig{}, true
	case "MCPGroup":
		return &v1alpha1.MCPGroup{}, true
	case "VirtualMCPServer":
		return &v1alpha1.VirtualMCPServer{}, true
	case "VirtualMCPCompositeToolDefinition":
		return &v1alpha1.VirtualMCPCompositeToolDefinition{}, true
	case "MCPTelemetryConfig":
		return &v1alpha1.MCPTelemetryConfig{}, true
	case "MCPToolConfig":
		return &v1alpha1.MCPToolConfig{}, true
	case "MCPAuthzConfig":
		return &v1alpha1.MCPAuthzConfig{}, true
	case "MCPOIDCConfig":
		return &v1alpha1.MCPOIDCConfig{}, true
	case "MCPGateway":
		return &v1alpha1.MCPGateway{}, true
	}
	return nil, false
}
