package operator

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/operator/pods"
	"github.com/sallyport-dev/sallyport/operator/render"
)

// A Secret that changes twice within a second restarts the pods twice: the template says more than the second.
func TestRestartWithinASecond(t *testing.T) {
	t.Parallel()
	server := &v1alpha1.MCPServer{ObjectMeta: objectMeta("tools")}
	server.Spec.Image, server.Spec.Transport, server.Spec.RestartOnSecretChange = "example.com/tools:1", "streamable-http", true
	server.Spec.Secrets = []v1alpha1.SecretEnv{{Name: "api", Key: "token"}}
	c := newCluster(t, server, secretOf("one"))
	pod := func(name, stamp string) *corev1.Pod {
		p := &corev1.Pod{ObjectMeta: objectMeta(name)}
		p.Labels = (&render.Server{Name: "tools"}).Selector()
		p.Annotations = map[string]string{render.AnnotationChanged: stamp}
		return p
	}
	look := func(want string) string {
		t.Helper()
		c.mustLook("MCPServer", "tools")
		stamp := read(c, "tools-mcp", &appsv1.Deployment{}).Spec.Template.Annotations[render.AnnotationChanged]
		if _, number, _ := strings.Cut(stamp, "/"); stamp == "" || number != want {
			t.Fatalf("the stamp is %q, want the number %q", stamp, want)
		}
		return stamp
	}
	change := func(value string) {
		t.Helper()
		s := read(c, "api", &corev1.Secret{})
		s.Data["token"] = []byte(value)
		if err := c.store().Update(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	replace := func(before, after *corev1.Pod) {
		t.Helper()
		if err := c.store().Create(t.Context(), after); err != nil {
			t.Fatal(err)
		}
		if before != nil {
			if err := c.store().Delete(t.Context(), before); err != nil {
				t.Fatal(err)
			}
		}
	}
	first := pod("first", look(""))
	replace(nil, first)
	look("")
	change("two")
	stamp := look("1")
	look("1") // until the pod is replaced
	second := pod("second", stamp)
	replace(first, second)
	look("1")
	change("three")
	look("2")
	c.environments = pods.Environments{} // another operator, which knows times alone
	look("2")
}
