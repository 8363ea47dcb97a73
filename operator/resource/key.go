package resource

import (
	"cmp"
	"reflect"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sallyport-dev/sallyport/internal/manifest"
)

// Key names one of our resources.
type Key struct{ Kind, Namespace, Name string }

// Of names an object of our kinds, or of those that are referenced.
func Of(o metav1.Object) Key {
	return Key{Kind: reflect.TypeOf(o).Elem().Name(), Namespace: o.GetNamespace(), Name: o.GetName()}
}

// Use is the resource as something that others rest on.
func (k Key) Use() manifest.Use {
	return manifest.Use{Kind: k.Kind, Namespace: k.Namespace, Name: k.Name}
}

// Compare orders keys by namespace, kind and name.
func (k Key) Compare(o Key) int {
	return cmp.Or(cmp.Compare(k.Namespace, o.Namespace), cmp.Compare(k.Kind, o.Kind), cmp.Compare(k.Name, o.Name))
}
