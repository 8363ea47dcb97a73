package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// MCPServerEntry is a remote MCP server without an endpoint of its own: a
// member of groups.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:validation:XValidation:rule=`self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$')`,message="metadata.name must be lower-case letters, digits and hyphens, begin and end with a letter or digit, and have at most 63 characters"
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
// +kubebuilder:validation:XValidation:rule="has(self.groupRef)",fieldPath=".groupRef",message="is required: the MCPGroup that this is a member of; what has an endpoint of its own is an MCPRemoteProxy"
type MCPServerEntrySpec struct {
	Remote     `json:",inline"`
	Membership `json:",inline"`

	// Transport is how the remote server speaks: streamable-http, or sse for
	// the HTTP+SSE transport of revision 2024-11-05.
	// +kubebuilder:validation:Enum=streamable-http;sse
	Transport string `json:"transport"`
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
