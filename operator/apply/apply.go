package apply

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
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

// FieldOwner is who owns what is applied. It never changes: what another name has
// applied would stay.
const FieldOwner = client.FieldOwner("sallyport")

// Rendered is an annotation that tells by a hash what was applied last, so that what is no longer
// rendered is noticed. No value of a Secret has a part in it: none is rendered.
const Rendered = v1alpha1.Group + "/rendered"

// TakenError says that an object's name is somebody else's.
type TakenError struct{ kind, name, owner string }

func (e TakenError) Error() string {
	return fmt.Sprintf("there is a %s %s already, which %s; remove or rename one of them", e.kind, e.name, e.owner)
}

// Writer writes the objects of resources into a cluster.
type Writer struct {
	Client client.Client
	Direct client.Reader        // past the cache
	Routes func() client.Reader // of HTTPRoutes, which are in a cache of their own; nil where there are none
	Log    *slog.Logger
}

// Apply makes the objects of a resource what they should be, and reports whether it wrote
// any. What is right already is not written.
func (w *Writer) Apply(ctx context.Context, owner client.Object, objects []render.Object) (wrote bool, err error) {
	for _, want := range objects {
		one, err := w.applyOne(ctx, owner, want)
		if err != nil {
			return wrote, err
		}
		wrote = wrote || one
	}
	return wrote, nil
}

func (w *Writer) applyOne(ctx context.Context, owner client.Object, want render.Object) (wrote bool, err error) {
	u, err := rendered(want)
	if err != nil {
		return false, err
	}
	live, err := w.Live(ctx, want)
	switch {
	case err != nil:
		return false, err
	case live == nil:
	case !metav1.IsControlledBy(live, owner):
		return false, Taken(live)
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
			if err := w.dropStrays(ctx, live, want); err != nil {
				return true, err
			}
		}
		if err := w.leaveReplicas(ctx, live, u); err != nil {
			return true, err
		}
	}
	w.Log.Info("apply", "kind", u.GetKind(), "namespace", u.GetNamespace(), "name", u.GetName())
	if err := w.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), FieldOwner, client.ForceOwnership); err != nil {
		return false, fmt.Errorf("apply %s %s: %w", u.GetKind(), u.GetName(), err)
	}
	return true, nil
}

// Live is what there is of an object; nil for nothing. The cache knows only what has our
// label: what it does not know is asked for, so that nobody else's object is taken over.
func (w *Writer) Live(ctx context.Context, want render.Object) (client.Object, error) {
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
		if routes := w.Routes(); routes != nil {
			live, err = read(routes)
		}
	default:
		live, err = read(w.Client)
	}
	if apierrors.IsNotFound(err) {
		live, err = read(w.Direct)
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

// Current tells whether there is an object, and whether it is as it was applied last.
func (w *Writer) Current(ctx context.Context, want render.Object) (live, current bool, err error) {
	u, err := rendered(want)
	if err != nil {
		return false, false, err
	}
	have, err := w.Live(ctx, want)
	if have == nil || err != nil {
		return false, false, err
	}
	return true, have.GetAnnotations()[Rendered] == u.GetAnnotations()[Rendered], nil
}

// Taken says whose a name is.
func Taken(live client.Object) error {
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
	DropNulls(raw)
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
	annotations[Rendered] = hex.EncodeToString(sum[:12])
	u.SetAnnotations(annotations)
	return u, nil
}

// DropNulls takes out what a typed object has where nothing was said, such as
// creationTimestamp. An empty object stays: emptyDir is one.
func DropNulls(m map[string]any) {
	for name, v := range m {
		switch v := v.(type) {
		case nil:
			delete(m, name)
		case map[string]any:
			DropNulls(v)
		case []any:
			for _, item := range v {
				if item, ok := item.(map[string]any); ok {
					DropNulls(item)
				}
			}
		}
	}
}

// strays tells whether somebody put further manifests beside those of the gateway.
func strays(live, want render.Object) bool {
	l, ok := live.(*corev1.ConfigMap)
	w, also := want.(*corev1.ConfigMap)
	return ok && also && (len(l.Data) > len(w.Data) || len(l.BinaryData) > 0)
}

// dropStrays takes them out: the gateway would serve them.
func (w *Writer) dropStrays(ctx context.Context, live, want render.Object) error {
	l := live.(*corev1.ConfigMap).DeepCopy()
	before := l.DeepCopy()
	l.Data, l.BinaryData = want.(*corev1.ConfigMap).Data, nil
	if err := w.Client.Patch(ctx, l, client.MergeFrom(before), FieldOwner); err != nil {
		return fmt.Errorf("patch ConfigMap %s: %w", l.Name, err)
	}
	return nil
}

// Prune deletes what a resource needed once and needs no more.
func (w *Writer) Prune(ctx context.Context, owner client.Object, names []string, objects []render.Object) error {
	for _, name := range names {
		for kind, o := range prunable() {
			if slices.ContainsFunc(objects, func(o render.Object) bool {
				return o.GetName() == name && o.GetObjectKind().GroupVersionKind().Kind == kind
			}) {
				continue
			}
			if err := w.Remove(ctx, owner, kind, name, o); err != nil {
				return err
			}
		}
	}
	return nil
}

// Remove deletes an object that a resource owns, if there is one. It is read into o.
func (w *Writer) Remove(ctx context.Context, owner client.Object, kind, name string, o client.Object) error {
	err := w.Client.Get(ctx, types.NamespacedName{Namespace: owner.GetNamespace(), Name: name}, o)
	if apierrors.IsNotFound(err) || err == nil && (!metav1.IsControlledBy(o, owner) || o.GetDeletionTimestamp() != nil) {
		return nil
	}
	if err == nil {
		w.Log.Info("delete", "kind", kind, "namespace", owner.GetNamespace(), "name", name)
		err = client.IgnoreNotFound(w.Client.Delete(ctx, o))
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
	return map[string]client.Object{
		"ServiceAccount": &corev1.ServiceAccount{}, "NetworkPolicy": &networkingv1.NetworkPolicy{}, "PodDisruptionBudget": &policyv1.PodDisruptionBudget{}, "ConfigMap": configMap,
	}
}
