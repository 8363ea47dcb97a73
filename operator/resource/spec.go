package resource

import (
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
)

// Spec is what a resource says, and nothing of what it is told.
func Spec(obj client.Object) any {
	switch o := obj.(type) {
	case *v1alpha1.MCPRemoteProxy:
		return &o.Spec
	case *v1alpha1.MCPServer:
		return &o.Spec
	case *v1alpha1.VirtualMCPServer:
		return &o.Spec
	case *v1alpha1.MCPServerEntry:
		return &o.Spec
	case *v1alpha1.MCPGateway:
		return &o.Spec
	case *v1alpha1.MCPGroup:
		return &o.Spec
	case *v1alpha1.MCPExternalAuthConfig:
		return &o.Spec
	case *v1alpha1.MCPOIDCConfig:
		return &o.Spec
	case *v1alpha1.MCPAuthzConfig:
		return &o.Spec
	case *v1alpha1.MCPToolConfig:
		return &o.Spec
	case *v1alpha1.MCPTelemetryConfig:
		return &o.Spec
	case *v1alpha1.VirtualMCPCompositeToolDefinition:
		return &o.Spec
	}
	return nil
}
