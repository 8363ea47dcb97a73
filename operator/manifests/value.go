package manifests

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/operator/resource"
)

// Value is a resource as a manifest, without what only a cluster says of it.
func Value(obj client.Object) (map[string]any, error) {
	spec, err := runtime.DefaultUnstructuredConverter.ToUnstructured(resource.Spec(obj))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", resource.Of(obj).Name, err)
	}
	name := types.NamespacedName{Namespace: obj.GetNamespace(), Name: obj.GetName()}
	return Document(v1alpha1.APIVersion, resource.Of(obj).Kind, name, map[string]any{"spec": spec}), nil
}

// Document is a manifest.
func Document(apiVersion, kind string, name types.NamespacedName, fields map[string]any) map[string]any {
	fields["apiVersion"], fields["kind"] = apiVersion, kind
	fields["metadata"] = map[string]any{"name": name.Name, "namespace": name.Namespace}
	return fields
}
