package render

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
)

// Object is one of a cluster.
type Object interface {
	metav1.Object
	runtime.Object
}

// Gateway is a resource as it is served in a cluster: by a Deployment of the gateway.
type Gateway struct {
	Kind, Namespace, Name string
	Owner                 metav1.OwnerReference
	Port                  int32 // of the Service
	Cluster               *v1alpha1.Cluster
	PodTemplate           json.RawMessage                  // merged into the pods' template; nil for nothing
	Files                 map[string]string                // the manifests that the pods read
	Secrets               []v1alpha1.SecretKeyRef          // that the pods read, sorted
	Variables             map[string]v1alpha1.SecretKeyRef // of the container, from Secrets
	Addresses             []*url.URL                       // that the pods connect to
	RedirectHosts         []string                         // that servers may send the pods to
	Issuers               []string                         // of the authorization servers that the pods are, too
	Keys                  []string                         // paths of key sets that others fetch
	ClusterToken          bool                             // the pods ask the API server for keys
	ClusterPorts          []int32                          // of the API server, behind its Service; none where they are not known
	Image                 string
	PullSecrets           []string      // that images are pulled with, sorted
	HealthInterval        time.Duration // between questions to backends
	Shared                *Shared       // nil for the gateway of one resource
	LeadsTo               string        // the MCPGateway whose pods the Service leads to; "" for its own
	LeadsToTLS            bool          // which serve over TLS
}

// The ports of the gateway's container.
const (
	PortMCP, portMCP     = "mcp", 8080
	PortAdmin, portAdmin = "admin", 9090
)

// Container is the name of the gateway's container.
const Container = "sallyport"

// Where things are in the gateway's container.
const (
	manifestsAt  = "/etc/sallyport/manifests"
	secretsAt    = "/etc/sallyport/secrets" //nolint:gosec // a folder
	sessionKeyAt = "/etc/sallyport/session-key"
)

// SessionKey is the key within the Secret of GatewayName that seals session ids.
const SessionKey = "session-key"

// ObjectName is the name of everything that is made for the gateway.
func (g *Gateway) ObjectName() string { return GatewayName(g.Kind, g.Name) }

// Selector are the labels of the gateway's pods, and of no others.
func (g *Gateway) Selector() map[string]string { return selectorOf(Container, g.ObjectName()) }

// Labels are those of everything that is made for the gateway.
func (g *Gateway) Labels() map[string]string { return labelsOf(g.Selector()) }

func selectorOf(what, name string) map[string]string {
	return map[string]string{LabelName: what, LabelInstance: name}
}

func labelsOf(selector map[string]string) map[string]string {
	labels := maps.Clone(selector)
	labels[LabelManagedBy] = ManagedBy
	return labels
}

func (g *Gateway) meta() metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: g.ObjectName(), Namespace: g.Namespace, Labels: g.Labels(), OwnerReferences: []metav1.OwnerReference{g.Owner}}
}

// Path is where the pods serve the resource.
func (g *Gateway) Path() string { return "/servers/" + g.Name + "/mcp" }

// URL is where clients in the cluster find the resource.
func (g *Gateway) URL() string {
	return g.Base() + g.Path()
}

// Objects are what serves the resource, in the order in which they are made. What the
// pods need comes first, so that none starts without it.
func (g *Gateway) Objects() ([]Object, error) {
	var all []Object
	if g.Cluster.ServiceAccount == "" {
		all = append(all, serviceAccount(g.meta()))
	}
	all = append(all, g.files()...)
	all = append(all, g.service())
	deployment, err := g.deployment()
	if err != nil {
		return nil, err
	}
	all = append(all, deployment, disruptionBudget(g.meta(), g.Selector()))
	if p := g.Cluster.NetworkPolicy; g.HasPolicy() {
		all = append(all, g.networkPolicy(p))
	}
	return all, nil
}

// Route leads clients outside the cluster to the resource, or to all that are shared.
func (g *Gateway) Route(spec *v1alpha1.GatewayRoute) *Route {
	r := &Route{Meta: g.meta(), Spec: spec, Service: g.ObjectName(), Port: g.Port, Served: "/servers/" + g.Name, Issuers: g.Issuers, Keys: g.Keys}
	if g.Shared != nil {
		r.Served = "/servers"
	}
	return r
}

func serviceAccount(meta metav1.ObjectMeta) Object {
	no := false
	return &corev1.ServiceAccount{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"}, ObjectMeta: meta, AutomountServiceAccountToken: &no}
}

func configMap(meta metav1.ObjectMeta, files map[string]string) Object {
	return &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: meta, Data: files}
}

// service is a Service with one port, to the port of the pods that is named mcp.
func service(meta metav1.ObjectMeta, selector map[string]string, port int32) *corev1.Service {
	http := "http" // for meshes, which else guess the protocol
	return &corev1.Service{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Service"}, ObjectMeta: meta,
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeClusterIP, Selector: selector, SessionAffinity: corev1.ServiceAffinityNone,
			Ports: []corev1.ServicePort{{Name: PortMCP, Port: port, TargetPort: intstr.FromString(PortMCP), Protocol: corev1.ProtocolTCP, AppProtocol: &http}},
		},
	}
}

func (g *Gateway) service() Object {
	s := service(g.meta(), g.Selector(), g.Port)
	if g.LeadsTo != "" {
		s.Spec.Selector = selectorOf(Container, GatewayName("MCPGateway", g.LeadsTo))
	}
	if g.scheme() == "https" || g.LeadsTo != "" && g.LeadsToTLS {
		s.Spec.Ports[0].AppProtocol = new("https")
	}
	s.Spec.SessionAffinity = cmp.Or(corev1.ServiceAffinity(g.Cluster.SessionAffinity), s.Spec.SessionAffinity)
	s.Spec.Type = cmp.Or(corev1.ServiceType(g.Cluster.ServiceType), s.Spec.Type)
	if o := g.Cluster.ResourceOverrides; o != nil && o.ProxyService != nil {
		override(&s.ObjectMeta, o.ProxyService)
	}
	return s
}

// disruptionBudget lets a node be drained pod by pod, also where there is one only.
func disruptionBudget(meta metav1.ObjectMeta, selector map[string]string) Object {
	one := intstr.FromInt32(1)
	return &policyv1.PodDisruptionBudget{
		TypeMeta: metav1.TypeMeta{APIVersion: "policy/v1", Kind: "PodDisruptionBudget"}, ObjectMeta: meta,
		Spec: policyv1.PodDisruptionBudgetSpec{MaxUnavailable: &one, Selector: &metav1.LabelSelector{MatchLabels: selector}},
	}
}

func (g *Gateway) deployment() (Object, error) {
	template, err := merge(g.template(), g.PodTemplate)
	if err != nil {
		return nil, err
	}
	if o := g.Cluster.ResourceOverrides; o != nil && o.ProxyDeployment != nil && o.ProxyDeployment.PodTemplateMetadataOverrides != nil {
		override(&template.ObjectMeta, o.ProxyDeployment.PodTemplateMetadataOverrides)
	}
	d := deployment(g.meta(), g.Selector(), template)
	d.Spec.Replicas = g.Cluster.Replicas // nil is never sent: whoever scales owns it
	if o := g.Cluster.ResourceOverrides; o != nil && o.ProxyDeployment != nil {
		override(&d.ObjectMeta, &o.ProxyDeployment.Overrides)
	}
	return d, nil
}

// deployment is a Deployment that starts a new pod before it ends an old one.
func deployment(meta metav1.ObjectMeta, selector map[string]string, template corev1.PodTemplateSpec) *appsv1.Deployment {
	none, one := intstr.FromInt32(0), intstr.FromInt32(1)
	d := &appsv1.Deployment{
		TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"}, ObjectMeta: meta,
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: selector},
			Strategy: appsv1.DeploymentStrategy{
				Type:          appsv1.RollingUpdateDeploymentStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDeployment{MaxUnavailable: &none, MaxSurge: &one},
			},
			Template: template,
		},
	}
	if d.Spec.Template.Labels == nil {
		d.Spec.Template.Labels = map[string]string{}
	}
	maps.Copy(d.Spec.Template.Labels, labelsOf(selector)) // whatever was merged, the pods are selected
	return d
}

// Ignored are the labels that a manifest sets and that stay the operator's own: they
// select the pods.
func (g *Gateway) Ignored() []string {
	var all []string
	look := func(labels map[string]v1alpha1.LabelValue) {
		for k, want := range g.Labels() {
			if v, ok := labels[k]; ok && string(v) != want {
				all = append(all, k)
			}
		}
	}
	if o := g.Cluster.ResourceOverrides; o != nil && o.ProxyDeployment != nil && o.ProxyDeployment.PodTemplateMetadataOverrides != nil {
		look(o.ProxyDeployment.PodTemplateMetadataOverrides.Labels)
	}
	var template struct {
		Metadata struct {
			Labels map[string]v1alpha1.LabelValue `json:"labels"`
		} `json:"metadata"`
	}
	if json.Unmarshal(g.PodTemplate, &template) == nil {
		look(template.Metadata.Labels)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// override adds labels and annotations, but none in place of the gateway's own.
func override(m *metav1.ObjectMeta, o *v1alpha1.Overrides) {
	labels := map[string]string{}
	for k, v := range o.Labels {
		labels[k] = string(v)
	}
	maps.Copy(labels, m.Labels)
	m.Labels = labels
	annotations := map[string]string{}
	for k, v := range o.Annotations {
		annotations[k] = string(v)
	}
	maps.Copy(annotations, m.Annotations)
	if len(annotations) > 0 {
		m.Annotations = annotations
	}
}

// sorted are the keys of a map in a fixed order.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
