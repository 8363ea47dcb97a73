package operator

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/operator/render"
)

// fieldManager is who owns what is applied. It never changes: what another name has
// applied would stay.
const fieldManager = "sallyport"

// annotationRendered tells by a hash what was applied last, so that what is no longer
// rendered is noticed. No value of a Secret has a part in it: none is rendered.
const annotationRendered = v1alpha1.Group + "/rendered"

// TakenError says that an object's name is somebody else's.
type TakenError struct{ kind, name, owner string }

func (e TakenError) Error() string {
	return fmt.Sprintf("there is a %s %s already, which %s; remove or rename one of them", e.kind, e.name, e.owner)
}

// apply makes the objects of a resource what they should be, and reports whether it wrote
// any. What is right already is not written.
func (r *reconciler) apply(ctx context.Context, owner client.Object, objects []render.Object) (wrote bool, err error) {
	for _, want := range objects {
		one, err := r.applyOne(ctx, owner, want)
		if err != nil {
			return wrote, err
		}
		wrote = wrote || one
	}
	return wrote, nil
}

func (r *reconciler) applyOne(ctx context.Context, owner client.Object, want render.Object) (wrote bool, err error) {
	u, err := rendered(want)
	if err != nil {
		return false, err
	}
	live, err := r.live(ctx, want)
	switch {
	case err != nil:
		return false, err
	case live == nil:
	case !metav1.IsControlledBy(live, owner):
		return false, taken(live)
	case live.GetDeletionTimestamp() != nil:
		return false, fmt.Errorf("%s %s is being deleted; waiting for its end", u.GetKind(), u.GetName())
	default:
		have, err := runtime.DefaultUnstructuredConverter.ToUnstructured(live)
		if err != nil {
			return false, fmt.Errorf("read %s %s: %w", u.GetKind(), u.GetName(), err)
		}
		strays := strays(live, want)
		if !strays && holds(u.Object, have, u.GetKind() == "NetworkPolicy") {
			return false, nil
		}
		if strays {
			if err := r.dropStrays(ctx, live, want); err != nil {
				return true, err
			}
		}
	}
	r.log.Info("apply", "kind", u.GetKind(), "namespace", u.GetNamespace(), "name", u.GetName())
	if err := r.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), client.FieldOwner(fieldManager), client.ForceOwnership); err != nil {
		return false, fmt.Errorf("apply %s %s: %w", u.GetKind(), u.GetName(), err)
	}
	return true, nil
}

// live is what there is of an object; nil for nothing. The cache knows only what has our
// label: what it does not know is asked for, so that nobody else's object is taken over.
func (r *reconciler) live(ctx context.Context, want render.Object) (client.Object, error) {
	read := func(from client.Reader) (live client.Object, err error) {
		live = reflect.New(reflect.TypeOf(want).Elem()).Interface().(client.Object)
		live.GetObjectKind().SetGroupVersionKind(want.GetObjectKind().GroupVersionKind()) // by which an object without a type is found
		return live, from.Get(ctx, client.ObjectKeyFromObject(want), live)
	}
	var live client.Object
	err := error(apierrors.NewNotFound(schema.GroupResource{}, want.GetName()))
	switch want.(type) {
	case *corev1.ConfigMap: // which the cache has without its content
	case *unstructured.Unstructured: // which is in a cache of its own
		if known := r.routes.Known(); known.Reader != nil {
			live, err = read(known.Reader)
		}
	default:
		live, err = read(r.client)
	}
	if apierrors.IsNotFound(err) {
		live, err = read(r.direct)
	}
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s %s: %w", want.GetObjectKind().GroupVersionKind().Kind, want.GetName(), err)
	}
	live.GetObjectKind().SetGroupVersionKind(want.GetObjectKind().GroupVersionKind())
	return live, nil
}

func taken(live client.Object) error {
	owner := "no resource of sallyport.dev owns"
	if ref := metav1.GetControllerOf(live); ref != nil {
		owner = fmt.Sprintf("belongs to %s %s", ref.Kind, ref.Name)
	}
	return TakenError{live.GetObjectKind().GroupVersionKind().Kind, live.GetName(), owner}
}

// rendered is an object as it is applied: without what is empty, and with a hash of all.
func rendered(obj render.Object) (*unstructured.Unstructured, error) {
	raw, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
	if err != nil {
		return nil, fmt.Errorf("render %s: %w", obj.GetName(), err)
	}
	delete(raw, "status")
	dropNulls(raw)
	text, err := json.Marshal(raw) // with sorted keys
	if err != nil {
		return nil, fmt.Errorf("render %s: %w", obj.GetName(), err)
	}
	u := &unstructured.Unstructured{Object: raw}
	annotations := u.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	sum := sha256.Sum256(text)
	annotations[annotationRendered] = hex.EncodeToString(sum[:12])
	u.SetAnnotations(annotations)
	return u, nil
}

// dropNulls takes out what a typed object has where nothing was said, such as
// creationTimestamp. An empty object stays: emptyDir is one.
func dropNulls(m map[string]any) {
	for name, v := range m {
		switch v := v.(type) {
		case nil:
			delete(m, name)
		case map[string]any:
			dropNulls(v)
		case []any:
			for _, item := range v {
				if item, ok := item.(map[string]any); ok {
					dropNulls(item)
				}
			}
		}
	}
}

// whole are maps that belong to one writer as a whole: a further key changes what they mean.
var whole = []string{"selector", "podSelector", "namespaceSelector", "matchLabels"}

// lists are those whose items belong to different writers, each known by its own fields.
var lists = []string{"containers", "initContainers", "volumes", "volumeMounts", "env", "ports", "imagePullSecrets", "ownerReferences", "topologySpreadConstraints"}

// holds tells whether what is wanted is there. What is there besides is others', or a
// default; strict is for kinds in which lists belong to one writer.
func holds(want, have any, strict bool) bool {
	switch w := want.(type) {
	case map[string]any:
		h, ok := have.(map[string]any)
		if !ok {
			return len(w) == 0 && have == nil
		}
		for name, v := range w {
			if !holdsField(name, v, h[name], strict) {
				return false
			}
		}
		return true
	case []any:
		h, ok := have.([]any)
		return ok && holdsList(w, h, strict, false)
	}
	return equal(want, have)
}

func holdsField(name string, want, have any, strict bool) bool {
	if w, ok := want.(map[string]any); ok && slices.Contains(whole, name) {
		h, _ := have.(map[string]any)
		return len(w) == len(h) && holds(want, have, strict)
	}
	if w, ok := want.([]any); ok {
		h, _ := have.([]any)
		return holdsList(w, h, strict, slices.Contains(lists, name))
	}
	return holds(want, have, strict)
}

// holdsList compares item by item; with others' items between them where that may be.
func holdsList(want, have []any, strict, shared bool) bool {
	if !shared || strict {
		return len(want) == len(have) && !slices.ContainsFunc(index(want), func(i int) bool { return !holds(want[i], have[i], strict) })
	}
	for _, w := range want {
		if !slices.ContainsFunc(have, func(h any) bool { return holds(w, h, strict) }) {
			return false
		}
	}
	return true
}

func index(list []any) []int {
	all := make([]int, len(list))
	for i := range all {
		all[i] = i
	}
	return all
}

// equal compares values, numbers whatever their type.
func equal(a, b any) bool {
	if a == b {
		return true
	}
	number := func(v any) (float64, bool) {
		switch v := v.(type) {
		case int64:
			return float64(v), true
		case float64:
			return v, true
		}
		return 0, false
	}
	x, ok := number(a)
	y, also := number(b)
	return ok && also && x == y
}

// strays tells whether somebody put further manifests beside those of the gateway.
func strays(live, want render.Object) bool {
	l, ok := live.(*corev1.ConfigMap)
	w, also := want.(*corev1.ConfigMap)
	return ok && also && (len(l.Data) > len(w.Data) || len(l.BinaryData) > 0)
}

// dropStrays takes them out: the gateway would serve them.
func (r *reconciler) dropStrays(ctx context.Context, live, want render.Object) error {
	l, w := live.(*corev1.ConfigMap).DeepCopy(), want.(*corev1.ConfigMap)
	before := l.DeepCopy()
	l.Data, l.BinaryData = w.Data, nil
	if err := r.client.Patch(ctx, l, client.MergeFrom(before), client.FieldOwner(fieldManager)); err != nil {
		return fmt.Errorf("patch ConfigMap %s: %w", l.Name, err)
	}
	return nil
}

// prune deletes what a resource needed once and needs no more.
func (r *reconciler) prune(ctx context.Context, owner client.Object, names []string, objects []render.Object) error {
	if o, ok := owner.(*v1alpha1.MCPServer); ok {
		names = append(names, render.ServerName(o.Name))
	}
	for _, name := range names {
		for kind, o := range prunable() {
			if slices.ContainsFunc(objects, func(w render.Object) bool {
				return w.GetName() == name && w.GetObjectKind().GroupVersionKind().Kind == kind
			}) {
				continue
			}
			if err := r.remove(ctx, owner, kind, name, o); err != nil {
				return err
			}
		}
	}
	return nil
}

// remove deletes an object that a resource owns, if there is one. It is read into o.
func (r *reconciler) remove(ctx context.Context, owner client.Object, kind, name string, o client.Object) error {
	err := r.client.Get(ctx, types.NamespacedName{Namespace: owner.GetNamespace(), Name: name}, o)
	if apierrors.IsNotFound(err) || err == nil && (!metav1.IsControlledBy(o, owner) || o.GetDeletionTimestamp() != nil) {
		return nil
	}
	if err == nil {
		r.log.Info("delete", "kind", kind, "namespace", owner.GetNamespace(), "name", name)
		err = client.IgnoreNotFound(r.client.Delete(ctx, o))
	}
	if err != nil {
		return fmt.Errorf("delete %s %s: %w", kind, name, err)
	}
	return nil
}

// prunable are an object of each kind that a resource does not need always.
func prunable() map[string]client.Object {
	configMap := &metav1.PartialObjectMetadata{}
	configMap.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("ConfigMap"))
	return map[string]client.Object{"ServiceAccount": &corev1.ServiceAccount{}, "NetworkPolicy": &networkingv1.NetworkPolicy{}, "ConfigMap": configMap}
}
