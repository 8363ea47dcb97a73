package render

import (
	"fmt"
	"path"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/sallyport-dev/sallyport/api/v1alpha1"
	"github.com/sallyport-dev/sallyport/internal/manifest"
)

// How long a pod takes to end: the Service notices within preStop, and the process says
// that it is not ready and goes on for shutdownDelay, then lets running calls end within
// drain. All of it, and some room, is the grace period (REQ G-14).
const (
	preStop       = 5
	shutdownDelay = 5
	drain         = 30
	gracePeriod   = preStop + shutdownDelay + drain + 10
)

// podOf is a pod with one container, as all of ours are: without an API token, without
// rights on its node, and without a user or group, which the image has and OpenShift
// chooses.
func podOf(account string, pull []string, selector map[string]string, c corev1.Container, volumes ...corev1.Volume) corev1.PodTemplateSpec {
	no := false
	grace := int64(gracePeriod)
	spec := corev1.PodSpec{
		ServiceAccountName:           account,
		AutomountServiceAccountToken: &no,
		// A variable for each Service of the namespace comes near the kernel's limit.
		EnableServiceLinks:            &no,
		SecurityContext:               podSecurity(),
		TerminationGracePeriodSeconds: &grace,
		TopologySpreadConstraints:     spread(selector),
		Containers:                    []corev1.Container{c},
		Volumes:                       volumes,
	}
	for _, name := range pull {
		spec.ImagePullSecrets = append(spec.ImagePullSecrets, corev1.LocalObjectReference{Name: name})
	}
	return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labelsOf(selector)}, Spec: spec}
}

// template is the pods' template, as the gateway wants it.
func (g *Gateway) template() corev1.PodTemplateSpec {
	c := g.container()
	var volumes []corev1.Volume
	mount := func(name, at string, source corev1.VolumeSource) {
		volumes = append(volumes, corev1.Volume{Name: name, VolumeSource: source})
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: name, MountPath: at, ReadOnly: true})
	}
	mount("manifests", manifestsAt, g.manifests())
	mount("session-key", sessionKeyAt, ofSecret(g.ObjectName()))
	if len(g.Secrets) > 0 {
		mount("secrets", secretsAt, g.secrets())
	}
	if g.ClusterToken {
		mount("cluster-token", "/var/run/secrets/kubernetes.io/serviceaccount", clusterToken())
	}
	g.share(&c, mount)
	pull := g.PullSecrets
	if o := g.Cluster.ResourceOverrides; o != nil && o.ProxyDeployment != nil {
		for _, v := range o.ProxyDeployment.Env {
			c.Env = append(c.Env, corev1.EnvVar{Name: string(v.Name), Value: v.Value})
		}
	}
	account := g.Cluster.ServiceAccount
	if account == "" {
		account = g.ObjectName()
	}
	return podOf(account, pull, g.Selector(), c, volumes...)
}

// What is missing must not keep a pod from starting that could serve the rest: every
// source is optional.

func ofConfigMap(name string) corev1.VolumeSource {
	yes := true
	return corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: name}, Optional: &yes}}
}

func ofSecret(name string) corev1.VolumeSource {
	yes := true
	return corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: name, Optional: &yes}}
}

// clusterToken is what a pod has that is let to speak to the API server: nothing but a
// token, which lives for an hour, and the authority that the server is known by.
func clusterToken() corev1.VolumeSource {
	yes, hour := true, int64(3600)
	return corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
		{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token", ExpirationSeconds: &hour}},
		{ConfigMap: &corev1.ConfigMapProjection{
			LocalObjectReference: corev1.LocalObjectReference{Name: "kube-root-ca.crt"}, Optional: &yes,
			Items: []corev1.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}},
		}},
	}}}
}

// secrets are the keys of Secrets that the gateway reads, each in the file where `serve`
// looks for it. The kubelet follows changes, and nobody copies.
func (g *Gateway) secrets() corev1.VolumeSource {
	yes := true
	p := &corev1.ProjectedVolumeSource{}
	for _, ref := range g.Secrets {
		file := path.Join(string(ref.Name), string(ref.Key))
		if g.Namespace != manifest.DefaultNamespace {
			file = path.Join(g.Namespace, file)
		}
		item := corev1.KeyToPath{Key: string(ref.Key), Path: file}
		if n := len(p.Sources); n > 0 && p.Sources[n-1].Secret.Name == string(ref.Name) {
			p.Sources[n-1].Secret.Items = append(p.Sources[n-1].Secret.Items, item)
			continue
		}
		p.Sources = append(p.Sources, corev1.VolumeProjection{Secret: &corev1.SecretProjection{
			LocalObjectReference: corev1.LocalObjectReference{Name: string(ref.Name)}, Items: []corev1.KeyToPath{item}, Optional: &yes,
		}})
	}
	return corev1.VolumeSource{Projected: p}
}

func (g *Gateway) container() corev1.Container {
	args := []string{
		"--file=" + manifestsAt, "--session-key-file=" + path.Join(sessionKeyAt, SessionKey),
		"--health-interval=" + g.HealthInterval.String(),
	}
	if len(g.Secrets) > 0 {
		args = append(args, "--secrets-folder="+secretsAt)
	}
	c := serving(Container, g.Image, args)
	c.Resources = resources(g.Cluster.Resources, v1alpha1.ResourceList{CPU: "20m", Memory: "48Mi"})
	for _, name := range sorted(g.Variables) {
		c.Env = append(c.Env, fromSecret(name, string(g.Variables[name].Name), string(g.Variables[name].Key)))
	}
	return c
}

// serving is a container that runs the gateway's program.
func serving(name, image string, args []string) corev1.Container {
	return corev1.Container{
		Name: name, Image: image,
		Args: append(slices.Clone(args),
			fmt.Sprintf("--listen=:%d", portMCP), fmt.Sprintf("--admin-listen=:%d", portAdmin),
			fmt.Sprintf("--shutdown-delay=%ds", shutdownDelay), fmt.Sprintf("--drain-timeout=%ds", drain),
			"--log-format=json",
		),
		Ports: []corev1.ContainerPort{
			{Name: PortMCP, ContainerPort: portMCP, Protocol: corev1.ProtocolTCP},
			{Name: PortAdmin, ContainerPort: portAdmin, Protocol: corev1.ProtocolTCP},
		},
		ReadinessProbe: probe("/readyz", 2, 3),
		LivenessProbe:  probe("/healthz", 10, 3),
		// The image has no shell to sleep with.
		Lifecycle:       &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: preStop}}},
		SecurityContext: containerSecurity(),
	}
}

// fromSecret is a variable with a value of a Secret.
func fromSecret(variable, name, key string) corev1.EnvVar {
	yes := true
	return corev1.EnvVar{Name: variable, ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
		LocalObjectReference: corev1.LocalObjectReference{Name: name}, Key: key, Optional: &yes,
	}}}
}

func probe(at string, period, failures int32) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler:  corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: at, Port: intstr.FromString(PortAdmin)}},
		PeriodSeconds: period, FailureThreshold: failures, TimeoutSeconds: 2,
	}
}

func podSecurity() *corev1.PodSecurityContext {
	yes := true
	return &corev1.PodSecurityContext{RunAsNonRoot: &yes, SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}}
}

func containerSecurity() *corev1.SecurityContext {
	yes, no := true, false
	return &corev1.SecurityContext{
		RunAsNonRoot: &yes, ReadOnlyRootFilesystem: &yes, AllowPrivilegeEscalation: &no,
		Capabilities:   &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
}

// spread keeps pods apart, where there is more than one node or zone to choose from.
func spread(selector map[string]string) (all []corev1.TopologySpreadConstraint) {
	for _, by := range []string{"topology.kubernetes.io/zone", "kubernetes.io/hostname"} {
		all = append(all, corev1.TopologySpreadConstraint{
			MaxSkew: 1, TopologyKey: by, WhenUnsatisfiable: corev1.ScheduleAnyway,
			LabelSelector: &metav1.LabelSelector{MatchLabels: selector},
		})
	}
	return all
}

// resources are what a container asks for; without a word, what it takes when it has
// little to do.
func resources(r *v1alpha1.Resources, otherwise v1alpha1.ResourceList) corev1.ResourceRequirements {
	if r == nil {
		return corev1.ResourceRequirements{Requests: amounts(otherwise)}
	}
	return corev1.ResourceRequirements{Limits: amounts(r.Limits), Requests: amounts(r.Requests)}
}

func amounts(l v1alpha1.ResourceList) corev1.ResourceList {
	all := corev1.ResourceList{}
	for name, text := range map[corev1.ResourceName]v1alpha1.Quantity{corev1.ResourceCPU: l.CPU, corev1.ResourceMemory: l.Memory} {
		if q, err := resource.ParseQuantity(string(text)); err == nil { // the CRD admits no other
			all[name] = q
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all
}
