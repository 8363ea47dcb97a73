//go:build cluster

package cluster_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport-dev/sallyport/internal/testkit"
	"github.com/sallyport-dev/sallyport/internal/testkit/kube"
)

// Each resource has a gauge that says whether it is ready, which follows it, and which goes with it.
func TestOperatorMetrics(t *testing.T) {
	t.Parallel()
	namespace := plane.Namespace(t)
	plane.StartNode(t, namespace, map[string]kube.Image{image: gatewayImage(t)})
	operator := keep(t, namespace)
	gauge := func(kind, name, want string) {
		t.Helper()
		series := fmt.Sprintf("\nsallyport_operator_resource_ready{kind=%q,name=%q,namespace=%q} ", kind, name, namespace)
		testkit.Eventually(t, fmt.Sprintf("the gauge of %s %s is %q", kind, name, want), func() bool {
			_, text := fetch(t, operator.admin+"/metrics")
			_, after, found := strings.Cut(text, series)
			return found == (want != "") && strings.HasPrefix(after, want)
		})
	}
	plane.Apply(t, namespace, strings.ReplaceAll(docs, "REMOTE", "http://127.0.0.1:1"))
	gauge("MCPRemoteProxy", "docs", "0")
	gauge("MCPExternalAuthConfig", "key", "0")
	plane.Apply(t, namespace, `{apiVersion: v1, kind: Secret, metadata: {name: api}, stringData: {token: x}}`)
	gauge("MCPRemoteProxy", "docs", "1")
	gauge("MCPExternalAuthConfig", "key", "1")
	if err := plane.Delete(t, resource("MCPRemoteProxy", namespace, "docs")); err != nil {
		t.Fatal(err)
	}
	gauge("MCPRemoteProxy", "docs", "")
	gauge("MCPExternalAuthConfig", "key", "1")
}
