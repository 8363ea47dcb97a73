package plan

import (
	"strings"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/manifest"
)

// Gateway is the one that resources share in a cluster. A process that serves manifests
// makes nothing of it.
type Gateway struct {
	Resource
	Servers []string // that name it, as Kind Name
}

// gateway plans an MCPGateway.
func (c one) gateway(spec *v1alpha1.MCPGatewaySpec) {
	g := &Gateway{Resource: c.resource()}
	in := func(kind string, o *manifest.Object, ref *v1alpha1.ObjectRef) {
		if ref != nil && o.Namespace == c.Namespace && string(ref.Name) == c.Name {
			g.Servers = append(g.Servers, kind+" "+o.Name)
		}
	}
	for _, o := range manifest.All[v1alpha1.MCPRemoteProxy](c.set) {
		in(o.Kind, o.Object, o.Value.Spec.GatewayRef)
	}
	for _, o := range manifest.All[v1alpha1.MCPServer](c.set) {
		in(o.Kind, o.Object, o.Value.Spec.GatewayRef)
	}
	for _, o := range manifest.All[v1alpha1.VirtualMCPServer](c.set) {
		in(o.Kind, o.Object, o.Value.Spec.GatewayRef)
	}
	c.plan.Gateways = append(c.plan.Gateways, g)
	if !c.process.Checking { // what its pods need, this process does not
		return
	}
	if t := spec.TLS; t != nil {
		for _, key := range []string{"tls.crt", "tls.key"} {
			if _, _, ok := c.view.Secret(c.Namespace, string(t.SecretName), key); !ok {
				c.lacks("spec.tls.secretName", "Secret", "there is no Secret %q with the key %q; add it to the manifests", t.SecretName, key)
			}
		}
		c.caBundle("spec.tls.clientCABundleRef.configMapRef", t.ClientCABundleRef)
	}
	if s := spec.Store; s != nil {
		c.plainSecret("spec.store.passwordSecretRef", s.PasswordSecretRef)
	}
}

// shares notes which gateway a resource is served by in a cluster, and what it says of
// pods that are not its own.
func (c one) shares(s *v1alpha1.Serving, e *Endpoint) {
	if s.GatewayRef == nil {
		return
	}
	e.Gateway = string(s.GatewayRef.Name)
	if _, ok := manifest.Lookup[v1alpha1.MCPGateway](c.view, c.Namespace, string(s.GatewayRef.Name)); !ok {
		c.missing("spec.gatewayRef.name", "MCPGateway", string(s.GatewayRef.Name))
		return
	}
	spec, _ := c.Raw["spec"].(map[string]any)
	image, _ := spec["image"].(string)
	if idle := NotItsPods(s, image != ""); len(idle) > 0 {
		c.advise("spec.gatewayRef", "leads to pods of MCPGateway %q, so that %s here has no effect; set it there", s.GatewayRef.Name, strings.Join(idle, ", "))
	}
}

// NotItsPods are the fields of a resource that say what pods are like which are those of an
// MCPGateway. A server in a container has pods of its own besides.
func NotItsPods(s *v1alpha1.Serving, container bool) (fields []string) {
	c := &s.Cluster
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"proxyPort", s.ProxyPort != 0},
		{"replicas", c.Replicas != nil},
		{"resources", c.Resources != nil && !container},
		{"serviceAccount", c.ServiceAccount != "" && !container},
		{"sessionAffinity", c.SessionAffinity != ""},
		{"serviceType", c.ServiceType != ""},
		{"podTemplateSpec", c.PodTemplateSpec != nil && !container},
		{"resourceOverrides", c.ResourceOverrides != nil},
	} {
		if f.set {
			fields = append(fields, f.name)
		}
	}
	return fields
}
