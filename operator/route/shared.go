package route

import (
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
)

// Condition says whether Gateways take the route to a resource; it is there where
// spec.gateway is.
const Condition = "RouteAccepted"

// OfShared lets changes of what an MCPGateway says of its route pass by, and nothing
// else: those whom it leads to say the same.
func OfShared() predicate.Predicate {
	said := func(o client.Object) (said [3]string) {
		st := &o.(*v1alpha1.MCPGateway).Status
		if c := meta.FindStatusCondition(st.Conditions, Condition); c != nil {
			said = [3]string{string(c.Status), c.Message, st.ExternalURL}
		}
		return said
	}
	never := func(event.CreateEvent) bool { return false }
	return predicate.Funcs{CreateFunc: never, UpdateFunc: func(e event.UpdateEvent) bool { return said(e.ObjectOld) != said(e.ObjectNew) }}
}
