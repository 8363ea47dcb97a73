package render

import (
	"fmt"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
)

// Shared is what a gateway has that serves many resources.
type Shared struct {
	Files   []map[string]string // as each ConfigMap has them
	TLS     *v1alpha1.GatewayTLS
	Store   *v1alpha1.GatewayStore
	Origins []v1alpha1.WebOrigin
}

// How much a ConfigMap gets, in bytes; the API server takes 1 MiB. What is there already
// may grow a little.
const (
	fillTo = 700 << 10
	growTo = 900 << 10
)

// LongestFile is how much one resource may say, with all that it rests on.
const LongestFile = growTo

// Divide lays files out in ConfigMaps. Files stay where they are, so that a change of one
// changes one ConfigMap, and pods never miss a file that is on its way to another.
func Divide(have []map[string]string, want map[string]string) []map[string]string {
	var all []map[string]string
	there := map[string]bool{}
	for _, files := range have {
		kept := map[string]string{}
		for _, name := range sorted(files) {
			if text, ok := want[name]; ok && !there[name] && size(kept)+len(name)+len(text) <= growTo {
				kept[name], there[name] = text, true
			}
		}
		all = append(all, kept)
	}
	for _, name := range sorted(want) {
		if there[name] {
			continue
		}
		i := slices.IndexFunc(all, func(files map[string]string) bool {
			return len(files) == 0 || size(files)+len(name)+len(want[name]) <= fillTo
		})
		if i < 0 {
			i, all = len(all), append(all, map[string]string{})
		}
		all[i][name] = want[name]
	}
	for len(all) > 1 && len(all[len(all)-1]) == 0 {
		all = all[:len(all)-1]
	}
	if len(all) == 0 {
		all = append(all, map[string]string{})
	}
	return all
}

func size(files map[string]string) (n int) {
	for name, text := range files {
		n += len(name) + len(text)
	}
	return n
}

// FilesName is the name of one of a shared gateway's ConfigMaps.
func (g *Gateway) FilesName(i int) string { return fmt.Sprintf("%s-%d", g.ObjectName(), i) }

// files are the ConfigMaps with the manifests.
func (g *Gateway) files() (all []Object) {
	if g.Shared == nil {
		return []Object{configMap(g.meta(), g.Files)}
	}
	for i, files := range g.Shared.Files {
		meta := g.meta()
		meta.Name = g.FilesName(i)
		all = append(all, configMap(meta, files))
	}
	return all
}

// manifests are the files of all ConfigMaps in one folder.
func (g *Gateway) manifests() corev1.VolumeSource {
	if g.Shared == nil {
		return ofConfigMap(g.ObjectName())
	}
	yes := true
	p := &corev1.ProjectedVolumeSource{}
	for i := range g.Shared.Files {
		p.Sources = append(p.Sources, corev1.VolumeProjection{ConfigMap: &corev1.ConfigMapProjection{
			LocalObjectReference: corev1.LocalObjectReference{Name: g.FilesName(i)}, Optional: &yes,
		}})
	}
	return corev1.VolumeSource{Projected: p}
}

// Where a shared gateway's own files are.
const (
	tlsAt      = "/etc/sallyport/tls"
	clientCAAt = "/etc/sallyport/client-ca"
)

// StoreKey is the key within the Secret of a shared gateway that encrypts what is kept.
const StoreKey = "store-key"

// share adds what a shared gateway has besides.
func (g *Gateway) share(c *corev1.Container, mount func(name, at string, source corev1.VolumeSource)) {
	s := g.Shared
	if s == nil {
		return
	}
	c.Args = append(c.Args, "--each-file")
	if s.TLS != nil {
		source := ofSecret(string(s.TLS.SecretName))
		source.Secret.Items = []corev1.KeyToPath{{Key: corev1.TLSCertKey, Path: corev1.TLSCertKey}, {Key: corev1.TLSPrivateKeyKey, Path: corev1.TLSPrivateKeyKey}}
		mount("tls", tlsAt, source)
		c.Args = append(c.Args, "--tls-cert="+path.Join(tlsAt, corev1.TLSCertKey), "--tls-key="+path.Join(tlsAt, corev1.TLSPrivateKeyKey))
		if ca := s.TLS.ClientCABundleRef; ca != nil {
			source := ofConfigMap(string(ca.ConfigMapRef.Name))
			source.ConfigMap.Items = []corev1.KeyToPath{{Key: string(ca.ConfigMapRef.Key), Path: "ca.crt"}}
			mount("client-ca", clientCAAt, source)
			c.Args = append(c.Args, "--tls-client-ca="+path.Join(clientCAAt, "ca.crt"))
		}
	}
	if s.Store != nil {
		c.Args = append(c.Args, "--store="+s.Store.URL, "--store-key-file="+path.Join(sessionKeyAt, StoreKey))
		if ref := s.Store.PasswordSecretRef; ref != nil {
			c.Env = append(c.Env, fromSecret("SALLYPORT_REDIS_PASSWORD", string(ref.Name), string(ref.Key)))
		}
	}
	if len(s.Origins) > 0 {
		var origins []string
		for _, o := range s.Origins {
			origins = append(origins, string(o))
		}
		c.Args = append(c.Args, "--allowed-origins="+strings.Join(origins, ","))
	}
}

// scheme is how clients speak to the gateway.
func (g *Gateway) scheme() string {
	if g.Shared != nil && g.Shared.TLS != nil {
		return "https"
	}
	return "http"
}

// Base is where clients in the cluster find the gateway, without a path.
func (g *Gateway) Base() string {
	return fmt.Sprintf("%s://%s.%s.svc:%d", g.scheme(), g.ObjectName(), g.Namespace, g.Port)
}

// Service is that of a resource that has no pods of its own: addresses that clients have
// go on.
func (g *Gateway) Service() Object { return g.service() }
