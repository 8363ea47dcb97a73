package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Cluster is what every serving kind says of its pods in a cluster. A gateway that runs
// elsewhere has none, and takes no notice of it.
type Cluster struct {
	// Replicas is the number of pods. Unset, it is left to an autoscaler, or whoever else
	// scales the Deployment.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	// +optional
	Replicas *int32 `json:"replicas,omitempty"`
	// Resources are the requests and limits of the pods. They are those of the gateway's
	// container.
	// +optional
	Resources *Resources `json:"resources,omitempty"`
	// ServiceAccount names the ServiceAccount of the pods. By default they have one of
	// their own, which may do nothing.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	ServiceAccount string `json:"serviceAccount,omitempty"`
	// NetworkPolicy limits what the pods can connect to.
	// +optional
	NetworkPolicy *NetworkPolicy `json:"networkPolicy,omitempty"`
	// SessionAffinity says whether the Service keeps a client with one pod. Sessions do not
	// need it: any pod goes on with them.
	// +kubebuilder:validation:Enum=ClientIP;None
	// +optional
	SessionAffinity string `json:"sessionAffinity,omitempty"`
	// ServiceType is the type of the Service before the gateway. By default it is ClusterIP.
	// +kubebuilder:validation:Enum=ClusterIP;NodePort;LoadBalancer
	// +optional
	ServiceType string `json:"serviceType,omitempty"`
	// PodTemplateSpec is merged into the template of the pods, strategically, as kubectl
	// patch does. The gateway's container is named sallyport. Of an MCPServer with an image
	// the container mcp, and what is not of a container, are the server's own pods; the
	// gateway's are changed by resourceOverrides.
	// +optional
	PodTemplateSpec *FreeForm `json:"podTemplateSpec,omitempty"`
	// ResourceOverrides changes labels and annotations of the objects that are made.
	// +optional
	ResourceOverrides *ResourceOverrides `json:"resourceOverrides,omitempty"`
}

// Resources are what a container asks for, and what it gets at most.
type Resources struct {
	// Limits are what the container gets at most.
	// +optional
	Limits ResourceList `json:"limits,omitempty"`
	// Requests are what the scheduler keeps for the container.
	// +optional
	Requests ResourceList `json:"requests,omitempty"`
}

// ResourceList is an amount of each resource.
type ResourceList struct {
	// CPU in cores, like 500m.
	// +optional
	CPU Quantity `json:"cpu,omitempty"`
	// Memory in bytes, like 128Mi.
	// +optional
	Memory Quantity `json:"memory,omitempty"`
}

// Quantity is an amount as Kubernetes writes it.
//
// +kubebuilder:validation:MaxLength=32
// +kubebuilder:validation:XValidation:rule=`isQuantity(self) && quantity(self).isGreaterThan(quantity('0'))`,message="must be an amount above zero, like 500m or 128Mi"
type Quantity string

// NetworkPolicy says which connections the pods may make: to DNS, to the addresses that
// the manifests name, and to what is listed.
type NetworkPolicy struct {
	// Enabled makes a NetworkPolicy for the pods.
	// +kubebuilder:default=false
	// +optional
	Enabled bool `json:"enabled,omitempty"`
	// AllowedEgress are further rules, as in a NetworkPolicy.
	// +kubebuilder:validation:MaxItems=32
	// +listType=atomic
	// +optional
	AllowedEgress []EgressRule `json:"allowedEgress,omitempty"`
}

// EgressRule is a rule of egress as it stands in a NetworkPolicy of Kubernetes.
type EgressRule struct {
	// Ports that may be connected to; all where there are none.
	// +kubebuilder:validation:MaxItems=32
	// +listType=atomic
	// +optional
	Ports []EgressPort `json:"ports,omitempty"`
	// To says who may be connected to; everybody where nobody is named.
	// +kubebuilder:validation:MaxItems=32
	// +listType=atomic
	// +optional
	To []EgressPeer `json:"to,omitempty"`
}

// EgressPort is a port, or several in a row.
type EgressPort struct {
	// Protocol is TCP, UDP or SCTP.
	// +kubebuilder:validation:Enum=TCP;UDP;SCTP
	// +kubebuilder:default=TCP
	// +optional
	Protocol string `json:"protocol,omitempty"`
	// Port is a number, or the name of a port of the pods.
	// +optional
	Port *intstr.IntOrString `json:"port,omitempty"`
	// EndPort is the last of several ports in a row.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	// +optional
	EndPort *int32 `json:"endPort,omitempty"`
}

// EgressPeer is who may be connected to: pods, or addresses.
//
// +kubebuilder:validation:XValidation:rule="!has(self.ipBlock) || !has(self.podSelector) && !has(self.namespaceSelector)",fieldPath=".ipBlock",message="cannot be set beside podSelector or namespaceSelector; make two peers of it"
type EgressPeer struct {
	// PodSelector chooses pods.
	// +optional
	PodSelector *Selector `json:"podSelector,omitempty"`
	// NamespaceSelector chooses namespaces.
	// +optional
	NamespaceSelector *Selector `json:"namespaceSelector,omitempty"`
	// IPBlock is a range of addresses.
	// +optional
	IPBlock *IPBlock `json:"ipBlock,omitempty"`
}

// Selector chooses objects by their labels; an empty one chooses all.
type Selector struct {
	// MatchLabels are labels that an object has with just these values.
	// +kubebuilder:validation:MaxProperties=32
	// +optional
	MatchLabels map[string]LabelValue `json:"matchLabels,omitempty"`
	// MatchExpressions are conditions that an object's labels meet.
	// +kubebuilder:validation:MaxItems=32
	// +listType=atomic
	// +optional
	MatchExpressions []SelectorRequirement `json:"matchExpressions,omitempty"`
}

// SelectorRequirement is a condition on one label.
type SelectorRequirement struct {
	// Key of the label.
	// +kubebuilder:validation:MaxLength=317
	Key string `json:"key"`
	// Operator between the label and the values.
	// +kubebuilder:validation:Enum=In;NotIn;Exists;DoesNotExist
	Operator metav1.LabelSelectorOperator `json:"operator"`
	// Values to compare with, for In and NotIn.
	// +kubebuilder:validation:MaxItems=32
	// +listType=atomic
	// +optional
	Values []LabelValue `json:"values,omitempty"`
}

// LabelValue is the value of a label.
//
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:Pattern=`^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$`
type LabelValue string

// IPBlock is a range of addresses without some of them.
type IPBlock struct {
	// CIDR is the range, like 10.0.0.0/8.
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="isCIDR(self)",message="must be a range of addresses, like 10.0.0.0/8"
	CIDR string `json:"cidr"`
	// Except are ranges within it that are left out.
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=64
	// +listType=atomic
	// +optional
	Except []string `json:"except,omitempty"`
}

// ResourceOverrides adds to the objects that are made for a resource. What the gateway
// needs itself stays: labels that select its pods, for one.
type ResourceOverrides struct {
	// ProxyDeployment adds to the Deployment of the gateway, and to its pods.
	// +optional
	ProxyDeployment *DeploymentOverrides `json:"proxyDeployment,omitempty"`
	// ProxyService adds to the Service before the gateway.
	// +optional
	ProxyService *Overrides `json:"proxyService,omitempty"`
}

// DeploymentOverrides adds to a Deployment and its pods.
type DeploymentOverrides struct {
	Overrides `json:",inline"`

	// Env sets variables of the gateway's container.
	// +kubebuilder:validation:MaxItems=128
	// +listType=map
	// +listMapKey=name
	// +optional
	Env []EnvVar `json:"env,omitempty"`
	// ImagePullSecrets name the Secrets that the pods' images are pulled with.
	// +kubebuilder:validation:MaxItems=32
	// +listType=atomic
	// +optional
	ImagePullSecrets []ObjectRef `json:"imagePullSecrets,omitempty"`
	// PodTemplateMetadataOverrides adds labels and annotations to the pods.
	// +optional
	PodTemplateMetadataOverrides *Overrides `json:"podTemplateMetadataOverrides,omitempty"`
}

// Overrides are labels and annotations to add.
type Overrides struct {
	// Labels to add.
	// +kubebuilder:validation:MaxProperties=64
	// +optional
	Labels map[string]LabelValue `json:"labels,omitempty"`
	// Annotations to add.
	// +kubebuilder:validation:MaxProperties=64
	// +optional
	Annotations map[string]AnnotationValue `json:"annotations,omitempty"`
}

// AnnotationValue is the value of an annotation.
//
// +kubebuilder:validation:MaxLength=65536
type AnnotationValue string
