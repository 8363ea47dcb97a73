package operator

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
)

// Each resource is told once, as ready or valid or as neither, and what is gone is not told.
//
// REQ B-11
func TestWhichAreReady(t *testing.T) {
	t.Parallel()
	gateway := &v1alpha1.MCPGateway{ObjectMeta: objectMeta("all")}
	c := newCluster(t, proxy("docs", shows("key")), apiKey(), &v1alpha1.MCPGroup{ObjectMeta: objectMeta("group")}, gateway)
	told := func() map[string]bool {
		t.Helper()
		all := map[string]bool{}
		c.eachReady(t.Context(), func(kind, in, name string, ready bool) {
			if _, twice := all[kind+"/"+name]; twice || in != namespace {
				t.Errorf("%s %s/%s is told twice, or is no one's", kind, in, name)
			}
			all[kind+"/"+name] = ready
		})
		return all
	}
	look := func() {
		t.Helper()
		for kind, name := range map[string]string{"MCPRemoteProxy": "docs", "MCPExternalAuthConfig": "key", "MCPGroup": "group", "MCPGateway": "all"} {
			c.mustLook(kind, name)
		}
	}
	look()
	want := map[string]bool{"MCPRemoteProxy/docs": false, "MCPExternalAuthConfig/key": false, "MCPGroup/group": true, "MCPGateway/all": false}
	if diff := cmp.Diff(want, told()); diff != "" {
		t.Errorf("without the Secret (-want +got):\n%s", diff)
	}
	if err := c.store().Create(t.Context(), secretOf("value")); err != nil {
		t.Fatal(err)
	}
	look()
	c.ready("docs-proxy")
	c.ready("all-shared")
	look()
	if diff := cmp.Diff(map[string]bool{"MCPRemoteProxy/docs": true, "MCPExternalAuthConfig/key": true, "MCPGroup/group": true, "MCPGateway/all": true}, told()); diff != "" {
		t.Errorf("with it (-want +got):\n%s", diff)
	}
	zero := int32(0)
	d := read(c, "docs-proxy", &appsv1.Deployment{})
	d.Spec.Replicas, d.Status.ReadyReplicas = &zero, 0
	if err := c.store().Update(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	look()
	if _, told := told()["MCPRemoteProxy/docs"]; told {
		t.Error("what is scaled to zero is told, and an alert fires")
	}
	if err := c.store().Delete(t.Context(), proxy("docs")); err != nil {
		t.Fatal(err)
	}
	if _, there := told()["MCPRemoteProxy/docs"]; there {
		t.Error("what is gone is told")
	}
}
