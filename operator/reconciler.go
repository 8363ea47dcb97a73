package operator

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/manifest"
	"github.com/sallyport-dev/sallyport/operator/pods"
	"github.com/sallyport-dev/sallyport/operator/resource"
	"github.com/sallyport-dev/sallyport/operator/route"
	"github.com/sallyport-dev/sallyport/operator/sharing"
)

// reconciler brings resources of all our kinds about, one at a time each.
type reconciler struct {
	options *Options
	kinds   []kind
	tracker *resource.Tracker
	client  client.Client // reads from the cache
	direct  client.Reader // asks the API server
	events  events.EventRecorder
	log     *slog.Logger
	queue   workqueue.TypedRateLimitingInterface[key] // set before anything is reconciled
	started chan struct{}                             // closed when there is a queue
	asker   *pods.Asker
	routes  *route.Watch

	environments pods.Environments
	sharing      sharing.Sharing
}

// reconcileFunc brings one resource about. An error brings it back, later each time.
type reconcileFunc func(r *reconciler, ctx context.Context, k key, obj client.Object) error

func newReconciler(mgr manager.Manager, o *Options) *reconciler {
	r := &reconciler{
		options: o, kinds: kinds(), tracker: resource.NewTracker(), client: mgr.GetClient(), direct: mgr.GetAPIReader(),
		events: mgr.GetEventRecorder("sallyport-operator"), log: o.Log,
		started: make(chan struct{}),
	}
	r.routes = newRoutes(mgr, o, r)
	r.asker = pods.NewAsker(r.client, o.StatusEvery, func(k key) { r.queue.Add(k) })
	return r
}

// Reconcile is the way of one resource.
func (r *reconciler) Reconcile(ctx context.Context, k key) (reconcile.Result, error) {
	obj, err := r.get(ctx, k)
	if err != nil {
		return reconcile.Result{}, err
	}
	if obj == nil {
		r.uses(k, nil)
		r.asker.Forget(k)
		r.environments.Forget(k)
		r.sharing.Forget(k)
		r.leaves(k, 0)
		return reconcile.Result{}, nil
	}
	if _, serves := asServing(obj); serves && obj.GetDeletionTimestamp() != nil {
		return reconcile.Result{}, nil // what belongs to it goes with it
	}
	i := slices.IndexFunc(r.kinds, func(known kind) bool { return known.name == k.Kind })
	err = r.kinds[i].reconcile(r, ctx, k, obj)
	switch {
	case apierrors.IsConflict(err): // somebody else was faster; the change brings it back, too
		return reconcile.Result{RequeueAfter: time.Second}, nil
	case err != nil:
		return reconcile.Result{}, fmt.Errorf("%s %s/%s: %w", k.Kind, k.Namespace, k.Name, err)
	}
	return reconcile.Result{RequeueAfter: r.options.Resync}, nil
}

// uses says what a resource rests on from now on. Configuration that is used for the
// first time, or no more, is looked at: its finalizer depends on it.
func (r *reconciler) uses(k key, now map[manifest.Use]bool) {
	for _, u := range r.tracker.Keep(k, now) {
		if isConfig(u.Kind) && u != k.Use() {
			r.again(key{Kind: u.Kind, Namespace: u.Namespace, Name: u.Name})
		}
	}
}

// again has a resource looked at, where this reconciler is one that works.
func (r *reconciler) again(k key) {
	if r.queue != nil {
		r.queue.Add(k)
	}
}

// index lets members be found by their group.
func (r *reconciler) index(ctx context.Context, indexer client.FieldIndexer) error {
	for _, obj := range []client.Object{&v1alpha1.MCPRemoteProxy{}, &v1alpha1.MCPServer{}, &v1alpha1.MCPServerEntry{}} {
		err := indexer.IndexField(ctx, obj, groupField, func(o client.Object) []string {
			if g := groupOf(o); g != "" {
				return []string{g}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("index groups: %w", err)
		}
	}
	for _, obj := range []client.Object{&v1alpha1.MCPRemoteProxy{}, &v1alpha1.MCPServer{}, &v1alpha1.VirtualMCPServer{}} {
		if err := indexer.IndexField(ctx, obj, gatewayField, gatewaysOf); err != nil {
			return fmt.Errorf("index who shares gateways: %w", err)
		}
	}
	return nil
}

// watch starts the one controller: events of whatever kind lead to the resources that
// they are about.
func (r *reconciler) watch(mgr manager.Manager) error {
	yes := true
	b := builder.TypedControllerManagedBy[key](mgr).Named("sallyport").WithOptions(controller.TypedOptions[key]{
		MaxConcurrentReconciles: 4, SkipNameValidation: &yes,
		RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[key](200*time.Millisecond, 5*time.Minute),
	})
	b.WatchesRawSource(source.TypedFunc[key](func(_ context.Context, q workqueue.TypedRateLimitingInterface[key]) error {
		r.queue = q
		close(r.started)
		return nil
	}))
	on := func(obj client.Object, to func(client.Object) []key, when ...predicate.Predicate) {
		h := handler.TypedEnqueueRequestsFromMapFunc(func(_ context.Context, o client.Object) []key { return to(o) })
		b.WatchesRawSource(source.TypedKind[client.Object, key](mgr.GetCache(), obj, h, when...))
	}
	for _, k := range r.kinds {
		on(k.object(), r.touched, ofSpec())
	}
	on(&v1alpha1.MCPGateway{}, func(o client.Object) []key { return r.tracker.UsersOf(resource.Of(o).Use()) }, route.OfShared())
	for _, obj := range owned() {
		on(obj, r.ownerOf)
	}
	on(&corev1.Pod{}, r.asker.ResourceOf)
	for _, kind := range []string{"Secret", "ConfigMap"} {
		obj := &metav1.PartialObjectMetadata{}
		obj.SetGroupVersionKind(schema.GroupVersionKind{Version: "v1", Kind: kind})
		on(obj, func(o client.Object) []key {
			users := r.tracker.UsersOf(manifest.Use{Kind: kind, Namespace: o.GetNamespace(), Name: o.GetName()})
			return append(r.ownerOf(o), users...)
		})
	}
	return b.Complete(r)
}

// ofSpec lets changes of a status alone pass by: most are our own.
func ofSpec() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		return e.ObjectOld.GetGeneration() != e.ObjectNew.GetGeneration() || e.ObjectOld.GetUID() != e.ObjectNew.GetUID() ||
			!slices.Equal(e.ObjectOld.GetFinalizers(), e.ObjectNew.GetFinalizers()) ||
			(e.ObjectOld.GetDeletionTimestamp() == nil) != (e.ObjectNew.GetDeletionTimestamp() == nil)
	}}
}

// touched are the resources that a change of one of ours is about: itself, its users,
// and whoever serves the group that it is in.
func (r *reconciler) touched(o client.Object) []key {
	k := resource.Of(o)
	all := append([]key{k}, r.tracker.UsersOf(k.Use())...)
	if g := groupOf(o); g != "" {
		all = append(all, r.tracker.UsersOf(manifest.Use{Kind: "MCPGroup", Namespace: k.Namespace, Name: g, Key: members})...)
	}
	slices.SortFunc(all, key.Compare)
	return slices.Compact(all)
}

// ownerOf is the resource that an object was made for.
func (r *reconciler) ownerOf(o client.Object) []key {
	ref := metav1.GetControllerOf(o)
	if ref == nil || ref.APIVersion != v1alpha1.APIVersion {
		return nil
	}
	return []key{{Kind: ref.Kind, Namespace: o.GetNamespace(), Name: ref.Name}}
}

// members stands, as a key of an MCPGroup, for which resources are in the group.
const members = "members"

// key names one of our resources.
type key = resource.Key

// isConfig tells the kinds that others rest on, and that must not vanish below them.
func isConfig(kind string) bool {
	switch kind {
	case "MCPExternalAuthConfig", "MCPOIDCConfig", "MCPAuthzConfig", "MCPToolConfig", "MCPTelemetryConfig", "VirtualMCPCompositeToolDefinition":
		return true
	}
	return false
}
