package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// MCPToolConfig chooses and renames the tools of a server.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:validation:XValidation:rule=`self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$')`,message="metadata.name must be lower-case letters, digits and hyphens, begin and end with a letter or digit, and have at most 63 characters"
// +kubebuilder:resource:shortName=tc;toolconfig,categories=sallyport
// +kubebuilder:printcolumn:name="Valid",type=string,JSONPath=`.status.conditions[?(@.type=="Valid")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type MCPToolConfig struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec MCPToolConfigSpec `json:"spec"`
	// +optional
	Status MCPToolConfigStatus `json:"status,omitempty"`
}

// MCPToolConfigSpec says which tools clients see, and as what.
type MCPToolConfigSpec struct {
	// ToolsFilter lists the tools that stay, by the backend's own names. Empty
	// means all.
	// +kubebuilder:validation:MaxItems=1024
	// +listType=set
	// +optional
	ToolsFilter []ToolName `json:"toolsFilter,omitempty"`
	// ToolsOverride maps the backend's name of a tool to what clients see.
	// +kubebuilder:validation:MaxProperties=128
	// +kubebuilder:validation:XValidation:rule=`self.all(t, size(t) >= 1 && size(t) <= 128)`,message="the name of a tool has 1 to 128 characters"
	// +kubebuilder:validation:XValidation:rule=`self.all(t, !has(self[t].name) || self.exists_one(o, has(self[o].name) && self[o].name == self[t].name))`,messageExpression=`'%s gets the same name as another tool; give each its own'.format([self.filter(t, has(self[t].name) && !self.exists_one(o, has(self[o].name) && self[o].name == self[t].name))])`
	// +optional
	ToolsOverride map[string]ToolOverride `json:"toolsOverride,omitempty"`
}

// ToolName is the name of a tool.
//
// +kubebuilder:validation:MinLength=1
// +kubebuilder:validation:MaxLength=128
type ToolName string

// ToolOverride is what clients see of a tool instead of what its backend says.
//
// +kubebuilder:validation:MinProperties=1
type ToolOverride struct {
	// Name is the tool's new name.
	// +optional
	Name ToolName `json:"name,omitempty"`
	// Description is the tool's new description.
	// +kubebuilder:validation:MaxLength=16384
	// +optional
	Description string `json:"description,omitempty"`
	// Annotations replace the tool's own, one by one; those left out stay.
	// +optional
	Annotations *ToolAnnotations `json:"annotations,omitempty"`
}

// ToolAnnotations are MCP's hints about what a tool does.
type ToolAnnotations struct {
	// Title is a name for people.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	Title *string `json:"title,omitempty"`
	// ReadOnlyHint says that the tool changes nothing.
	// +optional
	ReadOnlyHint *bool `json:"readOnlyHint,omitempty"`
	// DestructiveHint says that the tool may destroy something.
	// +optional
	DestructiveHint *bool `json:"destructiveHint,omitempty"`
	// IdempotentHint says that calling the tool again changes nothing more.
	// +optional
	IdempotentHint *bool `json:"idempotentHint,omitempty"`
	// OpenWorldHint says that the tool reaches beyond its own system.
	// +optional
	OpenWorldHint *bool `json:"openWorldHint,omitempty"`
}

// MCPToolConfigStatus is what the operator saw.
type MCPToolConfigStatus struct {
	ConfigStatus `json:",inline"`
}

// MCPToolConfigList is a list of MCPToolConfig.
//
// +kubebuilder:object:root=true
type MCPToolConfigList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []MCPToolConfig `json:"items"`
}
