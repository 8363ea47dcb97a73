//go:build cluster

package cluster_test

import (
	"testing"

	"github.com/sallyport-dev/sallyport/internal/testkit/kube"
)

// plane is the control plane of all tests here. Each has namespaces of its own.
var plane *kube.Plane

func TestMain(m *testing.M) { kube.Main(m, &plane) }
