package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// MCPServerEntry is a remote MCP server without an endpoint of its own: a
// member of groups.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=mcpserverentries,shortName=mcpentry,categories=sallyport
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Transport",type=string,JSONPath=`.spec.transport`
// +kubebuilder:printcolumn:name="Remote URL",type=string,JSONPath=`.spec.remoteUrl`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type MCPServerEntry struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec MCPServerEntrySpec `json:"spec"`
	// +optional
	Status MCPServerEntryStatus `json:"status,omitempty"`
}

// MCPServerEntrySpec says where the remote server is and how the gateway talks to it.
//
// +kubebuilder:validation:XValidation:rule=`!self.remoteUrl.startsWith('http:') || self.allowPrivateEndpoint`,fieldPath=".remoteUrl",message="must begin with https://; for plain http to a loopback or private address set allowPrivateEndpoint: true"
// +kubebuilder:validation:XValidation:rule="!has(self.oauth) || !has(self.externalAuthConfigRef)",fieldPath=".oauth",message="cannot be set beside externalAuthConfigRef; keep one of them"
type MCPServerEntrySpec struct {
	// RemoteURL is the address of the remote MCP server.
	RemoteURL RemoteURL `json:"remoteUrl"`
	// Transport is how the remote server speaks: streamable-http, or sse for
	// the HTTP+SSE transport of revision 2024-11-05.
	// +kubebuilder:validation:Enum=streamable-http;sse
	Transport string `json:"transport"`
	// AllowPrivateEndpoint admits a remoteUrl on a loopback or private address,
	// and plain http to it. Cloud metadata addresses are never admitted.
	// +kubebuilder:default=false
	// +optional
	AllowPrivateEndpoint bool `json:"allowPrivateEndpoint,omitempty"`
	// CABundleRef replaces the system's certificates for the connection to the
	// remote server.
	// +optional
	CABundleRef *CABundleRef `json:"caBundleRef,omitempty"`
	// ExternalAuthConfigRef names the MCPExternalAuthConfig that says which
	// credential the remote server is shown. Without it, none.
	// +optional
	ExternalAuthConfigRef *ObjectRef `json:"externalAuthConfigRef,omitempty"`
	// OAuth gets the gateway an account of its own at the remote server.
	// +optional
	OAuth *RemoteOAuth `json:"oauth,omitempty"`
	// HeaderForward sets fixed headers on every request to the remote server.
	// +optional
	HeaderForward *HeaderForward `json:"headerForward,omitempty"`
	// Redirects opens what is refused when the remote server answers 3xx.
	// +optional
	Redirects *Redirects `json:"redirects,omitempty"`

	// Not built yet. It is refused by name.

	// GroupRef names the MCPGroup that this is a member of.
	// +kubebuilder:validation:XValidation:rule="false",message="groupRef is not supported yet; remove it"
	// +optional
	GroupRef *Unbuilt `json:"groupRef,omitempty"`
}

// MCPServerEntryStatus is what the operator saw.
type MCPServerEntryStatus struct {
	// Phase is the state in one word.
	// +kubebuilder:validation:Enum=Pending;Valid;Failed
	// +optional
	Phase string `json:"phase,omitempty"`
	// ObservedGeneration is the generation this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Conditions tell in detail what holds and what to do.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// MCPServerEntryList is a list of MCPServerEntry.
//
// +kubebuilder:object:root=true
type MCPServerEntryList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []MCPServerEntry `json:"items"`
}
