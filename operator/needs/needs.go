// Package needs reads from manifests what the pods that serve them need besides: values of
// Secrets as variables, places to connect to, a token for the API server, and paths that
// clients outside have to reach.
//
// It does not own how a pod gets them (operator/render), nor which Secrets the manifests
// name (internal/manifest).
package needs

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/compile/plan"
	"github.com/sallyport-dev/sallyport/internal/manifest"
)

// Needs are what pods need for their manifests.
type Needs struct {
	Variables     map[string]v1alpha1.SecretKeyRef // of the container, from Secrets
	Addresses     []*url.URL                       // that it connects to
	RedirectHosts []string                         // that servers may send it to
	ClusterToken  bool                             // it asks the API server for keys
	Issuers       []string                         // of the authorization servers that it is, too
	Keys          []string                         // paths of key sets that others fetch from it
}

// Of reads them.
func Of(set *manifest.Set) *Needs {
	n := &Needs{Variables: variables(set), Addresses: addresses(set), RedirectHosts: redirectHosts(set), ClusterToken: asksCluster(set)}
	issuer := func(s *v1alpha1.EmbeddedAuthServer) {
		if s != nil {
			n.Issuers = append(n.Issuers, strings.TrimRight(string(s.Issuer), "/"))
		}
	}
	for _, c := range manifest.All[v1alpha1.MCPExternalAuthConfig](set) {
		issuer(c.Value.Spec.EmbeddedAuthServer)
		if c.Value.Spec.IdentityAssertion != nil {
			n.Keys = append(n.Keys, plan.KeysPath(c.Name))
		}
	}
	for _, v := range manifest.All[v1alpha1.VirtualMCPServer](set) {
		issuer(v.Value.Spec.AuthServerConfig)
	}
	return n
}

// addresses are what pods may connect to for manifests, beside DNS.
func addresses(set *manifest.Set) []*url.URL {
	var all []*url.URL
	for _, o := range set.Objects {
		eachAddress("", o.Raw["spec"], func(text string) {
			u, err := url.Parse(text)
			if err == nil && u.Host != "" && u.Opaque == "" {
				all = append(all, u)
			}
		})
	}
	return all
}

// redirectHosts are further hosts that servers may send the gateway to.
func redirectHosts(set *manifest.Set) (all []string) {
	for _, o := range set.Objects {
		spec, _ := o.Raw["spec"].(map[string]any)
		redirects, _ := spec["redirects"].(map[string]any)
		hosts, _ := redirects["allowedHosts"].([]any)
		for _, host := range hosts {
			if name, ok := host.(string); ok {
				all = append(all, name)
			}
		}
	}
	return all
}

// eachAddress calls found for every text that is an address: one of HTTP, or the host and
// port of a server of Redis. name is the field that v stands in.
func eachAddress(name string, v any, found func(string)) {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			eachAddress(k, v[k], found)
		}
	case []any:
		for _, item := range v {
			eachAddress(name, item, found)
		}
	case string:
		switch {
		case strings.HasPrefix(v, "http://") || strings.HasPrefix(v, "https://"):
			found(v)
		case name == "addr" || name == "sentinelAddrs":
			found("redis://" + v)
		}
	}
}

// Proxies are the HTTP proxies that variables of the gateway's container name.
func Proxies(c *v1alpha1.Cluster) (all []*url.URL) {
	if c.ResourceOverrides == nil || c.ResourceOverrides.ProxyDeployment == nil {
		return nil
	}
	for _, v := range c.ResourceOverrides.ProxyDeployment.Env {
		if name := strings.ToUpper(string(v.Name)); name != "HTTPS_PROXY" && name != "HTTP_PROXY" {
			continue
		}
		if u, err := url.Parse(v.Value); err == nil && u.Host != "" {
			all = append(all, u)
		}
	}
	return all
}

// variables are those that hold client secrets of upstream providers, for the gateway's
// container (REQ D-5): by provider, whatever their order.
func variables(set *manifest.Set) map[string]v1alpha1.SecretKeyRef {
	all := map[string]v1alpha1.SecretKeyRef{}
	for _, cfg := range manifest.All[v1alpha1.MCPExternalAuthConfig](set) {
		addVariables(all, cfg.Value.Spec.EmbeddedAuthServer)
	}
	for _, v := range manifest.All[v1alpha1.VirtualMCPServer](set) {
		addVariables(all, v.Value.Spec.AuthServerConfig)
	}
	return all
}

func addVariables(all map[string]v1alpha1.SecretKeyRef, server *v1alpha1.EmbeddedAuthServer) {
	if server == nil {
		return
	}
	names, err := server.UpstreamProviders.Names()
	if err != nil {
		return // the plan says so
	}
	for i := range server.UpstreamProviders {
		switch p := &server.UpstreamProviders[i]; {
		case p.OIDCConfig != nil && p.OIDCConfig.ClientSecretRef != nil:
			all[v1alpha1.UpstreamSecretEnv(names[i])] = *p.OIDCConfig.ClientSecretRef
		case p.OAuth2Config != nil && p.OAuth2Config.ClientSecretRef != nil:
			all[v1alpha1.UpstreamSecretEnv(names[i])] = *p.OAuth2Config.ClientSecretRef
		}
	}
}

// asksCluster tells whether the gateway asks the API server for the keys of its service
// accounts, for which its pods need a token.
func asksCluster(set *manifest.Set) bool {
	with := func(k *v1alpha1.ServiceAccountIssuer) bool {
		return k != nil && (k.UseClusterAuth == nil || *k.UseClusterAuth)
	}
	for _, c := range manifest.All[v1alpha1.MCPOIDCConfig](set) {
		if with(c.Value.Spec.KubernetesServiceAccount) {
			return true
		}
	}
	in := func(s *v1alpha1.Serving) bool {
		return s.OIDCConfig != nil && s.OIDCConfig.Kubernetes != nil && with(&s.OIDCConfig.Kubernetes.ServiceAccountIssuer)
	}
	for _, o := range manifest.All[v1alpha1.MCPRemoteProxy](set) {
		if in(&o.Value.Spec.Serving) {
			return true
		}
	}
	for _, o := range manifest.All[v1alpha1.VirtualMCPServer](set) {
		if in(&o.Value.Spec.Serving) {
			return true
		}
	}
	return false
}
