package render

import (
	"cmp"
	"encoding/json"
	"fmt"
	"path"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/manifest"
)

// Server is the server of an MCPServer itself, in a container. The gateway before it
// reaches it by a Service; one that speaks on its standard input and output is started
// by the gateway's own program, within its container.
type Server struct {
	Namespace, Name string
	Owner           metav1.OwnerReference
	Spec            *v1alpha1.MCPServerSpec
	PodTemplate     json.RawMessage   // merged into the pods' template; nil for nothing
	Files           map[string]string // the manifests of the program within, over stdio
	Image           string            // of the gateway, whose program is put there
	PullSecrets     []string
	Egress          *Egress // what the pods may connect to; nil for everything
	Changed         string  // when a Secret of the environment has changed, if that restarts the pods
}

// ServerContainer is the name of the server's container.
const ServerContainer = "mcp"

// Where things are in the server's container, over stdio. None of it hides a folder that
// an image has.
const (
	programAt         = "/.sallyport/bin"
	program           = programAt + "/sallyportd"
	serverManifestsAt = "/.sallyport/manifests"
	scratchAt         = "/tmp"
)

// AnnotationChanged tells when a Secret of the environment has last changed.
const AnnotationChanged = v1alpha1.Group + "/secrets-changed"

// ObjectName is the name of everything that is made for the server.
func (s *Server) ObjectName() string { return ServerName(s.Name) }

// Selector are the labels of the server's pods, and of no others.
func (s *Server) Selector() map[string]string { return selectorOf("mcp-server", s.ObjectName()) }

func (s *Server) meta() metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: s.ObjectName(), Namespace: s.Namespace, Labels: labelsOf(s.Selector()), OwnerReferences: []metav1.OwnerReference{s.Owner}}
}

// stdio tells whether the server speaks on its standard input and output.
func stdio(spec *v1alpha1.MCPServerSpec) bool { return cmp.Or(spec.Transport, "stdio") == "stdio" }

// port is the one that the server's pods listen at.
func port(spec *v1alpha1.MCPServerSpec) int32 {
	if stdio(spec) {
		return portMCP
	}
	return cmp.Or(spec.MCPPort, 8080)
}

// ServerAddress is where the gateway reaches the server of an MCPServer, and how.
func ServerAddress(namespace, name string, spec *v1alpha1.MCPServerSpec) (at, transport string) {
	service := ServerName(name)
	if spec.BackendReplicas != nil {
		service = ServerPodsName(name)
	}
	at = fmt.Sprintf("http://%s.%s.svc:%d", service, namespace, port(spec))
	switch {
	case stdio(spec):
		return at + "/servers/" + name + "/mcp", "streamable-http"
	case spec.Transport == "sse":
		return at + "/sse", "sse"
	}
	return at + "/mcp", spec.Transport
}

// Objects are what runs the server, in the order in which they are made.
func (s *Server) Objects() ([]Object, error) {
	var all []Object
	if s.Spec.ServiceAccount == "" {
		all = append(all, serviceAccount(s.meta()))
	}
	if stdio(s.Spec) {
		all = append(all, configMap(s.meta(), s.Files))
	}
	template, err := merge(s.template(), s.PodTemplate)
	if err != nil {
		return nil, err
	}
	d := deployment(s.meta(), s.Selector(), template)
	d.Spec.Replicas = s.Spec.BackendReplicas // nil is never sent
	all = append(all, service(s.meta(), s.Selector(), port(s.Spec)))
	if s.Spec.BackendReplicas != nil {
		all = append(all, s.pods(), disruptionBudget(s.meta(), s.Selector()))
	}
	all = append(all, d)
	if s.Egress != nil {
		all = append(all, s.networkPolicy())
	}
	return all, nil
}

// pods is the Service whose name leads to each pod that is ready, by its own address: the
// gateway keeps a session with the pod that has it. It stays when backendReplicas goes, as
// long as the resource does: the gateway's pods hear of that later.
func (s *Server) pods() Object {
	o := service(s.meta(), s.Selector(), port(s.Spec))
	o.Name, o.Spec.ClusterIP = ServerPodsName(s.Name), corev1.ClusterIPNone
	return o
}

// template is the pods' template, as the server wants it.
func (s *Server) template() corev1.PodTemplateSpec {
	c := corev1.Container{
		Name: ServerContainer, Image: s.Spec.Image,
		Ports:           []corev1.ContainerPort{{Name: PortMCP, ContainerPort: port(s.Spec), Protocol: corev1.ProtocolTCP}},
		SecurityContext: containerSecurity(),
		// Starting may take minutes: an image is pulled, npx builds. Until then nobody is sent there.
		ReadinessProbe: &corev1.Probe{
			ProbeHandler:  corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromString(PortMCP)}},
			PeriodSeconds: 2, FailureThreshold: 3, TimeoutSeconds: 2,
		},
		Command: texts(s.Spec.Command), Args: texts(s.Spec.Args), WorkingDir: s.Spec.WorkingDir,
		Resources: resources(s.Spec.Resources, v1alpha1.ResourceList{}),
	}
	c.Env = s.env()
	// The root is read-only, and what npx and uvx fetch needs a place.
	volumes := []corev1.Volume{{Name: "scratch", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
	c.VolumeMounts = []corev1.VolumeMount{{Name: "scratch", MountPath: scratchAt}}
	if stdio(s.Spec) {
		volumes = append(volumes,
			corev1.Volume{Name: "sallyport", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
			corev1.Volume{Name: "manifests", VolumeSource: ofConfigMap(s.ObjectName())},
		)
		c.VolumeMounts = append(c.VolumeMounts,
			corev1.VolumeMount{Name: "sallyport", MountPath: programAt, ReadOnly: true},
			corev1.VolumeMount{Name: "manifests", MountPath: serverManifestsAt, ReadOnly: true},
		)
		within := serving(ServerContainer, c.Image, []string{"--file=" + serverManifestsAt})
		c.Command, c.Args, c.WorkingDir = []string{program}, within.Args, ""
		c.Ports, c.ReadinessProbe, c.LivenessProbe, c.Lifecycle = within.Ports, within.ReadinessProbe, within.LivenessProbe, within.Lifecycle
	}
	account := s.Spec.ServiceAccount
	if account == "" {
		account = s.ObjectName()
	}
	t := podOf(account, s.PullSecrets, s.Selector(), c, volumes...)
	if stdio(s.Spec) {
		t.Spec.InitContainers = []corev1.Container{{
			Name: "sallyport-program", Image: s.Image, Command: []string{"/sallyportd", "--install=" + program},
			VolumeMounts:    []corev1.VolumeMount{{Name: "sallyport", MountPath: programAt}},
			SecurityContext: containerSecurity(),
		}}
	}
	if s.Changed != "" {
		t.Annotations = map[string]string{AnnotationChanged: s.Changed}
	}
	return t
}

// env are the variables of the server's container. Over stdio those of Secrets have the
// names under which the program within looks for them.
func (s *Server) env() []corev1.EnvVar {
	var all []corev1.EnvVar
	for _, v := range []struct{ name, value string }{
		{"HOME", scratchAt}, {"NPM_CONFIG_CACHE", path.Join(scratchAt, ".npm")}, {"UV_CACHE_DIR", path.Join(scratchAt, ".uv")}, {"XDG_CACHE_HOME", path.Join(scratchAt, ".cache")},
	} {
		all = append(all, corev1.EnvVar{Name: v.name, Value: v.value})
	}
	set := func(v corev1.EnvVar) {
		for i := range all {
			if all[i].Name == v.Name {
				all[i] = v
				return
			}
		}
		all = append(all, v)
	}
	for _, v := range s.Spec.Env {
		set(corev1.EnvVar{Name: string(v.Name), Value: v.Value})
	}
	for _, v := range s.Spec.Secrets {
		name := cmp.Or(string(v.TargetEnvName), string(v.Key))
		if stdio(s.Spec) {
			name = manifest.SecretVariable(s.Namespace, string(v.Name), string(v.Key))
		}
		set(fromSecret(name, string(v.Name), string(v.Key)))
	}
	return all
}

func texts[T ~string](list []T) []string {
	var all []string
	for _, v := range list {
		all = append(all, string(v))
	}
	return all
}

// Egress is what a server's pods may connect to: the ports of a permission profile, and
// DNS with them; nothing for none.
type Egress struct{ Ports []int32 }

// ReadProfile reads a permission profile as ToolHive has it. What is not about the
// network, and host names, no policy can say.
func ReadProfile(text string) (*Egress, error) {
	var profile struct {
		Network struct {
			Outbound struct {
				AllowAll  bool     `json:"insecure_allow_all"`
				AllowHost []string `json:"allow_host"`
				AllowPort []int32  `json:"allow_port"`
			} `json:"outbound"`
		} `json:"network"`
	}
	if err := json.NewDecoder(strings.NewReader(text)).Decode(&profile); err != nil {
		return nil, fmt.Errorf("is no permission profile in JSON: %w", err)
	}
	out := profile.Network.Outbound
	if out.AllowAll {
		return nil, nil
	}
	if len(out.AllowHost) > 0 && len(out.AllowPort) == 0 {
		out.AllowPort = []int32{443}
	}
	return &Egress{Ports: out.AllowPort}, nil
}

func (s *Server) networkPolicy() Object {
	var rules []networkingv1.NetworkPolicyEgressRule
	if len(s.Egress.Ports) > 0 {
		rules = append(rules, dns())
	}
	for _, n := range s.Egress.Ports {
		rules = append(rules, networkingv1.NetworkPolicyEgressRule{To: everywhere(), Ports: []networkingv1.NetworkPolicyPort{portOf(corev1.ProtocolTCP, n)}})
	}
	return egressPolicy(s.meta(), s.Selector(), rules)
}
