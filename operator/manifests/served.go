package manifests

import (
	"cmp"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/operator/render"
)

// AsServed is a resource as the gateway's pods read it. What is for the cluster alone is
// left out, so that a change of it reloads nothing; and a server in a container is, to
// the gateway before it, a remote one behind a Service.
func AsServed(obj client.Object) client.Object {
	switch o := obj.(type) {
	case *v1alpha1.MCPServer:
		if o.Spec.Image == "" {
			return obj
		}
		served := &v1alpha1.MCPRemoteProxy{ObjectMeta: metav1.ObjectMeta{Name: o.Name, Namespace: o.Namespace}}
		served.Spec.Remote, served.Spec.Transport = containerAt(o)
		served.Spec.Serving, served.Spec.Membership = o.Spec.Serving, o.Spec.Membership
		withoutCluster(&served.Spec.Serving)
		return served
	case *v1alpha1.MCPRemoteProxy:
		served := o.DeepCopy()
		withoutCluster(&served.Spec.Serving)
		return served
	case *v1alpha1.VirtualMCPServer:
		served := o.DeepCopy()
		withoutCluster(&served.Spec.Serving)
		served.Spec.ImagePullSecrets = nil
		return served
	}
	return obj
}

// withoutCluster takes out what is for the cluster alone. Of a route the pods need to
// know the host names.
func withoutCluster(s *v1alpha1.Serving) {
	s.Cluster, s.ProxyPort, s.GatewayRef = v1alpha1.Cluster{}, 0, nil
	if s.Gateway != nil {
		s.Gateway = s.Gateway.DeepCopy()
		s.Gateway.Overrides = v1alpha1.Overrides{}
	}
}

// AsMember is a member of a group as the gateway before the group reads it: without an
// endpoint of its own.
func AsMember(obj client.Object) client.Object {
	entry := &v1alpha1.MCPServerEntry{ObjectMeta: metav1.ObjectMeta{Name: obj.GetName(), Namespace: obj.GetNamespace()}}
	switch o := obj.(type) {
	case *v1alpha1.MCPRemoteProxy:
		entry.Spec = v1alpha1.MCPServerEntrySpec{Remote: o.Spec.Remote, Membership: o.Spec.Membership, Transport: cmp.Or(o.Spec.Transport, "streamable-http")}
	case *v1alpha1.MCPServer:
		if o.Spec.Image == "" {
			return obj
		}
		entry.Spec.Remote, entry.Spec.Transport = containerAt(o)
		entry.Spec.Membership = o.Spec.Membership
	default:
		return obj
	}
	return entry
}

// containerAt is where the gateway reaches the server's container, and how.
func containerAt(o *v1alpha1.MCPServer) (v1alpha1.Remote, string) {
	at, transport := render.ServerAddress(o.Namespace, o.Name, &o.Spec)
	return v1alpha1.Remote{
		RemoteURL: v1alpha1.RemoteURL(at), AllowPrivateEndpoint: true, ExternalAuthConfigRef: o.Spec.ExternalAuthConfigRef,
		SessionsPerAddress: o.Spec.BackendReplicas != nil, ProxyURL: "direct", // it is near
		ProtocolVersion: o.Spec.ProtocolVersion, CallTimeout: o.Spec.CallTimeout,
	}, transport
}
