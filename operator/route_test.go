package operator

import (
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/operator/route"
)

// A route that cannot be made costs its resource nothing else.
func TestResourceWithoutRoute(t *testing.T) {
	t.Parallel()
	c := newCluster(t, proxy("docs", func(s *v1alpha1.MCPRemoteProxySpec) {
		s.Gateway = &v1alpha1.GatewayRoute{ParentRefs: []v1alpha1.RouteParent{{Name: "public"}}, Hostnames: []v1alpha1.RouteHost{"mcp.example.com"}}
	}))
	for _, step := range []struct {
		routes route.Known
		want   string
	}{
		{route.Known{}, ""},
		{route.Known{State: route.Absent}, "False GatewayAPIMissing"},
		{route.Known{State: route.Forbidden, Why: "no right"}, "False Forbidden"},
		{route.Known{State: route.There, Reader: c.store()}, "Unknown NotTold"},
	} {
		c.routes = route.Fixed(step.routes)
		c.mustLook("MCPRemoteProxy", "docs")
		if got, message := c.condition("docs", conditionRoute); got != step.want {
			t.Errorf("the condition is %s, want %s: %s", got, step.want, message)
		}
		if got, _ := c.condition("docs", conditionAuth); got != "True Configured" {
			t.Errorf("the rest is %s", got)
		}
	}
	if err := c.store().Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "docs-proxy"}, route.New()); err != nil {
		t.Error(err)
	}
	p := read(c, "docs", &v1alpha1.MCPRemoteProxy{})
	p.Spec.Gateway = nil
	if err := c.store().Update(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	c.mustLook("MCPRemoteProxy", "docs")
	if got, _ := c.condition("docs", conditionRoute); got != "" {
		t.Errorf("without gateway: %s", got)
	}
	if err := c.store().Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "docs-proxy"}, route.New()); !apierrors.IsNotFound(err) {
		t.Errorf("the route is left: %v", err)
	}
}
