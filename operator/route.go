package operator

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/operator/apply"
	"github.com/sallyport-dev/sallyport/operator/render"
	"github.com/sallyport-dev/sallyport/operator/resource"
	"github.com/sallyport-dev/sallyport/operator/route"
)

// routed is what became of the route to a resource.
type routed struct {
	route.Known
	failed error                      // of making it
	live   *unstructured.Unstructured // nil for none
}

// outside is how clients outside reach a resource: as it says, or as the MCPGateway does
// that it names.
func (r *reconciler) outside(ctx context.Context, k key, s *serving) (*route.Outside, error) {
	by, spec := gatewayOf(s.object), s.spec.Gateway
	if by != "" {
		obj, err := r.get(ctx, gatewayKey(k.Namespace, by))
		if obj == nil || err != nil {
			return nil, err
		}
		spec = obj.(*v1alpha1.MCPGateway).Spec.Gateway
	}
	out, err := route.Read(ctx, r.direct, k.Namespace, spec)
	if out != nil {
		out.By = by
	}
	return out, err
}

// ownRoute makes the route of a resource that has one of its own, and keeps it until an
// MCPGateway serves the resource whose route leads there.
func (r *reconciler) ownRoute(ctx context.Context, s *serving, gw *render.Gateway, out *route.Outside, whole bool) routed {
	switch {
	case out == nil, *s.status.gateway == out.By && out.By != "":
		return r.route(ctx, s.object, gw, nil, whole)
	case out.By != "":
		return routed{Known: r.routes.Known()}
	}
	return r.route(ctx, s.object, gw, gw.Route(out.Spec), whole)
}

// route makes the HTTPRoute of a resource, or takes it away where there is to be none.
// What is wrong leaves it as it was when it was good.
func (r *reconciler) route(ctx context.Context, owner client.Object, gw *render.Gateway, to *render.Route, whole bool) routed {
	is := routed{Known: r.routes.Known()}
	reader := is.Reader
	if reader == nil {
		return is
	}
	if to == nil {
		is.failed = r.dropRoute(ctx, owner, gw, reader)
		return is
	}
	if whole {
		_, is.failed = r.writer().Apply(ctx, owner, []render.Object{to.Object()})
	}
	live := route.New()
	err := reader.Get(ctx, types.NamespacedName{Namespace: gw.Namespace, Name: gw.ObjectName()}, live)
	switch {
	case err == nil && metav1.IsControlledBy(live, owner):
		is.live = live
	case client.IgnoreNotFound(err) != nil:
		is.failed = errors.Join(is.failed, fmt.Errorf("read HTTPRoute %s: %w", gw.ObjectName(), err))
	}
	return is
}

// dropRoute deletes a route that is wanted no more.
func (r *reconciler) dropRoute(ctx context.Context, owner client.Object, gw *render.Gateway, reader client.Reader) error {
	o := route.New()
	err := reader.Get(ctx, types.NamespacedName{Namespace: gw.Namespace, Name: gw.ObjectName()}, o)
	if err != nil || !metav1.IsControlledBy(o, owner) || o.GetDeletionTimestamp() != nil {
		return client.IgnoreNotFound(err)
	}
	r.log.Info("delete", "kind", "HTTPRoute", "namespace", gw.Namespace, "name", o.GetName())
	return client.IgnoreNotFound(r.client.Delete(ctx, o))
}

// tellRoute says whether clients outside reach a resource, and at which address.
func tellRoute(conditions *[]metav1.Condition, address *string, path string, out *route.Outside, is routed, set setter) {
	if out == nil {
		meta.RemoveStatusCondition(conditions, route.Condition)
		*address = ""
		return
	}
	if is.State == route.Unknown {
		return // nobody has looked yet: what is known stays
	}
	status, reason, message, accepted := routeCondition(out, is)
	set(route.Condition, status, reason, message)
	*address = ""
	if accepted {
		*address = out.Address(path)
	}
}

// tellSharedRoute says of a resource what its MCPGateway says of the route to all.
func (r *reconciler) tellSharedRoute(ctx context.Context, s *serving, path string, out *route.Outside, set setter) error {
	obj, err := r.get(ctx, gatewayKey(s.object.GetNamespace(), out.By))
	if obj == nil || err != nil {
		return err
	}
	st := &obj.(*v1alpha1.MCPGateway).Status
	said := meta.FindStatusCondition(st.Conditions, route.Condition)
	*s.status.externalURL = ""
	switch {
	case *s.status.gateway != out.By:
		set(route.Condition, metav1.ConditionUnknown, "NotYetServed", "MCPGateway "+out.By+", whose route it is to have, does not serve it yet")
	case said == nil:
		set(route.Condition, metav1.ConditionUnknown, "Creating", "the HTTPRoute of MCPGateway "+out.By+" is being made")
	default:
		set(route.Condition, said.Status, said.Reason, "by the route of MCPGateway "+out.By+": "+said.Message)
		if st.ExternalURL != "" {
			*s.status.externalURL = out.Address(path)
		}
	}
	return nil
}

func routeCondition(out *route.Outside, is routed) (status metav1.ConditionStatus, reason, message string, accepted bool) {
	var name apply.TakenError
	switch {
	case is.State == route.Absent:
		return metav1.ConditionFalse, "GatewayAPIMissing", "the cluster has no HTTPRoute of gateway.networking.k8s.io/v1: install the Gateway API, which is noticed; or remove gateway. Everything else works", false
	case is.State == route.Forbidden:
		return metav1.ConditionFalse, "Forbidden", "the operator lacks a right: " + is.Why, false
	case errors.As(is.failed, &name):
		return metav1.ConditionFalse, "NameTaken", name.Error(), false
	case apierrors.IsForbidden(is.failed):
		return metav1.ConditionFalse, "Forbidden", "the operator lacks a right: " + is.failed.Error(), false
	case is.failed != nil:
		return metav1.ConditionFalse, "ApplyFailed", is.failed.Error(), false
	case is.live == nil:
		return metav1.ConditionUnknown, "Creating", "the HTTPRoute is being made", false
	}
	return route.Acceptance(out, is.live)
}

// lookForRoutes is how often the cluster is asked whether it has the kind, at least.
const lookForRoutes = 30 * time.Second

func newRoutes(mgr manager.Manager, o *Options, r *reconciler) *route.Watch {
	return &route.Watch{Config: route.Config{
		Direct: mgr.GetAPIReader(), Namespaces: o.Namespaces, Every: min(lookForRoutes, o.Resync), Log: o.Log,
		Open:    func() (cache.Cache, error) { return route.Open(mgr, o.Namespaces) },
		Changed: func(ctx context.Context, o client.Object) { r.bring(ctx, r.ownerOf(o)...) },
		News:    r.bringRouted,
	}}
}

// bring puts resources into the queue, as soon as there is one.
func (r *reconciler) bring(ctx context.Context, keys ...key) {
	select {
	case <-r.started:
	case <-ctx.Done():
		return
	}
	for _, k := range keys {
		r.queue.Add(k)
	}
}

// bringRouted brings the resources that are to have a route.
func (r *reconciler) bringRouted(ctx context.Context) {
	for _, k := range r.kinds {
		if _, serves := asServing(k.object()); !serves && k.name != "MCPGateway" {
			continue
		}
		list := k.list()
		if err := r.client.List(ctx, list); err != nil {
			r.log.Warn("list resources with a route", "kind", k.name, "err", err)
			continue // each is looked at again, by and by
		}
		_ = meta.EachListItem(list, func(item runtime.Object) error {
			o := item.(client.Object)
			s, serves := asServing(o)
			if g, ok := o.(*v1alpha1.MCPGateway); ok && g.Spec.Gateway != nil || serves && s.spec.Gateway != nil {
				r.bring(ctx, resource.Of(o))
			}
			return nil
		})
	}
}
