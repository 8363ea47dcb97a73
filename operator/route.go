package operator

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
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

	"github.com/sallyport-dev/sallyport/internal/compile/plan"
	"github.com/sallyport-dev/sallyport/operator/apply"
	"github.com/sallyport-dev/sallyport/operator/render"
	"github.com/sallyport-dev/sallyport/operator/route"
)

// conditionRoute says whether Gateways take the route to a resource; it is there where
// spec.gateway is.
const conditionRoute = "RouteAccepted"

// routed is what became of the route to a resource.
type routed struct {
	route.Known
	failed error                      // of making it
	live   *unstructured.Unstructured // nil for none
}

// route makes the HTTPRoute of a resource, or takes it away where there is to be none.
// What is wrong leaves it as it was when it was good.
func (r *reconciler) route(ctx context.Context, owner client.Object, gw *render.Gateway, out *route.Outside, p *plan.Plan, whole bool) routed {
	is := routed{Known: r.routes.Known()}
	reader := is.Reader
	if reader == nil {
		return is
	}
	if out == nil {
		is.failed = r.dropRoute(ctx, owner, gw, reader)
		return is
	}
	if whole {
		_, is.failed = r.writer().Apply(ctx, owner, []render.Object{routeOf(gw, out, p).Object()})
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

// routeOf is the route to a gateway's pods, with what signing in there needs.
func routeOf(gw *render.Gateway, out *route.Outside, p *plan.Plan) *render.Route {
	to := gw.Route(out.Spec)
	for _, a := range p.AuthServers {
		if u, err := url.Parse(a.Origin + strings.TrimRight(a.Path, "/")); err == nil {
			to.Issuers = append(to.Issuers, u)
		}
	}
	for _, a := range p.Assertions {
		to.Keys = append(to.Keys, plan.KeysPath(a.Name))
	}
	return to
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
func tellRoute(s *serving, gw *render.Gateway, out *route.Outside, is routed, set setter) {
	if out == nil {
		meta.RemoveStatusCondition(s.status.conditions, conditionRoute)
		*s.status.externalURL = ""
		return
	}
	if is.State == route.Unknown {
		return // nobody has looked yet: what is known stays
	}
	status, reason, message, accepted := routeCondition(out, is)
	set(conditionRoute, status, reason, message)
	*s.status.externalURL = ""
	if accepted {
		*s.status.externalURL = out.Address(gw.Path())
	}
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
		if _, serves := asServing(k.object()); !serves {
			continue
		}
		list := k.list()
		if err := r.client.List(ctx, list); err != nil {
			r.log.Warn("list resources with a route", "kind", k.name, "err", err)
			continue // each is looked at again, by and by
		}
		_ = meta.EachListItem(list, func(item runtime.Object) error {
			o := item.(client.Object)
			if s, _ := asServing(o); s.spec.Gateway != nil {
				r.bring(ctx, keyOf(o))
			}
			return nil
		})
	}
}
