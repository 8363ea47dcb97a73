package webhook

import (
	"context"
	"reflect"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Cluster is what there is in a cluster, with one object as it is to be. Nothing is written
// through it.
type Cluster struct {
	client.Client               // of our kinds: Get and List; what it writes is a dry run
	Direct        client.Reader // what the API server has of everything else
}

// world is a cluster with one object as it is to be.
type world struct {
	client.Client // a dry run
	from          client.Reader
	asked         bool // from is the API server, which has no index of ours
	changed       client.Object
	fields        func(o client.Object, field string) []string
}

// Get reads an object: the changed one as it is to be.
func (w *world) Get(ctx context.Context, name client.ObjectKey, into client.Object, opts ...client.GetOption) error {
	if w.changed != nil && reflect.TypeOf(into) == reflect.TypeOf(w.changed) && name == client.ObjectKeyFromObject(w.changed) {
		reflect.ValueOf(into).Elem().Set(reflect.ValueOf(w.changed.DeepCopyObject()).Elem())
		return nil
	}
	return w.from.Get(ctx, name, into, opts...)
}

// List lists objects: among them the changed one as it is to be. A selector of fields is by
// an index of ours.
func (w *world) List(ctx context.Context, into client.ObjectList, opts ...client.ListOption) error {
	var o client.ListOptions
	o.ApplyOptions(opts)
	field := o.FieldSelector
	if w.asked {
		o.FieldSelector = nil
	}
	if err := w.from.List(ctx, into, &o); err != nil {
		return err
	}
	fits := func(obj client.Object) bool {
		if field == nil {
			return true
		}
		for _, r := range field.Requirements() {
			if !slices.Contains(w.fields(obj, r.Field), r.Value) {
				return false
			}
		}
		return true
	}
	items, err := meta.ExtractList(into)
	if err != nil {
		return err
	}
	ptr, err := meta.GetItemsPtr(into)
	if err != nil {
		return err
	}
	ofKind := w.changed != nil && reflect.TypeOf(ptr).Elem().Elem() == reflect.TypeOf(w.changed).Elem()
	var kept []runtime.Object
	for _, item := range items {
		obj := item.(client.Object)
		if ofKind && client.ObjectKeyFromObject(obj) == client.ObjectKeyFromObject(w.changed) || !fits(obj) {
			continue
		}
		kept = append(kept, obj)
	}
	if ofKind && (o.Namespace == "" || o.Namespace == w.changed.GetNamespace()) && fits(w.changed) {
		kept = append(kept, w.changed.DeepCopyObject())
	}
	return meta.SetList(into, kept)
}
