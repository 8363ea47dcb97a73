package operator

import (
	"context"
	"fmt"
	"slices"

	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sallyport-dev/sallyport/operator/render"
)

// conditionPolicy says whether a NetworkPolicy says all that it should; there where there is one.
const conditionPolicy = "NetworkPolicyExact"

// reachesCluster adds the ports that API servers listen at, behind their Service, where a
// NetworkPolicy is to admit them; none where the operator may not know: one that keeps
// some namespaces has no right elsewhere.
func (r *reconciler) reachesCluster(ctx context.Context, gw *render.Gateway) error {
	if !gw.HasPolicy() || !gw.ClusterToken || len(r.options.Namespaces) > 0 && !slices.Contains(r.options.Namespaces, metav1.NamespaceDefault) {
		return nil
	}
	var s discoveryv1.EndpointSlice
	err := r.direct.Get(ctx, types.NamespacedName{Namespace: metav1.NamespaceDefault, Name: "kubernetes"}, &s)
	if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read where the API servers listen: %w", err)
	}
	for _, p := range s.Ports {
		if p.Port != nil {
			gw.ClusterPorts = append(gw.ClusterPorts, *p.Port)
		}
	}
	slices.Sort(gw.ClusterPorts)
	return nil
}

// tellPolicy says what the NetworkPolicy of pods cannot say; nil for none that are of a
// resource's own.
func tellPolicy(gw *render.Gateway, conditions *[]metav1.Condition, set setter) {
	if gw == nil || !gw.HasPolicy() {
		meta.RemoveStatusCondition(conditions, conditionPolicy)
		return
	}
	if unsaid := gw.Unsaid(); unsaid != "" {
		set(conditionPolicy, metav1.ConditionFalse, "AnyAddress", unsaid)
		return
	}
	set(conditionPolicy, metav1.ConditionTrue, "Exact", "the pods can connect to DNS, to the addresses in the manifests and to what allowedEgress lists")
}
