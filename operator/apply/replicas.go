package apply

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/operator/render"
)

// leaveReplicas gives up a gateway's number of pods that was applied and is to be applied no more: what
// its only owner leaves out of an apply is removed, and the default, 1, would take its place. For a server's
// own pods that is right: without backendReplicas there is one, as each knows only its own sessions.
func (w *Writer) leaveReplicas(ctx context.Context, live client.Object, want *unstructured.Unstructured) error {
	_, wanted, _ := unstructured.NestedFieldNoCopy(want.Object, "spec", "replicas")
	if wanted || want.GetLabels()[render.LabelName] != render.Container {
		return nil
	}
	fields, owned, err := disown(live.GetManagedFields())
	if !owned || err != nil {
		return err
	}
	left := live.DeepCopyObject().(client.Object)
	left.SetManagedFields(fields)
	// Whoever writes between the look and this patch is kept: it is a conflict, and the resource is looked at anew.
	if err := w.Client.Patch(ctx, left, client.MergeFromWithOptions(live, client.MergeFromWithOptimisticLock{}), FieldOwner); err != nil {
		return fmt.Errorf("patch %s %s: %w", want.GetKind(), want.GetName(), err)
	}
	return nil
}

// disown takes spec.replicas out of what [FieldOwner] has applied, and reports whether it was there.
func disown(all []metav1.ManagedFieldsEntry) (_ []metav1.ManagedFieldsEntry, owned bool, err error) {
	i := slices.IndexFunc(all, func(e metav1.ManagedFieldsEntry) bool {
		return e.Manager == string(FieldOwner) && e.Operation == metav1.ManagedFieldsOperationApply && e.Subresource == ""
	})
	if i < 0 || all[i].FieldsV1 == nil || !strings.Contains(all[i].FieldsV1.GetRawString(), `"f:replicas"`) {
		return all, false, nil
	}
	var fields map[string]any
	if err := json.Unmarshal([]byte(all[i].FieldsV1.GetRawString()), &fields); err != nil {
		return nil, false, fmt.Errorf("read the managed fields of %s: %w", FieldOwner, err)
	}
	spec, _ := fields["f:spec"].(map[string]any)
	if _, owned = spec["f:replicas"]; !owned {
		return all, false, nil
	}
	delete(spec, "f:replicas")
	raw, err := json.Marshal(fields)
	if err != nil {
		return nil, false, fmt.Errorf("write the managed fields of %s: %w", FieldOwner, err)
	}
	all = slices.Clone(all)
	all[i].FieldsV1 = metav1.NewFieldsV1(string(raw))
	return all, true, nil
}
