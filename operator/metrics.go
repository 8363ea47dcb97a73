package operator

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/sallyport-dev/sallyport/internal/telemetry"
)

// measure exposes which resources are ready, beside what controller-runtime counts. Of
// several replicas the one that works does, so that each resource has one series.
func (r *reconciler) measure(ctx context.Context, mgr manager.Manager) error {
	c := telemetry.NewResources(func(tell func(kind, namespace, name string, ready bool)) {
		select {
		case <-mgr.Elected():
			r.eachReady(ctx, tell)
		default:
		}
	})
	if err := metrics.Registry.Register(c); err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { metrics.Registry.Unregister(c) })
	return nil
}

// eachReady tells of all resources that there are, as the cache has them.
func (r *reconciler) eachReady(ctx context.Context, tell func(kind, namespace, name string, ready bool)) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for _, k := range r.kinds {
		list := k.list()
		if err := r.client.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
			r.log.Warn("list resources for metrics", "kind", k.name, "err", err)
			continue
		}
		_ = meta.EachListItem(list, func(item runtime.Object) error {
			o := item.(client.Object)
			if restsByChoice(o) {
				return nil
			}
			tell(k.name, o.GetNamespace(), o.GetName(), isWell(o))
			return nil
		})
	}
}

// restsByChoice tells whether nobody serves a resource because somebody wants it so, which is no reason for an alert.
func restsByChoice(o client.Object) bool {
	ready := meta.FindStatusCondition(conditionsIn(o), conditionReady)
	return ready != nil && ready.Reason == reasonScaledToZero
}

// isWell tells whether a resource is ready; of configuration, whether it is valid.
func isWell(o client.Object) bool {
	conditions := conditionsIn(o)
	return meta.IsStatusConditionTrue(conditions, conditionReady) || meta.IsStatusConditionTrue(conditions, conditionValid)
}
