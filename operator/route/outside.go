package route

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/operator/render"
)

// Outside is how clients outside the cluster reach a resource.
type Outside struct {
	Spec *v1alpha1.GatewayRoute // with its scheme
	By   string                 // the MCPGateway whose route it is; "" for one of its own
	port int32                  // of the Gateway; 0 for that of the scheme
}

// Read reads what the Gateway of a resource speaks; nil where it names none.
func Read(ctx context.Context, direct client.Reader, namespace string, spec *v1alpha1.GatewayRoute) (*Outside, error) {
	if spec == nil {
		return nil, nil
	}
	out := &Outside{Spec: spec.DeepCopy()}
	scheme, port, err := listener(ctx, direct, namespace, spec)
	if err != nil {
		return nil, err
	}
	if spec.Scheme == "" {
		out.Spec.Scheme = scheme
	}
	if (out.Spec.Scheme == "https" && port != 443) || (out.Spec.Scheme == "http" && port != 80) {
		out.port = port
	}
	return out, nil
}

// listener is what the listener of a Gateway speaks that takes the first host name, and
// its port; https at a port that is not known where it cannot be read.
func listener(ctx context.Context, direct client.Reader, namespace string, spec *v1alpha1.GatewayRoute) (scheme string, port int32, err error) {
	scheme = "https"
	p := spec.ParentRefs[0]
	if p.Namespace != "" {
		namespace = p.Namespace
	}
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(render.HTTPRoute.GroupVersion().WithKind("Gateway"))
	err = direct.Get(ctx, types.NamespacedName{Namespace: namespace, Name: string(p.Name)}, u)
	switch {
	case meta.IsNoMatchError(err) || apierrors.IsNotFound(err) || apierrors.IsForbidden(err):
		return scheme, 0, nil
	case err != nil:
		return scheme, 0, fmt.Errorf("read Gateway %s/%s: %w", namespace, p.Name, err)
	}
	var gateway struct {
		Spec struct {
			Listeners []struct {
				Name, Hostname, Protocol string
				Port                     int32
			}
		}
	}
	if err := readInto(u, &gateway); err != nil {
		return scheme, 0, nil // of a shape that is not known: as if it could not be read
	}
	host := string(spec.Hostnames[0])
	for _, l := range gateway.Spec.Listeners {
		if p.SectionName != "" && l.Name != p.SectionName || p.Port != 0 && l.Port != p.Port || !takes(l.Hostname, host) {
			continue
		}
		switch {
		case l.Protocol == "HTTPS":
			return "https", l.Port, nil
		case l.Protocol == "HTTP" && port == 0:
			scheme, port = "http", l.Port // unless another one of it is better
		}
	}
	return scheme, port, nil
}

// readInto reads of an object what a struct has fields for.
func readInto(u *unstructured.Unstructured, out any) error {
	text, err := json.Marshal(u.Object)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, out)
}

// takes tells whether a listener of a Gateway is for a host.
func takes(listener, host string) bool {
	suffix, wild := strings.CutPrefix(listener, "*")
	return listener == "" || listener == host || wild && strings.HasSuffix(host, suffix)
}

// Address is the endpoint as clients outside reach it.
func (o *Outside) Address(path string) string {
	host := string(o.Spec.Hostnames[0])
	if o.port != 0 {
		host += ":" + strconv.Itoa(int(o.port))
	}
	return o.Spec.Scheme + "://" + host + string(o.Spec.PathPrefix) + path
}

// said is what the status of an HTTPRoute says.
type said struct {
	Status struct{ Parents []parentSaid }
}

type parentSaid struct {
	ParentRef struct {
		Name, Namespace, SectionName string
		Port                         int32
	}
	Conditions []metav1.Condition
}

// of are the conditions of one Gateway that speak of the route as it is.
func (s *said) of(p *v1alpha1.RouteParent, live *unstructured.Unstructured) (current []metav1.Condition) {
	for _, by := range s.Status.Parents {
		ref := by.ParentRef
		if ref.Name != string(p.Name) || cmp.Or(ref.Namespace, live.GetNamespace()) != cmp.Or(p.Namespace, live.GetNamespace()) || ref.SectionName != p.SectionName || ref.Port != p.Port {
			continue
		}
		for _, c := range by.Conditions {
			if c.ObservedGeneration == 0 || c.ObservedGeneration >= live.GetGeneration() { // some controllers do not say
				current = append(current, c)
			}
		}
	}
	return current
}

// Acceptance is what the Gateways say that a route names, as a condition, and whether
// clients reach the resource by one of them.
func Acceptance(out *Outside, live *unstructured.Unstructured) (status metav1.ConditionStatus, reason, message string, accepted bool) {
	var s said
	if err := readInto(live, &s); err != nil {
		return metav1.ConditionUnknown, "NotTold", "the status of the HTTPRoute cannot be read: " + err.Error(), false
	}
	status, reason = metav1.ConditionTrue, "Accepted"
	var lines []string
	for i := range out.Spec.ParentRefs {
		p := &out.Spec.ParentRefs[i]
		gateway := fmt.Sprintf("Gateway %s/%s", cmp.Or(p.Namespace, live.GetNamespace()), p.Name)
		conditions := s.of(p, live)
		refused := slices.IndexFunc(conditions, func(c metav1.Condition) bool {
			return c.Status == metav1.ConditionFalse && (c.Type == "Accepted" || c.Type == "ResolvedRefs")
		})
		switch {
		case refused >= 0:
			c := conditions[refused]
			if status != metav1.ConditionFalse { // which says more than that nothing is known
				status, reason = metav1.ConditionFalse, c.Reason
			}
			lines = append(lines, fmt.Sprintf("%s does not take the route: %s: %s", gateway, c.Reason, c.Message))
		case meta.IsStatusConditionTrue(conditions, "Accepted"):
			accepted = true
			lines = append(lines, gateway+" takes the route")
		default:
			if status == metav1.ConditionTrue {
				status, reason = metav1.ConditionUnknown, "NotTold"
			}
			lines = append(lines, gateway+" has not said yet whether it takes the route; is there such a Gateway, and a controller for it?")
		}
	}
	return status, reason, strings.Join(lines, "; "), accepted
}
