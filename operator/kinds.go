package operator

import (
	"cmp"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
)

var groupVersion = schema.GroupVersion{Group: v1alpha1.Group, Version: v1alpha1.Version}

// kind is one of our kinds: how its objects and lists are made, and who reconciles it.
type kind struct {
	name      string
	object    func() client.Object
	list      func() client.ObjectList
	reconcile reconcileFunc
}

// kinds are all of ours.
func kinds() []kind {
	return []kind{
		{"MCPRemoteProxy", func() client.Object { return &v1alpha1.MCPRemoteProxy{} }, func() client.ObjectList { return &v1alpha1.MCPRemoteProxyList{} }, (*reconciler).serve},
		{"MCPServer", func() client.Object { return &v1alpha1.MCPServer{} }, func() client.ObjectList { return &v1alpha1.MCPServerList{} }, (*reconciler).serve},
		{"VirtualMCPServer", func() client.Object { return &v1alpha1.VirtualMCPServer{} }, func() client.ObjectList { return &v1alpha1.VirtualMCPServerList{} }, (*reconciler).serve},
		{"MCPGateway", func() client.Object { return &v1alpha1.MCPGateway{} }, func() client.ObjectList { return &v1alpha1.MCPGatewayList{} }, (*reconciler).gatewayOfMany},
		{"MCPServerEntry", func() client.Object { return &v1alpha1.MCPServerEntry{} }, func() client.ObjectList { return &v1alpha1.MCPServerEntryList{} }, (*reconciler).entry},
		{"MCPGroup", func() client.Object { return &v1alpha1.MCPGroup{} }, func() client.ObjectList { return &v1alpha1.MCPGroupList{} }, (*reconciler).group},
		{"MCPExternalAuthConfig", func() client.Object { return &v1alpha1.MCPExternalAuthConfig{} }, func() client.ObjectList { return &v1alpha1.MCPExternalAuthConfigList{} }, (*reconciler).config},
		{"MCPOIDCConfig", func() client.Object { return &v1alpha1.MCPOIDCConfig{} }, func() client.ObjectList { return &v1alpha1.MCPOIDCConfigList{} }, (*reconciler).config},
		{"MCPAuthzConfig", func() client.Object { return &v1alpha1.MCPAuthzConfig{} }, func() client.ObjectList { return &v1alpha1.MCPAuthzConfigList{} }, (*reconciler).config},
		{"MCPToolConfig", func() client.Object { return &v1alpha1.MCPToolConfig{} }, func() client.ObjectList { return &v1alpha1.MCPToolConfigList{} }, (*reconciler).config},
		{"VirtualMCPCompositeToolDefinition", func() client.Object { return &v1alpha1.VirtualMCPCompositeToolDefinition{} }, func() client.ObjectList { return &v1alpha1.VirtualMCPCompositeToolDefinitionList{} }, (*reconciler).config},
		{"MCPTelemetryConfig", func() client.Object { return &v1alpha1.MCPTelemetryConfig{} }, func() client.ObjectList { return &v1alpha1.MCPTelemetryConfigList{} }, (*reconciler).config},
	}
}

// addToScheme makes our kinds known.
func addToScheme(s *runtime.Scheme) {
	for _, k := range kinds() {
		s.AddKnownTypeWithName(groupVersion.WithKind(k.name), k.object())
		s.AddKnownTypeWithName(groupVersion.WithKind(k.name+"List"), k.list())
	}
	metav1.AddToGroupVersion(s, groupVersion)
}

// serving is a resource with an endpoint of its own.
type serving struct {
	object client.Object
	spec   *v1alpha1.Serving
	port   int32 // of the Service
	status servingStatus
}

// servingStatus are the fields of a status that all serving kinds have, in the object;
// nil where a kind has none of that name.
type servingStatus struct {
	phase, message, url, externalURL *string
	gateway                          *string // the MCPGateway that serves it; "" for pods of its own
	generation                       *int64
	conditions                       *[]metav1.Condition
	remote                           *v1alpha1.MCPRemoteProxyStatus
	virtual                          *v1alpha1.VirtualMCPServerStatus
}

// asServing is the object as what is served, if it is of a kind that is.
func asServing(obj client.Object) (*serving, bool) {
	switch o := obj.(type) {
	case *v1alpha1.MCPRemoteProxy:
		st := &o.Status
		return &serving{o, &o.Spec.Serving, cmp.Or(o.Spec.ProxyPort, 8080), servingStatus{
			&st.Phase, &st.Message, &st.URL, &st.ExternalURL, &st.Gateway, &st.ObservedGeneration, &st.Conditions, st, nil,
		}}, true
	case *v1alpha1.MCPServer:
		st := &o.Status
		return &serving{o, &o.Spec.Serving, cmp.Or(o.Spec.ProxyPort, 8080), servingStatus{
			&st.Phase, &st.Message, &st.URL, &st.ExternalURL, &st.Gateway, &st.ObservedGeneration, &st.Conditions, nil, nil,
		}}, true
	case *v1alpha1.VirtualMCPServer:
		st := &o.Status
		return &serving{o, &o.Spec.Serving, cmp.Or(o.Spec.ProxyPort, 4483), servingStatus{
			&st.Phase, &st.Message, &st.URL, &st.ExternalURL, &st.Gateway, &st.ObservedGeneration, &st.Conditions, nil, st,
		}}, true
	}
	return nil, false
}

// conditionsOf are the conditions of a resource that is not served, and the generation
// that its status speaks of.
func conditionsOf(obj client.Object) (*[]metav1.Condition, *int64) {
	switch o := obj.(type) {
	case *v1alpha1.MCPServerEntry:
		return &o.Status.Conditions, &o.Status.ObservedGeneration
	case *v1alpha1.MCPGateway:
		return &o.Status.Conditions, &o.Status.ObservedGeneration
	case *v1alpha1.MCPGroup:
		return &o.Status.Conditions, &o.Status.ObservedGeneration
	}
	if st := configStatus(obj); st != nil {
		return &st.Conditions, &st.ObservedGeneration
	}
	return nil, nil
}

// configStatus is the status of configuration that others share; nil for other kinds.
func configStatus(obj client.Object) *v1alpha1.ConfigStatus {
	switch o := obj.(type) {
	case *v1alpha1.MCPExternalAuthConfig:
		return &o.Status.ConfigStatus
	case *v1alpha1.MCPOIDCConfig:
		return &o.Status.ConfigStatus
	case *v1alpha1.MCPAuthzConfig:
		return &o.Status.ConfigStatus
	case *v1alpha1.MCPToolConfig:
		return &o.Status.ConfigStatus
	case *v1alpha1.MCPTelemetryConfig:
		return &o.Status.ConfigStatus
	case *v1alpha1.VirtualMCPCompositeToolDefinition:
		return &o.Status.ConfigStatus
	}
	return nil
}

// groupOf is the group that a resource says it is a member of; "" for none.
func groupOf(obj client.Object) string {
	var ref *v1alpha1.ObjectRef
	switch o := obj.(type) {
	case *v1alpha1.MCPRemoteProxy:
		ref = o.Spec.GroupRef
	case *v1alpha1.MCPServer:
		ref = o.Spec.GroupRef
	case *v1alpha1.MCPServerEntry:
		ref = o.Spec.GroupRef
	}
	if ref == nil {
		return ""
	}
	return string(ref.Name)
}

// gatewayOf is the MCPGateway that a resource is to be served by; "" for pods of its own.
func gatewayOf(obj client.Object) string {
	s, ok := asServing(obj)
	if !ok || s.spec.GatewayRef == nil {
		return ""
	}
	return string(s.spec.GatewayRef.Name)
}
