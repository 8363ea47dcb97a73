package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// MCPGroup is a set of MCP servers. Servers name it in groupRef; a VirtualMCPServer
// serves it as one.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:validation:XValidation:rule=`self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$')`,message="metadata.name must be lower-case letters, digits and hyphens, begin and end with a letter or digit, and have at most 63 characters"
// +kubebuilder:resource:shortName=mcpg;mcpgroup,categories=sallyport
// +kubebuilder:printcolumn:name="Servers",type=integer,JSONPath=`.status.serverCount`
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type MCPGroup struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +optional
	Spec MCPGroupSpec `json:"spec,omitempty"`
	// +optional
	Status MCPGroupStatus `json:"status,omitempty"`
}

// MCPGroupSpec describes the group to people.
type MCPGroupSpec struct {
	// Description says what the group is for.
	// +kubebuilder:validation:MaxLength=4096
	// +optional
	Description string `json:"description,omitempty"`
}

// MCPGroupStatus is what the operator saw.
type MCPGroupStatus struct {
	// Phase is the state in one word.
	// +kubebuilder:validation:Enum=Ready;Pending;Failed
	// +optional
	Phase string `json:"phase,omitempty"`
	// Servers are the MCPServer resources in the group.
	// +listType=atomic
	// +optional
	Servers []string `json:"servers,omitempty"`
	// ServerCount is their number.
	// +optional
	ServerCount int32 `json:"serverCount,omitempty"`
	// RemoteProxies are the MCPRemoteProxy resources in the group.
	// +listType=atomic
	// +optional
	RemoteProxies []string `json:"remoteProxies,omitempty"`
	// RemoteProxyCount is their number.
	// +optional
	RemoteProxyCount int32 `json:"remoteProxyCount,omitempty"`
	// Entries are the MCPServerEntry resources in the group.
	// +listType=atomic
	// +optional
	Entries []string `json:"entries,omitempty"`
	// EntryCount is their number.
	// +optional
	EntryCount int32 `json:"entryCount,omitempty"`
	// ObservedGeneration is the generation this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Conditions tell in detail what holds and what to do.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// MCPGroupList is a list of MCPGroup.
//
// +kubebuilder:object:root=true
type MCPGroupList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []MCPGroup `json:"items"`
}
