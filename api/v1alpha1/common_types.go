package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Unbuilt is the type of an object field that the schema knows and nothing
// reads yet. Such a field takes anything, and the marker that stands on the
// field itself refuses it:
//
//	// +kubebuilder:validation:XValidation:rule="false",message="NAME is not supported yet; remove it"
//
// Scalars and lists that are not built yet have their real Go type and the same
// marker. To build a field, give it its type and delete the line.
//
// +kubebuilder:pruning:PreserveUnknownFields
type Unbuilt struct{}

// ConfigStatus is what the operator saw of configuration that others share.
type ConfigStatus struct {
	// ObservedGeneration is the generation this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// ReferencingWorkloads are the resources that name it.
	// +listType=atomic
	// +optional
	ReferencingWorkloads []WorkloadRef `json:"referencingWorkloads,omitempty"`
	// Conditions tell in detail what holds and what to do.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// WorkloadRef names a resource of the same namespace.
type WorkloadRef struct {
	// Kind of the resource.
	Kind string `json:"kind"`
	// Name of the resource.
	Name string `json:"name"`
}

// ObjectName is the name of another object in the same namespace.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=253
type ObjectName string

// DataKey is a key in the data of a Secret or ConfigMap.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=253
type DataKey string

// ObjectRef names an object of a fixed kind in the same namespace.
type ObjectRef struct {
	// Name of the object.
	Name ObjectName `json:"name"`
}

// SecretKeyRef names one value of a Secret in the same namespace.
type SecretKeyRef struct {
	// Name of the Secret.
	Name ObjectName `json:"name"`
	// Key in the Secret's data.
	Key DataKey `json:"key"`
}

// ConfigMapKeyRef names one value of a ConfigMap in the same namespace.
type ConfigMapKeyRef struct {
	// Name of the ConfigMap.
	Name ObjectName `json:"name"`
	// Key in the ConfigMap's data.
	// +kubebuilder:default="ca.crt"
	// +optional
	Key DataKey `json:"key,omitempty"`
	// Optional lets the ConfigMap be absent.
	// +kubebuilder:validation:XValidation:rule="false",message="optional is not supported yet; remove it"
	// +optional
	Optional *bool `json:"optional,omitempty"`
}

// CABundleRef points at the certificates that a backend's TLS certificate is
// checked against, in place of the system's.
type CABundleRef struct {
	// ConfigMapRef names the ConfigMap and key that hold the certificates as PEM.
	ConfigMapRef ConfigMapKeyRef `json:"configMapRef"`
}

// Audit says whether the requests of a server are audited.
type Audit struct {
	// Enabled writes one event per MCP request.
	// +kubebuilder:default=false
	// +optional
	Enabled bool `json:"enabled,omitempty"`
}

// ProtocolVersion is a revision of the Model Context Protocol, by its date.
//
// +kubebuilder:validation:Enum="2024-11-05";"2025-03-26";"2025-06-18";"2025-11-25";"2026-07-28"
type ProtocolVersion string

// EndpointPrefix is a path that begins with a slash and does not end with one.
//
// +kubebuilder:validation:MaxLength=256
// +kubebuilder:validation:XValidation:rule=`self.matches(r'^(/[-A-Za-z0-9._~%]*[-A-Za-z0-9_~%])*$')`,message="must be a path that begins with a slash and does not end with one, like /team-a"
type EndpointPrefix string

// RemoteURL is the address of a remote MCP server.
//
// +kubebuilder:validation:MaxLength=2048
// +kubebuilder:validation:XValidation:rule=`isURL(self) && self.matches(r'^https?://([^\s/?#]*@)?([^\s/?#@:\[\]]+|\[[0-9A-Fa-f:.]+\])(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?([/?#][^\s]*)?$')`,message="must be a full URL like https://mcp.example.com/mcp"
// +kubebuilder:validation:XValidation:rule=`!self.matches(r'^[^/?#]*//[^/?#]*@')`,message="must not hold a user name or password; put the credential into a Secret and an MCPExternalAuthConfig"
// +kubebuilder:validation:XValidation:rule=`!self.contains('#')`,message="must not have a fragment; remove the # and what follows it"
type RemoteURL string

// Redirects opens what is refused when a backend answers 3xx: by default the
// gateway follows to the same host name only, and never from https to http.
type Redirects struct {
	// AllowedHosts are further host names, without port, that a redirect may
	// lead to. No credential goes there.
	// +kubebuilder:validation:MaxItems=32
	// +listType=atomic
	// +optional
	AllowedHosts []RedirectHost `json:"allowedHosts,omitempty"`
	// AllowDowngrade lets a redirect lead from https to http. The message then
	// travels unencrypted; no credential does.
	// +kubebuilder:default=false
	// +optional
	AllowDowngrade bool `json:"allowDowngrade,omitempty"`
}

// RedirectHost is a host name as it stands in a URL, without port.
//
// +kubebuilder:validation:MaxLength=253
// +kubebuilder:validation:XValidation:rule=`self.matches(r'^[A-Za-z0-9_]([-A-Za-z0-9_.]*[A-Za-z0-9_])?$')`,message="must be a host name without scheme, port, path or wildcard, like api.example.com"
type RedirectHost string
